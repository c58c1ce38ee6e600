"""Real nbgrader runs on the real notebooks: right answers get their points, wrong ones lose them where they should.

How it works. `classroom.Class` releases a phase's real master into a course of its own. A student hands in the released
notebook with one answer written into each exercise's cell, nbgrader grades all students, and the tests look at which
checks (cells that give points) failed. The answers are in tests/answers/.

Three shortcuts keep many variants affordable:

- What is handed in is *reduced* to the cells that nbgrader knows: locked cells, exercises and checks. The
  demonstrations between them (minutes of measuring) give no points. That holds only while no check needs a cell that
  learners may change, which is a promise to learners as well: the reduced reference gets full marks. The reference
  and the untouched notebook are also graded whole.
- One student carries one variant of *every* exercise, since the exercises' checks are independent of each other.
- Students are graded in several processes, each with a copy of the course.

A new exercise needs answers in tests/answers/, no new code. docs/grading.md is the table of all answers and their
points; this writes it:

    UPDATE_GRADING_TABLE=1 .venv/bin/python -m pytest tests/test_grading.py -k table
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from answers import answers
from classroom import PHASES, REPOSITORY, Class, Classroom, lost

from autograder.__main__ import main
from autograder.notebooks import read_notebook, to_text
from autograder.results import Result

TABLE = REPOSITORY / "docs" / "grading.md"


@pytest.fixture(scope="module")
def class_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Class]]:
    """phase -> its class, made when first asked for."""
    classes: dict[str, Class] = {}

    def make(phase: str) -> Class:
        if phase not in classes:
            classes[phase] = Class(phase, tmp_path_factory.mktemp(phase))
        return classes[phase]

    yield make
    for made in classes.values():
        made.close()


def named(which: int) -> list:
    """Parameters (phase, exercise, name) of all wrong (0) or right (1) answers."""
    return [
        pytest.param(phase, exercise, name, id=f"{phase.partition('_')[0]}: {exercise}: {name}")
        for phase in PHASES
        for exercise, names in answers(phase)[which].items()
        for name in names
    ]


def messages(results: list[Result]) -> str:
    return "; ".join(f"{r.check}: {r.message}" for r in results if r.message)


@pytest.mark.parametrize(("phase", "exercise", "name"), named(0))
def test_a_wrong_answer_loses_the_points_it_should(
    class_of: Callable[[str], Class], phase: str, exercise: str, name: str
) -> None:
    results = class_of(phase).of(exercise, name)
    assert lost(results, exercise) == class_of(phase).wrong[exercise][name][0], messages(results)
    for result in results:
        if result.exercise == exercise and result.points < result.max_points:
            assert result.points == 0
            assert len(result.message.split()) > 3, f"{result.check} does not say what is wrong"


@pytest.mark.parametrize(("phase", "exercise", "name"), named(1))
def test_an_unusual_right_answer_gets_full_marks(
    class_of: Callable[[str], Class], phase: str, exercise: str, name: str
) -> None:
    results = class_of(phase).of(exercise, f"right: {name}")
    assert lost(results, exercise) == set(), messages(results)


@pytest.mark.parametrize("phase", PHASES)
def test_every_exercise_has_enough_answers(class_of: Callable[[str], Class], phase: str) -> None:
    room = class_of(phase)
    assert set(room.wrong) == set(room.right) == set(room.reference)
    assert {exercise: len(names) for exercise, names in room.wrong.items() if len(names) < 8} == {}
    assert {exercise: len(names) for exercise, names in room.right.items() if len(names) < 4} == {}


@pytest.mark.parametrize("phase", PHASES)
def test_every_check_catches_some_wrong_answer(class_of: Callable[[str], Class], phase: str) -> None:
    caught = set.union(*(fails for names in class_of(phase).wrong.values() for fails, _ in names.values()))
    assert set(class_of(phase).checks) == caught


@pytest.mark.parametrize("phase", PHASES)
def test_the_checks_need_no_cell_that_a_learner_may_change(class_of: Callable[[str], Class], phase: str) -> None:
    """The reduced reference: an edited or deleted demonstration must not cost points."""
    room = class_of(phase)
    results = room.results("reduced", room.classroom.written(phase, room.reference))
    assert messages(results) == "", "lock the cells that checks build on"
    assert all(r.points == r.max_points for r in results)


@pytest.mark.parametrize("phase", PHASES)
def test_the_whole_reference_gets_full_marks(class_of: Callable[[str], Class], phase: str) -> None:
    room = class_of(phase)
    results = room.results("reference", room.classroom.written(phase, room.reference, whole=True))
    assert messages(results) == ""
    assert sum(r.points for r in results) == sum(r.max_points for r in results) > 0


@pytest.mark.parametrize("phase", PHASES)
def test_the_whole_notebook_as_released_gets_no_points_from_the_learners_command(
    class_of: Callable[[str], Class], phase: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = class_of(phase).classroom.root
    path = root / "notebooks" / phase / f"{phase}.ipynb"
    before = path.read_bytes()
    assert main(["check", phase], root=root) == 0
    out = capsys.readouterr().out
    assert re.search(r"^total +0 +[1-9]", out, re.MULTILINE), out
    assert path.read_bytes() == before


# Accidents: what goes wrong in one exercise costs the others nothing.

ACCIDENTS = {  # "{}" is the function's name
    "returns nothing": "def {}(*arguments, **names):\n    pass",
    "returns text": "def {}(*arguments, **names):\n    return 'done'",
    "is no Python": "def {}(weight\n    return weight",
    "returns a list in a list": "def {}(*arguments, **names):\n    return [[True], 1]",
    "is a number": "{} = 0.5",
    "stops the program": "import sys\n\n\ndef {}(*arguments, **names):\n    sys.exit()",
    "fails": "def {}(*arguments, **names):\n    return arguments[99]",
    "was deleted": "",
}
ENDLESS = """
def {}(*arguments, **names):
    while True:
        try:
            arguments = [*arguments]
        except:
            pass
