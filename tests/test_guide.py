"""Tests of the guide: its calls run, its pictures exist, it is complete, and no figure was typed by hand."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from copy import deepcopy
from pathlib import Path
from types import ModuleType

import pytest
from matplotlib.mathtext import MathTextParser
from test_readme import IMAGE, anchors, blocks, targets
from tiny import TINY, random_model, tokenizer

import gpt2_lib
from gpt2_lib import GPT2Config, ModelPruner, corpus
from gpt2_lib.pruning import schedules, scores, selection

DOCS = Path(__file__).parent.parent / "docs"
GUIDE = (DOCS / "MODEL_PRUNING_GUIDE.md").read_text(encoding="utf-8")
TEMPLATE = (DOCS / "guide_template.md").read_text(encoding="utf-8")
CALLS = [code for language, code in blocks(GUIDE) if language == "python"]
# As wide as rectangles of 16 x 16 need, and with the four blocks that the guide's calls name.
SMALL = GPT2Config(vocab_size=TINY.vocab_size, n_positions=32, n_embd=32, n_layer=4, n_head=4)
TEXTS = ("Words and denominators", "Which method when", "The field today", "Further reading")
NUMBER = re.compile(r"(?<![\w:.-])\d[\d.,]*(?![\w:])")  # one that stands alone: not 2:4, int8 or GPT-2


@pytest.fixture(scope="module")
def guide() -> ModuleType:
    """docs/guide.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("guide", DOCS / "guide.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "guide", module)  # dataclasses look their module up
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def start() -> dict:
    """What the guide's first call makes, on a tiny model."""
    model = random_model(SMALL)
    model.tokenizer = tokenizer()
    names: dict = {}
    plays = {name: text[:20_000] for name, text in corpus.training_plays().items() if name < "b"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpt2_lib, "load_pretrained_gpt2", lambda: model)
        patch.setattr(corpus, "training_plays", lambda: plays)
        exec(CALLS[0], names)
    return names


@pytest.mark.parametrize("number", range(1, len(CALLS)))
def test_every_call_runs(number: int, start: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = deepcopy(start["model"])
    fresh = {"model": model, "weights": start["prunable_weights"](model), "pruner": ModelPruner(model)}
    exec(compile(CALLS[number], f"call {number} of the guide", "exec"), start | fresh)


def test_the_guide_is_the_template_with_figures_filled_in(guide: ModuleType) -> None:
    first, *parts = guide.PLACEHOLDER.split(TEMPLATE)[::2]  # the text between two figures
    assert GUIDE.startswith(first)
    place = len(first)
    for part in parts:
        found = GUIDE.find(part, place + 1)  # a figure has at least one character
        assert found > 0, f"the guide is not what its template says, run `make docs`: it lacks {part!r}"
        place = found + len(part)
    assert GUIDE.endswith(parts[-1])
    assert guide.PLACEHOLDER.search(GUIDE) is None


def test_the_template_holds_no_number(guide: ModuleType) -> None:
    assert numbers(TEMPLATE, guide.PLACEHOLDER) == []


def numbers(text: str, placeholder: re.Pattern) -> list[str]:
    """The numbers in the prose of ``text``: not in code, equations and links, which cite or call."""
    math = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)
    for pattern in (re.compile("^```.*?^```", re.MULTILINE | re.DOTALL), re.compile("`[^`]+`"), math, placeholder):
        text = pattern.sub("", text)
    return NUMBER.findall(re.sub(r"\[[^\]]*\]\([^)]*\)", "", text))


def test_a_typed_number_would_be_found(guide: ModuleType) -> None:
    text = (
        "2:4 of GPT-2 124M in int8, `x = 3`, $s = 0.5$, [A, 2017](b9): <<a.b>>, 50 %, 26.5, 0.2 s.\n```python\n4\n```\n"
    )
    assert numbers(text, guide.PLACEHOLDER) == ["50", "26.5,", "0.2"]


def test_a_figure_that_is_missing_or_not_asked_for_is_an_error(guide: ModuleType) -> None:
    assert guide.fill("<<a.b>> and <<c>>, <<a.b>>", {"a.b": "1", "c": "2"}) == "1 and 2, 1"
    with pytest.raises(KeyError, match="nothing measures"):
        guide.fill("<<a>> <<b>>", {"a": "1"})
    with pytest.raises(KeyError, match="nothing in it asks"):
        guide.fill("<<a>>", {"a": "1", "b": "2"})


def public(owner: object) -> list[str]:
    """The public functions that ``owner`` (a module or a class) defines itself."""
    module = owner.__name__ if inspect.ismodule(owner) else owner.__module__
    return [
        name
        for name, value in inspect.getmembers(owner, inspect.isfunction)
        if not name.startswith("_") and value.__module__ == module
    ]


@pytest.mark.parametrize("module", [scores, selection, schedules], ids=lambda m: m.__name__)
def test_every_function_is_in_the_guide(module: ModuleType) -> None:
    here = module.__name__.rpartition(".")[2]
    assert len(public(module)) >= 3
    assert [name for name in public(module) if not re.search(rf"\b{here}\.{name}\b", GUIDE)] == []


def test_every_verb_is_in_the_guide() -> None:
    assert len(public(ModelPruner)) >= 10
    assert [name for name in public(ModelPruner) if not re.search(rf"\bpruner\.{name}\(", GUIDE)] == []


def test_every_picture_is_there_and_says_what_one_sees() -> None:
    pictures = {m["target"]: m["alt"] for m in IMAGE.finditer(GUIDE)}
    assert {f"pictures/{path.name}" for path in DOCS.glob("pictures/guide_*.png")} == set(pictures)
    assert [target for target, alt in pictures.items() if len(alt.split()) < 12] == []


def test_every_picture_is_wide_enough_to_read() -> None:
    for path in DOCS.glob("pictures/guide_*.png"):
        head = path.read_bytes()[:24]
        assert head[:8] == b"\x89PNG\r\n\x1a\n", path.name
        assert int.from_bytes(head[16:20], "big") >= 700, path.name


def test_every_section_has_an_equation_a_call_a_picture_and_its_use() -> None:
    sections = {part.partition("\n")[0]: part for part in re.split(r"^## ", GUIDE, flags=re.MULTILINE)[1:]}
    methods = [s for s in sections if s not in TEXTS]
    assert len(methods) >= 15
    for part in ("\n$$ ", "\n```python\n", "](pictures/guide_", "\n**When:** ", "\n**Cost here:** "):
        assert [s for s in methods if part not in sections[s]] == [], f"no {part.strip()!r} in these"


def test_every_link_leads_somewhere() -> None:
    broken = []
    for target in targets(GUIDE):
        path, _, anchor = target.partition("#")
        if not (DOCS / path).exists() or (anchor and anchor not in anchors(GUIDE)):
            broken.append(target)
    assert broken == []


def equations(text: str) -> list[str]:
    text = re.sub("^```.*?^```|`[^`]+`", "", text, flags=re.MULTILINE | re.DOTALL)
    return [a or b for a, b in re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", text, flags=re.DOTALL)]


def test_every_equation_can_be_set() -> None:
    """By matplotlib, which knows a part of what GitHub's MathJax does. What Markdown would eat is refused too."""
    assert len(equations(GUIDE)) > 20
    parser = MathTextParser("path")
    ours = {r"\lvert": r"\vert", r"\rvert": r"\vert", r"\lVert": r"\Vert", r"\rVert": r"\Vert", r"\gt": ">"}
    for equation in equations(GUIDE):
        assert not re.search(r"\\[^a-zA-Z ]|[<>*]", equation), f"Markdown changes this before it is set: {equation}"
        for spelt, known in ours.items():
            equation = equation.replace(spelt, known)
        parser.parse(f"${equation.strip()}$")
