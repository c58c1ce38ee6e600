"""Tests of pruning methods in a user's own file on the command line: FILE.py:FUNCTION where a method's name stands."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import random_model, tokenizer

from gpt2_lib import ModelPruner, compare, load_pretrained_gpt2, save_pretrained, windows_of
from gpt2_lib.__main__ import main
from gpt2_lib.commands import own_method
from gpt2_lib.commands.own_method import method_of
from gpt2_lib.pruning.methods.registry import METHODS, find_method
from gpt2_lib.pruning.targets import prunable_weights

METHODS_FILE = '''
import torch
from gpt2_lib.pruning.pruner import prunable_weights
from beside_it import power

print("imported")
dropped = 2


def far_from_mean(model):
    """Scores."""
    return {name: (w - w.mean(dim=1, keepdim=True)).abs() ** power for name, w in prunable_weights(model).items()}


def first_of_three(model):
    """Masks."""
    return {name: torch.arange(w.size(1)).expand_as(w) % 3 != 0 for name, w in prunable_weights(model).items()}


def by_text(model, text):
    """Scores that need text."""
    with open("seen.txt", "a") as file:
        file.write(f"{tuple(text.shape)} ")
    return far_from_mean(model)


def better_with_text(model, share=0.5, *, text=None):
    with open("seen.txt", "a") as file:
        file.write("none " if text is None else "text ")
    return far_from_mean(model)


def fails(model):
    return model.missing


def no_scores(model):
    return {}


def takes_more(model, how):
    return {}


def takes_nothing():
    return {}
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in, with a model, two texts and a file of methods; what is imported is forgotten afterwards."""
    model = random_model()
    model.tokenizer = tokenizer()
    save_pretrained(model, tmp_path / "in")
    (tmp_path / "train.txt").write_text("Whether 'tis nobler in the mind to suffer\n" * 60, encoding="utf-8")
    (tmp_path / "test.txt").write_text("To be, or not to be: that is the question:\n" * 30, encoding="utf-8")
    (tmp_path / "mine.py").write_text(METHODS_FILE, encoding="utf-8")
    (tmp_path / "beside_it.py").write_text("power = 1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = {*sys.modules}
    yield tmp_path
    for name in {*sys.modules} - before:
        del sys.modules[name]
    own_method._imported.cache_clear()


def call(*arguments: str) -> None:
    main([*arguments, "--sparsity", "0.5", "--test", "test.txt"])


def refused(*arguments: str) -> str:
    """Return the message of a command that must fail and write nothing."""
    with pytest.raises(SystemExit) as end:
        call("prune", "in", "out", *arguments)
    assert isinstance(end.value.code, str)
    assert not Path("out").exists()
    return end.value.code


def test_prune_takes_a_function_of_a_file_and_cuts_where_it_says(folder: Path) -> None:
    call("prune", "in", "out", "--method", "mine.py:far_from_mean", "--json", "found.json")
    for name, w in prunable_weights(load_pretrained_gpt2("in")).items():
        far = (w - w.mean(dim=1, keepdim=True)).abs()
        goes = prunable_weights(load_pretrained_gpt2("out"))[name] == 0
        assert goes.double().mean() == 0.5
        assert far[goes].max() <= far[~goes].min()
    found = json.loads(Path("found.json").read_text())
    assert found["method"] == found["rows"][1]["model"] == "mine.py:far_from_mean"


def test_compare_sets_own_methods_beside_the_others_and_measures_as_python_does(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("compare", "in", "--methods", "magnitude", "mine.py:far_from_mean", "mine.py:first_of_three", "--json", "j")
    assert capsys.readouterr().out.count("imported") == 1
    rows = {row["method"]: row for row in json.loads(Path("j").read_text())["rows"]}
    assert list(rows) == ["unpruned", "magnitude", "mine.py:far_from_mean", "mine.py:first_of_three"]
    assert rows["mine.py:first_of_three"]["sparsity"] == pytest.approx(1 / 3, abs=0.01)
    model, codec = load_pretrained_gpt2("in")
    test = windows_of(Path("test.txt").read_text(), codec, model.config.n_positions)
    same = compare(model, method_of("mine.py:far_from_mean"), 0.5, test=test)
    assert rows["mine.py:far_from_mean"]["perplexity"] == same.rows[1].quality.perplexity


def test_a_function_with_an_argument_called_text_gets_the_calibration_text(folder: Path) -> None:
    assert refused("--method", "mine.py:by_text") == (
        "gpt2-pruning prune: mine.py:by_text needs text: give --calibrate TEXT."
    )
    call("prune", "in", "out", "--method", "mine.py:by_text", "--calibrate", "train.txt", "--calibration-windows", "3")
    assert Path("seen.txt").read_text() == "(3, 32) "
    Path("seen.txt").unlink()
    methods = ("--methods", "mine.py:better_with_text", "wanda", "mine.py:far_from_mean")
    call("compare", "in", *methods, "--calibrate", "train.txt")
    call("compare", "in", "--methods", "mine.py:better_with_text")
    assert Path("seen.txt").read_text() == "text none "


def test_all_stands_beside_own_methods(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", "in", "--methods", "all", "mine.py:far_from_mean", "--n-m", "2:4", "--test", "test.txt"])
    said = capsys.readouterr().out
    assert all(f"| {name} |" in said for name in ("magnitude", "random", "mine.py:far_from_mean"))


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("mine.py", r"mine.py names no function of mine.py. There is mine.py:far_from_mean, mine.py:first_of_three, "),
        ("mine.py:", r"names no function of mine.py. There is mine.py:far_from_mean"),
        ("mine.py:dropped", r"mine.py:dropped names no function of mine.py"),
        ("mine.py:no_such", r"mine.py:no_such names no function"),
        ("beside_it.py", r"names no function of beside_it.py. There is no function at all"),
        ("nowhere.py:f", r"There is no Python file nowhere.py"),
        ("in:f", r"There is no Python file in, which in:f names: a method of your own is FILE.py:FUNCTION"),
        ("json:loads", r"There is no Python file json"),
        ("test.txt:f", r"There is no Python file test.txt"),
        ("mine.py:fails", r"mine.py:fails failed: line 34: AttributeError: 'GPT2' object has no attribute 'missing'"),
        ("mine.py:no_scores", r"gives scores or a mask \(72, 24\) of h.0.attn.c_attn.weight; it is missing"),
        ("mine.py:takes_more", r"takes a model, and text if it looks at text; mine.py:takes_more takes model, how"),
        ("mine.py:takes_nothing", r"mine.py:takes_nothing takes no arguments"),
    ],
)
def test_a_method_that_can_not_be_had_is_told_in_a_sentence(folder: Path, method: str, message: str) -> None:
    said = refused("--method", method)
    assert re.search(message, said), said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_package", "line 1: ModuleNotFoundError: No module named 'no_such_package'"),
        ("\n\ndef f(:", "line 3: SyntaxError: "),
        ("def f(model): ...\n1 / 0", "line 2: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit()", "line 2: SystemExit: "),
        ("def f(model): ...\n" + 'raise ValueError("one\\ntwo")', "line 2: ValueError: one"),
    ],
)
def test_a_file_that_can_not_be_imported_is_told_with_its_line(folder: Path, code: str, message: str) -> None:
    Path("other.py").write_text(code, encoding="utf-8")
    assert refused("--method", "other.py:f").startswith(f"gpt2-pruning prune: other.py can't be imported: {message}")


