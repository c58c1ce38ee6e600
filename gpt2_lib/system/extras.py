"""Optional dependencies of parts of the library, and the command that installs a missing one."""

from __future__ import annotations

import importlib
import shlex
import subprocess
import sys
from importlib.util import find_spec
from types import ModuleType

DISTRIBUTION = "gpt2-pruning-course"


class MissingExtraError(ImportError):
    """A package of an extra is not installed; the message has the command that adds it."""


def install_command(extra: str) -> str:
    """Return the command that adds the extra to the running environment."""
    return command_line([sys.executable or "python", "-m", "pip", "install", f"{DISTRIBUTION}[{extra}]"])


def command_line(words: list[str]) -> str:
    """Return the line that gives a shell these words."""
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)


def need(module: str, extra: str) -> ModuleType:
    """Import and return ``module``, which the extra called ``extra`` installs. Raises MissingExtraError."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{module.partition('.')[0]} is not installed ({error}). This adds it: {install_command(extra)}"
        ) from error


def require(extra: str, *packages: str) -> None:
    """Raise MissingExtraError unless all ``packages`` of an extra are installed; none of them is imported."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise MissingExtraError(f"Not installed: {', '.join(missing)}. This adds it: {install_command(extra)}")
