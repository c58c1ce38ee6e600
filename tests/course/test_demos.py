"""Tests of the demos without a browser: the effect of their sliders on numbers and pictures."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from classroom import NOTEBOOKS
from images import seen
from tiny import TINY, UNEVEN, random_ids, random_model

from autograder.authoring.sources import to_notebook
from gpt2_lib.course.demos import Demo, GlobalDemo, NeuronDemo, ScheduleDemo, ThresholdDemo
from gpt2_lib.course.page.live import Seen

DEMOS: dict[str, Callable[[], Demo]] = {
    "threshold": lambda: ThresholdDemo(torch.arange(-10.0, 10.0).reshape(4, 5)),
    "neurons": lambda: NeuronDemo(random_model(), random_ids(TINY, 2, 16)),
    "schedule": ScheduleDemo,
    "global": lambda: GlobalDemo(random_model(UNEVEN)),
}


@pytest.mark.parametrize("make", DEMOS.values(), ids=DEMOS)
def test_every_slider_draws_a_new_picture_over_its_whole_range(make: Callable[[], Demo]) -> None:
    demo = make()
    assert demo.caption
    for control in demo._controls:
        shown, words = [], []
        for value in (control.slider.min, control.slider.max):
            control.value = value
            picture, alt = seen(demo)
            assert picture.startswith(b"\x89PNG")
            assert "nan" not in demo.status.value.lower()
            shown.append(picture)
            words.append(alt)
        assert shown[0] != shown[1]
        assert words[0] != words[1]


def number(demo: Demo, pattern: str) -> float:
    found = re.search(pattern, re.sub("<[^>]*>", "", demo.status.value))
    assert found is not None, pattern
    return float(found[1].replace(",", ""))


def test_the_threshold_lies_where_the_sparsity_says() -> None:
    demo = DEMOS["threshold"]()  # -10 ... 9
    assert isinstance(demo, ThresholdDemo)
    demo.sparsity.value = 45
    assert number(demo, r"^(\d+) of 20 weights go") == 9
    assert number(demo, r"±([\d.]+)") == 4


def test_neurons_really_fall_out_and_the_model_is_measured_and_left_as_it_was() -> None:
    model = random_model()
    before = {name: p.clone() for name, p in model.state_dict().items()}
    demo = NeuronDemo(model, random_ids(TINY, 2, 16), block=1)
    demo.removed.value = 0
    dense = number(demo, r"perplexity ([\d.,]+)")
    demo.removed.value = 50
    assert "c_fc (96, 24) → (48, 24), c_proj (24, 96) → (24, 48)" in demo.status.value
    assert number(demo, r"perplexity ([\d.,]+)") != dense
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())


def test_the_status_of_the_schedule_is_the_cubic_curves() -> None:
    demo = ScheduleDemo()
    demo.start.value, demo.steps.value = 200, 500
    assert number(demo, r"^A quarter of the way.* has taken (\d+)%") == 58  # 1 - (3/4)^3
    assert number(demo, r"(\d+) steps are left") == 300
    cells = to_notebook(NOTEBOOKS["phase2_techniques"]).cells
    assert any("has each done a quarter of the way?" in " ".join(cell.source.split()) for cell in cells)


def test_one_ranking_gives_the_layers_sparsities_of_their_own() -> None:
    demo = DEMOS["global"]()
    assert isinstance(demo, GlobalDemo)
    demo.sparsity.value = 60
    assert number(demo, r"most in [\w.]+: (\d+)%") > 60 > number(demo, r"least in [\w.]+: (\d+)%")


def test_a_drag_never_waits_and_its_last_position_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    demo = DEMOS["threshold"]()
    assert isinstance(demo, ThresholdDemo)
    drawn = []

    before = demo._compute((50,))

    def slow(settings: tuple[int, ...]) -> Seen:
        time.sleep(0.2)
        drawn.append(settings)
        return replace(before, numbers="done")

    monkeypatch.setattr(demo, "_compute", slow)

    async def drag() -> None:
        for value in range(1, 31):
            demo.sparsity.value = value
            await asyncio.sleep(0)
        assert "drawing ..." in demo.status.value  # the drag was over before anything was drawn
        while demo._busy:
            await asyncio.sleep(0.01)

    asyncio.run(drag())
    assert ">done<" in demo.status.value
    assert "drawing ..." not in demo.status.value
    assert drawn[-1] == (30,)
    assert len(drawn) <= 3
