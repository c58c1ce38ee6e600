"""Weight to importance: the higher the score, the more an entry is worth keeping.

Tensors in, tensors out. A further criterion (Wanda, Taylor, neurons, heads) is a further function
here.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def magnitude(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """|w| of every entry (Han et al., 2015, "Learning both Weights and Connections", section 3)."""
    return {name: w.detach().abs() for name, w in weights.items()}
