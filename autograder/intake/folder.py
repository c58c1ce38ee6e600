"""Intake of a submission's folder: untrusted files are inspected, limited and listed.

No link is followed, only regular files are opened, and sizes are limited while reading. The content of a file is
parsed later, in a worker. `intake` needs POSIX (``openat``).
"""

from __future__ import annotations

import errno
import functools
import hashlib
import importlib.metadata
import itertools
import os
import stat
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from .names import looks_like
from .regular import Refused, TooLarge, open_folder, read_regular
from .times import read_time

MAX_NOTEBOOK = 60_000_000  # bytes, with its outputs, which are thrown away
MAX_STAMP = 100  # bytes of timestamp.txt
REASONS = ".not-taken.txt"  # what `collect` did not take: a file and the reason in each line
MAX_REASONS = 4_000  # bytes
MAX_EXTRA = 12_000_000  # bytes, each: the challenges hand in models of up to 9 MB
MAX_EXTRAS = 40_000_000  # bytes, together
MAX_EXTRA_FILES = 200
MAX_ENTRIES = 2_000  # files and folders that are examined
MAX_DEPTH = 8  # folders within folders
NAMED = 5  # files in a sentence, at most

MODULE_SUFFIXES = (".py", ".pyc", ".pyd", ".so", ".pth")
# Read by Python or Jupyter at their start, though no package has these names.
READ_AT_START = {
    *("sitecustomize", "usercustomize"),
    *("ipython_config", "ipython_kernel_config", "jupyter_config", "nbgrader_config"),
}


class IntakeError(Exception):
    """The submission's folder can't be read; the message says why."""


@dataclass
class Intake:
    """The files taken from a submission's folder, and those refused.

    Names are paths relative to the folder, with "/". Files whose name starts with a dot, ``__pycache__`` and
    nbgrader's ``timestamp.txt`` are ignored silently.
    """

    notebooks: dict[str, bytes] = field(default_factory=dict)
    """Name without .ipynb -> the file's content, whatever it is."""
    extras: dict[str, bytes] = field(default_factory=dict)
    """Other files, to be put beside the notebook while it runs."""
    further: list[str] = field(default_factory=list)
    """Notebooks that are not wanted."""
    refused: dict[str, str] = field(default_factory=dict)
    """What was not taken -> why, in plain words."""
    review: list[str] = field(default_factory=list)
    """Why a person should look at this submission."""
    stamp: datetime | None = None
    """When it was handed in (UTC, without a zone), as far as ``timestamp.txt`` tells."""

    @property
    def digest(self) -> str:
        """SHA-256 of the names and bytes of all files that were taken in."""
        total = hashlib.sha256()
        for kind, files in (("notebook", self.notebooks), ("extra", self.extras)):
            for name in sorted(files):
                for part in (kind.encode(), os.fsencode(name), files[name]):
                    total.update(len(part).to_bytes(8, "big") + part)
        return total.hexdigest()


def intake(folder: Path, wanted: Collection[str]) -> Intake:
    """Take in the notebooks named ``wanted`` (without .ipynb) and the files beside them.

    One bad file is an entry in ``refused``; raises IntakeError only if ``folder`` itself can't be read.
    """
    taken = Intake()
    try:
        if folder.is_symlink() or folder.parent.is_symlink():
            _refuse(taken, folder.name, Refused("the folder is a link; links are never followed", suspicious=True))
            return taken
        descriptor = open_folder(folder)
    except NotADirectoryError as error:
        raise IntakeError(f"{folder.name} is a file; a submission is a folder with the notebook in it.") from error
    except OSError as error:
        raise IntakeError(f"The folder {folder.name} can't be read: {error.strerror}.") from error
    try:
        _take_stamp(taken, descriptor)
        for name in sorted(wanted):
            _take_notebook(taken, descriptor, name)
        seen = _Seen()
        _walk(taken, descriptor, "", seen, skip={"timestamp.txt", *(f"{name}.ipynb" for name in wanted)})
    finally:
        os.close(descriptor)
    taken.further = seen.notebooks
    _take_reasons(taken, folder / REASONS)
    for name in sorted(set(wanted) - set(taken.notebooks)):
        alike = [other for other in seen.notebooks if looks_like(Path(other).stem, name)]
        if alike and f"{name}.ipynb" not in taken.refused:
            reason = f"is missing. Is it {' or '.join(map(repr, sorted(alike)))}? Then rename it, and grade again."
            taken.refused[f"{name}.ipynb"] = reason
    return taken


