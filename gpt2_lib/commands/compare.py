"""``gpt2-pruning compare IN``: several methods on one model and one text, in a table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..pruning.methods.comparison import compare
from ..pruning.methods.registry import METHODS, find_method
from . import arguments


def main(argv: Sequence[str]) -> None:
    """The command ``compare``; nothing is saved."""
    parser = arguments.parser_of("compare", "Prune copies of a model with several methods, and measure each.")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"methods:\n{arguments.methods_table()}"
    parser.add_argument("model", metavar="IN", help=arguments.MODEL)
    parser.add_argument(
        "--methods", required=True, nargs="+", choices=METHODS, metavar="METHOD", help="some of the list below"
    )
    arguments.add_pruning(parser)
    arguments.add_test(parser)
    given = parser.parse_args(argv)

    arguments.check_calibration([find_method(name) for name in given.methods], given.calibrate)
    model = arguments.load(given.model)
    test, calibration = arguments.given_texts(model, given)
    found = compare(
        model,
        given.methods,
        given.sparsity,
        text=calibration.ids,
        test=test.ids,
        n_m=given.n_m,
        ignore=given.ignore,
        tested=test.said,
    )
    print(found)
    if calibration.said:
        print(f"Calibrated on {calibration.said}.")
    arguments.write_json(given.json, {"calibrated_on": calibration.said} | found.as_json())
