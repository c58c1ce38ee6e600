"""The reference solutions of Phase 2's exercises at work on the real model, with no notebook.

``python -m gpt2_lib.exercises`` prunes gpt2-mini with each of the eight functions and prints what it did.

The functions are those of the instructor's notebook, letter by letter: a test compares them.
"""

from __future__ import annotations

import argparse
from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from ..checkpoints import load_pretrained_gpt2
from ..corpus import calibration_windows, held_out_windows
from ..gpt2 import GPT2
from ..metrics import evaluate
from ..pruning import scores
from ..pruning.pruner import prunable_weights
from ..system.command import run

FINAL = 0.8  # sparsity of the training runs


def magnitude_mask(weight: torch.Tensor, sparsity: float) -> torch.Tensor:
    """Keep-mask in which exactly round(sparsity * n) of n entries are False: the smallest in absolute value.

    weight:   float tensor of any shape with n entries; only looked at, never changed
    sparsity: the fraction to remove; anything outside [0, 1] is a ValueError
    returns:  bool tensor of the weight's shape, True = keep; among equals the earlier position goes first
    """
    if not 0 <= sparsity <= 1:  # NaN is not in [0, 1] either
        raise ValueError(f"sparsity is the fraction to remove, from 0 to 1; got {sparsity}.")
    order = weight.detach().abs().flatten().argsort(stable=True)  # (n,), positions, smallest first
    mask = torch.ones(weight.numel(), dtype=torch.bool)  # (n,)
    mask[order[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)


def magnitude_prune(model: GPT2, sparsity: float) -> dict[str, torch.Tensor]:
    """Prune every attention and feed-forward weight of every block, each on its own: write zeros into the model.

    model:   a GPT2; its own parameters are changed in place, and stay trainable
    returns: {parameter name: its bool keep-mask}, for the pruned weights and nothing else
    """
    masks = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith(".weight"):
                masks[name] = magnitude_mask(parameter, sparsity)
                parameter[~masks[name]] = 0.0
    return masks


def neuron_scores(c_fc_weight: torch.Tensor, c_fc_bias: torch.Tensor, c_proj_weight: torch.Tensor) -> torch.Tensor:
    """One score for each hidden neuron: the L2 norm of all that feeds it times the L2 norm of all that it feeds.

    c_fc_weight (n, C) and c_fc_bias (n,) feed the n neurons; c_proj_weight (C, n) takes from them
    returns: float tensor (n,), the score of neuron 0, 1, ... n - 1
    """
    feeds = torch.cat([c_fc_weight, c_fc_bias[:, None]], dim=1)  # (n, C + 1)
    return feeds.norm(dim=1) * c_proj_weight.norm(dim=0)


def remove_neurons(
    c_fc_weight: torch.Tensor, c_fc_bias: torch.Tensor, c_proj_weight: torch.Tensor, keep: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Smaller copies of the three, with only the neurons in keep; what they compute is as if the others were silent.

    c_fc_weight (n, C), c_fc_bias (n,), c_proj_weight (C, n); keep: int64 (k,), ascending indices of those that stay
    returns: c_fc_weight (k, C), c_fc_bias (k,), c_proj_weight (C, k), in the order of keep
    """
    return c_fc_weight[keep], c_fc_bias[keep], c_proj_weight[:, keep]


def remove_heads(
    c_attn_weight: torch.Tensor,
    c_attn_bias: torch.Tensor,
    c_proj_weight: torch.Tensor,
    n_head: int,
    keep: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Smaller copies of the three, with only the heads in keep; what they compute is as if the others were silent.

    c_attn_weight (3 N H, C) and c_attn_bias (3 N H,): Q, then K, then V, each head by head; N = n_head
    c_proj_weight (C, N H); keep: int64 tensor (k,), ascending indices of the heads that stay
    returns: c_attn_weight (3 k H, C), c_attn_bias (3 k H,), c_proj_weight (C, k H), in the order of keep
    """
    width = c_proj_weight.size(1)  # N H
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()  # (k H,)
    rows = torch.cat([columns, columns + width, columns + 2 * width])  # (3 k H,): in Q, in K, in V
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]


def cubic_sparsity(step: int, start: int, steps: int, initial: float, final: float) -> float:
    """The sparsity at a training step, from initial to final along a cubic (Zhu & Gupta, 2017, equation 1).

    step:    the training step that is asked about; pruning begins at step start and takes steps (1 or more) steps
    returns: a float; initial before the start, final after the end
    """
    done = min(max((step - start) / steps, 0.0), 1.0)  # the fraction of the way: 0 before the start, 1 after the end
    return final + (initial - final) * (1 - done) ** 3


def train_step_with_masks(
    model: torch.nn.Module, masks: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer, loss_fn
) -> float:
    """One step of training, after which every pruned weight is exactly 0, whatever the optimiser did.

    model:     any module; masks: {parameter name: bool tensor, True = keep} for some or all of its parameters
    optimizer: of the model's parameters, with momentum and weight decay as it likes
    loss_fn:   loss_fn(model) is the loss to go down, a scalar tensor
    returns:   the loss before the step, as a number
    """
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in masks:
                parameter[~masks[name]] = 0.0
    return loss.item()


def global_masks(weights: dict[str, torch.Tensor], sparsity: float) -> dict[str, torch.Tensor]:
    """Keep-masks in which exactly round(sparsity * total) entries are False: the smallest of all tensors together.

    weights:  {name: float tensor of any shape}, total entries in all; only looked at, never changed
    sparsity: the fraction to remove; anything outside [0, 1] is a ValueError
    returns:  {name: bool tensor of its weight's shape, True = keep}; among equals the earlier tensor goes first, then
              the earlier position
    """
    if not 0 <= sparsity <= 1:  # NaN is not in [0, 1] either
        raise ValueError(f"sparsity is the fraction to remove, from 0 to 1; got {sparsity}.")
    sizes = torch.cat([w.detach().abs().flatten() for w in weights.values()])  # (total,), one layer after the other
    keep = torch.ones(sizes.numel(), dtype=torch.bool)  # (total,)
    keep[sizes.argsort(stable=True)[: round(sparsity * sizes.numel())]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts, strict=True)}


