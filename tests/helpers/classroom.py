"""A course of real masters, with students whose submissions a test chooses and nbgrader grades."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from concurrent.futures import Future, ProcessPoolExecutor
from functools import cached_property
from pathlib import Path

from answers import answers
from nbformat import NotebookNode

from autograder.authoring.release import release
from autograder.authoring.sources import ORDER, masters, notebooks, to_notebook
from autograder.course import Course
from autograder.grading.grade import Submission, grade
from autograder.grading.results import Result, results
from autograder.notebooks import read_notebook, to_text
from autograder.seeds import FILE as KEY
from autograder.workers.job import start
from autograder.workers.pool import here
from gpt2_lib.deploy.onnx import export_onnx
from gpt2_lib.storage.packed import load_packed

REPOSITORY = Path(__file__).parents[2]
ARTIFACTS = REPOSITORY / "tests" / "course" / "artifacts"  # written by benchmarks/challenges.py
NOTEBOOKS = {path.stem: path for path in notebooks(REPOSITORY)}
PHASES = sorted({path.parent.name for path in NOTEBOOKS.values()})


class Classroom:
    """A course folder with one released phase and any number of students."""

    def __init__(self, root: Path, phase: str) -> None:
        self.root, self.phase = root, phase
        self.course = Course(root)

    @classmethod
    def made_of(cls, sources: list[Path], root: Path, phase: str) -> Classroom:
        """A new course in ``root``: ``sources``, masters of a notebook each, released as ``phase``."""
        folder = root / "source" / phase
        folder.mkdir(parents=True, exist_ok=True)
        for source in sources:
            shutil.copy(source, folder)
        release(root)
        return cls(root, phase)

    @classmethod
    def with_notebook(cls, notebook: Path, root: Path) -> Classroom:
        """A new course in ``root`` of one of this repository's `NOTEBOOKS` alone."""
        folder = root / notebook.parent.relative_to(REPOSITORY)
        folder.mkdir(parents=True)
        parts = masters(notebook)
        (folder / ORDER).write_text(f"{notebook.stem} = {[part.stem for part in parts]}", encoding="utf-8")
        return cls.made_of(parts, root, notebook.parent.name)

    def released(self, name: str) -> NotebookNode:
        """The learner's notebook ``name`` as it is handed out."""
        return read_notebook(self.root / "notebooks" / self.phase / f"{name}.ipynb")

    def written(self, name: str, answers: dict[str, str], whole: bool = False) -> NotebookNode:
        """The notebook with ``answers`` (exercise -> code) in it; without ``whole``, only the cells nbgrader knows."""
        notebook = self.released(name)
        assert set(answers) <= {cell.id for cell in notebook.cells}
        for cell in notebook.cells:
            cell.source = answers.get(cell.id, cell.source)
        if not whole:
            notebook.cells = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
        return notebook

    def hand_in(self, student: str, name: str, answers: dict[str, str]) -> Path:
        return self.submit(student, name, to_text(self.written(name, answers)))

    def submit(self, student: str, name: str, text: str) -> Path:
        path = self.course.folder("submitted", self.phase, student) / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def grade(self, student: str | None = None) -> list[Submission]:
        return grade(self.root, self.phase, student, here())

    def results(self, student: str) -> list[Result]:
        return results(self.course, self.phase, student)


class Class:
    """A real phase's class: students are graded side by side, each process in a copy of the course.

    Student number n hands in the n-th variant of *every* exercise; where there are no more, the reference.
    """

    def __init__(self, phase: str, folder: Path) -> None:
        self.phase = phase
        self.classroom = Classroom.with_notebook(NOTEBOOKS[phase], folder / "course")
        # The same inputs of hidden tests in every run.
        (self.classroom.root / KEY).write_text(f"{0:064x}\n", encoding="ascii")
        self.reference = solutions(to_notebook(NOTEBOOKS[phase]))
        self.wrong, self.right = answers(phase)
        self._variants = {e: variants(self.wrong, self.right, e) for e in self.wrong}
        self._graded: dict[str, Future[list[Result]]] = {}
        self._started = False
        self._processes = ProcessPoolExecutor(
            max_workers=min(4, os.cpu_count() or 1),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_open_copy,
            initargs=(self.classroom.root, phase),
        )

    @cached_property
    def checks(self) -> dict[str, str]:
        """Check -> its exercise, in the notebook's order."""
        found, exercise = {}, ""
        for cell in self.classroom.released(self.phase).cells:
            role = cell.metadata.get("nbgrader", {})
            exercise = cell.id if role.get("solution") else exercise
            if role.get("grade"):
                found[cell.id] = exercise
        return found

    def of(self, exercise: str, variant: str) -> list[Result]:
        """The results of the student who handed in this variant: a name in `wrong`, or "right: " and one in `right`."""
        students = 0 if self._started else max(map(len, self._variants.values()))
        self._started = True
        for number in range(students):  # all are started when the first is asked for
            chosen = {e: self.code(e, names[number]) for e, names in self._variants.items() if number < len(names)}
            self._start(f"student{number:02}", self.classroom.written(self.phase, self.reference | chosen))
        return self._graded[f"student{self._variants[exercise].index(variant):02}"].result()

    def code(self, exercise: str, variant: str) -> str:
        right = variant.removeprefix("right: ")
        return self.right[exercise][right] if right != variant else self.wrong[exercise][variant][1]

    def results(self, student: str, notebook: NotebookNode) -> list[Result]:
        """The results of a student who handed in ``notebook``."""
        self._start(student, notebook)
        return self._graded[student].result()

    def close(self) -> None:
        self._processes.shutdown(cancel_futures=True)

    def _start(self, student: str, notebook: NotebookNode) -> None:
        if student not in self._graded:
            self._graded[student] = self._processes.submit(_grade, student, self.phase, to_text(notebook))


_copy: Classroom  # of a process


def _open_copy(course: Path, phase: str) -> None:
    global _copy
    start()  # so that it ends with pytest, however that ends
    root = Path(tempfile.mkdtemp(dir=course.parent))
    shutil.copytree(course, root, dirs_exist_ok=True)
    _copy = Classroom(root, phase)


def _grade(student: str, name: str, text: str) -> list[Result]:
    _copy.submit(student, name, text)
    _copy.grade(student)
    return _copy.results(student)


def lay_artifacts(folder: Path) -> None:
    """Into ``folder``: the files that the reference's challenges hand in, mobile.onnx made from its packed model."""
    for path in ARTIFACTS.iterdir():
        shutil.copy(path, folder)
    export_onnx(load_packed(ARTIFACTS / "mobile.gpt2pack"), folder / "mobile.onnx")


def variants(wrong: dict[str, dict], right: dict[str, dict], exercise: str) -> list[str]:
    return [*wrong[exercise], *(f"right: {name}" for name in right[exercise])]


def solutions(master: NotebookNode) -> dict[str, str]:
    """The reference answers of a master notebook, exercise -> code."""
    return {cell.id: cell.source for cell in master.cells if cell.metadata.get("nbgrader", {}).get("solution")}


def lost(results: list[Result], exercise: str) -> set[str]:
    """The checks of an exercise that gave less than their points."""
    mine = [result for result in results if result.exercise == exercise]
    assert mine, f"no check belongs to {exercise}"
    return {result.check for result in mine if result.points < result.max_points}