def which(taken: Collection[str], further: Sequence[str]) -> list[str]:
    """Return sentences on which notebooks (names without .ipynb) are graded, where ``further`` ones lie beside them."""
    if not further:
        return []
    more = f" and {len(further) - NAMED} more" if len(further) > NAMED else ""
    graded = " and ".join(f"{name}.ipynb" for name in sorted(taken)) or "nothing"
    return [f"{graded} was graded, not what lies beside it: {', '.join(map(repr, further[:NAMED]))}{more}"]


@dataclass
class _Seen:
    """How much of the folder was read so far."""

    entries: int = 0
    extra_bytes: int = 0
    notebooks: list[str] = field(default_factory=list)


def _take_notebook(taken: Intake, descriptor: int, name: str) -> None:
    file = f"{name}.ipynb"
    try:
        taken.notebooks[name] = read_regular(file, MAX_NOTEBOOK, descriptor)
    except FileNotFoundError:
        return
    except TooLarge as error:
        taken.refused[file] = f"{error}: clear its outputs (Edit > Clear Outputs of All Cells), save, hand it in again"
    except Refused as error:
        _refuse(taken, file, error)


def _take_stamp(taken: Intake, descriptor: int) -> None:
    file = "timestamp.txt"
    try:
        taken.stamp = read_time(read_regular(file, MAX_STAMP, descriptor).decode())
    except FileNotFoundError:
        return
    except Refused as error:
        if isinstance(error, TooLarge):
            _no_time(taken, file)
        else:
            _refuse(taken, file, error)
    except ValueError:
        _no_time(taken, file)


def _take_reasons(taken: Intake, path: Path) -> None:
    try:
        text = read_regular(path, MAX_REASONS).decode("utf-8", "replace")
    except (FileNotFoundError, Refused):
        return
    for line in text.splitlines():
        file, _, reason = line.partition(": ")
        taken.refused.setdefault(file, reason)


def _no_time(taken: Intake, file: str) -> None:
    taken.refused[file] = "is no time: the submission counts as on time"
    taken.review.append(f"{file!r} {taken.refused[file]}")


def _walk(taken: Intake, descriptor: int, prefix: str, seen: _Seen, skip: Collection[str] = ()) -> None:
    """Take in an open folder's files, then its folders, without the names in ``skip``."""
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
            inner = open_folder(name, descriptor)
        except OSError as error:
            linked = error.errno in (errno.ELOOP, errno.ENOTDIR)  # replaced since it was checked
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
        raise Refused(too_many_extras())
    if seen.extra_bytes + len(data) > MAX_EXTRAS:
        raise Refused(too_large_extras())
    seen.extra_bytes += len(data)
    taken.extras[path] = data


def too_many_extras() -> str:
    return f"was left out: at most {MAX_EXTRA_FILES} files are taken beside the notebooks"


def too_large_extras() -> str:
    return f"was left out: at most {MAX_EXTRAS // 1_000_000} MB are taken beside the notebooks"


def shadows(path: str) -> bool:
    """Return whether a file beside the notebook would be imported in place of an installed module."""
    return path.lower().endswith(MODULE_SUFFIXES) and _top_name(path).casefold() in _installed()


def _top_name(path: str) -> str:
    return path.partition("/")[0].partition(".")[0]


@functools.cache
def _installed() -> frozenset[str]:
    found = importlib.metadata.packages_distributions()
    names = {*sys.stdlib_module_names, *found, *READ_AT_START, "gpt2_lib", "autograder"}
    return frozenset(name.casefold() for name in names)


def _refuse(taken: Intake, path: str, error: Refused) -> None:
    taken.refused[path] = str(error)
    if error.suspicious:
        taken.review.append(f"{path!r} {error}")
