"""Hugging Face: export to a folder that `transformers`, and all that is built on it, loads.

A dense model, and one whose blocks all have the same number of neurons, load as they are:

    transformers.GPT2LMHeadModel.from_pretrained(folder)

transformers has no GPT-2 with pruned heads, or with another width in each block. For those a short modelling file
is written beside the weights, which transformers runs if it is told to trust it:

    transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)

`load_pretrained_gpt2(folder)` opens either. Zeros are stored as any number is. `save_pretrained` writes the same files,
and replaces a model that is there. Without a folder: `to_transformers` here, and `from_transformers` in `checkpoints`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..checkpoints import (
    TRANSPOSED,
    CheckpointError,
    config_json,
    generation_json,
    not_written,
    plain_parameters,
    save_pretrained,
)
from ..modules import unwrap
from .extras import DeployError, need

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel


def save_for_transformers(model: nn.Module, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
    """Write ``model`` and its tokenizer, if it has one, to a new folder, whole or not at all. Returns the folder.

    Weights are written in ``dtype``, chosen as in `save_pretrained`, and keep their zeros; ``model`` is left as it is.
    Needs no extra: only loading needs transformers. Raises ValueError if ``model`` is no GPT2, or none that could be
    loaded again; DeployError if ``folder`` holds something already (it is left as it was), or can't be written.
    """
    unwrap(model)  # is it one? It may have been given after the folder
    folder = Path(folder)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DeployError(f"{folder} is there already: give a new or empty folder, or remove it.")
        save_pretrained(model, folder, dtype)
    except TypeError as error:
        raise ValueError(str(error)) from error
    except CheckpointError as error:
        raise DeployError(str(error)) from error
    except OSError as error:  # the name can't be looked for
        raise DeployError(str(not_written(folder, error))) from error
    return folder


def to_transformers(model: nn.Module) -> GPT2LMHeadModel:
    """Return a copy of ``model`` as transformers' GPT2LMHeadModel, in evaluation mode; zeros stay zeros.

    Raises MissingExtraError without transformers; TypeError for another kind of model; ValueError for one whose blocks
    differ in their heads or neurons, which transformers knows from a folder alone (`save_for_transformers`).
    """
    transformers = need("transformers", "transformers")
    inner, weights = plain_parameters(model)
    described = config_json(inner.config, None)
    if "auto_map" in described:
        raise ValueError(
            "The blocks have heads taken out, or differ in their neurons, which GPT2LMHeadModel can't hold. Save the "
            "model with save_for_transformers, and load the folder with trust_remote_code=True."
        )
    config = transformers.GPT2Config(**{name: value for name, value in described.items() if name != "model_type"})
    with torch.device("meta"):  # no time lost on drawing weights that are replaced
        made = transformers.GPT2LMHeadModel(config)
    turned = {
        f"transformer.{name}": (p.detach().t() if name.endswith(TRANSPOSED) else p.detach()).clone(
            memory_format=torch.contiguous_format
        )
        for name, p in weights.items()
    }
    made.load_state_dict(turned | {"lm_head.weight": turned["transformer.wte.weight"]}, assign=True)
    made.tie_weights()
    if generation := generation_json(inner.config, described):
        made.generation_config = transformers.GenerationConfig(**generation)
    return made.eval()
