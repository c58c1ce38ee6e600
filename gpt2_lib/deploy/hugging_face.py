"""Hugging Face: a model in a folder that `transformers` loads, and so all that is built on it.

A dense model, and one whose blocks all have the same number of neurons, load as they are:

    transformers.GPT2LMHeadModel.from_pretrained(folder)

transformers has no GPT-2 with pruned heads, or with another width in each block. For those a short modelling file
is written beside the weights, which transformers runs if it is told to trust it:

    transformers.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)

`load_pretrained_gpt2(folder)` opens either. Zeros are stored as any number is.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from ..checkpoints import save_pretrained
from ..gpt2 import GPT2
from .extras import DeployError

MODELLING_FILE = "modeling_pruned_gpt2.py"
MODELLING = '''"""GPT-2 with its own number of attention heads and feed-forward neurons in each block."""

from transformers import GPT2LMHeadModel
from transformers.models.gpt2.modeling_gpt2 import GPT2MLP
from transformers.pytorch_utils import Conv1D


class PrunedGPT2LMHeadModel(GPT2LMHeadModel):
    """``config.heads`` and ``config.neurons`` have one number a block; a head is n_embd / n_head wide, as ever."""

    def __init__(self, config):
        super().__init__(config)
        for block, heads, neurons in zip(self.transformer.h, config.heads, config.neurons):
            attn = block.attn
            inner = heads * attn.head_dim
            attn.num_heads, attn.split_size = heads, inner
            attn.c_attn = Conv1D(3 * inner, config.n_embd)
            attn.c_proj = Conv1D(config.n_embd, inner)
            block.mlp = GPT2MLP(neurons, config)
        self.post_init()
'''


def save_for_transformers(model: GPT2, folder: str | Path) -> Path:
    """Write ``model`` and its tokenizer, if it has one, to a new folder, whole or not at all. Returns the folder.

    Weights are float32 and keep their zeros; ``model`` is left as it is. Needs no extra: only loading needs
    transformers. Raises ValueError if ``model`` is no GPT2; DeployError if ``folder`` holds something already (it
    is left as it was), or can't be written.
    """
    if not isinstance(model, GPT2):
        raise ValueError(f"Only a GPT2 of this library can be saved; got {type(model).__name__}.")
    folder = Path(folder)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DeployError(f"{folder} is there already: give a new or empty folder, or remove it.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
            new = Path(scratch, "new")
            save_pretrained(model, new)
            _name_the_class(new)
            if model.tokenizer is not None:
                _describe_tokenizer(new, model.config.n_positions)
            if folder.exists():  # it is empty, and Windows replaces no folder
                folder.rmdir()
            os.replace(new, folder)
    except OSError as error:
        raise DeployError(f"Can't write {folder}: {error}. Choose a folder you may write to, with room.") from error
    return folder


def _name_the_class(folder: Path) -> None:
    """Write the modelling file, and have config.json point to it, if the blocks are of different sizes."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if "heads" not in config:  # where all is as transformers has it, there is no list
        return
    name = "PrunedGPT2LMHeadModel"
    config |= {
        "architectures": [name],
        "auto_map": {"AutoModelForCausalLM": f"{MODELLING_FILE.removesuffix('.py')}.{name}"},
    }
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / MODELLING_FILE).write_text(MODELLING, encoding="utf-8")


def _describe_tokenizer(folder: Path, n_positions: int) -> None:
    """AutoTokenizer reads tokenizer.json only if told its class; it would tidy spaces unless told not to."""
    description = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": n_positions,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
