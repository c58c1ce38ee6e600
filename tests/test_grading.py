"""Real nbgrader runs on the real notebooks: right answers get their points, wrong ones lose them where they should.

How it works. `Classroom` releases the real masters into a course of its own. A student hands in the released notebook
with one answer written into each exercise's cell, nbgrader grades all students, and the tests look at which checks
(cells that give points) failed.

Two shortcuts keep many variants affordable, and both are themselves tested:

- What is handed in is *reduced* to the cells that nbgrader knows: locked cells, exercises and checks. The
  demonstrations between them (minutes of measuring) give no points. That holds only while no check needs a cell that
  learners may change, which is a promise to learners as well: the reduced reference gets full marks. The reference
  and the untouched notebook are also graded whole.
- One student carries one variant of *every* exercise, since the exercises' checks are independent of each other.

A new exercise needs an entry in WRONG and RIGHT, no new code.
"""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from autograder.__main__ import main
from autograder.course import Course
from autograder.notebooks import read_notebook, to_text
from autograder.release import release
from autograder.results import Result, results
from autograder.sources import masters, to_notebook

REPOSITORY = Path(__file__).parent.parent
PHASE = "phase1_overview"

# exercise -> name -> (the checks that must fail, all others must pass; the answer)
WRONG: dict[str, dict[str, tuple[set[str], str]]] = {
    "sparsity": {
        "mean of each tensor's own sparsity": (
            {"sparsity_pooled"},
            """
def sparsity(tensors):
    each = [(t == 0).double().mean().item() for t in tensors]
    return sum(each) / len(each)
""",
        ),
        "only the first tensor": (
            {"sparsity_pooled"},
            """
def sparsity(tensors):
    t = list(tensors)[0]
    return (t == 0).sum().item() / t.numel()
""",
        ),
        "divides by the last tensor's size": (
            {"sparsity_pooled"},
            """
def sparsity(tensors):
    zeros = 0
    for t in tensors:
        zeros += (t == 0).sum().item()
        entries = t.numel()
    return zeros / entries
""",
        ),
        "returns inside the loop": (
            {"sparsity_pooled"},
            """
def sparsity(tensors):
    zeros = entries = 0
    for t in tensors:
        zeros += (t == 0).sum().item()
        entries += t.numel()
        return zeros / entries
""",
        ),
        "tiny counts as zero": (
            {"sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    return sum((t.abs() < 1e-6).sum().item() for t in tensors) / sum(t.numel() for t in tensors)
""",
        ),
        "counts in the tensor's own half precision": (
            {"sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    return sum((t == 0).to(t.dtype).sum() for t in tensors) / sum(t.numel() for t in tensors)
""",
        ),
        "changes the tensors it is given": (
            {"sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    return sum((t.abs_() == 0).sum().item() for t in tensors) / sum(t.numel() for t in tensors)
""",
        ),
        "needs tensors that lie in one piece": (
            {"sparsity_edges"},
            """
def sparsity(tensors):
    flat = [t.view(-1) for t in tensors]
    return sum((t == 0).sum().item() for t in flat) / sum(len(t) for t in flat)
""",
        ),
        "fails on bfloat16": (
            {"sparsity_edges"},
            """
def sparsity(tensors):
    arrays = [t.numpy() for t in tensors]
    return sum((a == 0).sum() for a in arrays) / sum(a.size for a in arrays)
""",
        ),
        "density: counts what is left": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    return sum((t != 0).sum().item() for t in tensors) / sum(t.numel() for t in tensors)
""",
        ),
        "the number of zeros, no fraction": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    return sum((t == 0).sum().item() for t in tensors)
""",
        ),
        "in per cent": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    return 100 * sum((t == 0).sum().item() for t in tensors) / sum(t.numel() for t in tensors)
""",
        ),
        "integer division": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    return sum((t == 0).sum().item() for t in tensors) // sum(t.numel() for t in tensors)
""",
        ),
        "negative counts as zero": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    return sum((t <= 0).sum().item() for t in tensors) / sum(t.numel() for t in tensors)
""",
        ),
        "rounded": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    return round(sum((t == 0).sum().item() for t in tensors) / sum(t.numel() for t in tensors), 1)
""",
        ),
        "prints instead of returning": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    print(sum((t == 0).sum().item() for t in tensors) / sum(t.numel() for t in tensors))
""",
        ),
    },
    "perplexity": {
        "mean of each token's exp": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-log_p).mean().item()
