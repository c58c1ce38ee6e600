"""Tests of the four challenges: the checks' verdicts on right, wrong and hostile files.

The answers in tests/course/answers/challenges.py make their files from the reference's (`classroom.lay_artifacts`) by
code. The notebook's own check cells judge them here, in this process and on few pages; FLOPs stand in for times, so
that no verdict depends on the clock.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from answers.challenges import HELPERS, RIGHT, WRONG
from classroom import ARTIFACTS, NOTEBOOKS, lay_artifacts, solutions

from autograder.authoring.sources import to_notebook
from gpt2_lib.course import challenges
from gpt2_lib.course.challenges import bars, onnx_file, packed_file, reference, speed
from gpt2_lib.deploy.onnx import OnnxGPT2
from gpt2_lib.gpt2 import GPT2
from gpt2_lib.metrics import flops

NOTEBOOK = to_notebook(NOTEBOOKS["challenges"])
CELLS = {cell.id: cell for cell in NOTEBOOK.cells if "nbgrader" in cell.metadata}
TEXT = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")
LOCKED = [c.source for c in CELLS.values() if c.metadata.nbgrader.locked and not c.metadata.nbgrader.grade]
measured_speed_up = speed.speed_up  # most tests have something else in its place
FEW = 16  # pages, visible and hidden, on which most of these tests measure


def checks_of(exercise: str) -> dict[str, str]:
    """Check -> its source, of one exercise."""
    found, current = {}, ""
    for identity, cell in CELLS.items():
        role = cell.metadata.nbgrader
        current = identity if role.solution else current
        if role.grade and current == exercise:
            found[identity] = cell.source
    return found


@pytest.fixture(scope="module")
def notebook() -> Iterator[dict[str, object]]:
    """The names that the locked cells and the answers' helpers make; few pages, and no clock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, "VISIBLE", FEW)
        patch.setattr(reference, "HIDDEN", FEW)
        patch.setattr(speed, "speed_up", flop_ratio)
        forget()
        names: dict[str, object] = {"__name__": "__main__"}
        with contextlib.redirect_stdout(io.StringIO()):
            for source in [*LOCKED, HELPERS]:
                exec(source, names)
        yield names
    forget()


def forget() -> None:
    """Clear the caches of `challenges`."""
    for function in (reference.pages, reference.accuracy, packed_file.read_packed, onnx_file.read_exported):
        function.cache_clear()


