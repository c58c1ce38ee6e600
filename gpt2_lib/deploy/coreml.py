"""Core ML: export to an ``.mlpackage`` for Apple's devices (iOS 18, macOS 15 or later).

coremltools writes it on any machine, but only macOS runs it. `interpret` reads the saved program back and computes
it operation by operation here, so that its numbers can be checked without a Mac; it says nothing about speed.

The program takes one text of exactly ``n_positions`` tokens, int32 (1, n_positions): fixed shapes suit the Neural
Engine. A shorter text is padded on the right, which changes nothing before the padding. Weights are float16. Zeros
take no space only where they are stored as a mask and the other values; with int8 those have one scale a row.
"""

from __future__ import annotations

import contextlib
import copy
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..gpt2 import GPT2
from ..system.quiet import no_progress_bars, only_errors
from ..tokenizer import Tokenizer
from .contents.exportable import exportable
from .contents.metadata import metadata_of, tokenizer_in
from .extras import NOTING, DeployError, install_command, need

WORTH_A_MASK = 1 / 8  # share of zeros in a matrix above which a mask of one bit an entry saves space, int8 too


def export_coreml(model: nn.Module, path: str | Path, sparse: bool = True, int8: bool = True) -> Path:
    """Write ``model`` to ``path`` (``.mlpackage``, a folder), whole or not at all. Returns the path.

    ``sparse``: matrices with more than an eighth of zeros are stored as mask and values; nothing is pruned that
    isn't zero. ``int8``: matrices, embeddings too, are rounded to 8 bits, one scale a row. A package that was there
    is replaced; ``model`` is left as it is, and may have other numbers of heads and neurons in each block.

    Its sizes and its tokenizer go into the package's metadata (`tokenizer_of`).

    Raises MissingExtraError without the extra ``mobile``; ValueError if ``model`` is none that is `exportable`, or
    ``path`` doesn't end in ``.mlpackage``; DeployError if coremltools refuses the model, something else is
    at ``path``, or it can't be written.
    """
    path = Path(path)
    inner = exportable(model)
    if path.suffix != ".mlpackage":
        raise ValueError(f"A Core ML package's name ends in .mlpackage; got {path.name}.")
    if path.exists() and not (path / "Manifest.json").is_file():
        raise DeployError(f"{path} is there and is no Core ML package: choose another name, or remove it.")
    with _quiet():
        ct = need("coremltools", "mobile")
        package = _convert(ct, inner)
        package = _compress(package, sparse, int8)
        package.user_defined_metadata.update(metadata_of(inner))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
            new, old = Path(scratch, "new.mlpackage"), Path(scratch, "old.mlpackage")
            with _quiet():
                package.save(str(new))
            if path.exists():
                os.replace(path, old)
            os.replace(new, path)
    except OSError as error:
        raise DeployError(f"Can't write {path}: {error}. Choose a folder you may write to, with room.") from error
    return path


def interpret(path: str | Path, ids: np.ndarray | Tensor | list) -> np.ndarray:
    """Return logits float32 (B, T, V) of token ids (B, T), computed in float32 from the program saved at ``path``.

    Weights are those stored, unpacked; a device would round to float16 between the operations as well. Raises
    MissingExtraError without the extra ``mobile``; DeployError if ``path`` is no package that `export_coreml` wrote;
    ValueError for a wrong shape, ids out of range, or more tokens than the program takes.
    """
    ids = torch.as_tensor(ids)
    with _quiet():
        ct = need("coremltools", "mobile")
        function = _load(ct, Path(path))
    (name, entry), output = next(iter(function.inputs.items())), function.outputs[0]
    n_positions, vocab_size = entry.shape[1], output.shape[2]
    if ids.dim() != 2 or ids.numel() == 0 or ids.is_floating_point() or ids.size(1) > n_positions:
        raise ValueError(f"Token ids (B, T) are needed, T from 1 to {n_positions}; got {ids.dtype} {tuple(ids.shape)}.")
    if ids.min() < 0 or ids.max() >= vocab_size:
        raise ValueError(f"Token ids must lie in [0, {vocab_size}).")
    rows = F.pad(ids.long(), (0, n_positions - ids.size(1))).split(1)
    return np.concatenate([_run(function, {name: row})[output.name][:, : ids.size(1)].numpy() for row in rows])


