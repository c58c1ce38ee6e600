# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Phase 2: prune it yourself
#
# **30 minutes · four techniques, eight short functions · 39 points · no GPU, no network**
#
# In Phase 1 a library pruned the model for you. Now you write the pruning: every function here is a few lines long, and every
# one works on the real model as soon as it is right. At the end you have built what the papers describe, and measured it.
#
# | | technique | what goes | minutes | difficulty | points |
# |-|-|-|-:|-|-:|
# | 2.1 | **magnitude** | the smallest weights of each layer | 10 | ★☆☆ | 11 |
# | 2.2 | **structured** | whole neurons and attention heads, so that the matrices get smaller | 10 | ★★★ | 13 |
# | 2.3 | **gradual** | a little at a time, with training in between | 5 | ★★☆ | 9 |
# | 2.4 | **global** | the smallest weights of the whole model, ranked together | 5 | ★★☆ | 6 |
#
# They stand on their own: stuck in one, go on with the next, and come back.
#
# **How it works.** Each exercise shows the idea on a tiny matrix, then a cell marked `# YOUR CODE HERE` is yours. The cells
# below it check it: each check looks at one thing and gives its own points, so a nearly right answer gets most of them. A check
# that fails says what it expected, for which input, and what came back. Two hints are folded under each exercise.
# PyTorch, NumPy, a plain loop: any way that is right is right. Only, write it yourself: an answer that calls
# `gpt2_lib`'s pruning or `torch.nn.utils.prune` gets no points.
#
# Run the cells from top to bottom with **Shift + Enter**. The line under the next cell fills as your checks pass.

# %% locked="setup"
try:
    from gpt2_lib import GPT2, GPT2Config, evaluate, held_out_windows, load_pretrained_gpt2, plots
except ImportError:
    raise ImportError(
        "This notebook runs in a Python without the course's library. Choose Kernel > Change Kernel > Python 3 "
        "in the JupyterLab that `make lab` opened."
    ) from None

import math
import random
from copy import deepcopy

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display

from gpt2_lib.course.demos import GlobalDemo, NeuronDemo, ScheduleDemo, ThresholdDemo
from gpt2_lib.course.lesson import mask_fault, show, tensor_fault, time_limit, when_written
from gpt2_lib.course.progress import PHASE_2, progress

progress.begin("Phase 2", PHASE_2)

# %%
model, tokenizer = load_pretrained_gpt2()
windows = held_out_windows(tokenizer, model.config.n_positions, 12)  # (12, 256): pages of three plays it never saw
dense = evaluate(model, windows)  # the mark to hold: perplexity, accuracy, bits per character

# %% [markdown]
# Everything is loaded: `model` is gpt2-mini, `windows` are pages that it has never seen, and `dense` says how well it does on them
# before anything is cut.

# %%
print(
    f"gpt2-mini as trained: perplexity {dense.perplexity:.2f}, {dense.bits_per_character:.3f} bits per character, "
    f"its first guess is right for {dense.accuracy:.1%} of {dense.tokens:,} tokens"
)

# %% [markdown]
# ## 2.1 · Magnitude: the smallest weights go
# *difficulty ★☆☆ and ★★☆ · 10 minutes · 11 points*
#
# A weight $w$ adds $w \cdot x$ to an output. If $|w|$ is next to nothing, so is what it adds, and the model should
# hardly miss it. So: rank the weights by size, cut the smallest, keep the rest. That is **magnitude pruning**
# (Han et al., 2015, *Learning both Weights and Connections*). It is the simplest rule, and the mark that every cleverer
# method has to beat.
#
# For a tensor of $n$ weights and a sparsity $s$:
#
# $$k = \text{round}(s \cdot n), \qquad
# m_i = \begin{cases}\text{False} & \text{if } |w_i| \text{ is among the } k \text{ smallest}\\ \text{True} & \text{otherwise}\end{cases}$$
#
# $m$ is the **keep-mask**: `True` stays, `False` goes. Two things are worth care:
#
# - **Size, not value.** -1.2 is a large weight.
# - **A count, not a threshold.** If you cut "everything up to 0.4" and 0.4 occurs twice, one too many goes. Exactly $k$
#   go here, and among equals the **earlier position goes first**. Rounded like Python's `round`: 2.5 becomes 2.
#
# ### Exercise 2.1 a · `magnitude_mask`
# *★☆☆ · 5 minutes*
#
# A weight of 2×4 numbers at sparsity 0.5. Four of eight go: 0.05, 0.1, 0.2, and one of the two 0.4, the earlier.

# %%
weight = torch.tensor([[0.9, -0.1, 0.4, -1.2], [0.2, -0.5, 0.05, 0.4]])
keep = torch.tensor([[True, False, False, True], [False, True, False, True]])

figure, axes = plt.subplots(1, 3, figsize=(10, 1.9), layout="constrained")
plots.matrix(axes[0], weight, "the weight")
plots.matrix(axes[1], weight.abs(), "its size: four of eight go", keep=keep)
plots.matrix(axes[2], weight.masked_fill(~keep, 0), "what is left")
plt.show()
print(f"the keep-mask:\n{show(keep)}")

# %% [markdown]
# Now with 147,456 weights: the feed-forward matrix of the first block. Drag the sparsity. The two lines are the
# threshold that your sparsity amounts to. Where is the histogram high, and how far do you have to drag until a *large* weight goes?

# %%
ThresholdDemo(model.h[0].mlp.c_fc.weight)


