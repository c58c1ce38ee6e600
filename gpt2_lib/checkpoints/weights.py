"""Loading of weights from one or several safetensors files into a model on the meta device."""

# What safetensors gives has no types, or in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import glob
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..gpt2 import GPT2
from ..system.extras import command_line
from .description import has_own_head
from .errors import CheckpointError

T = TypeVar("T")
ONE, INDEX = "model.safetensors", "model.safetensors.index.json"
TRANSPOSED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
MASKS = re.compile(r"(h\.\d+\.attn)\.(bias|masked_bias)")  # the causal mask, which OpenAI stored with the weights
HEAD = "lm_head.weight"
PICKLE = (
    "it is a pickle, which can run any code when it is opened, so it is not opened here. This command, which can't run "
    f"what is in it, makes {ONE} of it: {{command}}"
)
TRANSFORMERS = "GPT2LMHeadModel.from_pretrained({folder!r}, {option}).save_pretrained({folder!r})"
OLDER = f"which transformers 5 and this library don't open. transformers 4 converts it: {TRANSFORMERS}"
OF_TRAINING = ("training_args", "optimizer", "scheduler", "scaler", "rng_state")  # files beside weights
BELOW = ("*/config.json", "snapshots/*/config.json")  # of a run with its checkpoints, of a repository in the cache
ELSEWHERE = {  # files of other programs, and what to do with them
    "adapter_model.*": "it is an adapter for another model: in PEFT, merge_and_unload() joins the two; save that",
    "model-*-of-*.safetensors": f"weights in several files need {INDEX}, which says what is in which: copy it, too",
    "model.*.safetensors": f"its name is that of a variant: give {ONE} that name if it is the one that you want",
    "*.safetensors": f"it has another name: call it {ONE} if these are the model's weights",
    "pytorch_model*.bin": PICKLE,
    "model*.pt": PICKLE,
    "model*.pth": PICKLE,
    "*.h5": f"it is TensorFlow's, {OLDER.replace('{option}', 'from_tf=True')}",
    "*.msgpack": f"it is Flax's, {OLDER.replace('{option}', 'from_flax=True')}",
    "*.ckpt*": "it is TensorFlow's, which is not opened here: look for the model's folder in Hugging Face's format",
    "*.gguf": "it is llama.cpp's, which is not opened here. transformers converts it, and with AutoTokenizer in place "
    f"of GPT2LMHeadModel its tokenizer: {TRANSFORMERS.replace('{option}', 'gguf_file={file!r}')}",
    "*.onnx": "it is ONNX's, from which no model is made here: look for the folder that it was exported from",
    "*.npz": "it is NumPy's, which is not opened here: look for the model's folder in Hugging Face's format",
}
PICKLES = ("*.bin*", "*.pt", "*.pth")  # of any name, beside a model's config.json


def other_weights(folder: Path) -> str:
    """Return a sentence about weights of another name or format, or about models in folders below, or ""."""
    if (folder / ONE).is_file() or (folder / INDEX).is_file():
        return ""
    pickles = dict.fromkeys(PICKLES, PICKLE) if (folder / "config.json").is_file() else {}
    for pattern, what in (ELSEWHERE | pickles).items():
        for found in sorted(folder.glob(pattern)):
            if not found.name.startswith(OF_TRAINING):
                parts = folder / pattern if pattern == "pytorch_model*.bin" else found
                said = what.format(folder=str(folder), file=found.name, command=_to_safetensors(parts))
                return f" There is {found.name}, but {said}."
    for below in BELOW:
        for found in sorted(folder.glob(below)):
            return f" There is a model in {found.parent.relative_to(folder)}: give that folder, {found.parent}."
    return ""


def _to_safetensors(pickles: Path) -> str:
    """Return the command that makes ``model.safetensors`` of the files, beside them, by their name or pattern."""
    pattern = str(Path(glob.escape(str(pickles.parent)), pickles.name))
    python = (
        "import glob, torch, safetensors.torch as s; w = {}; [w.update(torch.load(f, map_location='cpu', "
        f"weights_only=True)) for f in glob.glob({pattern!r})]; s.save_file({{n: t.contiguous().clone() for n, t in "
        f"w.items()}}, {str(pickles.with_name(ONE))!r}, {{'format': 'pt'}})"
    )
    return command_line([sys.executable or "python", "-c", python])