def tokenizer_of(path: str | Path) -> Tokenizer | None:
    """Return the tokenizer of the model in a package, with its special tokens; None if it has none.

    Packages of earlier versions have none. Raises MissingExtraError and DeployError as `interpret` does.
    """
    path = Path(path)
    with _quiet():
        package = _open(need("coremltools", "mobile"), path)
    return tokenizer_in(dict(package.user_defined_metadata), path)


def package_bytes(path: str | Path) -> int:
    """Return the bytes of all files of a package."""
    return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())


def _convert(ct: ModuleType, model: GPT2):  # -> coremltools.models.MLModel
    model = copy.deepcopy(model).cpu().float().eval()
    ids = torch.zeros(1, model.config.n_positions, dtype=torch.int32)
    try:
        with torch.no_grad():
            program = torch.export.export(model, (ids,)).run_decompositions({})
        return ct.convert(
            program,
            outputs=[ct.TensorType("logits", dtype=np.float32)],
            minimum_deployment_target=ct.target.iOS18,
            skip_model_load=True,  # only macOS could
        )
    except Exception as error:  # of many kinds: torch's and coremltools'
        raise DeployError(
            f"coremltools {ct.__version__} with torch {torch.__version__} can't take this model: {error}. "
            f"This brings versions that fit: {install_command('mobile')}"
        ) from error


def _compress(package, sparse: bool, int8: bool):
    optimize = need("coremltools.optimize.coreml", "mobile")

    def of_matrices(what: object):
        """Return the settings for matrices only: biases, LayerNorm and the causal mask are unchanged."""
        stored = optimize.get_weights_metadata(package, weight_threshold=1)
        others = [name for name, w in stored.items() if w.val.ndim != 2 or w.val.dtype.kind != "f"]
        return optimize.OptimizationConfig(global_config=what, op_name_configs=dict.fromkeys(others))

    if sparse:  # at 1e-12 only exact zeros, in float16, go into the mask
        threshold = optimize.OpThresholdPrunerConfig(
            threshold=1e-12, minimum_sparsity_percentile=WORTH_A_MASK, weight_threshold=1
        )
        package = optimize.prune_weights(package, of_matrices(threshold))
    if int8:
        linear = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=1)
        package = optimize.linear_quantize_weights(package, of_matrices(linear), joint_compression=sparse)
    return package


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the progress bars and notes of coremltools: on other versions than its own, and what only macOS has."""
    with only_errors(*NOTING), no_progress_bars():
        yield


# The saved program, operation by operation


def _load(ct: ModuleType, path: Path):  # -> coremltools.converters.mil.mil.Function
    load = need("coremltools.converters.mil.frontend.milproto.load", "mobile").load
    package = _open(ct, path)
    try:
        spec = package.get_spec()
        function = load(spec, spec.specificationVersion, package.weights_dir).functions["main"]
        if function.outputs[0].name != "logits" or len(function.inputs) != 1:
            raise ValueError("its input or output is another")
        return function
    except Exception as error:  # of many kinds: protobuf's, coremltools' own, missing files
        raise _damaged(path, error) from error


def _open(ct: ModuleType, path: Path):  # -> coremltools.models.MLModel
    if not (path / "Manifest.json").is_file():
        raise DeployError(f"There is no Core ML package at {path}: write one with export_coreml.")
    try:
        return ct.models.MLModel(str(path), skip_model_load=True)
    except Exception as error:  # as above
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DeployError:
    return DeployError(
        f"{path} is no package that export_coreml wrote, or it is damaged ({error}): export the model again."
    )


def _run(function, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return all values by name, given the inputs'."""

    def value(var: Any) -> object:  # coremltools' Var, or several
        if isinstance(var, (list, tuple)):
            return [value(v) for v in var]
        return values[var.name] if var.name in values else _constant(var.val)

    for op in function.operations:
        if op.op_type == "const":
            continue
        if op.op_type not in OPERATIONS:
            raise DeployError(f"This package has an operation that interpret doesn't know, {op.op_type}.")
        results = OPERATIONS[op.op_type](**{name: value(var) for name, var in op.inputs.items() if var is not None})
        results = results if isinstance(results, (list, tuple)) else [results]
        values |= zip((var.name for var in op.outputs), results, strict=True)
    return values


