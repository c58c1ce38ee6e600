"""The registry of methods by name, for `ModelPruner.prune`, `compare`, the experiments and the command line.

A new method is a function in `one_shot` and an entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import Parameter, signature
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from .. import selection
from ..targets import as_gpt2, matrices
from . import one_shot
from .one_shot import Choose
from .plan import Plan, Sparsity, make_plan

Text: TypeAlias = Literal["no", "needed", "better with"]


@dataclass(frozen=True)
class Method:
    """A method that prunes in one shot, of this library or a user's own.

    ``text``: whether it looks at calibration text. ``n_m``: whether it also prunes n:m, such as 2:4. ``choose``: the
    function of `one_shot`; None for what cuts whole heads and neurons, by `ModelPruner.prune_structures`.
    """

    name: str  # as typed
    title: str  # as shown
    paper: str
    choose: Choose | None
    text: Text = "no"
    n_m: bool = False
    by_block: bool = False  # cuts in place, block by block, and may correct what stays


HAN = "Han et al., 2015, Learning both Weights and Connections"
RENDA = "Renda et al., 2020, Comparing Rewinding and Fine-tuning in Neural Network Pruning"
NARANG = "Narang et al., 2017, Block-Sparse Recurrent Neural Networks"
UNITS = "Li et al., 2017, Pruning Filters for Efficient ConvNets; with text, after Wanda, of whole columns"
MOLCHANOV = "Molchanov et al., 2017, Pruning Convolutional Neural Networks for Resource Efficient Inference"
SUN = "Sun et al., 2023, A Simple and Effective Pruning Approach for Large Language Models"
FRANTAR = "Frantar & Alistarh, 2023, SparseGPT"
BOZA = "Boža, 2024, Fast and Effective Weight Update for Pruned Large Language Models"

_ALL = (
    Method("magnitude", "magnitude, layer by layer", HAN, one_shot.magnitude, n_m=True),
    Method("magnitude-global", "magnitude, global", RENDA, one_shot.magnitude_global),
    Method("rectangles", "rectangles of 16 x 16", NARANG, one_shot.rectangles),
    Method("structured", "structured", UNITS, None, "better with"),
    Method("random", "random", "none: chance", one_shot.random, n_m=True),
    Method("taylor", "Taylor, layer by layer", MOLCHANOV, one_shot.taylor, "needed", n_m=True),
    Method("taylor-global", "Taylor, global", MOLCHANOV, one_shot.taylor_global, "needed"),
    Method("wanda", "Wanda", SUN, one_shot.wanda, "needed", n_m=True, by_block=True),
    Method("sparsegpt", "SparseGPT", FRANTAR, one_shot.sparsegpt_, "needed", n_m=True, by_block=True),
    Method("admm", "ADMM", BOZA, one_shot.admm_, "needed", n_m=True, by_block=True),
)
METHODS = {method.name: method for method in _ALL}  # in the order in which tables show them


def find_method(name: object) -> Method:
    """Return the method called ``name``, or that of a function of your own. Raises ValueError for any other."""
    if callable(name):
        title = getattr(name, "__name__", "<unnamed>")
        if title.startswith("<"):  # a lambda's
            raise ValueError("A function without a name can't be told from others: give {name: function}.")
        return _own(title, name)
    if not isinstance(name, str) or name not in METHODS:
        shown = repr(name) if isinstance(name, str | float | int) else f"a {type(name).__name__}"
        raise ValueError(f"No method is called {shown}. There are: {', '.join(METHODS)}.")
    return METHODS[name]


def _own(name: str, function: Callable[..., Any]) -> Method:
    text = _text_for(name, function)
    choose = partial(one_shot.own, function=function, with_text=text != "no")
    return Method(name, name, "your own", choose, text, n_m=True)


def _text_for(name: str, function: Callable[..., Any]) -> Text:
    """Return whether a function wants text: it does if an argument after the first is called ``text``."""
    try:
        arguments = [*signature(function).parameters.values()]
    except ValueError:  # one of C
        return "no"
    varying = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    missing = [a.name for a in arguments[1:] if a.default is a.empty and a.kind not in varying and a.name != "text"]
    if not arguments or missing:
        given = ", ".join(a.name for a in arguments) or "no arguments"
        raise ValueError(
            f"A method's function takes a model, and text if it looks at text; {name} takes {given}. Give any other "
            "argument a default, or a value by functools.partial."
        )
    wanted = [a for a in arguments[1:] if a.name == "text"]
    return "no" if not wanted else "needed" if wanted[0].default is Parameter.empty else "better with"


def methods_of(given: object) -> list[Method]:
    """Return the methods of a name, a function, {name: function}, or a list of these. Raises ValueError."""
    if isinstance(given, Method):
        return [given]
    if isinstance(given, str) or callable(given):
        return [find_method(given)]
    if isinstance(given, Mapping):
        return [_own(str(name), found) if callable(found) else find_method(found) for name, found in given.items()]
    if not isinstance(given, Iterable):
        return [find_method(given)]  # an error
    return [method for one in given for method in methods_of(one)]


def check_needs(method: Method, has_text: bool, n_m: tuple[int, int] | None) -> None:
    """Raise ValueError where a method that needs text gets none, or one that can't prune n:m is asked to."""
    if method.text == "needed" and not has_text:
        raise ValueError(f"{method.name} needs text: give text=, windows of token ids or batches.")
    if n_m is not None and not method.n_m:
        able = ", ".join(other.name for other in METHODS.values() if other.n_m)
        raise ValueError(f"{method.name} doesn't prune n:m: give a sparsity, or take one of {able}.")


def plan_of(
    model: nn.Module,
    method: Method,
    sparsity: Sparsity | None,
    n_m: tuple[int, int] | None = None,
    names: Iterable[str] | None = None,
    ignore: Iterable[str] = (),
) -> Plan:
    """Return the plan of what ``method`` prunes. Raises ValueError for what it can never do; nothing is computed."""
    if method.choose is not None:
        plan = make_plan(model, sparsity, n_m, names, ignore)
        if method.name.endswith("-global"):
            plan.one_fraction(method.title)
        return plan
    if sparsity is None or isinstance(sparsity, Mapping) or [*ignore] or names is not None:
        raise ValueError(
            "structured takes one fraction for the heads and neurons of all blocks, such as 0.25, and neither "
            "names nor ignore; prune_structures takes one for each block."
        )
    config = as_gpt2(model).config
    for units in (*config.heads, *config.neurons):
        selection.keep_units(torch.zeros(units), sparsity)  # raises an error where none would stay
    return Plan({})


def enough_tokens(model: nn.Module, method: Method, plan: Plan) -> int:
    """Return the number of tokens below which ``method`` can't calibrate: as many as its widest matrix has inputs."""
    if method.text == "no" or not (method.by_block or method.choose is None):
        return 0
    return max(w.size(1) for w in matrices(model, plan.names or None).values())


def method_table() -> str:
    """Return the methods as a Markdown table."""
    lines = ["| name | calibration text | n:m | paper |", "|-|-|-|-|"]
    lines += [f"| {m.name} | {m.text} | {'yes' if m.n_m else 'no'} | {m.paper} |" for m in METHODS.values()]
    return "\n".join(lines)
