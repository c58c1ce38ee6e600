"""TensorRT: preparation of a pruned model, and an engine where TensorRT is installed.

TensorRT prunes nothing. Its sparse kernels (NVIDIA Ampere and later) need weights that are 2:4 already: of every four
neighbours along a matrix's inputs two at least are zero (Mishra et al., 2021). With sparsity enabled it considers them
for those matrices, and often picks dense ones; zeros in any other pattern gain nothing. So this checks the pattern and
changes no weight: `ModelPruner.prune_n_m(2, 4)` makes it, at a cost in quality that has to be measured. The package
tensorrt_rtx is TensorRT for RTX, NVIDIA's edition for desktops: its engines are compiled again on the user's GPU.
"""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from ..files import replace_whole
from ..gpt2 import GPT2
from ..modules import unwrap
from ..pruning.pruner import prunable_weights
from .contents.exportable import exportable
from .extras import DeployError, install_command
from .onnx import export_onnx

PACKAGES = ("tensorrt", "tensorrt_rtx")  # what builds engines, the first that is installed
LONGEST_BATCH = 8  # of an engine
NOT_INSTALLED = (
    "No engine was built: TensorRT is not installed. On Linux and Windows with an x86-64 processor this adds "
    f"tensorrt_rtx: {install_command('tensorrt')}"
)

SCRIPT = """#!/bin/sh
# Builds and times an engine from model.onnx. Run it where TensorRT 10 or 11 and an NVIDIA GPU are.
# --sparsity=enable lets it consider sparse kernels for weights that are 2:4 already, no more: what it picked is in the
# log of --verbose ("picked sparse implementation"). "force" would overwrite weights.
set -eu
cd "$(dirname "$0")"
# Optional, on any machine (pip install polygraphy onnx): which weights are 2:4.
# polygraphy inspect sparsity model.onnx
precision=--fp16
if ! trtexec --help 2>&1 | grep -q -e --fp16; then
    precision=
    echo "This version of trtexec has no --fp16 (TensorRT 11): the engine keeps the float32 of model.onnx." \\
        "For float16, convert it first, with python -m modelopt.onnx.autocast." >&2
fi
trtexec --onnx=model.onnx --saveEngine=model.engine $precision --sparsity=enable \\
    --minShapes={shortest} \\
    --optShapes={usual} \\
    --maxShapes={longest}
"""


@dataclass(frozen=True)
class TensorRTReport:
    """The result of `convert_to_tensorrt`: what was done and what was not."""

    onnx: str  # the model as ONNX, float32
    script: str  # the trtexec command that builds an engine elsewhere
    is_2_4: dict[str, bool]  # of each attention and feed-forward matrix
    eligible: float  # share of these matrices that are 2:4, in [0, 1]
    engine: str | None  # the engine, if one was built here
    error: float | None  # largest difference of the engine's logits to torch's, if it ran here
    says: str  # all of it in words


def convert_to_tensorrt(model: nn.Module, folder: Path | str | None = None) -> GPT2:
    """Prepare ``model`` for TensorRT in ``folder`` (default: a new temporary one); returns the GPT2.

    It writes ``model.onnx`` (float32), ``build_engine.sh`` and ``report.json``; where the package tensorrt or
    tensorrt_rtx (the extra ``tensorrt``) is installed also ``model.engine``, built with sparse kernels allowed, and
    run if there is a GPU. It prints the report and sets it as ``model.tensorrt``, a `TensorRTReport`. The weights are
    not changed.

    Raises ValueError if ``model`` is none that is `exportable`, DeployError if the folder can't be written,
    MissingExtraError without the extra ``deploy``.
    """
    pattern = check_2_4(model)
    model = exportable(model)
    folder = Path(tempfile.mkdtemp(prefix="tensorrt-") if folder is None else folder)
    onnx = export_onnx(model, folder / "model.onnx")
    engine, error, built = _build(model, onnx, folder / "model.engine")
    script = folder / "build_engine.sh"
    report = TensorRTReport(
        onnx=str(onnx),
        script=str(script),
        is_2_4=pattern,
        eligible=sum(pattern.values()) / len(pattern),
        engine=None if engine is None else str(engine),
        error=error,
        says=f"{_in_words(pattern)}\n{built}\nThe ONNX file and the trtexec script are in {folder}.",
    )
    text = SCRIPT.format(**{size: _as_argument(model, i) for i, size in enumerate(("shortest", "usual", "longest"))})
    kept = json.dumps(asdict(report), indent=2) + "\n"
    try:
        # A shell on Linux will read it, wherever it is written.
        replace_whole(script, lambda part: part.write_text(text, encoding="utf-8", newline="\n"))
        os.chmod(script, 0o755)
        replace_whole(folder / "report.json", lambda part: part.write_text(kept, encoding="utf-8"))
    except OSError as failure:
        raise DeployError(f"Can't write to {folder}: {failure}. Choose a folder you may write to.") from failure
    model.tensorrt = report  # pyright: ignore[reportArgumentType]  a module takes any attribute
    print(report.says)
    return model


