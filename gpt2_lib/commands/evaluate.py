"""``gpt2-pruning evaluate IN``: measure the quality and the sparsity of models on a text."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from . import arguments, texts
from .prune import state_of, table


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    found = arguments.parser_of("evaluate", "Measure models on a text: perplexity, accuracy, bits per character.")
    found.add_argument("models", metavar="IN", nargs="+", help=arguments.MODEL)
    arguments.add_test(found)
    return found


def main(argv: Sequence[str]) -> None:
    """Run the command ``evaluate``. Each model encodes with its own tokenizer: compare their bits per character."""
    given = parser().parse_args(argv)
    arguments.check_outputs([given.json], given.models, [given.test])
    states, said = [], {}
    for name in given.models:
        model = arguments.load(name)
        test = texts.windows_to_measure_on(model, given.test, given.length, given.windows)
        states.append(state_of(name, model, test.ids))
        said[name] = test.said
    print(table(states))
    for words in dict.fromkeys(said.values()):
        print(f"\nMeasured on {words}.")
    arguments.write_json(given.json, {"tested_on": said, "rows": [state.as_json() for state in states]})