# %% exercise="magnitude_mask"
def magnitude_mask(weight: torch.Tensor, sparsity: float) -> torch.Tensor:
    """Keep-mask in which exactly round(sparsity * n) of n entries are False: the smallest in absolute value.

    weight:   float tensor of any shape with n entries; only looked at, never changed
    sparsity: the fraction to remove; anything outside [0, 1] is a ValueError
    returns:  bool tensor of the weight's shape, True = keep; among equals the earlier position goes first
    """
    ### BEGIN SOLUTION
    if not 0 <= sparsity <= 1:  # NaN is not in [0, 1] either
        raise ValueError(f"sparsity is the fraction to remove, from 0 to 1; got {sparsity}.")
    order = weight.detach().abs().flatten().argsort(stable=True)  # (n,), positions, smallest first
    mask = torch.ones(weight.numel(), dtype=torch.bool)  # (n,)
    mask[order[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
    ### END SOLUTION


# %% locked="magnitude_reader"
def removed_by(mask, weight):
    """Which entries a mask removes, as a flat list of True and False. (Its exact type has a check of its own.)"""
    assert mask is not None, "magnitude_mask() returned nothing: end it with `return ...`."
    try:
        flat = torch.as_tensor(mask).flatten()
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"A mask was expected, a bool tensor; a {type(mask).__name__} came back.") from None
    assert flat.numel() == weight.numel(), (
        f"A mask has one entry for each of the {weight.numel()} weights; {flat.numel()} came back."
    )
    return [not kept for kept in flat.tolist()]


# %% tests="mask_count" points=2
import random

from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("mask_count", "magnitude_mask"):
    weight = torch.tensor([[0.3, -0.8, 0.1, 1.0, -0.6], [0.7, 0.2, -0.9, 0.5, -0.4]])
    for sparsity, wanted in ((0.3, 3), (0.0, 0), (1.0, 10), (0.25, 2), (0.35, 4)):
        progress.given(f"sparsity {sparsity} and the weight\n{show(weight)}")
        mask = magnitude_mask(weight.clone(), sparsity)
        got = sum(removed_by(mask, weight))
        if sparsity in (0.0, 1.0):
            idea = "Sparsity 0 removes nothing, sparsity 1 everything."
        elif got == 10 - wanted:
            idea = "Is it the other way round: True for what stays?"
        elif abs(sparsity * 10 - wanted) == 0.5:
            idea = f"Python's round({sparsity} * 10) is {wanted}."
        elif got == wanted + 1:
            idea = "One too many: does the first weight that may stay go too?"
        else:
            idea = "How many is round(sparsity * n), n being the number of entries?"
        assert got == wanted, (
            f"Your mask removes {got} of 10 weights at sparsity {sparsity}; {wanted} were asked. {idea}\n"
            f"The weight:\n{show(weight)}\nyour mask:\n{show(mask)}"
        )
### BEGIN HIDDEN TESTS
seed = random.SystemRandom().randrange(10**6)
generator = torch.Generator().manual_seed(seed)
with time_limit():
    for shape in [(1,), (2,), (5,), (7,), (10,), (1, 3), (3, 7), (4, 6), (2, 3, 5), (40,)]:
        n = 1
        for size in shape:
            n *= size
        sizes = (torch.randperm(n, generator=generator) + 1) / n  # all different, none zero
        signs = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
        weight = (sizes * signs).reshape(shape)
        for sparsity in (0, 0.1, 0.25, 0.5, 0.7, 0.9, 1, round(random.Random(seed + n).random(), 3)):
            wanted = round(sparsity * n)
            got = sum(removed_by(magnitude_mask(weight.clone(), sparsity), weight))
            assert got == wanted, (
                f"A weight of shape {shape}, {n} entries, at sparsity {sparsity}: round({sparsity} * {n}) = {wanted} go, "
                f"your mask removes {got} (seed {seed})."
            )
### END HIDDEN TESTS

# %% tests="mask_choice" points=2
import math
import random

from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("mask_choice", "magnitude_mask"):
    weight = torch.tensor([[0.3, -0.8, 0.1, 1.0, -0.6], [0.7, 0.2, -0.9, 0.5, -0.4]])
    progress.given(f"sparsity 0.4 and the weight\n{show(weight)}")
    mask = magnitude_mask(weight.clone(), 0.4)
    gone = removed_by(mask, weight)
    pruned = sorted((w for w, g in zip(weight.flatten().tolist(), gone, strict=True) if g), key=abs)
    kept = sorted((w for w, g in zip(weight.flatten().tolist(), gone, strict=True) if not g), key=abs)
    assert 0 < len(pruned) < 10, (
        f"At sparsity 0.4 some of these weights go and some stay; yours removes {len(pruned)} of 10."
    )
    largest_gone, smallest_kept = pruned[-1], kept[0]
    if sorted(pruned)[-1] < sorted(kept)[0]:
        idea = "-0.8 is not a small weight: how far is it from zero?"
    elif abs(pruned[0]) > abs(kept[-1]):
        idea = "Is it the other way round: True for what stays?"
    else:
        idea = "Are all entries ranked together, and does the mask point back to where each stood?"
    assert abs(largest_gone) < abs(smallest_kept), (
        f"Your mask removes {largest_gone:g} and keeps {smallest_kept:g}, which is smaller in size. {idea}\n"
        f"The weight, with * at what you removed:\n{show(weight, torch.tensor(gone).view(2, 5))}"
    )
### BEGIN HIDDEN TESTS
seed = random.SystemRandom().randrange(10**6)
generator = torch.Generator().manual_seed(seed)
with time_limit():
    for shape in [(6,), (4, 8), (8, 4), (2, 3, 5)]:
        n = 1
        for size in shape:
            n *= size
        sizes = (torch.randperm(n, generator=generator) + 1) / n
        signs = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
        weight = (sizes * signs).reshape(shape)
        values = weight.flatten().tolist()
        gone = removed_by(magnitude_mask(weight.clone(), 0.5), weight)
        assert 0 < sum(gone) < n, (
            f"A weight of shape {shape} at sparsity 0.5: some entries go and some stay; your mask removes {sum(gone)} of {n}."
        )
        largest_gone, smallest_kept = 0.0, math.inf
        for value, g in zip(values, gone, strict=True):
            if g and abs(value) > abs(largest_gone):
                largest_gone = value
            if not g and abs(value) < abs(smallest_kept):
                smallest_kept = value
        assert abs(largest_gone) < abs(smallest_kept), (
            f"A weight of shape {shape} at sparsity 0.5: your mask removes {largest_gone:.3f} and keeps "
            f"{smallest_kept:.3f}, which is smaller in size (seed {seed})."
        )
### END HIDDEN TESTS

# %% tests="mask_ties" points=1
import random

from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("mask_ties", "magnitude_mask"):
    weight = torch.tensor([[0.5, 2.0, 0.5, 1.0], [0.5, 3.0, 0.5, 4.0]])
    progress.given(f"sparsity 0.25 and the weight\n{show(weight)}")
    mask = magnitude_mask(weight.clone(), 0.25)
    gone = removed_by(mask, weight)
    drawn = f"The weight, with * at what you removed:\n{show(weight, torch.tensor(gone).view(2, 4))}"
    assert sum(gone) == 2, (
        f"Your mask removes {sum(gone)} of 8 weights; 2 were asked. 0.5 occurs four times: what happens to equals?\n{drawn}"
    )
    assert gone == [True, False, True, False, False, False, False, False], (
        f"Two of the four 0.5 go: those at the earlier positions, read row by row.\n{drawn}"
    )
### BEGIN HIDDEN TESTS
seed = random.SystemRandom().randrange(10**6)
generator = torch.Generator().manual_seed(seed)
with time_limit():
    cases = [(torch.ones(4, 4), s) for s in (0.25, 0.5, 0.75)]
    cases += [(torch.tensor([0.0, -0.0, 0.0, 1.0]), 0.5), (torch.tensor([0.5, -0.5, -0.5, 0.5]), 0.5)]
    for shape in [(8,), (8, 9), (16, 16)]:
        cases += [(torch.randint(-2, 3, shape, generator=generator) / 2, s) for s in (0.25, 0.5, 0.75)]
    for weight, sparsity in cases:
        values = weight.flatten().tolist()
        left = int(sparsity * len(values))  # always a whole number here
        wanted = [False] * len(values)
        for size in (0.0, 0.5, 1.0):
            for position, value in enumerate(values):
                if abs(value) == size and left > 0:
                    wanted[position] = True
                    left -= 1
        gone = removed_by(magnitude_mask(weight.clone(), sparsity), weight)
        if sum(gone) == sum(wanted):
            fault = "the right number goes, but not the earlier ones among those of equal size"
        else:
            fault = f"{sum(wanted)} go, your mask removes {sum(gone)}"
        assert gone == wanted, (
            f"A weight of shape {tuple(weight.shape)} with many equal entries at sparsity {sparsity}: {fault} (seed {seed})."
        )
### END HIDDEN TESTS

# %% tests="mask_care" points=1
from gpt2_lib.course.lesson import mask_fault, show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("mask_care", "magnitude_mask"):
    weight = torch.tensor([[0.3, -0.8, 0.1], [0.7, 0.2, -0.9]])
    progress.given(f"sparsity 0.5 and the weight\n{show(weight)}")
    given = weight.clone()
    mask = magnitude_mask(given, 0.5)
    fault = mask_fault(mask, weight)
    assert fault is None, f"For a weight of shape (2, 3): {fault}"
    assert torch.equal(given, weight), (
        f"magnitude_mask() changed the weight it was given; it should only look.\n"
        f"Before:\n{show(weight)}\nafter:\n{show(given)}"
    )
### BEGIN HIDDEN TESTS
import random

seed = random.SystemRandom().randrange(10**6)
dice = random.Random(seed)
with time_limit():
    # Exact in every precision; the squares of the two smallest are zero in float16. No sign and no rounding matters here:
    # they have checks of their own.
    values = dice.sample([2.0**power for power in range(-1, 9)], 10)
    first, second = sorted(dice.sample(range(12), 2))
    values.insert(first, 2.0**-13)
    values.insert(second, 2.0**-14)
    for shape in [(12,), (3, 4), (2, 3, 2)]:
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            weight = torch.tensor(values).reshape(shape).to(dtype)
            for count in (1, 6):
                mask = magnitude_mask(weight.clone(), count / 12)
                fault = mask_fault(mask, weight)
                assert fault is None, f"For a weight of {dtype}, shape {shape}: {fault}"
                smallest = sorted(values)[:count]
                assert mask.flatten().tolist() == [value not in smallest for value in values], (
                    f"A weight of {dtype}, shape {shape}, at sparsity {count}/12: the {count} smallest go; your mask says otherwise.\n"
                    f"The weight:\n{show(weight)}\nyour mask:\n{show(mask)}"
                )
    wide, high, thinned = (torch.tensor(dice.sample(values, 12)).reshape(shape) for shape in ((3, 4), (4, 3), (3, 4)))
    for slanted, what in (
        (wide.t(), "A transposed weight"),
        (high.t(), "A transposed weight"),
        (thinned[:, ::2], "Every second column of a weight"),
    ):
        mask = magnitude_mask(slanted, 0.5)
        listed = slanted.flatten().tolist()  # row by row
        smallest = sorted(listed)[: len(listed) // 2]
        assert mask.flatten().tolist() == [value not in smallest for value in listed], (
            f"{what}, which lies in memory in another order than it reads, at sparsity 0.5: the smaller half goes.\n"
            f"The weight:\n{show(slanted)}\nyour mask:\n{show(mask)}"
        )
    for sparsity in (0.0, 0.4, 1.0):
        one = torch.tensor([[-3.0]])
        mask = magnitude_mask(one, sparsity)
        fault = mask_fault(mask, one)
        assert fault is None, f"For a weight of one entry: {fault}"
### END HIDDEN TESTS

# %% tests="mask_errors" points=1
import math

from gpt2_lib.course.lesson import time_limit
from gpt2_lib.course.progress import progress

with progress.check("mask_errors", "magnitude_mask"):
    weight = torch.tensor([[0.3, -0.8, 0.1], [0.7, 0.2, -0.9]])
    assert magnitude_mask(weight.clone(), 0.5) is not None, (
        "magnitude_mask() returned nothing: end it with `return ...`."
    )
    for sparsity in (1.5, -0.5):
        try:
            mask = magnitude_mask(weight.clone(), sparsity)
        except ValueError:
            continue
        except AssertionError:
            raise AssertionError(
                f"Sparsity {sparsity} stops at an assert; the contract asks for a ValueError."
            ) from None
        raise AssertionError(
            f"Nobody can remove {sparsity:.0%} of the weights: a ValueError was expected for sparsity {sparsity}, "
            f"a {type(mask).__name__} came back. A wrong number should be told at once, not guessed at."
        )
### BEGIN HIDDEN TESTS
import random

generator = torch.Generator().manual_seed(random.SystemRandom().randrange(10**6))
with time_limit():
    for shape in [(4, 6), (6, 8), (10, 10)]:  # a sparsity that makes sense is not refused
        weight = torch.rand(shape, generator=generator) + 0.1
        got = sum(removed_by(magnitude_mask(weight.clone(), 0.5), weight))
        assert got == weight.numel() // 2, (
            f"Sparsity 0.5 makes sense: of a weight of shape {shape}, {weight.numel() // 2} entries go; your mask removes {got}."
        )
    for sparsity in (50, -1e-6, 1.000001, math.inf, math.nan):
        try:
            came = type(magnitude_mask(weight.clone(), sparsity)).__name__
        except ValueError:
            continue
        except Exception as error:
            came = type(error).__name__
        raise AssertionError(
            f"Sparsity {sparsity} is no fraction from 0 to 1: a ValueError was expected, a {came} came. "
            "Which numbers does your test let through?"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Flatten the absolute values. If you knew the positions from the smallest to the largest, the first
# `round(sparsity * n)` of them would be all you need: a mask of `True` everywhere gets `False` there.
# </details>
# <details><summary>Hint 2</summary>
#
# `values.argsort(stable=True)` gives those positions, and *stable* leaves equals in their order. Start from
# `torch.ones(n, dtype=torch.bool)`, give it the weight's shape at the end. For the error: `not 0 <= sparsity <= 1`
# also catches NaN, which is neither smaller nor larger than anything.
# </details>

# %% [markdown]
# ### Exercise 2.1 b · `magnitude_prune`
# *★★☆ · 5 minutes*
#
# One weight is done; now the model. Every attention and every feed-forward **weight** of every block is pruned, each
# ranked on its own, so that each ends up with the same sparsity. **Never** biases (few, and each moves a whole output),
# LayerNorm (few, and it scales everything) or embeddings (looked up, not multiplied).
#
# A PyTorch model is a list of named parameters. Here is a GPT-2 small enough to print, with 2 heads and blocks of
# different width, as structured pruning leaves them:


# %% locked="small_model"
def small_model(seed=0, heads=(2, 2), neurons=(6, 6)):
    """A GPT-2 of a few hundred numbers, all of them random (biases and LayerNorm too), to try things on."""
    config = GPT2Config(13, 8, n_embd=4, n_layer=len(heads), n_head=2, heads=heads, neurons=neurons)
    small = GPT2(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return small


def parameters_after(model, before):
    """The model's parameters by name after a function has changed it; ``before``: those that it had."""
    after = dict(model.named_parameters())
    shapes = {name: tuple(parameter.shape) for name, parameter in before.items()}
    found = {name: tuple(parameter.shape) for name, parameter in after.items()}
    assert found == shapes, (
        f"The model has other parameters than before: {min(found.items() ^ shapes.items())[0]} is missing, new or of another shape. "
        "Write into the parameters that are there."
    )
    assert any(bool(parameter.any()) for parameter in after.values()), (
        "Every parameter of the model is 0 now. Only what is pruned becomes 0; the rest stays."
    )
    return after


lines = ["| parameter | shape | what it is | pruned |", "|-|-|-|-|"]
for name, parameter in small_model(neurons=(6, 3)).named_parameters():
    part = (
        "attention"
        if ".attn." in name
        else "feed-forward"
        if ".mlp." in name
        else "embedding"
        if "w" in name[:1]
        else "LayerNorm"
    )
    pruned = "**yes**" if parameter.dim() == 2 and part in ("attention", "feed-forward") else "no"
    lines.append(f"| `{name}` | {tuple(parameter.shape)} | {part} | {pruned} |")
display(Markdown("\n".join(lines)))


# %% exercise="magnitude_prune"
def magnitude_prune(model: GPT2, sparsity: float) -> dict[str, torch.Tensor]:
    """Prune every attention and feed-forward weight of every block, each on its own: write zeros into the model.

    model:   a GPT2; its own parameters are changed in place, and stay trainable
    returns: {parameter name: its bool keep-mask}, for the pruned weights and nothing else
    """
    ### BEGIN SOLUTION
    masks = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith(".weight"):
                masks[name] = magnitude_mask(parameter, sparsity)
                parameter[~masks[name]] = 0.0
    return masks
    ### END SOLUTION


# %% tests="prune_where" points=2
from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("prune_where", "magnitude_prune"):
    small = small_model()
    before = {name: parameter.detach().clone() for name, parameter in small.named_parameters()}
    wanted = [
        f"h.{i}.{part}.weight" for i in (0, 1) for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    ]
    progress.given("sparsity 0.5 and the small model whose parameters are listed above")
    masks = magnitude_prune(small, 0.5)
    assert masks is not None, "magnitude_prune() returned nothing: end it with `return ...`."
    assert isinstance(masks, dict), f"A dict {{parameter name: mask}} was expected; a {type(masks).__name__} came back."
    extra = [str(name) for name in masks if name not in wanted]
    missing = [name for name in wanted if name not in masks]
    assert not extra, (
        f"Your masks name {', '.join(extra[:4])}{' and more' * (len(extra) > 4)}. Names are those of named_parameters(), and only weights of attention and feed-forward are pruned."
    )
    assert not missing, (
        f"Your masks lack {', '.join(missing[:4])}{' and more' * (len(missing) > 4)}. Every block has four weights to prune."
    )
    for name, parameter in parameters_after(small, before).items():
        if name not in wanted:
            assert torch.equal(parameter, before[name]), (
                f"{name} is no attention or feed-forward weight: it must stay as it was.\n"
                f"Before:\n{show(before[name])}\nafter:\n{show(parameter)}"
            )
### BEGIN HIDDEN TESTS
import random

with time_limit():
    for heads, neurons in (((1, 2, 1), (3, 8, 5)), ((2,), (6,)), ((1,) * 11, (2,) * 11)):
        small = small_model(random.SystemRandom().randrange(10**6), heads, neurons)
        before = {name: parameter.detach().clone() for name, parameter in small.named_parameters()}
        masks = magnitude_prune(small, 0.25)
        wanted = set()
        for name in before:
            if name.startswith("h.") and ("attn" in name or "mlp" in name) and not name.endswith("bias"):
                wanted.add(name)
        assert set(masks) == wanted, (
            f"A model with {len(heads)} blocks, {heads} heads and {neurons} neurons: masks for {len(wanted)} weights were "
            f"expected; yours are for {len(masks)}, among them {sorted(set(masks) ^ wanted)[0]!r} missing or too many."
        )
        gone = sum(sum(removed_by(masks[name], before[name])) for name in wanted)
        n = sum(before[name].numel() for name in wanted)
        assert 0 < gone < n, f"At sparsity 0.25 some entries go and some stay; your masks remove {gone} of {n}."
### END HIDDEN TESTS

# %% tests="prune_each" points=1
import random

from gpt2_lib.course.lesson import time_limit
from gpt2_lib.course.progress import progress

with progress.check("prune_each", "magnitude_prune"):
    small = small_model()
    with torch.no_grad():
        for parameter in small.h[1].parameters():
            parameter *= 10  # the second block's weights are far larger
    before = {name: parameter.detach().clone() for name, parameter in small.named_parameters()}
    progress.given("sparsity 0.5 and a small model whose second block has ten times larger weights")
    magnitude_prune(small, 0.5)
    for name, parameter in parameters_after(small, before).items():
        if parameter.dim() == 2 and name.startswith("h."):
            got, n = int((parameter == 0).sum()), parameter.numel()
            assert got == n // 2, (
                f"At sparsity 0.5 each weight loses half of its entries. {name} has {n}, and {got} of them are zero in the model. "
                "(The second block's weights are ten times larger here. Is each weight ranked on its own, and does the zero reach the model?)"
            )
### BEGIN HIDDEN TESTS
seed = random.SystemRandom().randrange(10**6)
with time_limit():
    for sparsity in (0.1, 0.5, 0.77):
        small = small_model(seed, heads=(2, 1), neurons=(7, 3))
        before = {name: parameter.detach().clone() for name, parameter in small.named_parameters()}
        magnitude_prune(small, sparsity)
        for name, parameter in parameters_after(small, before).items():
            if name.startswith("h.") and ("attn" in name or "mlp" in name) and not name.endswith("bias"):
                values = before[name].flatten().tolist()
                wanted = [False] * len(values)
                while sum(wanted) < round(sparsity * len(values)):  # the smallest that is left goes
                    smallest = None
                    for position, value in enumerate(values):
                        if not wanted[position] and (smallest is None or abs(value) < abs(values[smallest])):
                            smallest = position
                    wanted[smallest] = True
                got = [value == 0 for value in parameter.detach().flatten().tolist()]
                if sum(got) == sum(wanted):
                    fault = "the right number of them is zero in the model, but they are not the smallest"
                else:
                    fault = f"{sum(wanted)} of them go, {sum(got)} are zero in the model"
                assert got == wanted, (
                    f"Sparsity {sparsity}, {name} with its {len(values)} entries: {fault} (seed {seed})."
                )
### END HIDDEN TESTS

# %% tests="prune_writes" points=1
from gpt2_lib.course.lesson import mask_fault, show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("prune_writes", "magnitude_prune"):
    small = small_model()
    parameters = dict(small.named_parameters())
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    progress.given("sparsity 0.5 and the small model whose parameters are listed above")
    masks = magnitude_prune(small, 0.5)
    assert masks is not None, "magnitude_prune() returned nothing: end it with `return ...`."
    assert isinstance(masks, dict), f"A dict {{parameter name: mask}} was expected; a {type(masks).__name__} came back."
    after = parameters_after(small, before)
    for name in (f"h.{i}.{part}.weight" for i in (0, 1) for part in ("attn.c_attn", "mlp.c_proj")):
        assert name in masks, f"There is no mask for {name} in what you return."
        fault = mask_fault(masks[name], before[name])
        assert fault is None, f"The mask of {name}: {fault}"
        assert after[name] is parameters[name], (
            f"{name} is a new parameter: an optimiser made earlier would go on training the old one. Write into the one that is there."
        )
        assert after[name].requires_grad, f"{name} can't be trained any more (requires_grad is False)."
        wanted = torch.where(masks[name], before[name], 0.0)
        assert torch.equal(after[name], wanted), (
            f"The model's {name} does not agree with its mask: zero where it is False, unchanged where it is True. Is the model itself changed?\n"
            f"Its mask:\n{show(masks[name])}\nthe weight before:\n{show(before[name])}\nafter:\n{show(after[name])}"
        )
### BEGIN HIDDEN TESTS
import random

with time_limit():
    for heads, neurons in (((1, 2, 1), (3, 8, 5)), ((2,), (6,))):
        small = small_model(random.SystemRandom().randrange(10**6), heads, neurons)
        before = {name: parameter.detach().clone() for name, parameter in small.named_parameters()}
        masks = magnitude_prune(small, 0.7)
        after, zeros, entries = parameters_after(small, before), 0, 0
        for name, mask in masks.items():
            if name not in before or before[name].dim() != 2:
                continue  # a wrong name has a check of its own
            rows = zip(
                mask.flatten().tolist(), before[name].flatten().tolist(), after[name].flatten().tolist(), strict=True
            )
            for kept, old, new in rows:
                assert new == (old if kept else 0.0), (
                    f"{name} was {old:.4f} where its mask is {kept}; it is {new:.4f} now."
                )
                zeros, entries = zeros + (new == 0), entries + 1
        assert 0 < zeros < entries, (
            f"At sparsity 0.7, {zeros} of the {entries} entries that your masks name are zero in the model."
        )
        for name, parameter in after.items():
            assert parameter.requires_grad, f"{name} can't be trained any more (requires_grad is False)."
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `for name, parameter in model.named_parameters()` visits everything. The names tell which are yours: those inside
# `attn` or `mlp` that end in `weight`. `magnitude_mask` does the rest, one parameter at a time.
# </details>
# <details><summary>Hint 2</summary>
#
# PyTorch refuses to write into a trainable parameter unless you say that this is not training: put the loop inside
# `with torch.no_grad():`. Then `parameter[~mask] = 0.0`, or `parameter *= mask`, writes into the model itself.
# (`parameter = parameter * mask` makes a new tensor, and the model never hears of it.)
# </details>

# %% [markdown]
# **What you saw.** Your function prunes gpt2-mini: each point is a fresh copy, measured on pages it has never seen.
# Your curve lies on the library's if the two agree. The third curve cuts the same *number* of weights by lot: the
# distance between them is what looking at the size is worth.

# %%
from gpt2_lib import quick_magnitude_prune

levels = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8)


def curve(prune):
    """Perplexity on held-out text after ``prune(copy of the model, sparsity)``, for each of the levels."""
    perplexities = []
    for s in levels:
        copy = deepcopy(model)
        prune(copy, s)
        perplexities.append(evaluate(copy, windows[:6]).perplexity)
    return perplexities


def prune_by_lot(copy, sparsity):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for block in copy.h:
            for layer in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj):
                layer.weight *= torch.rand(layer.weight.shape, generator=generator) >= sparsity


with when_written("exercise 2.1"):
    yours = curve(magnitude_prune)
    library, by_lot = curve(lambda copy, s: quick_magnitude_prune(copy, s, s)), curve(prune_by_lot)
    figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
    ax.plot(levels, library, color=plots.GREY, linewidth=7, alpha=0.5, label="the library, by magnitude")
    ax.plot(levels, yours, color=plots.BLUE, marker="o", label="yours")
    ax.plot(levels, by_lot, color=plots.ORANGE, marker="s", linestyle="--", label="by lot")
    ax.set(yscale="log", xlabel="sparsity of attention and feed-forward weights", ylabel="perplexity (log scale)")
    ax.legend(frameon=False)
    plt.show()
    print("perplexity  " + "".join(f"{s:>9.0%}" for s in levels))
    for name, values in (("yours", yours), ("library", library), ("by lot", by_lot)):
        print(f"{name:<12}" + "".join(f"{value:9.1f}" for value in values))

# %% [markdown]
# The first third goes for little. At a half, gpt2-mini is twice as unsure as before, and from there it gets worse quickly; by lot, it
# would have been lost at a third. Nothing was retrained here: this is **one shot**. Exercise 2.3 trains in between, and
# the bend moves to the right. And remember Phase 1: these zeros make no dense matrix product faster. What the next exercise cuts does.

