"""Detection of library calls in a learner's answer, from the function's code and without running it.

It reminds learners who call the library's answer. It is no protection: such a call can be hidden.
"""

from __future__ import annotations

import dis
import inspect
import pkgutil
import re
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType

NEUTRAL = {
    "config",
    "gpt2",
    "plots",
    "course.faults.latency",
    "course.lesson",
    "course.page.outcome",
    "course.progress",
}  # files of gpt2_lib without answers
PRUNE = "torch.nn.utils.prune"


def borrowed(function: object, notebook: dict[str, object]) -> str | None:
    """Return the dotted name of a library function that ``function`` uses as its answer, None if there is none.

    ``notebook``: the global names of the notebook in which the function was written.

    Such functions come from gpt2_lib, apart from the NEUTRAL modules, or from torch.nn.utils.prune. An unused import
    is no fault. A proxy of a function in another process was inspected there and holds the result
    (``__borrowed__``).
    """
    if not isinstance(function, FunctionType) and "__borrowed__" in getattr(function, "__dict__", ()):
        return vars(function)["__borrowed__"]
    for thing in _reach(function, notebook):
        module = getattr(thing, "__module__", None)
        if isinstance(module, str) and _is_ready(module):
            return f"{module}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"
    return None


def code_of(function: object, notebook: dict[str, object]) -> set[CodeType]:
    """Return the code of ``function`` and of its helpers in the same notebook, nested functions included."""
    functions = [t for t in _reach(function, notebook) if isinstance(t, FunctionType) and t.__globals__ is notebook]
    return {code for f in functions for code in _nested(f.__code__)}


def _is_ready(name: str) -> bool:
    package, _, rest = name.partition(".")
    if package == "gpt2_lib":
        return rest not in NEUTRAL
    return f"{name}.".startswith(f"{PRUNE}.")


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


def _reach(function: object, notebook: dict[str, object]) -> Iterator[object]:
    """Yield ``function``, what it uses, and what its helpers in the same notebook use."""
    waiting, seen = [function], {}  # `seen` keeps its objects alive, so that no id is used twice
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, FunctionType):
            thing = inspect.unwrap(thing)  # @torch.no_grad() stands before the learner's own function
        if id(thing) not in seen:
            seen[id(thing)] = thing
            yield thing
            if isinstance(thing, FunctionType) and thing.__globals__ is notebook:
                waiting += _used(thing.__code__, notebook, {})
            elif isinstance(thing, type) and thing.__module__ == notebook.get("__name__"):
                waiting += [*vars(thing).values(), *thing.__bases__]


def _used(code: CodeType, notebook: dict[str, object], imported: dict[str, str]) -> Iterator[object]:
    """Yield the objects that the names in ``code`` refer to; attributes of modules are followed to their end.

    ``imported``: the names that the enclosing code has imported, {name: dotted name}.
    """
    imported, chains, growing = dict(imported), [], False  # chains: names with their dots
    package = target = ""
    before: object = None  # the argument of the instruction before
    for instruction in (i for i in dis.get_instructions(code) if i.opname != "EXTENDED_ARG"):
        operation, argument = instruction.opname, instruction.argval
        growing = growing and operation in ("LOAD_ATTR", "LOAD_METHOD")
        if growing:
            chains[-1] += f".{argument}"
        elif operation == "IMPORT_NAME":  # before it: the names of `from ... import`, None for `import ...`
            package = argument if before else ""
            target = package or argument.partition(".")[0]
        elif operation == "IMPORT_FROM":
            target = f"{package or target}.{argument}"
        elif not operation.endswith(("_ATTR", "_CONST")):
            names = argument if isinstance(argument, tuple) else (argument,)  # STORE_FAST_LOAD_FAST of Python 3.13
            for action, name in zip(re.findall("LOAD|STORE", operation), names, strict=False):
                thing = notebook.get(name) if operation in ("LOAD_GLOBAL", "LOAD_NAME") else None
                stands_for = imported.get(name) or (thing.__name__ if isinstance(thing, ModuleType) else None)
                growing = action == "LOAD" and stands_for is not None
                if growing:
                    chains.append(stands_for)
                elif action == "LOAD":
                    yield thing
                elif target:
                    imported[name], target = target, ""
                else:
                    imported.pop(name, None)
        before = argument
    yield from map(_named, chains)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _used(constant, notebook, imported)


def _named(dotted: str) -> object:
    """Return the library object with a dotted name; None if there is none."""
    if dotted.partition(".")[0] != "gpt2_lib" and not _is_ready(dotted):
        return None
    try:
        return pkgutil.resolve_name(dotted)
    except Exception:  # importing a broken module may raise any error
        return None
