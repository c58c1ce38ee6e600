"""The packed format: sparse weights as bitmasks and non-zero values, in one compressed file.

A packed file, format 1:

    8 bytes      b"GPT2PACK"
    4 bytes      the format's version, unsigned, little-endian
    32 bytes     SHA-256 of all that follows
    the rest     one zstd frame

The frame holds parts one after the other, each 8 bytes of length (unsigned, little-endian) and as many
bytes of safetensors. The first part has ``config.json`` and, if the model has one, ``tokenizer.json``,
as uint8. Then comes one part for each parameter: ``<name>.values``, with ``<name>.bitmask`` if only the
non-zero values are stored, with ``<name>.negative`` then, a bit for each zero, if some are -0, and
``<name>.scale`` if they are int8 (a scale a row) or int4 (a scale a group: two dimensions, and two values a byte).
The bytes of ``values`` are in planes:
the first byte of every value, then the second of every value, and so on. Parts are made, compressed,
read and unpacked one at a time, so that beside the model only a few copies of one tensor take memory.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import safetensors.torch
import torch
import zstandard
from safetensors import SafetensorError
from torch import Tensor, nn

from ..checkpoints import CheckpointError, assign, not_written, plain_parameters
from ..config import GPT2Config, special_ids
from ..files import replace_whole
from ..gpt2 import GPT2
from ..modules import unwrap
from ..tokenizer import Tokenizer, storable
from .bitmask import pack, packed_bytes, unpack, unpack_bits
from .int4 import dequantize_int4, from_nibbles, quantize_int4, to_nibbles
from .quantize import dequantize_int8, quantize_int8

MAGIC = b"GPT2PACK"
VERSION = 1
HEADER = len(MAGIC) + 4 + hashlib.sha256().digest_size  # bytes
LENGTH = 8  # bytes of a part's length
EXACT = (torch.float32, torch.float16, torch.bfloat16)  # float32 holds each of their numbers
LEVEL = 6  # of zstd's 22: 1 to 3 % smaller than level 1 or 3; 12 gains under 1 % more, and takes twice the time


@dataclass(frozen=True)
class Sizes:
    """The sizes of a packed model, in bytes."""

    dense: int  # the model's parameters in memory
    values: int  # stored weights: the non-zero ones where there is a bitmask, else all of a tensor
    bitmasks: int
    scales: int  # of int8 and int4 weights
    other: int  # configuration, tokenizer, signs of zeros, and the names and lengths that safetensors needs
    file: int  # all of it compressed, with the header: the file's size

    @property
    def packed(self) -> int:
        """All that is stored, before compression."""
        return self.values + self.bitmasks + self.scales + self.other


def save_packed(model: nn.Module, path: str | Path, int8: bool = False, int4: bool = False) -> Sizes:
    """Write ``model`` to one file, its sparse matrices packed, whole or not at all. Returns its sizes.

    Each attention and feed-forward matrix is stored as bitmask and non-zero values if that takes fewer
    bytes than all its values, else dense, as every other tensor is. `load_packed` gives the same weights
    back, exactly. With ``int8`` all matrices, the embeddings too, are rounded by `quantize_int8` first. With ``int4``
    the matrices of the blocks are rounded by `quantize_int4` and stored dense, and the embeddings in int8.
    A model that torch.compile or DataParallel has wrapped is saved without that.

    Raises TypeError for another kind of model; ValueError if the parameters aren't those that the model's
    configuration describes, are float64, or NaN or infinite and to become integers, or for int8 and int4 at once;
    SaveError, which is an OSError too, where the file can't be written. After each of these an old file is unchanged.
    """
    unwrap(model)  # is it one? It may have been given after the path
    path = Path(path)
    sizes: list[Sizes] = []

    def write(part: Path) -> None:
        with open(part, "wb") as file:
            sizes.append(_write(model, _precision(int8, int4), file))

    try:
        replace_whole(path, write)
    except OSError as error:
        raise not_written(path, error) from error
    return sizes[0]


def packed_sizes(model: nn.Module, int8: bool = False, int4: bool = False) -> Sizes:
    """Return the sizes of the file that `save_packed` would write, without writing it."""
    with open(os.devnull, "wb") as nowhere:
        return _write(model, _precision(int8, int4), nowhere)


def load_packed(path: str | Path) -> GPT2:
    """Load a file of `save_packed`: a GPT-2 in float32, in evaluation mode, with its tokenizer if it had one.

    Raises CheckpointError when there is no such file, or it is of another kind, of a newer format, or
    damaged (it is checked whole before anything is read from it).
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"A packed file's path is needed; got a {type(path).__name__}.")
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
    """A file object that counts and hashes the bytes written through it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size, self.sha256 = file, 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return self.file.write(data)


def _precision(int8: bool, int4: bool) -> int | None:
    """Return the bits of the blocks' matrices; None where they are stored unchanged."""
    if int8 and int4:
        raise ValueError("A weight is stored in int8 or in int4, not in both: choose one.")
    return 8 if int8 else 4 if int4 else None


