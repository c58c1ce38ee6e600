"""Messages for a learner whose answer is missing, calls the library, or stopped with an error."""

from __future__ import annotations

import inspect
import linecache
import re
import textwrap
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import CodeType
from typing import TextIO

from ..own_work import borrowed

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


def own_function(name: str, answer: object, notebook: dict[str, object]) -> Callable:
    """Return the learner's function. Raises AssertionError if it is missing or not the learner's own work."""
    if answer is None:
        raise AssertionError(f"There is no {name} yet: run the cell that defines it, then this one again.")
    if not callable(answer):
        raise AssertionError(
            f"{name} is no function any more but {type(answer).__name__}: was the name used for something else? "
            "Run the cell that defines it again."
        )
    source = borrowed(answer, notebook)
    if source is not None:
        raise AssertionError(
            f"{name}() is built on {source}, and the exercise asks for your own code. Comparing with the library "
            "afterwards is a fine idea."
        )
    return answer


def explain(error: BaseException, answers: Mapping[str, Callable], codes: set[CodeType], given: str) -> str:
    """Return the message for an error in a learner's function, or in the check of what the function returned.

    ``answers``: the functions by name, first the one that the check is about; ``codes``: theirs and their helpers'.
    """
    name = next(iter(answers))
    if type(error) is NameError and error.name is not None:
        return _explain_name(error.name, name, _last_code(error) in codes)
    steps = [(f.f_code, line) for f, line in traceback.walk_tb(error.__traceback__) if f.f_code in codes]
    if not steps and isinstance(error, TypeError) and (fault := _arguments_fault(str(error), answers)):
        return fault
    if steps:
        code, number = steps[-1]
        line = linecache.getline(code.co_filename, number).strip()
        text = f"{name}() stopped with {in_words(error)}" + (f"\nIt happened in: {line}" if line else "")
    else:
        text = f"The result of {name}() could not be checked ({plain(error)}). Is it what its docstring asks for?"
    return text + (f"\nIt was given:\n{textwrap.indent(given, '  ')}" if given else "")


def _arguments_fault(said: str, answers: Mapping[str, Callable]) -> str | None:
    """Return the message if Python said that one of ``answers`` can't be called with so many arguments, else None."""
    found = re.match(r"(\w+)\(\) (?:missing (\d+) required positional|takes .* but (\d+) (?:was|were) given)", said)
    if found is None or found[1] not in answers:
        return None
    parameters = inspect.signature(answers[found[1]]).parameters.values()
    needed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    count = int(found[3] or len(needed) - int(found[2]))
    takes = ", ".join(str(parameter) for parameter in parameters) or "none"
    return (
        f"{found[1]}() gets {count} argument{'s' * (count != 1)}; yours takes {takes}. "
        "The arguments stay as they were in the cell's first line."
    )


def _last_code(error: BaseException) -> CodeType:
    """Return the code in which ``error`` was raised."""
    return [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)][-1]


def _explain_name(missing: str, name: str, in_answer: bool) -> str:
    """Return the message for an undefined name in the learner's function, or in the check and its helpers."""
    above = "Run the cells above first (Run > Run All Above Selected Cell), then this one."
    if in_answer:
        return f"{name}() uses {missing}; there is no such name. Is it misspelt? Does a cell above define it? {above}"
    return f"This check needs {missing}, which a cell above defines. {above}"
