"""The commands of ``gpt2-pruning``, a file each: ``parser()`` gives its options, and ``main(argv)`` runs it."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

COMMANDS = {  # command: its file, and what it does
    "prune": ("commands.prune", "prune a model, measure it before and after, and save it"),
    "compare": ("commands.compare", "compare several methods on one model and text"),
    "evaluate": ("commands.evaluate", "measure perplexity, accuracy and sparsity of models on a text"),
    "generate": ("commands.generate", "generate text with a model"),
    "export": ("commands.export", "export a model for ONNX Runtime, Core ML, ExecuTorch, or packed"),
    "serve": ("deploy.serving.serve", "serve an ONNX model over HTTP"),
    "load-test": ("deploy.serving.load_test", "send many requests to a server"),
    "check-manifests": ("deploy.serving.kubernetes", "check the manifests for Kubernetes"),
    "bench": ("commands.bench", "measure speed, size and quality on every target"),
    "experiments": ("course.experiments", "measure the course's table and curves, on the plays"),
    "exercises": ("course.exercises", "run the course's reference solutions"),
    "train": ("train", "train gpt2-mini, on the plays"),
    "completion": ("commands.completion", "print a script with which your shell completes these"),
}


def module_of(command: str) -> ModuleType:
    """Import the module of a command. Raises MissingExtraError where it needs an extra that is not installed."""
    return import_module(f"gpt2_lib.{COMMANDS[command][0]}")
