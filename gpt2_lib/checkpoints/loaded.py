"""What a type checker takes a loaded model for: a GPT2 that unpacks into itself and its tokenizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

from ..gpt2 import GPT2
from ..tokenizer import Tokenizer

# Models that are known to have a tokenizer; a folder may have none.
Published: TypeAlias = Literal["gpt2-mini", "distilgpt2", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"]

if TYPE_CHECKING:
    Codec = TypeVar("Codec", bound=Tokenizer | None, covariant=True)

    class LoadedGPT2(GPT2, tuple[GPT2, Codec]):
        """``model, tokenizer = load_pretrained_gpt2()``: no type but a tuple's says what comes first and what second.

        At run time it is a plain `GPT2`, whose ``__iter__`` does that.
        """

else:
    LoadedGPT2 = GPT2
