"""Exercise 2.5: its bars are those that its labels name, and its pages are the notebook's and none of them."""

from __future__ import annotations

import pytest

from gpt2_lib.corpus import held_out_windows
from gpt2_lib.course import challenges, checks
from gpt2_lib.course.exercises import reference


@pytest.mark.parametrize("bar", challenges.BUDGET_LEFT)
def test_a_label_names_the_bar_that_the_check_asks_for(bar: str) -> None:
    label = vars(checks)[f"budget_{bar}"].label
    assert f"perplexity {challenges.BUDGET_LEFT[bar]} at most" in label


def test_the_hidden_pages_are_others_than_the_notebooks() -> None:
    dense = challenges.dense()
    assert dense.tokenizer is not None
    seen = held_out_windows(dense.tokenizer, dense.config.n_positions, 12)
    assert not any(bool((page == other).all()) for page in seen for other in challenges.pages(hidden=True)[::6])


def test_the_solution_reaches_the_best_bar_and_the_same_share_everywhere_none() -> None:
    sizes = challenges.prunable_sizes()
    chosen = tuple(reference().layer_sparsities(dict(sizes)).items())
    everywhere = tuple(dict.fromkeys(sizes, challenges.BUDGET).items())
    challenges.assert_left(chosen, "best", hidden=True)
    assert challenges.perplexity_left(chosen) < challenges.BUDGET_LEFT["best"]
    assert challenges.perplexity_left(everywhere) > challenges.BUDGET_LEFT["better"]
