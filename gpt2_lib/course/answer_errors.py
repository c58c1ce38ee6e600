"""Messages for a learner whose answer is missing, calls the library, or stopped with an error."""

from __future__ import annotations

import linecache
import textwrap
import traceback
from collections.abc import Callable
from types import CodeType

from .own_work import borrowed
from .pytorch_errors import in_words, plain


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


def explain(error: BaseException, name: str, codes: set[CodeType], given: str) -> str:
    """Return the message for an error in the learner's function, or in the check of what the function returned."""
    if type(error) is NameError and error.name is not None:
        return _explain_name(error.name, name, _last_code(error) in codes)
    steps = [(f.f_code, line) for f, line in traceback.walk_tb(error.__traceback__) if f.f_code in codes]
    if steps:
        code, number = steps[-1]
        line = linecache.getline(code.co_filename, number).strip()
        text = f"{name}() stopped with {in_words(error)}" + (f"\nIt happened in: {line}" if line else "")
    else:
        text = f"The result of {name}() could not be checked ({plain(error)}). Is it what its docstring asks for?"
    return text + (f"\nIt was given:\n{textwrap.indent(given, '  ')}" if given else "")


def _last_code(error: BaseException) -> CodeType:
    """Return the code in which ``error`` was raised."""
    return [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)][-1]


def _explain_name(missing: str, name: str, in_answer: bool) -> str:
    """Return the message for an undefined name in the learner's function, or in the check and its helpers."""
    above = "Run the cells above first (Run > Run All Above Selected Cell), then this one."
    if in_answer:
        return f"{name}() uses {missing}; there is no such name. Is it misspelt? Does a cell above define it? {above}"
    return f"This check needs {missing}, which a cell above defines. {above}"
