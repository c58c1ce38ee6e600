"""Tests of a model on another device than its text: every public function with both, on a simulated device.

What it gives must be what it gives on the CPU. A new function that takes a model and data has to be entered here.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from simulated_device import ELSEWHERE, SecondDevice, There, moved
from tiny import TINY, in_transformers, random_ids, random_model
from torch import Tensor, nn
from torch.utils._pytree import tree_map

import gpt2_lib
from gpt2_lib import GPT2, ModelPruner, evaluate, evaluate_production_metrics, metrics
from gpt2_lib.deploy.production import deployment_analysis
from gpt2_lib.generate import generate, generate_ids
from gpt2_lib.pruning import calibration, gradual, scores, sensitivity
from gpt2_lib.pruning.masking import MaskKeeper, apply_masks
from gpt2_lib.pruning.schedules import Schedule
from gpt2_lib.pruning.structures.budget import output_sensitivities
from gpt2_lib.pruning.surgery import silencing_masks
from gpt2_lib.pruning.targets import as_stored, prunable_weights
from gpt2_lib.train import Recipe, Run, fit, optimizers, train_step

WINDOWS = random_ids(TINY, 8, 32)
NAMES = ["h.0.mlp.c_fc.weight", "h.1.attn.c_proj.weight"]
MASKS = {name: torch.rand(p.shape) < 0.5 for name, p in random_model().named_parameters() if name in NAMES}
RECIPE = Recipe(steps=3, batch=1, warmup=0)
TEXT = WINDOWS.flatten()


def weights_after(model: GPT2, use: object) -> dict[str, Tensor]:
    """The weights that something made; ``use`` is what it gave."""
    assert use is not None
    return {name: p.detach() for name, p in model.named_parameters()}


def pruned(verb: str, *arguments: Any, **options: Any) -> Callable[[GPT2], Any]:
    def prune(model: GPT2) -> Any:
        pruner = ModelPruner(model)
        return getattr(pruner, verb)(*arguments, **options), weights_after(model, pruner)

    return prune


def removed(model: GPT2) -> list[Tensor]:
    return [p.detach() for p in ModelPruner(model).remove_structures(0.25, 0.25, WINDOWS).parameters()]


def kept(model: GPT2) -> dict[str, Tensor]:
    keeper = MaskKeeper(model, [torch.optim.SGD(model.parameters(), lr=0.1)], MASKS)
    calibration.next_token_loss(model, WINDOWS).backward()
    keeper.optimizers[0].step()
    keeper.load_state_dict({"masks": MASKS, "remembered": {name: mask.float() for name, mask in MASKS.items()}})
    keeper.set_masks({name: ~mask for name, mask in MASKS.items()})
    return weights_after(model, keeper)


def stepped(model: GPT2) -> Any:
    loss = train_step(model, WINDOWS[:, :-1], WINDOWS[:, 1:], optimizers(model, RECIPE), random_model(seed=1), 0.5)
    return loss, weights_after(model, loss)


def gradually(model: GPT2) -> Any:
    run = gradual.GradualRun(model, RECIPE, Schedule(0.5, steps=1, every=1))
    return [run.advance(TEXT) for _ in range(2)]


def iteratively(model: GPT2, folder: Path) -> Any:
    rows = gradual.prune_iteratively(model, TEXT, WINDOWS, RECIPE, folder, 0.5, rounds=1)
    return [row["held_out_loss"] for row in rows]


def trained(model: GPT2, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("gpt2_lib.train.tqdm.write", lambda _: None)
    run = Run(model, RECIPE)
    fit(run, TEXT, WINDOWS, every=2)
    return [row["held_out_loss"] for row in run.log]


TIMES = [f"{name}{end}" for name in ("latency", "time_per_output_token") for end in ("", "_p95", "_p99")]
LATENCIES = (*TIMES, "peak_memory", "protocol")
CALLS: dict[str, Callable[[GPT2], Any]] = {
    "metrics.evaluate": lambda m: evaluate(m, WINDOWS).loss,
    "metrics.paired": lambda m: metrics.paired(m, m, WINDOWS).perplexity,
    "metrics.next_tokens": lambda m: metrics.next_tokens(m, WINDOWS),
    "metrics.cost": lambda m: metrics.cost({"model": m}, WINDOWS[:1], 1)["model"].memory,
    "generate.generate_ids": lambda m: list(generate_ids(m, WINDOWS[:1, :4], 3, temperature=0)),
    "pruning.calibration.input_statistics.input_norms": lambda m: calibration.input_norms(m, WINDOWS, NAMES),
    "pruning.calibration.input_statistics.hessians": lambda m: calibration.hessians(m, WINDOWS, NAMES),
    "pruning.calibration.input_statistics.block_by_block": lambda m: [
        calibration.hessians(m, text, group) for group, text in calibration.block_by_block(m, WINDOWS, NAMES, "")
    ],
    "pruning.calibration.loss_gradients.gradients": lambda m: calibration.gradients(m, WINDOWS, NAMES),
    "pruning.calibration.loss_gradients.next_token_loss": lambda m: calibration.next_token_loss(m, WINDOWS).detach(),
    "pruning.sensitivity.scan": lambda m: [
        p.loss for p in sensitivity.scan(m, WINDOWS, {"a": scores.magnitude(prunable_weights(m))}, [0.5])
    ],
    "pruning.masking.apply_masks": lambda m: weights_after(m, [apply_masks(m, MASKS)]),
    "pruning.masking.MaskKeeper": kept,
    "pruning.gradual.GradualRun": gradually,
    "pruning.gradual.sparsegpt_cuts": lambda m: gradual.sparsegpt_cuts(m, WINDOWS)({}, 0.5),
    "pruning.targets.as_stored": lambda m: as_stored(m, MASKS),
    "pruning.surgery.silencing_masks": lambda m: silencing_masks(m, heads={0: torch.tensor([1, 3])}),
    "training.step.train_step": stepped,
    "ModelPruner.prune_layers": pruned("prune_layers", 0.5),
    "ModelPruner.prune_attention_layers": pruned("prune_attention_layers", 0.5),
    "ModelPruner.prune_feedforward_layers": pruned("prune_feedforward_layers", 0.5),
    "ModelPruner.prune_globally": pruned("prune_globally", 0.5, 0.1),
    "ModelPruner.prune_n_m": pruned("prune_n_m"),
    "ModelPruner.prune_rectangles": pruned("prune_rectangles", 0.5, (4, 8)),
    "ModelPruner.prune_randomly": pruned("prune_randomly", 0.5),
    "ModelPruner.prune_taylor": pruned("prune_taylor", WINDOWS, 0.5, globally=True),
    "ModelPruner.prune_wanda": pruned("prune_wanda", WINDOWS, 0.5),
    "ModelPruner.prune_sparsegpt": pruned("prune_sparsegpt", WINDOWS, n_m=(2, 4)),
    "ModelPruner.prune_admm": pruned("prune_admm", WINDOWS, 0.5),
    "pruning.gradual.admm_cuts": lambda m: gradual.admm_cuts(m, WINDOWS)({}, 0.5),
    "pruning.structures.budget.output_sensitivities": lambda m: output_sensitivities(m, WINDOWS),
    "ModelPruner.prune_structures": pruned("prune_structures", 0.25, 0.25, WINDOWS),
    "ModelPruner.remove_structures": removed,
    "ModelPruner.load_state_dict": pruned("load_state_dict", {"masks": MASKS}),
    "ModelPruner.get_model_statistics": lambda m: ModelPruner(m).get_model_statistics(),
    "deploy.production.evaluate_production_metrics": lambda m: [
        value for key, value in evaluate_production_metrics(m, WINDOWS, repeats=1).items() if key not in LATENCIES
    ],
    "deploy.production.deployment_analysis": lambda m: deployment_analysis(m, m, WINDOWS, repeats=1)["quality"],
}
NEED_MORE = {"pruning.gradual.prune_iteratively": "folder", "train.fit": "run"}  # tried below, each for itself
ELSEWHERE_TRIED = {  # what takes a model and data, but is tried under another name or takes no text to the model
    "batches.batches_for": "the model says only of which kind it is",
    "pruning.calibration.layers.split_batches": "the model says only of which kind it is",
    "pruning.gradual.MaskedRun": "a GradualRun is one",
    "train.Run": "train.fit",
    "generate.generate": "generate_ids, on a prompt that it encodes for the model",
    "deploy.bench.measure.bench": "each target evaluates for itself",
    "deploy.bench.targets.prepare": "bench",
    "pruning.calibration.block_inputs.BlockInputs": "block_by_block",
    "pruning.calibration.block_inputs.inputs_of_blocks": "block_by_block",
    "commands.prune.state_of": "counts zeros, and evaluates",
    "pruning.structures.budget.fractions_within": "output_sensitivities, and prune_structures",
    "pruning.structures.units.put_back": "ModelPruner.prune_structures",
    "pruning.structures.units.refitted": "ModelPruner.prune_structures",
    "pruning.structures.units.unit_scores": "ModelPruner.prune_structures",
    "pruning.structures.units.units_to_keep": "ModelPruner.prune_structures",
    "deploy.semi_structured.milliseconds": "of a layer on the GPU that it made its input on",
    "deploy.tracking.track_gradual": "train.fit",
    "pruning.surgery.shrink": "ModelPruner.remove_structures",
    "pruning.surgery.remove_blocks": "cuts whole blocks: no tensor of the model meets `keep`",
    "pruning.surgery.remove_heads": "shrink",
    "pruning.surgery.remove_neurons": "shrink",
}
DATA = {"windows", "ids", "batches", "test_data", "held_out", "inputs", "prompt", "masks", "heads", "keep", "state"}
MODEL = {"model", "models", "original_model", "run", "c_attn_weight", "c_fc_weight"}


def public_functions_of_a_model_and_data() -> set[str]:
    """By name, as in CALLS: functions, classes by what makes them, and the verbs of ModelPruner."""
    found: set[str] = set()
    for info in pkgutil.walk_packages(gpt2_lib.__path__, "gpt2_lib."):
        short = info.name.removeprefix("gpt2_lib.")
        if (
            short.startswith(("course", "deploy.serving"))
            or short in ("experiments", "exercises")
            or "__main__" in short
        ):
            continue
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", None) != info.name:
                continue
            data = isinstance(value, type) and issubclass(value, (BaseException, dict))  # a TypedDict is a dict
            if callable(value) and not data and not getattr(value, "_is_protocol", False):
                parameters = set(inspect.signature(value).parameters)
                if parameters & DATA and parameters & MODEL:
                    found.add(f"{short}.{name}")
    return found | {f"ModelPruner.{name}" for name in vars(ModelPruner) if name.startswith(("prune_", "remove_"))}


def test_every_public_function_that_takes_a_model_and_data_is_tried():
    assert public_functions_of_a_model_and_data() <= {*CALLS, *NEED_MORE, *ELSEWHERE_TRIED}
    assert "metrics.evaluate" in public_functions_of_a_model_and_data()


def here(value: Any) -> Any:
    return tree_map(lambda leaf: leaf.inner if isinstance(leaf, There) else leaf, value)


class InTurn:
    """A pool without threads, in which PyTorch would not know of the second device."""

    def __init__(self, _: int) -> None:
        pass

    def __enter__(self) -> InTurn:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    map = staticmethod(map)


@pytest.fixture(autouse=True)
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpt2_lib.pruning.selection.ThreadPoolExecutor", InTurn)


def same_there(call: Callable[[GPT2], Any]) -> None:
    expected = call(random_model())
    model = moved(random_model())
    assert isinstance(model, GPT2)
    with SecondDevice():
        found = call(model)
    torch.testing.assert_close(here(found), expected, rtol=1e-4, atol=1e-4, equal_nan=True)
    assert {p.device for p in model.parameters()} == {ELSEWHERE}


@pytest.mark.parametrize("name", CALLS)
def test_the_text_goes_to_where_the_model_is(name: str) -> None:
    """Corpus and calibration windows are on the CPU, so that model.to("cuda") must do. There is no float64 there."""
    same_there(CALLS[name])


def test_rounds_of_pruning_and_training_go_to_where_the_model_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpt2_lib.train.tqdm.write", lambda _: None)
    monkeypatch.setattr(Run, "save", lambda _: None)  # made-up tensors are in no file
    same_there(lambda model: iteratively(model, tmp_path))
    same_there(lambda model: trained(model, monkeypatch))


def test_a_model_of_transformers_is_calibrated_where_it_is() -> None:
    expected = ModelPruner(in_transformers(random_model())).prune_wanda(WINDOWS, 0.5)
    model = moved(in_transformers(random_model()))
    config: Any = model.config
    config.use_cache = False  # the cache's empty tensors name a device that made-up tensors have not
    with SecondDevice():
        found = ModelPruner(model).prune_wanda(WINDOWS, 0.5)
    torch.testing.assert_close(here(found), expected)


class Pair(nn.Module):
    """Its batches are dictionaries of tensors."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(4, 4)

    def forward(self, batch: dict[str, Any]) -> Tensor:
        return self.first(batch["x"]) + batch["more"][0]


