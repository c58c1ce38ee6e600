"""Reader of an untrusted packed model: it checks the configuration and the unpacked size before it loads the rest."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import safetensors.torch
import torch
import zstandard

from ...gpt2 import GPT2
from ...pruning.pruner import prunable_weights
from ...storage.packed import HEADER, LENGTH, load_packed
from .identity import check_tokenizer, claimed_config
from .reference import dense, int8_alone, weights


@dataclass(frozen=True)
class Packed:
    """A packed model: the artifact of a challenge."""

    model: GPT2
    size: int  # bytes of the file

    @property
    def gone(self) -> float:
        """The share of gpt2-mini's prunable weights that is zero or removed."""
        left = sum(int(torch.count_nonzero(w)) for w in prunable_weights(self.model).values())
        return 1 - left / weights()

    @property
    def smaller(self) -> float:
        """The size of gpt2-mini's int8 file over this one's: int8 alone gives 1."""
        return int8_alone() / self.size


@lru_cache(maxsize=8)
def read_packed(data: bytes) -> Packed:
    """Return the model in a packed file's bytes. Raises AssertionError if it is unreadable or no part of gpt2-mini."""
    try:
        texts = _first_part(data)
        claimed_config(json.loads(texts["config.json"]))
        check_tokenizer(texts.get("tokenizer.json"))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "handed in")
            path.write_bytes(data)
            model = load_packed(path)
    except AssertionError:
        raise
    except Exception as error:  # the libraries may raise any error for damaged bytes
        raise AssertionError(
            f"This is no packed file that can be read ({type(error).__name__}: {str(error)[:200]}). Save the model "
            "again with gpt2_lib.storage.packed.save_packed."
        ) from error
    for name, p in model.named_parameters():
        if not p.isfinite().all():
            raise AssertionError(f"{name} has entries that are NaN or infinite: did the training diverge?")
    return Packed(model, len(data))


def _first_part(data: bytes) -> dict[str, str]:
    """Return the texts at the start of a packed file. Raises an error if they unpack to more than the limit."""
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
