"""Tests that plots show their data."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from gpt2_lib import plots
from gpt2_lib.course.experiments import Point


@pytest.fixture
def ax():
    return Figure().subplots()


def test_curves_hold_each_methods_points_in_order_of_sparsity() -> None:
    left, right = Figure().subplots(1, 2)
    points = [Point(m, s, 20 + 100 * s, 0.3 - s / 10, 2, "") for m in ("a", "b") for s in (0.9, 0.0, 0.5)]
    plots.quality_curves(left, right, points)
    assert [line.get_label() for line in left.lines] == ["a", "b", "_dense"]
    assert [text.get_text() for text in left.texts] == ["unpruned: 20.0", "a", "b"]  # named at their ends
    assert list(left.lines[2].get_ydata()) == [20, 20]
    np.testing.assert_allclose(left.lines[0].get_xydata(), [(0, 20), (0.5, 70), (0.9, 110)])
    np.testing.assert_allclose(right.lines[1].get_ydata(), [0.3, 0.25, 0.21])
    assert left.get_yscale() == "log"
    assert len({(line.get_color(), line.get_marker(), line.get_linestyle()) for line in left.lines[:2]}) == 2


def test_perplexity_is_read_in_whole_numbers() -> None:
    ax = Figure().subplots()
    plots.perplexity_curves(ax, [Point("a", s, 24 * 10**s, 0.3, 2, "") for s in (0.0, 0.5, 1.0)])
    low, high = ax.get_ylim()
    ticks = [tick for tick in ax.get_yticks() if low <= tick <= high]
    assert ticks == [25, 50, 100, 200]
    assert [ax.yaxis.get_major_formatter()(tick) for tick in (*ticks, 5000)] == ["25", "50", "100", "200", "5,000"]


def test_names_at_the_ends_keep_their_distance_and_their_order() -> None:
    ax = Figure(figsize=(6, 3)).subplots()
    for end in (0.5, 0.51, 0.0, 0.505, 1.0, 0.99):
        ax.plot([0, 1], [0, end], label=str(end))
    plots.name_ends(ax)
    heights = {float(text.get_text()): text.get_position()[1] for text in ax.texts}
    inches = [(b - a) * ax.bbox.height / 100 for (_, a), (_, b) in pairwise(sorted(heights.items()))]
    assert min(inches) >= plots.SIZE / 72
    assert max(heights.values()) <= 1


def test_each_line_of_text_is_large_enough(ax) -> None:
    plots.dress(ax)
    ax.set(xlabel="x", ylabel="y")
    plots.title(ax, "what is seen")
    plots.percent(ax.xaxis)
    ax.set_xlim(0, 1)
    ax.figure.draw_without_rendering()
    written = [text for text in ax.figure.findobj(Text) if text.get_text()]
    assert len(written) > 8
    assert {text.get_fontsize() for text in written} == {plots.SIZE}
    assert "20 %" in [text.get_text() for text in ax.get_xticklabels()]


def test_shares_of_parameters_add_up_to_one(ax) -> None:
    plots.parameter_bars(ax, {"small": {"x": 1, "y": 3}, "big": {"x": 60, "y": 40}})
    widths = [[bar.get_width() for bar in bars] for bars in ax.containers]
    np.testing.assert_allclose(widths, [[0.25, 0.6], [0.75, 0.4]])


def test_the_histogram_after_pruning_counts_only_what_is_left(ax) -> None:
    before = torch.linspace(-1, 1, 1000)
    after = torch.where(before.abs() < 0.5, 0.0, before)
    plots.pruned_histogram(ax, before, after)
    counts = {patch.get_label(): patch.get_data().values.sum() for patch in ax.patches}
    assert counts == {"before": 1000, "left": int((after != 0).sum())}


def test_each_histogram_is_a_share_of_its_own_weights(ax) -> None:
    plots.weight_histogram(ax, {"few": torch.linspace(-0.9, 0.9, 10), "many": torch.linspace(-1, 1, 5000)})
    for patch in ax.patches:
        assert patch.get_data().values.sum() == pytest.approx(1, abs=0.01)


def test_a_mask_is_drawn_as_it_is(ax) -> None:
    keep = torch.rand(5, 7) > 0.5
    plots.mask(ax, keep, "title")
    np.testing.assert_array_equal(ax.images[0].get_array(), keep.numpy())
    assert ax.get_title(loc="left") == "title"


def test_bars_stand_in_the_order_given_with_the_unpruned_model_on_top():
    ax = Figure().add_subplot()
    plots.perplexity_bars(ax, {"unpruned": 20.0, "wanda": 25.5, "ruined": math.inf, "random": 1234.5})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["random", "wanda", "unpruned"]
    assert [text.get_text().strip() for text in ax.texts] == ["1,234.50", "25.50", "20.00"]
    assert [bar.get_width() for bar in ax.patches if isinstance(bar, Rectangle)] == [1234.5, 25.5, 20.0]
