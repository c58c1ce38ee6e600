"""A model's parameters under a plain GPT-2's names, without wrappers; an error where that is impossible."""

# nn.Module.named_modules has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from ..gpt2 import GPT2
from ..modules import unwrap, way_to_a_parameter

WRAPPERS = ("_orig_mod", "module")  # torch.compile's, and DataParallel's; they may be around one block or layer


def plain_parameters(model: nn.Module, done: str = "saved") -> tuple[GPT2, dict[str, Tensor]]:
    """Return the GPT2, and its parameters under the names and with the shapes of its configuration.

    ``done`` completes the message "can be ...". Raises TypeError for another kind of model, ValueError where
    a parameter is missing, has another shape or no numbers, or is one that a GPT2 lacks: the model could not be loaded
    again.
    """
    inner = unwrap(model)
    if not isinstance(inner, GPT2):
        raise TypeError(f"Only a GPT2 of this library can be {done}; got {type(inner).__name__}.{_hint(inner)}")
    found = {_plain(name): p.detach() for name, p in inner.named_parameters(remove_duplicate=False)}
    with torch.device("meta"):
        wanted = {name: p.shape for name, p in GPT2(inner.config).named_parameters()}
    for name in sorted(wanted.keys() | found.keys()):
        shape = found[name].shape if name in found else None
        if shape is None or shape != wanted.get(name):
            raise ValueError(
                f"The model's parameter {name} is not as its configuration describes it ({_shown(shape)}, should be "
                f"{_shown(wanted.get(name))}), so it can't be {done} as it is: {_way_out(inner, name)}."
            )
        p = found[name]
        if p.is_meta or p.layout != torch.strided or not p.is_floating_point():
            kind = "on the meta device" if p.is_meta else f"of {p.dtype} and {p.layout}"
            raise ValueError(
                f"The model's parameter {name} is {kind}, and floating-point numbers are needed: load the weights, or "
                "make them dense, first."
            )
    return inner, {name: found[name] for name in wanted}


def _hint(model: nn.Module) -> str:
    if any("lora_" in name for name, _ in model.named_parameters()):
        return " It has an adapter: merge it first, in PEFT with model = model.merge_and_unload()."
    if hasattr(model, "save_pretrained"):
        return " It has a save_pretrained of its own, whose folder load_pretrained_gpt2 opens."
    return ""


def _plain(name: str) -> str:
    """Return the name without the parts that a wrapper around a block or a layer adds."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _shown(shape: torch.Size | None) -> str:
    return "absent" if shape is None else str(tuple(shape))


def _way_out(model: GPT2, name: str) -> str:
    """Return the advice that turns the layer with the parameter ``name`` back into a plain one."""
    owner = re.sub(r"\.(parametrizations|lora_|base_layer).*|\.[^.]*$", "", name, count=1)
    for path, layer in model.named_modules():
        if _plain(path) != owner or path.rpartition(".")[2] in WRAPPERS:
            continue
        if any(child.startswith(("lora_", "base_layer")) for child, _ in layer.named_children()):
            return f"{owner} has an adapter; merge it first, in PEFT with model = model.merge_and_unload()"
        for leaf in ("weight", "bias"):
            if way := way_to_a_parameter(layer, leaf):
                python = re.sub(r"\.(\d+)", r"[\1]", f"model.{owner}")
                return f"make it a parameter again, its masks applied, with {way.replace('(layer,', f'({python},')}"
    return "a plain GPT2 is needed, its masks applied"
