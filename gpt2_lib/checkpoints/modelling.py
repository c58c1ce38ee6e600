"""The modelling code that transformers needs for blocks of different sizes, written beside the weights."""

from __future__ import annotations

from typing import Any

NAME, CONFIG = "PrunedGPT2LMHeadModel", "PrunedGPT2Config"
FILE = "modeling_pruned_gpt2.py"
# A type of its own: without trust_remote_code transformers says that it needs that. As a "gpt2" it would be built with
# all its heads, and the weights would not fit.
TYPE = "pruned_gpt2"
SETTINGS: dict[str, Any] = {  # what config.json says of it
    "model_type": TYPE,
    "architectures": [NAME],
    "auto_map": {
        "AutoConfig": f"{FILE.removesuffix('.py')}.{CONFIG}",
        "AutoModelForCausalLM": f"{FILE.removesuffix('.py')}.{NAME}",
    },
}
CODE = '''"""GPT-2 with its own number of attention heads and feed-forward neurons in each block."""

from transformers import GPT2Config, GPT2LMHeadModel
from transformers.models.gpt2.modeling_gpt2 import GPT2MLP
from transformers.pytorch_utils import Conv1D


class PrunedGPT2Config(GPT2Config):
    """``heads`` and ``neurons`` have one number a block; a head is n_embd / n_head wide, as ever."""

    model_type = "pruned_gpt2"


class PrunedGPT2LMHeadModel(GPT2LMHeadModel):
    """Blocks as the configuration describes them."""

    config_class = PrunedGPT2Config

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
