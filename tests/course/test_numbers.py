"""Tests of the numbers with units in the notebooks' text: each is in a data file or is a setting, none is typed.

What is measured is filled in by the cell that measures it; what is cited comes from facts.toml; what a challenge asks
for from its bars.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpt2_lib.checkpoints import load_pretrained_gpt2
from gpt2_lib.course.challenges import artifacts, bars, reference, speed

SOURCE = Path(__file__).parent.parent.parent / "source"
UNIT = r"%|[kMG]B\b|ms\b|seconds?\b|minutes?\b|times\b|x\b|steps\b|tokens\b|bits\b|pages\b|of them\b|each\b|without\b"
NUMBER = re.compile(rf"(?<![\w.:,-])\d[\d,.]*(?:-\d+)?(?=\s?(?:{UNIT}))|(?<=perplexity )\d[\d.,]*\d")
NOT_PROSE = re.compile(r"<<[^<>\n]*>>|`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$|\]\([^)]*\)|<[^>]*>", re.DOTALL)

# Not measured: what the reader is asked to imagine, to choose or to set; master -> numbers
SETTINGS = {
    "phase1_overview/beyond": {"50", "64"},  # the sparsity and the pages of that section's own measurement
    "phase1_overview/ending": {"50-70", "20-40", "20", "2,000", "3.4"},  # what is said to be used; made-up examples
    "phase1_overview/explorer": {"80", "60"},  # what to drag to, and an answer that says it is a judgement
    "phase1_overview/field": {"4"},  # a precision
    "phase2_techniques/cubic_sparsity": {"4"},  # the example
    "phase2_techniques/ending": {"50"},  # a question
    "phase2_techniques/layer_sparsities": {"60", "80"},  # the budget, and the sparsity of the scan
    "phase2_techniques/opening": {"60", "2"},  # the bar of benchmarks/gradual.py
    "phase2_techniques/remove_heads": {"1,536"},  # tokens of six windows
    "phase2_techniques/train_step_with_masks": {"80"},  # FINAL of its cell
    "phase3_production/challenge_sparse": {"150"},  # steps to try first
    "phase3_production/challenges_opening": {"40"},  # minutes, as README says
    "phase3_production/quantize_int8": {"32"},  # bits of a float32
}


def numbers(text: str) -> set[str]:
    """The numbers with a unit in ``text``, Markdown, outside of code, formulas, links and marks."""
    return {found.rstrip(".,") for found in NUMBER.findall(NOT_PROSE.sub(" ", text))}


def prose(master: Path) -> str:
    """The Markdown of a master, without the comments' signs."""
    cells = re.split(r"^# %%", master.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = [cell.partition("\n")[2] for cell in cells if cell.lstrip().startswith("[markdown]")]
    return "\n".join(re.sub(r"^# ?", "", text, flags=re.MULTILINE) for text in texts)


def asked() -> set[str]:
    """The challenges' bars and limits, as a text writes them."""
    shares = [bars.SPARSE, bars.SPARSE_LOST, bars.HALF, bars.HALF_LOST, bars.MOBILE_LOST, bars.REMOVED, bars.EDGE_LOST]
    shares += [bars.REMOVED_LOST, bars.EDGE_PART_LOST, bars.SLACK, bars.TOO_GOOD]
    whole = [bars.FASTER, bars.SMALLER, bars.PART_SMALLER, reference.VISIBLE, reference.HIDDEN, artifacts.LARGEST / 1e6]
    return {f"{100 * share:g}" for share in shares} | {f"{n:g}" for n in [*whole, *speed.TIMED]}


MASTERS = sorted(SOURCE.glob("phase*/*.py"))


@pytest.mark.parametrize("master", MASTERS, ids=lambda path: path.stem)
def test_no_number_with_a_unit_was_typed_by_hand(master: Path) -> None:
    name = f"{master.parent.name}/{master.stem}"
    known = SETTINGS.get(name, set()) | (asked() if master.stem.startswith("challenge") else set())
    if name == "phase2_techniques/ending":
        known |= {str(on_the_threshold())}
    assert numbers(prose(master)) - known == set(), (
        "measure it in a cell, cite it from facts.toml, or enter it in SETTINGS if nobody has measured it"
    )


def on_the_threshold() -> int:
    """Weights of the first feed-forward matrix that are as large as the one at which half of it goes."""
    model, _ = load_pretrained_gpt2()
    sizes = model.h[0].mlp.c_fc.weight.detach().abs().flatten()
    return int((sizes == sizes.sort().values[sizes.numel() // 2 - 1]).sum())


def test_no_setting_is_left_over() -> None:
    texts = {f"{path.parent.name}/{path.stem}": numbers(prose(path)) for path in MASTERS}
    assert {name: found - texts[name] for name, found in SETTINGS.items() if found - texts[name]} == {}


def test_a_typed_measurement_would_be_found() -> None:
    text = "It takes 3.5 ms, 12 MB, is 1.9 times as small at perplexity 26.4; 0.09 % lost (86 each). $5 %$ `7 MB` 2:4"
    assert numbers(text) == {"3.5", "12", "1.9", "26.4", "0.09", "86"}
