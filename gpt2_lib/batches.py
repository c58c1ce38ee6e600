"""Text as input for a model: windows of token ids, and batches without their padding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from .config import TextCodec
from .corpus import windows
from .gpt2 import GPT2
from .modules import unwrap
from .tokenizer import encoded

NO_LABEL = -100  # in a batch's labels: this token is not one to predict


def token_batches(batches: Any) -> Iterator[Any]:
    """Yield the batches of a language model as tensors of token ids (N, T) without padding.

    ``batches``: windows (N, T) of any integer type, or an iterable of such tensors or of mappings with ``input_ids``
    and perhaps ``attention_mask`` (N, T), 1 where there is a token, as a tokenizer of transformers and its collators
    make them. Padding is taken out, on whichever side it is, so that rows of one length go together. A batch of
    another kind, which a model of another kind takes, stays as it is.
    """
    for batch, _ in _with_counted(batches, labels=False):
        yield batch


def _with_counted(batches: Any, labels: bool) -> Iterator[tuple[Any, Tensor | None]]:
    """Yield each batch of `token_batches` and which of its tokens count by its ``labels``, bool (N, T); None: all."""
    if isinstance(batches, Mapping) and "input_ids" in batches:
        batches = [batches]
    for batch in [batches] if isinstance(batches, Tensor) else batches:
        if isinstance(batch, Mapping) and "input_ids" in batch:
            yield from _unpadded(cast("Mapping[str, Any]", batch), labels)
        else:
            yield _as_ids(batch), None


def id_batches(batches: Any) -> Iterator[Tensor]:
    """Yield the batches of a language model as int64 (N, T); it accepts more forms than `token_batches`.

    It also accepts NumPy arrays and lists of numbers instead of tensors, single rows (T,), and a list of one tensor,
    as a TensorDataset's loader yields. Raises ValueError for anything else.
    """
    for rows, _ in _checked(batches, labels=False):
        yield rows


def labelled_batches(batches: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of `id_batches` and which of their tokens count as ones to predict, bool (N, T).

    Those are all of them, or, in a mapping with ``labels``, those whose label isn't -100, as in transformers.
    """
    return _checked(batches, labels=True)


def _checked(batches: Any, labels: bool) -> Iterator[tuple[Tensor, Tensor]]:
    if isinstance(batches, str | bytes) or not (isinstance(batches, Iterable) or hasattr(batches, "__getitem__")):
        raise ValueError(_wanted(batches))
    if hasattr(batches, "__array__") and not isinstance(batches, Tensor):
        batches = torch.as_tensor(batches)
    if isinstance(batches, Tensor) and batches.dim() != 2:
        raise ValueError(_shape(batches))
    for batch, counted in _with_counted(batches, labels):
        rows = _rows(batch)
        if len(rows):
            yield rows, torch.ones_like(rows, dtype=torch.bool) if counted is None else counted


def is_language_model(model: nn.Module) -> bool:
    """Return whether ``model`` is a GPT2 of this library or a causal language model of transformers."""
    inner = unwrap(model)
    return isinstance(inner, GPT2) or type(inner).__name__.endswith(("LMHeadModel", "ForCausalLM"))


def batches_for(model: nn.Module, batches: Any) -> Iterator[Any]:
    """Return the token ids of ``batches`` for a language model (`id_batches`), the batches as given for any other."""
    return id_batches(batches) if is_language_model(model) else token_batches(batches)


def _wanted(got: Any) -> str:
    return (
        f"Windows of token ids (N, T), or batches of them, are needed; got a batch of {type(got).__name__}. "
        "gpt2_lib.windows_of makes windows of text."
    )


def _shape(got: Tensor) -> str:
    return f"Windows must have shape (N, T) with T >= 2; got {tuple(got.shape)}. gpt2_lib.windows_of cuts a text."


def _rows(batch: Any) -> Tensor:
    """Return one batch as token ids (N, T)."""
    if isinstance(batch, list | tuple) and len(cast("list[Any]", batch)) == 1 and isinstance(batch[0], Tensor):
        batch = batch[0]
    try:
        rows = batch if isinstance(batch, Tensor) else torch.as_tensor(batch)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(_wanted(batch)) from error
    rows = rows[None] if rows.dim() == 1 else rows
    if rows.is_floating_point() or rows.is_complex() or rows.dtype == torch.bool:
        raise ValueError(f"Token ids are whole numbers; got {rows.dtype}.")
    if rows.dim() != 2 or rows.size(1) < 2:
        raise ValueError(_shape(rows))
    return rows.long()


