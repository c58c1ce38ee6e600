"""Answers to exercise 2.3: wrong ones with the checks that each must fail, and unusual right ones."""

from __future__ import annotations

# exercise -> name -> (the checks that must fail, all others must pass; the answer)
WRONG: dict[str, dict[str, tuple[set[str], str]]] = {
    "cubic_sparsity": {
        "a straight line": (
            {"cubic_value", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step - start) / steps, 0), 1)
    return initial + (final - initial) * done
""",
        ),
        "cubes what is done, not what is ahead": (
            {"cubic_value", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step - start) / steps, 0), 1)
    return initial + (final - initial) * done**3
""",
        ),
        "a square": (
            {"cubic_value", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step - start) / steps, 0), 1)
    return final + (initial - final) * (1 - done) ** 2
""",
        ),
        "the sign of the difference": (
            {"cubic_value", "cubic_clamp", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step - start) / steps, 0), 1)
    return final + (final - initial) * (1 - done) ** 3
""",
        ),
        "cubes the differences too": (
            {"cubic_value", "cubic_clamp", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step - start) / steps, 0), 1)
    return final + ((initial - final) * (1 - done)) ** 3
""",
        ),
        "no clamp": (
            {"cubic_clamp"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    return final + (initial - final) * (1 - (step - start) / steps) ** 3
""",
        ),
        "clamped at the end only": (
            {"cubic_clamp"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min((step - start) / steps, 1.0)
    return final + (initial - final) * (1 - done) ** 3
""",
        ),
        "clamped at the start only": (
            {"cubic_clamp"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = max((step - start) / steps, 0.0)
    return final + (initial - final) * (1 - done) ** 3
""",
        ),
        "clamped to a fraction, not to the schedule": (
            {"cubic_clamp"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    return min(max(final + (initial - final) * (1 - (step - start) / steps) ** 3, 0.0), 1.0)
""",
        ),
        "zero before the start": (
            {"cubic_clamp"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    if step < start:
        return 0.0
    if step > start + steps:
        return final
    return final + (initial - final) * (1 - (step - start) / steps) ** 3
""",
        ),
        "back to the start after the end": (
            {"cubic_clamp"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    if step < start or step > start + steps:
        return initial
    return final + (initial - final) * (1 - (step - start) / steps) ** 3
""",
        ),
        "the end is at `steps`": (
            {"cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    if step < start:
        return initial
    if step >= steps:
        return final
    return final + (initial - final) * (1 - (step - start) / (steps - start)) ** 3
""",
        ),
        "ignores the start": (
            {"cubic_clamp", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max(step / steps, 0.0), 1.0)
    return final + (initial - final) * (1 - done) ** 3
""",
        ),
        "ignores the initial sparsity": (
            {"cubic_clamp", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step - start) / steps, 0.0), 1.0)
    return final * (1 - (1 - done) ** 3)
""",
        ),
        "adds the initial sparsity on top": (
            {"cubic_clamp", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step - start) / steps, 0.0), 1.0)
    return initial + final * (1 - (1 - done) ** 3)
""",
        ),
        "integer division": (
            {"cubic_value", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step - start) // steps, 0), 1)
    return final + (initial - final) * (1 - done) ** 3
""",
        ),
        "divides by the step at which it ends": (
            {"cubic_clamp", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step - start) / (start + steps), 0), 1)
    return final + (initial - final) * (1 - done) ** 3
""",
        ),
        "divides by the steps without the start": (
            {"cubic_clamp", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step - start) / (steps - start), 0), 1)
    return final + (initial - final) * (1 - done) ** 3
""",
        ),
        "one step too far": (
            {"cubic_value", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step + 1 - start) / steps, 0), 1)
    return final + (initial - final) * (1 - done) ** 3
""",
        ),
        "rounded to four digits": (
            {"cubic_value", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step - start) / steps, 0), 1)
    return round(final + (initial - final) * (1 - done) ** 3, 4)
""",
        ),
        "in per cent": (
            {"cubic_value", "cubic_clamp", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step - start) / steps, 0), 1)
    return 100 * (final + (initial - final) * (1 - done) ** 3)
