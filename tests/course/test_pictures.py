"""Each worked example's picture is drawn, and the numbers below it are right."""

from __future__ import annotations

import inspect
import re

import matplotlib.pyplot as plt
import pytest
from classroom import NOTEBOOKS

from autograder.authoring.sources import to_notebook
from gpt2_lib.course import pictures

DRAWN = {name for name, thing in vars(pictures).items() if inspect.isfunction(thing) and name[0] != "_"}


@pytest.mark.parametrize("name", sorted(DRAWN))
def test_a_picture_is_drawn_and_shown(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(len(plt.gcf().axes)))
    getattr(pictures, name)()
    plt.close("all")
    assert shown[0] >= 2


def test_the_leak_is_what_the_silent_neuron_said(capsys: pytest.CaptureFixture[str]) -> None:
    pictures.leak()
    plt.close("all")
    with_it, without, difference = (
        [float(number) for number in re.findall(r"-?[\d.]+", line.partition("[")[2])]
        for line in capsys.readouterr().out.splitlines()
    )
    assert difference == pytest.approx([0.841 * 3, 0.841 * 4], abs=2e-3)
    assert [a - b for a, b in zip(with_it, without, strict=True)] == pytest.approx(difference, abs=2e-3)


def test_each_picture_has_its_cell() -> None:
    sources = "\n".join(cell.source for path in NOTEBOOKS.values() for cell in to_notebook(path).cells)
    assert set(re.findall(r"^pictures\.(\w+)\(\)", sources, re.MULTILINE)) == DRAWN