# %% [markdown]
# ## 2.2 · Structured: whole neurons and heads go
# *difficulty ★★☆ and ★★★ · 10 minutes · 13 points*
#
# A zero inside a matrix saves no time: the processor multiplies by it like by any number. But if everything that belongs
# to one **neuron** is gone, its row and its column can be cut out, and the matrices are really smaller. Any chip has
# less to compute then, with the plain kernels it has. The same holds for a whole **attention head**. The price: you can't pick the
# smallest weights one by one any more, so the same number of weights costs more quality.
#
# **The layout.** PyTorch's `nn.Linear` stores its weight as (out, in): one **row** for each output, one **column** for each
# input. With $C$ the width of the model and $n$ hidden neurons, a feed-forward part is
#
# $$y = W_{proj}\,\text{GELU}(W_{fc}\,x + b), \qquad W_{fc}: (n, C),\quad b: (n),\quad W_{proj}: (C, n)$$
#
# so neuron $j$ is three things: **row** $j$ of $W_{fc}$ and entry $j$ of $b$ feed it, **column** $j$ of $W_{proj}$ is what it feeds.
#
# ### Exercise 2.2 a · `neuron_scores`
# *★☆☆ · 2 minutes*
#
# Which neurons matter least? One that hardly hears anything, and one that nobody listens to. So multiply the two:
#
# $$\text{score}_j = \Big\lVert\, [\,W_{fc}[j, :],\; b_j\,] \,\Big\rVert_2 \cdot \Big\lVert\, W_{proj}[:, j] \,\Big\rVert_2,
# \qquad \lVert v \rVert_2 = \sqrt{\textstyle\sum_i v_i^2}$$
#
# The bias counts: it is the weight of an input that is always 1. Four neurons in a model of width 2, one neuron a colour:

# %%
c_fc_weight = torch.tensor([[3.0, 0.0], [1.0, 2.0], [0.0, 0.0], [2.0, 1.0]])  # (n=4, C=2)
c_fc_bias = torch.tensor([4.0, 2.0, 1.0, 2.0])  # (n=4,)
c_proj_weight = torch.tensor([[0.0, 0.0, 3.0, 2.0], [2.0, 0.0, 4.0, 0.0]])  # (C=2, n=4)

figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained", width_ratios=(2, 1, 4))
plots.matrix(axes[0], c_fc_weight, "c_fc weight")
plots.matrix(axes[1], c_fc_bias[:, None], "bias")
plots.matrix(axes[2], c_proj_weight, "c_proj weight")
for j, (colour, *_) in zip(range(4), plots.SERIES, strict=False):
    for ax, corner, width, height in (
        (axes[0], (-0.45, j - 0.45), 1.9, 0.9),
        (axes[1], (-0.45, j - 0.45), 0.9, 0.9),
        (axes[2], (j - 0.45, -0.45), 0.9, 1.9),
    ):
        ax.add_patch(plt.Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=2.5))
    axes[0].text(-0.6, j, f"neuron {j} ", ha="right", va="center", color=colour, weight="bold")
plt.show()
print("neuron 0: sqrt(9 + 0 + 16) * sqrt(0 + 4)  = 5 * 2 = 10")
print("neuron 1: sqrt(1 + 4 + 4)  * sqrt(0 + 0)  = 3 * 0 =  0   nobody listens to it")
print("neuron 2: sqrt(0 + 0 + 1)  * sqrt(9 + 16) = 1 * 5 =  5   it hears nothing but its bias, and still speaks")
print("neuron 3: sqrt(4 + 1 + 4)  * sqrt(4 + 0)  = 3 * 2 =  6")

# %% [markdown]
# On the real model: drag, and neurons fall out of the second block (blocks count from 0), those with the lowest scores first.
# Then change the 1 into a 0 and run the cell again: does the first block behave alike?

# %%
NeuronDemo(model, windows[:4], 1)


# %% exercise="neuron_scores"
def neuron_scores(c_fc_weight: torch.Tensor, c_fc_bias: torch.Tensor, c_proj_weight: torch.Tensor) -> torch.Tensor:
    """One score for each hidden neuron: the L2 norm of all that feeds it times the L2 norm of all that it feeds.

    c_fc_weight (n, C) and c_fc_bias (n,) feed the n neurons; c_proj_weight (C, n) takes from them
    returns: float tensor (n,), the score of neuron 0, 1, ... n - 1
    """
    ### BEGIN SOLUTION
    feeds = torch.cat([c_fc_weight, c_fc_bias[:, None]], dim=1)  # (n, C + 1)
    return feeds.norm(dim=1) * c_proj_weight.norm(dim=0)
    ### END SOLUTION


# %% locked="structured_reader"
def as_numbers(values, count):
    """A learner's scores as a list of floats. (Their exact type and shape have a check of their own.)"""
    assert values is not None, "neuron_scores() returned nothing: end it with `return ...`."
    try:
        flat = torch.as_tensor(values).detach().double().flatten().tolist()
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"A tensor of {count} scores was expected; a {type(values).__name__} came back.") from None
    assert len(flat) == count, f"There are {count} neurons, so {count} scores were expected; {len(flat)} came back."
    return flat


# %% tests="scores_value" points=2
import math
import random

from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("scores_value", "neuron_scores"):
    feeds = torch.tensor([[3.0, 4.0], [0.0, 1.0], [6.0, 8.0]])  # (n=3, C=2)
    fed = torch.tensor([[0.0, 3.0, 0.0], [2.0, 4.0, 1.0]])  # (C=2, n=3)
    shown = f"c_fc weight\n{show(feeds)}\nno bias (all 0), c_proj weight\n{show(fed)}"
    progress.given(shown)
    got = as_numbers(neuron_scores(feeds.clone(), torch.zeros(3), fed.clone()), 3)
    ideas = {
        (5.0, 1.0, 10.0): "That is what feeds each neuron; what it feeds is missing.",
        (2.0, 5.0, 1.0): "That is what each neuron feeds; what feeds it is missing.",
        (7.0, 6.0, 11.0): "The two norms are added; a neuron that nobody listens to would still score.",
        (100.0, 25.0, 100.0): "These are squares of what was expected.",
        (14.0, 7.0, 14.0): "That looks like L1 norms, sums of absolute values.",
    }
    idea = ideas.get(
        tuple(round(value, 3) for value in got), "A row of c_fc feeds a neuron; a column of c_proj is what it feeds."
    )
    assert torch.allclose(torch.tensor(got), torch.tensor([10.0, 5.0, 10.0]), rtol=1e-4), (
        f"Scores of 10, 5 and 10 were expected; {', '.join(f'{g:.4g}' for g in got)} came back. {idea}\nGiven:\n{shown}"
    )
### BEGIN HIDDEN TESTS
seed = random.SystemRandom().randrange(10**6)
generator = torch.Generator().manual_seed(seed)
with time_limit():
    for n, C in ((1, 1), (4, 4), (7, 3), (3, 8)):
        feeds, fed = torch.randn(n, C, generator=generator), torch.randn(C, n, generator=generator)
        got = as_numbers(neuron_scores(feeds.clone(), torch.zeros(n), fed.clone()), n)
        for j in range(n):
            into = out = 0.0
            for i in range(C):
                into += float(feeds[j, i]) ** 2
                out += float(fed[i, j]) ** 2
            wanted = math.sqrt(into) * math.sqrt(out)
            assert math.isclose(got[j], wanted, rel_tol=1e-3), (
                f"Random weights of {n} neurons, width {C}, no bias: neuron {j} has score {wanted:.4f}; yours is {got[j]:.4f} (seed {seed})."
            )
### END HIDDEN TESTS

# %% tests="scores_bias" points=1
import math
import random

from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("scores_bias", "neuron_scores"):
    feeds = torch.tensor([[3.0, 0.0], [0.0, 0.0], [0.0, 0.0]])  # (n=3, C=2)
    bias = torch.tensor([-4.0, 2.0, 0.0])
    fed = torch.tensor([[1.0, 0.0, 3.0], [0.0, 1.0, 4.0]])  # (C=2, n=3)
    shown = f"c_fc weight\n{show(feeds)}\nbias\n{show(bias)}\nc_proj weight\n{show(fed)}"
    progress.given(shown)
    got = as_numbers(neuron_scores(feeds.clone(), bias.clone(), fed.clone()), 3)
    if math.isclose(got[0], 3.0, rel_tol=1e-4):
        idea = "Where does the bias come in? It feeds its neuron like one more input, one that is always 1."
    elif math.isclose(got[0], 7.0, rel_tol=1e-4):
        idea = "The bias belongs under the same root as the weights."
    else:
        idea = "The bias feeds its neuron like one more weight in the row."
    assert torch.allclose(torch.tensor(got), torch.tensor([5.0, 2.0, 0.0]), rtol=1e-4, atol=1e-6), (
        f"Scores of 5, 2 and 0 were expected; {', '.join(f'{g:.4g}' for g in got)} came back. {idea}\nGiven:\n{shown}"
    )
### BEGIN HIDDEN TESTS
seed = random.SystemRandom().randrange(10**6)
generator = torch.Generator().manual_seed(seed)
with time_limit():
    for n, C in ((5, 2), (3, 3), (2, 6)):
        feeds, fed = torch.randn(n, C, generator=generator), torch.randn(C, n, generator=generator)
        bias = torch.randn(n, generator=generator)
        bias[0] = -1.5
        got = as_numbers(neuron_scores(feeds.clone(), bias.clone(), fed.clone()), n)
        for j in range(n):
            into, out = float(bias[j]) ** 2, 0.0
            for i in range(C):
                into += float(feeds[j, i]) ** 2
                out += float(fed[i, j]) ** 2
            wanted = math.sqrt(into) * math.sqrt(out)
            assert math.isclose(got[j], wanted, rel_tol=1e-3), (
                f"Random weights of {n} neurons, width {C}: neuron {j}, bias {float(bias[j]):.4f}, has score {wanted:.4f}; yours is {got[j]:.4f} (seed {seed})."
            )
### END HIDDEN TESTS

# %% tests="scores_care" points=1
import math

from gpt2_lib.course.lesson import show, tensor_fault, time_limit
from gpt2_lib.course.progress import progress

with progress.check("scores_care", "neuron_scores"):
    given = [
        torch.tensor([[3.0, 0.0], [1.0, 2.0], [2.0, 1.0]]),
        torch.tensor([4.0, 2.0, 2.0]),
        torch.tensor([[0.0, 1.0, 2.0], [2.0, 2.0, 0.0]]),
    ]
    before = [tensor.clone() for tensor in given]
    progress.given(f"c_fc weight\n{show(given[0])}\nbias\n{show(given[1])}\nc_proj weight\n{show(given[2])}")
    fault = tensor_fault(neuron_scores(*given), (3,))
    assert fault is None, f"For 3 neurons: {fault}"
    for name, now, old in zip(("c_fc_weight", "c_fc_bias", "c_proj_weight"), given, before, strict=True):
        assert torch.equal(now, old), (
            f"neuron_scores() changed {name}; it should only look.\nBefore:\n{show(old)}\nafter:\n{show(now)}"
        )
### BEGIN HIDDEN TESTS
import random

seed = random.SystemRandom().randrange(10**6)
dice, generator = random.Random(seed), torch.Generator().manual_seed(seed)
with time_limit():
    for n, C in ((1, 1), (5, 3), (4, 6)):
        order = dice.sample(range(n), n)  # the neurons from the least important to the most
        sizes = torch.zeros(n)
        for rank, neuron in enumerate(order):
            sizes[neuron] = 4.0 ** (rank - 3)  # so far apart that the precision doesn't matter, nor which norm it is
        feeds, fed = (0.8 + 0.4 * torch.rand(n, C, generator=generator) for _ in range(2))
        plain = [
            feeds * sizes[:, None],
            0.05 + 0.01 * torch.rand(n, generator=generator),
            (fed * sizes[:, None]).t().contiguous(),
        ]
        kinds = {str(dtype): [tensor.to(dtype) for tensor in plain] for dtype in (torch.float16, torch.bfloat16)}
        kinds["torch.float32, in another order in memory than they read"] = [
            plain[0].t().contiguous().t(),
            plain[1].repeat_interleave(2)[::2],
            plain[2].t().contiguous().t(),
        ]
        for kind, weights in kinds.items():
            scores = neuron_scores(*weights)
            fault = tensor_fault(scores, (n,))
            assert fault is None, f"{n} neurons, weights of {kind}: {fault}"
            got = sorted(range(n), key=scores.tolist().__getitem__)
            assert got == order, (
                f"{n} neurons, weights of {kind}: each neuron in the order {order} weighs many times as much as the one before; your "
                f"scores are {show(scores)} (seed {seed})."
            )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Square, add up along the right dimension, take the root: once along the rows of `c_fc_weight`, with the bias's
# square added before the root, and once down the columns of `c_proj_weight`.
# </details>
# <details><summary>Hint 2</summary>
#
# `torch.cat([c_fc_weight, c_fc_bias[:, None]], dim=1)` has one row for each neuron with everything that feeds it, and
# `.norm(dim=1)` gives a norm for each row, `.norm(dim=0)` for each column.
# </details>

# %% [markdown]
# ### Exercise 2.2 b · `remove_neurons`
# *★★☆ · 3 minutes*
#
# Now cut. It is tempting to write zeros into row $j$ of $W_{fc}$ and call neuron $j$ gone. It isn't: it still gets
# its bias, so it says $\text{GELU}(b_j)$ at every token, and $W_{proj}$ passes that on. GELU(1) is 0.84, not 0. This **leak**
# is easy to overlook. Row, bias and column must all go; then nothing is left that could leak.
#
# Look at neuron 2 above: its row *is* all zeros, and its score is 5. It goes now, and `keep = tensor([0, 1, 3])` names those that stay.


# %% locked="mlp_output"
def mlp_output(x, c_fc_weight, c_fc_bias, c_proj_weight):
    """What a feed-forward part makes of x (C,), without the last bias: as in gpt2_lib/gpt2.py."""
    hidden = torch.nn.functional.gelu(c_fc_weight @ x + c_fc_bias, approximate="tanh")  # (n,)
    return c_proj_weight @ hidden  # (C,)


# %%
figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained", width_ratios=(2, 1, 4))
gone = torch.tensor([False, False, True, False])  # neuron 2
plots.matrix(axes[0], c_fc_weight, "c_fc weight", keep=~gone[:, None].expand(4, 2))
plots.matrix(axes[1], c_fc_bias[:, None], "bias", keep=~gone[:, None])
plots.matrix(axes[2], c_proj_weight, "c_proj weight", keep=~gone.expand(2, 4))
plt.show()

keep = torch.tensor([0, 1, 3])
x = torch.tensor([0.5, -1.0])  # any token
whole = mlp_output(x, c_fc_weight, c_fc_bias, c_proj_weight)
without = mlp_output(x, c_fc_weight[keep], c_fc_bias[keep], c_proj_weight[:, keep])
print(f"output with neuron 2, whose row is all zeros: {[round(v, 3) for v in whole.tolist()]}")
print(f"output without it:                            {[round(v, 3) for v in without.tolist()]}")
print(
    f"the difference is GELU(1) * its column:       {[round(v, 3) for v in (whole - without).tolist()]}, for every token"
)


