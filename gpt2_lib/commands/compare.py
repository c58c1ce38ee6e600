"""``gpt2-pruning compare IN``: compare several methods on one model and one text in a table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..pruning.methods.comparison import Comparison, compare
from ..pruning.methods.registry import METHODS, Method
from ..system.command import output_file
from ..system.extras import require
from . import arguments, own_method
from .own_method import MethodNames, method_of

ALL = "all"
PICTURES = (".png", ".svg", ".pdf")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    found = arguments.parser_of("compare", "Prune copies of a model with several methods, and measure each.")
    found.formatter_class = argparse.RawDescriptionHelpFormatter
    found.epilog = f"methods:\n{arguments.methods_table()}"
    found.add_argument("model", metavar="IN", help=arguments.MODEL)
    found.add_argument(
        "--methods",
        required=True,
        nargs="+",
        choices=MethodNames((*METHODS, ALL)),
        metavar="METHOD",
        help=f"some of the list below, {own_method.HELP}; {ALL}: those that can, n:m or with the text that is given",
    )
    arguments.add_pruning(found)
    arguments.add_test(found)
    found.add_argument(
        "--picture", type=_picture, metavar="FILE", help=f"draw the perplexities; ends in {', '.join(PICTURES)}"
    )
    return found


def main(argv: Sequence[str]) -> None:
    """Run the command ``compare``; no model is saved."""
    given = parser().parse_args(argv)
    arguments.check_outputs([given.json, given.picture], [given.model], [given.test, given.calibrate])
    arguments.say_if_same_text(given)
    if given.picture:
        require("pictures", "matplotlib")
    methods = _chosen(given)
    arguments.check_methods(methods, given)
    model = arguments.load(given.model)
    arguments.check_plans(model, methods, given)
    test, calibration = arguments.given_texts(model, given)
    found = compare(
        model,
        methods,
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
    if (dtype := model.config.dtype) is not None:
        print(f"Measured in float32: prune rounds the weights to {dtype}, which {given.model} has, and measures then.")
    if given.picture:
        _draw(found, given.picture)
    arguments.write_json(given.json, {"calibrated_on": calibration.said} | found.as_json())


def _chosen(given: argparse.Namespace) -> list[Method]:
    named = [name for name in given.methods if name != ALL]
    if len(named) == len(given.methods):
        return [method_of(name) for name in named]
    able = [method for method in METHODS.values() if given.n_m is None or method.n_m]
    every = [method for method in able if given.calibrate is not None or method.text != "needed"]
    return every + [method_of(name) for name in named if name not in METHODS]


def _draw(found: Comparison, path: Path) -> None:
    from .. import plots  # brings Matplotlib

    perplexities = {row.method: row.quality.perplexity for row in found.rows}
    draw = partial(plots.perplexity_bars, perplexities=perplexities)
    plots.save(draw, path, (8, 1.2 + 0.4 * len(perplexities)))
    print(f"Written: {path}")


def _picture(text: str) -> Path:
    if Path(text).suffix not in PICTURES:
        raise argparse.ArgumentTypeError(
            f"the file's suffix sets the format, one of {', '.join(PICTURES)}; got {text!r}"
        )
    return output_file(text)