def test_tensors_within_a_batch_go_to_where_the_model_is() -> None:
    x = torch.randn(8, 4)
    batches: Any = [{"x": x, "more": (x, [x], "a word")}]
    expected = calibration.input_norms(Pair(), batches, ["first.weight"])
    model = moved(Pair())
    with SecondDevice():
        found = calibration.input_norms(model, batches, ["first.weight"])
    torch.testing.assert_close(here(found), expected)


def test_a_snapshot_of_a_gpu_is_continued_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> gradual.GradualRun:
        return gradual.GradualRun(random_model(), RECIPE, Schedule(0.5, steps=1, every=1), tmp_path / "run.pt")

    first = run()
    first.advance(TEXT)
    with monkeypatch.context() as patch:
        patch.setattr("torch.serialization.location_tag", lambda _: "cuda:0")  # as if it were written on a GPU
        first.save()
    second = run()
    assert second.step == 1
    assert first.advance(TEXT) == second.advance(TEXT)


@pytest.mark.parametrize(
    "name", ["metrics.evaluate", "pruning.calibration.loss_gradients.gradients", "ModelPruner.prune_wanda"]
)
def test_a_model_without_numbers_is_told_in_words(name: str) -> None:
    with torch.device("meta"):
        model = GPT2(TINY)
    with pytest.raises(ValueError, match="on the meta device"):
        CALLS[name](model)


def test_scores_without_numbers_are_told_in_words() -> None:
    from gpt2_lib.pruning.selection import layer_masks

    with pytest.raises(ValueError, match="on the meta device"):
        layer_masks({"w": torch.empty(4, 4, device="meta")}, 0.5)


def test_generated_text_comes_from_where_the_model_is() -> None:
    from tiny import tokenizer

    model = random_model()
    model.tokenizer = tokenizer()
    expected = generate(model, "to be", 3, temperature=0)
    moved(model)
    with SecondDevice():
        assert generate(model, "to be", 3, temperature=0) == expected