# %% exercise="remove_neurons"
def remove_neurons(
    c_fc_weight: torch.Tensor, c_fc_bias: torch.Tensor, c_proj_weight: torch.Tensor, keep: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Smaller copies of the three, with only the neurons in keep; what they compute is as if the others were silent.

    c_fc_weight (n, C), c_fc_bias (n,), c_proj_weight (C, n); keep: int64 (k,), ascending indices of those that stay
    returns: c_fc_weight (k, C), c_fc_bias (k,), c_proj_weight (C, k), in the order of keep
    """
    ### BEGIN SOLUTION
    return c_fc_weight[keep], c_fc_bias[keep], c_proj_weight[:, keep]
    ### END SOLUTION


# %% locked="three_reader"
def three_tensors(result, name):
    """The three tensors that remove_neurons and remove_heads return."""
    assert result is not None, f"{name}() returned nothing: end it with `return ...`."
    assert isinstance(result, tuple | list), f"{name}() returns three tensors; a {type(result).__name__} came back."
    assert len(result) == 3, (
        f"{name}() returns three tensors, the weight and the bias that feed, and the weight that is fed; {len(result)} came back."
    )
    for what, tensor in zip(("first", "second", "third"), result, strict=True):
        assert isinstance(tensor, torch.Tensor), (
            f"{name}() returns three torch tensors; the {what} that came back is a {type(tensor).__name__}."
        )
    return [tensor.detach() for tensor in result]


# %% tests="neurons_shapes" points=1
from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("neurons_shapes", "remove_neurons"):
    keep = torch.tensor([0, 2, 3, 4])
    progress.given(f"c_fc weight (6, 3), bias (6,), c_proj weight (3, 6), keep = {keep.tolist()}")
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(shape, generator=generator) for shape in ((6, 3), (6,), (3, 6))]
    smaller = three_tensors(remove_neurons(*weights, keep), "remove_neurons")
    for name, old, new, shape, idea in zip(
        ("c_fc weight", "bias", "c_proj weight"),
        weights,
        smaller,
        ((4, 3), (4,), (3, 4)),
        (
            "A neuron is a row of it.",
            "Each neuron has one entry in it.",
            "A neuron is a column of it, since it is (out, in).",
        ),
        strict=True,
    ):
        got = tuple(new.shape)
        if got == tuple(old.shape):
            idea += " Its size did not change: zeros are not enough here."
        elif got == tuple(2 if size == 4 else size for size in shape):
            idea += " keep names those that stay."
        assert got == shape, (
            f"4 of 6 neurons stay: the {name} {tuple(old.shape)} becomes {shape}; yours is {got}. {idea}"
        )
### BEGIN HIDDEN TESTS
import random

generator = torch.Generator().manual_seed(random.SystemRandom().randrange(10**6))
with time_limit():
    for n, C, kept in ((6, 3, [1]), (5, 5, [0, 4]), (4, 7, [1, 2, 3]), (8, 4, [0, 1, 2, 3, 4, 5, 6, 7])):
        weights = [torch.rand(shape, generator=generator) + 2 for shape in ((n, C), (n,), (C, n))]
        numbers = {number for weight in weights for number in weight.flatten().tolist()}
        smaller = three_tensors(remove_neurons(*weights, torch.tensor(kept)), "remove_neurons")
        got, k = [tuple(tensor.shape) for tensor in smaller], len(kept)
        assert got == [(k, C), (k,), (C, k)], (
            f"{k} of {n} neurons stay, width {C}: shapes {[(k, C), (k,), (C, k)]} were expected; {got} came back."
        )
        assert any(number in numbers for tensor in smaller for number in tensor.flatten().tolist()), (
            "Not one number that came back is one of those that went in: what stays is copied, not made anew."
        )
### END HIDDEN TESTS

# %% tests="neurons_output" points=2
import math
import random

from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("neurons_output", "remove_neurons"):
    weights = [
        torch.tensor([[3.0, 0.0], [1.0, 2.0], [0.0, 0.0], [2.0, 1.0]]),
        torch.tensor([4.0, 2.0, 1.0, 2.0]),
        torch.tensor([[0.0, 1.0, 3.0, 2.0], [2.0, 0.0, 4.0, 0.0]]),
    ]
    shown = f"c_fc weight\n{show(weights[0])}\nbias\n{show(weights[1])}\nc_proj weight\n{show(weights[2])}\nkeep = [0, 1, 3]"
    progress.given(shown)
    smaller = three_tensors(remove_neurons(*[w.clone() for w in weights], torch.tensor([0, 1, 3])), "remove_neurons")
    n = smaller[0].size(0) if smaller[0].dim() == 2 else 0
    shapes = [tuple(tensor.shape) for tensor in smaller]
    assert shapes == [(n, 2), (n,), (2, n)], (
        f"The three that came back don't fit together: {shapes}. A feed-forward part of width 2 has (n, 2), (n,) and (2, n)."
    )
    x = torch.tensor([0.0, 0.0])  # of the token only the biases are left
    # GELU(4) = 3.9999 and GELU(2) = 1.9546; what GELU(1) = 0.8412 says must not come through
    wanted = torch.tensor([1.9546 * 1 + 1.9546 * 2, 3.9999 * 2])
    got = mlp_output(x, *[tensor.float() for tensor in smaller])
    leak = torch.tensor([0.8412 * 3, 0.8412 * 4])
    if torch.allclose(got, wanted + leak, atol=1e-3):
        idea = "What is too much is GELU(1) times neuron 2's column: its bias leaks through."
    else:
        idea = "Do row, bias and column of what you keep belong to the same neurons?"
    assert torch.allclose(got, wanted, atol=1e-3), (
        f"Neuron 2 silenced, the input (0, 0): the output is {[round(v, 3) for v in wanted.tolist()]}; with your matrices it is "
        f"{[round(v, 3) for v in got.tolist()]}. {idea}\nGiven:\n{shown}\nyour c_fc weight\n{show(smaller[0])}\nyour bias\n{show(smaller[1])}\n"
        f"your c_proj weight\n{show(smaller[2])}"
    )
### BEGIN HIDDEN TESTS
seed = random.SystemRandom().randrange(10**6)
generator = torch.Generator().manual_seed(seed)


def slow_mlp(x, feeds, bias, fed, alive):
    """The output as a list, neuron by neuron; those not in ``alive`` say nothing."""
    output = [0.0] * len(fed)
    for j in range(len(feeds)):
        if j in alive:
            h = bias[j]
            for i in range(len(x)):
                h += feeds[j][i] * x[i]
            h = 0.5 * h * (1 + math.tanh(math.sqrt(2 / math.pi) * (h + 0.044715 * h**3)))
            for i in range(len(fed)):
                output[i] += fed[i][j] * h
    return output


with time_limit():
    for n, C, kept in (
        (6, 3, [0, 2, 5]),
        (5, 5, [4]),
        (4, 7, [1, 2, 3]),
        (9, 4, [1, 3, 4, 6, 7, 8]),
        (3, 3, [0, 1, 2]),
    ):
        weights = [torch.randn(shape, generator=generator) for shape in ((n, C), (n,), (C, n))]
        x = torch.randn(C, generator=generator).tolist()
        wanted = slow_mlp(x, *[w.tolist() for w in weights], kept)
        smaller = three_tensors(remove_neurons(*[w.clone() for w in weights], torch.tensor(kept)), "remove_neurons")
        got, k = [tuple(tensor.shape) for tensor in smaller], smaller[0].size(0)
        assert got == [(k, C), (k,), (C, k)], f"The three that came back don't fit together: {got}, of width {C}."
        got = slow_mlp(x, *[tensor.tolist() for tensor in smaller], range(k))
        assert torch.allclose(torch.tensor(got), torch.tensor(wanted), rtol=1e-4, atol=1e-4), (
            f"{n} neurons, width {C}, keep = {kept}: with the others silenced the first output is {wanted[0]:.4f}; with your matrices it is {got[0]:.4f} (seed {seed})."
        )
### END HIDDEN TESTS

# %% tests="neurons_care" points=1
from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("neurons_care", "remove_neurons"):
    weights = [torch.arange(8.0).view(4, 2), torch.arange(4.0), torch.arange(8.0).view(2, 4)]
    before = [tensor.clone() for tensor in weights]
    keep = torch.tensor([1, 2])
    progress.given(
        f"c_fc weight\n{show(weights[0])}\nbias\n{show(weights[1])}\nc_proj weight\n{show(weights[2])}\nkeep = [1, 2]"
    )
    smaller = three_tensors(remove_neurons(*weights, keep), "remove_neurons")
    names = ("c_fc_weight", "c_fc_bias", "c_proj_weight")
    for name, now, old in zip(names, weights, before, strict=True):
        assert torch.equal(now, old), (
            f"remove_neurons() changed the {name} it was given; copies are asked for.\nBefore:\n{show(old)}\nafter:\n{show(now)}"
        )
    assert keep.tolist() == [1, 2], f"remove_neurons() changed keep, from [1, 2] to {keep.tolist()}."
    for new in smaller:
        new.zero_()
    for name, now, old in zip(names, weights, before, strict=True):
        assert torch.equal(now, old), (
            f"Writing into the smaller {name} wrote into the one that was given too: a copy of its own is asked for."
        )
### BEGIN HIDDEN TESTS
import random

generator = torch.Generator().manual_seed(random.SystemRandom().randrange(10**6))
with time_limit():
    for n, C, kept in ((4, 2, [0, 1, 2, 3]), (4, 2, [3]), (5, 3, [0, 3, 4]), (1, 2, [0])):
        for dtype in (torch.float32, torch.float16):
            weights = [  # whole numbers, each once: exact in any precision
                torch.randperm(n * C, generator=generator).view(n, C).to(dtype) + 1,
                torch.randperm(n, generator=generator).to(dtype) + 1,
                torch.randperm(n * C, generator=generator).view(C, n).to(dtype) + 1,
            ]
            before = [tensor.clone() for tensor in weights]
            smaller = three_tensors(remove_neurons(*weights, torch.tensor(kept)), "remove_neurons")
            for place, j in enumerate(kept):
                for i in range(C):
                    assert float(smaller[0][place, i]) == float(before[0][j, i]), (
                        f"keep = {kept} of {n} neurons, {dtype}: row {place} of c_fc should be neuron {j}'s. The order is that of keep."
                    )
                    assert float(smaller[2][i, place]) == float(before[2][i, j]), (
                        f"keep = {kept} of {n} neurons, {dtype}: column {place} of c_proj should be neuron {j}'s. The order is that of keep."
                    )
                assert float(smaller[1][place]) == float(before[1][j]), (
                    f"keep = {kept} of {n} neurons, {dtype}: entry {place} of the bias should be neuron {j}'s."
                )
            for tensor in smaller:
                tensor.zero_()
            for now, old in zip(weights, before, strict=True):
                assert torch.equal(now, old), (
                    f"keep = {kept} of {n} neurons: writing into what came back wrote into what was given. Copies are asked for, whatever stays."
                )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# A tensor of indices picks rows: `matrix[keep]`. Which dimension of each of the three holds the neurons?
# </details>
# <details><summary>Hint 2</summary>
#
# `matrix[:, keep]` picks columns, and `index_select(dim, keep)` says the same with the dimension spelt out. Both
# make copies.
# </details>

# %% [markdown]
# ### Exercise 2.2 c · `remove_heads`
# *★★★ · 5 minutes*
#
# A head is a feed-forward neuron's big brother: $H$ outputs wide, and fed three times. GPT-2 computes queries, keys and values
# of all $N$ heads with a single matrix, `c_attn`, of shape $(3 N H, C)$. Its rows are **stacked**: first Q of head 0, head 1, ...,
# then K of all heads, then V of all heads. Head $h$ is $H$ rows in each of the three, with the biases that belong to them, and
# $H$ columns of `c_proj` $(C, N H)$:
#
# $$\text{rows of head } h:\quad p \cdot N H + h \cdot H + i, \qquad p \in \{0, 1, 2\} \text{ for Q, K, V},\quad 0 \le i < H$$
#
# Here $N = 2$ heads of size $H = 2$ in a model of width $C = 4$, and head 0 goes:

# %%
N, H, C = 2, 2, 4
labels = [f"{part} head {h}" for part in "QKV" for h in range(N) for _ in range(H)]
rows_of_head_0 = torch.tensor([0, 1, 4, 5, 8, 9])
columns_of_head_0 = torch.tensor([0, 1])

figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
stays = torch.ones(3 * N * H, C, dtype=torch.bool)
stays[rows_of_head_0] = False
plots.matrix(axes[0], torch.arange(48.0).view(12, 4) - 24, "c_attn weight (3 N H, C)", keep=stays)
axes[0].set_yticks(range(12), labels)
for line in (3.5, 7.5):
    axes[0].axhline(line, color="black", linewidth=2)
stays = torch.ones(C, N * H, dtype=torch.bool)
stays[:, columns_of_head_0] = False
plots.matrix(axes[1], torch.arange(16.0).view(4, 4) - 8, "c_proj weight (C, N H)", keep=stays)
axes[1].set_xticks(range(4), ["head 0", "head 0", "head 1", "head 1"])
plt.show()


# %% locked="attention_output"
def attention_output(x, c_attn_weight, c_attn_bias, c_proj_weight, n_head):
    """What causal attention makes of x (T, C), without the last bias: as in gpt2_lib/gpt2.py."""
    T = x.size(0)
    qkv = (x @ c_attn_weight.t() + c_attn_bias).view(T, 3, n_head, -1)  # (T, 3, N, H)
    q, k, v = qkv.permute(1, 2, 0, 3)  # each (N, T, H)
    y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)  # (N, T, H)
    return y.transpose(0, 1).reshape(T, -1) @ c_proj_weight.t()  # (T, C)


# %% exercise="remove_heads"
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
    ### BEGIN SOLUTION
    width = c_proj_weight.size(1)  # N H
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()  # (k H,)
    rows = torch.cat([columns, columns + width, columns + 2 * width])  # (3 k H,): in Q, in K, in V
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
    ### END SOLUTION


# %% tests="heads_shapes" points=1
from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("heads_shapes", "remove_heads"):
    progress.given("c_attn weight (24, 8), bias (24,), c_proj weight (8, 8), n_head = 4, keep = [0, 2, 3]")
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(shape, generator=generator) for shape in ((24, 8), (24,), (8, 8))]
    smaller = three_tensors(remove_heads(*weights, 4, torch.tensor([0, 2, 3])), "remove_heads")
    for name, old, new, shape, idea in zip(
        ("c_attn weight", "c_attn bias", "c_proj weight"),
        weights,
        smaller,
        ((18, 8), (18,), (8, 6)),
        (
            "A head has H = 2 rows of Q in it, 2 of K and 2 of V.",
            "It has one entry for each row of the weight.",
            "A head is H = 2 of its columns, since it is (out, in).",
        ),
        strict=True,
    ):
        got = tuple(new.shape)
        if got == tuple(old.shape):
            idea += " Its size did not change: zeros are not enough here."
        elif got in ((22, 8), (22,)):
            idea += " Yours lost those of one of the three only."
        assert got == shape, f"3 of 4 heads stay: the {name} {tuple(old.shape)} becomes {shape}; yours is {got}. {idea}"
### BEGIN HIDDEN TESTS
import random

generator = torch.Generator().manual_seed(random.SystemRandom().randrange(10**6))
with time_limit():
    for N, H, kept in ((2, 3, [1]), (3, 1, [0, 2]), (5, 2, [0, 1, 4])):
        C, k = N * H, len(kept)
        weights = [torch.rand(shape, generator=generator) + 2 for shape in ((3 * N * H, C), (3 * N * H,), (C, N * H))]
        numbers = {number for weight in weights for number in weight.flatten().tolist()}
        smaller = three_tensors(remove_heads(*weights, N, torch.tensor(kept)), "remove_heads")
        got, wanted = [tuple(tensor.shape) for tensor in smaller], [(3 * k * H, C), (3 * k * H,), (C, k * H)]
        assert got == wanted, f"{k} of {N} heads of size {H} stay: shapes {wanted} were expected; {got} came back."
        assert any(number in numbers for tensor in smaller for number in tensor.flatten().tolist()), (
            "Not one number that came back is one of those that went in: what stays is copied, not made anew."
        )
### END HIDDEN TESTS

# %% tests="heads_output" points=3
import math
import random

from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("heads_output", "remove_heads"):
    progress.given("c_attn weight (18, 6), bias (18,), c_proj weight (6, 6), n_head = 3, keep = [0, 2]")
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(shape, generator=generator) for shape in ((18, 6), (18,), (6, 6))]
    x = torch.randn(4, 6, generator=generator)  # (T=4, C=6)
    silenced = weights[2].clone()
    silenced[:, 2:4] = 0.0  # nobody listens to head 1
    wanted = attention_output(x, weights[0], weights[1], silenced, 3)
    smaller = three_tensors(remove_heads(*[w.clone() for w in weights], 3, torch.tensor([0, 2])), "remove_heads")
    shapes = [tuple(tensor.shape) for tensor in smaller]
    assert shapes == [(12, 6), (12,), (6, 4)], (
        f"2 heads of size 2 in a model of width 6 are (12, 6), (12,) and (6, 4); {shapes} came back."
    )
    got = attention_output(x, *[tensor.float() for tensor in smaller], 2)
    if not torch.equal(smaller[2], weights[2][:, [0, 1, 4, 5]]):
        idea = "Look at c_proj first: head h feeds the columns h * H to h * H + H - 1."
    elif not torch.equal(smaller[0][:4], weights[0][[0, 1, 4, 5]]):
        idea = "Look at the first rows of c_attn: Q of head 0, then Q of head 2."
    else:
        idea = "c_proj and Q are right. Are K, V and all the biases taken from the same heads? K starts N * H rows further down."
    assert torch.allclose(got, wanted, atol=1e-4), (
        f"Three heads, head 1 silenced: the output for the last token is\n{show(wanted[-1])}\nwith your matrices it is\n{show(got[-1])}\n{idea}"
    )
### BEGIN HIDDEN TESTS
seed = random.SystemRandom().randrange(10**6)
generator = torch.Generator().manual_seed(seed)


def slow_attention(x, feeds, bias, fed, n_head, alive):
    """The output of causal attention as a list of lists, head by head; those not in ``alive`` say nothing."""
    width = len(fed[0])
    H = width // n_head
    output = [[0.0] * len(fed) for _ in x]
    stacked = []
    for token in x:
        stacked.append([])
        for row, b in zip(feeds, bias, strict=True):
            total = b
            for w, value in zip(row, token, strict=True):
                total += w * value
            stacked[-1].append(total)
    for h in range(n_head):
        if h not in alive:
            continue
        for t in range(len(x)):
            exps = []
            for s in range(t + 1):
                dot = 0.0
                for i in range(h * H, h * H + H):
                    dot += stacked[t][i] * stacked[s][width + i]
                exps.append(math.exp(dot / math.sqrt(H)))
            norm = math.fsum(exps)
            for i in range(h * H, h * H + H):
                y = 0.0
                for s in range(t + 1):
                    y += exps[s] / norm * stacked[s][2 * width + i]
                for c in range(len(fed)):
                    output[t][c] += fed[c][i] * y
    return output


with time_limit():
    for N, H, kept in ((2, 2, [1]), (2, 3, [0]), (4, 2, [0, 3]), (4, 3, [1, 2, 3]), (3, 1, [0, 2])):
        C = N * H
        weights = [torch.randn(shape, generator=generator) / 2 for shape in ((3 * N * H, C), (3 * N * H,), (C, N * H))]
        x = torch.randn(3, C, generator=generator).tolist()
        wanted = slow_attention(x, *[w.tolist() for w in weights], N, kept)
        smaller = three_tensors(remove_heads(*[w.clone() for w in weights], N, torch.tensor(kept)), "remove_heads")
        k = len(kept)
        shapes = [tuple(tensor.shape) for tensor in smaller]
        assert shapes == [(3 * k * H, C), (3 * k * H,), (C, k * H)], (
            f"{k} of {N} heads of size {H}: {shapes} came back."
        )
        got = slow_attention(x, *[tensor.tolist() for tensor in smaller], k, range(k))
        for t in range(3):
            assert torch.allclose(torch.tensor(got[t]), torch.tensor(wanted[t]), rtol=1e-3, atol=1e-4), (
                f"{N} heads of size {H}, keep = {kept}: with the others silenced the first output of token {t} is "
                f"{wanted[t][0]:.4f}; with your matrices it is {got[t][0]:.4f} (seed {seed})."
            )
### END HIDDEN TESTS

# %% tests="heads_care" points=1
from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("heads_care", "remove_heads"):
    weights = [torch.arange(48.0).view(12, 4), torch.arange(12.0), torch.arange(16.0).view(4, 4)]
    before = [tensor.clone() for tensor in weights]
    keep = torch.tensor([1])
    progress.given("c_attn weight (12, 4), bias (12,), c_proj weight (4, 4), n_head = 2, keep = [1]")
    smaller = three_tensors(remove_heads(*weights, 2, keep), "remove_heads")
    names = ("c_attn_weight", "c_attn_bias", "c_proj_weight")
    for name, now, old in zip(names, weights, before, strict=True):
        assert torch.equal(now, old), (
            f"remove_heads() changed the {name} it was given; copies are asked for.\nBefore:\n{show(old)}\nafter:\n{show(now)}"
        )
    assert keep.tolist() == [1], f"remove_heads() changed keep, from [1] to {keep.tolist()}."
    for new in smaller:
        new.zero_()
    for name, now, old in zip(names, weights, before, strict=True):
        assert torch.equal(now, old), (
            f"Writing into the smaller {name} wrote into the one that was given too: a copy of its own is asked for."
        )
### BEGIN HIDDEN TESTS
import random

generator = torch.Generator().manual_seed(random.SystemRandom().randrange(10**6))
with time_limit():
    # The last three have been pruned before: their heads are no longer as wide together as the model (N H < C).
    for N, H, C, kept in ((2, 2, 4, [0, 1]), (3, 2, 6, [0, 2]), (2, 2, 6, [0]), (3, 1, 4, [0, 2]), (1, 2, 4, [0])):
        for dtype in (torch.float32, torch.float16):
            width, k = N * H, len(kept)
            weights = [  # whole numbers, each once: exact in any precision
                torch.randperm(3 * width * C, generator=generator).view(3 * width, C).to(dtype) + 1,
                torch.randperm(3 * width, generator=generator).to(dtype) + 1,
                torch.randperm(C * width, generator=generator).view(C, width).to(dtype) + 1,
            ]
            before = [tensor.clone() for tensor in weights]
            smaller = three_tensors(remove_heads(*weights, N, torch.tensor(kept)), "remove_heads")
            shapes = [tuple(tensor.shape) for tensor in smaller]
            assert shapes == [(3 * k * H, C), (3 * k * H,), (C, k * H)], (
                f"{N} heads of size {H} in a model of width {C}, keep = {kept}: {shapes} came back. (Heads may have been removed before: "
                "how wide one is follows from the matrices' own shapes.)"
            )
            for part in range(3):
                for place, h in enumerate(kept):
                    for i in range(H):
                        new, old = part * k * H + place * H + i, part * width + h * H + i
                        assert smaller[0][new].tolist() == before[0][old].tolist(), (
                            f"{N} heads of size {H}, keep = {kept}, {dtype}: row {new} of c_attn should be row {old} of the old one. The order is that of keep."
                        )
                        assert float(smaller[1][new]) == float(before[1][old]), (
                            f"{N} heads of size {H}, keep = {kept}, {dtype}: entry {new} of the bias should be entry {old} of the old one."
                        )
                        if part == 0:
                            assert smaller[2][:, new].tolist() == before[2][:, old].tolist(), (
                                f"{N} heads of size {H}, keep = {kept}, {dtype}: column {new} of c_proj should be column {old} of the old one."
                            )
            for tensor in smaller:
                tensor.zero_()
            for now, old in zip(weights, before, strict=True):
                assert torch.equal(now, old), (
                    f"keep = {kept} of {N} heads: writing into what came back wrote into what was given. Copies are asked for, whatever stays."
                )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# How wide is a head? `c_proj_weight` has $N H$ columns. The columns of head $h$ are $hH$ to $hH + H - 1$: that gives the columns
# to keep. The rows of Q to keep have the same numbers.
# </details>
# <details><summary>Hint 2</summary>
#
# K's rows are Q's plus $N H$, V's are Q's plus $2 N H$: put the three together with `torch.cat` and pick weight and bias by it.
# `torch.arange(N * H).view(n_head, -1)[keep].flatten()` gives the columns without a loop. (Or view the weight as
# `(3, n_head, H, C)`, and pick along the second dimension.)
# </details>

# %% [markdown]
# **What you saw.** Your three functions on gpt2-mini: for growing shares of the neurons in every block, those with *your*
# lowest scores are cut out, and the model is measured. Your curve should lie on the library's.

# %%
from dataclasses import replace

from gpt2_lib import ModelPruner
from gpt2_lib.pruning import scores


def lowest_out(values, share):
    """Ascending indices of what stays when the share with the lowest scores goes."""
    return values.argsort(stable=True)[round(share * len(values)) :].sort().values


def shrunk(heads, neurons):
    """gpt2-mini without these shares of each block's heads and neurons, removed by your functions."""
    weights, n_heads, n_neurons = dict(model.state_dict()), [], []
    for i, block in enumerate(model.h):
        fc, proj = f"h.{i}.mlp.c_fc", f"h.{i}.mlp.c_proj.weight"
        three = weights[f"{fc}.weight"], weights[f"{fc}.bias"], weights[proj]
        stay = lowest_out(neuron_scores(*three), neurons)
        weights[f"{fc}.weight"], weights[f"{fc}.bias"], weights[proj] = remove_neurons(*three, stay)
        n_neurons.append(len(stay))
        qkv, proj = f"h.{i}.attn.c_attn", f"h.{i}.attn.c_proj.weight"
        three = weights[f"{qkv}.weight"], weights[f"{qkv}.bias"], weights[proj]
        of_heads = scores.head(*three, block.attn.n_head)  # the same idea as your score, from the library
        stay = lowest_out(of_heads, heads)
        weights[f"{qkv}.weight"], weights[f"{qkv}.bias"], weights[proj] = remove_heads(*three, block.attn.n_head, stay)
        n_heads.append(len(stay))
    smaller = GPT2(replace(model.config, heads=tuple(n_heads), neurons=tuple(n_neurons))).eval()
    smaller.load_state_dict(weights)
    return smaller


shares = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
with when_written("exercise 2.2"):
    yours = [evaluate(shrunk(0.0, s), windows[:6]).perplexity for s in shares]
    library = [evaluate(ModelPruner(model).remove_structures(0.0, s), windows[:6]).perplexity for s in shares]
    figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
    ax.plot(shares, library, color=plots.GREY, linewidth=7, alpha=0.5, label="the library")
    ax.plot(shares, yours, color=plots.BLUE, marker="o", label="yours")
    ax.set(yscale="log", xlabel="share of neurons removed from every block", ylabel="perplexity (log scale)")
    ax.legend(frameon=False)
    plt.show()

# %% [markdown]
# That bends early: a tenth of the neurons of every block, and the perplexity has more than doubled. Where does it go wrong?
# Take a quarter of *one* block's neurons at a time. Beside your score, two others: by lot, and by how much a neuron **says** on real
# text, which is its activation (root of the mean square over 1,536 tokens) times the norm of what it feeds.

# %%
from gpt2_lib.pruning.surgery import shrink


@torch.no_grad()
def said(block):
    """How much each neuron of a block says, measured on pages other than those the quality is measured on."""
    seen = []
    hook = block.mlp.c_proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(windows[6:])
    hook.remove()
    return seen[0].square().mean(dim=(0, 1)).sqrt() * block.mlp.c_proj.weight.norm(dim=0)


with when_written("exercise 2.2"), torch.no_grad():
    three = [(block.mlp.c_fc.weight, block.mlp.c_fc.bias, block.mlp.c_proj.weight) for block in model.h]
    by = {
        "your score": [neuron_scores(*weights) for weights in three],
        "by lot": [torch.rand(768, generator=torch.Generator().manual_seed(i)) for i in range(4)],
        "by what they say": [said(block) for block in model.h],
    }
    figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
    for number, (name, values) in enumerate(by.items()):
        heights = [
            evaluate(shrink(model, neurons={i: lowest_out(v, 0.25)}), windows[:6]).perplexity
            for i, v in enumerate(values)
        ]
        places = [i + 0.27 * (number - 1) for i in range(4)]
        bars = ax.bar(places, heights, width=0.25, color=plots.SERIES[number][0], label=name)
        ax.bar_label(bars, fmt="%.1f", fontsize=8)
    ax.axhline(dense.perplexity, color="black", linestyle="--", linewidth=1, label="nothing removed")
    ax.set(xlabel="the block that loses a quarter of its neurons", ylabel="perplexity", xticks=range(4))
    ax.legend(frameon=False)
    plt.show()

# %% [markdown]
# In three of four blocks your score takes a quarter of the neurons almost for free. In the first it fails, worse than the lot:
# some neurons there have small weights and fire hard, and weights alone don't tell. A score that also looks at what flows through gets it right. That is
# the idea of Wanda (Sun et al., 2023) for single weights. **Measure on your model; no score is safe everywhere.**
#
# And now what removing is for. A quarter of all heads and neurons goes, and the clock runs: the dense model; the same quarter
# *set to zero*, in matrices of full size; and the quarter *removed* by your functions.

# %%
from gpt2_lib import quick_magnitude_prune
from gpt2_lib.metrics import cost, cost_table

with when_written("exercise 2.2"):
    zeros, single = deepcopy(model), deepcopy(model)
    ModelPruner(zeros).prune_structures(0.25, 0.25)
    quick_magnitude_prune(single, 0.25, 0.25)
    removed = shrunk(0.25, 0.25)
    listening = ModelPruner(model).remove_structures(0.25, 0.25, windows=windows[6:])  # the library, by what they say
    costs = cost(
        {"dense": model, "a quarter set to zero": zeros, "a quarter removed, by you": removed}, windows[:1], repeats=7
    )
    display(Markdown(cost_table(costs, baseline="dense")))
    for name, m in (
        ("dense", model),
        ("set to zero", zeros),
        ("removed, by you", removed),
        ("removed, by what they say", listening),
        ("single weights (2.1)", single),
    ):
        quality, parameters = evaluate(m, windows[:6]), sum(p.numel() for p in m.parameters())
        print(
            f"{name:<26} perplexity {quality.perplexity:6.1f}   first guess right {quality.accuracy:.1%}   {parameters:,} parameters"
        )

# %% [markdown]
# Set to zero or removed, the quality is the same: only what was silent has been taken out. But only what is *removed* makes the
# model smaller and faster. The price depends on the choice: by weights alone a quarter of the heads and neurons is ruinous here, by what
# they say on real text it costs far less, with the same small matrices. And still more than a quarter of the single weights, chosen one by
# one. So structured pruning is usually followed by some training. (With four heads a block, a quarter is one
# whole head; GPT-2 124M has twelve to choose from.)

# %% [markdown]
# ## 2.3 · Gradual: a little at a time
# *difficulty ★☆☆ and ★★☆ · 5 minutes · 9 points*
#
# Cut half of the weights in one shot and the model stumbles: what is left was trained to work together with what is
# gone. Cut a few, train a little so that the rest takes over, cut a few more: that is **gradual pruning** (Zhu & Gupta,
# 2017, *To prune, or not to prune*). It takes two small functions: a **schedule** that says how much is gone at each
# training step, and a **training step** after which what is gone is still gone.
#
# ### Exercise 2.3 a · `cubic_sparsity`
# *★☆☆ · 2 minutes*
#
# At first there is plenty to spare, so much may go at once. Towards the end every cut hurts, so the cuts get smaller
# and smaller. Zhu & Gupta's equation 1 says it with a cubic: from the initial sparsity $s_i$ to the final one $s_f$, in
# $n$ steps from step $t_0$ on,
#
# $$s_t = s_f + (s_i - s_f)\Big(1 - \frac{t - t_0}{n}\Big)^3 \qquad \text{for } t_0 \le t \le t_0 + n .$$
#
# Before $t_0$ the sparsity is $s_i$; after $t_0 + n$ it stays at $s_f$.
#
# A weight of 2×4 numbers on its way from sparsity 0 to 0.75, in 4 steps:

# %%
weight = torch.tensor([[0.9, -0.1, 0.4, -0.7], [0.2, -0.8, 0.05, 0.3]])
worked = {0: (0.0, 0), 1: (0.434, 3), 2: (0.656, 5), 3: (0.738, 6), 4: (0.75, 6)}  # step: sparsity, gone of 8

figure, axes = plt.subplots(1, 5, figsize=(12, 1.6), layout="constrained")
smallest_first = weight.abs().flatten().sort().values.tolist()
for ax, (step, (s, gone)) in zip(axes, worked.items(), strict=True):
    plots.matrix(ax, weight, f"step {step}: {s:g}", keep=weight.abs() >= smallest_first[gone])
plt.show()
print("In the first step three weights go, then two, then one, then none: fast while it is easy, slow when it hurts.")

# %% [markdown]
# Drag the final sparsity, the start and the number of steps. The straight line arrives at the same place at the same
# time: how much of the work has each done half-way?

# %%
ScheduleDemo()


# %% exercise="cubic_sparsity"
def cubic_sparsity(step: int, start: int, steps: int, initial: float, final: float) -> float:
    """The sparsity at a training step, from initial to final along a cubic (Zhu & Gupta, 2017, equation 1).

    step:    the training step that is asked about; pruning begins at step start and takes steps (1 or more) steps
    returns: a float; initial before the start, final after the end
    """
    ### BEGIN SOLUTION
    done = min(max((step - start) / steps, 0.0), 1.0)  # the fraction of the way: 0 before the start, 1 after the end
    return final + (initial - final) * (1 - done) ** 3
    ### END SOLUTION


# %% locked="number_reader"
def number_from(value, name):
    """What the function called ``name`` returned as a float: a Python or NumPy number, or a tensor of one entry."""
    assert value is not None, f"{name}() returned nothing: end it with `return ...`."
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"{name}() should return one number; a {type(value).__name__} came back.") from None