"""
# Phase 1's checks have no limit on time: nbgrader stops them after ten minutes.
LIMITED = [phase for phase in PHASES if phase != "phase1_overview"]


def assert_only_these_lost(results: list[Result], broken: set[str]) -> None:
    """All points of the ``broken`` exercises are lost with a reason, and no other's."""
    for result in results:
        if result.exercise in broken:
            assert result.points == 0, f"{result.check} gives points for an accident"
            assert len(result.message.split()) > 3, f"{result.check} does not say what is wrong"
        else:
            assert result.points == result.max_points, f"{result.check}: {result.message}"


def leaves(room: Class) -> list[str]:
    """Exercises that no other exercise's reference answer calls."""
    return [e for e in room.reference if not any(e in code for other, code in room.reference.items() if other != e)]


@pytest.mark.parametrize("student", range(3))
@pytest.mark.parametrize("phase", PHASES)
def test_an_accident_in_one_exercise_costs_the_others_nothing(
    class_of: Callable[[str], Class], phase: str, student: int
) -> None:
    room = class_of(phase)
    broken = leaves(room)[student % 2 :: 2]  # every second one, so that sound ones stand between them
    kinds = list(ACCIDENTS.values())
    accidents = {e: kinds[(3 * student + i) % len(kinds)].format(e) for i, e in enumerate(broken)}
    results = room.results(f"accident{student}", room.classroom.written(phase, room.reference | accidents))
    assert_only_these_lost(results, set(broken))


@pytest.mark.parametrize("phase", LIMITED)
def test_an_endless_loop_is_stopped_and_costs_the_others_nothing(class_of: Callable[[str], Class], phase: str) -> None:
    room = class_of(phase)
    exercise = leaves(room)[-1]
    results = room.results("loop", room.classroom.written(phase, room.reference | {exercise: ENDLESS.format(exercise)}))
    assert_only_these_lost(results, {exercise})
    assert all("a loop that never ends" in r.message for r in results if r.exercise == exercise)


