"""The handout: the learners' own repository with notebooks and library, for JupyterLab and for Binder.

It contains no masters, no hidden tests and no reference solutions. Learners use the autograder for `make check`.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from string import Template

from ..files import write_whole
from ..notebooks import read_notebook
from .release import fresh_release, hand_out

MARKER = ".handout.json"  # file -> SHA-256 of what was written: what differs was changed by somebody
COPIED = (
    "environment.yml",
    "postBuild",
    "requirements.lock",
    "setup.mk",
    "nbgrader_config.py",
    "LICENSE",
    "docs/benchmarks.md",
)
PACKAGES = ("gpt2_lib", "autograder")  # the second for `make check`; pyproject.toml says which data files they have
LEFT_OUT = ("gpt2_lib/exercises.py", "gpt2_lib/course/exercises.py")  # the reference solutions
NOT_LEARNERS = ("cluster", "dev", "site")  # extras
TEMPLATES = Path(__file__).parent / "templates"  # the files that a handout has in its own form


class HandoutError(Exception):
    """The handout can't be made; the message says what to do."""


def handout(root: Path, target: Path) -> list[str]:
    """Create or update the learners' repository in ``target`` from the course at ``root``; returns a report.

    The notebooks are released afresh from source/. Files in ``target`` that somebody has changed stay unchanged: the
    new version of a notebook goes beside it, as ``x.new.ipynb``. Raises HandoutError and what ``release`` raises.
    """
    before = _made_before(target)
    with fresh_release(root) as fresh:
        made = sorted((fresh / "notebooks").glob("*/*.ipynb"), key=_reading_order)
        notebooks = {path.relative_to(fresh): read_notebook(path) for path in made}
    files = _files(root, [path.as_posix() for path in notebooks])
    write_whole(target / MARKER, json.dumps(before, indent=1).encode())  # from here on the folder is known as ours
    messages = [message for path, notebook in notebooks.items() if (message := hand_out(notebook, target / path))]
    for name, data in files.items():
        if message := _put(target, name, data, before):
            messages.append(message)
    for name in sorted(set(before) - set(files)):
        messages += _remove(target, name, before[name])
    write_whole(target / MARKER, json.dumps({name: _digest(files[name]) for name in sorted(files)}, indent=1).encode())
    return messages


def _reading_order(notebook: Path) -> tuple[str, bool, str]:
    """Return a sort key: phase after phase; in each the notebook with the phase's name first."""
    phase = notebook.parent.name
    return phase, notebook.stem != phase, notebook.stem


def _made_before(target: Path) -> dict[str, str]:
    """Return the files that the last handout wrote. Raises HandoutError if the folder is not a handout."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return {}
    try:
        made = json.loads((target / MARKER).read_bytes())
    except (OSError, ValueError):
        made = None
    if not isinstance(made, dict):
        raise HandoutError(
            f"{target} is not empty, and no handout was made there before: name a new folder, so that nothing is lost."
        )
    return made


def _files(root: Path, notebooks: list[str]) -> dict[str, bytes]:
    """Return all files but the notebooks, {path: content}."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = [*COPIED, *(f"{package}/**/*.py" for package in PACKAGES)]
    for package, data in project["tool"]["setuptools"]["package-data"].items():
        patterns += [f"{package.replace('.', '/')}/{pattern}" for pattern in data]
    paths = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in paths if path.is_file()}
    for name in LEFT_OUT:
        files.pop(name, None)
    made = {
        "README.md": _filled("README.md", notebooks="\n".join(f"- [{Path(path).stem}]({path})" for path in notebooks)),
        "Makefile": _filled("Makefile"),
        "pyproject.toml": _pyproject(project),
        ".gitignore": _filled("gitignore"),
    }
    return files | {name: text.encode() for name, text in made.items()}


def _filled(template: str, **values: str) -> str:
    return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(values)


def _pyproject(ours: dict) -> str:
    """Return the pyproject.toml for pip, without developers' tools and the autograder's additions to Jupyter."""
    project = ours["project"]
    extras = {name: wanted for name, wanted in project["optional-dependencies"].items() if name not in NOT_LEARNERS}
    data = ours["tool"]["setuptools"]["package-data"]
    return _filled(
        "pyproject.toml.in",
        requires=_toml(ours["build-system"]["requires"]),
        name=_toml(project["name"]),
        version=_toml(project["version"]),
        python=_toml(project["requires-python"]),
        dependencies=_toml(project["dependencies"]),
        extras="\n".join(f"{name} = {_toml(wanted)}" for name, wanted in extras.items()),
        data="\n".join(f"{_toml(package)} = {_toml(patterns)}" for package, patterns in data.items()),
    )


def _toml(value: str | list[str]) -> str:
    """Return text, or a list of texts, in TOML, which is the same as JSON here."""
    return json.dumps(value, indent=4)


def _put(target: Path, name: str, data: bytes, before: dict[str, str]) -> str | None:
    path = target / name
    if not path.exists():
        write_whole(path, data)
        return f"{name}: written"
    old = path.read_bytes()
    if old == data:
        return None
    if before.get(name) != _digest(old):
        return f"{name}: somebody changed it, so it stays; delete it and run this again for the new version"
    write_whole(path, data)
    return f"{name}: updated"


def _remove(target: Path, name: str, digest: str) -> list[str]:
    """Remove a file that is no longer part of the handout, unless it was changed since."""
    path = target / name
    if not path.resolve().is_relative_to(target.resolve()) or not path.is_file():
        return []
    if _digest(path.read_bytes()) != digest:
        return [f"{name}: no longer part of the handout; somebody changed it, so it stays"]
    path.unlink()
    return [f"{name}: removed, it is no longer part of the handout"]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
