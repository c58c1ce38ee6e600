"""``gpt2-pruning bench``: measure a model on every target in a table, a CSV and a picture of speed against size."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.util import find_spec

import torch

from ..config import PRESETS
from ..corpus import has_plays
from ..deploy.bench.measure import bench, caption, prompt_of
from ..deploy.bench.report import draw, table, write_csv
from ..gpt2 import GPT2
from ..system.command import count, output_file
from ..system.extras import install_command
from . import arguments, texts


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    found = arguments.parser_of("bench", "Measure a model on every target: speed, size on disk, quality.")
    which = found.add_mutually_exclusive_group()
    which.add_argument("--model", default="gpt2-mini", help=arguments.MODEL)
    which.add_argument(
        "--shape",
        choices=("gpt2-mini", "gpt2"),
        help="the bundled model, or the size of GPT-2 124M with random weights (gigabytes of memory, minutes)",
    )
    found.add_argument(
        "--test", metavar="TEXT", help=f"text to measure on (default: plays, where they are): {texts.HELP}"
    )
    found.add_argument("--windows", type=count, default=40, help="number of its windows (default: %(default)s)")
    found.add_argument(
        "--calibrate", metavar="TEXT", help="text to choose structures by (default: plays, if they are measured on)"
    )
    found.add_argument("--repeats", type=count, default=30, help="how often each is timed (default: %(default)s)")
    found.add_argument("--out", type=output_file, default="build/deploy.csv", help="the CSV; beside it a .png")
    return found


def main(argv: Sequence[str]) -> None:
    """Run the command ``bench``. Without Matplotlib there is no picture; without a text, no quality."""
    asked = parser()
    given = asked.parse_args(argv)
    picture = given.out.with_suffix(".png")
    if picture == given.out:
        asked.error("--out names the CSV, and the picture beside it ends in .png: give the CSV another ending")
    arguments.check_outputs([given.out, picture], [given.model], [given.test, given.calibrate])
    torch.manual_seed(0)
    name = given.shape or given.model
    if given.shape == "gpt2":
        model: GPT2 = GPT2(PRESETS["gpt2"]).init_weights().eval()
        name = "random weights in the shape of GPT-2 124M"
    else:
        model = arguments.load(name)
    test, calibration = _texts(model, given)
    rows = bench(
        model, None if test is None else test.ids, given.repeats, None if calibration is None else calibration.ids
    )
    write_csv(rows, given.out)
    print(table(rows))
    said = caption(name, prompt_of(model), given.repeats, test and test.said, calibration and calibration.said)
    print(f"\n{said}")
    if test is None and model.tokenizer is not None:
        print(f"\n--test TEXT measures the quality, too. The plays are not installed: {install_command('course')}")
    print(f"\nWritten: {given.out}")
    if find_spec("matplotlib") is None:
        print(f"No picture, as Matplotlib is not installed. This adds it: {install_command('pictures')}")
    else:
        draw(rows, picture)
        print(f"Written: {picture}")


def _texts(model: GPT2, given: argparse.Namespace) -> tuple[texts.Windows | None, texts.Windows | None]:
    """Return the windows to measure on and to calibrate on: of the plays if they are installed and no text is given."""
    plays = texts.PLAYS if model.tokenizer is not None and has_plays() else None
    tested = given.test or plays
    calibrated = given.calibrate or (plays if tested == texts.PLAYS else None)
    return (
        None if tested is None else texts.windows_to_measure_on(model, tested, None, given.windows),
        None if calibrated is None else texts.windows_to_calibrate_on(model, calibrated, None, 64),
    )
