"""``gpt2-pruning prune IN OUT``: prune a model, measure it before and after, and save it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..deploy.hugging_face import save_for_transformers
from ..gpt2 import GPT2
from ..metrics import Quality, evaluate, sparsity
from ..pruning.methods.registry import METHODS, find_method
from ..pruning.pruner import ModelPruner
from ..pruning.surgery import remove_silenced
from ..pruning.targets import prunable_weights
from . import arguments


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
    found.add_argument("--method", required=True, choices=METHODS, metavar="METHOD", help="one of the list below")
    arguments.add_pruning(found)
    arguments.add_test(found)
    return found


def main(argv: Sequence[str]) -> None:
    """Run the command ``prune``."""
    given = parser().parse_args(argv)
    methods = [find_method(given.method)]
    arguments.check_methods(methods, given)
    model = arguments.load(given.model)
    arguments.check_plans(model, methods, given)
    test, calibration = arguments.given_texts(model, given)
    whole = model.config
    states = [state_of("as given", model, test.ids)]
    pruned = _pruned(model, given, calibration.ids)
    states.append(state_of(given.method, pruned, test.ids))
    save_for_transformers(pruned, given.out)

    print(table(states))
    print(f"\nMeasured on {test.said}.")
    print(f"Calibrated on {calibration.said}." if calibration.said else "No text was used for pruning.")
    if find_method(given.method).choose is None:
        for units in ("heads", "neurons"):
            before, left = sum(getattr(whole, units)), sum(getattr(pruned.config, units))
            print(f"Removed: {before - left:,} of {before:,} {units}, {1 - left / before:.1%}.")
    print(f"Written: {given.out}, with weights in float32")
    content = {
        "method": given.method,
        "tested_on": test.said,
        "calibrated_on": calibration.said,
        "rows": [state.as_json() for state in states],
    }
    arguments.write_json(given.json, content)


def _pruned(model: GPT2, given: argparse.Namespace, text: Tensor | None) -> GPT2:
    """Return ``model`` pruned in place or, for structured pruning, a smaller one without its silent units."""
    pruner = ModelPruner(model)
    pruner.prune(given.method, given.sparsity, text=text, n_m=given.n_m, ignore=given.ignore)
    return remove_silenced(model) if find_method(given.method).choose is None else model
