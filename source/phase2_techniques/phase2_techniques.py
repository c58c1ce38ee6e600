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
# **30 minutes · four techniques, eight short functions · <<points>> points · no GPU, no network**
#
# In Phase 1 a library pruned the model for you. Now you write the pruning: every function here is a few lines long, and every
# one works on the real model as soon as it is right. At the end you have built what the papers describe, and measured it.
#
# | | technique | what goes | minutes | difficulty | points |
# |-|-|-|-:|-|-:|
# | 2.1 | **magnitude** | the smallest weights of each layer | 10 | ★☆☆ | <<points 2.1>> |
# | 2.2 | **structured** | whole neurons and attention heads, so that the matrices get smaller | 10 | ★★★ | <<points 2.2>> |
# | 2.3 | **gradual** | a little at a time, with training in between | 5 | ★★☆ | <<points 2.3>> |
# | 2.4 | **global** | the smallest weights of the whole model, ranked together | 5 | ★★☆ | <<points 2.4>> |
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

# %% locked="setup" jupyter={"source_hidden": true}
# Set-up: imports, and the line that fills as your checks pass
try:
    from gpt2_lib import GPT2, evaluate, held_out_windows, load_pretrained_gpt2, plots
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

from gpt2_lib.course import checks as check
from gpt2_lib.course.demos import GlobalDemo, NeuronDemo, ScheduleDemo, ThresholdDemo
from gpt2_lib.course.lesson import mask_fault, show, tensor_fault, when_written
from gpt2_lib.course.progress import progress

points = "<<checks>>"
progress.begin("Phase 2", points)

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
# *difficulty ★☆☆ and ★★☆ · 10 minutes · <<points 2.1>> points*
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

# %% jupyter={"source_hidden": true}
# Picture: the weight, its size, what is left
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


# %% tests="mask_count" points=2
check.mask_count(magnitude_mask)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for shape in [(1,), (2,), (5,), (7,), (10,), (1, 3), (3, 7), (4, 6), (2, 3, 5), (40,)]:
        n = 1
        for size in shape:
            n *= size
        sizes = (torch.randperm(n, generator=draw.generator) + 1) / n  # all different, none zero
        signs = torch.where(torch.rand(n, generator=draw.generator) < 0.5, -1.0, 1.0)
        weight = (sizes * signs).reshape(shape)
        for sparsity in (0, 0.1, 0.25, 0.5, 0.7, 0.9, 1, round(random.Random(draw.seed + n).random(), 3)):
            wanted = round(sparsity * n)
            got = sum(check.removed_by(magnitude_mask(weight.clone(), sparsity), weight))
            assert got == wanted, (
                f"A weight of shape {shape}, {n} entries, at sparsity {sparsity}: round({sparsity} * {n}) = {wanted} go, "
                f"your mask removes {got}."
            )
### END HIDDEN TESTS

# %% tests="mask_choice" points=2
check.mask_choice(magnitude_mask)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for shape in [(6,), (4, 8), (8, 4), (2, 3, 5)]:
        n = 1
        for size in shape:
            n *= size
        sizes = (torch.randperm(n, generator=draw.generator) + 1) / n
        signs = torch.where(torch.rand(n, generator=draw.generator) < 0.5, -1.0, 1.0)
        weight = (sizes * signs).reshape(shape)
        values = weight.flatten().tolist()
        gone = check.removed_by(magnitude_mask(weight.clone(), 0.5), weight)
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
            f"{smallest_kept:.3f}, which is smaller in size."
        )
### END HIDDEN TESTS

# %% tests="mask_ties" points=1
check.mask_ties(magnitude_mask)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    cases = [(torch.ones(4, 4), s) for s in (0.25, 0.5, 0.75)]
    cases += [(torch.tensor([0.0, -0.0, 0.0, 1.0]), 0.5), (torch.tensor([0.5, -0.5, -0.5, 0.5]), 0.5)]
    for shape in [(8,), (8, 9), (16, 16)]:
        cases += [(torch.randint(-2, 3, shape, generator=draw.generator) / 2, s) for s in (0.25, 0.5, 0.75)]
    for weight, sparsity in cases:
        values = weight.flatten().tolist()
        left = int(sparsity * len(values))  # always a whole number here
        wanted = [False] * len(values)
        for size in (0.0, 0.5, 1.0):
            for position, value in enumerate(values):
                if abs(value) == size and left > 0:
                    wanted[position] = True
                    left -= 1
        gone = check.removed_by(magnitude_mask(weight.clone(), sparsity), weight)
        if sum(gone) == sum(wanted):
            fault = "the right number goes, but not the earlier ones among those of equal size"
        else:
            fault = f"{sum(wanted)} go, your mask removes {sum(gone)}"
        assert gone == wanted, (
            f"A weight of shape {tuple(weight.shape)} with many equal entries at sparsity {sparsity}: {fault}."
        )
