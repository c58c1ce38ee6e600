"""What the four challenges hand in, opened and measured: packed models, an ONNX file, a training run's log.

The bars stand here, and so do the pages that count. Nothing is trained: a submission ships its files, and
these functions say in an AssertionError what is missing. They run outside the sandbox when a submission is
graded, so a file is looked at before anything is made of it:

- A packed file is read as far as its configuration, with a limit on what it unpacks to, and goes on only if
  that describes gpt2-mini or a part of it, and the tokenizer is gpt2-mini's or none.
- An ONNX file goes to ONNX Runtime only if its graph is, node by node, the one that `deploy.onnx.export_onnx`
  writes for the sizes it claims: no foreign operators, no loops, no data in other files. Only the numbers
  are the stranger's.

What that leaves to trust: that zstandard, safetensors and protobuf survive hostile bytes of a limited size.
If one of them does not, the process that judges this one submission ends, and the check gives no points. What
no file can show: whether a log was typed by hand as long as its end fits the model, and which text a model was
trained on. A model that is better than gpt2-mini on the held-out plays by more than TOO_GOOD is refused, since it has
seen them.
"""

from __future__ import annotations

import csv
import io
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

import safetensors.torch
import torch
import zstandard
from torch import Tensor

from ..checkpoints import load_pretrained_gpt2
from ..config import GPT2Config
from ..corpus import held_out_windows
from ..deploy.extras import need
from ..deploy.onnx import CONFIG, TOKENIZER, OnnxGPT2, export_onnx
from ..gpt2 import GPT2
from ..metrics import evaluate
from ..pruning.pruner import prunable_weights
from ..storage.packed import HEADER, LENGTH, load_packed
from ..storage.quantize import dequantize_int8, quantize_int8
from ..tokenizer import Tokenizer

# The bars. Accuracy lost is relative to gpt2-mini as bundled: 0.02 is 2 % of its top-1 accuracy.
SPARSE, SPARSE_LOST = 0.6, 0.02  # challenges a and c: the share of the prunable weights that is gone
HALF, HALF_LOST = 0.5, 0.04  # a good part of the way there
FASTER, MOBILE_LOST = 1.3, 0.05  # challenge b: times as fast as dense
REMOVED, REMOVED_LOST = 0.2, 0.1  # a good part of the way: the share of the blocks' weights that is cut out
CUTS = 4  # challenge c: so many times, at least, the sparsity rises
SMALLER, EDGE_LOST = 4.0, 0.02  # challenge d: times as small as the dense file in float32
EDGE_SPARSE, EDGE_PART_LOST = 0.5, 0.04

VISIBLE, HIDDEN = 32, 96  # pages of 256 tokens of the held-out plays
SLACK = 0.015  # on the visible pages, both ways: so few of them say no more than about a percent
TOO_GOOD = 0.01  # better than gpt2-mini by this share; ten steps of training on the held-out pages give 0.04
LARGEST = 12_000_000  # bytes of a file; gpt2-mini itself is 9 MB in float32
LARGEST_LOG, MOST_ROWS = 1_000_000, 10_000
TIMED, ROUNDS, ATTEMPTS = (1, 128), 21, 3  # batch and length; rounds in which the models take turns
COLUMNS = ("step", "sparsity", "loss", "accuracy")


# The ruler


@cache
def dense() -> GPT2:
    """gpt2-mini as bundled: what everything is compared with."""
    return load_pretrained_gpt2()


@cache
def pages(hidden: bool = False) -> Tensor:
    """Token ids (N, 256) of the held-out plays: the visible pages or, not among them, those that grading looks at."""
    model, tokenizer = dense()
    every = held_out_windows(tokenizer, model.config.n_positions)
    seen = torch.linspace(0, len(every) - 1, VISIBLE).long()
    if not hidden:
        return every[seen]
    others = torch.ones(len(every), dtype=torch.bool)
    others[seen] = False
    return every[others][torch.linspace(0, len(every) - VISIBLE - 1, HIDDEN).long()]


@lru_cache(maxsize=16)
def accuracy(model: GPT2 | OnnxGPT2, hidden: bool = False) -> float:
    """Top-1 accuracy on `pages`. Raises AssertionError where the model gives no numbers."""
    with torch.inference_mode():
        try:
            found = model.evaluate(pages(hidden)) if isinstance(model, OnnxGPT2) else evaluate(model, pages(hidden))
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise AssertionError(f"The model stops with an error when it reads a page: {error}") from error
    assert math.isfinite(found.loss), "The model's answers to a page are NaN or infinite."
    return found.accuracy


