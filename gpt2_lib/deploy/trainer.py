"""A callback for transformers' Trainer that keeps pruned weights at zero.

Without transformers the class is there too, for ``from gpt2_lib import *``, and refuses to be made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn

from ..pruning.masking import MaskKeeper, masks_of_zeros
from .extras import need

try:
    from transformers import TrainerCallback
except ImportError:
    TrainerCallback = object


class KeepMasks(cast("Any", TrainerCallback)):
    """A callback for Trainer: ``Trainer(..., callbacks=[KeepMasks(pruner.masks)])``, or ``trainer.add_callback``.

    ``masks``: {parameter name: bool tensor, True = keep} of the model that is trained, as `ModelPruner.masks` has them;
    None reads them from the model's zeros when training begins. Works with accumulation, half precision and training
    that resumes. Trainer measures the norm that it clips gradients by before the pruned ones are zeroed, so it clips
    a little more than `MaskKeeper.zero_gradients` would in a loop of your own.

    Raises MissingExtraError without transformers; ValueError, when training begins, for masks that don't fit, or
    without masks where no weight is zero.
    """

    def __init__(self, masks: Mapping[str, Tensor] | None = None) -> None:
        need("transformers", "transformers")
        if masks is not None and not isinstance(masks, Mapping):
            raise TypeError(f"Masks, {{parameter name: bool tensor}}, are needed; got a {type(masks).__name__}.")
        self.masks = masks
        self.keeper: MaskKeeper | None = None

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: nn.Module, optimizer: Any, **_: object
    ) -> None:
        masks = masks_of_zeros(model) if self.masks is None else self.masks
        if not masks:
            raise ValueError("KeepMasks has nothing to keep: the model has no zeros. Prune it first, or give masks.")
        self.keeper = MaskKeeper(model, [optimizer], masks)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: object) -> None:
        if self.keeper is not None:
            self.keeper.remove()
