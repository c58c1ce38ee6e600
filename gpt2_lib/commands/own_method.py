"""A pruning method of the user's own on the command line: ``FILE.py:FUNCTION`` where a method's name stands.

The file is imported, so its code runs. It must be one that the user names; one in a model's folder is refused, as it
may have come with the model.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from functools import cache, wraps
from importlib.util import module_from_spec, spec_from_file_location
from inspect import isfunction
from pathlib import Path
from types import ModuleType
from typing import Any

from ..pruning.methods.registry import Method, find_method, methods_of

FORM = "FILE.py:FUNCTION"
HELP = f"or your own, {FORM}: function(model) or function(model, text) returns {{name: scores or masks}}"


class MethodNames(tuple[str, ...]):
    """The names to choose from, and any ``FILE.py:FUNCTION``, which no list can have."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and (":" in name or name.endswith(".py")))


OWN = MethodNames()  # these alone


def method_of(name: str) -> Method:
    """Return a method of the registry, or that of a function in a file. Raises ValueError for what is neither."""
    if name not in OWN:
        return find_method(name)
    file, function = (name, "") if name.endswith(".py") else name.rpartition(":")[::2]
    path = Path(file)
    if path.suffix != ".py" or not path.is_file():
        raise ValueError(f"There is no Python file {file}, which {name} names: a method of your own is {FORM}.")
    module = _imported(path.absolute())
    own = [key for key, value in vars(module).items() if isfunction(value) and value.__module__ == module.__name__]
    found = getattr(module, function, None) if function else None
    if not callable(found):
        there = ", ".join(f"{file}:{key}" for key in own) or "no function at all"
        raise ValueError(f"{name} names no function of {path.name}. There is {there}.")
    (method,) = methods_of({name: _told_in_words(name, found, path.absolute())})
    return method


@cache
def _imported(path: Path) -> ModuleType:
    """Import a file. Files beside it can be imported in it, as in Python's own scripts, after all that is installed."""
    folder = _model_folder(path)
    if folder is not None:
        raise ValueError(
            f"{path} lies in a model's folder, {folder}, and may have come with it: it is not run. If it is your own, "
            "move it out of there."
        )
    spec = spec_from_file_location(f"{path.stem}, a file of the user", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[spec.name]
        raise ValueError(f"{path.name} can't be imported: {_said(error, path)}") from error
    return module


def _model_folder(path: Path) -> Path | None:
    """Return the folder of a model in which a file lies, at any depth, itself or what it is a link to."""
    for folder in (*path.parents, *path.resolve().parents):
        config = folder / "config.json"
        if config.is_file() and b'"model_type"' in config.read_bytes():
            return folder
    return None


def _told_in_words(name: str, function: Callable[..., Any], path: Path) -> Callable[..., Any]:
    """Return ``function`` with an error in it as one sentence, with the line."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except Exception as error:
            raise ValueError(f"{name} failed: {_said(error, path)}") from error

    return call


def _said(error: BaseException, path: Path) -> str:
    """Return an error's name, message and last line in a file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    place = f"line {lines[-1]}: " if lines else ""
    message = (str(error).splitlines() or [""])[0]
    return f"{place}{type(error).__name__}: {message}"