""",
        ),
        "mean of each sequence's perplexity": (
            {"perplexity_basics", "perplexity_mean"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-log_p.flatten(1).mean(1)).mean().item()
""",
        ),
        "only the last token": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-log_p[:, -1].mean()).item()
""",
        ),
        "changes the logits it is given": (
            {"perplexity_mean"},
            """
def perplexity(logits, targets):
    logits -= logits.max(-1, keepdim=True).values
    log_p = torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-log_p.mean()).item()
""",
        ),
        "exp of the logits overflows": (
            {"perplexity_stable"},
            """
def perplexity(logits, targets):
    e = logits.float().exp()
    p = e / e.sum(-1, keepdim=True)
    return torch.exp(-p.gather(-1, targets.unsqueeze(-1)).log().mean()).item()
""",
        ),
        "softmax, then log: tiny probabilities become zero": (
            {"perplexity_stable"},
            """
def perplexity(logits, targets):
    p = torch.softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-p.log().mean()).item()
""",
        ),
        "a small number hides the zero": (
            {"perplexity_stable"},
            """
def perplexity(logits, targets):
    p = torch.softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-(p + 1e-20).log().mean()).item()
""",
        ),
        "powers of two of natural logarithms": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1))
    return 2 ** -log_p.mean().item()
""",
        ),
        "sum instead of mean": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-log_p.sum()).item()
""",
        ),
        "the likeliest token instead of the target": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    return torch.exp(-torch.log_softmax(logits.float(), -1).max(-1).values.mean()).item()
""",
        ),
        "softmax over the places": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits.float(), 1).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-log_p.mean()).item()
""",
        ),
        "sigmoid instead of softmax": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    log_p = torch.nn.functional.logsigmoid(logits.float()).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-log_p.mean()).item()
""",
        ),
        "forgets exp": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    return -torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1)).mean().item()
""",
        ),
        "forgets the minus": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    return torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1)).mean().exp().item()
""",
        ),
        "forgets to flatten": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    return torch.nn.functional.cross_entropy(logits.float(), targets).exp().item()
""",
        ),
        "shifts the targets by one": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits[:, :-1].float(), -1).gather(-1, targets[:, 1:].unsqueeze(-1))
    return torch.exp(-log_p.mean()).item()
""",
        ),
    },
}

# exercise -> name -> the answer
RIGHT: dict[str, dict[str, str]] = {
    "sparsity": {
        "NumPy": """
import numpy as np

def sparsity(tensors):
    flat = np.concatenate([t.detach().float().numpy().ravel() for t in tensors])
    return np.mean(flat == 0)
""",
        "plain loops": """
def sparsity(tensors):
    zeros, entries = 0, 0
    for tensor in tensors:
        for value in tensor.flatten().tolist():
            entries += 1
            zeros += value == 0
    return zeros / entries
""",
        "one minus the non-zeros, as a 0-d tensor": """
def sparsity(tensors):
    tensors = list(tensors)
    entries = sum(t.numel() for t in tensors)
    return torch.tensor(1 - sum(int(t.count_nonzero()) for t in tensors) / entries, dtype=torch.float64)
""",
        "a mean weighted by size": """
def sparsity(tensors):
    shares = [((t == 0).double().mean(), t.numel()) for t in tensors if t.numel()]
    return float(sum(s * n for s, n in shares) / sum(n for _, n in shares))
""",
        "everything in one tensor": """
def sparsity(tensors):
    return (torch.cat([t.reshape(-1).double() for t in tensors]) == 0).double().mean()
""",
        "right, but warns on stderr": """
import sys
import warnings

def sparsity(tensors):
    warnings.warn("counting slowly")
    print("still counting", file=sys.stderr)
    tensors = list(tensors)
    return sum((t == 0).sum().item() for t in tensors) / sum(t.numel() for t in tensors)
""",
    },
    "perplexity": {
        "cross_entropy on flattened tensors": """
import torch.nn.functional as F

def perplexity(logits, targets):
    return torch.exp(F.cross_entropy(logits.float().flatten(0, 1), targets.flatten()))
""",
        "cross_entropy with the vocabulary second": """
def perplexity(logits, targets):
    return math.exp(torch.nn.functional.cross_entropy(logits.double().transpose(1, 2), targets).item())
""",
        "NumPy in double precision": """
import numpy as np

def perplexity(logits, targets):
    x, y = logits.double().numpy(), targets.numpy()
    top = x.max(-1, keepdims=True)
    log_sum = np.log(np.exp(x - top).sum(-1)) + top[..., 0]
    return np.exp(np.mean(log_sum - np.take_along_axis(x, y[..., None], -1)[..., 0]))
""",
        "plain loops": """
def perplexity(logits, targets):
    total = 0.0
    for rows, ids in zip(logits.tolist(), targets.tolist()):
        for row, i in zip(rows, ids):
            top = max(row)
            total += top + math.log(sum(math.exp(v - top) for v in row)) - row[i]
    return math.exp(total / targets.numel())
""",
        "logsumexp and one-hot": """
def perplexity(logits, targets):
    x = logits.double()
    hot = torch.nn.functional.one_hot(targets, x.shape[-1])
    return (x.logsumexp(-1) - (x * hot).sum(-1)).mean().exp().item()
""",
        "right, but warns on stderr": """
import warnings

def perplexity(logits, targets):
    warnings.warn("this takes a moment")
    log_p = torch.nn.LogSoftmax(dim=-1)(logits.float())
    return math.exp(-log_p.gather(2, targets[..., None]).mean())
""",
    },
}