def flop_ratio(found: challenges.Exported) -> float:
    with torch.device("meta"):
        smaller = GPT2(found.model.config)
    return sum(flops(challenges.dense(), 128).values()) / sum(flops(smaller, 128).values())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder we are in, with the reference's files."""
    lay_artifacts(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def verdicts(notebook: dict[str, object], exercise: str, answer: str) -> dict[str, str]:
    """Check -> what it says, "" where it passes."""
    names, said = dict(notebook), {}
    exec(answer, names)
    for check, source in checks_of(exercise).items():
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(source, names)
        except AssertionError as error:
            said[check] = str(error)
        else:
            said[check] = ""
    return said


def every(answers: dict[str, dict]) -> list:
    """(exercise, name) each. All but an exercise's first are left to `make test-all`."""
    return [
        pytest.param(exercise, name, id=f"{exercise}: {name}", marks=[pytest.mark.slow] if number else [])
        for exercise, names in answers.items()
        for number, name in enumerate(names)
    ]


@pytest.mark.parametrize(("exercise", "name"), every(WRONG))
@pytest.mark.usefixtures("folder")
def test_a_wrong_file_loses_the_points_it_should_and_is_told_why(
    notebook: dict[str, object], exercise: str, name: str
) -> None:
    fails, answer = WRONG[exercise][name]
    said = verdicts(notebook, exercise, answer)
    assert {check for check, text in said.items() if text} == fails, said
    for text in filter(None, said.values()):
        assert len(text.split()) > 5
        assert len(text) < 700


@pytest.mark.parametrize(("exercise", "name"), every(RIGHT))
@pytest.mark.usefixtures("folder")
def test_an_unusual_right_file_gets_all_points(notebook: dict[str, object], exercise: str, name: str) -> None:
    said = verdicts(notebook, exercise, RIGHT[exercise][name])
    assert set(said.values()) == {""}, said


NOTHING = ["None", "0", "1", "True", "''", "'done'", "b''", "b'0'", "bytes(1000)", "()", "[]", "{}", "(None, None)"]
NOTHING += ["(b'', b'')", "Path('sparse.gpt2pack')", "1 / 0", "{}['nothing']"]
UNTOUCHED = {  # name -> its file's bytes
    "gpt2-mini, packed": "bytes_of(load_pretrained_gpt2(), save_packed)",
    "gpt2-mini, exported": "bytes_of(load_pretrained_gpt2(), export_onnx)",
    "zeros, packed": "bytes_of(emptied(load_pretrained_gpt2()), save_packed)",
    "zeros, in int8": "bytes_of(emptied(load_pretrained_gpt2()), save_packed, int8=True)",
    "zeros, exported": "bytes_of(emptied(load_pretrained_gpt2()), export_onnx)",
}
MADE_UP = "log_of(None, (0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5), end=0.3)"
# check -> what passes all the same. It asks for a log that can be read, and for no more; the other checks ask whether
# the log is true.
RIGHT_BY_NATURE = {
    "tracked_log": {f"a log, made up; {model}" for model in ("gpt2-mini, packed", "zeros, packed", "zeros, in int8")}
}


@pytest.mark.slow
@pytest.mark.parametrize("exercise", WRONG)
@pytest.mark.usefixtures("folder")
def test_an_unchanged_or_empty_file_gets_no_points(notebook: dict[str, object], exercise: str) -> None:
    """No file, an empty one, gpt2-mini as it is, gpt2-mini with nothing but zeros; with a log that was made up."""
    names = notebook | {"files": {name: eval(code, notebook) for name, code in UNTOUCHED.items()}}
    values = {value: value for value in NOTHING} | {name: f"files[{name!r}]" for name in UNTOUCHED}
    if exercise == "tracked_run":
        values |= {f"a log, made up; {name}": f"({MADE_UP}, files[{name!r}])" for name in UNTOUCHED}
        values |= {f"an empty log; {name}": f"(b'', files[{name!r}])" for name in UNTOUCHED}
    passed: dict[str, set[str]] = {}
    for name, value in values.items():
        said = verdicts(names, exercise, f"def {exercise}():\n    return {value}")
        for check in (check for check, text in said.items() if not text):
            passed.setdefault(check, set()).add(name)
    assert passed == {check: names for check, names in RIGHT_BY_NATURE.items() if check in checks_of(exercise)}


def test_every_function_has_enough_answers_and_every_check_catches_one() -> None:
    assert {e: len(names) for e, names in WRONG.items() if len(names) < 8} == {}
    assert {e: len(names) for e, names in RIGHT.items() if len(names) < 4} == {}
    assert set(WRONG) == set(RIGHT) == set(solutions(NOTEBOOK))
    for exercise, names in WRONG.items():
        assert set.union(*(fails for fails, _ in names.values())) == set(checks_of(exercise))


@pytest.mark.parametrize(
    ("exercise", "name", "reason"),
    [
        ("sparse_model", "the embeddings are pruned", "not the embeddings"),
        ("sparse_model", "the file was not handed in", "handed in beside the notebook"),
        ("sparse_model", "another vocabulary", "vocab_size is 1024, gpt2-mini's 2048"),
        ("sparse_model", "a small file that unpacks to 200 MB", "unpacks to more than 18 MB"),
        ("sparse_model", "a weight is no number", "h.1.mlp.c_fc.weight has entries that are NaN"),
        ("sparse_model", "a file of 13 MB", "12 MB is the limit"),
        ("sparse_model", "nothing comes back", "got nothing (None)"),
        ("mobile_model", "zeros instead of smaller matrices", "Zeros stay in the matrices"),
        ("mobile_model", "the weights lie in another file", "lie in another file"),
        ("mobile_model", "operators of another domain", "'com.microsoft'"),
        ("mobile_model", "another graph", "not what export_onnx writes"),
        ("mobile_model", "sizes that it has not", "not what export_onnx writes"),
        ("mobile_model", "a weight is no number", "NaN"),
        ("tracked_run", "the log of another run", "The log ends at an accuracy of 31.00%"),
        ("tracked_run", "a column is missing", "no column 'accuracy'"),
        ("edge_model", "pruned, in float32", "is not stored as int8"),
        ("edge_model", "int8, not pruned", "1.00 times as many"),
        ("edge_model", "coarser steps instead of pruning", "25% are asked"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_the_reason_is_the_right_one(notebook: dict[str, object], exercise: str, name: str, reason: str) -> None:
    said = verdicts(notebook, exercise, WRONG[exercise][name][1])
    assert reason in next(filter(None, said.values()))


@pytest.mark.parametrize(
    ("hidden", "visible", "refused"), [(0.011, 0.0, True), (0.0, 0.026, True), (0.009, 0.024, False)]
)
@pytest.mark.usefixtures("folder")
def test_a_model_that_knows_the_held_out_plays_is_refused(
    notebook: dict[str, object], monkeypatch: pytest.MonkeyPatch, hidden: float, visible: float, refused: bool
) -> None:
    """Whose accuracy is higher by more than 1 %; on the visible pages, which are few, by more than 2.5 %."""
    monkeypatch.setattr(bars, "lost", lambda model, unseen=False: -hidden if unseen else -visible)
    said = verdicts(notebook, "sparse_model", solutions(NOTEBOOK)["sparse_model"])
    assert all(("held out" in text) == refused for text in said.values()), said


@pytest.mark.usefixtures("folder")
def test_a_file_that_is_there_is_not_made_again() -> None:
    makers = [cell.source for cell in NOTEBOOK.cells if cell.source.startswith("if not Path(")]
    assert len(makers) == 4
    for source in makers:
        exec(source, {"Path": Path})  # there is no make_...(): it would be a NameError


def test_the_visible_and_the_hidden_pages_have_none_in_common() -> None:
    forget()
    seen, hidden = ({tuple(page) for page in challenges.pages(h).tolist()} for h in (False, True))
    assert (len(seen), len(hidden)) == (reference.VISIBLE, reference.HIDDEN)
    assert not seen & hidden


def test_the_speed_up_is_the_ratio_of_the_computing_times(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    class Timed:
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def logits(self, ids: np.ndarray) -> None:
            assert ids.shape == speed.TIMED
            clock[0] += self.seconds

    monkeypatch.setattr(speed.time, "thread_time", lambda: clock[0])
    monkeypatch.setattr(speed, "dense_exported", lambda int8: Timed(0.6))
    assert measured_speed_up(challenges.Exported(cast(OnnxGPT2, Timed(0.4)), int8=False)) == pytest.approx(1.5)


def test_the_best_of_a_few_measurements_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = challenges.Exported(cast(OnnxGPT2, None), int8=False)
    measured = iter([1.1, 1.4])
    monkeypatch.setattr(speed, "speed_up", lambda _: next(measured))
    challenges.assert_faster(found, 1.3)
    assert "1.40 times as fast" in capsys.readouterr().out
    monkeypatch.setattr(speed, "speed_up", lambda _: 1.2)
    with pytest.raises(AssertionError, match=r"1\.20 times as fast"):
        challenges.assert_faster(found, 1.3)


def test_the_text_names_each_check_with_its_points() -> None:
    rows = {row[1]: float(row[2]) for row in re.finditer(r"^\| `(\w+)` \|.*\| (\d+) \|$", TEXT, re.MULTILINE)}
    assert rows == {i: c.metadata.nbgrader.points for i, c in CELLS.items() if c.metadata.nbgrader.grade}
    assert sum(rows.values()) == 40


def test_the_references_files_are_small_enough_to_be_handed_in_and_committed(folder: Path) -> None:
    handed_in = {"sparse.gpt2pack", "mobile.onnx", "run.csv", "edge.gpt2pack"}
    assert max((folder / name).stat().st_size for name in handed_in) <= challenges.LARGEST
    assert max(path.stat().st_size for path in ARTIFACTS.iterdir()) <= 5_000_000
