"""Does an answer do its own work, or does it call the library's? Read from the function's code, without running it."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType

NEUTRAL = {"config", "gpt2", "lesson", "plots", "progress"}  # files of gpt2_lib in which there is no answer
PRUNE = "torch.nn.utils.prune"
CONTAINERS = (list, tuple, set, frozenset)


def borrowed(function: object, notebook: dict[str, object]) -> str | None:
    """The dotted name of a ready answer that ``function`` is built on, None if it is not.

    ``notebook``: the global names of the notebook in which the function was written.

    A ready answer is anything in gpt2_lib, less what is NEUTRAL, or in torch.nn.utils.prune. All is followed
    that the function reaches in its notebook: names it uses, helpers, nested functions and classes, closures, default
    values, imports inside it. A name that is only imported, and not used, is no fault.
    """
    for thing in _reach(function, notebook):
        module = _module(thing)
        if _is_ready(module):
            name = getattr(thing, "__qualname__", type(thing).__qualname__)
            return module if isinstance(thing, ModuleType) else f"{module}.{name}"
    return None


def code_of(function: object, notebook: dict[str, object]) -> set[CodeType]:
    """The code of ``function`` and of its helpers in the same notebook, nested functions included."""
    functions = [t for t in _reach(function, notebook) if isinstance(t, FunctionType) and t.__globals__ is notebook]
    return {code for f in functions for code in _nested(f.__code__)}


def _reach(function: object, notebook: dict[str, object]) -> Iterator[object]:
    """``function`` and everything that it can reach without leaving its notebook."""
    waiting, seen = [function], {}  # seen keeps what it has seen alive, so that no id comes twice
    while waiting:
        thing = waiting.pop()
        if id(thing) not in seen:
            seen[id(thing)] = thing
            yield thing
            waiting += _parts(thing, notebook)


def _parts(thing: object, notebook: dict[str, object]) -> list[object]:
    if isinstance(thing, CONTAINERS):
        return list(thing)
    if isinstance(thing, dict):
        return list(thing.values())
    if isinstance(thing, ModuleType):
        return []
    if isinstance(thing, partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if isinstance(thing, MethodType | staticmethod | classmethod):
        return [thing.__func__, getattr(thing, "__self__", None)]
    if isinstance(thing, property):
        return [thing.fget]
    parts = [vars(thing)["__wrapped__"]] if "__wrapped__" in getattr(thing, "__dict__", ()) else []  # decorated
    if isinstance(thing, FunctionType):
        if thing.__globals__ is notebook:
            parts += [thing.__defaults__, thing.__kwdefaults__]
            parts += _closed_over(thing)
            for code in _nested(thing.__code__):
                parts += _named(code, notebook)
    elif _module(thing) == notebook.get("__name__"):  # a class of the notebook, or an object of one
        parts += [*vars(thing).values(), *(thing.__bases__ if isinstance(thing, type) else [type(thing)])]
    return parts


def _closed_over(function: FunctionType) -> list[object]:
    values = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # a cell that is not filled yet
            values.append(cell.cell_contents)
    return values


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _named(code: CodeType, notebook: dict[str, object]) -> Iterator[object]:
    """What the names in ``code`` stand for: globals, attributes of modules, imports."""
    thing = imported = wanted = None
    instructions = [i for i in dis.get_instructions(code) if i.opname != "EXTENDED_ARG"]
    for number, instruction in enumerate(instructions):
        operation, name = instruction.opname, instruction.argval
        if operation in ("LOAD_ATTR", "LOAD_METHOD") and isinstance(thing, ModuleType):
            thing = vars(thing).get(name)  # torch.nn.utils.prune: only where the dots end counts
            continue
        yield thing
        thing = None
        if operation in ("LOAD_GLOBAL", "LOAD_NAME"):
            thing = notebook.get(name)
        elif operation == "IMPORT_NAME":
            imported = sys.modules.get(name, ModuleType(name))
            wanted = instructions[number - 1].argval  # the names after `from ... import`, None for `import ...`
            thing = imported if wanted is None else None
        elif operation == "IMPORT_FROM" and wanted and imported is not None:
            thing = vars(imported).get(name, ModuleType(f"{imported.__name__}.{name}"))


def _module(thing: object) -> str:
    """The module that ``thing``, or else its type, comes from."""
    if isinstance(thing, ModuleType):
        return thing.__name__
    module = getattr(thing, "__module__", None)
    return module if isinstance(module, str) else type(thing).__module__


def _is_ready(module: str) -> bool:
    package, _, rest = module.partition(".")
    if package == "gpt2_lib":
        return rest.partition(".")[0] not in NEUTRAL
    return module == PRUNE or module.startswith(PRUNE + ".")
