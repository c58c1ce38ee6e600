"""Hugging Face: a model in a folder that `transformers` loads, and so all that is built on it.

A dense model, and one whose blocks all have the same number of neurons, load as they are:

    transformers.GPT2LMHeadModel.from_pretrained(folder)

transformers has no GPT-2 with pruned heads, or with another width in each block. For those a short modelling file
is written beside the weights, which transformers runs if it is told to trust it:

    transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)

`load_pretrained_gpt2(folder)` opens either. Zeros are stored as any number is. `save_pretrained` writes the same files,
and replaces a model that is there.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ..checkpoints import CheckpointError, not_written, save_pretrained
from .extras import DeployError


def save_for_transformers(model: nn.Module, folder: str | Path) -> Path:
    """Write ``model`` and its tokenizer, if it has one, to a new folder, whole or not at all. Returns the folder.

    Weights are float32 and keep their zeros; ``model`` is left as it is. Needs no extra: only loading needs
    transformers. Raises ValueError if ``model`` is no GPT2, or none that could be loaded again; DeployError if
    ``folder`` holds something already (it is left as it was), or can't be written.
    """
    folder = Path(folder)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DeployError(f"{folder} is there already: give a new or empty folder, or remove it.")
        save_pretrained(model, folder)
    except TypeError as error:
        raise ValueError(str(error)) from error
    except CheckpointError as error:
        raise DeployError(str(error)) from error
    except OSError as error:  # the name can't be looked for
        raise DeployError(str(not_written(folder, error))) from error
    return folder