def readable_again(batches: Any) -> Any:
    """Return the batches in a form that can be read several times: an iterator's are kept in a list."""
    return list(batches) if isinstance(batches, Iterator) else batches


def _as_ids(batch: Any) -> Any:
    """Return integers (N, T) as int64, which the loss needs; return any other batch, such as images, unchanged."""
    if not isinstance(batch, Tensor) or batch.dim() != 2 or batch.is_floating_point() or batch.dtype == torch.bool:
        return batch
    return batch.long()


def _unpadded(batch: Mapping[str, Any], labels: bool) -> Iterator[tuple[Tensor, Tensor]]:
    ids = torch.atleast_2d(torch.as_tensor(batch["input_ids"])).long()  # (N, T)
    counted = _counted(ids, batch.get("labels") if labels else None)
    if batch.get("attention_mask") is None:
        yield ids, counted
        return
    mask = torch.atleast_2d(torch.as_tensor(batch["attention_mask"])) != 0
    if mask.shape != ids.shape:
        raise ValueError(
            f"input_ids are {tuple(ids.shape)} and attention_mask is {tuple(mask.shape)}: they must agree."
        )
    lengths = mask.sum(1)  # (N,)
    for length in sorted(set(lengths.tolist())):
        rows = lengths == length
        if length > 0:
            yield ids[rows][mask[rows]].view(-1, length), counted[rows][mask[rows]].view(-1, length)


def _counted(ids: Tensor, labels: Any) -> Tensor:
    """Return which of ``ids`` (N, T) are to be predicted, bool (N, T)."""
    if labels is None:
        return torch.ones_like(ids, dtype=torch.bool)
    wanted = torch.atleast_2d(torch.as_tensor(labels))
    counted = wanted != NO_LABEL
    if wanted.shape != ids.shape or not torch.equal(wanted[counted].to(ids), ids[counted]):
        raise ValueError(
            f"labels must be the input_ids, not shifted, with {NO_LABEL} where a token doesn't count; got others, of "
            f"shape {tuple(wanted.shape)} for ids of shape {tuple(ids.shape)}: leave labels out to count all tokens."
        )
    return counted


def windows_of(source: Any, tokenizer: TextCodec | None = None, length: int = 1024) -> Tensor:
    """Return windows (N, length), int64, of any text, in order and without overlap; the tail is dropped.

    ``source``: text, or several texts, which are encoded and put end to end (``tokenizer``: anything with ``encode``);
    token ids, in a tensor or array of any shape or a list; batches as `token_batches` takes them, such as a DataLoader,
    whose rows are put end to end. Raises ValueError for fewer tokens than a window has, for text without a tokenizer
    and for ids that are no whole numbers.
    """
    if length < 2:
        raise ValueError(f"A window needs at least 2 tokens, one to predict from; got length={length}.")
    ids = _ids(source, tokenizer)
    if len(ids) < length:
        raise ValueError(
            f"The text has {len(ids)} tokens, and one window needs {length}: give more, or a smaller length."
        )
    return windows(ids, length)


def _ids(source: Any, tokenizer: TextCodec | None) -> Tensor:
    """Return all token ids as one tensor (n,)."""
    if isinstance(source, str):
        source = [source]
    if isinstance(source, Tensor) or hasattr(source, "__array__"):
        return _flat(source)
    if isinstance(source, Mapping):
        source = [source]
    items = list(source) if isinstance(source, Iterable) else [source]
    if items and all(isinstance(item, str) for item in items):
        if tokenizer is None:
            raise ValueError("Text needs a tokenizer, anything with encode(text): give it as the second argument.")
        items = [encoded(tokenizer, text) for text in items]
    if items and all(isinstance(item, int) for item in items):
        return _flat(items)
    parts = [_flat(batch) for item in items for batch in token_batches([_readable(item)])]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.int64)


def _readable(item: Any) -> Any:
    """Return a row of a batch as a tensor; return a mapping unchanged."""
    return item if isinstance(item, Mapping) else _flat(item)


def _flat(ids: Any) -> Tensor:
    try:
        found = torch.as_tensor(ids)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"Text, token ids or batches of them are needed; got {type(ids).__name__}.") from error
    if found.numel() and (found.is_floating_point() or found.is_complex() or found.dtype == torch.bool):
        raise ValueError(f"Token ids are whole numbers; got {found.dtype}.")
    return found.reshape(-1).long()
