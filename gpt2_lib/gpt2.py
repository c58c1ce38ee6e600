"""The GPT-2 model: attention, feed-forward part, block, and the whole. Nothing else.

Parameter names are those of the original checkpoint (``wte``, ``wpe``, ``h.0.attn.c_attn``, ...).
Weights have PyTorch's ``nn.Linear`` layout, ``(out_features, in_features)``; Hugging Face stores
them transposed, and `checkpoints` turns them. In the comments B is the batch, T the tokens of this
call, S the tokens seen so far (cache included), C the width of the model, N a block's number of
heads and H the size of one head.

Source: Radford et al. (2019), "Language Models are Unsupervised Multitask Learners".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import GPT2Config, ModelOrTokenizer, TextCodec


class KVCache:
    """Keys and values of the tokens that a model has processed, so that each is computed once.

    Room for ``length`` tokens is allocated when the first ones arrive, and filled from the left.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.seen = 0  # tokens of all earlier calls
        self._blocks: dict[int, Tensor] = {}

    def extend(self, block: int, kv: Tensor) -> Tensor:
        """Store a block's new keys and values (2, B, N, T, H); return all of them (2, B, N, S, H)."""
        if block not in self._blocks:
            _, B, N, _, H = kv.shape
            self._blocks[block] = kv.new_empty(2, B, N, self.length, H)
        end = self.seen + kv.size(3)
        self._blocks[block][:, :, :, self.seen : end] = kv
        return self._blocks[block][:, :, :, :end]


class Attention(nn.Module):
    """Causal multi-head self-attention over ``n_head`` heads of ``head_size``."""

    def __init__(self, config: GPT2Config, block: int) -> None:
        super().__init__()
        self.block = block
        self.n_head = config.heads[block]
        self.head_size = config.head_size
        self.dropout = config.dropouts[2]
        inner = self.n_head * self.head_size
        self.c_attn = nn.Linear(config.n_embd, 3 * inner)
        self.c_proj = nn.Linear(inner, config.n_embd)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        B, T, _ = x.shape
        qkv = self.c_attn(x).view(B, T, 3, self.n_head, self.head_size)  # (B, T, 3, N, H)
        qkv = qkv.permute(2, 0, 3, 1, 4)  # (3, B, N, T, H)
        q, kv = qkv[0], qkv[1:]
        past = 0
        if cache is not None:
            past = cache.seen
            kv = cache.extend(self.block, kv)  # (2, B, N, S, H)
        k, v = kv
        p = self.dropout if self.training else 0.0
        if past == 0 or T == 1:  # one new token may attend to everything before it
            y = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=T > 1)
        else:
            visible = torch.ones(T, past + T, dtype=torch.bool, device=x.device).tril(past)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=visible, dropout_p=p)
        return self.c_proj(y.transpose(1, 2).reshape(B, T, -1))  # (B, T, C)


class FeedForward(nn.Module):
    """Two linear layers with GELU (tanh approximation, as in the original) between them."""

    def __init__(self, config: GPT2Config, block: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(config.n_embd, config.neurons[block])
        self.c_proj = nn.Linear(config.neurons[block], config.n_embd)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))  # (B, T, C)


class Block(nn.Module):
    """One transformer block: LayerNorm before each part, a residual connection around it."""

    def __init__(self, config: GPT2Config, block: int) -> None:
        super().__init__()
        self.dropout = config.dropout
        self.ln_1 = nn.LayerNorm(config.n_embd)
        self.attn = Attention(config, block)
        self.ln_2 = nn.LayerNorm(config.n_embd)
        self.mlp = FeedForward(config, block)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        x = x + F.dropout(self.attn(self.ln_1(x), cache), self.dropout, self.training)
        return x + F.dropout(self.mlp(self.ln_2(x)), self.dropout, self.training)


def _embedding(rows: int, width: int) -> nn.Embedding:
    """Return an embedding of zeros, which `GPT2.init_weights` or a checkpoint fills.

    nn.Embedding would draw from a normal distribution, and to do so on the meta device, where
    checkpoints build their model, PyTorch imports its compiler: 70 MB and a second for nothing.
    """
    return nn.Embedding.from_pretrained(  # pyright: ignore[reportUnknownMemberType]  its arguments have no types
        torch.zeros(rows, width), freeze=False
    )