def lost(model: GPT2 | OnnxGPT2, hidden: bool = False) -> float:
    """The share of gpt2-mini's accuracy that ``model`` lacks; below 0 where it is better."""
    return 1 - accuracy(model, hidden) / accuracy(dense(), hidden)


@cache
def weights() -> int:
    """How many prunable weights gpt2-mini has."""
    return sum(w.numel() for w in prunable_weights(dense()).values())


# Files


@dataclass(frozen=True)
class Packed:
    """A packed model: a challenge's artefact."""

    model: GPT2
    size: int  # bytes of the file

    @property
    def gone(self) -> float:
        """The share of gpt2-mini's prunable weights that is zero here, or not there at all."""
        left = sum(int(torch.count_nonzero(w)) for w in prunable_weights(self.model).values())
        return 1 - left / weights()

    @property
    def smaller(self) -> float:
        """How many times as small as gpt2-mini's weights in float32 the file is."""
        return 4 * sum(p.numel() for p in dense().parameters()) / self.size


@dataclass(frozen=True)
class Exported:
    """A model in ONNX Runtime, on one thread: a challenge's artefact."""

    model: OnnxGPT2
    int8: bool

    @property
    def removed(self) -> float:
        """The share of the blocks' weights that was cut out; zeros don't count."""
        with torch.device("meta"):
            left = sum(w.numel() for w in prunable_weights(GPT2(self.model.config)).values())
        return 1 - left / weights()


@dataclass(frozen=True)
class Tracked:
    """A training run's log and the model that it ended in."""

    rows: list[dict[str, float]]
    packed: Packed


def packed(read: Callable[[], object]) -> Packed:
    """The packed file whose bytes ``read`` returns; AssertionError for anything else."""
    return _packed(_bytes(_read(read), "the packed file", LARGEST))


def exported(read: Callable[[], object]) -> Exported:
    """The ONNX file whose bytes ``read`` returns; AssertionError for anything else."""
    return _exported(_bytes(_read(read), "the ONNX file", LARGEST))


def tracked(read: Callable[[], object]) -> Tracked:
    """The log and the packed file whose bytes ``read`` returns; AssertionError for anything else."""
    both = _read(read)
    if not isinstance(both, tuple | list) or len(both) != 2:
        raise AssertionError(f"The bytes of two files were expected, the log and the packed file; got {_kind(both)}.")
    log, model = both
    return Tracked(_rows(_bytes(log, "the log", LARGEST_LOG)), _packed(_bytes(model, "the packed file", LARGEST)))


def _read(read: Callable[[], object]) -> object:
    try:
        return read()
    except FileNotFoundError as error:
        raise AssertionError(
            f"{error.filename or error} is not there. Run the cell that makes it; to be graded, it is handed in beside "
            "the notebook."
        ) from None


def _bytes(data: object, what: str, largest: int) -> bytes:
    if not isinstance(data, bytes):
        raise AssertionError(f"The bytes of {what} were expected, Path(...).read_bytes() say; got {_kind(data)}.")
    if len(data) > largest:
        raise AssertionError(
            f"The bytes of {what} are {len(data) / 1e6:.1f} MB, and {largest / 1e6:g} MB is the limit."
        )
    return data


def _kind(value: object) -> str:
    kind = "nothing (None)" if value is None else f"a {type(value).__name__}"
    return f"{kind} of {len(value)}" if isinstance(value, tuple | list) else kind


@lru_cache(maxsize=8)
def _packed(data: bytes) -> Packed:
    try:
        texts = _first_part(data)
        _check_sizes(json.loads(texts["config.json"]))
        _check_tokenizer(texts.get("tokenizer.json"))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "handed in")
            path.write_bytes(data)
            model = load_packed(path)
    except AssertionError:
        raise
    except Exception as error:  # whatever damaged bytes make the libraries stumble on
        raise AssertionError(
            f"This is no packed file that can be read ({type(error).__name__}: {str(error)[:200]}). Save the model "
            "again with gpt2_lib.storage.packed.save_packed."
        ) from error
    for name, p in model.named_parameters():
        if not p.isfinite().all():
            raise AssertionError(f"{name} has entries that are NaN or infinite: did the training diverge?")
    return Packed(model, len(data))


