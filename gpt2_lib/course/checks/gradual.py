"""Checks of exercise 2.3: gradual pruning."""

from __future__ import annotations

import torch

from ..check import check
from ..lesson import show
from ..progress import progress
from .magnitude_model import parameters_after


def number_from(value, name):
    """Return what the function called ``name`` returned (a Python or NumPy number or a one-entry tensor) as a float."""
    assert value is not None, f"{name}() returned nothing: end it with `return ...`."
    number = float_of(value)
    assert number is not None, f"{name}() should return one number; a {type(value).__name__} came back."
    return number


def float_of(value):
    """Return a Python or NumPy number or a one-entry tensor as a float; None for anything else."""
    try:
        return float(value.detach() if isinstance(value, torch.Tensor) else value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None


# What hidden tests hand over goes to the learner's process, where it can be looked into: so these losses stand here.


class SquaredError:
    """The mean squared error of a model on ``inputs`` against ``targets``: a loss as a function of the model."""

    def __init__(self, inputs, targets):
        self.inputs, self.targets = inputs, targets

    def __call__(self, model):
        return ((model(self.inputs) - self.targets) ** 2).mean()


class FirstOutputs:
    """The sum of the first layer's outputs for ``inputs``: the other layers have no part in this loss."""

    def __init__(self, inputs):
        self.inputs = inputs

    def __call__(self, model):
        return model[0](self.inputs).sum()


@check("the cubic curve")
def cubic_value(cubic_sparsity):
    wanted = {0: 0.0, 2: 0.3904, 5: 0.7, 8: 0.7936, 10: 0.8}  # step: sparsity
    got = {}
    for step in wanted:
        progress.given(f"step {step}, start 0, steps 10, initial 0.0, final 0.8")
        got[step] = number_from(cubic_sparsity(step, 0, 10, 0.0, 0.8), "cubic_sparsity")
    right = {step: abs(got[step] - wanted[step]) < 1e-5 for step in wanted}
    if abs(got[5] - 0.4) < 1e-5:
        idea = "Half of the steps and half of the sparsity: that is a straight line. What is raised to the third power?"
    elif abs(got[5] - 0.1) < 1e-5:
        idea = "This starts slow and ends fast. What is cubed is the part of the way that is still ahead."
    elif abs(got[5] - 0.6) < 1e-5:
        idea = "Close: which power is it?"
    elif all(abs(got[step] - 100 * wanted[step]) < 1e-3 for step in wanted):
        idea = "Sparsity is a fraction from 0 to 1, not per cent."
    elif abs(got[0] - 1.6) < 1e-5:
        idea = "The start is 1.6: is it s_i - s_f in the brackets, in this order?"
    elif abs(got[0] - 0.288) < 1e-5:
        idea = "The start is 0.8 - 0.8 to the third power: only the last bracket is cubed, not s_i - s_f."
    elif not right[0] and right[10]:
        idea = "The end is right, the start is not: at step 0 the last bracket is 1."
    elif all(abs(got[step] - wanted[step]) < 0.006 for step in wanted):
        idea = "Close, but rounded: return the number as it is."
    elif right[0] and right[10]:
        idea = "Start and end are right, what lies between them is not: how far along is each step, as a fraction?"
    else:
        idea = "At the first step the last factor is 1, at the end it is 0: what is left of the equation then?"
    table = "\n".join(f"{step:4}  {wanted[step]:8.4f}  {got[step]:8.4f}" for step in wanted)
    assert all(right.values()), (
        f"From sparsity 0 to 0.8 in 10 steps, beginning at step 0. {idea}\nstep  expected     yours\n{table}"
    )


def cubic(step, start, steps, initial, final):
    """Return the cubic curve's value without clipping at either end."""
    return final + (initial - final) * (1 - (step - start) / steps) ** 3


@check("flat before the start and after the end")
def cubic_clamp(cubic_sparsity):
    for step, wanted, when in ((0, 0.1, "before"), (3, 0.1, "before"), (15, 0.8, "after"), (60, 0.8, "after")):
        progress.given(f"step {step}, start 4, steps 10, initial 0.1, final 0.8")
        got = number_from(cubic_sparsity(step, 4, 10, 0.1, 0.8), "cubic_sparsity")
        if abs(got - cubic(step, 4, 10, 0.1, 0.8)) < 1e-5:
            idea = " Outside of its steps the cubic goes on; the sparsity must not."
        elif abs(got) < 1e-5 and when == "before":
            idea = " Before the start the initial sparsity holds, which need not be 0."
        else:
            idea = ""
        assert abs(got - wanted) < 1e-5, (
            f"Pruning begins at step 4 and takes 10 steps, from sparsity 0.1 to 0.8. Step {step} lies {when} that: "
            f"{wanted:g} was expected, {got:g} came back.{idea}"
        )


@check("any start and any initial sparsity")
def cubic_general(cubic_sparsity):
    for step, wanted in ((100, 0.2), (110, 0.5416), (125, 0.8125), (140, 0.8944), (150, 0.9)):
        progress.given(f"step {step}, start 100, steps 50, initial 0.2, final 0.9")
        value = cubic_sparsity(step, 100, 50, 0.2, 0.9)
        got = number_from(value, "cubic_sparsity")
        is_plain = not isinstance(value, str) and getattr(value, "ndim", 0) == 0
        assert is_plain, f"A plain number was expected; a {type(value).__name__} came back: {show(value)}"
        assert abs(got - wanted) < 1e-5, (
            f"Pruning begins at step 100 and takes 50 steps, from sparsity 0.2 to 0.9. At step {step}, {wanted:g} was "
            f"expected; {got:g} came back. {_general_idea(step, got, wanted)}"
        )


def _general_idea(step, got, wanted):
    """Return the likely reason for ``got`` in cubic_general, or what is true of the step in any case."""
    curves = {
        "The part of the way is (step - start) / steps; yours is divided by start + steps.": (step, 100, 150, 0.2, 0.9),
        "The part of the way is (step - start) / steps; yours is divided by steps - start.": (step, 100, -50, 0.2, 0.9),
        "That is what a start at step 0 would give.": (min(step, 50), 0, 50, 0.2, 0.9),
        "That is what an initial sparsity of 0 would give.": (step, 100, 50, 0.0, 0.9),
    }
    idea = next((words for words, curve in curves.items() if abs(got - cubic(*curve)) < 1e-5), "")
    done = (step - 100) / 50
    ahead = f"(step - start) / steps is {done:g} here, and what is cubed is 1 minus that."
    if idea:
        return idea
    if abs(got - 0.9 + 0.7 * done**3) < 1e-5 or abs(got - 0.2 - 0.7 * done**3) < 1e-5:
        return f"What is cubed is the part of the way that is still ahead: {1 - done:g} here; yours is what is done."
    if abs(got - 0.9) < 1e-5:
        return f"That is the final sparsity: pruning ends at step start + steps. {ahead}"
    if abs(got - 0.2) < 1e-5:
        return f"That is still the initial sparsity. {ahead} (`//` would make a whole number of it.)"
    if abs(got - wanted) < 0.006:
        return "Close, but rounded: return the number as it is."
    return ahead


OTHER_WAY_ROUND = "What should stay is zero instead: True in a mask means keep."
NO_MASK = (
    "After the optimiser's step no mask has reached the model: is one applied then, and written into the parameter? "
    "(`p = p * mask` makes a new tensor, p.mul_(mask) writes.)"
)


@check("what is pruned stays pruned")
def step_zeros(train_step_with_masks):
    layer = torch.nn.Linear(4, 2, bias=False)
    keep = torch.tensor([[True, False, True, True], [False, True, False, True]])
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.9, 0.2, -0.6, 0.3], [0.0, 0.5, 0.0, -1.1]]))  # 0.2 goes, and is still there
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    optimizer.state[layer.weight]["momentum_buffer"] = torch.full((2, 4), 2.0)  # of steps before the pruning
    before = dict(layer.named_parameters())
    for step in (1, 2, 3):
        progress.given(f"a layer with the weight\n{show(layer.weight)}\nand its mask\n{show(keep)}")
        train_step_with_masks(layer, {"weight": keep.clone()}, optimizer, lambda m: (m.weight**2).sum())
        weight = parameters_after(layer, before)["weight"].detach()
        alive = ~keep & (weight != 0)
        if bool((weight[keep] == 0).all()):
            idea = OTHER_WAY_ROUND
        elif alive.equal(~keep) and bool((weight[~keep].abs() > 1e-3).all()):
            idea = NO_MASK
        else:
            idea = "Is every weight that its mask drops exactly zero, in the model itself?"
        assert not alive.any(), (
            f"After step {step}, {int(alive.sum())} of {int((~keep).sum())} pruned weights are not exactly zero (marked *). "
            f"{idea}\nThe keep-mask:\n{show(keep)}\nthe weight after the step:\n{show(weight, alive)}"
        )