@pytest.mark.parametrize("phase", PHASES)
def test_an_answer_that_was_moved_behind_its_checks_keeps_its_points(
    class_of: Callable[[str], Class], phase: str
) -> None:
    room = class_of(phase)
    exercise = leaves(room)[0]
    notebook = room.classroom.written(phase, room.reference)
    notebook.cells.append(notebook.cells.pop(next(i for i, c in enumerate(notebook.cells) if c.id == exercise)))
    assert_only_these_lost(room.results("moved", notebook), set())


@pytest.mark.parametrize("phase", LIMITED)
def test_names_that_a_learner_uses_otherwise_and_an_import_without_use_cost_nothing(
    class_of: Callable[[str], Class], phase: str
) -> None:
    """What the setup cell gave may be gone; a name from the library may be there."""
    room = class_of(phase)
    before = (
        "from random import random\n"
        "from gpt2_lib.pruner import *\n"
        "from gpt2_lib.selection import global_masks as ready, layer_masks\n"
        "show = progress = deepcopy = tokenizer = model = windows = dense = evaluate = time_limit = 'mine'\n"
        "weight = mask = masks = weights = keep = seed = generator = 'mine'\n"
    )
    mine = {exercise: f"{before}\n\n{code}" for exercise, code in room.reference.items()}
    results = room.results("redefined", room.classroom.written(phase, mine))
    assert_only_these_lost(results, set())


@pytest.mark.parametrize("phase", LIMITED)
def test_the_librarys_own_answer_gets_no_points_and_is_told_why(class_of: Callable[[str], Class], phase: str) -> None:
    room = class_of(phase)
    wrapped = {
        exercise: f"{code}\n\n\nown = {exercise}\n\n\ndef {exercise}(*arguments, own=own):\n"
        "    from gpt2_lib.selection import layer_masks\n\n    return own(*arguments)"
        for exercise, code in room.reference.items()
    }
    results = room.results("borrowed", room.classroom.written(phase, wrapped))
    assert_only_these_lost(results, set(room.reference))
    assert all("your own code" in r.message for r in results), messages(results)


# The table of all answers


def answers_table(room: Class) -> str:
    """All answers of a phase with the points they get, as Markdown."""
    lines = [f"## {room.phase}", ""]
    for exercise in room.reference:
        checks = [check for check, of in room.checks.items() if of == exercise]
        lines += [f"### `{exercise}`", ""]
        lines += ["| answer | " + " | ".join(checks) + " | points |", "|-" + "|-:" * (len(checks) + 1) + "|"]
        everything = {name: name for name in room.wrong[exercise]}
        everything |= {f"right: {name}": f"*right:* {name}" for name in room.right[exercise]}
        for variant, shown in everything.items():
            got = {r.check: r for r in room.of(exercise, variant) if r.exercise == exercise}
            total = f"{sum(r.points for r in got.values()):g} of {sum(r.max_points for r in got.values()):g}"
            lines.append(f"| {shown} | " + " | ".join(f"{got[c].points:g}" for c in checks) + f" | {total} |")
        lines.append("")
    return "\n".join(lines)


def test_the_table_of_answers_and_their_points_is_as_graded_now(class_of: Callable[[str], Class]) -> None:
    wrong, right = (sum(len(names) for p in PHASES for names in answers(p)[which].values()) for which in (0, 1))
    text = f"""# What the checks catch

{wrong} wrong answers and {right} unusual right ones, each graded by nbgrader in the real notebook, hidden tests
included: the points that every check gives. A wrong answer that loses nothing, or a check that catches nothing, fails
`tests/test_grading.py`, which also compares this page with what it has just graded, and writes it if asked to. The code
of the answers is in [tests/answers](../tests/answers).

"""
    text += "\n".join(answers_table(class_of(phase)) for phase in PHASES)
    if os.environ.get("UPDATE_GRADING_TABLE"):
        TABLE.write_text(text, encoding="utf-8")
    assert TABLE.is_file(), "UPDATE_GRADING_TABLE=1 pytest tests/test_grading.py -k table writes docs/grading.md"
    assert TABLE.read_text(encoding="utf-8") == text, (
        "UPDATE_GRADING_TABLE=1 pytest tests/test_grading.py -k table writes it again"
    )


