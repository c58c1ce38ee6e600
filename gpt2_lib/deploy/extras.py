"""Packages that only some targets need, and a clear word where one is not installed."""

from __future__ import annotations

import importlib
from types import ModuleType


class MissingExtraError(ImportError):
    """A target's package is not installed; the message has the command that adds it."""


class DeployError(Exception):
    """A model can't go to this target, or the target failed; the message says why and what to do."""


def need(module: str, extra: str) -> ModuleType:
    """Import ``module``, which the extra called ``extra`` installs. Raises MissingExtraError."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{module.partition('.')[0]} is not installed ({error}). In the course's folder, "
            f"pip install -e '.[{extra}]' adds it."
        ) from error