@check("what is left learns, as the optimiser has it")
def step_learns(train_step_with_masks):
    layer = torch.nn.Linear(4, 2, bias=False)
    start = torch.tensor([[0.9, 0.0, -0.6, 0.3], [0.0, 0.5, 0.0, -1.1]])
    slope = torch.tensor([[1.0, -2.0, 3.0, 1.0], [2.0, -1.0, 1.0, 4.0]])  # the loss is (weight * slope).sum()
    keep = start != 0
    with torch.no_grad():
        layer.weight.copy_(start)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)  # its second step is 1.9 times the first
    expected, loss_before = start.clone(), (start * slope).sum().item()
    for step, pace in ((1, 1.0), (2, 1.9)):
        progress.given(f"a layer with the weight\n{show(layer.weight)}\nand a loss whose gradient is\n{show(slope)}")
        awake = bool(layer.weight.detach()[~keep].any())  # since the first step
        loss = train_step_with_masks(layer, {"weight": keep.clone()}, optimizer, lambda m: (m.weight * slope).sum())
        previous, expected = expected, torch.where(keep, expected - 0.1 * pace * slope, 0.0)
        weight = layer.weight.detach()
        wrong = keep & ~torch.isclose(weight, expected, atol=1e-5)
        if torch.allclose(weight[keep], previous[keep]):
            idea = "Nothing has moved: is there a gradient, and does the optimiser take its step in the model that was given?"
        elif step == 2 and torch.allclose(weight[keep], (expected - 0.1 * slope)[keep]):
            idea = "The second step has the first one's gradient in it, too: what is left over from the first?"
        elif step == 2 and torch.allclose(weight[keep], (previous - 0.1 * slope)[keep]):
            idea = (
                "The second step knows nothing of the first. The optimiser has momentum: let it take the step itself."
            )
        else:
            idea = f"SGD with momentum 0.9 and a learning rate of 0.1 moves each by {-0.1 * pace:g} times its gradient here."
        assert not wrong.any(), (
            f"After step {step}, {int(wrong.sum())} of {int(keep.sum())} kept weights are not where the optimiser takes "
            f"them (marked *). {idea}\nThe gradient:\n{show(slope)}\nexpected:\n{show(expected)}\nyours:\n{show(weight, wrong)}"
        )
        loss_after = (expected * slope).sum().item()
        got = number_from(loss, "train_step_with_masks")
        if awake:
            idea = " Pruned weights came back to life in the step before, and the loss sees them: are the masks applied last?"
        else:
            idea = " That is the loss after the step." if abs(got - loss_after) < 1e-4 else ""
        assert abs(got - loss_before) < 1e-4, (
            f"Step {step}: the loss before the step was {loss_before:g}; {got:g} came back.{idea}"
        )
        loss_before = loss_after


