"""The tokenizer: byte-level BPE, from Hugging Face's `tokenizers`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers

from .config import TextCodec

END = "<|endoftext|>"
ROLES = ("bos_token", "eos_token", "unk_token", "pad_token")  # what transformers calls them
FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
)


class Tokenizer:
    """A byte-level BPE: every text has ids, and ``decode(encode(text)) == text``.

    ``special`` is {role: token} of the tokens that are no text, for the roles in `ROLES`. ``<|endoftext|>``, where the
    vocabulary has it, begins and ends a text, as in GPT-2, unless ``special`` says otherwise. ``end_of_text`` is the id
    at which generation stops: that of the eos_token, unless a model's configuration names another.
    """

    def __init__(
        self, bpe: tokenizers.Tokenizer, special: Mapping[str, str] | None = None, end_of_text: int | None = None
    ) -> None:
        usual: dict[str, str] = dict.fromkeys(ROLES[:3], END)
        wanted = usual | dict(special or {})
        self.special = {role: token for role, token in wanted.items() if bpe.token_to_id(token) is not None}
        known = {token.content for token in bpe.get_added_tokens_decoder().values() if token.special}
        bpe.add_special_tokens(sorted({*self.special.values()} - known))  # so that each is one token of a text
        self.bpe = bpe
        end = self.id_of("eos_token")
        self.end_of_text = end if end_of_text is None else end_of_text
        self._usual = self.end_of_text == end and all(usual.get(role) == token for role, token in self.special.items())

    def __len__(self) -> int:
        return self.bpe.get_vocab_size()

    def __deepcopy__(self, memo: dict[int, object]) -> Tokenizer:
        return self  # never changes, so copies of a model share it

    def id_of(self, role: str) -> int | None:
        """Return the id of the special token with this role, None if there is none."""
        return self.bpe.token_to_id(self.special[role]) if role in self.special else None

    @property
    def bos_token_id(self) -> int | None:
        return self.id_of("bos_token")

    @property
    def pad_token_id(self) -> int | None:
        return self.id_of("pad_token")

    def encode(self, text: str) -> list[int]:
        return self.bpe.encode(text).ids

    def decode(self, ids: Iterable[int]) -> str:
        return self.bpe.decode([int(i) for i in ids], skip_special_tokens=False)

    def save(self, path: str | Path) -> None:
        """Write ``tokenizer.json``, which does not store the roles; see `to_json`."""
        self.bpe.save(str(path))

    def to_json(self) -> str:
        """Return tokenizer.json as text, with one more key for roles that differ from GPT-2's."""
        text = self.bpe.to_str()
        roles = {"special_tokens": self.special, "end_of_text": self.end_of_text}
        return text if self._usual else json.dumps(json.loads(text) | {"gpt2_lib": roles})

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """Return the tokenizer of a text that `to_json` made, or of a tokenizer.json."""
        content = json.loads(text)
        roles = content.pop("gpt2_lib", None)
        if roles is None:
            return cls(tokenizers.Tokenizer.from_str(text))
        return cls(tokenizers.Tokenizer.from_str(json.dumps(content)), roles["special_tokens"], roles["end_of_text"])

    @classmethod
    def load(cls, folder: str | Path, end_of_text: int | None = None) -> Tokenizer:
        """Load ``tokenizer.json``, or GPT-2's older ``vocab.json`` and ``merges.txt``, and the settings beside them."""
        folder = Path(folder)
        described = _read(folder / "special_tokens_map.json") | _read(folder / "tokenizer_config.json")
        vocab, merges = folder / "vocab.json", folder / "merges.txt"
        if (folder / "tokenizer.json").is_file():
            try:
                bpe = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
            except Exception as error:  # a bare one
                raise ValueError(f"tokenizer.json: {error}") from error
            bpe.no_truncation()  # the limit of its training is not the model's
            bpe.no_padding()
        elif vocab.is_file() and merges.is_file():
            bpe = _byte_level(models.BPE.from_file(str(vocab), str(merges)), bool(described.get("add_prefix_space")))
            _add_tokens(bpe, _added(folder, described))
        else:
            raise FileNotFoundError(f"{folder} has no tokenizer.json (nor vocab.json and merges.txt).")
        roles = {role: _content(described[role]) for role in ROLES if described.get(role)}
        return cls(bpe, roles, end_of_text)

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> Tokenizer:
        """Train a vocabulary of ``vocab_size`` tokens on ``texts`` (Sennrich et al., 2016, on bytes)."""
        bpe = _byte_level(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        bpe.train_from_iterator(texts, trainer)
        return cls(bpe)


def encoded(tokenizer: TextCodec, text: str) -> list[int]:
    """Return the token ids of ``text``; the package tokenizers wraps them. Raises TypeError for no tokenizer."""
    if not callable(getattr(tokenizer, "encode", None)):
        raise TypeError(
            f"A tokenizer, anything with encode(text), is needed; got a {type(tokenizer).__name__}. Were arguments "
            "swapped?"
        )
    found = tokenizer.encode(text)
    return list(getattr(found, "ids", found))


def storable(tokenizer: TextCodec) -> Tokenizer:
    """Return the tokenizer in a form that can be saved beside a model: ours, or transformers' fast one.

    Raises ValueError for another kind, such as SentencePiece's.
    """
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    bpe = getattr(tokenizer, "backend_tokenizer", tokenizer)  # what transformers' fast tokenizers wrap
    if not isinstance(bpe, tokenizers.Tokenizer):
        raise ValueError(
            f"A {type(tokenizer).__name__} can't be written as tokenizer.json. Set model.tokenizer = None, save, and "
            "keep the tokenizer's own files beside the model."
        )
    roles = {role: getattr(tokenizer, role, None) for role in ROLES}
    copy = tokenizers.Tokenizer.from_str(bpe.to_str())
    copy.no_truncation()
    copy.no_padding()
    return Tokenizer(copy, {role: token for role, token in roles.items() if isinstance(token, str)})


def _byte_level(model: models.BPE, add_prefix_space: bool = False) -> tokenizers.Tokenizer:
    bpe = tokenizers.Tokenizer(model)
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    bpe.decoder = decoders.ByteLevel()
    return bpe


def _read(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, {} without a file. Raises ValueError with the file's name."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise ValueError(f"{path.name} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds {type(found).__name__}, and an object is needed")
    return found


def _content(token: str | dict[str, Any]) -> str:
    """Return the text of a special token, which transformers stores as a string or with its settings."""
    return token if isinstance(token, str) else token["content"]


def _added(folder: Path, described: dict[str, Any]) -> dict[int, AddedToken]:
    """Return {id: token} of the tokens added to a vocabulary; transformers 4 wrote them to either of two files."""
    found = {number: AddedToken(text) for text, number in _read(folder / "added_tokens.json").items()}
    for number, token in described.get("added_tokens_decoder", {}).items():
        flags = {name: token.get(name, False) for name in ("single_word", "lstrip", "rstrip", "normalized", "special")}
        found[int(number)] = AddedToken(token["content"], **flags)
    return found


def _add_tokens(bpe: tokenizers.Tokenizer, added: dict[int, AddedToken]) -> None:
    for number, token in sorted(added.items()):
        bpe.add_tokens([token])
        if bpe.token_to_id(token.content) != number:
            raise ValueError(
                f"the added token {token.content!r} should have the id {number}, and gets "
                f"{bpe.token_to_id(token.content)} after the {bpe.get_vocab_size() - 1} before it"
            )
