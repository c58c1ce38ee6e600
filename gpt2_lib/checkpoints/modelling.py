"""The modelling code that transformers needs for blocks of different sizes, written beside the weights."""

from __future__ import annotations

from typing import Any

NAME = "PrunedGPT2LMHeadModel"
FILE = "modeling_pruned_gpt2.py"
SETTINGS: dict[str, Any] = {  # what config.json says of it
    "architectures": [NAME],
    "auto_map": {"AutoModelForCausalLM": f"{FILE.removesuffix('.py')}.{NAME}"},
}
CODE = '''"""GPT-2 with its own number of attention heads and feed-forward neurons in each block."""

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
