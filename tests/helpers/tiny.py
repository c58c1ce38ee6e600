"""Models small enough to test with, and the same models in transformers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from gpt2_lib import GPT2, GPT2Config
from gpt2_lib.tokenizer import END, Tokenizer

if TYPE_CHECKING:
    import transformers

TINY = GPT2Config(vocab_size=300, n_positions=32, n_embd=24, n_layer=2, n_head=4)
UNEVEN = replace(TINY, heads=(3, 1), neurons=(40, 7))  # what structured pruning leaves

CONV1D = ("c_attn.weight", "c_fc.weight", "c_proj.weight")


def random_model(config: GPT2Config = TINY, seed: int = 0) -> GPT2:
    """A model in which every parameter, biases and LayerNorm too, is random."""
    torch.manual_seed(seed)
    model = GPT2(config).init_weights().eval()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.05 * torch.randn_like(p)
        model.wpe.weight *= 10  # else greedy text is one token over and over, and proves little
    return model


def tokenizer(vocab_size: int = TINY.vocab_size) -> Tokenizer:
    """A small byte-level BPE."""
    text = "To be, or not to be: that is the question:\nWhether 'tis nobler in the mind to suffer\nThe slings"
    return Tokenizer.train([text], vocab_size)


def tokenizer_with_end(vocab_size: int = TINY.vocab_size, end: str = END, **special: str) -> Tokenizer:
    """The same, whose last token is the special ``end``, as GPT-2's is. ``special``: {role: token}."""
    bpe = tokenizer(vocab_size - 1).bpe
    bpe.add_special_tokens([end])
    return Tokenizer(bpe, special)


def in_transformers(model: GPT2) -> transformers.GPT2LMHeadModel:
    """The same model as transformers builds it, without a detour over files."""
    import transformers  # takes seconds, and few tests need it

    c = model.config
    config = transformers.GPT2Config(
        vocab_size=c.vocab_size,
        n_positions=c.n_positions,
        n_embd=c.n_embd,
        n_layer=c.n_layer,
        n_head=c.n_head,
        bos_token_id=None,
        eos_token_id=None,
        resid_pdrop=c.dropout,
        embd_pdrop=c.dropout,
        attn_pdrop=c.dropout,
    )
    with torch.device("meta"):  # no time lost on drawing weights that are replaced
        twin = transformers.GPT2LMHeadModel(config)
    weights = {
        f"transformer.{name}": p.detach().t().contiguous() if name.endswith(CONV1D) else p.detach()
        for name, p in model.named_parameters()
    }
    twin.load_state_dict(weights | {"lm_head.weight": weights["transformer.wte.weight"]}, assign=True)
    twin.tie_weights()
    return twin.eval()


def bpe_of(model: GPT2) -> Tokenizer:
    """The model's tokenizer, which is one of this library's."""
    assert isinstance(model.tokenizer, Tokenizer)
    return model.tokenizer


def random_ids(config: GPT2Config, batch: int, length: int, seed: int = 0) -> torch.Tensor:
    """Token ids (batch, length)."""
    return torch.randint(config.vocab_size, (batch, length), generator=torch.Generator().manual_seed(seed))