# %% tests="cubic_value" points=2
from gpt2_lib.course.lesson import time_limit
from gpt2_lib.course.progress import progress

with progress.check("cubic_value", "cubic_sparsity"):
    lines = []
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
    elif not right[0] and right[10]:
        idea = "The end is right, the start is not: is it s_i - s_f in the brackets, in this order?"
    elif right[0] and right[10]:
        idea = "Start and end are right, what lies between them is not: how far along is each step, as a fraction?"
    else:
        idea = "At the first step the last factor is 1, at the end it is 0: what is left of the equation then?"
    table = "\n".join(f"{step:4}  {wanted[step]:8.4f}  {got[step]:8.4f}" for step in wanted)
    assert all(right.values()), (
        f"From sparsity 0 to 0.8 in 10 steps, beginning at step 0. {idea}\nstep  expected     yours\n{table}"
    )
### BEGIN HIDDEN TESTS
import random

seed = random.SystemRandom().randrange(10**6)
dice = random.Random(seed)
with time_limit():
    for _ in range(20):
        steps, final = dice.randint(2, 400), dice.uniform(0.05, 1.0)
        step = dice.randint(1, steps - 1)
        ahead = (steps - step) / steps
        wanted = final - final * ahead * ahead * ahead
        got = number_from(cubic_sparsity(step, 0, steps, 0.0, final), "cubic_sparsity")
        assert abs(got - wanted) < 1e-5, (
            f"Step {step} of {steps}, from 0 to {final:.4f}: {wanted:.6f} was expected, {got:.6f} came back (seed {seed})."
        )
