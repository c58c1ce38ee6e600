"""Arguments that several commands share, and the checks that run before any work."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..checkpoints import BUNDLED, HUB, load_pretrained_gpt2
from ..checkpoints.hub import PREFIX
from ..files import replace_whole
from ..gpt2 import GPT2
from ..pruning.methods.one_shot import check_finite
from ..pruning.methods.registry import METHODS, Method, check_needs, enough_tokens, plan_of
from ..pruning.selection import check_sparsity
from ..system.command import count, output_file
from . import texts

MODEL = "a model: a folder in Hugging Face's format, or a name that load_pretrained_gpt2 takes"


def parser_of(command: str, description: str) -> argparse.ArgumentParser:
    """Return a parser that accepts no abbreviated options: new options would break scripts that use them."""
    return argparse.ArgumentParser(prog=f"gpt2-pruning {command}", description=description, allow_abbrev=False)


def add_test(parser: argparse.ArgumentParser) -> None:
    """Add the options for the test text, its windows, and the file for the results."""
    parser.add_argument("--test", required=True, metavar="TEXT", help=f"text to measure on: {texts.HELP}")
    parser.add_argument(
        "--windows", type=count, default=40, help="number of its windows, spread evenly (default: %(default)s)"
    )
    parser.add_argument("--length", type=count, help="tokens of a window (default: the model's context)")
    parser.add_argument("--json", type=results_file, metavar="FILE", help="also write the measurements to this file")


def add_pruning(parser: argparse.ArgumentParser) -> None:
    """Add the options for the sparsity, the layers and the calibration text."""
    how_much = parser.add_mutually_exclusive_group(required=True)
    how_much.add_argument("--sparsity", type=fraction, metavar="S", help="fraction to remove of each layer, as 0.5")
    how_much.add_argument(
        "--sparsities",
        type=sparsities_file,
        metavar="FILE",
        dest="sparsity",
        help='JSON of globs, as {"*": 0.5, "h.0.*": 0.3}: the last that matches a layer counts',
    )
    how_much.add_argument("--n-m", type=n_m, metavar="N:M", help="keep N of every M neighbours, as 2:4")
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="GLOB", help="layers to leave whole; repeatable"
    )
    parser.add_argument(
        "--calibrate", metavar="TEXT", help=f"text to calibrate on, other than the test text: {texts.HELP}"
    )
    parser.add_argument(
        "--calibration-windows",
        type=count,
        default=64,
        help="number of its windows, spread evenly (default: %(default)s)",
    )


def methods_table() -> str:
    """Return the methods, one a line, for the end of a command's help."""
    width = max(map(len, METHODS))
    return "\n".join(f"  {m.name:{width}}  text: {m.text:11}  {m.paper}" for m in METHODS.values())


def check_methods(methods: list[Method], given: argparse.Namespace) -> None:
    """Raise ValueError, before a model is loaded, where text is missing, and for n:m; drop a text that none uses."""
    calibrate = given.calibrate
    needing = [method.name for method in methods if method.text == "needed"]
    if needing and calibrate is None:
        raise ValueError(f"{', '.join(needing)} needs text: give --calibrate TEXT.")
    if calibrate is not None and all(method.text == "no" for method in methods):
        print(f"{', '.join(m.name for m in methods)} uses no text: --calibrate is left out.", file=sys.stderr)
        given.calibrate = None
    for method in methods:
        check_needs(method, calibrate is not None, given.n_m)


def check_plans(model: GPT2, methods: list[Method], given: argparse.Namespace) -> None:
    """Raise ValueError, before a text is read, for what can't be pruned so, and for too few calibration windows."""
    tokens = given.calibration_windows * (given.length or model.config.n_positions)
    for method in methods:
        plan = plan_of(model, method, given.sparsity, given.n_m, None, given.ignore)
        needed = enough_tokens(model, method, plan)
        if given.calibrate is not None and tokens < needed:
            raise ValueError(
                f"{method.name} needs {needed:,} tokens to calibrate on, as many as the widest layer has inputs; "
                f"--calibration-windows {given.calibration_windows} are {tokens:,}: raise it."
            )


@dataclass(frozen=True)
class Calibration:
    """Windows (N, T) for calibration and a description of their text; both None where no text was given."""

    ids: Tensor | None = None
    said: str | None = None