# The four techniques at work. Each takes the dense model and leaves it as it is.


def perplexity(model: GPT2, windows: Tensor) -> str:
    return f"perplexity {evaluate(model, windows).perplexity:.1f}"


def show_magnitude(model: GPT2, windows: Tensor) -> None:
    """2.1: half of the weights, layer by layer."""
    pruned = deepcopy(model)
    masks = magnitude_prune(pruned, 0.5)
    gone = sum(int((~mask).sum()) for mask in masks.values())
    every = sum(mask.numel() for mask in masks.values())
    print(f"2.1 magnitude: {gone:,} of {every:,} weights in {len(masks)} matrices gone, {perplexity(pruned, windows)}")


def show_structured(model: GPT2, windows: Tensor) -> None:
    """2.2: a quarter of the heads and neurons of every block, really removed."""
    weights, n_heads, n_neurons = dict(model.state_dict()), [], []
    for i, block in enumerate(model.h):
        names = [f"h.{i}.mlp.c_fc.weight", f"h.{i}.mlp.c_fc.bias", f"h.{i}.mlp.c_proj.weight"]
        three = [weights[name] for name in names]
        keep = best_three_quarters(neuron_scores(*three))
        weights |= zip(names, remove_neurons(*three, keep), strict=True)
        n_neurons.append(len(keep))

        names = [f"h.{i}.attn.c_attn.weight", f"h.{i}.attn.c_attn.bias", f"h.{i}.attn.c_proj.weight"]
        three = [weights[name] for name in names]
        keep = best_three_quarters(scores.head(*three, block.attn.n_head))
        weights |= zip(names, remove_heads(*three, block.attn.n_head, keep), strict=True)
        n_heads.append(len(keep))
    smaller = GPT2(replace(model.config, heads=tuple(n_heads), neurons=tuple(n_neurons))).eval()
    smaller.load_state_dict(weights)
    before, after = (sum(p.numel() for p in m.parameters()) for m in (model, smaller))
    print(f"2.2 structured: {before:,} -> {after:,} parameters, {perplexity(smaller, windows)}")


def best_three_quarters(values: Tensor) -> Tensor:
    """Ascending indices of the three quarters of ``values`` (n,) that are highest."""
    return values.argsort(stable=True)[len(values) // 4 :].sort().values


def show_gradual(model: GPT2, windows: Tensor, steps: int) -> None:
    """2.3: a short training run while weights go, beside one in which they go at once."""
    assert model.tokenizer is not None
    pages = calibration_windows(model.tokenizer, model.config.n_positions, 4 * steps)  # (4 steps, T)
    one_shot = deepcopy(model)
    magnitude_prune(one_shot, FINAL)
    print(f"2.3 {FINAL:.0%} in one shot, no training: {perplexity(one_shot, windows)}")
    cutting = max(1, steps * 3 // 8)
    for label, begin in (("gradual", 0.0), ("all at once", FINAL)):
        copy = deepcopy(model)
        optimizer = torch.optim.AdamW(copy.parameters(), lr=1e-3)
        for step in tqdm(range(steps), desc=label):
            masks = magnitude_prune(copy, cubic_sparsity(step, 0, cutting, begin, FINAL))
            batch = pages[4 * step : 4 * step + 4]  # (4, T)
            optimizer.param_groups[0]["lr"] = 1e-3 * (1 - step / steps)
            train_step_with_masks(copy, masks, optimizer, lambda m, batch=batch: next_token_loss(m, batch))
        print(f"2.3 {FINAL:.0%} {label}, {steps} steps of training: {perplexity(copy, windows)}")


def next_token_loss(model: GPT2, ids: Tensor) -> Tensor:
    return F.cross_entropy(model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def show_global(model: GPT2, windows: Tensor) -> None:
    """2.4: half of the weights, one ranking for all."""
    pruned = deepcopy(model)
    weights = prunable_weights(pruned)
    masks = global_masks(weights, 0.5)
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].mul_(mask)
    shares = {name: 1 - mask.float().mean().item() for name, mask in masks.items()}
    least, most = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
    print(
        f"2.4 global: half of all weights gone, from {shares[least]:.0%} of {least} to {shares[most]:.0%} of {most}, "
        f"{perplexity(pruned, windows)}"
    )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m gpt2_lib.exercises", description=__doc__)
    parser.add_argument("--steps", type=int, default=32, help="training steps of exercise 2.3 (default: 32)")
    steps = parser.parse_args(arguments).steps
    if steps < 2:
        parser.error("--steps must be at least 2")
    model, tokenizer = load_pretrained_gpt2()
    windows = held_out_windows(tokenizer, model.config.n_positions, 12)
    print(f"gpt2-mini as trained: {perplexity(model, windows)} on {len(windows)} held-out windows")
    show_magnitude(model, windows)
    show_structured(model, windows)
    show_gradual(model, windows, steps)
    show_global(model, windows)


if __name__ == "__main__":
    run(main)