### END HIDDEN TESTS

# %% tests="cubic_clamp" points=1
from gpt2_lib.course.lesson import time_limit
from gpt2_lib.course.progress import progress

with progress.check("cubic_clamp", "cubic_sparsity"):
    for step, wanted, when in ((0, 0.0, "before"), (3, 0.0, "before"), (15, 0.8, "after"), (60, 0.8, "after")):
        progress.given(f"step {step}, start 4, steps 10, initial 0.0, final 0.8")
        got = number_from(cubic_sparsity(step, 4, 10, 0.0, 0.8), "cubic_sparsity")
        assert abs(got - wanted) < 1e-5, (
            f"Pruning begins at step 4 and takes 10 steps, from sparsity 0 to 0.8. Step {step} lies {when} that: "
            f"{wanted:g} was expected, {got:g} came back. Outside of its steps the cubic goes on; the sparsity must not."
        )
### BEGIN HIDDEN TESTS
import random

seed = random.SystemRandom().randrange(10**6)
dice = random.Random(seed)
with time_limit():
    for steps in (1, dice.randint(2, 30), dice.randint(100, 400)):
        start, initial, final = dice.randint(5, 1000), dice.randint(5, 45) / 100, dice.randint(50, 99) / 100
        for step, wanted, when in (
            (0, initial, "before the start"),
            (start - 1, initial, "before the start"),
            (start + steps + 1, final, "after the end"),
            (10 * (start + steps), final, "after the end"),
        ):
            got = number_from(cubic_sparsity(step, start, steps, initial, final), "cubic_sparsity")
            assert abs(got - wanted) < 1e-5, (
                f"Step {step} lies {when} of a schedule from {initial} to {final} that begins at step {start} and takes "
                f"{steps} steps: {wanted} was expected, {got:g} came back (seed {seed})."
            )
### END HIDDEN TESTS

# %% tests="cubic_general" points=1
from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("cubic_general", "cubic_sparsity"):
    for step, wanted in ((100, 0.2), (110, 0.5416), (125, 0.8125), (140, 0.8944), (150, 0.9)):
        progress.given(f"step {step}, start 100, steps 50, initial 0.2, final 0.9")
        value = cubic_sparsity(step, 100, 50, 0.2, 0.9)
        got = number_from(value, "cubic_sparsity")
        is_plain = not isinstance(value, str) and getattr(value, "ndim", 0) == 0
        assert is_plain, f"A plain number was expected; a {type(value).__name__} came back: {show(value)}"
        assert abs(got - wanted) < 1e-5, (
            f"Pruning begins at step 100 and takes 50 steps, from sparsity 0.2 to 0.9. At step {step}, {wanted:g} was "
            f"expected; {got:g} came back. How far along is that step, counted from the start, and where did it start from?"
        )
### BEGIN HIDDEN TESTS
import random

seed = random.SystemRandom().randrange(10**6)
dice = random.Random(seed)
with time_limit():
    for _ in range(20):
        start, steps = dice.randint(1, 500), dice.randint(2, 400)
        initial, final = dice.uniform(0.05, 0.45), dice.uniform(0.5, 1.0)
        step = start + dice.randint(1, steps - 1)
        ahead = (start + steps - step) / steps
        wanted = final - (final - initial) * ahead * ahead * ahead
        got = number_from(cubic_sparsity(step, start, steps, initial, final), "cubic_sparsity")
        assert abs(got - wanted) < 1e-5, (
            f"Step {step} of a schedule from {initial:.4f} to {final:.4f} that begins at step {start} and takes {steps} "
            f"steps: {wanted:.6f} was expected, {got:.6f} came back (seed {seed})."
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Name the fraction of the way first: `(step - start) / steps`. What is it at the start, half-way, at the end? What
# should it be before the start and after the end?
# </details>
# <details><summary>Hint 2</summary>
#
# `min(max(x, 0.0), 1.0)` holds a number between 0 and 1. With the fraction held there, the equation gives the initial
# sparsity before the start and the final one after the end, with no `if` at all.
# </details>

# %% [markdown]
# ### Exercise 2.3 b · `train_step_with_masks`
# *★★☆ · 3 minutes*
#
# Now train while weights are gone. An optimiser knows nothing of masks. It moves *every* weight: by today's gradient, and by
# the **momentum** of earlier ones. So a pruned weight comes back to life at the next step, even if its gradient were zero.
# The cure is one line: let the optimiser take its step, then put the zeros back,
#
# $$w \leftarrow m \odot \text{step}(w), \qquad m \text{ the keep-mask.}$$
#
# Half of this 2×4 weight is pruned, and today's gradient is zero everywhere. Look at what momentum alone does to it:

# %%
before = torch.tensor([[0.9, 0.0, -0.6, 0.0], [0.0, 0.5, 0.0, -1.1]])
weight = torch.nn.Parameter(before.clone())
weight.grad = torch.zeros_like(weight)
optimizer = torch.optim.SGD([weight], lr=0.2, momentum=0.5)
optimizer.state[weight]["momentum_buffer"] = torch.tensor([[1.0, -2.0, 0.5, 3.0], [-1.0, 2.0, 4.0, 1.0]])
optimizer.step()
moved = weight.detach()
alive = (before == 0) & (moved != 0)

figure, axes = plt.subplots(1, 3, figsize=(10, 2.1), layout="constrained")
plots.matrix(axes[0], before, "before: four of eight are pruned", keep=before != 0)
plots.matrix(axes[1], moved, "after the optimiser's step: all alive")
plots.matrix(axes[2], torch.where(alive, 0.0, moved), "what a step with masks leaves", keep=~alive)
for row, column in alive.nonzero().tolist():
    axes[1].add_patch(
        plt.Rectangle((column - 0.45, row - 0.45), 0.9, 0.9, fill=False, edgecolor=plots.RED, linewidth=2)
    )
plt.show()


# %% exercise="train_step_with_masks"
def train_step_with_masks(
    model: torch.nn.Module, masks: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer, loss_fn
) -> float:
    """One step of training, after which every pruned weight is exactly 0, whatever the optimiser did.

    model:     any module; masks: {parameter name: bool tensor, True = keep} for some or all of its parameters
    optimizer: of the model's parameters, with momentum and weight decay as it likes
    loss_fn:   loss_fn(model) is the loss to go down, a scalar tensor
    returns:   the loss before the step, as a number
    """
    ### BEGIN SOLUTION
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in masks:
                parameter[~masks[name]] = 0.0
    return loss.item()
    ### END SOLUTION


# %% tests="step_zeros" points=2
import torch

from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("step_zeros", "train_step_with_masks"):
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
            idea = "What should stay is zero instead: True in a mask means keep."
        elif alive.equal(~keep) and bool((weight[~keep].abs() > 1e-3).all()):
            idea = (
                "The optimiser has moved them, with the momentum of earlier steps. What has to happen after its step?"
            )
        else:
            idea = "Is every weight that its mask drops exactly zero, in the model itself?"
        assert not alive.any(), (
            f"After step {step}, {int(alive.sum())} of {int((~keep).sum())} pruned weights are not exactly zero (marked *). "
            f"{idea}\nThe keep-mask:\n{show(keep)}\nthe weight after the step:\n{show(weight, alive)}"
        )
### BEGIN HIDDEN TESTS
import random

seed = random.SystemRandom().randrange(10**6)
generator = torch.Generator().manual_seed(seed)
inputs, targets = torch.randn(8, 4, generator=generator), torch.randn(8, 3, generator=generator)
kinds = {
    "SGD with momentum and weight decay": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.1),
    "AdamW with weight decay": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.1),
    "RMSprop with momentum": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9),
}
with time_limit():
    for kind, make in kinds.items():
        net = torch.nn.Sequential(torch.nn.Linear(4, 6, bias=False), torch.nn.Tanh(), torch.nn.Linear(6, 3, bias=False))
        optimizer = make(net.parameters())
        for _ in range(3):  # training before anything is pruned
            optimizer.zero_grad()
            ((net(inputs) - targets) ** 2).mean().backward()
            optimizer.step()
        masks = {}
        for cut in (0.3, 0.6, 1.0):  # more and more goes; at last all of the second layer
            masks["0.weight"] = torch.rand(6, 4, generator=generator) >= min(cut, 0.7)
            masks["0.weight"][0] = True
            masks["2.weight"] = torch.rand(3, 6, generator=generator) >= cut
            before, keep = dict(net.named_parameters()), {name: mask.clone() for name, mask in masks.items()}
            for step in (1, 2):
                train_step_with_masks(net, masks, optimizer, lambda m: ((m(inputs) - targets) ** 2).mean())
                for name, parameter in parameters_after(net, before).items():
                    for kept, value in zip(keep[name].flatten().tolist(), parameter.flatten().tolist(), strict=True):
                        assert kept or value == 0.0, (
                            f"{kind}, {name}, step {step} with new masks: a pruned weight is {value:.3g}; exactly 0 was "
                            f"expected (seed {seed}). It must hold for any optimiser, and for weights that were not zero before."
                        )
### END HIDDEN TESTS

# %% tests="step_learns" points=2
import torch

from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("step_learns", "train_step_with_masks"):
    layer = torch.nn.Linear(4, 2, bias=False)
    start = torch.tensor([[0.9, 0.0, -0.6, 0.3], [0.0, 0.5, 0.0, -1.1]])
    slope = torch.tensor([[1.0, -2.0, 3.0, 1.0], [2.0, -1.0, 1.0, 4.0]])  # the loss is (weight * slope).sum()
    keep = start != 0
    with torch.no_grad():
        layer.weight.copy_(start)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    expected, loss_before = start.clone(), (start * slope).sum().item()
    for step in (1, 2):
        progress.given(f"a layer with the weight\n{show(layer.weight)}\nand a loss whose gradient is\n{show(slope)}")
        loss = train_step_with_masks(layer, {"weight": keep.clone()}, optimizer, lambda m: (m.weight * slope).sum())
        previous, expected = expected, torch.where(keep, expected - 0.1 * slope, 0.0)
        weight = layer.weight.detach()
        wrong = keep & ~torch.isclose(weight, expected, atol=1e-5)
        if torch.allclose(weight[keep], previous[keep]):
            idea = "Nothing has moved: is there a gradient, and does the optimiser take its step in the model that was given?"
        elif step == 2 and torch.allclose(weight[keep], (expected - 0.1 * slope)[keep]):
            idea = "The second step is twice as long as the first: what is left over from the first?"
        else:
            idea = "With plain SGD and a learning rate of 0.1, each moves by -0.1 times its gradient, once a step."
        assert not wrong.any(), (
            f"After step {step}, {int(wrong.sum())} of {int(keep.sum())} kept weights are not where the optimiser takes "
            f"them (marked *). {idea}\nThe gradient:\n{show(slope)}\nexpected:\n{show(expected)}\nyours:\n{show(weight, wrong)}"
        )
        loss_after = (expected * slope).sum().item()
        got = number_from(loss, "train_step_with_masks")
        assert abs(got - loss_before) < 1e-4, (
            f"Step {step}: the loss before the step was {loss_before:g}; {got:g} came back."
            + (" That is the loss after the step." if abs(got - loss_after) < 1e-4 else "")
        )
        loss_before = loss_after
### BEGIN HIDDEN TESTS
import random

seed = random.SystemRandom().randrange(10**6)
dice = random.Random(seed)
with time_limit():
    rows, columns, samples = 3, 5, 4
    w = [[dice.uniform(-1, 1) for _ in range(columns)] for _ in range(rows)]
    b = [dice.uniform(-1, 1) for _ in range(rows)]
    x = [[dice.uniform(-2, 2) for _ in range(columns)] for _ in range(samples)]
    y = [[dice.uniform(-2, 2) for _ in range(rows)] for _ in range(samples)]
    kept = [[dice.random() < 0.6 for _ in range(columns)] for _ in range(rows)]
    for row in range(rows):
        for column in range(columns):
            w[row][column] *= kept[row][column]
    layer = torch.nn.Linear(columns, rows, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(w, dtype=torch.float64))
        layer.bias.copy_(torch.tensor(b, dtype=torch.float64))
    inputs, targets = torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    pace_w, pace_b = [[0.0] * columns for _ in range(rows)], [0.0] * rows  # the optimiser's momentum, kept by hand
    for step in (1, 2, 3, 4):
        w, b = (layer.weight * torch.tensor(kept)).tolist(), layer.bias.tolist()
        loss, slope_w, slope_b = 0.0, [[0.0] * columns for _ in range(rows)], [0.0] * rows
        for sample in range(samples):
            for row in range(rows):
                error = b[row] - y[sample][row]
                for column in range(columns):
                    error += w[row][column] * x[sample][column]
                loss += error * error / (samples * rows)
                slope_b[row] += 2 * error / (samples * rows)
                for column in range(columns):
                    slope_w[row][column] += 2 * error * x[sample][column] / (samples * rows)
        for row in range(rows):
            pace_b[row] = 0.9 * pace_b[row] + slope_b[row] + 0.01 * b[row]
            b[row] -= 0.05 * pace_b[row]
            for column in range(columns):
                pace_w[row][column] = 0.9 * pace_w[row][column] + slope_w[row][column] + 0.01 * w[row][column]
                w[row][column] = kept[row][column] * (w[row][column] - 0.05 * pace_w[row][column])
        mask = torch.tensor(kept)
        value = train_step_with_masks(layer, {"weight": mask}, optimizer, lambda m: ((m(inputs) - targets) ** 2).mean())
        for row in range(rows):
            places = [("bias, which no mask names,", layer.bias[row].item(), b[row])]
            for column in range(columns):
                if kept[row][column]:
                    places.append(("kept weight", layer.weight[row, column].item(), w[row][column]))
            for what, got, wanted in places:
                assert abs(got - wanted) < 1e-7, (
                    f"SGD with momentum 0.9 and weight decay 0.01, step {step}: a {what} should be {wanted:.6f}; it is "
                    f"{got:.6f} (seed {seed}). Does the optimiser itself take the step, on this step's gradient alone?"
                )
        got = number_from(value, "train_step_with_masks")
        assert abs(got - loss) < 1e-5, (
            f"Step {step}: the loss before the step was {loss:.6f}; {got:.6f} came back (seed {seed})."
        )
### END HIDDEN TESTS

# %% tests="step_care" points=1
import torch

from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("step_care", "train_step_with_masks"):
    net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(0.5)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    keep = torch.tensor([[True, False, True], [True, True, False], [False, True, True]])
    masks = {"1.weight": keep.clone()}
    progress.given("two layers, 0 and 1, and a mask of one parameter only, 1.weight")
    loss = train_step_with_masks(net, masks, optimizer, lambda m: m(torch.ones(1, 3)).sum())
    for name, parameter in net.named_parameters():
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
### BEGIN HIDDEN TESTS
import random

