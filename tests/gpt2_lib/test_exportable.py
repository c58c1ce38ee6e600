"""Tests of what can be exported and made smaller: a GPT2 in any wrapper, and none with layers that are not plain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from tiny import TINY, random_ids, random_model, tokenizer
from torch import nn
from torch.nn.utils import prune as torch_prune
from torch.optim.swa_utils import AveragedModel

from gpt2_lib import GPT2, convert_to_tensorrt, deploy_to_production, export_onnx, generate, remove_silenced
from gpt2_lib.deploy import tensorrt
from gpt2_lib.deploy.coreml import export_coreml
from gpt2_lib.deploy.executorch import export_executorch
from gpt2_lib.deploy.production import deployment_analysis, evaluate_production_metrics
from gpt2_lib.generate import generate_ids
from gpt2_lib.metrics import flops, kv_cache_bytes
from gpt2_lib.pruning import scores, sensitivity
from gpt2_lib.pruning.surgery import remove_blocks, shrink, silencing_masks
from gpt2_lib.pruning.targets import prunable_weights
from gpt2_lib.train import Recipe, Run

WINDOWS = random_ids(TINY, 4, 32)


def model_with_text() -> GPT2:
    model = random_model()
    model.tokenizer = tokenizer()
    return model


# Wrappers


def compiled(model: GPT2) -> nn.Module:
    return cast("nn.Module", torch.compile(model, backend="eager"))


WRAPPERS: dict[str, Callable[[GPT2], nn.Module]] = {
    "compiled": compiled,
    "DataParallel": nn.DataParallel,
    "averaged": AveragedModel,
    "compiled, in DataParallel": lambda model: nn.DataParallel(compiled(model)),
}
HALVES = {0: torch.arange(2), 1: torch.arange(2)}
# What looks at more of a GPT2 than its forward pass. test_other_modules has the pruner, test_saving the folders.
USES: dict[str, Callable[[Any], Any]] = {
    "generate": lambda m: list(generate(m, "To be", 4, temperature=0).encode()),
    "generate_ids": lambda m: list(generate_ids(m, WINDOWS[:1, :4], 3, temperature=0)),
    "flops": lambda m: flops(m, 8),
    "kv_cache_bytes": lambda m: kv_cache_bytes(m, 8),
    "scan": lambda m: [
        p.loss for p in sensitivity.scan(m, WINDOWS, {"a": scores.magnitude(prunable_weights(m))}, [0.5])
    ],
    "evaluate_production_metrics": lambda m: evaluate_production_metrics(m, WINDOWS, 1)["perplexity"],
    "deployment_analysis": lambda m: deployment_analysis(m, m, WINDOWS, 1)["perplexity"],
    "shrink": lambda m: shrink(m, neurons=HALVES)(WINDOWS),
    "remove_silenced": lambda m: remove_silenced(m)(WINDOWS),
    "remove_blocks": lambda m: remove_blocks(m, torch.tensor([1]))(WINDOWS),
    "silencing_masks": lambda m: silencing_masks(m, heads=HALVES),
    "train": lambda m: [Run(m, Recipe(steps=2, batch=1)).advance(WINDOWS.flatten()) for _ in range(2)],
}


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("use", USES)
def test_a_wrapped_model_is_used_as_the_one_inside(use: str, wrap: str) -> None:
    expected = USES[use](model_with_text().eval())
    found = USES[use](WRAPPERS[wrap](model_with_text()).eval())
    torch.testing.assert_close(found, expected)


def bytes_of_onnx(model: Any, folder: Path) -> bytes:
    return export_onnx(model, folder / "model.onnx").read_bytes()


@pytest.mark.parametrize("wrap", WRAPPERS)
def test_a_wrapped_model_is_exported_as_the_one_inside(
    wrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tensorrt, "_installed", lambda: None)
    expected = bytes_of_onnx(model_with_text(), tmp_path / "alone")
    wrapped = WRAPPERS[wrap](model_with_text())
    assert bytes_of_onnx(wrapped, tmp_path / "wrapped") == expected
    assert isinstance(convert_to_tensorrt(wrapped, tmp_path / "trt"), GPT2)
    assert (tmp_path / "trt" / "model.onnx").read_bytes() == expected
    assert "0 of 8" in capsys.readouterr().out


# Layers that are not plain


class Adapted(nn.Module):
    """As PEFT's layer: its ``weight`` is the one below, without the adapter."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base_layer = base
        self.lora_A = nn.Linear(base.in_features, 2, bias=False)
        self.lora_B = nn.Linear(2, base.out_features, bias=False)

    weight = property(lambda self: self.base_layer.weight)
    bias = property(lambda self: self.base_layer.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base_layer(x) + self.lora_B(self.lora_A(x))


def adapted(model: GPT2) -> None:
    model.h[0].mlp.c_fc = Adapted(model.h[0].mlp.c_fc)  # pyright: ignore[reportAttributeAccessIssue]


CHANGES: dict[str, tuple[Callable[[GPT2], Any], str]] = {
    "adapter": (adapted, r"h\.0\.mlp\.c_fc has an adapter.*merge_and_unload"),
    "prune": (lambda m: torch_prune.l1_unstructured(m.h[0].mlp.c_fc, "weight", 0.3), r"h\.0\.mlp\.c_fc.*prune\.remove"),
    "weight_norm": (
        lambda m: nn.utils.parametrizations.weight_norm(m.h[0].mlp.c_fc),
        r"h\.0\.mlp\.c_fc.*remove_parametrizations",
    ),
}
EXPORTS: dict[str, Callable[[Any, Path], object]] = {
    "export_onnx": lambda m, folder: export_onnx(m, folder / "model.onnx"),
    "export_executorch": lambda m, folder: export_executorch(m, folder / "model.pte"),
    "export_coreml": lambda m, folder: export_coreml(m, folder / "model.mlpackage"),
    "convert_to_tensorrt": lambda m, folder: convert_to_tensorrt(m, folder / "trt"),
    "deploy_to_production": lambda m, _: deploy_to_production(m),
    "shrink": lambda m, _: shrink(m, neurons=HALVES),
    "remove_silenced": lambda m, _: remove_silenced(m),
    "remove_blocks": lambda m, _: remove_blocks(m, torch.tensor([0])),
    "silencing_masks": lambda m, _: silencing_masks(m, neurons=HALVES),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("export", EXPORTS)
def test_exports_refuse_layers_that_are_not_plain_by_name_with_the_way_out(
    export: str, change: str, tmp_path: Path
) -> None:
    """An exporter that reads ``weight`` would leave the adapter out without a word."""
    model = model_with_text()
    alter, message = CHANGES[change]
    alter(model)
    if export == "convert_to_tensorrt" and change != "adapter":  # the pattern is looked at first
        message = r"h\.0\.mlp\.c_fc' computes its weight"
    with pytest.raises(ValueError, match=f"(?s){message}"):
        EXPORTS[export](model, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("export", EXPORTS)
def test_exports_refuse_another_kind_of_model_in_words(export: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Linear"):
        EXPORTS[export](nn.DataParallel(nn.Linear(2, 2)), tmp_path)
    assert list(tmp_path.iterdir()) == []
