"""Exports of learning platforms for tests: zips and folders of given files, and the results of collection."""

from __future__ import annotations

import csv
import io
import json
import os
import tarfile
import warnings
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from autograder.intake.collect import collect
from autograder.intake.report import Collected, Report

Files = Mapping[str, str | bytes]
PHASE = "phase2_techniques"
LAST = "phase3_production"
NOTEBOOKS = {"phase2_techniques": PHASE, "phase3_production": LAST, "challenges": LAST}  # notebook -> assignment
FIRST = (2026, 11, 20, 10, 0, 0)
SECOND = (2026, 11, 21, 10, 0, 0)
UNKNOWN = (1980, 1, 1, 0, 0, 0)  # what is written when the time is not known


def made_course(folder: Path) -> Path:
    """A course with two released assignments, one of them with two notebooks. These have no cells."""
    for notebook, assignment in NOTEBOOKS.items():
        laid_out(folder, {f"release/{assignment}/{notebook}.ipynb": "{}"})
    return folder


def notebook(*ids: str, text: str = "") -> str:
    """A notebook with a graded cell of each id, and one of the learner's own."""
    graded = [{"nbgrader": {"grade_id": name, "grade": True}} for name in ids]
    cells = [{"cell_type": "code", "metadata": about, "source": text} for about in (*graded, {})]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def zipped(files: Files, time: tuple = FIRST) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings(action="ignore"):
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, time), content, zipfile.ZIP_DEFLATED)
    return memory.getvalue()


def tarred(files: Files, mode: str = "w:gz") -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode=mode) as archive:  # pyright: ignore[reportCallIssue, reportArgumentType]
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), int(datetime(*FIRST, tzinfo=UTC).timestamp())
            archive.addfile(member, io.BytesIO(data))
    return memory.getvalue()


def packed(path: Path, files: Files, time: tuple = FIRST) -> Path:
    path.write_bytes(zipped(files, time))
    return path


def laid_out(folder: Path, files: Files, time: tuple = FIRST) -> Path:
    at = datetime(*time, tzinfo=UTC).timestamp()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(path, (at, at))
    return folder


def collected(root: Path, files: Files, time: tuple = FIRST, **how: str | None) -> Report:
    """The report after collecting a zip of these files."""
    number = len(list(root.parent.glob("export*.zip")))
    return collect(root, packed(root.parent / f"export{number}.zip", files, time), **how)


def there(root: Path) -> dict[str, str]:
    """All that lies in submitted/ -> its text, but for what collecting itself writes."""
    own = ("students.csv", "collected.csv", "timestamp.txt")
    return {
        path.relative_to(root / "submitted").as_posix(): path.read_text()
        for path in sorted((root / "submitted").rglob("*"))
        if path.is_file() and path.name not in own and not any(part.startswith(".") for part in path.parts)
    }


def notebooks(root: Path) -> dict[str, str]:
    """The notebooks that nbgrader sees: "student/assignment/name" -> text."""
    return {name.removesuffix(".ipynb"): text for name, text in there(root).items() if name.endswith(".ipynb")}


def outcomes(report: Report) -> dict[str, str]:
    """Name of each file of the export -> what became of it."""
    return {c.entry: said(c) for c in report.files}


def said(found: Collected) -> str:
    return found.outcome if found.taken else f"{found.kind}: {found.outcome}"


def rows(root: Path, table: str = "students.csv") -> list[dict[str, str]]:
    with (root / "submitted" / table).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))
