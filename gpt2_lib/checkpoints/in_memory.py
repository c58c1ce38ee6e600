"""Conversion of a transformers GPT-2 to a GPT2 of this library, in memory. transformers itself is not imported.

The way back is `deploy.hugging_face.to_transformers`.
"""

# A model of transformers has no types here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..config import TextCodec, special_ids
from ..gpt2 import GPT2
from ..modules import unwrap
from .description import HEADS, config_of
from .errors import CheckpointError
from .precision import half_of
from .weights import HEAD, TRANSPOSED, assign, check_names


def from_transformers(model: nn.Module, tokenizer: TextCodec | None = None) -> GPT2:
    """Return a copy of a transformers GPT2LMHeadModel or GPT2Model as a `GPT2`: float32, eval mode, same device.

    ``tokenizer``: anything with encode and decode, such as transformers' own. Masks that a pruner made of the model
    stay as zeros. Raises CheckpointError for another kind of model, one with a head that is not tied to the embedding,
    quantised weights, and an adapter that is not merged.
    """
    inner: Any = unwrap(model)
    kind = type(inner).__name__
    if not HEADS & {c.__name__ for c in type(inner).__mro__} or not hasattr(inner, "config"):
        raise CheckpointError(
            f"A GPT2LMHeadModel of transformers is needed; got a {kind}. load_pretrained_gpt2(folder) reads a folder; "
            "an adapter of PEFT is joined to its model first, with merge_and_unload()."
        )
    where = f"this {kind}"
    generation = getattr(inner, "generation_config", None)
    said = generation.to_dict() if generation is not None else {}
    config = config_of(inner.config.to_dict(), where, said)
    own = inner.config.to_diff_dict()  # without the defaults, which to_dict() has of all models
    config = replace(
        config,
        others={name: value for name, value in config.others.items() if name in own},
        generation={} if generation is None else generation.to_diff_dict(),
        dtype=half_of(p.dtype for p in inner.parameters()),
    )
    given: dict[str, Tensor] = dict(inner.named_parameters(remove_duplicate=False))
    stored = {name.removeprefix("transformer."): p.detach() for name, p in given.items()}
    with torch.device("meta"):
        made = GPT2(config)
    wanted = dict(made.named_parameters())
    check_names(where, {*wanted}, {*stored})
    if HEAD in stored and not torch.equal(stored[HEAD], stored["wte.weight"]):
        raise CheckpointError(f"{where} has a head of its own, not tied to the token embedding: choose another.")
    for name, p in wanted.items():
        weight = stored[name].t() if name.endswith(TRANSPOSED) else stored[name]
        if not weight.is_floating_point() or weight.shape != p.shape:
            raise CheckpointError(
                f"{where}: {name} is {weight.dtype} of shape {tuple(weight.shape)}; floating-point numbers of shape "
                f"{tuple(p.shape)} are needed. Is the model quantised? Choose one that is not."
            )
        assign(made, name, weight.to(torch.float32, copy=True).contiguous())
    made.tokenizer = tokenizer
    made.config = replace(config, **special_ids(config, tokenizer))
    return made.eval()
