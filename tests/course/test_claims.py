"""The figures that the course quotes follow from GPT-2's shapes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gpt2_lib import GPT2
from gpt2_lib.config import PRESETS
from gpt2_lib.course.claims import CLAIMS, claims_table
from gpt2_lib.pruning.pruner import prunable_weights

GPT2_124M = PRESETS["gpt2"]
TEXT = " ".join(claim.truth for claim in CLAIMS)


def parameters(config) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in GPT2(config).parameters())


def test_a_quarter_fewer_neurons_and_heads_make_gpt2_smaller_by_the_factors_quoted() -> None:
    fewer_neurons = replace(GPT2_124M, neurons=(2304,) * 12)
    fewer_heads_too = replace(fewer_neurons, heads=(9,) * 12)
    assert f"{parameters(GPT2_124M) / parameters(fewer_neurons):.2f}x fewer parameters" in TEXT
    assert f"heads {parameters(GPT2_124M) / parameters(fewer_heads_too):.2f}x" in TEXT


def test_half_the_weights_packed_as_bits_and_values_save_the_factors_quoted() -> None:
    with torch.device("meta"):
        pruned = sum(w.numel() for w in prunable_weights(GPT2(GPT2_124M)).values())
    packed = pruned * (0.5 * 4 + 1 / 8)  # bytes: half of the fp32 values, one bit an entry
    rest = 4 * (parameters(GPT2_124M) - pruned)
    assert f"{4 * pruned / packed:.2f}x less for the pruned layers" in TEXT
    assert f"{(4 * pruned + rest) / (packed + rest):.2f}x for the whole 124M model" in TEXT


def test_the_table_puts_each_figure_beside_its_claim() -> None:
    rows = claims_table({"structured": "speed 1.3x"}).splitlines()
    assert len(rows) == 2 + len(CLAIMS)
    assert next(row for row in rows if "speed 1.3x" in row).startswith("| Structured pruning of 25 %")
    assert all(row.count("|") == 4 for row in rows)


def test_a_figure_that_no_claim_asks_for_is_an_error() -> None:
    with pytest.raises(KeyError, match="misspelt"):
        claims_table({"misspelt": "1x"})