""",
        ),
        "the density that is left": (
            {"cubic_value", "cubic_clamp", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step - start) / steps, 0), 1)
    return 1 - (final + (initial - final) * (1 - done) ** 3)
""",
        ),
        "prints instead of returning": (
            {"cubic_value", "cubic_clamp", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step - start) / steps, 0), 1)
    print(final + (initial - final) * (1 - done) ** 3)
""",
        ),
        "divides by the start": (
            {"cubic_value", "cubic_clamp", "cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step - start) / start, 0), 1)
    return final + (initial - final) * (1 - done) ** 3
""",
        ),
        "a tensor with a dimension": (
            {"cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = torch.tensor([(step - start) / steps], dtype=torch.float64).clamp(0, 1)
    return final + (initial - final) * (1 - done) ** 3
""",
        ),
        "text": (
            {"cubic_general"},
            """
def cubic_sparsity(step, start, steps, initial, final):
    done = min(max((step - start) / steps, 0), 1)
    return f"{final + (initial - final) * (1 - done) ** 3:.8f}"
""",
        ),
    },
    "train_step_with_masks": {
        "masks before the step only": (
            {"step_zeros"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p *= masks[name]
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    return loss.item()
""",
        ),
        "masks between the gradient and the step": (
            {"step_zeros", "step_learns"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p *= masks[name]
    optimizer.step()
    return loss.item()
""",
        ),
        "masks the gradients, not the weights": (
            {"step_zeros", "step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    for name, p in model.named_parameters():
        if name in masks and p.grad is not None:
            p.grad *= masks[name]
    optimizer.step()
    return loss.item()
""",
        ),
        "weights before, gradients, and SGD's momentum": (
            {"step_zeros"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p *= masks[name]
                if "momentum_buffer" in optimizer.state[p]:
                    optimizer.state[p]["momentum_buffer"] *= masks[name]
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    for name, p in model.named_parameters():
        if name in masks and p.grad is not None:
            p.grad *= masks[name]
    optimizer.step()
    return loss.item()
""",
        ),
        "an ordinary step, no masks": (
            {"step_zeros", "step_learns", "step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    return loss.item()
""",
        ),
        "a new tensor that the model never hears of": (
            {"step_zeros", "step_learns", "step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p = p * masks[name]
    return loss.item()
""",
        ),
        "new parameters, which the optimiser does not know": (
            {"step_learns"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    for name, mask in masks.items():
        module, _, leaf = name.rpartition(".")
        owner = model.get_submodule(module)
        setattr(owner, leaf, torch.nn.Parameter(getattr(owner, leaf).detach() * mask))
    return loss.item()
""",
        ),
        "nearly zero": (
            {"step_zeros", "step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p[~masks[name]] = 1e-12
    return loss.item()
""",
        ),
        "the mask the other way round": (
            {"step_zeros", "step_learns", "step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p[masks[name]] = 0.0
    return loss.item()
""",
        ),
        "gradients of earlier steps pile up": (
            {"step_learns"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p[~masks[name]] = 0.0
    return loss.item()
""",
        ),
        "forgets the gradients before they are used": (
            {"step_learns"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    loss = loss_fn(model)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p[~masks[name]] = 0.0
    return loss.item()
""",
        ),
        "no step of the optimiser": (
            {"step_learns"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p[~masks[name]] = 0.0
    return loss.item()
""",
        ),
        "two steps at once": (
            {"step_learns"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p[~masks[name]] = 0.0
    return loss.item()
""",
        ),
        "an optimiser of its own, new at each step": (
            {"step_learns"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    own = torch.optim.SGD(model.parameters(), lr=optimizer.param_groups[0]["lr"])
    own.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    own.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p[~masks[name]] = 0.0
    return loss.item()
""",
        ),
        "plain gradient descent by hand": (
            {"step_learns"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.grad is not None:
                p -= optimizer.param_groups[0]["lr"] * p.grad
            if name in masks:
                p[~masks[name]] = 0.0
    return loss.item()
""",
        ),
        "clips the gradients": (
            {"step_learns"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p[~masks[name]] = 0.0
    return loss.item()
""",
        ),
        "trains a copy": (
            {"step_zeros", "step_learns", "step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    from copy import deepcopy
    model = deepcopy(model)
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p[~masks[name]] = 0.0
    return loss.item()
""",
        ),
        "the loss after the step": (
            {"step_learns"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss_fn(model).backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p[~masks[name]] = 0.0
        return loss_fn(model).item()
""",
        ),
        "returns nothing": (
            {"step_learns", "step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p[~masks[name]] = 0.0
""",
        ),
        "returns the model too": (
            {"step_learns", "step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p[~masks[name]] = 0.0
    return loss.item(), model
""",
        ),
        "a loss with a dimension": (
            {"step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p[~masks[name]] = 0.0
    return loss.detach().view(1)
""",
        ),
        "turns the masks into numbers": (
            {"step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                masks[name] = masks[name].float()
                p *= masks[name]
    return loss.item()
""",
        ),
        "every parameter must have a mask": (
            {"step_learns", "step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p[~masks[name]] = 0.0
    return loss.item()
""",
        ),
        "masks go with parameters by position": (
            {"step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for p, mask in zip(model.parameters(), masks.values()):
            p[~mask] = 0.0
    return loss.item()
""",
        ),
        "ends at the first mask": (
            {"step_zeros", "step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in masks:
                parameter[~masks[name]] = 0.0
                return loss.item()
    return loss.item()
""",
        ),
        "masks of weights only, not of biases": (
            {"step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks and name.endswith("weight"):
                p[~masks[name]] = 0.0
    return loss.item()
""",
        ),
        "needs a gradient everywhere": (
            {"step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    for name, mask in masks.items():
        model.get_parameter(name).grad.mul_(mask)
    optimizer.step()
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_parameter(name).mul_(mask)
    return loss.item()
""",
        ),
        "makes a mask where there is none": (
            {"step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p *= masks.setdefault(name, torch.ones_like(p, dtype=torch.bool))
    return loss.item()
""",
        ),
        "zeroes what happens to be small": (
            {"step_zeros", "step_learns", "step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p[p.abs() < 0.25] = 0.0
    return loss.item()
""",
        ),
        "only what has a mask learns": (
            {"step_learns", "step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    for name, p in model.named_parameters():
        if name not in masks:
            p.grad = None
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p[~masks[name]] = 0.0
    return loss.item()
""",
        ),
        "rounds what stays to six digits": (
            {"step_learns"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p.copy_(torch.where(masks[name], p.round(decimals=6), 0.0))
    return loss.item()
""",
        ),
        "a rounded loss": (
            {"step_learns"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name in masks:
                p[~masks[name]] = 0.0
    return round(loss.item(), 3)
""",
        ),
        "a loss of 0, whatever it is": (
            {"step_learns", "step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss_fn(model).backward()
    optimizer.step()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in masks:
                parameter[~masks[name]] = 0.0
    return 0.0
""",
        ),
        "backward and masks in no_grad, the step last": (
            {"step_zeros", "step_learns"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    with torch.no_grad():
        loss.backward()
        for name, p in model.named_parameters():
            if name in masks:
                p.mul_(masks[name])
    optimizer.step()
    return loss.item()
""",
        ),
        "all of it in no_grad": (
            {"step_zeros", "step_learns", "step_care"},
            """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    with torch.no_grad():
        optimizer.zero_grad()
        loss = loss_fn(model)
        loss.backward()
        optimizer.step()
        for name, p in model.named_parameters():
            if name in masks:
                p *= masks[name]
    return loss.item()
""",
        ),
    },
}

# exercise -> name -> the answer
RIGHT: dict[str, dict[str, str]] = {
    "cubic_sparsity": {
        "three cases": """
def cubic_sparsity(step, start, steps, initial, final):
    if step <= start:
        return initial
    if step >= start + steps:
        return final
    return final + (initial - final) * pow(1 - (step - start) / steps, 3)
""",
        "clamps the result": """
def cubic_sparsity(step, start, steps, initial, final):
    s = final + (initial - final) * (1 - (step - start) / steps) ** 3
    return max(initial, min(final, s))
""",
        "clamps the step": """
def cubic_sparsity(step, start, steps, initial, final):
    step = sorted((start, step, start + steps))[1]
    ahead = (start + steps - step) / steps
    return initial * ahead**3 + final * (1 - ahead**3)
""",
        "NumPy, a number of its own": """
import numpy as np

def cubic_sparsity(step, start, steps, initial, final):
    ahead = 1 - np.clip((step - start) / np.float64(steps), 0, 1)
    return final + (initial - final) * np.power(ahead, 3)
""",
        "torch, a tensor without dimensions": """
def cubic_sparsity(step, start, steps, initial, final):
    done = torch.clamp(torch.tensor((step - start) / steps), 0.0, 1.0)
    return torch.lerp(torch.tensor(float(final)), torch.tensor(float(initial)), (1 - done) ** 3)
""",
        "NumPy interpolates the cubed way": """
import numpy as np

def cubic_sparsity(step, start, steps, initial, final):
    ahead = np.interp(step, [start, start + steps], [1.0, 0.0])
    return np.float32(final - (final - initial) * ahead * ahead * ahead)
""",
        "the polynomial multiplied out": """
def cubic_sparsity(step, start, steps, initial, final):
    x = (step - start) / steps
    x = 0 if x < 0 else 1 if x > 1 else x
    return initial + (final - initial) * (3 * x - 3 * x * x + x * x * x)
""",
        "exact fractions, with a warning": """
import warnings
from fractions import Fraction

def cubic_sparsity(step, start, steps, initial, final):
    warnings.warn("counting in fractions")
    ahead = 1 - min(max(Fraction(step - start, steps), Fraction(0)), Fraction(1))
    return Fraction(final) + (Fraction(initial) - Fraction(final)) * ahead**3
""",
        "a loop that adds the steps up": """
def cubic_sparsity(step, start, steps, initial, final):
    s = initial
    for t in range(start, min(step, start + steps)):
        left, then = start + steps - t, start + steps - t - 1
        s += (final - initial) * (left**3 - then**3) / steps**3
    return s
""",
    },
    "train_step_with_masks": {
        "multiplies by the mask": """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    loss = loss_fn(model)
    optimizer.zero_grad(set_to_none=False)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_parameter(name).mul_(mask)
    return loss.detach()
""",
        "NumPy writes into the model": """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    for name, p in model.named_parameters():
        if name in masks:
            p.detach().numpy()[~masks[name].numpy()] = 0
    return float(loss)
""",
        "through the state dict": """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    state = model.state_dict()
    for name in masks:
        state[name] = state[name].masked_fill(~masks[name], 0)
    model.load_state_dict(state)
    return loss.item()
""",
        "masks before, in the gradients, and after": """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    parameters = dict(model.named_parameters())

    @torch.no_grad()
    def cut():
        for name, mask in masks.items():
            parameters[name].masked_fill_(mask.logical_not(), 0.0)

    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    for name, mask in masks.items():
        if parameters[name].grad is not None:
            parameters[name].grad *= mask
    cut()
    optimizer.step()
    cut()
    return loss.item()
""",
        "a closure, as some optimisers want it": """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    def closure():
        optimizer.zero_grad()
        loss = loss_fn(model)
        loss.backward()
        return loss

    loss = optimizer.step(closure)
    for name, p in model.named_parameters():
        if name in masks:
            p.data = p.data * masks[name]
    return loss
""",
        "forgets the gradients at the end": """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    for name, p in model.named_parameters():
        if name in masks:
            p.data[~masks[name]] = 0
    return loss.item()
""",
        "plain loops": """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    for p in model.parameters():
        p.grad = None
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name not in masks:
                continue
            for place in (~masks[name]).nonzero().tolist():
                p[tuple(place)] = 0.0
    return loss.item()
""",
        "where, and a warning": """
import warnings

def train_step_with_masks(model, masks, optimizer, loss_fn):
    warnings.warn("slow but sure")
    model.train()
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, p in model.named_parameters():
            mask = masks.get(name)
            if mask is not None:
                p.copy_(torch.where(mask, p, torch.zeros_like(p)))
    return loss.item()
""",
        "a hook of the optimiser, taken away again": """
def train_step_with_masks(model, masks, optimizer, loss_fn):
    @torch.no_grad()
    def zeros(*_):
        for name, mask in masks.items():
            model.get_parameter(name)[~mask] = 0.0

    hook = optimizer.register_step_post_hook(zeros)
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    hook.remove()
    return loss.item()
""",
    },
}