def fill(model: GPT2, folder: Path) -> set[torch.dtype]:
    """Read the weights into ``model`` (on the meta device), one tensor at a time, largest first; return their dtypes.

    safetensors maps the file, and mapped pages count as memory until it is closed. Opened anew for
    each tensor, the peak is the model plus one small tensor instead of twice the model.
    """
    wanted = dict(model.named_parameters())
    path = folder / (ONE if (folder / ONE).is_file() else INDEX)
    stored = _stored(path)
    check_names(path, {*wanted}, {*stored})
    if HEAD not in stored and has_own_head(folder):
        raise CheckpointError(
            f"{folder / 'config.json'} sets tie_word_embeddings to false, and {path.name} has no head ({HEAD}): copy "
            "the whole model again, or set it to true if the head is the token embedding."
        )
    dtypes: set[torch.dtype] = set()
    for name in sorted(wanted, key=lambda name: -wanted[name].numel()):
        file, full = stored[name]
        weight, dtype = _float32(file, full, turned=name.endswith(TRANSPOSED))
        dtypes.add(dtype)
        if weight.shape != wanted[name].shape:
            raise CheckpointError(
                f"{file}: {name} has shape {tuple(weight.shape)}, config.json asks for {tuple(wanted[name].shape)}."
            )
        assign(model, name, weight)
        if name == "wte.weight" and HEAD in stored:
            _check_tied(model, *stored[HEAD])
    return dtypes


def _stored(path: Path) -> dict[str, tuple[Path, str]]:
    """Return {parameter: (file, its name there)}: some files store the names with the prefix ``transformer.``."""
    alone = path.name == ONE
    places = dict.fromkeys(_read(path, lambda file: file.keys()), path) if alone else _places(path)
    stored = {name.removeprefix("transformer."): (file, name) for name, file in places.items()}
    if len(stored) < len(places):
        raise CheckpointError(f"{path} has weights twice, with the prefix 'transformer.' and without: choose another.")
    return stored


def _places(index: Path) -> dict[str, Path]:
    """Return {tensor: file} for weights in several files."""
    try:
        names: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        strange = [file for file in names.values() if Path(file).name != file or not file.endswith(".safetensors")]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"Can't read {index}: {error!r}. Download or copy it again.") from error
    if strange:
        raise CheckpointError(f"{index} names {strange[0]!r}, which is no safetensors file beside it: choose another.")
    for file in sorted(set(names.values())):
        if not (index.parent / file).is_file():
            raise CheckpointError(f"{index.parent} lacks {file}, which {index.name} names: download or copy it again.")
    return {name: index.parent / file for name, file in names.items()}


def check_names(path: Path | str, wanted: set[str], stored: set[str]) -> None:
    """Raise CheckpointError unless ``stored`` has every ``wanted`` tensor, and else only a head and causal masks."""
    missing, more = sorted(wanted - stored), sorted(stored - wanted - {HEAD})
    if missing:
        raise CheckpointError(
            f"{path} lacks {len(missing)} of the {len(wanted)} tensors of this GPT-2, such as {missing[0]!r}: "
            "it belongs to another model, or config.json does."
        )
    masks = {name for name in more if (found := MASKS.fullmatch(name)) and f"{found[1]}.c_attn.weight" in wanted}
    if more := [name for name in more if name not in masks]:
        raise CheckpointError(
            f"{path} has {len(more)} tensors that this GPT-2 lacks, such as {more[0]!r}: it belongs to another model, "
            "with more blocks or another head, or config.json does."
        )


def _read(path: Path, get: Callable[[Any], T]) -> T:
    try:
        with safe_open(path, "pt") as file:
            return get(file)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"Can't read {path}: {error}. Is it cut short? Delete it and download or copy it again."
        ) from error


def _float32(path: Path, name: str, turned: bool) -> tuple[Tensor, torch.dtype]:
    """Return a float32 copy, so that nothing of the file stays in memory, and the dtype in the file."""

    def copy(file: Any) -> tuple[Tensor, torch.dtype]:
        tensor: Tensor = file.get_tensor(name)
        if not tensor.is_floating_point():
            raise CheckpointError(
                f"{path}: {name} is {tensor.dtype}, and weights are floating-point numbers. Is the model quantised? "
                "Choose one that is not."
            )
        tensor = tensor.t() if turned else tensor
        return torch.empty(tensor.shape).copy_(tensor), tensor.dtype

    return _read(path, copy)


def _check_tied(model: GPT2, path: Path, name: str) -> None:
    if not _read(path, lambda file: torch.equal(file.get_tensor(name).float(), model.wte.weight)):
        raise CheckpointError(
            f"{path} has a head ({name}) of its own, different from the token embedding. Only a GPT-2 whose head "
            "is tied to it can be loaded: choose another."
        )


def assign(model: GPT2, name: str, tensor: Tensor) -> None:
    """Set the parameter ``name`` of a model on the meta device to ``tensor``."""
    owner, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(owner), leaf, torch.nn.Parameter(tensor))
