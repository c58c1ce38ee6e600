"""The shape of a GPT-2 as a frozen dataclass, the published sizes, and the interface of a model's tokenizer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, TypeAlias


@dataclass(frozen=True)
class GPT2Config:
    """Sizes of a GPT-2, in the terms of Radford et al. (2019), section 2.3.

    ``n_head`` and ``n_embd`` are those of the unpruned model and fix the size of one head,
    ``n_embd // n_head``. ``heads`` and ``neurons`` give each block's own number of attention heads
    and of feed-forward neurons: structured pruning makes them smaller, block by block. The three ids are
    those of the tokens that begin, end and pad a text, None where the model has no such token.

    ``dropout`` acts in training, on what each part adds, on the embeddings and on the attention weights;
    ``embedding_dropout`` and ``attention_dropout`` are those of the last two where they differ. In config.json
    they are resid_pdrop, embd_pdrop and attn_pdrop. ``others`` and ``generation`` are what else a model's config.json
    says, and its generation_config.json: nothing here reads them, and saving writes them again. ``dtype`` is "float16"
    or "bfloat16" where a folder had all weights so: in memory they are float32.
    """

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    heads: tuple[int, ...] = field(default=())
    neurons: tuple[int, ...] = field(default=())
    dropout: float = 0.0
    bos_token_id: int | None = field(default=None, compare=False)  # not of the shape
    eos_token_id: int | None = field(default=None, compare=False)
    pad_token_id: int | None = field(default=None, compare=False)
    other_ends: tuple[int, ...] = field(default=(), compare=False)  # ids that end a text, too
    embedding_dropout: float | None = field(default=None, compare=False)
    attention_dropout: float | None = field(default=None, compare=False)
    others: dict[str, Any] = field(default_factory=dict[str, Any], compare=False, repr=False)
    generation: dict[str, Any] = field(default_factory=dict[str, Any], compare=False, repr=False)
    dtype: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head"):
            check_size(name, getattr(self, name))
        if self.n_embd % self.n_head:
            raise ValueError(f"n_embd ({self.n_embd}) must be a multiple of n_head ({self.n_head}).")
        object.__setattr__(self, "heads", tuple(self.heads) or (self.n_head,) * self.n_layer)
        object.__setattr__(self, "other_ends", tuple(self.other_ends))  # JSON has lists
        object.__setattr__(self, "neurons", tuple(self.neurons) or (4 * self.n_embd,) * self.n_layer)
        for name in ("heads", "neurons"):
            sizes = getattr(self, name)
            if len(sizes) != self.n_layer:
                raise ValueError(f"{name} needs {self.n_layer} positive numbers, one a block; got {sizes}.")
            for size in sizes:
                check_size(name, size)
        for rate in self.dropouts:
            if not isinstance(rate, float | int) or not 0 <= rate <= 1:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ValueError(f"dropout takes numbers from 0 to 1; got {rate!r}.")

    def of_the_model(self) -> dict[str, Any]:
        """Return the fields by name, without that of a folder alone: what other files keep."""
        found = asdict(self)
        del found["dtype"]
        return found

    @property
    def dropouts(self) -> tuple[float, float, float]:
        """Dropout of what each part adds, of the embeddings and of the attention weights."""
        others = (self.embedding_dropout, self.attention_dropout)
        embedding, attention = (self.dropout if rate is None else rate for rate in others)
        return self.dropout, embedding, attention

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.n_embd // self.n_head


def check_size(name: str, size: object) -> None:
    """Raise ValueError unless a size is a whole number of at least 1."""
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(f"{name} takes whole numbers of at least 1; got {size!r}.")


PRESETS: dict[str, GPT2Config] = {
    "distilgpt2": GPT2Config(n_layer=6),
    "gpt2": GPT2Config(),
    "gpt2-medium": GPT2Config(n_embd=1024, n_layer=24, n_head=16),
    "gpt2-large": GPT2Config(n_embd=1280, n_layer=36, n_head=20),
    "gpt2-xl": GPT2Config(n_embd=1600, n_layer=48, n_head=25),
}


class TextCodec(Protocol):
    """Interface of a model's tokenizer: text to token ids and back.

    `tokenizer.Tokenizer` is one; those of transformers, SentencePiece and tiktoken are, too. To be written into a file
    beside a model, it must be one that `tokenizer.storable` knows.
    """

    def encode(self, text: str, /) -> Any: ...
    def decode(self, ids: Any, /) -> Any: ...


def special_ids(config: GPT2Config, tokenizer: TextCodec | None) -> dict[str, int | None]:
    """Return the ids of the tokens that begin, end and pad a text, by their names in `GPT2Config`.

    For the end of a text the tokenizer's id goes first: it may be newer than the configuration.
    """
    if tokenizer is None:
        return {name: getattr(config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    begin, pad = config.bos_token_id, config.pad_token_id
    end = getattr(tokenizer, "end_of_text", None)  # of ours; transformers' say eos_token_id
    end = getattr(tokenizer, "eos_token_id", None) if end is None else end
    return {
        "bos_token_id": getattr(tokenizer, "bos_token_id", None) if begin is None else begin,
        "eos_token_id": config.eos_token_id if end is None else end,
        "pad_token_id": getattr(tokenizer, "pad_token_id", None) if pad is None else pad,
    }


ModelOrTokenizer: TypeAlias = Any  # of ``model, tokenizer = ...``: no type says that one comes first