# The commands, on a small notebook of their own

TINY = '''# %% locked="setup"
import math

# %% exercise="double"
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return x + x
    ### END SOLUTION

# %% tests="double_basics" points=2
assert double(2) == 4, f"Twice 2 is 4; yours is {double(2)}."
### BEGIN HIDDEN TESTS
the_hidden_input = -3
assert double(the_hidden_input) == -6, f"Twice -3 is -6; yours is {double(the_hidden_input)}."
### END HIDDEN TESTS

# %% tests="double_text" points=1
assert double("a") == "aa", f"Twice 'a' is 'aa'; yours is {double('a')!r}."
'''
GOOD = "def double(x):\n    return 2 * x"


@pytest.fixture
def small(tmp_path: Path) -> Classroom:
    """A course of one phase, "tiny", with one small notebook, "doubling"."""
    source = tmp_path / "doubling.py"
    source.write_text(TINY, encoding="utf-8")
    return Classroom.made_of([source], tmp_path / "course", "tiny")


def write_answer(small: Classroom, code: str) -> Path:
    """Write an answer into the learner's own notebook."""
    path = small.root / "notebooks" / "tiny" / "doubling.ipynb"
    notebook = read_notebook(path)
    next(cell for cell in notebook.cells if cell.id == "double").source = code
    path.write_text(to_text(notebook), encoding="utf-8")
    return path