def check_2_4(model: nn.Module) -> dict[str, bool]:
    """Return {name: whether at least two of every four neighbours along the inputs are zero} for prunable matrices.

    A matrix whose number of inputs is no multiple of four is not 2:4. Raises ValueError if ``model`` is no GPT2.
    """
    if not isinstance(unwrap(model), GPT2):
        raise ValueError(f"Only a GPT2 of this library can go to TensorRT; got {type(unwrap(model)).__name__}.")

    def is_2_4(weight: torch.Tensor) -> bool:
        out, inputs = weight.shape
        return inputs % 4 == 0 and int((weight.view(out, inputs // 4, 4) != 0).sum(-1).max()) <= 2

    return {name: is_2_4(w.detach()) for name, w in prunable_weights(model).items()}


def _in_words(pattern: dict[str, bool]) -> str:
    ready, every = sum(pattern.values()), len(pattern)
    if ready == every:
        return f"All {every} attention and feed-forward matrices are 2:4: TensorRT may use its sparse kernels for them."
    return (
        f"{ready} of {every} attention and feed-forward matrices are 2:4; TensorRT would run the others dense, zeros "
        "and all. No weight was changed: ModelPruner(model).prune_n_m(2, 4) makes the pattern."
    )


# The engine


def _build(model: GPT2, onnx: Path, path: Path) -> tuple[Path | None, float | None, str]:
    """Return the engine if one was built, its error if it could run, and a description of both."""
    trt = _installed()
    if trt is None:
        return None, None, NOT_INSTALLED
    name = f"{trt.__name__} {trt.__version__}"
    try:
        engine = _engine(trt, model, onnx)
    except (RuntimeError, TypeError, AttributeError) as error:  # with no GPU the package tensorrt has no builder
        return None, None, f"No engine was built: {name} is installed, but failed: {error}."
    try:
        replace_whole(path, lambda part: part.write_bytes(engine))
    except OSError as error:
        raise DeployError(f"Can't write {path}: {error}. Choose a folder with room.") from error
    built = (
        f"{name} built an engine, {len(engine) / 1e6:.1f} MB; sparse kernels were allowed, which doesn't mean that one "
        "was chosen."
    )
    if not torch.cuda.is_available():
        return path, None, f"{built} It was not run: there is no NVIDIA GPU here, so nothing was timed either."
    try:
        error = _largest_error(trt, engine, model)
    except DeployError as failure:
        return path, None, f"{built} {failure}"
    return path, error, f"{built} Run here, its logits differ from torch's by {error:.1e} at most."


def _installed() -> ModuleType | None:
    for package in PACKAGES:
        try:
            return importlib.import_module(package)
        except (ImportError, OSError):  # OSError: its libraries are not there
            continue
    return None


def _engine(trt: ModuleType, model: GPT2, onnx: Path) -> bytes:
    """Return an engine, serialised. Raises RuntimeError with TensorRT's reason."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)  # from version 11 on all networks are
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        raise RuntimeError(f"it can't read the ONNX file: {parser.get_error(0)}")
    config = builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.SPARSE_WEIGHTS)
    profile = builder.create_optimization_profile()
    for name, *shapes in zip(_shapes(model, 0), *(_shapes(model, i).values() for i in range(3)), strict=True):
        profile.set_shape(name, *shapes)
    profile.set_shape_input("last", (1,), (1,), (model.config.n_positions,))
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise RuntimeError("it gave no engine; its own message stands above")
    return bytes(engine)


def _shapes(model: GPT2, size: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the ONNX inputs, without ``last``: smallest (``size`` 0), usual (1) or largest (2)."""
    config = model.config
    batch, tokens, past = (
        (1, 1, 0),
        (1, min(128, config.n_positions), 0),
        (LONGEST_BATCH, config.n_positions, config.n_positions),
    )[size]
    shapes: dict[str, tuple[int, ...]] = {"input_ids": (batch, tokens)}
    for i, heads in enumerate(config.heads):
        for part in ("key", "value"):
            shapes[f"past_key_values.{i}.{part}"] = (batch, heads, past, config.head_size)
    return shapes


def _as_argument(model: GPT2, size: int) -> str:
    """Return the shapes as an argument of trtexec; ``last`` is a size itself, given by value."""
    shapes = _shapes(model, size) | {"last": (model.config.n_positions if size == 2 else 1,)}
    return ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items())


def _largest_error(trt: ModuleType, engine: bytes, model: GPT2) -> float:
    """Run the engine on the GPU; returns its largest logit difference from the model. Raises DeployError."""
    runnable = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(engine)
    if runnable is None:
        raise DeployError(
            "TensorRT can't read the engine here: it was built by another version or for another GPU, or is damaged. "
            "Build it again on this machine."
        )
    context = runnable.create_execution_context()
    if context is None:
        raise DeployError("TensorRT can't run the engine here, most often for want of GPU memory: free some.")
    ids = torch.arange(min(16, model.config.n_positions))[None] % model.config.vocab_size
    given = {"input_ids": ids.cuda(), "last": torch.tensor([ids.size(1)])}  # last is a size: it stays on the CPU
    keep: list[torch.Tensor] = []
    for i in range(runnable.num_io_tensors):
        name = runnable.get_tensor_name(i)
        if runnable.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
            tensor = given.get(name)
            shape = _shapes(model, 0)[name] if tensor is None else tuple(tensor.shape)
            if name != "last":
                context.set_input_shape(name, shape)
            keep.append(torch.empty(1, device="cuda") if tensor is None else tensor)  # no past: an address, no data
            context.set_tensor_address(name, keep[-1].data_ptr())
    outputs: dict[str, torch.Tensor] = {}
    for i in range(runnable.num_io_tensors):
        name = runnable.get_tensor_name(i)
        if runnable.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT:
            block = 0 if name == "logits" else int(name.split(".")[1])
            heads = (1, model.config.heads[block], ids.size(1), model.config.head_size)
            shape = (1, ids.size(1), model.config.vocab_size) if name == "logits" else heads
            outputs[name] = torch.empty(shape, device="cuda")
            context.set_tensor_address(name, outputs[name].data_ptr())
    if not context.execute_async_v3(torch.cuda.current_stream().cuda_stream):
        raise DeployError("TensorRT's engine was built but did not run; its own message stands above.")
    torch.cuda.synchronize()
    with torch.inference_mode():
        expected = model(ids.to(model.wte.weight.device)).cpu()
    return float((outputs["logits"].cpu() - expected).abs().max())
