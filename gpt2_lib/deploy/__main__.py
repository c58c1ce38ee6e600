"""``python -m gpt2_lib.deploy COMMAND ...``: measure the targets, serve a model, load-test it, check the manifests."""

from __future__ import annotations

import argparse
import importlib
import sys

from ..checkpoints import CheckpointError
from ..system.command import run
from .extras import DeployError

COMMANDS = {  # command: the file whose main(argv) does it
    "bench": "commands.bench",
    "serve": "deploy.serving.serve",
    "load-test": "deploy.serving.load_test",
    "check-manifests": "deploy.serving.kubernetes",
}


def main(argv: list[str]) -> None:
    """Run the command named by the first of ``argv``; its module gets the remaining arguments, ``--help`` included."""
    parser = argparse.ArgumentParser(prog="python -m gpt2_lib.deploy", description=__doc__)
    parser.add_argument("command", choices=COMMANDS, help="COMMAND --help says what it takes")
    command = parser.parse_args(argv[:1]).command
    try:
        importlib.import_module(f"gpt2_lib.{COMMANDS[command]}").main(argv[1:])
    except (CheckpointError, DeployError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    run(lambda: main(sys.argv[1:]))
