"""``python -m gpt2_lib COMMAND ...``, or ``gpt2-pruning COMMAND ...``: prune, compare, measure and ship GPT-2s."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from .checkpoints import CheckpointError
from .commands.listing import COMMANDS, module_of
from .deploy.extras import DeployError
from .system.command import run
from .system.extras import MissingExtraError


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
    command = parser.parse_args(argv[:1]).command
    try:
        module_of(command).main(list(argv[1:]))
    except (CheckpointError, DeployError, MissingExtraError, ValueError) as error:
        sys.exit(f"{parser.prog} {command}: {error}")


def script() -> NoReturn:
    """Run the console script ``gpt2-pruning``."""
    run(lambda: main(sys.argv[1:]))


if __name__ == "__main__":
    script()