class GPT2(nn.Module):
    """GPT-2 with its head tied to the token embedding.

    ``model(ids)`` takes token ids (B, T) and gives logits (B, T, V). A new model is blank until
    `init_weights`; one that `load_pretrained_gpt2` made carries its tokenizer as ``model.tokenizer``.
    """

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.config = config
        self.tokenizer: TextCodec | None = None
        self.wte = _embedding(config.vocab_size, config.n_embd)
        self.wpe = _embedding(config.n_positions, config.n_embd)
        # An nn.ModuleList; its own type doesn't say of what.
        self.h: Sequence[Block] = nn.ModuleList(  # pyright: ignore[reportAttributeAccessIssue]
            Block(config, i) for i in range(config.n_layer)
        )
        self.ln_f = nn.LayerNorm(config.n_embd)

    @torch.no_grad()
    def init_weights(self) -> GPT2:
        """Draw initial weights as in the paper: std 0.02, residual projections / sqrt(2 layers)."""
        for name, p in self.named_parameters():
            if name.endswith("bias"):
                p.zero_()
            elif "ln_" not in name:
                residual = name.endswith("c_proj.weight")
                p.normal_(0.0, 0.02 / math.sqrt(2 * self.config.n_layer) if residual else 0.02)
        return self

    def embed(self, ids: Tensor, cache: KVCache | None = None) -> Tensor:
        """Return the embeddings (B, T, C) of tokens and their positions: the input of the first block.

        ids: int64 (B, T), each in [0, vocab_size). With a ``cache``, ``ids`` are the tokens after
        those it has seen. Raises ValueError for a wrong shape, ids out of range, or more tokens
        than ``n_positions``.
        """
        past = cache.seen if cache is not None else 0
        self._check(ids, past, cache)
        ids = ids.to(self.wte.weight.device)  # texts are encoded on the CPU
        return self.wte(ids) + self.wpe.weight[past : past + ids.size(1)]

    def hidden(self, ids: Tensor, cache: KVCache | None = None) -> Tensor:
        """Return hidden states (B, T, C) after the last LayerNorm, before the head; ids and errors as in `embed`."""
        x = F.dropout(self.embed(ids, cache), self.config.dropouts[1], self.training)
        for block in self.h:
            x = block(x, cache)
        if cache is not None:
            cache.seen += ids.size(1)
        return self.ln_f(x)

    def head(self, x: Tensor) -> Tensor:
        """Return logits (..., V) of hidden states (..., C)."""
        return F.linear(x, self.wte.weight)

    def next_logits(self, ids: Tensor, cache: KVCache | None = None) -> Tensor:
        """Return logits (B, V) of the token after ``ids`` (B, T); ``cache`` and errors as in `hidden`."""
        return self.head(self.hidden(ids, cache)[:, -1])

    def forward(self, ids: Tensor, cache: KVCache | None = None) -> Tensor:
        return self.head(self.hidden(ids, cache))

    def __iter__(self) -> Iterator[ModelOrTokenizer]:
        """Yield the model and its tokenizer, for ``model, tokenizer = load_pretrained_gpt2()``."""
        return iter((self, self.tokenizer))

    def _check(self, ids: Tensor, past: int, cache: KVCache | None) -> None:
        if torch.compiler.is_compiling():
            return
        if ids.dim() != 2 or ids.numel() == 0 or ids.dtype not in (torch.int64, torch.int32):
            raise ValueError(
                f"Token ids must be int64 of shape (B, T), one token at least; got {ids.dtype} {tuple(ids.shape)}."
            )
        limit = self.config.n_positions if cache is None else min(cache.length, self.config.n_positions)
        if past + ids.size(1) > limit:
            raise ValueError(
                f"{past + ids.size(1)} tokens are more than the {limit} this model (or its cache) can see: "
                "shorten the text."
            )
        if ids.is_meta:
            raise ValueError(
                "The token ids are on the meta device, where the model is: it has shapes, but no numbers. Load its "
                "weights first, for example with load_pretrained_gpt2."
            )
        low, high = ids.aminmax()
        if low < 0 or high >= self.config.vocab_size:
            raise ValueError(
                f"Token ids must lie in [0, {self.config.vocab_size}); got {int(low)} to {int(high)}. "
                "Was the text encoded with another model's tokenizer?"
            )
