"""What stands between a submission's folder and everything else: files are looked at, never trusted.

No link is followed, nothing but a regular file is opened, sizes are limited while reading, and a
notebook comes out rebuilt from the parts that grading needs. `intake` needs POSIX (``openat``).
"""

from __future__ import annotations

import errno
import functools
import hashlib
import importlib.metadata
import itertools
import json
import operator
import os
import re
import stat
import sys
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from ..notebooks import METADATA_KEY, as_node, to_text

MAX_NOTEBOOK = 20_000_000  # bytes
MAX_CELLS = 2_000
MAX_EXTRA = 12_000_000  # bytes, each: the challenges hand in models of up to 9 MB
MAX_EXTRAS = 40_000_000  # bytes, together
MAX_EXTRA_FILES = 200
MAX_ENTRIES = 2_000  # files and folders that are looked at
MAX_DEPTH = 8  # folders within folders

CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Windows has only the last one, and Unix all others.
OPEN_FLAGS = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
COPY = r"(?:[ _]?\(\d+\)|[-_ ]copy ?\d*|-\d+)"  # what browsers, JupyterLab and Canvas append
COPY_SUFFIX = re.compile(f"{COPY}$", re.IGNORECASE)
MODULE_SUFFIXES = (".py", ".pyc", ".pyd", ".so", ".pth")
# Read by Python or Jupyter at their start, though no package has these names.
READ_AT_START = {
    *("sitecustomize", "usercustomize"),
    *("ipython_config", "ipython_kernel_config", "jupyter_config", "nbgrader_config"),
}


class IntakeError(Exception):
    """The submission's folder can't be read at all; the message says why."""


class Refused(Exception):
    """A file is not taken; the message is the reason. ``suspicious``: no honest program makes such a file."""

    def __init__(self, reason: str, suspicious: bool = False) -> None:
        super().__init__(reason)
        self.suspicious = suspicious


class TooLarge(Refused):
    """A file is not taken for its size."""


@dataclass(frozen=True)
class Intake:
    """What was taken in from a submission's folder, and what was not.

    Names are paths relative to the folder, with "/". What is ignored without a word: notebooks that are not
    wanted, files whose name starts with a dot, ``__pycache__`` and nbgrader's ``timestamp.txt``.
    """

    notebooks: dict[str, bytes] = field(default_factory=dict)
    """Name without .ipynb -> a valid notebook (nbformat 4.5), without outputs."""
    extras: dict[str, bytes] = field(default_factory=dict)
    """Other files, to be put beside the notebook while it runs."""
    refused: dict[str, str] = field(default_factory=dict)
    """What was not taken -> why, in plain words."""
    review: list[str] = field(default_factory=list)
    """Why a person should look at this submission."""

    @property
    def digest(self) -> str:
        """SHA-256 of the names and bytes of all that was taken in."""
        total = hashlib.sha256()
        for kind, files in (("notebook", self.notebooks), ("extra", self.extras)):
            for name in sorted(files):
                for part in (kind.encode(), os.fsencode(name), files[name]):
                    total.update(len(part).to_bytes(8, "big") + part)
        return total.hexdigest()


def intake(folder: Path, wanted: Collection[str]) -> Intake:
    """Take in the notebooks named ``wanted`` (without .ipynb) and what lies beside them.

    One bad file is an entry in ``refused``; raises IntakeError only if ``folder`` itself can't be read.
    """
    taken = Intake()
    try:
        if folder.is_symlink():
            _refuse(taken, folder.name, Refused("the folder is a link; links are never followed", suspicious=True))
            return taken
        descriptor = _open_folder(folder)
    except NotADirectoryError as error:
        raise IntakeError(f"{folder.name} is a file; a submission is a folder with the notebook in it.") from error
    except OSError as error:
        raise IntakeError(f"The folder {folder.name} can't be read: {error.strerror}.") from error
    try:
        for name in sorted(wanted):
            _take_notebook(taken, descriptor, name)
        seen = _Seen()
        _walk(taken, descriptor, "", seen, skip={"timestamp.txt", *(f"{name}.ipynb" for name in wanted)})
    finally:
        os.close(descriptor)
    for name in sorted(set(wanted) - set(taken.notebooks)):
        alike = [other for other in seen.notebooks if looks_like(Path(other).stem, name)]
        if alike and f"{name}.ipynb" not in taken.refused:
            reason = f"is missing. Is it {' or '.join(map(repr, sorted(alike)))}? Then rename it, and grade again."
            taken.refused[f"{name}.ipynb"] = reason
    return taken


def looks_like(stem: str, name: str) -> bool:
    """Whether a file's name without .ipynb is ``name``, apart from case and what copying appends: " (1)", "-Copy1"."""
    stem, name = (unicodedata.normalize("NFC", text).casefold() for text in (stem, name))
    while stem != name:
        shorter = COPY_SUFFIX.sub("", stem)
        if shorter == stem:
            return False
        stem = shorter
    return True


