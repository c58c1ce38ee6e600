"""Tests of real nbgrader runs on the real notebooks: right answers get their points, wrong ones lose the right ones.

How it works. `classroom.Class` releases a phase's real master into a course of its own. A student hands in the released
notebook with one answer written into each exercise's cell, nbgrader grades all students, and the tests look at which
checks (cells that give points) failed. The answers are in tests/course/answers/.

Three shortcuts keep many variants affordable:

- What is handed in is *reduced* to the cells that nbgrader knows: locked cells, exercises and checks. The
  demonstrations between them (minutes of measuring) give no points. That holds only while no check needs a cell that
  learners may change, which is a promise to learners as well: the reduced reference gets full marks. The reference
  and the untouched notebook are also graded whole.
- One student carries one variant of *every* exercise, since the exercises' checks are independent of each other.
- Students are graded in several processes, each with a copy of the course.

A new exercise needs answers in tests/course/answers/, no new code. docs/grading.md, the table of all answers and their
points, is written by `make docs`; here it is held against what nbgrader gives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from answers import answers
from classroom import PHASES, REPOSITORY, Class, lost

from autograder.__main__ import main
from autograder.grading.results import Result

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


def graded_together(phase: str) -> pytest.MarkDecorator:
    """One of pytest's processes has the class of a phase."""
    return pytest.mark.xdist_group(f"grading {phase}")


EACH = [pytest.param(phase, marks=graded_together(phase)) for phase in PHASES]
# Phase 1's checks have no limit on time: nbgrader stops them after ten minutes.
LIMITED = [pytest.param(phase, marks=graded_together(phase)) for phase in PHASES if phase != "phase1_overview"]


def named(which: int) -> list:
    """Parameters (phase, exercise, name) of all wrong (0) or right (1) answers."""
    return [
        pytest.param(
            phase, exercise, name, id=f"{phase.partition('_')[0]}: {exercise}: {name}", marks=graded_together(phase)
        )
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


@pytest.mark.parametrize("phase", EACH)
def test_every_exercise_has_enough_answers(class_of: Callable[[str], Class], phase: str) -> None:
    room = class_of(phase)
    assert set(room.wrong) == set(room.right) == set(room.reference)
    assert {exercise: len(names) for exercise, names in room.wrong.items() if len(names) < 8} == {}
    assert {exercise: len(names) for exercise, names in room.right.items() if len(names) < 4} == {}


@pytest.mark.parametrize("phase", EACH)
def test_every_check_catches_some_wrong_answer(class_of: Callable[[str], Class], phase: str) -> None:
    caught = set.union(*(fails for names in class_of(phase).wrong.values() for fails, _ in names.values()))
    assert set(class_of(phase).checks) == caught


@pytest.mark.parametrize("phase", EACH)
def test_the_checks_need_no_cell_that_a_learner_may_change(class_of: Callable[[str], Class], phase: str) -> None:
    """The reduced reference: an edited or deleted demonstration must not cost points."""
    room = class_of(phase)
    results = room.results("reduced", room.classroom.written(phase, room.reference))
    assert messages(results) == "", "lock the cells that checks build on"
    assert all(r.points == r.max_points for r in results)


@pytest.mark.parametrize("phase", EACH)
def test_the_whole_reference_gets_full_marks(class_of: Callable[[str], Class], phase: str) -> None:
    room = class_of(phase)
    results = room.results("reference", room.classroom.written(phase, room.reference, whole=True))
    assert messages(results) == ""
    assert sum(r.points for r in results) == sum(r.max_points for r in results) > 0


@pytest.mark.parametrize("phase", EACH)
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
@pytest.mark.parametrize("phase", EACH)
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


@pytest.mark.parametrize("phase", EACH)
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
        "from gpt2_lib.pruning.pruner import *\n"
        "from gpt2_lib.pruning.selection import global_masks as ready, layer_masks\n"
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
        "    from gpt2_lib.pruning.selection import layer_masks\n\n    return own(*arguments) if layer_masks else None"
        for exercise, code in room.reference.items()
    }
    results = room.results("borrowed", room.classroom.written(phase, wrapped))
    assert_only_these_lost(results, set(room.reference))
    assert all("your own code" in r.message for r in results), messages(results)


# The table of all answers


def answers_table(room: Class) -> str:
    """All answers of a phase with the points they got, as docs/grading.md has them."""
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


@pytest.mark.parametrize("phase", EACH)
def test_the_table_of_answers_and_their_points_is_as_graded_now(class_of: Callable[[str], Class], phase: str) -> None:
    """tests/course/test_answers.py holds the page against the answers and the masters."""
    sections = re.split("^(?=## )", TABLE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    written = {section.partition("\n")[0]: section.rstrip("\n") for section in sections}
    assert written[f"## {phase}"] == answers_table(class_of(phase)).rstrip("\n")
