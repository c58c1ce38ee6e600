"""ONNX: export of a GPT-2 to a file for ONNX Runtime and other runtimes.

The graph is written here node by node, because that is short and leaves nothing to a tracer: any number of
heads and neurons in each block, any batch and length, the same bytes whatever the version of PyTorch. One
graph reads a prompt and continues it:

    inputs   input_ids                       int64 (batch, tokens)
             past_key_values.<i>.key, .value float32 (batch, heads, past, head size), of the block i; past may be 0
             last                            int64 (1,): logits of how many of the last positions are wanted
    outputs  logits                          float32 (batch, last, vocabulary)
             present.<i>.key, .value         float32 (batch, heads, past + tokens, head size)

The token embedding is also the head, and is stored once, as the head's matrix (C, V). With ``int8`` every
matrix is stored as `quantize_int8` rounds it, one scale for each output channel (a token is one of the head's,
so its embedding has a scale of its own), and each product is one of integers: DynamicQuantizeLinear rounds what
comes in to uint8, with one scale for a whole tensor, while the model runs.

A file of ONNX holds 2 GiB at most. The weights of a larger model lie in a file beside it, as external data, whose name
has a digest of what is in it: an ONNX file never meets the weights of another export.

Operators: https://onnx.ai/onnx/operators/, opset 20. External data: https://onnx.ai/onnx/repo-docs/ExternalData.html
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from torch import nn

from ..files import replace_whole
from ..gpt2 import GPT2
from .contents.exportable import exportable
from .contents.metadata import CONFIG, TOKENIZER, metadata_of
from .contents.onnx_graph import Graph
from .extras import DeployError, need
from .onnx_runtime import DATA, OnnxGPT2

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

__all__ = ["CONFIG", "TOKENIZER", "OnnxGPT2", "export_onnx"]

LARGEST = 2**31 - 1  # bytes; no protobuf message can be larger
PAGE = 4096  # bytes; a runtime can map a weight that begins at a multiple of it


def export_onnx(model: nn.Module, path: Path | str, int8: bool = False) -> Path:
    """Write ``model`` to a .onnx file, with its sizes and its tokenizer in it; returns ``path``.

    ``int8``: the matrices, embeddings too, as 8-bit integers, about a quarter of the size. Weights that don't fit one
    file, 2 GiB, are written beside it, to ``<name>.<digest>.data``: copy both. Files are written whole or not at all,
    and the data of an earlier export to ``path`` is removed. Raises DeployError if they can't be written, ValueError
    for another kind of model, weights that are NaN or infinite and layers that are not plain (`exportable`), and
    MissingExtraError without the package onnx.
    """
    onnx = need("onnx", "deploy")
    model = exportable(model)
    path = Path(path)
    meta = metadata_of(model)
    weights = sum(p.numel() * (1 if int8 and p.dim() == 2 else 4) for p in model.parameters())
    fits = weights + weights // 64 + sum(map(len, meta.values())) < LARGEST  # scales and the graph come on top
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if fits:
            proto = Graph(int8).of(model)
            onnx.helper.set_model_props(proto, meta)
            replace_whole(path, lambda part: part.write_bytes(proto.SerializeToString()))
            _remove_data(path, keep=None)
        else:
            _export_beside(model, path, int8, meta)
    except OSError as error:
        raise DeployError(f"Can't write {path}: {error}. Choose a folder that you may write to, with room.") from error
    return path


# Weights beside the file.


def _export_beside(model: GPT2, path: Path, int8: bool, meta: dict[str, str]) -> None:
    onnx = need("onnx", "deploy")
    with _ExternalData.beside(path) as data:
        proto = Graph(int8, data.store).of(model)
        new = data.finish(proto)
        try:
            onnx.helper.set_model_props(proto, meta | {DATA: new.name})
            replace_whole(path, lambda part: part.write_bytes(proto.SerializeToString()))
        except BaseException:
            if not data.was_there:  # of an earlier export of the same weights
                new.unlink(missing_ok=True)
            raise
    _remove_data(path, keep=new.name)


class _ExternalData:
    """Writer of the data file beside an ONNX file: it holds one weight in memory at a time."""

    def __init__(self, path: Path, part: Path, file: BinaryIO) -> None:
        self.path, self.part, self.file = path, part, file
        self.digest = hashlib.blake2b(digest_size=8)
        self.was_there = False

    @classmethod
    @contextmanager
    def beside(cls, path: Path) -> Iterator[_ExternalData]:
        """Open a writer for the ONNX file ``path``; without `finish` no file is left."""
        part = path.with_name(f".{path.name}.{os.getpid()}.data.part")
        try:
            with part.open("wb") as file:
                yield cls(path, part, file)
        finally:
            part.unlink(missing_ok=True)

    def store(self, entry: TensorProto, array: np.ndarray) -> None:
        """Append ``array``, and record its position in ``entry``."""
        padding = bytes(-self.file.tell() % PAGE)
        for piece in (padding, array.data.cast("B")):
            self.file.write(piece)
            self.digest.update(piece)
        entry.data_location = need("onnx", "deploy").TensorProto.EXTERNAL
        place = {"offset": self.file.tell() - array.nbytes, "length": array.nbytes}
        for key, value in place.items():
            entry.external_data.add(key=key, value=str(value))

    def finish(self, proto: ModelProto) -> Path:
        """Rename the data file to its final name, and record that in ``proto``; returns the path."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()  # Windows renames no open file
        new = self.path.with_name(f"{self.path.name}.{self.digest.hexdigest()}.data")
        self.was_there = new.exists()
        os.replace(self.part, new)
        for entry in proto.graph.initializer:
            if entry.external_data:
                entry.external_data.add(key="location", value=new.name)
        return new


def _remove_data(path: Path, keep: str | None) -> None:
    """Remove the data of earlier exports to ``path``."""
    ours = re.compile(re.escape(path.name) + r"\.[0-9a-f]{16}\.data")
    for other in path.parent.iterdir():
        if ours.fullmatch(other.name) and other.name != keep:
            with suppress(OSError):  # on Windows, of a file that is being served: it does no harm
                other.unlink()