def _first_part(data: bytes) -> dict[str, str]:
    """The texts of a packed file, which come first; raises for one that unpacks to more than it may."""
    room = 8 * sum(p.numel() for p in dense().parameters())  # twice what gpt2-mini takes
    with zstandard.ZstdDecompressor().stream_reader(data[HEADER:]) as frame:
        content = frame.read(room + 1)
    if len(content) > room:
        raise AssertionError(f"This file unpacks to more than {room / 1e6:.0f} MB; gpt2-mini is half as much.")
    parts, place = [], 0
    while place < len(content):
        length = int.from_bytes(content[place : place + LENGTH], "little")
        parts.append(content[place + LENGTH : place + LENGTH + length])
        if len(parts[-1]) < length:
            raise AssertionError("A part of this file says that it is longer than the file.")
        place += LENGTH + length
    return {name: bytes(t.numpy()).decode() for name, t in safetensors.torch.load(parts[0]).items()}


def _check_sizes(found: object) -> GPT2Config:
    """The sizes a file claims, if they are gpt2-mini's, or those of what pruning leaves of it."""
    whole = dense().config
    needed = {field.name for field in fields(whole) if field.compare}
    if not isinstance(found, dict) or not needed <= found.keys() <= asdict(whole).keys():
        raise AssertionError("This file does not say which sizes its model has.")
    for name in ("vocab_size", "n_positions", "n_embd", "n_head", "dropout"):
        if found[name] != getattr(whole, name):
            raise AssertionError(
                f"This is not gpt2-mini, nor a part of it: its {name} is {str(found[name])[:20]}, gpt2-mini's "
                f"{getattr(whole, name)}."
            )
    for name, sizes, most in (
        ("n_layer", [found["n_layer"]], whole.n_layer),
        ("heads", found["heads"], whole.n_head),
        ("neurons", found["neurons"], max(whole.neurons)),
    ):
        if not isinstance(sizes, list) or any(type(size) is not int or not 1 <= size <= most for size in sizes):
            raise AssertionError(f"This is not gpt2-mini, nor a part of it: {name} must lie in 1 to {most}.")
    return GPT2Config(**{name: found[name] for name in needed})


def _check_tokenizer(text: str | None) -> None:
    _, tokenizer = dense()
    if text is not None and Tokenizer.from_json(text).to_json() != tokenizer.to_json():  # whatever the spaces in it
        raise AssertionError("This file has another tokenizer than gpt2-mini: leave that as it is.")


@lru_cache(maxsize=8)
def _exported(data: bytes) -> Exported:
    onnx = need("onnx", "deploy")
    try:
        proto = onnx.load_model_from_string(data)
        tensors = [*proto.graph.initializer, *(a.t for node in proto.graph.node for a in node.attribute)]
        if any(tensor.external_data or tensor.data_location for tensor in tensors):
            raise AssertionError("Weights of this ONNX file lie in another file: export it to a single one.")
        domains = {node.domain for node in proto.graph.node} | {opset.domain for opset in proto.opset_import}
        if foreign := sorted(domains - {"", "ai.onnx"}):
            raise AssertionError(f"This ONNX file has operators of {foreign[0][:50]!r}; only ONNX's own are run.")
        meta = {entry.key: entry.value for entry in proto.metadata_props}
        if CONFIG not in meta:
            raise AssertionError("This ONNX file was not written by gpt2_lib.deploy.onnx.export_onnx: use that.")
        config = _check_sizes(json.loads(meta[CONFIG]))
        _check_tokenizer(meta.get(TOKENIZER))
        int8 = any(tensor.data_type == onnx.TensorProto.INT8 for tensor in proto.graph.initializer)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "handed in.onnx")
            if _skeleton(proto) != _skeleton(onnx.load(export_onnx(GPT2(config), path, int8))):
                raise AssertionError(
                    "The graph of this ONNX file is not what export_onnx writes for a model of these sizes: export the "
                    "model again, and leave the file as it is."
                )
            path.write_bytes(data)
            model = OnnxGPT2(path, threads=1)
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(
            f"This is no ONNX file that can be read ({type(error).__name__}: {str(error)[:200]}). Export the model "
            "again with gpt2_lib.deploy.onnx.export_onnx."
        ) from error
    return Exported(model, int8)


