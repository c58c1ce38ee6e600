"""``python -m gpt2_lib COMMAND ...``, or ``gpt2-pruning COMMAND ...``: prune, compare, measure and ship GPT-2s."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from .checkpoints import CheckpointError
from .deploy.extras import DeployError
from .system.command import run
from .system.extras import MissingExtraError

COMMANDS = {  # command: the file whose main(argv) does it, and what that is
    "prune": ("commands.prune", "prune a model, measure it before and after, and save it"),
    "compare": ("commands.compare", "compare several methods on one model and text"),
    "evaluate": ("commands.evaluate", "measure perplexity, accuracy and sparsity of models on a text"),
    "generate": ("commands.generate", "generate text with a model"),
    "export": ("commands.export", "export a model for ONNX Runtime, Core ML, ExecuTorch, or packed"),
    "serve": ("deploy.serving.serve", "serve an ONNX model over HTTP"),
    "load-test": ("deploy.serving.load_test", "send many requests to a server"),
    "check-manifests": ("deploy.serving.kubernetes", "check the manifests for Kubernetes"),
    "bench": ("deploy.bench.command", "measure speed, size and quality on every target"),
    "experiments": ("course.experiments", "measure the course's table and curves, on the plays"),
    "exercises": ("course.exercises", "run the course's reference solutions"),
    "train": ("train", "train gpt2-mini, on the plays"),
}


def main(argv: Sequence[str]) -> None:
    """Run the command named by the first of ``argv``; its module gets the remaining arguments, ``--help`` included."""
    parser = argparse.ArgumentParser(
        prog="gpt2-pruning",
        description="Prune GPT-2s, measure them on your own text, and ship them.",
        epilog="commands (COMMAND --help lists its arguments):\n"
        + "\n".join(f"  {name:16} {does}" for name, (_, does) in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of the list below")
    module, _ = COMMANDS[parser.parse_args(argv[:1]).command]
    try:
        import_module(f".{module}", __package__).main(list(argv[1:]))
    except (CheckpointError, DeployError, MissingExtraError, ValueError) as error:
        sys.exit(f"{parser.prog} {argv[0]}: {error}")


def script() -> NoReturn:
    """Run the console script ``gpt2-pruning``."""
    run(lambda: main(sys.argv[1:]))


if __name__ == "__main__":
    script()