@check("masks of some parameters, masks left alone, the loss returned")
def step_care(train_step_with_masks):
    net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(0.5)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    keep = torch.tensor([[True, False, True], [True, True, False], [False, True, True]])
    masks = {"1.weight": keep.clone()}
    progress.given("two layers, 0 and 1, and a mask of one parameter only, 1.weight")
    loss = train_step_with_masks(net, masks, optimizer, lambda m: m(torch.ones(1, 3)).sum())
    learns = bool((dict(net.named_parameters())["1.weight"][keep] != 0.5).any())
    for name, parameter in net.named_parameters():
        assert name == "1.weight" or not learns or bool((parameter != 0.5).all()), (
            f"{name} has no mask here, and learns like all the others; it is what it was:\n{show(parameter)}"
        )
        assert name == "1.weight" or bool((parameter != 0).all()), (
            f"Only 1.weight has a mask here; {name} has zeros too:\n{show(parameter)}"
        )
    assert list(masks) == ["1.weight"], f"The masks are to be looked at only; yours now name {list(masks)}."
    now = masks["1.weight"]
    unchanged = isinstance(now, torch.Tensor) and now.dtype == torch.bool and torch.equal(now, keep)
    assert unchanged, f"The masks are to be looked at only. Before:\n{show(keep)}\nafter your step:\n{show(now)}"
    number_from(loss, "train_step_with_masks")
    assert getattr(loss, "ndim", 0) == 0, (
        f"The loss is one number, or a tensor without dimensions; a {type(loss).__name__} of shape {tuple(loss.shape)} came back."
    )
    still = torch.optim.SGD(net.parameters(), lr=0.0)
    masks = {"1.weight": keep.clone(), "1.bias": torch.tensor([True, False, True])}
    progress.given("two layers, 0 and 1, and masks of 1.weight and 1.bias")
    train_step_with_masks(net, masks, still, lambda m: m(torch.ones(1, 3)).sum())
    after = dict(net.named_parameters())
    if any(bool((after[name][mask] == 0).all()) for name, mask in masks.items()):
        idea = OTHER_WAY_ROUND
    elif any(bool((after[name] == 0).any()) for name in masks):
        idea = "Does your loop go on to the last parameter? May a bias have a mask?"
    else:
        idea = NO_MASK
    for name, mask in masks.items():
        parameter = after[name]
        assert not parameter[~mask].any(), (
            f"1.weight and 1.bias have masks here; what {name}'s drops is not zero after the step. {idea}\nThe keep-mask:\n{show(mask)}\nafter the step:\n{show(parameter)}"
        )