def _write(model: nn.Module, bits: int | None, file: BinaryIO) -> Sizes:
    inner, weights = plain_parameters(model, "packed")
    for name, p in weights.items():
        if p.dtype not in EXACT:
            raise ValueError(
                f"{name} is {p.dtype}, and load_packed would round it to float32: use model.float() first."
            )
    stored = {"values": 0, "bitmask": 0, "scale": 0}
    total = 0
    file.seek(HEADER)  # the header needs the hash, and is written last
    frame = _Hashed(file)
    compressing = zstandard.ZstdCompressor(level=LEVEL)
    # It only needs a file that can be written to.
    with compressing.stream_writer(frame, closefd=False) as compressor:  # pyright: ignore[reportArgumentType]
        for pieces in _parts(inner, weights, bits):
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
        dense=sum(p.numel() * p.element_size() for p in weights.values()),
        values=stored["values"],
        bitmasks=stored["bitmask"],
        scales=stored["scale"],
        other=total - sum(stored.values()),
        file=HEADER + frame.size,
    )


def _parts(model: GPT2, weights: dict[str, Tensor], bits: int | None) -> Iterator[dict[str, Tensor]]:
    """Yield the tensors of each part, in the file's order."""
    config = model.config.of_the_model() | special_ids(model.config, model.tokenizer)
    texts = {"config.json": json.dumps({name: value for name, value in config.items() if value not in (None, (), {})})}
    if model.tokenizer is not None:
        texts["tokenizer.json"] = storable(model.tokenizer).to_json()
    yield {name: torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8) for name, text in texts.items()}
    for name, p in weights.items():
        yield {f"{name}.{kind}": tensor for kind, tensor in _pieces(name, p.cpu(), bits).items()}


def _pieces(name: str, weight: Tensor, bits: int | None) -> dict[str, Tensor]:
    pieces: dict[str, Tensor] = {}
    if bits is not None and weight.dim() == 2:
        in_four = bits == 4 and name.startswith("h.")
        try:
            weight, pieces["scale"] = quantize_int4(weight) if in_four else quantize_int8(weight)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        if in_four:
            return pieces | {"values": to_nibbles(weight)}
    if name.startswith("h.") and weight.dim() == 2 and packed_bytes(weight) < weight.numel() * weight.element_size():
        pieces["bitmask"], pieces["values"] = pack(weight)
        negative = weight[weight == 0].signbit()
        if negative.any():
            pieces["negative"] = pack(negative)[0]
    else:
        pieces["values"] = weight
    pieces["values"] = _planes(pieces["values"])
    return pieces


def _planes(values: Tensor) -> Tensor:
    """Return the bytes of ``values`` (n bytes each) plane by plane: all first bytes, all second ones, and so on.

    The signs and exponents of weights are similar, and zstd compresses them better side by side. This takes
    8 % off a trained model's file, and 14 % off one whose weights came from float16 (gpt2-mini).
    """
    table = values.reshape(-1).view(torch.uint8).view(values.numel(), values.element_size())
    return table.t().reshape(-1).view(values.dtype).view(values.shape)


def _from_planes(planes: Tensor) -> Tensor:
    table = planes.reshape(-1).view(torch.uint8).view(planes.element_size(), planes.numel())
    return table.t().reshape(-1).view(planes.dtype).view(planes.shape)


def _check(path: Path, file: BinaryIO) -> None:
    """Read the header and verify the rest; leave ``file`` at the start of the frame."""
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
            model.tokenizer = Tokenizer.from_json(texts["tokenizer.json"])
        for name, p in list(model.named_parameters()):
            assign(model, name, _weight(name, _next_part(frame), p.shape))
    return model.eval()


def _next_part(frame: BinaryIO) -> dict[str, Tensor]:
    length = int.from_bytes(frame.read(LENGTH), "little")
    return safetensors.torch.load(frame.read(length))


def _weight(name: str, pieces: dict[str, Tensor], shape: torch.Size) -> Tensor:
    scale = pieces.get(f"{name}.scale")
    if scale is not None and scale.dim() == 2:
        return dequantize_int4(from_nibbles(pieces[f"{name}.values"], shape), scale)
    weight = _from_planes(pieces[f"{name}.values"])
    if f"{name}.bitmask" in pieces:
        weight = unpack(pieces[f"{name}.bitmask"], weight, shape)
    if f"{name}.negative" in pieces:
        zeros = (weight == 0).nonzero(as_tuple=True)
        weight[zeros] = torch.where(unpack_bits(pieces[f"{name}.negative"], len(zeros[0])), -0.0, 0.0).to(weight.dtype)
    if scale is not None:
        weight = dequantize_int8(weight, scale)
    if weight.shape != shape:
        raise ValueError(f"{name} has shape {tuple(weight.shape)}, the configuration asks for {tuple(shape)}")
    return weight.float()