def _constant(value: object) -> object:
    if not isinstance(value, (np.ndarray, np.generic)) or value.dtype.kind in "US":
        return value
    array = np.asarray(value)
    if array.dtype.kind == "f":
        return torch.from_numpy(array.astype(np.float32))
    return torch.from_numpy(array.astype(bool if array.dtype.kind == "b" else np.int64))


def _cast(x: Tensor, dtype: str) -> Tensor:
    return x.float() if dtype.startswith("fp") else x.long()


def _slice(
    x: Tensor,
    begin: Tensor,
    end: Tensor,
    begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None,
    squeeze_mask: Tensor | None = None,
) -> Tensor:
    none = torch.zeros(x.dim(), dtype=torch.bool)
    begin_mask, end_mask, squeeze_mask = (none if m is None else m for m in (begin_mask, end_mask, squeeze_mask))
    index = tuple(
        int(begin[i])
        if squeeze_mask[i]
        else slice(None if begin_mask[i] else int(begin[i]), None if end_mask[i] else int(end[i]))
        for i in range(x.dim())
    )
    return x[index]


def _layer_norm(x: Tensor, axes: Tensor, gamma: Tensor, beta: Tensor, epsilon: Tensor) -> Tensor:
    return F.layer_norm(x, [x.size(int(axis)) for axis in axes], gamma, beta, float(epsilon))


def _gelu(x: Tensor, mode: str) -> Tensor:
    return F.gelu(x, approximate="tanh" if mode == "TANH_APPROXIMATION" else "none")


def _gather(x: Tensor, indices: Tensor, axis: Tensor, batch_dims: Tensor, validate_indices: Tensor) -> Tensor:
    return x.index_select(int(axis), indices.flatten()).view(*indices.shape, -1)


def _sparse_to_dense(nonzero_data: Tensor, mask: Tensor) -> Tensor:
    dense = torch.zeros(mask.shape, dtype=nonzero_data.dtype)
    dense[mask.bool()] = nonzero_data
    return dense


def _scaled(data: Tensor, scale: Tensor) -> Tensor:
    return data * scale


def _sparse_scaled(data_mask: Tensor, nonzero_data: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    scales = scale.expand(data_mask.shape)[data_mask.bool()]
    return data_mask, nonzero_data * scales


# What MIL calls them, and names their inputs: https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html
OPERATIONS: dict[str, Callable] = {
    "add": lambda x, y: x + y,
    "cast": _cast,
    "constexpr_blockwise_shift_scale": _scaled,
    "constexpr_sparse_blockwise_shift_scale": _sparse_scaled,
    "constexpr_sparse_to_dense": _sparse_to_dense,
    "gather": _gather,
    "gelu": _gelu,
    "greater_equal": lambda x, y: x >= y,
    "layer_norm": _layer_norm,
    "linear": lambda x, weight, bias=None: F.linear(x, weight, bias),
    "reshape": lambda x, shape: x.reshape(shape.tolist()),
    "scaled_dot_product_attention": lambda query, key, value, attn_mask: F.scaled_dot_product_attention(
        query, key, value, attn_mask=attn_mask
    ),
    "select": lambda cond, a, b: torch.where(cond, a, b),
    "slice_by_index": _slice,
    "split": lambda x, split_sizes, axis: x.split(split_sizes.tolist(), int(axis)),
    "squeeze": lambda x, axes: x.squeeze(axes.tolist()),
    "transpose": lambda x, perm: x.permute(perm.tolist()),
}
