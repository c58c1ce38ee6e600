"""The plan of what to prune: one sparsity for all matrices, one for each, or n:m."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeAlias

from torch import nn

from .. import selection
from ..targets import matrices, no_such_layer, prunable_layers, some_of

Sparsity: TypeAlias = float | Mapping[str, float]  # for all layers, or {glob of names: sparsity}


@dataclass(frozen=True)
class Plan:
    """{name of a matrix: fraction to prune}, or, with ``n_m``, None for each: n of every m stay."""

    sparsities: dict[str, float | None]
    n_m: tuple[int, int] | None = None

    @property
    def names(self) -> list[str]:
        """The matrices to prune; all others stay unchanged."""
        return list(self.sparsities)

    def fraction(self, name: str) -> float:
        """Return the sparsity of one matrix. Raises ValueError for a plan of n:m."""
        fraction = self.sparsities[name]
        if fraction is None:
            raise ValueError("n:m fixes the sparsity: this method takes a sparsity, such as 0.5, and no n_m.")
        return fraction

    def one_fraction(self, method: str) -> float:
        """Return the sparsity of all matrices. Raises ValueError if they differ."""
        fractions = {self.fraction(name) for name in self.names}
        if len(fractions) > 1:
            raise ValueError(f"{method} takes one sparsity for all layers; got {len(fractions)} different ones.")
        return fractions.pop()


def make_plan(
    model: nn.Module,
    sparsity: Sparsity | None = None,
    n_m: tuple[int, int] | None = None,
    names: Iterable[str] | None = None,
    ignore: Iterable[str] = (),
) -> Plan:
    """Return the plan for the prunable matrices of ``model`` that match ``names`` (default: all) but not ``ignore``.

    ``sparsity`` may be {glob: sparsity}, such as ``{"*": 0.5, "h.0.*": 0.2}``: the last glob that matches counts, and
    layers without a match stay whole. Raises ValueError unless one of ``sparsity`` and ``n_m`` is given, for a glob
    that matches nothing, a sparsity outside [0, 1], inputs that n:m doesn't divide, and where nothing is left to prune.
    """
    every = list(prunable_layers(model))
    chosen = every if names is None else _matching(every, _globs(names, "names"))
    left_out = set(_matching(every, _globs(ignore, "ignore")))
    chosen = [name for name in chosen if name not in left_out]
    if (sparsity is None) == (n_m is None):
        raise ValueError("Give either sparsity, such as 0.5, or n_m, such as (2, 4).")
    fractions: dict[str, float | None] = {}
    if isinstance(sparsity, Mapping):
        for glob, fraction in sparsity.items():
            fractions |= dict.fromkeys(_matching(every, [glob]), selection.check_sparsity(fraction))
        fractions = {name: fractions[name] for name in chosen if name in fractions}
    else:
        fractions = dict.fromkeys(chosen, None if sparsity is None else selection.check_sparsity(sparsity))
    if not fractions:
        raise ValueError(
            f"Nothing is left to prune: nothing of what may go is among the model's {len(every)} prunable layers, "
            f"{some_of(every)}. Name some, or ignore fewer."
        )
    whole = [name for name, w in matrices(model, list(fractions)).items() if _takes_all(w.numel(), fractions[name])]
    if whole:
        raise nothing_left(whole)
    if n_m is not None:
        first_rows = {name: w[:1] for name, w in matrices(model, list(fractions)).items()}
        selection.n_m_masks(first_rows, *n_m)  # raises an error for arguments that don't fit, before anything is cut
    return Plan(fractions, n_m)


def _takes_all(entries: int, fraction: float | None) -> bool:
    return fraction is not None and round(fraction * entries) == entries


def nothing_left(names: Sequence[str]) -> ValueError:
    """Return the error for layers of which nothing would be left."""
    return ValueError(
        f"This would leave nothing of {some_of(names)}, and block the model's input there: lower the sparsity, or keep "
        "some of every layer with min_kept where all are ranked together."
    )


def _globs(globs: Iterable[str], argument: str) -> list[str]:
    if isinstance(globs, str):
        raise ValueError(f"{argument} is a list of layers' names; got the text {globs!r}: write [{globs!r}].")
    return list(globs)


def _matching(names: list[str], globs: Iterable[str]) -> list[str]:
    """Return the names that match one of the globs, in the model's order; ValueError for a glob without a match."""
    found: set[str] = set()
    for glob in globs:
        matching = {name for name in names if name == glob or fnmatchcase(name, glob)}
        if not matching:
            raise no_such_layer(glob, names)
        found |= matching
    return [name for name in names if name in found]
