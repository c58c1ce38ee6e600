"""Errors of deployment: a package is missing (`system.extras`), or a target fails."""

from __future__ import annotations

from ..system.extras import MissingExtraError, install_command, need

__all__ = ["NOTING", "DeployError", "MissingExtraError", "install_command", "need"]

# Loggers that note which of their internals are old, untested with a version, or made for machines that are not here.
NOTING = ("coremltools", "executorch", "torchao", "torch.utils._pytree")


class DeployError(Exception):
    """A model can't go to this target, or the target failed; the message says why and what to do."""
