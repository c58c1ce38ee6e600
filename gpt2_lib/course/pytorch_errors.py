"""Frequent errors of PyTorch and Python in words for learners, and a list of indices that PyTorch reads as a tuple."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

# A pattern in the error's text -> its cause and the way out. Each holds wherever the text appears.
FREQUENT = {
    r"unsupported ScalarType BFloat16": "NumPy has no bfloat16: make it float32 first, with .float()",
    r"leaf Variable that requires grad is being used in an in-place": (
        "PyTorch lets nobody write into a parameter while it records gradients: write inside `with torch.no_grad():`."
    ),
    r"element 0 of tensors does not require grad": (
        "The loss carries no gradient, as when it is computed inside torch.no_grad(): only the writing of zeros "
        "belongs in there."
    ),
    r"'bool' object has no attribute": (
        "A comparison gave a single True or False, since what was compared is no tensor. "
        "Of a list, compare each tensor."
    ),
    r"operand type\(s\).*'(?:builtin_function_or_method|method)'": (
        "A method without its brackets is no number. t.numel() is a tensor's number of entries, t.size() its shape."
    ),
    r"operand type\(s\).*'torch\.Size'": "t.size() is a shape; the number of entries is t.numel().",
    r"shapes cannot be multiplied": "a @ b needs as many columns of a as b has rows; .t() turns a matrix.",
    r"to have the same dtype": "a.to(b.dtype) gives a the type of b.",
    r"index -?\d+ is out of bounds for dimension \d": "Indices go from 0 to the size minus 1.",
}
MISREAD = "non-tuple sequence for multidimensional indexing"  # of PyTorch's warning
READ_AS_TUPLE = (
    "Your code indexes with a list of tensors: PyTorch reads w[[tensor(0), tensor(2)]] as w[0, 2]. Make numbers of "
    "them first: a loop over keep.tolist(), say, gives numbers; one over keep gives tensors."
)


def plain(error: BaseException) -> str:
    """Return the error's type and text."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def in_words(error: BaseException) -> str:
    """Return the error's type and text, and what it means where that is known."""
    said = plain(error)
    meaning = next((words for pattern, words in FREQUENT.items() if re.search(pattern, said)), "")
    return f"{said.rstrip('.')}. {meaning}" if meaning else said


@contextmanager
def misread_indices() -> Iterator[list[str]]:
    """Yield a list that gets READ_AS_TUPLE when PyTorch warns of such an index in the body; shows other warnings."""
    noticed: list[str] = []
    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=f".*{MISREAD}")
        shown = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if MISREAD not in str(message):
                shown(message, category, filename, lineno, file, line)
            elif not noticed:
                noticed.append(READ_AS_TUPLE)

        warnings.showwarning = show
        yield noticed


def with_note(text: str, notes: list[str]) -> str:
    """Return ``text`` with the notes below its first line."""
    first, newline, rest = text.partition("\n")
    return "\n".join([first, *notes]) + newline + rest
