"""Tests of the plots' colours: visible on white, and distinct for colour-blind eyes."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from colour import TO_XYZ, contrast, linear

from gpt2_lib import plots

# Machado, Oliveira & Fernandes, 2009, "A physiologically-based model for simulation of color vision deficiency",
# table 1, severity 1.0; for linear RGB.
SIGHT = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
APART = 20  # in CIELAB


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear RGB (CIE 15)."""
    ratio = TO_XYZ @ rgb.clip(0, 1) / TO_XYZ.sum(axis=1)
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_lab_and_contrast_are_as_the_standards_give_them() -> None:
    np.testing.assert_allclose(lab(linear("#ff0000")), (53.24, 80.09, 67.20), atol=0.1)
    np.testing.assert_allclose(lab(linear("#ffffff")), (100, 0, 0), atol=0.1)
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#0072B2", "#ffffff") == pytest.approx(5.19, abs=0.01)


@pytest.mark.parametrize("sight", SIGHT)
def test_two_colours_are_never_taken_for_one(sight: str) -> None:
    seen = {colour: lab(np.array(SIGHT[sight]) @ linear(colour)) for colour in plots.COLOURS}
    closest = min((float(np.linalg.norm(seen[a] - seen[b])), a, b) for a, b in combinations(plots.COLOURS, 2))
    assert closest[0] >= APART, closest


def test_lines_are_seen_on_white_and_words_are_read() -> None:
    for colour in plots.COLOURS:
        assert contrast(colour, "#ffffff") >= 3, colour  # WCAG 1.4.11
        assert contrast(plots.WRITTEN.get(colour, colour), "#ffffff") >= 4.5, colour  # 1.4.3; white words on it, too
    assert contrast(plots.INK, plots.PALE) >= 4.5


def test_series_differ_in_more_than_their_colour() -> None:
    assert len({marker for _, marker, _ in plots.SERIES}) == len(plots.SERIES)
    assert {colour for colour, _, _ in plots.SERIES} == set(plots.COLOURS)
