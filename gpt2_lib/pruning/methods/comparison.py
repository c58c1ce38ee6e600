"""Comparison of several methods on one model and one text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from torch import nn
from tqdm.auto import tqdm

from ...batches import readable_again
from ...metrics import Quality, evaluate, sparsity
from ...modules import unwrap
from ..pruner import ModelPruner
from ..targets import prunable_weights
from .one_shot import Batches, Own
from .plan import Sparsity
from .registry import Method, check_needs, methods_of, plan_of


@dataclass(frozen=True)
class Compared:
    """The measurements of the model that one method pruned."""

    method: str
    sparsity: float  # zeros among the prunable weights
    quality: Quality  # on the test text
    seconds: float  # that pruning took, wall time


@dataclass(frozen=True)
class Comparison:
    """The rows, the unpruned model's first; as text a Markdown table with the data it was measured on."""

    rows: tuple[Compared, ...]
    tested: str = "the test text"

    def __str__(self) -> str:
        lines = ["| method | sparsity | perplexity | accuracy | bits per character | seconds |", "|-|-:|-:|-:|-:|-:|"]
        for row in self.rows:
            q = row.quality
            shares = f"{row.sparsity:.1%} | {q.perplexity:,.2f} | {q.accuracy:.1%} | {q.bits_per_character:.3f}"
            lines.append(f"| {row.method} | {shares} | {row.seconds:.1f} |")
        return "\n".join([*lines, "", f"Measured on {self.tested}: {self.rows[0].quality.tokens:,} tokens."])

    def as_json(self) -> dict[str, Any]:
        """Return the comparison for json.dump."""
        return {"tested_on": self.tested, "rows": [row_as_json(row) for row in self.rows]}


def row_as_json(row: Compared) -> dict[str, Any]:
    """Return one row for json.dump; NaN, for a model without a tokenizer, becomes None."""
    q = row.quality
    return {
        "method": row.method,
        "sparsity": row.sparsity,
        "loss": q.loss,
        "perplexity": q.perplexity,
        "accuracy": q.accuracy,
        "bits_per_character": q.bits_per_character if q.bits_per_character == q.bits_per_character else None,
        "tokens": q.tokens,
        "seconds": row.seconds,
    }


def compare(
    model: nn.Module,
    methods: str | Own | Method | Mapping[str, Own] | Iterable[str | Own | Method | Mapping[str, Own]],
    sparsity: Sparsity | None = None,
    *,
    test: Batches,
    text: Batches | None = None,
    n_m: tuple[int, int] | None = None,
    ignore: Iterable[str] = (),
    tested: str = "the test text",
) -> Comparison:
    """Prune a copy of ``model`` with each of the ``methods`` and measure it on ``test``; ``model`` stays as it is.

    ``methods``: names of `registry.METHODS`, and functions of your own, or {name: function}: ``function(model)``
    returns {parameter name: scores, of which the lowest go, or masks (bool, True = keep)}. A function with an argument
    called ``text`` gets the calibration text, and must get one unless the argument has a default.

    ``sparsity``, ``n_m`` and ``ignore`` as `ModelPruner.prune` has them; ``text``, what to calibrate on, goes to the
    methods that look at text. ``test``: windows of token ids (N, T) or batches, which are read again for each method.
    ``tested``: what to call them in the table. Raises ValueError, before anything is measured, for an unknown method,
    where one that needs text gets none, and for a sparsity or pattern that can't be had.
    """
    unwrap(model)  # is it one?
    chosen, ignore = methods_of(methods), list(ignore)
    test, text = readable_again(test), readable_again(text)
    for method in chosen:
        check_needs(method, text is not None, n_m)
        plan_of(model, method, sparsity, n_m, None, ignore)
    rows = [_measured("unpruned", model, test, lambda _: None)]
    for method in tqdm(chosen, desc="pruning and measuring"):
        given = None if method.text == "no" else text

        def prune(copy: nn.Module, method: Method = method, given: Batches | None = given) -> object:
            return ModelPruner(copy).prune(method, sparsity, text=given, n_m=n_m, ignore=ignore)

        rows.append(_measured(method.name, deepcopy(model), test, prune))
    return Comparison(tuple(rows), tested)


def _measured(name: str, model: nn.Module, test: Batches, prune: Callable[[nn.Module], object]) -> Compared:
    started = time.perf_counter()
    prune(model)
    seconds = time.perf_counter() - started
    zeros = sparsity(prunable_weights(model).values())
    return Compared(name, zeros, evaluate(model, test), seconds)
