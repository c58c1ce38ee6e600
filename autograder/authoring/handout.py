"""The learners' own repository: notebooks and library, ready to push, for JupyterLab and for Binder.

Nothing for instructors goes in: no masters, no hidden tests, no reference solutions, no autograder.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from ..notebooks import read_notebook
from .release import fresh_release, hand_out

MARKER = ".handout.json"  # file -> SHA-256 of what was written: what differs was changed by somebody
COPIED = ("environment.yml", "requirements.lock", "LICENSE")
LIBRARY = ("gpt2_lib/**/*.py", "gpt2_lib/weights/*/*")
LIBRARY += tuple(f"gpt2_lib/deploy/serving/manifests/{file}" for file in ("Containerfile", "*/*.yaml", "*/*/*.yaml"))
LEFT_OUT = ("gpt2_lib/exercises.py", "gpt2_lib/course/exercises.py")  # the reference solutions
TARGETS = ("help", "lab", "clean")

README = """\
# Real-World GPT-2 Pruning

A Jupyter course that teaches you to prune GPT-2 for real, and to measure what it does, in an hour on a laptop. You need
to know basic neural networks, Python and NumPy. No GPU is needed, and no network after installing.

With `make` and Python 3.11, 3.12 or 3.13, one command sets everything up and opens the first notebook:

```bash
make lab
```

Without `make`, with conda:

```bash
conda env create -f environment.yml
conda activate gpt2-pruning-course
jupyter lab
```

Without installing anything: open this repository on [Binder](https://mybinder.org), which reads `environment.yml`.
Binder forgets your work when you close it: download your notebooks (File > Download).

Work through these in order:

{notebooks}

Each exercise has a check right below it: run it, and it says what is wrong. Save the notebook, and hand in that file
under the name it has.

`gpt2_lib/` is the library that the notebooks import: read it as you like. MIT licence.
"""


class HandoutError(Exception):
    """The handout can't be made; the message says what to do."""


def handout(root: Path, target: Path) -> list[str]:
    """Make or update the learners' repository in ``target`` from the course at ``root``; returns what to tell.

    The notebooks are released afresh from source/. What somebody changed in ``target`` since stays as it is: the new
    version of a notebook goes beside it, as ``x.new.ipynb``. Raises HandoutError and what ``release`` raises.
    """
    before = _made_before(target)
    with fresh_release(root) as fresh:
        made = sorted((fresh / "notebooks").glob("*/*.ipynb"))
        notebooks = {path.relative_to(fresh): read_notebook(path) for path in made}
    files = _files(root, [path.as_posix() for path in notebooks])
    _write(target / MARKER, json.dumps(before, indent=1).encode())  # from here on the folder is known as ours
    messages = [message for path, notebook in notebooks.items() if (message := hand_out(notebook, target / path))]
    for name, data in files.items():
        if message := _put(target, name, data, before):
            messages.append(message)
    for name in sorted(set(before) - set(files)):
        messages += _remove(target, name, before[name])
    _write(target / MARKER, json.dumps({name: _digest(files[name]) for name in sorted(files)}, indent=1).encode())
    return messages


def _made_before(target: Path) -> dict[str, str]:
    """What the last handout wrote there; raises HandoutError if the folder is somebody else's."""
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
    """All files but the notebooks: path -> content."""
    paths = [root / name for name in COPIED] + [path for pattern in LIBRARY for path in sorted(root.glob(pattern))]
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in paths if path.is_file()}
    for name in LEFT_OUT:
        files.pop(name, None)
    links = "\n".join(f"- [{Path(path).stem}]({path})" for path in notebooks)
    made = {
        "README.md": README.format(notebooks=links),
        "Makefile": _makefile((root / "Makefile").read_text(encoding="utf-8")),
        "pyproject.toml": _pyproject((root / "pyproject.toml").read_text(encoding="utf-8")),
        ".gitignore": _gitignore((root / ".gitignore").read_text(encoding="utf-8")),
    }
    return files | {name: text.encode() for name, text in made.items()}


def _makefile(text: str) -> str:
    """Ours without the instructor's and the developer's targets."""
    blocks = []
    for block in text.strip().split("\n\n"):
        targets = re.findall(r"^([\w./-]+):(?!=)", block, re.MULTILINE)
        if ".PHONY" in block:
            block = re.sub(r"^\.PHONY: help .*$", f".PHONY: {' '.join(TARGETS)}", block, flags=re.MULTILINE)
        elif (targets and targets[0] not in (*TARGETS, ".venv/lab")) or block.startswith("compile ="):
            continue
        blocks.append(block)
    return "\n\n".join(blocks) + "\n"


def _pyproject(text: str) -> str:
    """Ours without the settings of tools that learners don't run, and without what the autograder adds to Jupyter."""
    tables = re.split(r"^(?=\[)", text, flags=re.MULTILINE)
    return (
        "".join(t for t in tables if not re.match(r"\[(tool\.(?!setuptools)|project\.entry-points)", t)).rstrip() + "\n"
    )


def _gitignore(text: str) -> str:
    """Ours without nbgrader's folders and files."""
    lines = [line for line in text.splitlines() if not re.match(r"!?/|gradebook|\.nbgrader", line)]
    return "\n".join(lines) + "\n"


def _put(target: Path, name: str, data: bytes, before: dict[str, str]) -> str | None:
    path = target / name
    if not path.exists():
        _write(path, data)
        return f"{name}: written"
    old = path.read_bytes()
    if old == data:
        return None
    if before.get(name) != _digest(old):
        return f"{name}: somebody changed it, so it stays; delete it and run this again for the new version"
    _write(path, data)
    return f"{name}: updated"


def _remove(target: Path, name: str, digest: str) -> list[str]:
    """Remove a file that is handed out no more, if it still is as it was written."""
    path = target / name
    if not path.resolve().is_relative_to(target.resolve()) or not path.is_file():
        return []
    if _digest(path.read_bytes()) != digest:
        return [f"{name}: is handed out no more; somebody changed it, so it stays"]
    path.unlink()
    return [f"{name}: removed, it is handed out no more"]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    os.replace(part, path)
