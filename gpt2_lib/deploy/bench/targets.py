"""A model exported to every installed target, ready to be timed."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm.auto import tqdm

from ...checkpoints import save_pretrained
from ...gpt2 import GPT2, KVCache
from ...pruning.pruner import ModelPruner, apply_magnitude_pruning
from ...storage.packed import load_packed, save_packed
from ..extras import DeployError, MissingExtraError
from .report import BASELINE

PROMPT = 128  # tokens that are read, where the context has room for one more, which is decoded then
SPARSITY, STRUCTURED = 0.6, 0.25  # fraction of zeros; fraction of heads and neurons removed
THREADS = 1


@dataclass(frozen=True)
class Target:
    """An exported model. ``logits(ids)`` (B, T) -> (B, T, V); ``decode()`` computes one token after the prompt."""

    model: GPT2  # what was exported, in PyTorch
    size: int
    logits: Callable[[Tensor], Tensor] | None = None
    decode: Callable[[], object] | None = None
    timed: bool = True
    note: str = ""


def prepare(model: GPT2, ids: Tensor, text: Tensor | None, folder: Path) -> tuple[dict[str, Target], dict[str, str]]:
    """Return the targets that work here by name, and a note on each target; ``text``: windows to calibrate on."""
    zeros = apply_magnitude_pruning(deepcopy(model), SPARSITY)
    smaller = ModelPruner(model).remove_structures(STRUCTURED, STRUCTURED, text)
    zeroed, structured = f"{SPARSITY:.0%} zeros", f"structured {STRUCTURED:.0%}"
    makers = {
        BASELINE: lambda: _pytorch(model, ids, folder / "dense"),
        f"PyTorch, {zeroed}": lambda: _pytorch(zeros, ids, folder / "zeros"),
        f"PyTorch, {structured}": lambda: _pytorch(smaller, ids, folder / "smaller"),
        "ONNX, dense": lambda: _onnx(model, ids, folder / "dense.onnx", int8=False),
        f"ONNX, {structured}": lambda: _onnx(smaller, ids, folder / "smaller.onnx", int8=False),
        "ONNX, int8": lambda: _onnx(model, ids, folder / "int8.onnx", int8=True),
        f"ONNX, {structured}, int8": lambda: _onnx(smaller, ids, folder / "smaller_int8.onnx", int8=True),
        f"packed, {zeroed}, int8": lambda: _packed(zeros, folder / "zeros.packed"),
        "ExecuTorch, int8": lambda: _executorch(model, folder / "model.pte"),
        f"Core ML, {zeroed}, int8": lambda: _coreml(zeros, folder / "model.mlpackage"),
    }
    targets, notes = {}, {}
    for name, make in tqdm(makers.items(), desc="exporting"):
        try:
            targets[name] = make()
            notes[name] = targets[name].note
        except (MissingExtraError, DeployError) as error:
            notes[name] = str(error)
    return targets, notes


@torch.inference_mode()
def _pytorch(model: GPT2, ids: Tensor, folder: Path) -> Target:
    save_pretrained(model, folder)
    cache = KVCache(ids.size(1) + 1)
    model(ids, cache)

    def decode() -> Tensor:
        cache.seen = ids.size(1)  # the same token again
        return model(ids[:, -1:], cache)

    return Target(model, (folder / "model.safetensors").stat().st_size, model, decode)


def _onnx(model: GPT2, ids: Tensor, path: Path, int8: bool) -> Target:
    from ..onnx import OnnxGPT2, export_onnx

    exported = OnnxGPT2(export_onnx(model, path, int8), THREADS)
    _, past = exported.step(ids, last=1)
    return Target(
        model,
        exported.size,
        lambda ids: torch.from_numpy(exported.logits(ids)),
        lambda: exported.step(ids[:, -1:], past),
    )


def _packed(model: GPT2, path: Path) -> Target:
    size = save_packed(model, path, int8=True).file
    return Target(model, size, load_packed(path), timed=False, note="loads into PyTorch, dense again")


def _executorch(model: GPT2, path: Path) -> Target:
    from ..executorch import ExecuTorchGPT2, export_executorch

    program = ExecuTorchGPT2(export_executorch(model, path, int8=True))
    size = path.stat().st_size
    return Target(model, size, lambda ids: torch.from_numpy(program.logits(ids)), note="no cache: not decoded")


def _coreml(model: GPT2, path: Path) -> Target:
    from ..coreml import export_coreml

    path = export_coreml(model, path, sparse=True, int8=True)
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return Target(model, size, note="runs on macOS and iOS only: size alone")
