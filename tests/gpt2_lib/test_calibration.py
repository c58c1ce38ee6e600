"""Tests of calibration statistics against plain sums."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from tiny import TINY, random_ids, random_model
from torch import nn
from torch.nn import functional as F

from gpt2_lib import GPT2
from gpt2_lib.pruning.calibration import gradients, hessians, input_norms, layer_groups, layers

NAMES = [name for name, p in random_model().named_parameters() if name.startswith("h.") and p.dim() == 2]
WINDOWS = random_ids(TINY, 8, 32)


class Plain(nn.Module):
    """Two layers, the first used twice, dropout between; nothing of a GPT-2."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.drop, self.second = nn.Linear(5, 5), nn.Dropout(0.5), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.drop(self.first(input=self.first(x).relu()).relu()))


def inputs_by_hand(model: GPT2, windows: torch.Tensor) -> dict[str, torch.Tensor]:
    """Inputs (tokens, in) of a tiny GPT-2's weights, with the blocks' own formulas."""
    seen = {}
    with torch.no_grad():
        x = model.wte(windows) + model.wpe.weight[: windows.size(1)]
        for k, block in enumerate(model.h):
            seen[f"h.{k}.attn.c_attn.weight"] = block.ln_1(x)
            qkv = block.attn.c_attn(block.ln_1(x))
            q, key, v = (
                t.unflatten(-1, (block.attn.n_head, -1)).transpose(1, 2) for t in qkv.split(TINY.n_embd, dim=-1)
            )
            mixed = F.scaled_dot_product_attention(q, key, v, is_causal=True).transpose(1, 2).flatten(2)
            seen[f"h.{k}.attn.c_proj.weight"] = mixed
            x = x + block.attn.c_proj(mixed)
            seen[f"h.{k}.mlp.c_fc.weight"] = block.ln_2(x)
            hidden = F.gelu(block.mlp.c_fc(block.ln_2(x)), approximate="tanh")
            seen[f"h.{k}.mlp.c_proj.weight"] = hidden
            x = x + block.mlp.c_proj(hidden)
    return {name: x.flatten(0, 1) for name, x in seen.items()}


def test_norms_and_hessians_are_those_of_the_inputs_of_every_layer():
    model = random_model()
    by_hand = inputs_by_hand(model, WINDOWS)
    norms, squares = input_norms(model, WINDOWS, NAMES), hessians(model, WINDOWS, NAMES)
    assert list(norms) == list(squares) == NAMES
    for name, x in by_hand.items():
        torch.testing.assert_close(norms[name], x.norm(dim=0), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(squares[name], x.double().t() @ x.double(), rtol=1e-4, atol=1e-3)


def test_windows_are_read_in_small_batches(monkeypatch):
    model = random_model()
    whole = hessians(model, WINDOWS, NAMES)
    monkeypatch.setattr(layers, "TOKENS_PER_BATCH", 3 * 32)  # three windows, and two in the last batch
    sizes = []
    hook = model.h[0].register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape[0]))
    for name, part in hessians(model, WINDOWS, NAMES).items():
        torch.testing.assert_close(part, whole[name], rtol=1e-5, atol=1e-4)
    hook.remove()
    assert sizes == [3, 3, 2]


def test_a_block_s_statistics_do_not_depend_on_what_follows_it():
    model = random_model()
    with torch.no_grad():
        model.h[1].mlp.c_fc.weight.fill_(torch.nan)  # never reached
    assert input_norms(model, WINDOWS, ["h.0.attn.c_attn.weight"])["h.0.attn.c_attn.weight"].isfinite().all()


def test_a_plain_module_works_and_a_layer_used_twice_counts_twice():
    model, x = Plain(), torch.randn(20, 5)
    norms = input_norms(model, [x[:12], x[12:]], ["first.weight", "second.weight"])
    with torch.no_grad():
        hidden = model.first(x).relu()
        torch.testing.assert_close(norms["first.weight"], torch.cat([x, hidden]).norm(dim=0))
        torch.testing.assert_close(norms["second.weight"], model.first(hidden).relu().norm(dim=0))
    torch.testing.assert_close(input_norms(model, x, ["first.weight"])["first.weight"], norms["first.weight"])


