"""Has a notebook changed the tools that judge it? Taken before its first cell, compared later.

A check that has to run beside the learner's code trusts `torch.equal`, `assert`, IPython. This notes what these are,
and later names those that were replaced. It is no proof: code written for this grader can put everything back in
time. Where it can be done, a check is judged in another process instead (`judge`).
"""

from __future__ import annotations

import ast
import builtins
import importlib
import signal
import sys
import types
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipykernel.zmqshell import ZMQInteractiveShell

MODULES = ("builtins", "math", "random", "operator", "itertools", "time", "traceback", "linecache", "inspect", "dis")
MODULES += ("signal", "threading", "contextlib", "torch", "torch.nn", "torch.nn.functional", "torch.testing", "numpy")
CLASSES = ("torch.Tensor", "torch._C.TensorBase", "torch.nn.Module", "torch.nn.Parameter", "torch.optim.Optimizer")
CLASSES += ("IPython.core.interactiveshell.InteractiveShell", "ipykernel.zmqshell.ZMQInteractiveShell")
CLASSES += ("ipykernel.ipkernel.IPythonKernel", "ipykernel.kernelbase.Kernel", "jupyter_client.session.Session")
CLASSES += ("ipykernel.displayhook.ZMQShellDisplayHook", "contextlib._GeneratorContextManager")
FUNCTIONS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodType,
    type,
)
OWN = "gpt2_lib"
HANDLERS = ("shell_handlers", "control_handlers")
TRANSFORMERS = ("ast_transformers", "input_transformers_cleanup", "input_transformers_post")


class Witness:
    """What the tools are now; `changed` names those that are something else later."""

    def __init__(self, shell: ZMQInteractiveShell) -> None:
        self._shell = shell
        self._names = set(shell.user_ns)
        own = [m for m in sys.modules if m == OWN or m.startswith(OWN + ".")]
        self._places = {name: vars(importlib.import_module(name)) for name in (*MODULES, *own)}
        self._modules = {name: sys.modules[name] for name in self._places}
        classes = {}
        for name in CLASSES:
            module, _, cls = name.rpartition(".")
            classes[name] = getattr(importlib.import_module(module), cls)
        for module in own:
            for name, value in list(vars(sys.modules[module]).items()):
                if isinstance(value, type) and value.__module__ == module:
                    classes[f"{module}.{name}"] = value
        self._classes = {name: (cls, set(vars(cls))) for name, cls in classes.items()}
        objects = {"progress": sys.modules[f"{OWN}.progress"].progress, "the kernel": shell.kernel}
        objects |= {"the kernel's session": shell.kernel.session, "the compiler": shell.compile}
        self._objects = {name: (thing, _methods(thing)) for name, thing in objects.items()}
        self._places |= {name: vars(cls) for name, cls in classes.items()}
        self._places |= {f"the kernel's {name}": getattr(shell.kernel, name) for name in HANDLERS}
        self._before = {place: dict(self._tools(names)) for place, names in self._places.items()}
        self._shell_before = self._of_shell()

    def changed(self) -> list[str]:
        """Dotted names of the tools that are not what they were, at most ten."""
        names, found = self._shell.user_ns, []
        if not any(names.get("__builtins__") is place for place in (builtins, vars(builtins))):
            found.append("__builtins__")
        found += [f"the module {name}" for name, module in self._modules.items() if sys.modules.get(name) is not module]
        if sys.modules[f"{OWN}.progress"].__dict__.get("progress") is not self._objects["progress"][0]:
            found.append(f"{OWN}.progress.progress")
        for name, (thing, before) in self._objects.items():
            found += [f"{name}'s {method}" for method in _methods(thing) - before]
        for name, (cls, before) in self._classes.items():
            hidden = {n for n in set(vars(cls)) - before if any(n in vars(base) for base in cls.__mro__[1:])}
            found += [f"{name}.{n}" for n in sorted(hidden)]
        for place, before in self._before.items():
            now = self._places[place]
            found += [f"{place}.{n}" for n, (tool, inside) in before.items() if _differs(now.get(n), tool, inside)]
        now = self._of_shell()
        found += [f"IPython's {name}" for name, value in self._shell_before.items() if now[name] != value]
        return found[:10]

    def hidden(self, builtin: Collection[str]) -> list[str]:
        """Those names of Python's own that mean something else in the notebook, honestly or not."""
        names = self._shell.user_ns
        mine = names.keys() - self._names
        return [name for name in builtin if name in mine and names[name] is not getattr(builtins, name)]

    @staticmethod
    def _tools(names: dict[str, object]) -> Iterator[tuple[str, tuple[object, tuple]]]:
        for name, value in list(names.items()):
            if isinstance(value, FUNCTIONS):
                yield name, (value, _inside(value))

    def _of_shell(self) -> dict[str, object]:
        shell = self._shell
        state: dict[str, object] = {name: [id(t) for t in getattr(shell, name)] for name in TRANSFORMERS}
        state["replaced methods"] = sorted(n for n in vars(shell) if callable(getattr(type(shell), n, None)))
        state["handlers of exceptions"] = (
            id(shell.CustomTB) if shell.custom_exceptions else 0,
            shell.custom_exceptions,
        )
        state["display hook"] = (id(sys.displayhook), id(shell.displayhook), id(shell.display_pub))
        state["tracing"] = (sys.gettrace() is None, sys.getprofile() is None)
        state["events"] = [
            repr(f) for fs in shell.events.callbacks.values() for f in fs if getattr(f, "__module__", "") == "__main__"
        ]
        state["switch for assertions"] = builtins.__debug__  # pyright: ignore[reportAttributeAccessIssue]  # it is there
        state["timer's signal"] = signal.getsignal(signal.SIGALRM)
        return state


def tools_of(check: str) -> list[str]:
    """The names of Python's own that a check uses."""
    used = {node.id for node in ast.walk(ast.parse(check)) if isinstance(node, ast.Name)}
    return sorted(used & set(dir(builtins)))


def _methods(thing: object) -> set[str]:
    """Which of an object's methods are its own, not its class's."""
    return {name for name in vars(thing) if callable(getattr(type(thing), name, None))}


def _inside(value: object) -> tuple:
    if isinstance(value, types.FunctionType):
        return (value.__code__, value.__defaults__, value.__kwdefaults__ and tuple(value.__kwdefaults__.items()))
    return ()


def _differs(now: object, tool: object, inside: tuple) -> bool:
    if now is not tool:
        return True
    return bool(inside) and any(a is not b and a != b for a, b in zip(_inside(now), inside, strict=True))