seed = random.SystemRandom().randrange(10**6)
generator = torch.Generator().manual_seed(seed)
with time_limit():
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 2))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(1 + torch.rand(parameter.shape, generator=generator))
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.001)

    def first(m):  # the second layer has no part in this loss
        return m[0](torch.ones(1, 2)).sum()

    wanted = first(net).item()
    value = train_step_with_masks(net, {}, optimizer, first)  # no masks at all: an ordinary step
    got = number_from(value, "train_step_with_masks")
    assert abs(got - wanted) < 0.1 * wanted, (  # step_learns looks at the last digits
        f"Without any masks: the loss before the step was {wanted:.4f}; {got:.4f} came back (seed {seed})."
    )
    train_step_with_masks(net, {"1.bias": torch.tensor([False, True])}, optimizer, first)
    assert [value == 0 for value in net[1].bias.tolist()] == [True, False], (
        "A mask may name any parameter, also a bias, and also one that the loss does not use (its gradient is None): "
        f"1.bias with the mask [False, True] is {net[1].bias.tolist()} after the step."
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# An ordinary step of training comes first, in four lines: forget the old gradients, compute the loss, go backward, let
# the optimiser step. The masks have their say after that, and only then.
# </details>
# <details><summary>Hint 2</summary>
#
# `for name, parameter in model.named_parameters()` goes through all of them; `masks` may hold a mask for `name`. Writing
# zeros is not training: do it inside `with torch.no_grad():`, into the parameter itself (`parameter[~mask] = 0.0`).
# `loss.item()` is the loss as a number.
# </details>

# %% [markdown]
# **What you saw.** Your two functions train gpt2-mini while it is pruned to 80 %: 32 small steps, each on two pages from the
# plays it was trained on. Your schedule decides how much is gone, your step keeps it gone. Beside it, for a fair race, a
# copy that loses its 80 % at once and then trains for just as many steps, on the same pages.

# %%
from tqdm.auto import tqdm

from gpt2_lib.corpus import calibration_windows
from gpt2_lib.pruning.pruner import prunable_weights
from gpt2_lib.pruning.schedules import cubic_sparsity as library_cubic
from gpt2_lib.pruning.selection import layer_masks

STEPS, CUTTING, FINAL = 32, 12, 0.8  # all steps, those in which weights go, and where it ends


def prune(m, sparsity):
    """Cut every attention and feed-forward weight of ``m`` to ``sparsity``; returns the masks."""
    weights = prunable_weights(m)
    masks = layer_masks(weights, sparsity)
    with torch.no_grad():
        for name, keep in masks.items():
            weights[name].mul_(keep)
    return masks


def train_pruned(schedule):
    """Prune a copy of the model along ``schedule`` (step -> sparsity) while it trains."""
    copy, losses, sparsities = deepcopy(model), [], []
    optimizer = torch.optim.AdamW(copy.parameters(), lr=1e-3)
    for step in tqdm(range(STEPS), desc="training"):
        sparsities.append(schedule(step))
        masks = prune(copy, sparsities[-1])
        batch = pages[2 * step : 2 * step + 2]  # (2, 256)
        optimizer.param_groups[0]["lr"] = 1e-3 * (1 - step / STEPS)

        def loss_fn(m, batch=batch):
            return torch.nn.functional.cross_entropy(m(batch)[:, :-1].flatten(0, 1), batch[:, 1:].flatten())

        losses.append(float(train_step_with_masks(copy, masks, optimizer, loss_fn)))
    return copy, losses, sparsities


with when_written("exercise 2.3"):
    pages = calibration_windows(tokenizer, model.config.n_positions, 2 * STEPS)  # (64, 256)
    one_shot = deepcopy(model)
    prune(one_shot, FINAL)
    runs = {
        "gradual": (lambda step: cubic_sparsity(step, 0, CUTTING, 0.0, FINAL), plots.BLUE, "-"),
        "all at once": (lambda step: FINAL, plots.ORANGE, "--"),
    }
    trained = {label: train_pruned(schedule) for label, (schedule, _, _) in runs.items()}
    quality = {label: evaluate(copy, windows).perplexity for label, (copy, _, _) in trained.items()}
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")
    curve = [library_cubic(step, 0, CUTTING, 0.0, FINAL) for step in range(STEPS)]
    axes[0].plot(curve, color=plots.GREY, linewidth=7, alpha=0.5, label="the library's schedule")
    for label, (_, colour, line) in runs.items():
        _, losses, sparsities = trained[label]
        axes[0].plot(sparsities, color=colour, linestyle=line, label=f"yours, {label}")
        axes[1].plot([math.exp(loss) for loss in losses], color=colour, linestyle=line, label=f"your steps, {label}")
    axes[0].set(xlabel="training step", ylabel="sparsity")
    axes[1].set(xlabel="training step", ylabel="perplexity of the step's pages (log)", yscale="log")
    axes[1].set_yticks([15, 25, 50, 100, 200, 400], ["15", "25", "50", "100", "200", "400"])
    axes[1].minorticks_off()
    for ax in axes:
        ax.legend(frameon=False)
    plt.show()
    print(
        f"80 % of the weights gone, perplexity on held-out pages (dense: {dense.perplexity:.1f}):\n"
        f"  one shot, no training                {evaluate(one_shot, windows).perplexity:7.1f}\n"
        f"  all at once, then {STEPS} steps           {quality['all at once']:7.1f}\n"
        f"  gradual, within the same {STEPS} steps    {quality['gradual']:7.1f}"
    )

# %% [markdown]
# Both copies lost the same number of weights, and a few seconds of training brought much of the quality back. In so short a
# race gradual is no better than all at once (86 each, and 264 without training, when this was written): while the one is
# still losing weights, the other is already healing. Gradual pruning is made for longer runs, in which the healing between
# two cuts can finish: Zhu & Gupta spread theirs over many thousands of steps. Then a schedule costs nothing extra, since the
# model is trained anyway. What a longer run makes of gpt2-mini is measured in
# [docs/benchmarks.md](../../docs/benchmarks.md#gradual-pruning).

# %% [markdown]
# ## 2.4 · Global: one ranking for the whole model
# *difficulty ★★☆ · 5 minutes · 6 points*
#
# So far every layer lost the same share. But why should it? Some layers may have more to spare than others. **Global**
# pruning puts the weights of all layers into one ranking and cuts the smallest, wherever they are. How much each
# layer loses is not decided by you: it follows from the ranking. (Renda et al., 2020, *Comparing Rewinding and Fine-tuning*,
# choose their weights this way.)
#
# For layers with $n_1, n_2, \dots$ weights and a sparsity $s$:
#
# $$k = \text{round}\big(s \cdot (n_1 + n_2 + \dots)\big), \qquad
# m_{l,i} = \begin{cases}\text{False} & \text{if } |w_{l,i}| \text{ is among the } k \text{ smallest of all layers}\\
# \text{True} & \text{otherwise}\end{cases}$$
#
# One rounding, one ranking. Taking the average of the layers' own thresholds is something else: it neither removes $k$
# weights nor ranks them together. Among equals the **earlier layer** goes first (in the dict's order), and within a layer the
# earlier position.
#
# ### Exercise 2.4 · `global_masks`
# *★★☆ · 5 minutes*
#
# A layer of 2×4 large weights and one of 1×4 small ones, at sparsity 0.5. Both ways remove six of twelve:

# %%
layers = {
    "large": torch.tensor([[0.9, -0.2, 0.5, -0.7], [0.4, -0.8, 0.6, 1.0]]),
    "small": torch.tensor([[0.1, -0.45, 0.3, 0.05]]),
}

figure, axes = plt.subplots(2, 2, figsize=(9, 2.8), layout="constrained", height_ratios=(2, 1))
for column, (way, thresholds) in enumerate({"each on its own": (0.6, 0.1), "one ranking": (0.45, 0.45)}.items()):
    for row, (values, threshold) in enumerate(zip(layers.values(), thresholds, strict=True)):
        keep = values.abs() > threshold
        plots.matrix(axes[row, column], values, f"{way}: {int((~keep).sum())} of {keep.numel()} go", keep=keep)
plt.show()
print("One ranking spares two of the large weights and empties the layer of small ones.")

# %% [markdown]
# Now the sixteen weight matrices of gpt2-mini. Drag the sparsity: the bars are what one ranking takes out of each layer.

# %%
GlobalDemo(model)


# %% exercise="global_masks"
def global_masks(weights: dict[str, torch.Tensor], sparsity: float) -> dict[str, torch.Tensor]:
    """Keep-masks in which exactly round(sparsity * total) entries are False: the smallest of all tensors together.

    weights:  {name: float tensor of any shape}, total entries in all; only looked at, never changed
    sparsity: the fraction to remove; anything outside [0, 1] is a ValueError
    returns:  {name: bool tensor of its weight's shape, True = keep}; among equals the earlier tensor goes first, then
              the earlier position
    """
    ### BEGIN SOLUTION
    if not 0 <= sparsity <= 1:  # NaN is not in [0, 1] either
        raise ValueError(f"sparsity is the fraction to remove, from 0 to 1; got {sparsity}.")
    sizes = torch.cat([w.detach().abs().flatten() for w in weights.values()])  # (total,), one layer after the other
    keep = torch.ones(sizes.numel(), dtype=torch.bool)  # (total,)
    keep[sizes.argsort(stable=True)[: round(sparsity * sizes.numel())]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts, strict=True)}
    ### END SOLUTION


# %% locked="global_reader"
def removed_from(masks, weights):
    """Which entries masks remove, {name: flat list of True and False}. (Their exact type has a check of its own.)"""
    assert masks is not None, "global_masks() returned nothing: end it with `return ...`."
    assert isinstance(masks, dict), f"A dict {{name: mask}} was expected; a {type(masks).__name__} came back."
    gone = {}
    for name, weight in weights.items():
        assert name in masks, f"There is no mask called {name!r} in what came back; there are {list(masks)}."
        try:
            flat = torch.as_tensor(masks[name]).flatten()
        except (TypeError, ValueError, RuntimeError):
            raise AssertionError(
                f"A mask was expected for {name!r}, a bool tensor; a {type(masks[name]).__name__} came back."
            ) from None
        assert flat.numel() == weight.numel(), (
            f"{name!r} has {weight.numel()} weights; its mask has {flat.numel()} entries."
        )
        gone[name] = [not kept for kept in flat.tolist()]
    return gone


# %% tests="global_count" points=2
import torch

from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("global_count", "global_masks"):
    weights = {
        "wide": torch.tensor([[0.9, -0.2, 0.5, -0.7], [0.4, -0.8, 0.6, 1.0]]),
        "narrow": torch.tensor([0.1, -0.3]),
    }
    for sparsity, wanted in ((0.3, 3), (0.6, 6), (0.25, 2), (0.35, 4), (0.45, 4)):
        given = "\n".join(f"{name}:\n{show(w)}" for name, w in weights.items())
        progress.given(f"sparsity {sparsity} and the weights\n{given}")
        gone = removed_from(global_masks({name: w.clone() for name, w in weights.items()}, sparsity), weights)
        got = sum(gone["wide"]) + sum(gone["narrow"])
        each = round(sparsity * 8) + round(sparsity * 2)
        if got == 10 - wanted:
            idea = "Is it the other way round: True for what stays?"
        elif got == each:
            idea = "Rounded once for all together, not once for each layer: does each layer still have a number of its own?"
        elif abs(sparsity * 10 - wanted) == 0.5:
            idea = f"Python's round({sparsity} * 10) is {wanted}."
        elif got == wanted + 1:
            idea = "One too many: does the first weight that may stay go too?"
        else:
            idea = "How many is round(sparsity * total), with the entries of all layers in the total?"
        assert got == wanted, (
            f"Your masks remove {got} of 10 weights at sparsity {sparsity}; {wanted} were asked. {idea}\n"
            + "\n".join(
                f"{name}, with * at what you removed:\n{show(w, torch.tensor(gone[name]).view(w.shape))}"
                for name, w in weights.items()
            )
        )
### BEGIN HIDDEN TESTS
import random

seed = random.SystemRandom().randrange(10**6)
generator, dice = torch.Generator().manual_seed(seed), random.Random(seed)
with time_limit():
    for shapes in [[(4,), (1,), (3,)], [(3,), (5, 2)], [(2, 3, 4), (7,), (3, 3)], [(4, 5), (5,), (5,), (2, 5), (40,)]]:
        total = 0
        for shape in shapes:
            n = 1
            for size in shape:
                n *= size
            total += n
        values = ((torch.randperm(total, generator=generator) + 1) / total).tolist()  # all different, none zero
        weights = {}
        for number, shape in enumerate(shapes):
            n = torch.zeros(shape).numel()
            weights[f"layer {number}"] = torch.tensor([values.pop() * dice.choice((-1, 1)) for _ in range(n)]).reshape(
                shape
            )
        for sparsity in (0.1, 0.25, 0.5, 0.75, 0.9, round(dice.uniform(0.2, 0.8), 3)):
            gone = removed_from(global_masks({name: w.clone() for name, w in weights.items()}, sparsity), weights)
            got = 0
            for name in gone:
                for g in gone[name]:
                    got += g
            wanted = round(sparsity * total)
            assert got == wanted, (
                f"Layers of shapes {shapes}, {total} entries, at sparsity {sparsity}: round({sparsity} * {total}) = {wanted} go, "
                f"your masks remove {got} (seed {seed})."
            )
### END HIDDEN TESTS

# %% tests="global_choice" points=2
import torch

from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("global_choice", "global_masks"):
    weights = {
        "large": torch.tensor([[0.9, -0.2, 0.5, -0.7], [0.4, -0.8, 0.6, 1.0]]),
        "small": torch.tensor([[0.1, -0.45, 0.3, 0.05]]),
    }
    given = "\n".join(f"{name}:\n{show(w)}" for name, w in weights.items())
    progress.given(f"sparsity 0.5 and the weights\n{given}")
    gone = removed_from(global_masks({name: w.clone() for name, w in weights.items()}, 0.5), weights)
    pairs = [(w, g) for name in weights for w, g in zip(weights[name].flatten().tolist(), gone[name], strict=True)]
    pruned, kept = [w for w, g in pairs if g], [w for w, g in pairs if not g]
    assert len(pruned) not in (0, 12), (
        f"At sparsity 0.5 some weights go and some stay; yours remove {len(pruned)} of 12."
    )
    largest_gone, smallest_kept = max(pruned, key=abs), min(kept, key=abs)
    if max(pruned) < min(kept):
        idea = "-0.8 is not a small weight: how far is it from zero?"
    elif min(map(abs, pruned)) > max(map(abs, kept)):
        idea = "Is it the other way round: True for what stays?"
    elif sum(gone["large"]) == 4 and sum(gone["small"]) == 2:
        idea = "Each layer lost half of its own. Here it does not matter which layer a weight is in."
    else:
        idea = "Are all entries of all layers ranked together, and does each mask point back to where they stood?"
    assert abs(largest_gone) < abs(smallest_kept), (
        f"Your masks remove {largest_gone:g} and keep {smallest_kept:g}, which is smaller in size. {idea}\n"
        + "\n".join(
            f"{name}, with * at what you removed:\n{show(w, torch.tensor(gone[name]).view(w.shape))}"
            for name, w in weights.items()
        )
    )
### BEGIN HIDDEN TESTS
import math
import random

seed = random.SystemRandom().randrange(10**6)
generator, dice = torch.Generator().manual_seed(seed), random.Random(seed)
with time_limit():
    for shapes in [[(4, 6), (6, 4)], [(3, 5), (20,), (2, 2, 5)], [(8,), (16, 2), (9,), (4, 4)]]:
        weights = {}
        for number, shape in enumerate(shapes):
            scale = (1.0, 0.5, 1.6, 0.8)[number]  # layers whose weights differ in size, but overlap
            weights[f"layer {number}"] = scale * torch.randn(shape, generator=generator)
        for sparsity in (0.3, 0.5, 0.8):
            gone = removed_from(global_masks({name: w.clone() for name, w in weights.items()}, sparsity), weights)
            got, total = sum(map(sum, gone.values())), sum(map(len, gone.values()))
            assert 0 < got < total, (
                f"Layers of shapes {shapes} at sparsity {sparsity}: some weights go and some stay; your masks remove {got} of {total}."
            )
            largest_gone, smallest_kept = 0.0, math.inf
            for name, weight in weights.items():
                for value, g in zip(weight.flatten().tolist(), gone[name], strict=True):
                    if g and abs(value) > abs(largest_gone):
                        largest_gone = value
                    if not g and abs(value) < abs(smallest_kept):
                        smallest_kept = value
            assert abs(largest_gone) <= abs(smallest_kept), (
                f"Layers of shapes {shapes} at sparsity {sparsity}: your masks remove {largest_gone:.3f} and keep "
                f"{smallest_kept:.3f}, which is smaller in size (seed {seed}). Is it one ranking over all layers?"
            )
### END HIDDEN TESTS

# %% tests="global_ties" points=1
import torch

