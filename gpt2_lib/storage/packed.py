"""Sparse weights on disk: a bitmask and the values that are not zero, in one compressed file.

A packed file, format 1:

    8 bytes      b"GPT2PACK"
    4 bytes      the format's version, unsigned, little-endian
    32 bytes     SHA-256 of all that follows
    the rest     one zstd frame

The frame holds parts one after the other, each 8 bytes of length (unsigned, little-endian) and as many
bytes of safetensors. The first part has ``config.json`` and, if the model has one, ``tokenizer.json``,
as uint8. Then comes one part for each parameter: ``<name>.values``, with ``<name>.bitmask`` if only the
non-zero values are stored, and ``<name>.scale`` if they are int8. The bytes of ``values`` are in planes:
the first byte of every value, then the second of every value, and so on. Parts are made, compressed,
read and unpacked one at a time, so that beside the model only a few copies of one tensor take memory.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
import safetensors.torch
import tokenizers
import torch
import zstandard
from safetensors import SafetensorError
from torch import Tensor

from ..checkpoints import CheckpointError, assign
from ..config import GPT2Config
from ..gpt2 import GPT2
from ..system.files import replace_whole
from ..tokenizer import Tokenizer
from .quantize import dequantize_int8, quantize_int8

MAGIC = b"GPT2PACK"
VERSION = 1
HEADER = len(MAGIC) + 4 + hashlib.sha256().digest_size  # bytes
LENGTH = 8  # bytes of a part's length
LEVEL = 6  # of zstd's 22: 1 to 3 % smaller than level 1 or 3; 12 gains under 1 % more, and takes twice the time


# One tensor


def pack(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Split ``weight``, of any shape, into ``bitmask`` uint8 (ceil(n / 8),) and ``values`` (non-zeros,).

    Entries are taken row by row. Entry i is bit 7 - i % 8 of byte i // 8 (the first of eight is the
    highest bit), 1 where it is not zero; bits after the last entry are 0. ``values`` has the weight's
    dtype, float or int8. A negative zero counts as zero and comes back as +0. Both are on the CPU.
    """
    flat = weight.detach().cpu().reshape(-1)
    kept = flat != 0
    return torch.from_numpy(np.packbits(kept.numpy())), flat[kept]