def test_a_file_in_a_models_folder_is_never_run(folder: Path) -> None:
    """A downloaded model may bring code; in a cache of downloads its files are links."""
    for place in (Path("in"), Path("in/code")):
        place.mkdir(exist_ok=True)
        shutil.copy("mine.py", place / "theirs.py")
        (place / "theirs.py").write_text('open("ran", "w")\n\ndef f(model): ...\n', encoding="utf-8")
        assert "lies in a model's folder, " in refused("--method", f"{place}/theirs.py:f")
    Path("link.py").symlink_to(Path("in/theirs.py").absolute())
    assert "lies in a model's folder, " in refused("--method", "link.py:f")
    Path("cache").mkdir()
    shutil.copy("in/config.json", "cache/config.json")
    Path("cache/linked.py").symlink_to(Path("mine.py").absolute())
    assert "lies in a model's folder, " in refused("--method", "cache/linked.py:far_from_mean")
    assert not Path("ran").exists()


def test_files_beside_do_not_hide_what_is_installed(folder: Path) -> None:
    """A json.py beside the methods would break whatever imports json later."""
    Path("json.py").write_text("raise SystemExit('hidden')\n", encoding="utf-8")
    method_of("mine.py:far_from_mean")
    assert sys.path[-1] == str(folder)
    assert sys.path.count(str(folder)) == 1


