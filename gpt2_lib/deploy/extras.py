"""Errors of deployment: a package is missing (`system.extras`), or a target fails."""

from __future__ import annotations

from ..system.extras import MissingExtraError, install_command, need

__all__ = ["DeployError", "MissingExtraError", "install_command", "need"]


class DeployError(Exception):
    """A model can't go to this target, or the target failed; the message says why and what to do."""
