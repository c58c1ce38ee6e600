"""The release: from the masters in ``source/`` to ``release/`` (by nbgrader) and ``notebooks/``."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nbformat import NotebookNode

from ..course import Course, with_config_of
from ..files import write_whole
from ..notebooks import (
    NotebookError,
    digest,
    is_pristine,
    read_notebook,
    stamp,
    stamped_digest,
    to_text,
)
from .cells import check_cells
from .sources import ORDER, SourceError, masters, notebooks, to_notebook


def release(root: Path) -> list[str]:
    """Rebuild source/, release/ and notebooks/ of the course at ``root``; returns a report.

    A notebook in which somebody worked is never replaced: the new version goes beside it, as
    ``x.new.ipynb``. Raises SourceError and CourseError; then nothing has changed.
    """
    made = _made(root)
    course = Course(root)
    if any((root / "release").glob("*/*.ipynb")):  # else there is nothing that could be lost
        check_cells(course, made)
        _rehearse(root, made)
    for path, notebook in made.items():
        write_whole(path, to_text(notebook))
    messages = []
    for phase in sorted({path.parent for path in made}):
        course.generate(phase.name)
        for made in sorted(course.folder("release", phase.name).glob("*.ipynb")):
            notebook = stamp(_never_stopping(read_notebook(made)))
            write_whole(made, to_text(notebook))
            message = hand_out(notebook, root / "notebooks" / phase.name / made.name)
            if message:
                messages.append(message)
    return messages


def _made(root: Path) -> dict[Path, NotebookNode]:
    """Return the instructor's notebooks by target file. Raises SourceError."""
    found = notebooks(root)
    if not found:
        raise SourceError(f"There is nothing to release: {root / 'source'} holds no <phase>/<name>.py.")
    for phase in sorted({path.parent for path in found}):
        _only_notebooks(phase)
    for path in found:
        _check_generated(path)
    return {path: to_notebook(path) for path in found}


def _rehearse(root: Path, made: Mapping[Path, NotebookNode]) -> None:
    """Let nbgrader release all assignments in a temporary folder first, so that an error leaves none half done."""
    with tempfile.TemporaryDirectory() as folder:
        for path, notebook in made.items():
            write_whole(Path(folder) / path.relative_to(root), to_text(notebook))
        with_config_of(root, Path(folder))
        course = Course(Path(folder))
        for name in sorted({path.parent.name for path in made}):
            course.generate(name)


def _never_stopping(notebook: NotebookNode) -> NotebookNode:
    """Return ``notebook`` changed so that *Run All* reaches its end with unwritten answers."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "raises-exception"]
    return notebook


@contextmanager
def fresh_release(root: Path) -> Iterator[Path]:
    """Release the masters of the course at ``root`` in a temporary folder, for the body of a ``with`` statement."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        for source in [*(root / "source").glob("*/*.py"), *(root / "source").glob(f"*/{ORDER}")]:
            copy = fresh / source.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)
        with_config_of(root, fresh)
        release(fresh)
        yield fresh


def stale(root: Path) -> list[str]:
    """Make a release in an empty folder and compare; returns the files that differ, with the reason."""
    with fresh_release(root) as fresh:
        wanted = {path.relative_to(fresh): path.read_bytes() for path in _generated(fresh)}
    have = {path.relative_to(root): path.read_bytes() for path in _generated(root)}
    reasons = {path: "differs from what its source gives" for path in wanted if have.get(path) != wanted[path]}
    worked_in = "was worked in, and is in git: keep the work somewhere else, then `git checkout` this file"
    reasons |= {path: worked_in for path in reasons if path.parts[0] == "notebooks" and _is_somebodys(root / path)}
    reasons |= {path: "is missing" for path in wanted if path not in have}
    reasons |= {path: "has no source any more" for path in have if path not in wanted}
    return [f"{path.as_posix()} {reason}" for path, reason in sorted(reasons.items())]


def _is_somebodys(path: Path) -> bool:
    try:
        return path.exists() and not is_pristine(read_notebook(path))
    except NotebookError:
        return True


def hand_out(notebook: NotebookNode, path: Path) -> str | None:
    """Write a stamped notebook to ``path``, or beside it if a learner has worked in that file.

    Returns a message for people, None when the newest version was there already.
    """
    text = to_text(notebook)
    for place in _places(path):
        if not place.exists():
            write_whole(place, text)
            if place == path:
                return f"{_name(path)}: written"
            return f"{_name(path)}: somebody worked in it, so it stays; the new version is {place.name} beside it"
        if place.read_bytes() == text.encode():
            return None
        try:
            old = read_notebook(place)
        except NotebookError:
            continue  # unreadable, but somebody's
        if is_pristine(old):
            write_whole(place, text)
            return f"{_name(place)}: updated"
        if stamped_digest(old) == digest(notebook):
            return None  # somebody works in the newest version
    raise AssertionError("unreachable: there is always another name")


def _places(path: Path) -> Iterator[Path]:
    yield path
    yield path.with_name(f"{path.stem}.new.ipynb")
    number = 2
    while True:
        yield path.with_name(f"{path.stem}.new-{number}.ipynb")
        number += 1


def _name(path: Path) -> str:
    return "/".join(path.parts[-3:])


def _check_generated(path: Path) -> None:
    if path.exists() and not is_pristine(read_notebook(path)):
        sources = " or ".join(master.name for master in masters(path))
        raise SourceError(
            f"{_name(path)} was changed by hand, but it is generated: move the change to {sources}, "
            f"delete {path.name}, and run this again."
        )


def _only_notebooks(phase: Path) -> None:
    for path in sorted(phase.iterdir()):
        if path.suffix == ".ipynb":
            masters(path)  # raises for one that no master makes
        elif path.is_file() and path.suffix != ".py" and path.name != ORDER and path.name[0] != ".":
            raise SourceError(f"{_name(path)}: only notebooks are released; keep other files out of source/.")


def _generated(root: Path) -> list[Path]:
    """Return the files that a release writes, without notebooks of older versions, whose masters are gone."""
    found = [*(root / "source").glob("*/*.ipynb"), *(root / "notebooks").glob("*/*.ipynb")]
    older = {path.name for path in (root / "source").glob("*/") if not any(path.glob("*.py"))}
    return [path for path in found if ".new" not in path.suffixes and path.parent.name not in older]