from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("global_ties", "global_masks"):
    weights = {"b": torch.tensor([0.5, 2.0, 0.5, 1.0]), "a": torch.tensor([[0.5, 0.5], [3.0, 0.5]])}
    given = "\n".join(f"{name}:\n{show(w)}" for name, w in weights.items())
    progress.given(f"sparsity 0.375 and the weights\n{given}")
    gone = removed_from(global_masks({name: w.clone() for name, w in weights.items()}, 0.375), weights)
    drawn = "\n".join(
        f"{name}, with * at what you removed:\n{show(w, torch.tensor(gone[name]).view(w.shape))}"
        for name, w in weights.items()
    )
    got = sum(gone["b"]) + sum(gone["a"])
    assert got == 3, (
        f"Your masks remove {got} of 8 weights; 3 were asked. 0.5 occurs five times: what happens to equals?\n{drawn}"
    )
    assert gone == {"b": [True, False, True, False], "a": [True, False, False, False]}, (
        "Three of the five 0.5 go: first those of the layer that comes first in the dict (here b), from the earliest position "
        f"on, then those of the next.\n{drawn}"
    )
### BEGIN HIDDEN TESTS
import random

seed = random.SystemRandom().randrange(10**6)
generator = torch.Generator().manual_seed(seed)
with time_limit():
    cases = [{"one": torch.ones(4, 4), "two": torch.ones(8), "three": torch.ones(2, 2, 2)}]
    cases.append({"z": torch.tensor([0.0, -0.0, 0.5, -0.5]), "y": torch.tensor([[-0.5, 0.0], [0.5, -0.0]])})
    for shapes in [[(8,), (4, 4)], [(16, 16), (8, 8), (64,)]]:
        cases.append(
            {f"layer {9 - i}": torch.randint(-2, 3, shape, generator=generator) / 2 for i, shape in enumerate(shapes)}
        )
    for weights in cases:
        for sparsity in (0.25, 0.5, 0.75):
            total = 0
            for weight in weights.values():
                total += weight.numel()
            left = int(sparsity * total)  # always a whole number here
            wanted = {name: [False] * weight.numel() for name, weight in weights.items()}
            for size in (0.0, 0.5, 1.0):
                for name, weight in weights.items():
                    for position, value in enumerate(weight.flatten().tolist()):
                        if abs(value) == size and left > 0:
                            wanted[name][position] = True
                            left -= 1
            gone = removed_from(global_masks({name: w.clone() for name, w in weights.items()}, sparsity), weights)
            got, asked = sum(map(sum, gone.values())), sum(map(sum, wanted.values()))
            if got == asked:
                fault = f"the right number goes, but not the earlier ones among equals, in the order of the dict {list(weights)}"
            else:
                fault = f"{asked} go, your masks remove {got}"
            assert gone == wanted, (
                f"{total} weights, many of them equal, at sparsity {sparsity}: {fault} (seed {seed})."
            )
### END HIDDEN TESTS

# %% tests="global_care" points=1
import math

import torch

from gpt2_lib.course.lesson import mask_fault, show, time_limit
from gpt2_lib.course.progress import progress

with progress.check("global_care", "global_masks"):
    weights = {"first": torch.tensor([[0.3, 0.8, 0.1], [0.7, 0.2, 0.9]]), "second": torch.tensor([-0.4, 0.6])}
    given = {name: w.clone() for name, w in weights.items()}
    text = "\n".join(f"{name}:\n{show(w)}" for name, w in weights.items())
    progress.given(f"sparsity 0.5 and the weights\n{text}")
    masks = global_masks(given, 0.5)
    assert isinstance(masks, dict), f"A dict {{name: mask}} was expected; a {type(masks).__name__} came back."
    assert set(masks) == set(weights), (
        f"One mask for each of {list(weights)} was expected; yours are for {list(masks)}."
    )
    for name, weight in weights.items():
        fault = mask_fault(masks[name], weight)
        assert fault is None, f"{name}, of shape {tuple(weight.shape)}: {fault}"
    assert list(given) == list(weights), f"global_masks() changed the dict it was given: it now holds {list(given)}."
    for name, weight in weights.items():
        assert torch.equal(given[name], weight), (
            f"global_masks() changed the weights it was given; it should only look.\n"
            f"{name} before:\n{show(weight)}\nafter:\n{show(given[name])}"
        )
    for sparsity in (-0.1, 1.5):
        progress.given(f"sparsity {sparsity} and the weights\n{text}")
        try:
            global_masks(given, sparsity)
        except ValueError:
            continue
        raise AssertionError(
            f"Nobody can remove {sparsity:.0%} of the weights: a ValueError was expected, masks came back."
        )
### BEGIN HIDDEN TESTS
import random

seed = random.SystemRandom().randrange(10**6)
dice = random.Random(seed)
with time_limit():
    powers = [2.0**power for power in range(-2, 10)]  # exact in any dtype
    parts = dice.sample(powers[:6], 6), dice.sample(powers[6:10], 4), dice.sample(powers[10:], 2)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        weights = {
            "matrix": torch.tensor(parts[0]).reshape(2, 3).to(dtype),
            "cube": torch.tensor(parts[1]).reshape(1, 2, 2).to(dtype),
            "row": torch.tensor(parts[2]).to(dtype),
        }
        for sparsity, left in ((0, powers), (0.25, powers[3:]), (1, [])):
            masks = global_masks({name: w.clone() for name, w in weights.items()}, sparsity)
            kept = []
            for name, weight in weights.items():
                fault = mask_fault(masks[name], weight)
                assert fault is None, (
                    f"A weight of {dtype}, shape {tuple(weight.shape)}, at sparsity {sparsity}: {fault}"
                )
                kept += masks[name].flatten().tolist()
            assert kept == [value in left for part in parts for value in part], (
                f"Three layers of {dtype} with the weights {parts} at sparsity {sparsity}: the {12 - len(left)} smallest go; your masks "
                f"say {kept} (seed {seed})."
            )
    values = dice.sample(powers[:-1], 11)
    values.insert(dice.choice((0, 2, 4, 6, 8, 10)), powers[-1])  # the largest is in both
    base = torch.tensor(values).reshape(3, 4)
    slanted = {"turned": base.t(), "thinned": (1.5 * base)[:, ::2]}  # 12 and 6 weights, all different
    masks = global_masks(slanted, 0.5)
    smallest = sorted(value for weight in slanted.values() for value in weight.flatten().tolist())[:9]
    for name, weight in slanted.items():
        assert masks[name].flatten().tolist() == [value not in smallest for value in weight.flatten().tolist()], (
            f"Weights that lie in memory in another order than they read: of all 18, those up to {smallest[-1]:g} go. {name}:\n"
            f"{show(weight)}\nyour mask:\n{show(masks[name])}"
        )
    for sparsity in (50, -1e-6, 1.000001, math.nan):
        try:
            global_masks({"alone": base}, sparsity)
        except ValueError:
            continue
        raise AssertionError(
            f"Sparsity {sparsity} is no fraction from 0 to 1: a ValueError was expected, masks came back."
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# Lay all weights end to end in one long row (`torch.cat` of the flattened tensors). On that row it is exercise 2.1. What is
# left is to cut the long mask back into one for each layer.
# </details>
# <details><summary>Hint 2</summary>
#
# `keep.split([w.numel() for w in weights.values()])` cuts the long mask into parts of those lengths, in the same order;
# `part.view(w.shape)` gives each its shape. Rows laid end to end in the dict's order and a *stable* sort settle ties as asked.
# </details>

# %% [markdown]
# **What you saw.** Your function ranks all 1.8 million prunable weights of gpt2-mini together. Left: what that leaves of each
# layer. Right: your curve over the library's, and exercise 2.1's way beside it.

# %%
from gpt2_lib import ModelPruner
from gpt2_lib.pruning.pruner import prunable_weights
from gpt2_lib.pruning.selection import layer_masks

prunable = {name: w.detach() for name, w in prunable_weights(model).items()}


def perplexity_with(masks):
    """Perplexity on held-out pages of a copy of the model from which ``masks`` removed their weights."""
    copy = deepcopy(model)
    with torch.no_grad():
        for name, keep in masks.items():
            copy.get_parameter(name).mul_(keep)
    return evaluate(copy, windows[:6]).perplexity


def library_masks(sparsity):
    return ModelPruner(deepcopy(model)).prune_globally(sparsity)


with when_written("exercise 2.4"):
    half = global_masks(prunable, 0.5)
    figure, axes = plt.subplots(1, 2, figsize=(12, 4), layout="constrained")
    names = [name.removesuffix(".weight") for name in half]
    colours = [plots.ORANGE if ".attn." in name else plots.BLUE for name in names]
    axes[0].barh(names, [1 - keep.float().mean().item() for keep in half.values()], color=colours)
    axes[0].axvline(0.5, color="black", linestyle="--")
    axes[0].invert_yaxis()
    axes[0].set(xlim=(0, 1), xlabel="sparsity of the layer when half of all weights go")
    levels = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8)
    ways = {
        "the library, one ranking": (library_masks, {"color": plots.GREY, "linewidth": 7, "alpha": 0.5}),
        "yours, one ranking": (lambda s: global_masks(prunable, s), {"color": plots.BLUE, "marker": "o"}),
        "each layer on its own": (
            lambda s: layer_masks(prunable, s),
            {"color": plots.ORANGE, "marker": "s", "linestyle": "--"},
        ),
    }
    for label, (choose, style) in ways.items():
        axes[1].plot(levels, [perplexity_with(choose(s)) for s in levels], label=label, **style)
    axes[1].set(yscale="log", xlabel="sparsity of attention and feed-forward weights", ylabel="perplexity (log scale)")
    axes[1].set_yticks([25, 50, 100, 200, 400], ["25", "50", "100", "200", "400"])
    axes[1].minorticks_off()
    axes[1].legend(frameon=False)
    plt.show()

# %% [markdown]
# The same number of weights is gone either way, and here **one ranking is clearly worse**. Why? Size can be compared *within* a
# layer, but not between layers. The ranking takes most from the first block's two output matrices (`c_proj`), since
# their weights are the smallest on average, not because the model could spare them. The next cell tests that explanation
# in three ways:
#
# 1. **Blame one layer.** Prune each layer on its own, but the first block's `mlp.c_proj` as the ranking wants it.
# 2. **Measure each layer in its own unit.** Divide every layer by its standard deviation *before* the ranking, and rank
#    together again.
# 3. **Change the sizes, but not the model.** Double every value vector of attention and halve the matrix that reads them.
#    Every output stays what it was, since 2 · ½ = 1. An importance worth its name could not care.

# %%
with when_written("exercise 2.4"):
    local, suspect = layer_masks(prunable, 0.5), "h.0.mlp.c_proj.weight"
    own_unit = global_masks({name: w / w.std() for name, w in prunable.items()}, 0.5)
    twin = deepcopy(model)
    with torch.no_grad():
        for block in twin.h:
            values = slice(2 * block.attn.c_proj.in_features, None)  # c_attn holds Q, K, then V
            block.attn.c_attn.weight[values] *= 2
            block.attn.c_attn.bias[values] *= 2
            block.attn.c_proj.weight /= 2
    rescaled = global_masks({name: twin.get_parameter(name).detach() for name in prunable}, 0.5)
    moved = sum(int((rescaled[name] != half[name]).sum()) for name in half)
    print(
        "half of the weights gone, perplexity on held-out pages:\n"
        f"  each layer on its own                        {perplexity_with(local):7.1f}\n"
        f"  the same, but {suspect} as ranked {perplexity_with(local | {suspect: half[suspect]}):7.1f}\n"
        f"  one ranking                                  {perplexity_with(half):7.1f}\n"
        f"  one ranking, each layer in its own unit      {perplexity_with(own_unit):7.1f}\n"
        f"The rescaled twin, uncut, has perplexity {evaluate(twin, windows[:6]).perplexity:.1f}; the model itself "
        f"{evaluate(model, windows[:6]).perplexity:.1f}.\n"
        f"Yet one ranking of its weights decides otherwise about {moved:,} of them."
    )

# %% [markdown]
# That one layer does most of the harm; in their own units the layers can be ranked together and lose little more than
# each on its own. So global pruning is no worse by nature: it trusts that size means the same everywhere, and in this model it
# does not. Where you prune globally, look at the layers'
# sparsities, and keep a share of each (`ModelPruner.prune_globally(0.5, min_kept=0.3)`): a layer that is empty lets nothing
# through.

# %% [markdown]
# ## What you have built
#
# | | technique | the idea in one line | smaller and faster on any chip? | training needed? |
# |-|-|-|-|-|
# | 2.1 | magnitude | cut what is near zero, layer by layer | no: zeros are stored and multiplied like any number | no |
# | 2.2 | structured | cut whole neurons and heads | **yes**: the matrices are smaller | to recover |
# | 2.3 | gradual | cut a little, train, cut again | no | that is the point of it |
# | 2.4 | global | one ranking for all layers | no | no |
#
# Your own functions once more, all on the real model, each in one shot and without any training after it. Run this cell
# when you are done, or earlier: what is not written yet is left out.

# %%
measured = {"gpt2-mini as trained, perplexity": f"{dense.perplexity:.2f}"}

with when_written("exercise 2.1"):
    pruned = deepcopy(model)
    magnitude_prune(pruned, 0.5)
    measured["half of the weights gone, layer by layer"] = f"{evaluate(pruned, windows).perplexity:.2f}"

with when_written("exercise 2.2"):
    pruned = deepcopy(model)
    for block in pruned.h:
        mlp = block.mlp
        parts = [mlp.c_fc.weight.detach(), mlp.c_fc.bias.detach(), mlp.c_proj.weight.detach()]
        keep = neuron_scores(*parts).argsort(descending=True)[: len(parts[1]) * 9 // 10].sort().values
        smaller = [torch.nn.Parameter(part) for part in remove_neurons(*parts, keep)]
        mlp.c_fc.weight, mlp.c_fc.bias, mlp.c_proj.weight = smaller
    measured["a tenth of the neurons removed"] = f"{evaluate(pruned, windows).perplexity:.2f}"

with when_written("exercise 2.3"):
    early = cubic_sparsity(25, 0, 100, 0.0, 0.8) / 0.8
    measured["of all that goes, cut in the first quarter of a schedule"] = f"{early:.0%}"

with when_written("exercise 2.4"):
    pruned = deepcopy(model)
    weights = {n: p.detach() for n, p in pruned.named_parameters() if n.startswith("h.") and p.dim() == 2}
    for name, mask in global_masks(weights, 0.5).items():
        weights[name].mul_(mask)
    measured["half of the weights gone, one ranking for all"] = f"{evaluate(pruned, windows).perplexity:.2f}"

# %% [markdown]
# ### Your card
# Yours to share: right-click the picture (with Shift, if JupyterLab's own menu opens) to copy or save it. The text below it
# says the same.

# %%
card = progress.summary(measured)
display(card)
print(card.markdown())

# %% [markdown]
# The points on the card are those of the checks that you see. Hidden tests look at more shapes, precisions and edge cases.
# To see all your points: save the notebook (Ctrl + S), then run `make check` in a terminal.
#
# ### Knowledge check 2
# Answer first, then unfold.
#
# **1. Why does a mask remove exactly $k$ weights, and not all those below a threshold?**
# <details><summary>answer</summary>
#
# Weights can be equal: gpt2-mini's were stored in float16, and 46 of them lie exactly on the threshold that halves its first
# feed-forward matrix. A threshold takes all of them or none, and the sparsity you get is not the one you asked for.
# </details>
#
# **2. You delete a neuron's row in `c_fc`, but keep its bias. What goes wrong?**
# <details><summary>answer</summary>
#
# If the row is only set to zero, the neuron still sends GELU(bias) into everything that it feeds. If it is really removed, the
# shapes no longer fit. A neuron is a row, a bias and a column of `c_proj`: all three go.
# </details>
#
# **3. Pruned weights have no gradient any more. Why are they set to zero again after every step of the optimiser?**
# <details><summary>answer</summary>
#
# Momentum remembers earlier gradients and goes on moving a weight whose gradient is zero now. Only a mask applied
# after the step is sure.
# </details>
#
# **4. Global and layer by layer, both at 50 %: how many zeros does each have, and where?**
# <details><summary>answer</summary>
#
# Equally many in all. Layer by layer, each layer loses half; in one ranking, layers of small weights lose more and can empty out.
# </details>
#
# **5. Which of the four makes the model faster on a phone without a special kernel?**
# <details><summary>answer</summary>
#
# Structured pruning: a plain dense kernel has less to do when the matrices are smaller. The others leave the shapes as they are.
# </details>
#
# **Next:** Phase 3, where a pruned model is packed, quantised, measured and shipped.
