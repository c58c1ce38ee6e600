"""``gpt2-pruning generate IN PROMPT``: generate text with a model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..generate import generate
from ..system.command import count
from . import arguments


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    found = arguments.parser_of("generate", "Continue a prompt; the text ends where the model ends it.")
    found.add_argument("model", metavar="IN", help=arguments.MODEL)
    found.add_argument("prompt", metavar="PROMPT", help="the beginning of the text")
    found.add_argument("--max-new-tokens", type=count, default=100, help="default: %(default)s")
    found.add_argument("--temperature", type=float, default=0.8, help="0 takes the likeliest token (%(default)s)")
    found.add_argument("--top-k", type=count, default=40, help="sample among this many tokens (%(default)s)")
    found.add_argument("--seed", type=int, help="the same seed gives the same text")
    return found


def main(argv: Sequence[str]) -> None:
    """Run the command ``generate``."""
    given = parser().parse_args(argv)
    model = arguments.load(given.model)
    print(generate(model, given.prompt, given.max_new_tokens, given.temperature, given.top_k, given.seed))
