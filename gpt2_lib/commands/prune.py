"""``gpt2-pruning prune IN OUT``: prune a model, measure it before and after, and save it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints.precision import HALVES, check_all_fit, dtype_of, name_of, round_weights
from ..deploy.hugging_face import save_for_transformers
from ..gpt2 import GPT2
from ..metrics import Quality, evaluate, sparsity
from ..pruning.methods.registry import METHODS, Method
from ..pruning.pruner import ModelPruner
from ..pruning.surgery import remove_silenced
from ..pruning.targets import prunable_weights
from . import arguments, own_method
from .own_method import MethodNames, method_of

DTYPES = {name_of(dtype): dtype for dtype in (torch.float32, *HALVES)}


@dataclass(frozen=True)
class State:
    """The measurements of a model before or after pruning."""

    name: str
    parameters: int
    sparsity: float  # zeros among the prunable weights
    quality: Quality

    def as_json(self) -> dict[str, Any]:
        """Return the measurements as a dictionary for json.dump."""
        q = self.quality
        return {
            "model": self.name,
            "parameters": self.parameters,
            "sparsity": self.sparsity,
            "loss": q.loss,
            "perplexity": q.perplexity,
            "accuracy": q.accuracy,
            "bits_per_character": q.bits_per_character,
            "tokens": q.tokens,
        }


def state_of(name: str, model: nn.Module, windows: Tensor) -> State:
    """Measure ``model``."""
    parameters = sum(p.numel() for p in model.parameters())
    return State(name, parameters, sparsity(prunable_weights(model).values()), evaluate(model, windows))


def table(states: Sequence[State]) -> str:
    """Return the states as a Markdown table."""
    lines = ["| model | parameters | sparsity | perplexity | accuracy | bits per character |", "|-|-:|-:|-:|-:|-:|"]
    for s in states:
        q = s.quality
        quality = f"{q.perplexity:,.2f} | {q.accuracy:.1%} | {q.bits_per_character:.3f}"
        lines.append(f"| {s.name} | {s.parameters:,} | {s.sparsity:.1%} | {quality} |")
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    found = arguments.parser_of("prune", "Prune a model, measure it before and after, and save it to a new folder.")
    found.formatter_class = argparse.RawDescriptionHelpFormatter
    found.epilog = f"methods:\n{arguments.methods_table()}\n\nstructured makes a smaller model, the others write zeros."
    found.add_argument("model", metavar="IN", help=arguments.MODEL)
    found.add_argument("out", metavar="OUT", type=arguments.new_folder, help="a new folder for the pruned model")
    found.add_argument(
        "--method",
        required=True,
        choices=MethodNames(METHODS),
        metavar="METHOD",
        help=f"one of the list below, {own_method.HELP}",
    )
    arguments.add_pruning(found)
    arguments.add_test(found)
    found.add_argument("--dtype", choices=DTYPES, help="of the weights in OUT (default: that of IN, or float32)")
    return found


def main(argv: Sequence[str]) -> None:
    """Run the command ``prune``."""
    given = parser().parse_args(argv)
    arguments.check_outputs([given.json, given.out], [given.model], [given.test, given.calibrate])
    arguments.say_if_same_text(given)
    method = method_of(given.method)
    arguments.check_methods([method], given)
    model = arguments.load(given.model)
    arguments.check_plans(model, [method], given)
    whole = model.config
    dtype = DTYPES[given.dtype] if given.dtype else dtype_of(whole.dtype)
    check_all_fit(model, dtype)
    test, calibration = arguments.given_texts(model, given)
    states = [state_of("as given", model, test.ids)]
    pruned = _pruned(model, method, given, calibration.ids)
    round_weights(pruned, dtype)  # so that what is measured is what is written
    states.append(state_of(method.name, pruned, test.ids))
    save_for_transformers(pruned, given.out, dtype)

    print(table(states))
    print(f"\nMeasured on {test.said}.")
    print(f"Calibrated on {calibration.said}." if calibration.said else "No text was used for pruning.")
    if method.choose is None:
        for units in ("heads", "neurons"):
            before, left = sum(getattr(whole, units)), sum(getattr(pruned.config, units))
            print(f"Removed: {before - left:,} of {before:,} {units}, {1 - left / before:.1%}.")
    measured = "" if dtype == torch.float32 else ": measured with these, in float32"
    print(f"Written: {given.out}, with weights in {name_of(dtype)}{measured}")
    content = {
        "method": method.name,
        "dtype": name_of(dtype),
        "tested_on": test.said,
        "calibrated_on": calibration.said,
        "rows": [state.as_json() for state in states],
    }
    arguments.write_json(given.json, content)


def _pruned(model: GPT2, method: Method, given: argparse.Namespace, text: Tensor | None) -> GPT2:
    """Return ``model`` pruned in place or, for structured pruning, a smaller one without its silent units."""
    pruner = ModelPruner(model)
    pruner.prune(method, given.sparsity, text=text, n_m=given.n_m, ignore=given.ignore)
    return remove_silenced(model) if method.choose is None else model