### END HIDDEN TESTS

# %% tests="mask_care" points=1
check.mask_care(magnitude_mask)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    # Exact in every precision; in float16 the two smallest are zero when squared, or in units of the largest. No sign and no
    # rounding matters here: they have checks of their own.
    values = draw.random.sample([2.0**power for power in range(6, 16)], 10)
    first, second = sorted(draw.random.sample(range(12), 2))
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
    wide, high, thinned = (
        torch.tensor(draw.random.sample(values, 12)).reshape(shape) for shape in ((3, 4), (4, 3), (3, 4))
    )
    for slanted, what in (
        (wide.t(), "A transposed weight"),
        (high.t(), "A transposed weight"),
        (thinned[:, ::2], "Every second column of a weight"),
    ):
        before = slanted.clone()
        mask = magnitude_mask(slanted, 0.5)
        listed = before.flatten().tolist()  # row by row
        smallest = sorted(listed)[: len(listed) // 2]
        assert mask.flatten().tolist() == [value not in smallest for value in listed], (
            f"{what}, which lies in memory in another order than it reads, at sparsity 0.5: the smaller half goes.\n"
            f"The weight:\n{show(before)}\nyour mask:\n{show(mask)}"
        )
    for sparsity in (0.0, 0.4, 1.0):
        one = torch.tensor([[-3.0]])
        mask = magnitude_mask(one, sparsity)
        fault = mask_fault(mask, one)
        assert fault is None, f"For a weight of one entry: {fault}"
### END HIDDEN TESTS

# %% tests="mask_errors" points=1
check.mask_errors(magnitude_mask)
### BEGIN HIDDEN TESTS
with check.hidden():
    generator = torch.Generator().manual_seed(random.SystemRandom().randrange(10**6))
    for shape in [(4, 6), (6, 8), (10, 10)]:  # a sparsity that makes sense is not refused
        weight = torch.rand(shape, generator=generator) + 0.1
        got = sum(check.removed_by(magnitude_mask(weight.clone(), 0.5), weight))
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


# %% jupyter={"source_hidden": true}
# Table: the parameters of a small model
lines = ["| parameter | shape | what it is | pruned |", "|-|-|-|-|"]
for name, parameter in check.small_model(neurons=(6, 3)).named_parameters():
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
check.prune_where(magnitude_prune)
### BEGIN HIDDEN TESTS
with check.hidden():
    for heads, neurons in (((1, 2, 1), (3, 8, 5)), ((2,), (6,)), ((1,) * 11, (2,) * 11)):
        small = check.small_model(random.SystemRandom().randrange(10**6), heads, neurons)
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
        gone = sum(sum(check.removed_by(masks[name], before[name])) for name in wanted)
        n = sum(before[name].numel() for name in wanted)
        assert 0 < gone < n, f"At sparsity 0.25 some entries go and some stay; your masks remove {gone} of {n}."
### END HIDDEN TESTS

# %% tests="prune_each" points=1
check.prune_each(magnitude_prune)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for sparsity in (0.1, 0.5, 0.77):
        small = check.small_model(draw.seed, heads=(2, 1), neurons=(7, 3))
        before = {name: parameter.detach().clone() for name, parameter in small.named_parameters()}
        magnitude_prune(small, sparsity)
        for name, parameter in check.parameters_after(small, before).items():
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
                assert got == wanted, f"Sparsity {sparsity}, {name} with its {len(values)} entries: {fault}."
### END HIDDEN TESTS

# %% tests="prune_writes" points=1
check.prune_writes(magnitude_prune)
### BEGIN HIDDEN TESTS
with check.hidden():
    for heads, neurons in (((1, 2, 1), (3, 8, 5)), ((2,), (6,))):
        small = check.small_model(random.SystemRandom().randrange(10**6), heads, neurons)
        with torch.no_grad():
            small.h[0].mlp.c_fc.weight.abs_()[0, 0] = 0.0  # goes, and only its mask can say so
        before = {name: parameter.detach().clone() for name, parameter in small.named_parameters()}
        masks = magnitude_prune(small, 0.7)
        after, zeros, entries = check.parameters_after(small, before), 0, 0
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
                assert new != 0 or not kept, (
                    f"At sparsity 0.7, your mask of {name} keeps a 0, its smallest. What goes is False, also where it was 0 already."
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
# *difficulty ★★☆ and ★★★ · 10 minutes · <<points 2.2>> points*
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

# %% jupyter={"source_hidden": true}
# Picture: four neurons, a colour each
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


# %% tests="scores_value" points=2
check.scores_value(neuron_scores)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for n, C in ((1, 1), (4, 4), (7, 3), (3, 8)):
        feeds, fed = torch.randn(n, C, generator=draw.generator), torch.randn(C, n, generator=draw.generator)
        got = check.as_numbers(neuron_scores(feeds.clone(), torch.zeros(n), fed.clone()), n)
        for j in range(n):
            into = out = 0.0
            for i in range(C):
                into += float(feeds[j, i]) ** 2
                out += float(fed[i, j]) ** 2
            wanted = math.sqrt(into) * math.sqrt(out)
            assert math.isclose(got[j], wanted, rel_tol=1e-3), (
                f"Random weights of {n} neurons, width {C}, no bias: neuron {j} has score {wanted:.4f}; yours is {got[j]:.4f}."
            )
### END HIDDEN TESTS

# %% tests="scores_bias" points=1
check.scores_bias(neuron_scores)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for n, C in ((5, 2), (3, 3), (2, 6)):
        feeds, fed = torch.randn(n, C, generator=draw.generator), torch.randn(C, n, generator=draw.generator)
        bias = torch.randn(n, generator=draw.generator)
        bias[0] = -1.5
        got = check.as_numbers(neuron_scores(feeds.clone(), bias.clone(), fed.clone()), n)
        for j in range(n):
            into, out = float(bias[j]) ** 2, 0.0
            for i in range(C):
                into += float(feeds[j, i]) ** 2
                out += float(fed[i, j]) ** 2
            wanted = math.sqrt(into) * math.sqrt(out)
            assert math.isclose(got[j], wanted, rel_tol=1e-3), (
                f"Random weights of {n} neurons, width {C}: neuron {j}, bias {float(bias[j]):.4f}, has score {wanted:.4f}; yours is {got[j]:.4f}."
            )
### END HIDDEN TESTS

# %% tests="scores_care" points=1
check.scores_care(neuron_scores)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    draw.random, generator = random.Random(draw.seed), torch.Generator().manual_seed(draw.seed)
    for n, C in ((1, 1), (5, 3), (4, 6)):
        order = draw.random.sample(range(n), n)  # the neurons from the least important to the most
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
                f"scores are {show(scores)}."
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


# %% jupyter={"source_hidden": true}
# Picture: neuron 2 goes, and what it said is missing
figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained", width_ratios=(2, 1, 4))
gone = torch.tensor([False, False, True, False])  # neuron 2
plots.matrix(axes[0], c_fc_weight, "c_fc weight", keep=~gone[:, None].expand(4, 2))
plots.matrix(axes[1], c_fc_bias[:, None], "bias", keep=~gone[:, None])
plots.matrix(axes[2], c_proj_weight, "c_proj weight", keep=~gone.expand(2, 4))
plt.show()

keep = torch.tensor([0, 1, 3])
x = torch.tensor([0.5, -1.0])  # any token
whole = check.mlp_output(x, c_fc_weight, c_fc_bias, c_proj_weight)
without = check.mlp_output(x, c_fc_weight[keep], c_fc_bias[keep], c_proj_weight[:, keep])
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


# %% tests="neurons_shapes" points=1
check.neurons_shapes(remove_neurons)
### BEGIN HIDDEN TESTS
with check.hidden():
    generator = torch.Generator().manual_seed(random.SystemRandom().randrange(10**6))
    for n, C, kept in ((6, 3, [1]), (5, 5, [0, 4]), (4, 7, [1, 2, 3]), (8, 4, [0, 1, 2, 3, 4, 5, 6, 7])):
        weights = [torch.rand(shape, generator=generator) + 2 for shape in ((n, C), (n,), (C, n))]
        numbers = {number for weight in weights for number in weight.flatten().tolist()}
        smaller = check.three_tensors(remove_neurons(*weights, torch.tensor(kept)), "remove_neurons")
        got, k = [tuple(tensor.shape) for tensor in smaller], len(kept)
        assert got == [(k, C), (k,), (C, k)], (
            f"{k} of {n} neurons stay, width {C}: shapes {[(k, C), (k,), (C, k)]} were expected; {got} came back."
        )
        assert any(number in numbers for tensor in smaller for number in tensor.flatten().tolist()), (
            "Not one number that came back is one of those that went in: what stays is copied, not made anew."
        )
### END HIDDEN TESTS

# %% tests="neurons_output" points=2
check.neurons_output(remove_neurons)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:

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

    for n, C, kept in (
        (6, 3, [0, 2, 5]),
        (5, 5, [4]),
        (4, 7, [1, 2, 3]),
        (9, 4, [1, 3, 4, 6, 7, 8]),
        (3, 3, [0, 1, 2]),
    ):
        weights = [torch.randn(shape, generator=draw.generator) for shape in ((n, C), (n,), (C, n))]
        x = torch.randn(C, generator=draw.generator).tolist()
        wanted = slow_mlp(x, *[w.tolist() for w in weights], kept)
        smaller = check.three_tensors(
            remove_neurons(*[w.clone() for w in weights], torch.tensor(kept)), "remove_neurons"
        )
        got, k = [tuple(tensor.shape) for tensor in smaller], smaller[0].size(0)
        assert got == [(k, C), (k,), (C, k)], f"The three that came back don't fit together: {got}, of width {C}."
        got = slow_mlp(x, *[tensor.tolist() for tensor in smaller], range(k))
        assert torch.allclose(torch.tensor(got), torch.tensor(wanted), rtol=1e-4, atol=1e-4), (
            f"{n} neurons, width {C}, keep = {kept}: with the others silenced the first output is {wanted[0]:.4f}; with your matrices it is {got[0]:.4f}."
        )
### END HIDDEN TESTS

# %% tests="neurons_care" points=1
check.neurons_care(remove_neurons)
### BEGIN HIDDEN TESTS
with check.hidden():
    generator = torch.Generator().manual_seed(random.SystemRandom().randrange(10**6))
    for n, C, kept in ((4, 2, [0, 1, 2, 3]), (4, 2, [3]), (5, 3, [0, 3, 4]), (1, 2, [0])):
        for dtype in (torch.float32, torch.float16):
            weights = [  # whole numbers, each once: exact in any precision
                torch.randperm(n * C, generator=generator).view(n, C).to(dtype) + 1,
                torch.randperm(n, generator=generator).to(dtype) + 1,
                torch.randperm(n * C, generator=generator).view(C, n).to(dtype) + 1,
            ]
            before = [tensor.clone() for tensor in weights]
            smaller = check.three_tensors(remove_neurons(*weights, torch.tensor(kept)), "remove_neurons")
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

# %% jupyter={"source_hidden": true}
# Picture: the rows and columns of head 0
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
check.heads_shapes(remove_heads)
### BEGIN HIDDEN TESTS
with check.hidden():
    generator = torch.Generator().manual_seed(random.SystemRandom().randrange(10**6))
    for N, H, kept in ((2, 3, [1]), (3, 1, [0, 2]), (5, 2, [0, 1, 4])):
        C, k = N * H, len(kept)
        weights = [torch.rand(shape, generator=generator) + 2 for shape in ((3 * N * H, C), (3 * N * H,), (C, N * H))]
        numbers = {number for weight in weights for number in weight.flatten().tolist()}
        smaller = check.three_tensors(remove_heads(*weights, N, torch.tensor(kept)), "remove_heads")
        got, wanted = [tuple(tensor.shape) for tensor in smaller], [(3 * k * H, C), (3 * k * H,), (C, k * H)]
        assert got == wanted, f"{k} of {N} heads of size {H} stay: shapes {wanted} were expected; {got} came back."
        assert any(number in numbers for tensor in smaller for number in tensor.flatten().tolist()), (
            "Not one number that came back is one of those that went in: what stays is copied, not made anew."
        )
### END HIDDEN TESTS

# %% tests="heads_output" points=3
check.heads_output(remove_heads)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:

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

    for N, H, kept in ((2, 2, [1]), (2, 3, [0]), (4, 2, [0, 3]), (4, 3, [1, 2, 3]), (3, 1, [0, 2])):
        C = N * H
        weights = [
            torch.randn(shape, generator=draw.generator) / 2 for shape in ((3 * N * H, C), (3 * N * H,), (C, N * H))
        ]
        x = torch.randn(3, C, generator=draw.generator).tolist()
        wanted = slow_attention(x, *[w.tolist() for w in weights], N, kept)
        smaller = check.three_tensors(
            remove_heads(*[w.clone() for w in weights], N, torch.tensor(kept)), "remove_heads"
        )
        k = len(kept)
        shapes = [tuple(tensor.shape) for tensor in smaller]
        assert shapes == [(3 * k * H, C), (3 * k * H,), (C, k * H)], (
            f"{k} of {N} heads of size {H}: {shapes} came back."
        )
        got = slow_attention(x, *[tensor.tolist() for tensor in smaller], k, range(k))
        for t in range(3):
            assert torch.allclose(torch.tensor(got[t]), torch.tensor(wanted[t]), rtol=1e-3, atol=1e-4), (
                f"{N} heads of size {H}, keep = {kept}: with the others silenced the first output of token {t} is "
                f"{wanted[t][0]:.4f}; with your matrices it is {got[t][0]:.4f}."
            )
### END HIDDEN TESTS

# %% tests="heads_care" points=1
check.heads_care(remove_heads)
### BEGIN HIDDEN TESTS
with check.hidden():
    generator = torch.Generator().manual_seed(random.SystemRandom().randrange(10**6))
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
            smaller = check.three_tensors(remove_heads(*weights, N, torch.tensor(kept)), "remove_heads")
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
# *difficulty ★☆☆ and ★★☆ · 5 minutes · <<points 2.3>> points*
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

# %% jupyter={"source_hidden": true}
# Picture: five steps of the cubic schedule
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


# %% tests="cubic_value" points=2
check.cubic_value(cubic_sparsity)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for _ in range(20):
        steps, final = draw.random.randint(2, 400), draw.random.uniform(0.05, 1.0)
        step = draw.random.randint(1, steps - 1)
        ahead = (steps - step) / steps
        wanted = final - final * ahead * ahead * ahead
        got = check.number_from(cubic_sparsity(step, 0, steps, 0.0, final), "cubic_sparsity")
        assert abs(got - wanted) < 1e-5, (
            f"Step {step} of {steps}, from 0 to {final:.4f}: {wanted:.6f} was expected, {got:.6f} came back."
        )
### END HIDDEN TESTS

# %% tests="cubic_clamp" points=1
check.cubic_clamp(cubic_sparsity)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for steps in (1, draw.random.randint(2, 30), draw.random.randint(100, 400)):
        start, initial, final = (
            draw.random.randint(5, 1000),
            draw.random.randint(5, 45) / 100,
            draw.random.randint(50, 99) / 100,
        )
        for step, wanted, when in (
            (0, initial, "before the start"),
            (start - 1, initial, "before the start"),
            (start + steps + 1, final, "after the end"),
            (10 * (start + steps), final, "after the end"),
        ):
            got = check.number_from(cubic_sparsity(step, start, steps, initial, final), "cubic_sparsity")
            assert abs(got - wanted) < 1e-5, (
                f"Step {step} lies {when} of a schedule from {initial} to {final} that begins at step {start} and takes "
                f"{steps} steps: {wanted} was expected, {got:g} came back."
            )
### END HIDDEN TESTS

# %% tests="cubic_general" points=1
check.cubic_general(cubic_sparsity)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for _ in range(20):
        start, steps = draw.random.randint(1, 500), draw.random.randint(2, 400)
        initial, final = draw.random.uniform(0.05, 0.45), draw.random.uniform(0.5, 1.0)
        step = start + draw.random.randint(1, steps - 1)
        ahead = (start + steps - step) / steps
        wanted = final - (final - initial) * ahead * ahead * ahead
        got = check.number_from(cubic_sparsity(step, start, steps, initial, final), "cubic_sparsity")
        assert abs(got - wanted) < 1e-5, (
            f"Step {step} of a schedule from {initial:.4f} to {final:.4f} that begins at step {start} and takes {steps} "
            f"steps: {wanted:.6f} was expected, {got:.6f} came back."
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

# %% jupyter={"source_hidden": true}
# Picture: an optimiser's step wakes what was pruned
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
check.step_zeros(train_step_with_masks)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    inputs, targets = torch.randn(8, 4, generator=draw.generator), torch.randn(8, 3, generator=draw.generator)
    kinds = {
        "SGD with momentum and weight decay": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.1),
        "AdamW with weight decay": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.1),
        "RMSprop with momentum": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9),
    }
    for kind, make in kinds.items():
        net = torch.nn.Sequential(torch.nn.Linear(4, 6, bias=False), torch.nn.Tanh(), torch.nn.Linear(6, 3, bias=False))
        optimizer = make(net.parameters())
        for _ in range(3):  # training before anything is pruned
            optimizer.zero_grad()
            ((net(inputs) - targets) ** 2).mean().backward()
            optimizer.step()
        masks = {}
        for cut in (0.3, 0.6, 1.0):  # more and more goes; at last all of the second layer
            masks["0.weight"] = torch.rand(6, 4, generator=draw.generator) >= min(cut, 0.7)
            masks["0.weight"][0] = True
            masks["2.weight"] = torch.rand(3, 6, generator=draw.generator) >= cut
            before, keep = dict(net.named_parameters()), {name: mask.clone() for name, mask in masks.items()}
            for step in (1, 2):
                train_step_with_masks(net, masks, optimizer, lambda m: ((m(inputs) - targets) ** 2).mean())
                for name, parameter in check.parameters_after(net, before).items():
                    for kept, value in zip(keep[name].flatten().tolist(), parameter.flatten().tolist(), strict=True):
                        assert kept or value == 0.0, (
                            f"{kind}, {name}, step {step} with new masks: a pruned weight is {value:.3g}; exactly 0 was "
                            f"expected. It must hold for any optimiser, and for weights that were not zero before."
                        )