@pytest.mark.parametrize(("order", "size"), [(1, torch.abs), (2, torch.square)])
def test_the_gradients_sizes_are_averaged_window_by_window_however_the_text_is_cut(order, size):
    """Molchanov et al., 2017, section 2.2, and 2019, equation 8, as a slow loop."""
    model = random_model()
    expected = {name: torch.zeros_like(model.get_parameter(name)) for name in NAMES}
    for window in WINDOWS:
        model.zero_grad()
        logits = model(window[None])[0]
        losses = [-logits[t].log_softmax(-1)[window[t + 1]] for t in range(31)]
        (torch.stack(losses).sum() / 31).backward()
        for name in NAMES:
            expected[name] += size(model.get_parameter(name).grad) / len(WINDOWS)
    for batches in (WINDOWS, [WINDOWS[:3], WINDOWS[3:]], iter(WINDOWS.split(2))):
        found = gradients(random_model(), batches, NAMES, order=order)
        for name in NAMES:
            wanted = expected[name] if order == 1 else expected[name].sqrt()
            torch.testing.assert_close(found[name], wanted.detach(), rtol=1e-3, atol=1e-6)


def test_examples_whose_gradients_cancel_out_still_count():
    model, x = Plain().eval(), torch.randn(1, 5)
    batches = [(x, 1.0), (x, -1.0)]  # the gradient of the mean loss is zero
    found = gradients(model, batches, ["first.weight"], loss=lambda model, batch: batch[1] * model(batch[0]).sum())
    model(x).sum().backward()
    assert model.first.weight.grad is not None
    torch.testing.assert_close(found["first.weight"], model.first.weight.grad.abs())


def test_each_row_of_a_tensor_is_an_example_and_any_other_batch_is_one():
    model, x, y = Plain().eval(), torch.randn(20, 5), torch.randn(20, 3)
    expected = torch.zeros(5, 5)
    for k in (0, 10):
        model.zero_grad()
        F.mse_loss(model(x[k : k + 10]), y[k : k + 10]).backward()
        assert model.first.weight.grad is not None
        expected += model.first.weight.grad.abs() / 2
    pairs = [(x[:10], y[:10]), (x[10:], y[10:])]
    found = gradients(Plain(), pairs, ["first.weight"], loss=lambda model, batch: F.mse_loss(model(batch[0]), batch[1]))
    torch.testing.assert_close(found["first.weight"], expected)

    def square(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return model(batch).square().mean()

    rows, whole = (list(x.split(1)), x)
    alone, cut = (gradients(Plain(), batches, ["second.weight"], loss=square) for batches in (rows, whole))
    torch.testing.assert_close(alone, cut)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradients_of_half_precision_are_those_of_the_same_weights_in_float32(dtype):
    half = random_model().to(dtype)
    expected = gradients(deepcopy(half).float(), WINDOWS, NAMES)
    found = gradients(half, WINDOWS, NAMES)
    assert {p.dtype for p in half.parameters()} == {dtype}
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name])


def test_an_order_that_is_no_mean_is_refused():
    with pytest.raises(ValueError, match=r"order is 1 .* or 2"):
        gradients(random_model(), WINDOWS, NAMES, order=3)


def test_hooks_of_training_on_the_parameters_do_not_hear_of_it():
    """Some train in the backward pass, by a hook that takes the step: the weights must not move."""
    model, heard = random_model(), []
    model.get_parameter(NAMES[0]).register_post_accumulate_grad_hook(heard.append)
    model.get_parameter(NAMES[0]).register_hook(heard.append)
    gradients(model, WINDOWS, NAMES)
    assert heard == []


def state(model: nn.Module) -> tuple:
    """All that calibration might disturb."""
    return (
        [module.training for module in model.modules()],
        [p.requires_grad for p in model.parameters()],
        [p.grad is None for p in model.parameters()],
        [(len(m._forward_pre_hooks), len(m._forward_hooks)) for m in model.modules()],
    )


