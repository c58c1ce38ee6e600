"""Tests of "prune or quantise": every model is stored and loaded back, and the documents have the measured figures."""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure
from tiny import random_model

from gpt2_lib.course import equal_bytes
from gpt2_lib.course.equal_bytes import BOTH, BOUND, INT4, INT8, PRUNED, Stored
from gpt2_lib.storage.packed import packed_sizes

DOCS = Path(__file__).parent.parent.parent / "docs"
WINDOWS = torch.randint(300, (8, 16), generator=torch.Generator().manual_seed(0))
MEASURED = equal_bytes.read(DOCS / "pictures" / "guide_equal_bytes.csv")


def test_each_way_is_stored_at_each_sparsity_and_measured_as_loaded(tmp_path: Path) -> None:
    model = random_model()
    before = {name: p.clone() for name, p in model.named_parameters()}
    stored = equal_bytes.measure(model, WINDOWS, WINDOWS, (0.0, 0.5))
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    found = {(s.way, s.sparsity): s for s in stored}
    assert set(found) == {(PRUNED, 0.0), (PRUNED, 0.5), (BOTH, 0.0), (BOTH, 0.5), (INT8, 0.0), (INT4, 0.0)}
    assert found[INT8, 0.0].bytes == found[BOTH, 0.0].bytes == packed_sizes(model, int8=True).file
    assert found[INT4, 0.0].bytes == packed_sizes(model, int4=True).file
    assert found[PRUNED, 0.5].bytes < found[PRUNED, 0.0].bytes
    equal_bytes.write(stored, tmp_path / "kept.csv")
    assert equal_bytes.read(tmp_path / "kept.csv") == stored


def test_the_smallest_file_of_each_way_is_within_the_bound() -> None:
    stored = [
        Stored(PRUNED, 0.0, 400, 20.0, 0.4),
        Stored(PRUNED, 0.5, 300, 20 * BOUND, 0.4),
        Stored(PRUNED, 0.6, 250, 20 * BOUND + 0.1, 0.4),
        Stored(INT4, 0.0, 100, 21.0, 0.4),
        Stored(INT8, 0.0, 200, 40.0, 0.4),
    ]
    assert [(s.way, s.bytes) for s in equal_bytes.smallest(stored)] == [(INT4, 100), (PRUNED, 300)]
    assert equal_bytes.answer(stored).splitlines()[2].startswith("| int4 alone | 0% | 0.00 | 21.0 |")


def test_every_way_is_drawn() -> None:
    ax = Figure().subplots()
    equal_bytes.draw(ax, MEASURED)
    assert [line.get_label() for line in ax.lines] == [PRUNED, BOTH, INT8, INT4]


def test_readme_and_guide_have_the_table_that_was_measured() -> None:
    for page in (DOCS.parent / "README.md", DOCS / "MODEL_PRUNING_GUIDE.md"):
        assert equal_bytes.answer(MEASURED) in page.read_text(encoding="utf-8"), page.name


def test_they_say_quantise_first_and_so_does_the_measurement() -> None:
    """Both texts say it in words: on this model four bits alone are the smallest file within the bound."""
    first, *rest = equal_bytes.smallest(MEASURED)
    assert first.way == INT4
    assert [s.way for s in rest] == [BOTH, INT8, PRUNED]
