"""The explorer without a browser: what its controls do, and that they never wait for it."""

from __future__ import annotations

import asyncio
import time

import pytest
from tiny import TINY, random_ids, random_model, tokenizer

from gpt2_lib.course.experiments import METHODS, Point
from gpt2_lib.course.widgets import Explorer
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
    before = explorer.image.value
    explorer.feedforward.value = 60
    assert zeros(explorer, "mlp") == pytest.approx(0.6, abs=0.01)
    assert zeros(explorer, "attn") == 0
    assert explorer.image.value != before
    assert bytes(explorer.image.value).startswith(b"\x89PNG")
    assert "perplexity" in explorer.status.value


def test_going_back_brings_the_weights_back(explorer: Explorer) -> None:
    dense = {name: w.detach().clone() for name, w in prunable_weights(explorer._model).items()}
    explorer.attention.value = 90
    explorer.attention.value = 0
    assert all(bool((w == dense[name]).all()) for name, w in prunable_weights(explorer._model).items())


def test_global_pruning_has_one_sparsity_so_its_sliders_move_together(explorer: Explorer) -> None:
    explorer.attention.value = 40
    explorer.method.value = "magnitude, global"
    assert explorer.feedforward.disabled
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

    def slow(settings):
        time.sleep(0.2)
        measured.append(settings.attention)
        return "done", b"png", "text"

    monkeypatch.setattr(explorer, "_compute", slow)

    async def drag() -> list[str]:
        for value in range(1, 51):  # fifty positions, far faster than they can be measured
            explorer.attention.value = value
            await asyncio.sleep(0)
        during = explorer.status.value
        while explorer._busy:
            await asyncio.sleep(0.01)
        return [during, explorer.status.value]

    during, after = asyncio.run(drag())
    assert during == "pruning and measuring ..."  # the drag was over before anything was measured
    assert after == "done"
    assert measured[-1] == 0.5
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
    assert explorer.status.value == "This point failed: no &lt;room&gt; left"
    asyncio.run(once(31))
    assert "perplexity" in explorer.status.value