def unpack(bitmask: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The weight of ``shape`` that `pack` split, exactly; see there.

    Raises ValueError when the three don't belong together.
    """
    n = prod(shape)
    if bitmask.dtype != torch.uint8 or bitmask.shape != (-(-n // 8),) or values.dim() != 1:
        raise ValueError(
            f"A weight of shape {tuple(shape)} needs a uint8 bitmask of {-(-n // 8)} bytes and a list of values; got "
            f"{bitmask.dtype} {tuple(bitmask.shape)} and {tuple(values.shape)}."
        )
    bits = np.unpackbits(bitmask.cpu().numpy())
    if bits.sum(dtype=np.int64) != len(values) or bits[n:].any():
        raise ValueError(
            f"The bitmask marks {bits.sum(dtype=np.int64)} of {n} entries, but there are {len(values)} values."
        )
    weight = torch.zeros(n, dtype=values.dtype)
    weight[torch.from_numpy(bits[:n].view(bool))] = values.cpu()
    return weight.view(shape)


def packed_bytes(weight: Tensor) -> int:
    """Bytes of the bitmask and the values that `pack` makes of ``weight``, before any compression."""
    return -(-weight.numel() // 8) + int(torch.count_nonzero(weight)) * weight.element_size()


# A whole model


@dataclass(frozen=True)
class Sizes:
    """What a packed model takes, in bytes."""

    dense: int  # the model's parameters in memory
    values: int  # stored weights: the non-zero ones where there is a bitmask, else all of a tensor
    bitmasks: int
    scales: int  # of int8 weights
    other: int  # configuration, tokenizer, and the names and lengths that safetensors needs
    file: int  # all of it compressed, with the header: the file's size

    @property
    def packed(self) -> int:
        """All that is stored, before compression."""
        return self.values + self.bitmasks + self.scales + self.other


def save_packed(model: GPT2, path: str | Path, int8: bool = False) -> Sizes:
    """Write ``model`` to one file, its sparse matrices packed; whole or not at all. Returns its sizes.

    Each attention and feed-forward matrix is stored as bitmask and non-zero values if that takes fewer
    bytes than all its values, else dense, as every other tensor is. `load_packed` gives the same weights
    back, exactly. With ``int8`` all matrices, the embeddings too, are rounded by `quantize_int8` first.

    Raises ValueError, and leaves a file that was there as it was, if the parameters aren't those that
    the model's configuration describes, or if weights that are NaN or infinite are to become int8.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = []

    def write(part: Path) -> None:
        with open(part, "wb") as file:
            sizes.append(_write(model, int8, file))

    replace_whole(path, write)
    return sizes[0]


def packed_sizes(model: GPT2, int8: bool = False) -> Sizes:
    """What `save_packed` would write, without writing it."""
    with open(os.devnull, "wb") as nowhere:
        return _write(model, int8, nowhere)


def load_packed(path: str | Path) -> GPT2:
    """Load what `save_packed` wrote: a GPT-2 in float32, in evaluation mode, with its tokenizer if it had one.

    Raises CheckpointError when there is no such file, or it is of another kind, of a newer format, or
    damaged (it is checked whole before anything is read from it).
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            _check(path, file)
            return _read(file)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no file {path}: check its name and folder.") from error
    except OSError as error:
        if path.is_dir():
            raise CheckpointError(
                f"{path} is a folder, not a packed file: load_pretrained_gpt2 opens a model's folder."
            ) from error
        raise CheckpointError(f"Can't read {path}: {error}.") from error
    except (zstandard.ZstdError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is whole, but its content is no GPT-2 of packed format {VERSION} ({error}): save the model again "
            "with save_packed."
        ) from error


# The file


class _Hashed:
    """A file to write to that counts and hashes what it passes on."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size, self.sha256 = file, 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return self.file.write(data)


def _write(model: GPT2, int8: bool, file: BinaryIO) -> Sizes:
    _check_model(model)
    stored = {"values": 0, "bitmask": 0, "scale": 0}
    total = 0
    file.seek(HEADER)  # the header needs the hash, and is written last
    frame = _Hashed(file)
    compressing = zstandard.ZstdCompressor(level=LEVEL)
    # All that it asks of a file is to be written to.
    with compressing.stream_writer(frame, closefd=False) as compressor:  # pyright: ignore[reportArgumentType]
        for pieces in _parts(model, int8):
            part = safetensors.torch.save(pieces)
            compressor.write(len(part).to_bytes(LENGTH, "little"))
            compressor.write(part)
            total += LENGTH + len(part)
            for name, tensor in pieces.items():
                kind = name.rpartition(".")[2]
                if kind in stored:
                    stored[kind] += tensor.numel() * tensor.element_size()
    file.seek(0)
    file.write(MAGIC + VERSION.to_bytes(4, "little") + frame.sha256.digest())
    return Sizes(
        dense=sum(p.numel() * p.element_size() for p in model.parameters()),
        values=stored["values"],
        bitmasks=stored["bitmask"],
        scales=stored["scale"],
        other=total - sum(stored.values()),
        file=HEADER + frame.size,
    )


def _check_model(model: GPT2) -> None:
    if not isinstance(model, GPT2):
        raise TypeError(f"Only a GPT2 of this library can be packed; got {type(model).__name__}.")
    with torch.device("meta"):
        wanted = {name: p.shape for name, p in GPT2(model.config).named_parameters()}
    found = {name: p.shape for name, p in model.named_parameters()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise ValueError(
                f"The model's parameter {name} is not as its configuration describes it ({_shape(found, name)}, should "
                f"be {_shape(wanted, name)}), so it could not be loaded again: pack a plain GPT2, its masks applied."
            )


def _shape(shapes: dict[str, torch.Size], name: str) -> str:
    return str(tuple(shapes[name])) if name in shapes else "absent"


def _parts(model: GPT2, int8: bool) -> Iterator[dict[str, Tensor]]:
    """The tensors of each part, in the file's order."""
    texts = {"config.json": json.dumps(asdict(model.config))}
    if model.tokenizer is not None:
        texts["tokenizer.json"] = model.tokenizer.bpe.to_str()
    yield {name: torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8) for name, text in texts.items()}
    for name, p in model.named_parameters():
        yield {f"{name}.{kind}": tensor for kind, tensor in _pieces(name, p.detach().cpu(), int8).items()}


def _pieces(name: str, weight: Tensor, int8: bool) -> dict[str, Tensor]:
    pieces = {}
    if int8 and weight.dim() == 2:
        try:
            weight, pieces["scale"] = quantize_int8(weight)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    if name.startswith("h.") and weight.dim() == 2 and packed_bytes(weight) < weight.numel() * weight.element_size():
        pieces["bitmask"], pieces["values"] = pack(weight)
    else:
        pieces["values"] = weight
    pieces["values"] = _planes(pieces["values"])
    return pieces


def _planes(values: Tensor) -> Tensor:
    """The bytes of ``values`` (n bytes each), all first ones first, then all second ones, ..., all n-th ones.

    Signs and exponents of weights are much alike and end up side by side, where zstd finds that. It takes
    8 % off a trained model's file, and 14 % off one whose weights came from float16 (gpt2-mini).
    """
    table = values.reshape(-1).view(torch.uint8).view(values.numel(), values.element_size())
    return table.t().reshape(-1).view(values.dtype).view(values.shape)


def _from_planes(planes: Tensor) -> Tensor:
    table = planes.reshape(-1).view(torch.uint8).view(planes.element_size(), planes.numel())
    return table.t().reshape(-1).view(planes.dtype).view(planes.shape)


def _check(path: Path, file: BinaryIO) -> None:
    """Read the header and check all that follows; leaves ``file`` where the frame begins."""
    header = file.read(HEADER)
    if len(header) < HEADER or not header.startswith(MAGIC):
        raise CheckpointError(
            f"{path} does not begin as a packed file does: it is of another kind, cut short or damaged. Give a file "
            "that save_packed wrote, or copy it again."
        )
    version = int.from_bytes(header[len(MAGIC) : len(MAGIC) + 4], "little")
    if version != VERSION:
        raise CheckpointError(
            f"{path} says it has packed format {version}, and this version of gpt2_lib reads {VERSION}. If it was made "
            "with a newer gpt2_lib, install that; else it is damaged: copy it again."
        )
    found = hashlib.sha256()
    while chunk := file.read(1 << 20):
        found.update(chunk)
    if found.digest() != header[len(MAGIC) + 4 :]:
        raise CheckpointError(
            f"{path} is cut short or damaged (its checksum is wrong): copy it again, or save the model again with "
            "save_packed."
        )
    file.seek(HEADER)


def _read(file: BinaryIO) -> GPT2:
    with zstandard.ZstdDecompressor().stream_reader(file, closefd=False) as frame:
        texts = {name: bytes(t.numpy()).decode() for name, t in _next_part(frame).items()}
        with torch.device("meta"):
            model = GPT2(GPT2Config(**json.loads(texts["config.json"])))
        if "tokenizer.json" in texts:
            model.tokenizer = Tokenizer(tokenizers.Tokenizer.from_str(texts["tokenizer.json"]))
        for name, p in list(model.named_parameters()):
            assign(model, name, _weight(name, _next_part(frame), p.shape))
    return model.eval()


def _next_part(frame: BinaryIO) -> dict[str, Tensor]:
    length = int.from_bytes(frame.read(LENGTH), "little")
    return safetensors.torch.load(frame.read(length))


def _weight(name: str, pieces: dict[str, Tensor], shape: torch.Size) -> Tensor:
    weight = _from_planes(pieces[f"{name}.values"])
    if f"{name}.bitmask" in pieces:
        weight = unpack(pieces[f"{name}.bitmask"], weight, shape)
    if f"{name}.scale" in pieces:
        weight = dequantize_int8(weight, pieces[f"{name}.scale"])
    if weight.shape != shape:
        raise ValueError(f"{name} has shape {tuple(weight.shape)}, the configuration asks for {tuple(shape)}")
    return weight.float()