def given_texts(model: GPT2, given: argparse.Namespace) -> tuple[texts.Windows, Calibration]:
    """Return the windows of ``--test`` and ``--calibrate``. Raises ValueError for unreadable or short text."""
    test = texts.windows_to_measure_on(model, given.test, given.length, given.windows)
    if given.calibrate is None:
        return test, Calibration()
    found = texts.windows_to_calibrate_on(model, given.calibrate, given.length, given.calibration_windows)
    return test, Calibration(found.ids, found.said)


def load(name: str) -> GPT2:
    """Load the model. Raises CheckpointError where there is none, ValueError for NaN or infinite weights."""
    model = load_pretrained_gpt2(name)
    check_finite(dict(model.named_parameters()))
    return model


def check_outputs(outputs: Iterable[Path | None], models: Iterable[str], texts: Iterable[str | None]) -> None:
    """Raise ValueError, before any work, for an output that would replace a file of a model or of a text."""
    for out in filter(None, outputs):
        for read in filter(None, [*models, *texts]):
            place, file = Path(read).resolve(), out.resolve()
            if Path(read).exists() and (file == place or file.is_relative_to(place)):
                raise ValueError(f"{out} is, or lies in, {read}, which is read: write to another place.")


def say_if_same_text(given: argparse.Namespace) -> None:
    """Warn where the text that is calibrated on is the one that is measured on."""
    if given.calibrate is not None and Path(given.calibrate).resolve() == Path(given.test).resolve():
        print("--calibrate and --test are one text: a method looks better on it than on others.", file=sys.stderr)


def write_json(path: Path | None, content: dict[str, Any]) -> None:
    """Write the file that ``--json`` names, whole or not at all."""
    if path is not None:
        finite = json.loads(json.dumps(content), parse_constant=lambda _: None)  # a ruined model's loss may be NaN
        text = json.dumps(finite, indent=2, ensure_ascii=False) + "\n"
        replace_whole(path, lambda part: part.write_text(text, encoding="utf-8", newline="\n"))
        print(f"Written: {path}")


# Types of arguments, for argparse.


def results_file(text: str) -> Path:
    """Return the path of a writable file that is new, or has the results of an earlier command."""
    path = output_file(text)
    try:
        found = json.loads(path.read_bytes()) if path.exists() else {"rows": []}
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or "rows" not in found:
        raise argparse.ArgumentTypeError(f"{path} is there already, and no result of an earlier run: name another file")
    return path


def fraction(text: str) -> float:
    """Return a sparsity, from 0 to 1."""
    try:
        return check_sparsity(float(text))
    except ValueError as error:
        said = str(error) if "sparsity" in str(error) else f"a fraction such as 0.5 is needed; got {text!r}"
        percent = text.removesuffix("%").strip()
        if percent != text and percent.isdecimal():
            said += f": write {int(percent) / 100:g}"
        raise argparse.ArgumentTypeError(said) from error


def sparsities_file(text: str) -> dict[str, float]:
    """Return {glob: sparsity} from a JSON file."""
    try:
        content = json.loads(Path(text).read_text(encoding="utf-8"), object_pairs_hook=_once)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text} can't be read: {error.strerror}") from error
    except ValueError as error:  # no JSON, or no UTF-8
        raise argparse.ArgumentTypeError(f"{text} is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise argparse.ArgumentTypeError(f'{text} must hold one object, as {{"h.0.*": 0.3}}')
    try:
        return {glob: check_sparsity(sparsity) for glob, sparsity in content.items()}
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object's content; an error where a name stands twice, of which Python would keep the last."""
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise argparse.ArgumentTypeError(f"the file names {twice[0]!r} twice: leave one")
    return dict(pairs)


def n_m(text: str) -> tuple[int, int]:
    """Return ``2:4`` as (2, 4)."""
    kept, colon, of = text.partition(":")
    if not (colon and kept.isdecimal() and of.isdecimal() and 0 < int(kept) <= int(of)):
        raise argparse.ArgumentTypeError(f"N:M such as 2:4 is needed; got {text!r}")
    return int(kept), int(of)


def new_folder(text: str) -> Path:
    """Return the path of a new or empty folder that can be created."""
    folder = Path(text)
    if text in BUNDLED | HUB:
        raise argparse.ArgumentTypeError(f"{text} is a published model's name: give another, or {PREFIX}{text}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise argparse.ArgumentTypeError(f"{folder} is there already: give a new or empty folder, or remove it")
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    trial = above / f".{os.getpid()}.part"  # to be tried: rights say little of /proc and the like
    try:
        trial.mkdir()
        trial.rmdir()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{folder} can't be made: {error}; choose another place") from error
    return folder