class Classroom:
    """A course of its own, with the real masters of one phase (or other ones) and any number of students."""

    def __init__(self, root: Path, phase: str, sources: list[Path]) -> None:
        self.root, self.phase = root, phase
        folder = root / "source" / phase
        folder.mkdir(parents=True)
        for source in sources:
            shutil.copy(source, folder)
        release(root)
        self.course = Course(root)

    def hand_in(self, student: str, name: str, answers: dict[str, str], whole: bool = False) -> Path:
        """Submit the notebook ``name`` with ``answers`` (exercise -> code); without ``whole``, reduced."""
        notebook = read_notebook(self.root / "notebooks" / self.phase / f"{name}.ipynb")
        assert set(answers) <= {cell.id for cell in notebook.cells}
        for cell in notebook.cells:
            cell.source = answers.get(cell.id, cell.source)
        if not whole:
            notebook.cells = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
        return self.submit(student, name, to_text(notebook))

    def submit(self, student: str, name: str, text: str) -> Path:
        path = self.course.folder("submitted", self.phase, student) / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def grade(self, student: str = "*") -> None:
        self.course.autograde(self.phase, student)

    def results(self, student: str) -> list[Result]:
        return results(self.course, self.phase, student)


def solutions(master: NotebookNode) -> dict[str, str]:
    """The reference answers of a master notebook, exercise -> code."""
    return {cell.id: cell.source for cell in master.cells if cell.metadata.get("nbgrader", {}).get("solution")}


def lost(results: list[Result], exercise: str) -> set[str]:
    """The checks of an exercise that gave less than their points."""
    mine = [result for result in results if result.exercise == exercise]
    assert mine, f"no check belongs to {exercise}"
    return {result.check for result in mine if result.points < result.max_points}


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    return solutions(to_notebook(REPOSITORY / "source" / PHASE / f"{PHASE}.py"))


@pytest.fixture(scope="module")
def classroom(tmp_path_factory: pytest.TempPathFactory) -> Classroom:
    """The real Phase 1."""
    folder = REPOSITORY / "source" / PHASE
    return Classroom(tmp_path_factory.mktemp("course"), PHASE, [m for m in masters(REPOSITORY) if m.parent == folder])


VARIANTS = {
    exercise: [*WRONG[exercise], *(f"right: {name}" for name in RIGHT[exercise])] for exercise in WRONG
}  # student number n hands in the n-th variant of every exercise


def answer(exercise: str, variant: str) -> str:
    right = variant.removeprefix("right: ")
    return RIGHT[exercise][right] if right != variant else WRONG[exercise][variant][1]