### END HIDDEN TESTS

# %% tests="step_learns" points=2
check.step_learns(train_step_with_masks)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    rows, columns, samples = 3, 5, 4
    w = [[draw.random.uniform(-1, 1) for _ in range(columns)] for _ in range(rows)]
    b = [draw.random.uniform(-1, 1) for _ in range(rows)]
    x = [[draw.random.uniform(-2, 2) for _ in range(columns)] for _ in range(samples)]
    y = [[draw.random.uniform(-2, 2) for _ in range(rows)] for _ in range(samples)]
    kept = [[draw.random.random() < 0.6 for _ in range(columns)] for _ in range(rows)]
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
                    f"{got:.6f}. Does the optimiser itself take the step, on this step's gradient alone?"
                )
        got = check.number_from(value, "train_step_with_masks")
        assert abs(got - loss) < 1e-5, f"Step {step}: the loss before the step was {loss:.6f}; {got:.6f} came back."
### END HIDDEN TESTS

# %% tests="step_care" points=1
check.step_care(train_step_with_masks)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 2))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(1 + torch.rand(parameter.shape, generator=draw.generator))
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.001)

    def first(m):  # the second layer has no part in this loss
        return m[0](torch.ones(1, 2)).sum()

    wanted = first(net).item()
    value = train_step_with_masks(net, {}, optimizer, first)  # no masks at all: an ordinary step
    got = check.number_from(value, "train_step_with_masks")
    assert abs(got - wanted) < 0.1 * wanted, (  # step_learns looks at the last digits
        f"Without any masks: the loss before the step was {wanted:.4f}; {got:.4f} came back."
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
# *difficulty ★★☆ · 5 minutes · <<points 2.4>> points*
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

# %% jupyter={"source_hidden": true}
# Picture: two layers, ranked each on its own and together
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


# %% tests="global_count" points=2
check.global_count(global_masks)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    draw.generator, dice = torch.Generator().manual_seed(draw.seed), random.Random(draw.seed)
    for shapes in [[(4,), (1,), (3,)], [(3,), (5, 2)], [(2, 3, 4), (7,), (3, 3)], [(4, 5), (5,), (5,), (2, 5), (40,)]]:
        total = 0
        for shape in shapes:
            n = 1
            for size in shape:
                n *= size
            total += n
        values = ((torch.randperm(total, generator=draw.generator) + 1) / total).tolist()  # all different, none zero
        weights = {}
        for number, shape in enumerate(shapes):
            n = torch.zeros(shape).numel()
            weights[f"layer {number}"] = torch.tensor([values.pop() * dice.choice((-1, 1)) for _ in range(n)]).reshape(
                shape
            )
        for sparsity in (0.1, 0.25, 0.5, 0.75, 0.9, round(dice.uniform(0.2, 0.8), 3)):
            gone = check.removed_from(global_masks({name: w.clone() for name, w in weights.items()}, sparsity), weights)
            got = 0
            for name in gone:
                for g in gone[name]:
                    got += g
            wanted = round(sparsity * total)
            assert got == wanted, (
                f"Layers of shapes {shapes}, {total} entries, at sparsity {sparsity}: round({sparsity} * {total}) = {wanted} go, "
                f"your masks remove {got}."
            )
### END HIDDEN TESTS

# %% tests="global_choice" points=2
check.global_choice(global_masks)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    draw.generator, dice = torch.Generator().manual_seed(draw.seed), random.Random(draw.seed)
    for shapes in [[(4, 6), (6, 4)], [(3, 5), (20,), (2, 2, 5)], [(8,), (16, 2), (9,), (4, 4)]]:
        weights = {}
        for number, shape in enumerate(shapes):
            scale = (1.0, 0.5, 1.6, 0.8)[number]  # layers whose weights differ in size, but overlap
            weights[f"layer {number}"] = scale * torch.randn(shape, generator=draw.generator)
        for sparsity in (0.3, 0.5, 0.8):
            gone = check.removed_from(global_masks({name: w.clone() for name, w in weights.items()}, sparsity), weights)
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
                f"{smallest_kept:.3f}, which is smaller in size. Is it one ranking over all layers?"
            )