def read_regular(path: str | Path, limit: int, dir_fd: int | None = None) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes. Raises Refused, and FileNotFoundError."""
    try:
        before = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
        _assert_regular(before)  # before opening: to open a device can do something
        flags = functools.reduce(operator.or_, (getattr(os, name, 0) for name in OPEN_FLAGS), os.O_RDONLY)
        with os.fdopen(os.open(path, flags, dir_fd=dir_fd), "rb") as file:
            _assert_regular(os.fstat(file.fileno()))  # once more: it may have been exchanged in between
            data = file.read(limit + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused("is a link; links are never followed", suspicious=True) from error
        raise Refused(f"can't be read: {error.strerror}") from error
    if len(data) > limit:
        raise TooLarge(f"is larger than {limit // 1_000_000} MB")
    return data


def clean_notebook(data: bytes) -> bytes:
    """A notebook file's content, rebuilt as nbformat 4.5 from the parts that grading needs.

    Kept: sources, cell types, ids, pasted images, nbgrader's metadata, the kernel's name. Dropped: outputs (the
    notebook is executed anyway), tags and other metadata. The same content gives the same bytes. Raises Refused.
    """
    try:
        content = json.loads(data.decode("utf-8-sig"))
        if isinstance(content, dict) and type(content.get("nbformat")) is int and content["nbformat"] < 4:
            content = nbformat.reads(json.dumps(content), as_version=4)
            for cell in content.cells:
                cell.pop("id", None)  # made up at random
    except UnicodeDecodeError as error:
        raise Refused(f"is not UTF-8 text (byte {error.start}): was it compressed or damaged?") from error
    except RecursionError as error:
        raise Refused("is nested too deeply to be a notebook") from error
    except Exception as error:  # nbformat lets through whatever an old, malformed file makes it stumble on
        lines = str(error).splitlines() or [type(error).__name__]
        raise Refused(
            f"is not a valid notebook ({lines[0][:100]}). Was it cut short or edited as text? "
            "In JupyterLab, File > Revert Notebook to Checkpoint brings back the last good copy."
        ) from error
    notebook = _rebuilt(content)
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        raise Refused(f"is not a valid notebook ({str(error).splitlines()[0][:100]})") from error
    return to_text(notebook).encode("utf-8", "replace")  # half a surrogate pair can't be written


def _rebuilt(content: object) -> NotebookNode:
    if not isinstance(content, dict) or "nbformat" not in content:
        raise Refused("is not a notebook: it has no format number")
    if content["nbformat"] != 4:
        raise Refused(f"has the notebook format {str(content['nbformat'])[:20]}, and the newest known is 4")
    cells = content.get("cells")
    if not isinstance(cells, list):
        raise Refused("is not a notebook: its cells are not a list")
    if len(cells) > MAX_CELLS:
        raise Refused(f"has {len(cells)} cells, and at most {MAX_CELLS} are graded")
    used: set[str] = set()
    metadata = content.get("metadata")
    return as_node(
        {
            "cells": [_cell(cell, number, used) for number, cell in enumerate(cells, start=1)],
            "metadata": _notebook_metadata(metadata if isinstance(metadata, dict) else {}),
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )


def _notebook_metadata(metadata: dict) -> dict:
    kept = {}
    spec = metadata.get("kernelspec")
    if isinstance(spec, dict) and isinstance(spec.get("name"), str):
        kept["kernelspec"] = {"name": spec["name"], "display_name": str(spec.get("display_name", spec["name"]))}
    stamp = metadata.get(METADATA_KEY)
    if isinstance(stamp, dict) and isinstance(stamp.get("digest"), str):
        kept[METADATA_KEY] = {"digest": stamp["digest"]}
    return kept


def _cell(cell: object, number: int, used: set[str]) -> dict:
    """One cell; ``used`` are the ids so far."""
    if not isinstance(cell, dict):
        raise Refused(f"is not a valid notebook: cell {number} is no cell")
    kind, source = cell.get("cell_type"), cell.get("source")
    if kind not in ("code", "markdown", "raw"):
        raise Refused(f"is not a valid notebook: cell {number} is of no known type ({str(kind)[:20]!r})")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise Refused(f"is not a valid notebook: cell {number} has no source text")
    metadata = cell.get("metadata")
    role = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    rebuilt = {
        "cell_type": kind,
        "id": _cell_id(cell.get("id"), number, used),
        "metadata": {"nbgrader": role} if isinstance(role, dict) else {},
        "source": source,
    }
    if kind == "code":
        rebuilt |= {"execution_count": None, "outputs": []}
    elif _is_attachments(cell.get("attachments")):
        rebuilt["attachments"] = cell["attachments"]
    return rebuilt


def _cell_id(found: object, number: int, used: set[str]) -> str:
    if not isinstance(found, str) or not CELL_ID.fullmatch(found) or found in used:
        names = (f"cell-{number}" + "x" * more for more in itertools.count())
        found = next(name for name in names if name not in used)
    used.add(found)
    return found


def _is_attachments(found: object) -> bool:
    return isinstance(found, dict) and all(
        isinstance(bundle, dict) and all(isinstance(data, str) for data in bundle.values()) for bundle in found.values()
    )


@dataclass
class _Seen:
    """How much of the folder was looked at so far."""

    entries: int = 0
    extra_bytes: int = 0
    notebooks: list[str] = field(default_factory=list)


def _take_notebook(taken: Intake, descriptor: int, name: str) -> None:
    file = f"{name}.ipynb"
    try:
        taken.notebooks[name] = clean_notebook(read_regular(file, MAX_NOTEBOOK, descriptor))
    except FileNotFoundError:
        return
    except TooLarge as error:
        taken.refused[file] = f"{error}: clear its outputs (Edit > Clear Outputs of All Cells), save, hand it in again"
    except Refused as error:
        _refuse(taken, file, error)


def _walk(taken: Intake, descriptor: int, prefix: str, seen: _Seen, skip: Collection[str] = ()) -> None:
    """Take in what an open folder holds, but for the names in ``skip``: its files, then its folders."""
    with os.scandir(descriptor) as entries:
        names = sorted(entry.name for entry in itertools.islice(entries, MAX_ENTRIES + 1))
    names = [name for name in names if not name.startswith(".") and name not in ("__pycache__", *skip)]
    seen.entries += len(names)
    if seen.entries > MAX_ENTRIES:
        taken.refused[prefix or "."] = f"more than {MAX_ENTRIES} files: those in here were left out"
        return
    folders = []
    for name in names:
        path = prefix + name
        try:
            mode = os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                folders.append(name)
            elif name.endswith(".ipynb") and stat.S_ISREG(mode):
                seen.notebooks.append(path)
            else:
                _take_extra(taken, descriptor, path, seen)
        except FileNotFoundError:
            continue  # it went away meanwhile
        except OSError as error:
            taken.refused[path] = f"can't be read: {error.strerror}"
        except Refused as error:
            _refuse(taken, path, error)
    for name in folders:
        path = prefix + name
        if path.count("/") >= MAX_DEPTH:
            taken.refused[path] = f"is more than {MAX_DEPTH} folders deep"
            continue
        try:
            inner = _open_folder(name, descriptor)
        except OSError as error:
            linked = error.errno in (errno.ELOOP, errno.ENOTDIR)  # exchanged since it was looked at
            _refuse(taken, path, Refused(f"can't be read: {error.strerror}", suspicious=linked))
            continue
        try:
            _walk(taken, inner, f"{path}/", seen)
        finally:
            os.close(inner)


def _take_extra(taken: Intake, descriptor: int, path: str, seen: _Seen) -> None:
    if shadows(path):
        reason = f"would take the place of the module {_top_name(path)}, so it was left out; give it another name"
        raise Refused(reason, suspicious=True)
    data = read_regular(path.rpartition("/")[2], MAX_EXTRA, descriptor)
    if len(taken.extras) >= MAX_EXTRA_FILES:
        raise Refused(f"was left out: at most {MAX_EXTRA_FILES} files are taken beside the notebooks")
    if seen.extra_bytes + len(data) > MAX_EXTRAS:
        raise Refused(f"was left out: at most {MAX_EXTRAS // 1_000_000} MB are taken beside the notebooks")
    seen.extra_bytes += len(data)
    taken.extras[path] = data


def shadows(path: str) -> bool:
    """Whether a file beside the notebook would be imported in place of a module that is installed."""
    return path.lower().endswith(MODULE_SUFFIXES) and _top_name(path).casefold() in _installed()


def _top_name(path: str) -> str:
    return path.partition("/")[0].partition(".")[0]


@functools.cache
def _installed() -> frozenset[str]:
    found = importlib.metadata.packages_distributions()
    names = {*sys.stdlib_module_names, *found, *READ_AT_START, "gpt2_lib", "autograder"}
    return frozenset(name.casefold() for name in names)


def _open_folder(path: str | Path, dir_fd: int | None = None) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)


def _assert_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next(name for is_kind, name in _kinds() if is_kind(found.st_mode))
        raise Refused(f"is {kind}, not a file", suspicious=kind != "a folder")
    if found.st_nlink > 1:
        raise Refused(
            "is a hard link: the same file has another name elsewhere. If that is all right, copy it and put the "
            "copy in its place",
            suspicious=True,
        )


def _kinds() -> Iterator[tuple]:
    yield stat.S_ISLNK, "a link"
    yield stat.S_ISDIR, "a folder"
    yield stat.S_ISFIFO, "a pipe"
    yield stat.S_ISSOCK, "a socket"
    yield lambda mode: True, "a device"


def _refuse(taken: Intake, path: str, error: Refused) -> None:
    taken.refused[path] = str(error)
    if error.suspicious:
        taken.review.append(f"{path!r} {error}")