@pytest.fixture(scope="module")
def graded(classroom: Classroom, reference: dict[str, str]) -> Callable[[str, str], list[Result]]:
    """(exercise, variant) -> results of the student who handed it in, graded when first asked for."""

    @functools.cache
    def of_student(number: int) -> list[Result]:
        variants = {exercise: names[number] for exercise, names in VARIANTS.items() if number < len(names)}
        student = f"student{number:02}"
        classroom.hand_in(student, PHASE, reference | {e: answer(e, variant) for e, variant in variants.items()})
        classroom.grade(student)
        return classroom.results(student)

    return lambda exercise, variant: of_student(VARIANTS[exercise].index(variant))


def named(table: dict[str, dict]) -> list:
    return [pytest.param(e, name, id=f"{e}: {name}") for e, names in table.items() for name in names]


@pytest.mark.parametrize(("exercise", "name"), named(WRONG))
def test_a_wrong_answer_loses_the_points_it_should(
    graded: Callable[[str, str], list[Result]], exercise: str, name: str
) -> None:
    results = graded(exercise, name)
    assert lost(results, exercise) == WRONG[exercise][name][0]
    for result in results:
        if result.exercise == exercise and result.points < result.max_points:
            assert result.points == 0
            assert len(result.message.split()) > 3, f"{result.check} does not say what is wrong"


@pytest.mark.parametrize(("exercise", "name"), named(RIGHT))
def test_an_unusual_right_answer_gets_full_marks(
    graded: Callable[[str, str], list[Result]], exercise: str, name: str
) -> None:
    results = graded(exercise, f"right: {name}")
    assert lost(results, exercise) == set(), "; ".join(r.message for r in results if r.message)


def test_every_exercise_has_enough_variants(reference: dict[str, str]) -> None:
    assert set(WRONG) == set(RIGHT) == set(reference)
    assert all(len(names) >= 8 for names in WRONG.values())
    assert all(len(names) >= 4 for names in RIGHT.values())


def test_every_check_catches_some_wrong_answer(classroom: Classroom) -> None:
    released = read_notebook(classroom.root / "notebooks" / PHASE / f"{PHASE}.ipynb")
    checks = {cell.id for cell in released.cells if cell.metadata.get("nbgrader", {}).get("grade")}
    assert checks == set.union(*(fails for names in WRONG.values() for fails, _ in names.values()))


def test_the_checks_need_no_cell_that_a_learner_may_change(classroom: Classroom, reference: dict[str, str]) -> None:
    """The reduced reference: an edited or deleted demonstration must not cost points."""
    classroom.hand_in("reduced", PHASE, reference)
    classroom.grade("reduced")
    failed = [(r.check, r.message) for r in classroom.results("reduced") if r.points < r.max_points]
    assert failed == [], "lock the cells that checks build on"


def test_the_whole_reference_gets_full_marks(classroom: Classroom, reference: dict[str, str]) -> None:
    classroom.hand_in("reference", PHASE, reference, whole=True)
    classroom.grade("reference")
    got = classroom.results("reference")
    assert [(r.check, r.message) for r in got if r.points < r.max_points] == []
    assert sum(r.points for r in got) > 0


def test_the_whole_notebook_as_released_gets_no_points_from_the_learners_command(
    classroom: Classroom, capsys: pytest.CaptureFixture[str]
) -> None:
    path = classroom.root / "notebooks" / PHASE / f"{PHASE}.ipynb"
    before = path.read_bytes()
    assert main(["check", PHASE], root=classroom.root) == 0
    out = capsys.readouterr().out
    assert re.search(r"^total +0 +[1-9]", out, re.MULTILINE), out
    assert path.read_bytes() == before


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
    return Classroom(tmp_path / "course", "tiny", [source])


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
    lines = dict(re.findall(r"^(\w+)  tiny +(.*)$", capsys.readouterr().out, re.MULTILINE))
    assert lines.keys() == {"ada", "broken", "killer", "zoe"}
    assert lines["ada"] == "3 of 3"
    assert lines["broken"].startswith("failed: doubling.ipynb is not a valid notebook")
    assert lines["killer"].startswith("failed: the kernel died")
    assert lines["zoe"] == "0 of 3"

    assert main(["feedback"], root=small.root) == 0
    pages = sorted(page.relative_to(small.root).as_posix() for page in (small.root / "feedback").rglob("*.html"))
    assert pages == ["feedback/ada/tiny/doubling.html", "feedback/zoe/tiny/doubling.html"]


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
