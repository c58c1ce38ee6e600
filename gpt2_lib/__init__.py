"""Prune GPT-2 for real: the library that the course's notebooks import."""

from importlib import metadata as _metadata

from .checkpoints import CheckpointError, load_pretrained_gpt2, save_pretrained
from .config import GPT2Config
from .corpus import held_out_windows
from .deploy.serving.service import deploy_to_production
from .deploy.tensorrt import convert_to_tensorrt
from .generate import generate
from .gpt2 import GPT2
from .metrics import evaluate
from .production import deployment_analysis, evaluate_production_metrics
from .pruner import ModelPruner, apply_magnitude_pruning, quick_magnitude_prune

__all__ = [
    "GPT2",
    "CheckpointError",
    "GPT2Config",
    "ModelPruner",
    "apply_magnitude_pruning",
    "convert_to_tensorrt",
    "deploy_to_production",
    "deployment_analysis",
    "evaluate",
    "evaluate_production_metrics",
    "generate",
    "held_out_windows",
    "load_pretrained_gpt2",
    "quick_magnitude_prune",
    "save_pretrained",
]

try:
    __version__ = _metadata.version("gpt2-pruning-course")
except _metadata.PackageNotFoundError:  # a copy of the folder, not installed
    __version__ = "0+unknown"
