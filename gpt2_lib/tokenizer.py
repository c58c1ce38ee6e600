"""Text to token ids and back: byte-level BPE, from Hugging Face's `tokenizers`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers


class Tokenizer:
    """A byte-level BPE: every text has ids, and ``decode(encode(text)) == text``."""

    def __init__(self, bpe: tokenizers.Tokenizer) -> None:
        self.bpe = bpe

    def __len__(self) -> int:
        return self.bpe.get_vocab_size()

    def __deepcopy__(self, memo: dict[int, object]) -> Tokenizer:
        return self  # never changes, so copies of a model share it

    def encode(self, text: str) -> list[int]:
        return self.bpe.encode(text).ids

    def decode(self, ids: Iterable[int]) -> str:
        return self.bpe.decode([int(i) for i in ids], skip_special_tokens=False)

    def save(self, path: str | Path) -> None:
        self.bpe.save(str(path))

    @classmethod
    def load(cls, folder: str | Path) -> Tokenizer:
        """Read ``tokenizer.json``, or GPT-2's older ``vocab.json`` and ``merges.txt``."""
        folder = Path(folder)
        if (folder / "tokenizer.json").is_file():
            return cls(tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")))
        vocab, merges = folder / "vocab.json", folder / "merges.txt"
        if vocab.is_file() and merges.is_file():
            return cls(_byte_level(models.BPE.from_file(str(vocab), str(merges))))
        raise FileNotFoundError(f"{folder} has no tokenizer.json (nor vocab.json and merges.txt).")

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> Tokenizer:
        """Learn ``vocab_size`` tokens from ``texts`` (Sennrich et al., 2016, on bytes)."""
        bpe = _byte_level(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        bpe.train_from_iterator(texts, trainer)
        return cls(bpe)


def _byte_level(model: models.BPE) -> tokenizers.Tokenizer:
    bpe = tokenizers.Tokenizer(model)
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    return bpe