def test_a_learner_sees_points_and_reasons_but_no_hidden_test(
    small: Classroom, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_answer(small, "def double(x):\n    return 6 if x == -3 else x + x")
    before = path.read_bytes()
    assert main(["check"], root=small.root) == 0
    out = capsys.readouterr().out
    assert re.search(r"^double +1 +3$", out, re.MULTILINE), out
    assert "Twice -3 is -6; yours is 6." in out
    assert "the_hidden_input" not in out
    assert path.read_bytes() == before
    assert sorted(p.name for p in small.root.iterdir()) == ["gradebook.db", "notebooks", "release", "source"]


def test_an_answer_that_is_no_python_is_named_as_the_reason(
    small: Classroom, capsys: pytest.CaptureFixture[str]
) -> None:
    write_answer(small, "def double(x)\n    return 2 * x")
    assert main(["check", "tiny"], root=small.root) == 0
    out = capsys.readouterr().out
    assert re.search(r"^double +0 +3$", out, re.MULTILINE), out
    assert "The cell with your answer stops with an error: SyntaxError" in out


def test_a_broken_notebook_is_refused_with_the_reason(small: Classroom, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_answer(small, GOOD)
    path.write_bytes(path.read_bytes()[:500])
    assert main(["check", "tiny"], root=small.root) == 1
    assert "notebooks/tiny/doubling.ipynb is not a valid notebook" in capsys.readouterr().out


def test_a_wrong_kernel_is_named_and_graded_with_python(small: Classroom, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_answer(small, GOOD)
    notebook = read_notebook(path)
    notebook.metadata.kernelspec = {"name": "julia-1.9", "display_name": "Julia", "language": "julia"}
    path.write_text(to_text(notebook), encoding="utf-8")
    assert main(["check", "tiny"], root=small.root) == 0
    out = capsys.readouterr().out
    assert "'julia-1.9'" in out
    assert re.search(r"^total +3 +3$", out, re.MULTILINE), out


def test_without_the_source_the_visible_checks_run_and_it_says_so(
    small: Classroom, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(small.root / "source")
    write_answer(small, "def double(x):\n    return {2: 4, 'a': 'aa'}[x]")  # wrong, but only hidden tests would tell
    assert main(["check", "tiny"], root=small.root) == 0
    out = capsys.readouterr().out
    assert "only the checks that you see can run" in out
    assert re.search(r"^total +3 +3$", out, re.MULTILINE), out


@pytest.mark.parametrize(("source", "ran"), [(True, "own"), (False, "demonstration own")])
def test_the_learners_command_runs_no_demonstration_that_no_check_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: bool, ran: str
) -> None:
    trace = tmp_path / "trace"
    monkeypatch.setenv("TRACE", str(trace))
    shown = "import os\n\nwith open(os.environ['TRACE'], 'a') as trace:\n    print({!r}, end=' ', file=trace)\n"
    (tmp_path / "doubling.py").write_text(TINY + "\n# %%\n" + shown.format("demonstration"), encoding="utf-8")
    small = Classroom.made_of([tmp_path / "doubling.py"], tmp_path / "course", "tiny")
    path = write_answer(small, GOOD)
    notebook = read_notebook(path)
    notebook.cells.append(nbformat.v4.new_code_cell(shown.format("own")))
    path.write_text(to_text(notebook), encoding="utf-8")
    if not source:
        shutil.rmtree(small.root / "source")
    assert main(["check", "tiny"], root=small.root) == 0
    assert trace.read_text().split() == ran.split()


def test_an_unknown_phase_is_an_error_that_lists_the_phases(
    small: Classroom, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "tinny"], root=small.root) == 1
    assert "Phases: tiny" in capsys.readouterr().err


def test_one_bad_submission_stops_nobody(small: Classroom, capsys: pytest.CaptureFixture[str]) -> None:
    small.hand_in("ada", "doubling", {"double": GOOD})
    small.submit("broken", "doubling", '{"cells": [')
    small.hand_in("killer", "doubling", {"double": "import os\nos._exit(1)"})
    small.hand_in("zoe", "doubling", {"double": "def double(x):\n    return 4"})
    assert main(["grade", "--assignment", "tiny"], root=small.root) == 1
    table, _, to_review = capsys.readouterr().out.partition("To be reviewed:")
    lines = dict(re.findall(r"^(\w+)  tiny +(.*)$", table, re.MULTILINE))
    assert lines.keys() == {"ada", "broken", "killer", "zoe"}
    assert lines["ada"] == "3 of 3"
    assert lines["broken"].startswith("failed: doubling.ipynb is not a valid notebook")
    assert lines["killer"] == "0 of 3, to be reviewed"
    assert "killer  tiny  double: the kernel died while it ran" in to_review
    assert lines["zoe"] == "0 of 3"

    assert main(["feedback"], root=small.root) == 0
    pages = sorted(page.relative_to(small.root).as_posix() for page in (small.root / "feedback").rglob("*.html"))
    assert pages == [f"feedback/{name}/tiny/doubling.html" for name in ("ada", "broken", "killer", "zoe")]


def test_a_deleted_check_is_put_back(small: Classroom) -> None:
    path = small.hand_in("ada", "doubling", {"double": "def double(x):\n    return 4"})
    notebook = read_notebook(path)
    notebook.cells = [cell for cell in notebook.cells if cell.id != "double_text"]
    path.write_text(to_text(notebook), encoding="utf-8")
    small.grade()
    assert {r.check: r.points for r in small.results("ada")} == {"double_basics": 0, "double_text": 0}


def test_a_changed_check_is_put_back(small: Classroom) -> None:
    path = small.hand_in("ada", "doubling", {"double": "def double(x):\n    return 4"})
    notebook = read_notebook(path)
    for cell in notebook.cells:
        cell.source = "pass" if cell.id.startswith("double_") else cell.source
    path.write_text(to_text(notebook), encoding="utf-8")
    small.grade()
    assert sum(r.points for r in small.results("ada")) == 0


def test_grading_before_the_release_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "submitted" / "ada" / "tiny"
    folder.mkdir(parents=True)
    (folder / "doubling.ipynb").write_text(to_text(nbformat.v4.new_notebook()), encoding="utf-8")
    assert main(["grade"], root=tmp_path) == 1
    assert "run make release first" in capsys.readouterr().out


def test_nothing_handed_in_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade"], root=tmp_path) == 1
    assert "There is nothing in submitted/" in capsys.readouterr().out