def test_names_without_a_file_are_those_of_the_registry(folder: Path) -> None:
    assert all(method_of(name) is METHODS[name] for name in METHODS)
    with pytest.raises(ValueError, match="No method is called 'wandaa'"):
        method_of("wandaa")


def test_python_takes_the_same_functions(folder: Path) -> None:
    """With text by the argument's name; a method that was found is taken as it is."""

    def with_text(model: torch.nn.Module, text: torch.Tensor) -> dict[str, torch.Tensor]:
        assert text.shape == (4, 32)
        return {name: w.detach().abs() for name, w in prunable_weights(model).items()}

    model, codec = load_pretrained_gpt2("in")
    test = windows_of(Path("test.txt").read_text(), codec, 32)
    rows = compare(model, [with_text, find_method("magnitude")], 0.5, text=test[:4], test=test).rows
    assert [row.method for row in rows] == ["unpruned", "with_text", "magnitude"]
    assert rows[1].quality == rows[2].quality
    with pytest.raises(ValueError, match="with_text needs text"):
        compare(model, with_text, 0.5, test=test)


@pytest.mark.parametrize("n_m", [None, (2, 4)])
@pytest.mark.parametrize(
    "score", [lambda w: w.abs().clamp_min(1e-12).log(), lambda w: w.abs() - 1, lambda w: w.abs().double() - 7]
)
def test_of_scores_below_zero_the_lowest_go_too(
    n_m: tuple[int, int] | None, score: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    def own(model: torch.nn.Module) -> dict[str, torch.Tensor]:
        return {name: score(w.detach()) for name, w in prunable_weights(model).items()}

    mine, magnitude = random_model(), random_model()
    for model, method in ((mine, own), (magnitude, "magnitude")):
        ModelPruner(model).prune(method, None if n_m else 0.5, n_m=n_m)
    for p, q in zip(mine.parameters(), magnitude.parameters(), strict=True):
        assert torch.equal(p, q)


def test_equal_scores_below_zero_go_by_position_and_nan_is_refused() -> None:
    def same(model: torch.nn.Module) -> dict[str, torch.Tensor]:
        return {name: torch.full_like(w, -3.0) for name, w in prunable_weights(model).items()}

    def none(model: torch.nn.Module) -> dict[str, torch.Tensor]:
        return {name: torch.full_like(w, -torch.nan) for name, w in prunable_weights(model).items()}

    model = random_model()
    ModelPruner(model).prune(same, 0.25)
    for w in prunable_weights(model).values():
        zeros = w.flatten() == 0
        assert bool(zeros[: round(0.25 * w.numel())].all())
        assert int(zeros.sum()) == round(0.25 * w.numel())
    with pytest.raises(ValueError, match="NaN or infinite"):
        ModelPruner(random_model()).prune(none, 0.25)


def test_scores_that_are_no_tensors_are_named() -> None:
    def own(model: torch.nn.Module) -> Any:
        return {name: w.detach().abs().numpy() for name, w in prunable_weights(model).items()}

    with pytest.raises(ValueError, match="it is a ndarray, no tensor"):
        ModelPruner(random_model()).prune(own, 0.5)