### END HIDDEN TESTS

# %% tests="global_ties" points=1
check.global_ties(global_masks)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    cases = [{"one": torch.ones(4, 4), "two": torch.ones(8), "three": torch.ones(2, 2, 2)}]
    cases.append({"z": torch.tensor([0.0, -0.0, 0.5, -0.5]), "y": torch.tensor([[-0.5, 0.0], [0.5, -0.0]])})
    for shapes in [[(8,), (4, 4)], [(16, 16), (8, 8), (64,)]]:
        cases.append(
            {
                f"layer {9 - i}": torch.randint(-2, 3, shape, generator=draw.generator) / 2
                for i, shape in enumerate(shapes)
            }
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
            gone = check.removed_from(global_masks({name: w.clone() for name, w in weights.items()}, sparsity), weights)
            got, asked = sum(map(sum, gone.values())), sum(map(sum, wanted.values()))
            if got == asked:
                fault = f"the right number goes, but not the earlier ones among equals, in the order of the dict {list(weights)}"
            else:
                fault = f"{asked} go, your masks remove {got}"
            assert gone == wanted, f"{total} weights, many of them equal, at sparsity {sparsity}: {fault}."
### END HIDDEN TESTS

# %% tests="global_care" points=1
check.global_care(global_masks)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    # Exact in any dtype; the squares of the first four are zero in float16.
    powers = [2.0**power for power in (*range(-16, -12), *range(8, 16))]
    parts = (
        draw.random.sample(powers[:3] + powers[4:6], 5),
        draw.random.sample(powers[6:10], 4),
        draw.random.sample(powers[10:], 2),
    )
    parts[0].insert(parts[0].index(powers[0]), powers[3])  # of the four it stays, and does not read last
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
                f"say {kept}."
            )
    values = draw.random.sample(powers[:-1], 11)
    values.insert(draw.random.choice((0, 2, 4, 6, 8, 10)), powers[-1])  # the largest is in both
    base = torch.tensor(values).reshape(3, 4)
    slanted = {"turned": base.t(), "thinned": (1.5 * base)[:, ::2]}  # 12 and 6 weights, all different
    before = {name: weight.clone() for name, weight in slanted.items()}
    masks = global_masks(slanted, 0.5)
    smallest = sorted(value for weight in before.values() for value in weight.flatten().tolist())[:9]
    for name, weight in before.items():
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
