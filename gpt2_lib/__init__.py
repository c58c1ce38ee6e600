"""The library that the course's notebooks import: prune GPT-2, measure it, store it and deploy it.

The model's files are here; pruning/, storage/ and deploy/ build on it, and course/ on them all.
"""

import sys as _sys
from importlib import import_module as _import_module
from importlib import metadata as _metadata
from typing import TYPE_CHECKING as _TYPE_CHECKING

# One of our commands is starting, and what follows takes seconds.
if _sys.argv[:1] == ["-m"] or "".join(_sys.argv[:1]).endswith(("gpt2-pruning", "gpt2-pruning.exe")):
    from .system.command import interrupt_quietly as _interrupt_quietly

    _interrupt_quietly()

from .batches import windows_of
from .checkpoints import CheckpointError, from_transformers, load_pretrained_gpt2, save_pretrained
from .config import GPT2Config
from .corpus import held_out_windows
from .generate import generate
from .gpt2 import GPT2
from .metrics import evaluate
from .pruning.masking import MaskKeeper, masks_of_zeros
from .pruning.methods.comparison import compare
from .pruning.pruner import ModelPruner, apply_magnitude_pruning, quick_magnitude_prune
from .pruning.sensitivity import allocate
from .pruning.surgery import remove_silenced

if _TYPE_CHECKING:
    from .deploy.hugging_face import save_for_transformers, to_transformers
    from .deploy.onnx import export_onnx
    from .deploy.production import deployment_analysis, evaluate_production_metrics
    from .deploy.serving.service import deploy_to_production
    from .deploy.tensorrt import convert_to_tensorrt
    from .deploy.trainer import KeepMasks
    from .storage.packed import load_packed, save_packed

_LATER = {  # name -> the module that is imported when it is first asked for (PEP 562)
    "KeepMasks": ".deploy.trainer",
    "convert_to_tensorrt": ".deploy.tensorrt",
    "deploy_to_production": ".deploy.serving.service",
    "deployment_analysis": ".deploy.production",
    "evaluate_production_metrics": ".deploy.production",
    "export_onnx": ".deploy.onnx",
    "load_packed": ".storage.packed",
    "save_for_transformers": ".deploy.hugging_face",
    "save_packed": ".storage.packed",
    "to_transformers": ".deploy.hugging_face",
}

__all__ = [
    "GPT2",
    "CheckpointError",
    "GPT2Config",
    "KeepMasks",
    "MaskKeeper",
    "ModelPruner",
    "allocate",
    "apply_magnitude_pruning",
    "compare",
    "convert_to_tensorrt",
    "deploy_to_production",
    "deployment_analysis",
    "evaluate",
    "evaluate_production_metrics",
    "export_onnx",
    "from_transformers",
    "generate",
    "held_out_windows",
    "load_packed",
    "load_pretrained_gpt2",
    "masks_of_zeros",
    "quick_magnitude_prune",
    "remove_silenced",
    "save_for_transformers",
    "save_packed",
    "save_pretrained",
    "to_transformers",
    "windows_of",
]

try:
    __version__ = _metadata.version("gpt2-pruning-course")
except _metadata.PackageNotFoundError:  # a copy of the folder, not installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(_import_module(_LATER[name], __name__), name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