def _skeleton(proto) -> bytes:  # of an onnx.ModelProto
    """The model without the numbers of its weights; whole numbers stay, since they are shapes and places."""
    onnx = need("onnx", "deploy")
    bare = onnx.ModelProto(ir_version=proto.ir_version, opset_import=proto.opset_import, graph=proto.graph)
    bare.functions.extend(proto.functions)
    bare.training_info.extend(proto.training_info)
    for tensor in bare.graph.initializer:
        if tensor.data_type != onnx.TensorProto.INT64:
            tensor.ClearField("raw_data")
    return bare.SerializeToString(deterministic=True)


def _rows(data: bytes) -> list[dict[str, float]]:
    """The log's rows, each with the COLUMNS as numbers; CSV with a header, or a JSON list of objects."""
    try:
        text = data.decode("utf-8-sig")
        found = json.loads(text) if text.lstrip().startswith("[") else list(csv.DictReader(io.StringIO(text)))
        rows = [{name: float(row[name]) for name in COLUMNS} for row in found[: MOST_ROWS + 1]]
    except KeyError as error:
        raise AssertionError(f"The log has no column {error}; it needs {', '.join(COLUMNS)}.") from error
    except Exception as error:  # whatever a file that is no log makes the parsers stumble on
        raise AssertionError(
            f"The log can't be read ({type(error).__name__}: {str(error)[:200]}). It is CSV with the header "
            f"{','.join(COLUMNS)}, or a JSON list of objects with these keys."
        ) from error
    if not 2 <= len(rows) <= MOST_ROWS:
        raise AssertionError(f"The log has {len(rows)} rows; from 2 to {MOST_ROWS} are read.")
    for number, row in enumerate(rows, start=1):
        if not all(map(math.isfinite, row.values())):
            raise AssertionError(f"Row {number} of the log has an entry that is NaN or infinite.")
        for name in ("sparsity", "accuracy"):
            if not 0 <= row[name] <= 1:
                raise AssertionError(f"Row {number} of the log: {name} is a fraction from 0 to 1, not {row[name]:g}.")
    return rows


# What is asked of them. Each prints what it measured.


def assert_gone(found: Packed, share: float) -> None:
    """At least ``share`` of the prunable weights is gone (to a tenth of a percent)."""
    print(f"{found.gone:.1%} of the prunable weights are gone; {share:.0%} are asked for")
    assert found.gone >= share - 0.001, (
        f"{found.gone:.1%} of gpt2-mini's {weights():,} prunable weights are zero or cut out; {share:.0%} are asked "
        "for. (Prunable are the attention and feed-forward matrices, not the embeddings.)"
    )


def assert_quality(found: Packed | Exported, most: float, hidden: bool = False) -> None:
    """Less than the share ``most`` of the accuracy is lost on `pages`, and not more than TOO_GOOD is won.

    On the visible pages it may be SLACK more.
    """
    slack = 0.0 if hidden else SLACK
    share, bar = lost(found.model, hidden), most + slack
    text = "pages that you don't see" if hidden else "the visible pages"
    more = "" if hidden else f", and {SLACK:.1%} more is allowed on so few"
    asked = f"less than {most:.0%} is asked for{more}"
    print(f"{share:.2%} of the accuracy is lost on {text}; {asked}")
    assert share < bar, (
        f"{share:.2%} of gpt2-mini's top-1 accuracy is lost on {text} ({accuracy(found.model, hidden):.2%} of the "
        f"tokens are right, and {accuracy(dense(), hidden):.2%} before); {asked}."
    )
    assert share > -TOO_GOOD - slack, (
        f"The model is better than gpt2-mini by {-share:.1%} on {text}, and {TOO_GOOD + slack:.1%} is the limit. Has "
        "it been trained on the plays that are held out? They are there to measure on."
    )


def assert_smaller(found: Packed, times: float) -> None:
    """The file is at least ``times`` as small as gpt2-mini's in float32."""
    print(f"the file is {found.smaller:.2f} times as small as gpt2-mini in float32; {times:g} times is asked for")
    assert found.smaller >= times, (
        f"The file has {found.size:,} bytes, so it is {found.smaller:.2f} times as small as gpt2-mini in float32; "
        f"{times:g} times is asked for."
    )


def assert_int8(found: Packed) -> None:
    """Every matrix holds what int8 can: whole multiples, from -127 to 127, of one number a row."""
    for name, p in found.model.named_parameters():
        if p.dim() == 2:
            again = dequantize_int8(*quantize_int8(p))
            assert torch.allclose(again, p, rtol=1e-4, atol=0), (
                f"{name} is not stored as int8. save_packed(model, path, int8=True) does it, for all matrices."
            )


