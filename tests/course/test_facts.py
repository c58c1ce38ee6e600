"""Tests of the facts: figures follow from GPT-2's shapes, and marks are replaced by text."""

from __future__ import annotations

import datetime
import re
from dataclasses import replace

import pytest
import torch

from gpt2_lib import GPT2
from gpt2_lib.config import PRESETS
from gpt2_lib.course import facts
from gpt2_lib.pruning.pruner import prunable_weights

GPT2_124M = PRESETS["gpt2"]
TEXT = " ".join(fact.text for fact in facts.facts().values())


def parameters(config) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in GPT2(config).parameters())


def test_a_quarter_fewer_neurons_and_heads_make_gpt2_smaller_by_the_factors_quoted() -> None:
    fewer_neurons = replace(GPT2_124M, neurons=(2304,) * 12)
    fewer_heads_too = replace(fewer_neurons, heads=(9,) * 12)
    assert f"{parameters(GPT2_124M) / parameters(fewer_neurons):.2f} times fewer parameters" in TEXT
    assert f"heads {parameters(GPT2_124M) / parameters(fewer_heads_too):.2f} times" in TEXT


def test_half_the_weights_packed_as_bits_and_values_save_the_factors_quoted() -> None:
    with torch.device("meta"):
        pruned = sum(w.numel() for w in prunable_weights(GPT2(GPT2_124M)).values())
    packed = pruned * (0.5 * 4 + 1 / 8)  # bytes: half of the fp32 values, one bit an entry
    rest = 4 * (parameters(GPT2_124M) - pruned)
    assert f"{4 * pruned / packed:.2f} times less for the pruned layers" in TEXT
    assert f"{(4 * pruned + rest) / (packed + rest):.2f} times for the whole 124M model" in TEXT


def test_each_claim_has_its_truth_its_sources_and_what_was_measured_and_most_are_folded() -> None:
    told = facts.claims({"structured": "speed 1.3 times"}, shown=3).split("\n\n")
    (fold,) = [place for place, part in enumerate(told) if part.startswith("<details>")]
    assert (fold, told[-1]) == (3, "</details>")
    claims = [part for part in told if part.startswith("> **")]
    assert len(claims) == len(told) - 2 == sum(bool(fact.said) for fact in facts.facts().values())
    assert f"{len(claims) - 3} more claims" in told[fold]
    (measured,) = [claim for claim in claims if "Measured here" in claim]
    assert measured.startswith("> **“Structured pruning of 25 %")
    assert measured.endswith("**Measured here:** speed 1.3 times.")


def test_a_figure_that_no_claim_asks_for_is_an_error() -> None:
    with pytest.raises(KeyError, match="misspelt"):
        facts.claims({"misspelt": "1x"}, shown=3)


def test_every_fact_has_a_source_and_a_date_that_has_been() -> None:
    for name, fact in facts.facts().items():
        assert fact.sources, name
        assert all(address.startswith("https://") for address in fact.sources.values()), name
        assert 2012 <= fact.year <= fact.checked.year, name


def test_a_fact_not_checked_for_a_year_is_old() -> None:
    checked = min(fact.checked for fact in facts.facts().values())
    assert facts.old(checked) == []
    assert facts.old(checked + datetime.timedelta(days=366)) != []


def test_a_mark_becomes_the_statement_with_its_links() -> None:
    filled = facts.fill_in("First. <<fact quantise_first>>.")
    assert re.fullmatch(r"First\. At equal size, [^(]+ \(\[Kuzmin et al\.\]\(https://\S+\), 2023\)\.", filled)
    with pytest.raises(KeyError, match="nothing"):
        facts.fill_in("<<fact nothing>>")


def test_a_table_has_as_many_cells_in_each_line_and_its_sources_under_it() -> None:
    with_tables = [name for name, fact in facts.facts().items() if fact.table]
    assert with_tables
    for name in with_tables:
        head, rule, *rows = facts.fill_in(f"<<table {name}>>").partition("\n\n")[0].splitlines()
        assert len(rows) >= 2
        assert {line.count("|") for line in (head, rule, *rows)} == {head.count("|")}
        assert facts.fill_in(f"<<table {name}>>").endswith(f"Sources: {facts.facts()[name].links()}.")
    with pytest.raises(KeyError):
        facts.fill_in("<<table quantise_first>>")


def test_the_report_names_what_is_old_with_its_sources() -> None:
    checked = max(fact.checked for fact in facts.facts().values())
    assert facts.report_old(checked).startswith(f"All {len(facts.facts())} facts")
    told = facts.report_old(checked + datetime.timedelta(days=366))
    for name, fact in facts.facts().items():
        assert f"  {name} ({fact.checked}): {next(iter(fact.sources.values()))}" in told
