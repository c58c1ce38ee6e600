"""Tests of the explorer without a browser: the effect of its controls, which never wait for a result."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from images import seen
from tiny import TINY, random_ids, random_model, tokenizer

from gpt2_lib.course.experiments import METHODS, Point
from gpt2_lib.course.page.live import Seen
from gpt2_lib.course.widgets import START, Explorer, _quoted
from gpt2_lib.pruning.pruner import prunable_weights

POINTS = [Point(method.name, s, 20.0 + s, 0.3, 2.0, "") for method in METHODS for s in (0.0, 0.9)]


@pytest.fixture
def explorer() -> Explorer:
    model = random_model()
    model.tokenizer = tokenizer()
    return Explorer(model, random_ids(TINY, 2, 16), POINTS)


def zeros(explorer: Explorer, part: str) -> float:
    weights = [w for name, w in prunable_weights(explorer._model).items() if f".{part}." in name]
    return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)


def test_each_slider_prunes_its_part_and_a_new_figure_comes(explorer: Explorer) -> None:
    before, _ = seen(explorer)
    explorer.feedforward.value = 60
    assert zeros(explorer, "mlp") == pytest.approx(0.6, abs=0.01)
    assert zeros(explorer, "attn") == pytest.approx(START / 100, abs=0.01)
    picture, alt = seen(explorer)
    assert picture != before
    assert picture.startswith(b"\x89PNG")
    assert "h.0.mlp.c_fc.weight: its mask, 60% of it white" in alt
    assert "perplexity, was 20.0" in explorer.status.value


def test_the_matrix_that_is_shown_is_one_of_the_part_that_was_moved(explorer: Explorer) -> None:
    explorer.layer.value = "h.1.mlp.c_proj.weight"
    explorer.attention.value = 70
    assert explorer.layer.value == "h.1.attn.c_attn.weight"
    assert "70% of it white" in seen(explorer)[1]
    explorer.feedforward.value = 20
    assert explorer.layer.value == "h.1.mlp.c_fc.weight"
    explorer.layer.value = "h.0.mlp.c_proj.weight"
    explorer.feedforward.value = 30
    assert explorer.layer.value == "h.0.mlp.c_proj.weight"  # of that part, the learner's choice stays


def test_each_number_has_a_label_and_its_slider_no_readout_and_what_changes_is_told(explorer: Explorer) -> None:
    for control, label in ((explorer.attention, "attention"), (explorer.feedforward, "feed-forward")):
        assert control.number.description == label
        assert (control.number.min, control.number.max) == (control.slider.min, control.slider.max)
        assert not control.slider.readout
        assert set(control._link.source + control._link.target) == {control.slider, control.number, "value"}
    assert explorer.status.value.startswith("<div role='status' aria-live='polite'")


def test_the_models_sample_is_shown_as_a_play_and_never_as_html() -> None:
    quoted = _quoted("**MACBETH**  \n**MERC\nFAREY** ** \n<b>out</b>\n\n\n\n\n\n\n\n\n")
    assert "<b>MACBETH</b>" in quoted
    assert "<b>MERC\nFAREY</b>" in quoted
    assert "&lt;b&gt;out&lt;/b&gt;" in quoted
    assert "line breaks" in quoted
    assert "*" not in quoted


def test_going_back_brings_the_weights_back(explorer: Explorer) -> None:
    dense = explorer._dense
    assert zeros(explorer, "attn") > 0.4
    explorer.attention.value = explorer.feedforward.value = 0
    assert all(bool((w == dense[name]).all()) for name, w in prunable_weights(explorer._model).items())


def test_global_pruning_has_one_sparsity_so_its_sliders_move_together(explorer: Explorer) -> None:
    explorer.attention.value = 40
    explorer.method.value = "magnitude, global"
    assert explorer.feedforward.slider.disabled
    assert explorer.feedforward.number.disabled
    assert explorer.feedforward.value == 40
    explorer.method.value = "magnitude, layer by layer"
    assert not explorer.feedforward.disabled


def test_the_learners_model_is_not_touched() -> None:
    model = random_model()
    model.tokenizer = tokenizer()
    Explorer(model, random_ids(TINY, 2, 16), POINTS).attention.value = 90
    assert all(bool((w != 0).any()) for w in prunable_weights(model).values())
    assert sum(int((w == 0).sum()) for w in prunable_weights(model).values()) == 0


def test_a_drag_never_waits_and_only_its_last_position_must_be_measured(
    explorer: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    before = explorer._compute(explorer._settings())

    def slow(settings) -> Seen:
        time.sleep(0.2)
        measured.append(settings.attention)
        return replace(before, note="done")

    monkeypatch.setattr(explorer, "_compute", slow)

    async def drag() -> list[str]:
        for value in range(51, 95):  # many positions, far faster than they can be measured
            explorer.attention.value = value
            await asyncio.sleep(0)
        during = explorer.status.value
        assert "gpt2-busy" in explorer.view._dom_classes
        while explorer._busy:
            await asyncio.sleep(0.01)
        return [during, explorer.status.value]

    during, after = asyncio.run(drag())
    assert "pruning and measuring ..." in during  # the drag was over before anything was measured
    assert "perplexity, was" in during  # what was seen before stays
    assert ">done<" in after
    assert "gpt2-busy" not in explorer.view._dom_classes
    assert measured[-1] == 0.94
    assert len(measured) <= 3


def test_a_point_that_fails_says_so_and_the_next_one_works(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_settings):
        raise ValueError("no <room> left")

    async def once(value: int) -> None:
        explorer.attention.value = value
        await asyncio.gather(explorer._task, return_exceptions=True)

    with monkeypatch.context() as patch:
        patch.setattr(explorer, "_compute", broken)
        asyncio.run(once(30))
    assert "This point failed: no &lt;room&gt; left" in explorer.status.value
    asyncio.run(once(31))
    assert "measured in" in explorer.status.value