@pytest.mark.parametrize("statistic", [input_norms, hessians, gradients])
@pytest.mark.parametrize("broken", [False, True], ids=["works", "fails"])
def test_the_model_is_left_as_it_was(statistic, broken):
    model = random_model().train()
    model.h[1].eval()  # some modules train, some don't
    model.h[0].mlp.c_fc.weight.requires_grad_(False)
    before, weights = state(model), deepcopy(model.state_dict())
    batches = [WINDOWS, torch.full((1, 4), TINY.vocab_size)] if broken else [WINDOWS]  # no such token
    if broken:
        with pytest.raises(ValueError, match="Token ids"):
            statistic(model, batches, NAMES)
    else:
        found = statistic(model, batches, NAMES)
        assert not any(value.requires_grad or value.is_inference() for value in found.values())
    assert state(model) == before
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_gradients_are_found_under_no_grad_and_leave_those_of_training_alone():
    model = random_model()
    model.h[0].mlp.c_fc.weight.grad = torch.ones_like(model.h[0].mlp.c_fc.weight)
    with torch.no_grad():
        assert gradients(model, WINDOWS, NAMES)[NAMES[0]].abs().sum() > 0
    assert (model.h[0].mlp.c_fc.weight.grad == 1).all()


def test_dropout_is_off_while_calibrating():
    model = Plain().train()
    x = torch.randn(20, 5)
    first, second = (input_norms(model, x, ["second.weight"])["second.weight"] for _ in range(2))
    assert torch.equal(first, second)


def test_a_gpt2_goes_block_by_block_and_another_module_layer_by_layer():
    groups = layer_groups(random_model(), NAMES[::-1])
    assert groups == [[n for n in NAMES if n.startswith(f"h.{k}.")] for k in range(TINY.n_layer)]
    assert layer_groups(Plain(), ["second.weight", "first.weight"]) == [["first.weight"], ["second.weight"]]


@pytest.mark.parametrize("statistic", [input_norms, hessians, gradients])
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["h.9.mlp.c_fc.weight"], "no parameter 'h.9.mlp.c_fc.weight'"),
        (["h.0.ln_1.weight"], "h.0.ln_1.weight isn't the weight of an nn.Linear"),
        (["h.0.mlp.c_fc.bias"], "h.0.mlp.c_fc.bias isn't the weight of an nn.Linear"),
        (["wte.weight"], "wte.weight isn't the weight of an nn.Linear"),
        ([], "No weights are named"),
    ],
)
def test_a_wrong_name_is_refused(statistic, names, message):
    with pytest.raises(ValueError, match=message):
        statistic(random_model(), WINDOWS, names)


@pytest.mark.parametrize("statistic", [input_norms, hessians])
def test_text_that_is_too_short_is_refused(statistic):
    message = "h.0.attn.c_attn.weight saw 95 tokens, and at least 96 .* as h.0.mlp.c_proj.weight has inputs"
    with pytest.raises(ValueError, match=message):
        statistic(random_model(), WINDOWS.flatten()[:95].view(5, 19), NAMES)
    statistic(random_model(), WINDOWS[:3], NAMES)  # 96 tokens are just enough


@pytest.mark.parametrize("statistic", [input_norms, hessians, gradients])
@pytest.mark.parametrize("nothing", [[], WINDOWS[:0]], ids=["no batches", "no windows"])
def test_no_text_at_all_is_refused(statistic, nothing):
    with pytest.raises(ValueError, match="calibration data is empty"):
        statistic(random_model(), nothing, NAMES)


@pytest.mark.parametrize("statistic", [input_norms, hessians, gradients])
def test_nan_on_the_way_is_refused(statistic):
    model = random_model()
    with torch.no_grad():
        model.h[0].mlp.c_fc.bias[3] = torch.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        statistic(model, WINDOWS, NAMES)


def test_a_weight_that_the_loss_does_not_depend_on_is_refused():
    with pytest.raises(ValueError, match=r"doesn't depend on second\.weight"):
        gradients(Plain(), [torch.randn(4, 5)], ["second.weight"], loss=lambda model, x: model.first(x).mean())


def test_one_token_predicts_nothing():
    with pytest.raises(ValueError, match="T >= 2"):
        gradients(random_model(), WINDOWS[:, :1], NAMES)
