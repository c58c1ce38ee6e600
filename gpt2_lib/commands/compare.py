"""``gpt2-pruning compare IN``: several methods on one model and one text, in a table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..pruning.methods.comparison import compare
from ..pruning.methods.registry import METHODS, find_method
from . import arguments, texts


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
    test = texts.windows_to_measure_on(model, given.test, given.length, given.windows)
    calibration = None
    if given.calibrate is not None:
        count = given.calibration_windows
        calibration = texts.windows_to_calibrate_on(model, given.calibrate, given.length, count)
    found = compare(
        model,
        given.methods,
        given.sparsity,
        text=None if calibration is None else calibration.ids,
        test=test.ids,
        n_m=given.n_m,
        ignore=given.ignore,
        tested=test.said,
    )
    print(found)
    if calibration is not None:
        print(f"Calibrated on {calibration.said}.")
    said = {"calibrated_on": None if calibration is None else calibration.said}
    arguments.write_json(given.json, said | found.as_json())
