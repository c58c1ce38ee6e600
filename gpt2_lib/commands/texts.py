"""The texts that a command reads, from a file, a folder or the bundled plays, and windows of them."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..batches import windows_of
from ..config import TextCodec
from ..corpus import calibration_windows, held_out_windows
from ..gpt2 import GPT2
from ..tokenizer import encoded

PLAYS = "plays"
CHARACTERS = 16  # for a token, with much to spare
WIDE = {  # marks at a text's beginning; UTF-16's is the start of UTF-32's
    "UTF-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "UTF-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}
UNMARKED = ("UTF-32LE", "UTF-32BE", "UTF-16LE", "UTF-16BE")
KINDS = ".txt, .jsonl or .parquet"
HELP = f"a {KINDS} file, a folder of .txt files, or {PLAYS!r}: the course's plays"


@dataclass(frozen=True)
class Windows:
    """Token ids (N, T) and a description of their text."""

    ids: Tensor
    said: str


def read_texts(path: Path) -> list[str]:
    """Return the texts of a file or folder (.jsonl, .parquet: the field ``text``). Raises ValueError if unreadable."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() == ".txt" and not file.is_dir())
        if not files:
            raise ValueError(f"{path} has no .txt file in it: name a folder that has, or a file.")
        return [_utf8(file) for file in files]
    if not path.is_file():
        raise ValueError(f"There is no file or folder {path}: give {HELP}.")
    read = {".txt": lambda file: [_utf8(file)], ".jsonl": _jsonl, ".parquet": _parquet}.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"{path} is no {KINDS} file: rename it if it is plain text, or convert it.")
    return read(path)


def _utf8(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror}.") from error
    if (encoding := _wide_encoding(content)) is not None:
        raise ValueError(f"{path} is in {encoding}, and UTF-8 is needed: iconv -f {encoding} -t UTF-8 converts it.")
    if b"\0" in content:
        raise ValueError(f"{path} is no text: it has NUL bytes, as pictures, archives and other binary files do.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not in UTF-8 (byte {error.start} is {content[error.start]:#04x}). If it is text, convert it "
            "from the encoding that it was saved in, which its author or program knows: iconv -f ENCODING -t UTF-8."
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")  # as Python reads text


def _wide_encoding(content: bytes) -> str | None:
    """Return UTF-32 or UTF-16, by its mark or, without one, by a beginning that reads as text; None for others."""
    for encoding, marks in WIDE.items():
        if content.startswith(marks):
            return encoding
    if b"\0" not in content:
        return None
    spaces = {encoding: _spaces(content[: 1 << 16], encoding) for encoding in UNMARKED}
    best = max(UNMARKED, key=lambda encoding: spaces[encoding])
    return best if spaces[best] else None


def _spaces(content: bytes, encoding: str) -> int:
    """Return the number of spaces and ends of lines in a text's beginning; 0 if it is no text in this encoding."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(content)  # the last character may be cut
    except UnicodeDecodeError:
        return 0
    readable = sum(character.isprintable() or character in "\t\r\n" for character in text)
    return sum(map(text.count, " \n")) if readable > 0.95 * len(text) else 0


def _jsonl(path: Path) -> list[str]:
    texts: list[str] = []
    for number, line in enumerate(_utf8(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}, is no JSON: {error.msg}. One object a line is needed.") from error
        text = row.get("text") if isinstance(row, dict) else row
        if not isinstance(text, str):
            raise ValueError(f'{path}, line {number}, has no text: lines as {{"text": "..."}} are needed.')
        texts.append(text)
    return texts


def _parquet(path: Path) -> list[str]:
    try:
        parquet: Any = import_module("pyarrow.parquet")
        failure: Any = import_module("pyarrow").ArrowException
    except ImportError as error:
        raise ValueError(f"{path} needs the package pyarrow: pip install pyarrow, or give .txt or .jsonl.") from error
    try:
        file = parquet.ParquetFile(path)
        if "text" not in file.schema_arrow.names:
            columns = ", ".join(file.schema_arrow.names)
            raise ValueError(f"{path} has no column called text, but {columns}: rename the one with the text.")
        texts = file.read(columns=["text"]).column("text").to_pylist()
    except (failure, OSError) as error:
        raise ValueError(f"{path} can't be read as Parquet: {str(error).splitlines()[0]}") from error
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{path} has rows without text in the column text: leave them out.")
    return texts


def windows_to_measure_on(model: GPT2, source: str, length: int | None, count: int) -> Windows:
    """Return at most ``count`` windows for measuring, spread evenly over the text."""
    return _windows(model, source, length, count, lambda tokenizer, size: held_out_windows(tokenizer, size))


def windows_to_calibrate_on(model: GPT2, source: str, length: int | None, count: int) -> Windows:
    """Return at most ``count`` windows for calibration, spread evenly; of the plays, the course's own."""
    plays = partial(calibration_windows, count=count)
    return _windows(model, source, length, count, plays, spread=True)


def _windows(
    model: GPT2, source: str, length: int | None, count: int, plays: Callable[..., Tensor], spread: bool = False
) -> Windows:
    context = model.config.n_positions
    size = context if length is None else length
    if size > context:
        raise ValueError(f"--length {size} is more than the model's context of {context} tokens: lower it.")
    if model.tokenizer is None:
        raise ValueError("The model's folder has no tokenizer, which text needs: copy tokenizer.json into it.")
    if source == PLAYS:
        every, name = plays(model.tokenizer, size), "the course's plays"
    else:
        name = source
        try:
            texts = read_texts(Path(source))
            if spread and (pages := _pages(texts, model.tokenizer, size, count)) is not None:
                return Windows(pages, f"{name} ({count:,} windows of {size:,} tokens, spread evenly)")
            every = windows_of(texts or "", model.tokenizer, size)
        except ValueError as error:
            raise ValueError(_named(source, str(error))) from error
    chosen = every if count >= len(every) else every[torch.linspace(0, len(every) - 1, count).long()]
    of = "" if len(chosen) == len(every) else f" of {len(every):,}"
    return Windows(chosen, f"{name} ({len(chosen):,}{of} windows of {size:,} tokens)")


def _pages(texts: list[str], tokenizer: TextCodec, size: int, count: int) -> Tensor | None:
    """Return windows (count, size) from places spread evenly over long texts, of which only these are encoded.

    None where the texts are so short that all may be needed: a token seldom spells more than a few characters.
    """
    page = CHARACTERS * size
    whole = "".join(texts)
    if len(whole) < 2 * count * page:
        return None
    rows: list[list[int]] = []
    for i in range(count):
        start = i * (len(whole) - page) // max(1, count - 1)
        text = whole[start : start + page]
        text = text if start == 0 else text[text.find(" ") + 1 :]  # not from the middle of a word
        rows.append(encoded(tokenizer, text)[:size])
        if len(rows[-1]) < size:
            return None
    return torch.tensor(rows)


def _named(source: str, message: str) -> str:
    """Return the message with the source's name in front, unless it has that already."""
    return message if source.rstrip("/") in message else f"{source}: {message}"