def assert_removed(found: Exported, share: float) -> None:
    """At least ``share`` of the blocks' weights is cut out."""
    print(f"{found.removed:.1%} of the blocks' weights are cut out; {share:.0%} are asked for")
    assert found.removed >= share, (
        f"{found.removed:.1%} of the weights of gpt2-mini's blocks are cut out; {share:.0%} are asked for. Zeros stay "
        "in the matrices: ModelPruner.remove_structures makes these smaller."
    )


def assert_faster(found: Exported, times: float) -> None:
    """At least ``times`` as fast as gpt2-mini exported in the same way; measured up to three times, the best counts."""
    best = 0.0
    for _ in range(ATTEMPTS):
        best = max(best, speed_up(found))
        if best >= times:
            break
    print(f"{best:.2f} times as fast as dense, batch and length {TIMED}; {times:g} times is asked for")
    assert best >= times, (
        f"The model is {best:.2f} times as fast as gpt2-mini in ONNX Runtime, both in "
        f"{'int8' if found.int8 else 'float32'}, batch and length {TIMED}, one thread; {times:g} times is asked for. "
        "More heads or neurons have to go."
    )


def speed_up(found: Exported) -> float:
    """Computing time of gpt2-mini, exported in the same way, over that of ``found``: the median of ROUNDS turns."""
    batch, length = TIMED
    ids = pages()[:batch, :length]
    whole = _dense_exported(found.int8)
    ratios = []
    for turn in range(ROUNDS + 1):
        seconds = {}
        for model in (whole, found.model) if turn % 2 else (found.model, whole):
            started = time.thread_time()
            model.logits(ids)
            seconds[model] = time.thread_time() - started
        ratios.append(seconds[whole] / seconds[found.model])
    return statistics.median(ratios[1:])  # the first is a warm-up


@cache
def _dense_exported(int8: bool) -> OnnxGPT2:
    with tempfile.TemporaryDirectory() as folder:
        return OnnxGPT2(export_onnx(dense(), Path(folder, "dense.onnx"), int8), threads=1)


def assert_log(found: Tracked) -> None:
    """The log tells of a run: steps that go on, losses above zero, one row before the cuts and one after each."""
    steps = [row["step"] for row in found.rows]
    assert all(earlier < later for earlier, later in pairwise(steps)), "The log's steps must rise from row to row."
    assert all(row["loss"] > 0 for row in found.rows), "The log's losses are cross-entropies, and above 0."
    assert len(found.rows) > CUTS, f"The log has {len(found.rows)} rows; {CUTS} cuts and an end need more."
    print(f"a log of {len(found.rows)} rows, steps {steps[0]:g} to {steps[-1]:g}")


def assert_schedule(found: Tracked) -> None:
    """The sparsity rises, in CUTS cuts at least, none of them more than half of the way, and training follows."""
    levels = [0.0, *(row["sparsity"] for row in found.rows)]
    rises = [later - earlier for earlier, later in pairwise(levels)]
    cuts = [number for number, rise in enumerate(rises) if rise > 0.005]
    print(f"{len(cuts)} cuts to a sparsity of {levels[-1]:.1%}; at least {CUTS} are asked for")
    assert min(rises) > -0.005, "The log's sparsity falls somewhere: a gradual schedule only rises."
    assert len(cuts) >= CUTS, (
        f"The log's sparsity rises {len(cuts)} times; a gradual schedule has at least {CUTS} cuts, each with a row."
    )
    assert max(rises) <= levels[-1] / 2 + 0.001, (
        f"One cut takes {max(rises):.1%} of the weights, more than half of the {levels[-1]:.1%} that go in all."
    )
    assert cuts[-1] < len(rises) - 1, "The log ends with a cut: train on after the last one, and log that."


def assert_agrees(found: Tracked) -> None:
    """The log's last row is what the model shipped has: its sparsity, and its accuracy on the visible pages."""
    last = found.rows[-1]
    assert abs(last["sparsity"] - found.packed.gone) < 0.002, (
        f"The log ends at a sparsity of {last['sparsity']:.2%}, and the model handed in has {found.packed.gone:.2%}."
    )
    here = accuracy(found.packed.model)
    assert abs(last["accuracy"] - here) < 0.003, (
        f"The log ends at an accuracy of {last['accuracy']:.2%}, and the model handed in has {here:.2%} on the visible "
        "pages: evaluate(model, pages()).accuracy."
    )
    print(f"the log ends where the model is: sparsity {found.packed.gone:.1%}, accuracy {here:.1%}")
