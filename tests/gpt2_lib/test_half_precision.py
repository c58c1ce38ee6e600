"""Tests of losses and scores in half precision: they equal those with float32 sums."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tiny import TINY, in_transformers, random_ids, random_model
from torch import Tensor, nn
from torch.nn import functional as F

from gpt2_lib import GPT2, ModelPruner, evaluate
from gpt2_lib.deploy.production import evaluate_production_metrics
from gpt2_lib.pruning import calibration
from gpt2_lib.pruning.structures.budget import output_sensitivities

WINDOWS = random_ids(TINY, 64, 32)  # sums of some 10,000 nats
HALVES = [torch.float16, torch.bfloat16]


@torch.inference_mode()
def loss_of(model: nn.Module) -> float:
    """The mean loss of the model's own logits, summed in float64."""
    output = model(WINDOWS)
    logits = output if isinstance(output, Tensor) else output.logits
    return F.cross_entropy(logits[:, :-1].flatten(0, 1).double(), WINDOWS[:, 1:].flatten()).item()


LOSSES: dict[str, Callable[[nn.Module], float]] = {
    "evaluate": lambda m: evaluate(m, WINDOWS).loss,
    "evaluate, small batches": lambda m: evaluate(m, WINDOWS, tokens_per_batch=64).loss,
    "next_token_loss": lambda m: float(calibration.next_token_loss(m, WINDOWS).detach()),
}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("make", [random_model, lambda: in_transformers(random_model())], ids=["ours", "theirs"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_that_of_the_same_logits(name: str, make: Callable[[], nn.Module], dtype: torch.dtype) -> None:
    model = make().to(dtype)
    assert LOSSES[name](model) == pytest.approx(loss_of(model), abs=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_a_bad_model_in_float16_has_a_finite_loss(name: str) -> None:
    """Its sum over the tokens is beyond what float16 holds, 65504."""
    model = random_model()
    with torch.no_grad():
        model.wte.weight.mul_(150)
    model.half()
    expected = loss_of(model)
    assert expected * WINDOWS.numel() > 65504
    assert LOSSES[name](model) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("dtype", HALVES)
def test_the_production_accuracy_and_the_sensitivities_are_those_of_the_same_weights(dtype: torch.dtype) -> None:
    half = random_model().to(dtype)
    found = evaluate_production_metrics(half, WINDOWS[:8], repeats=1)
    assert found["perplexity"] == pytest.approx(evaluate(half, WINDOWS[:8]).perplexity, rel=1e-5)
    wide = output_sensitivities(half.float(), WINDOWS[:8])
    assert output_sensitivities(half.to(dtype), WINDOWS[:8]) == pytest.approx(wide, rel=0.1)


VERBS: dict[str, Callable[[ModelPruner], object]] = {
    "layers": lambda p: p.prune_layers(0.5),
    "Taylor": lambda p: p.prune_taylor(WINDOWS, 0.5),
    "Wanda": lambda p: p.prune_wanda(WINDOWS, 0.5),
    "SparseGPT": lambda p: p.prune_sparsegpt(WINDOWS, 0.5),
    "ADMM": lambda p: p.prune_admm(WINDOWS, 0.5),
    "structures": lambda p: p.prune_structures(0.25, 0.25, WINDOWS),
}


def pruned(model: GPT2, verb: str) -> dict[str, Tensor]:
    VERBS[verb](ModelPruner(model))
    return {name: p.detach() for name, p in model.named_parameters() if p.dim() == 2 and name.startswith("h.")}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("verb", VERBS)
def test_half_precision_prunes_nearly_the_same_weights_as_float32(verb: str, dtype: torch.dtype) -> None:
    half = random_model().to(dtype)
    wide = pruned(random_model().to(dtype).float(), verb)
    for name, weight in pruned(half, verb).items():
        assert weight.dtype == dtype
        assert ((weight == 0) == (wide[name] == 0)).float().mean() > 0.95, name
        assert weight.isfinite().all()
