"""Has a notebook changed the tools that judge it? Taken before its first cell, compared later.

A check that has to run beside the learner's code trusts `torch.equal`, `assert`, IPython. This notes what these are,
and later names those that were replaced. It is no proof: code written for this grader can put everything back in
time. Where it can be done, a check is judged in another process instead (`judge`).
"""

from __future__ import annotations

import builtins
import importlib
import signal
import sys
import types
from collections.abc import Iterator

MODULES = ("builtins", "math", "random", "operator", "itertools", "time", "traceback", "linecache", "inspect", "dis")
MODULES += ("signal", "threading", "contextlib", "torch", "torch.nn", "torch.nn.functional", "torch.testing", "numpy")
CLASSES = ("torch.Tensor", "torch._C.TensorBase", "torch.nn.Module", "torch.nn.Parameter", "torch.optim.Optimizer")
CLASSES += ("IPython.core.interactiveshell.InteractiveShell", "ipykernel.zmqshell.ZMQInteractiveShell")
CLASSES += ("ipykernel.ipkernel.IPythonKernel", "ipykernel.kernelbase.Kernel", "jupyter_client.session.Session")
CLASSES += ("ipykernel.displayhook.ZMQShellDisplayHook",)
FUNCTIONS = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    type,
)
OWN = "gpt2_lib"
TRANSFORMERS = ("ast_transformers", "input_transformers_cleanup", "input_transformers_post")


class Witness:
    """What the tools are now; `changed` names those that are something else later."""

    def __init__(self, shell: object) -> None:
        self._shell = shell
        own = [m for m in sys.modules if m == OWN or m.startswith(OWN + ".")]
        self._places = {name: vars(importlib.import_module(name)) for name in (*MODULES, *own)}
        for name in CLASSES:
            module, _, cls = name.rpartition(".")
            self._places[name] = vars(getattr(importlib.import_module(module), cls))
        for module in own:
            for name, value in list(vars(sys.modules[module]).items()):
                if isinstance(value, type) and value.__module__ == module:
                    self._places[f"{module}.{name}"] = vars(value)
        self._before = {place: dict(self._tools(names)) for place, names in self._places.items()}
        self._shell_before = self._of_shell()

    def changed(self) -> list[str]:
        """Dotted names of the tools that are not what they were, at most ten."""
        found = []
        for place, before in self._before.items():
            now = self._places[place]
            found += [f"{place}.{n}" for n, (tool, inside) in before.items() if _differs(now.get(n), tool, inside)]
        now = self._of_shell()
        found += [f"IPython's {name}" for name, value in self._shell_before.items() if now[name] != value]
        return found[:10]

    @staticmethod
    def _tools(names: dict[str, object]) -> Iterator[tuple[str, tuple[object, tuple]]]:
        for name, value in list(names.items()):
            if isinstance(value, FUNCTIONS):
                yield name, (value, _inside(value))

    def _of_shell(self) -> dict[str, object]:
        shell = self._shell
        state = {name: [id(t) for t in getattr(shell, name)] for name in TRANSFORMERS}
        state["replaced methods"] = sorted(n for n in vars(shell) if callable(getattr(type(shell), n, None)))
        state["handlers of exceptions"] = (
            id(shell.CustomTB) if shell.custom_exceptions else 0,
            shell.custom_exceptions,
        )
        state["display hook"] = (id(sys.displayhook), id(shell.displayhook), id(shell.display_pub))
        state["tracing"] = (sys.gettrace() is None, sys.getprofile() is None)
        state["switch for assertions"] = builtins.__debug__
        state["timer's signal"] = signal.getsignal(signal.SIGALRM)
        return state


def _inside(value: object) -> tuple:
    if isinstance(value, types.FunctionType):
        return (value.__code__, value.__defaults__, value.__kwdefaults__ and tuple(value.__kwdefaults__.items()))
    return ()


def _differs(now: object, tool: object, inside: tuple) -> bool:
    if now is not tool:
        return True
    return bool(inside) and any(a is not b and a != b for a, b in zip(_inside(now), inside, strict=True))
