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
# # Phase 1: what pruning does to a real GPT-2
#
# **15 minutes · two small exercises · no GPU, no network**
#
# A trained language model is a pile of numbers. Many of them are close to zero. *Pruning* asks: what if they
# were exactly zero, and gone? How much can you cut before the model notices, and does anything get faster?
#
# You will not have to believe anybody. This notebook holds a real GPT-2, small enough for a laptop and trained
# on 35 plays by Shakespeare. You cut it, and measure it on three plays it has never seen.
#
# | | part | minutes |
# |-|-|-:|
# | 1 | Meet the model | 2 |
# | 2 | Measure before you cut (two exercises) | 6 |
# | 3 | Prune it, and look at the damage | 2 |
# | 4 | The explorer: prune while you drag | 2 |
# | 5 | Does a zero make it faster? | 1 |
# | 6 | Claims against measurements | 1 |
# | 7 | Where pruned models run, and a knowledge check | 1 |
#
# Run the cells from top to bottom with **Shift + Enter**. Grey cells marked `# YOUR CODE HERE` are yours to write.

# %% locked="setup" jupyter={"source_hidden": true}
# Set-up: imports, and the line that fills as your checks pass
try:
    from gpt2_lib import GPT2, evaluate, generate, held_out_windows, load_pretrained_gpt2, plots
except ImportError:
    raise ImportError(
        "This notebook runs in a Python without the course's library. Choose Kernel > Change Kernel > Python 3 "
        "in the JupyterLab that `make lab` opened."
    ) from None

import math
from copy import deepcopy

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display

from gpt2_lib.config import PRESETS
from gpt2_lib.course import checks as check
from gpt2_lib.course.lesson import when_written
from gpt2_lib.course.progress import progress
from gpt2_lib.pruning.pruner import attention_weights, feedforward_weights, prunable_weights, quick_magnitude_prune

points = "<<checks>>"
progress.begin("Phase 1", points)

# %% [markdown]
# ## 1 · Meet the model
#
# One call loads it, with its tokenizer. It continues any text you give it: this one starts like a page of *Macbeth*,
# in the Markdown the plays are printed in.

# %%
model, tokenizer = load_pretrained_gpt2()
context = model.config.n_positions

display(Markdown(generate(model, "**MACBETH**  \nIs this a dagger", new_tokens=120, seed=3)))


# %% [markdown]
# It is no Shakespeare, but it has learned what a play looks like: who speaks, where lines break, how people talk.
# Where do the numbers that know this live? A GPT-2 has three kinds of them:
#
# - **embeddings**: a vector for each token and each position,
# - **attention**: in every block, the matrices that let a token look at earlier ones,
# - **feed-forward**: in every block, two wide matrices that work on each token alone.
#
# Pruning in this course means the last two. (Embeddings are looked up, not multiplied; cutting them hurts at once.)


# %%
def parts(m):
    """Count parameters by where they live."""
    every = sum(p.numel() for p in m.parameters())
    attention = sum(w.numel() for w in attention_weights(m).values())
    feedforward = sum(w.numel() for w in feedforward_weights(m).values())
    embeddings = m.wte.weight.numel() + m.wpe.weight.numel()
    rest = every - attention - feedforward - embeddings
    return {
        "embeddings": embeddings,
        "attention": attention,
        "feed-forward": feedforward,
        "biases, LayerNorm": rest,
    }


with torch.device("meta"):  # only the shapes: OpenAI's GPT-2 without its half gigabyte of weights
    openai = GPT2(PRESETS["gpt2"])

models = {"gpt2-mini (here)": parts(model), "GPT-2 124M (OpenAI)": parts(openai)}
for name, counts in models.items():
    print(f"{name}: {sum(counts.values()):,} parameters, " + ", ".join(f"{k} {v:,}" for k, v in counts.items()))

figure, ax = plt.subplots(figsize=(9, 2.2), layout="constrained")
plots.parameter_bars(ax, models)
plt.show()

# %% [markdown]
# Now look at the weights themselves. If many are near zero, then removing those should cost least: that is the whole
# idea of **magnitude pruning**.

# %%
figure, ax = plt.subplots(figsize=(8, 3), layout="constrained")
plots.weight_histogram(
    ax,
    {
        "attention": torch.cat([w.flatten() for w in attention_weights(model).values()]),
        "feed-forward": torch.cat([w.flatten() for w in feedforward_weights(model).values()]),
    },
)
plt.show()

together = torch.cat([w.detach().flatten().abs() for w in prunable_weights(model).values()])
print(
    f"Half of the {len(together):,} prunable weights lie within ±{together.median():.4f}; the largest is {together.max():.2f}."
)

# %% [markdown]
# ## 2 · Measure before you cut
#
# Two numbers carry the whole course: how much is gone, and how much it hurt. You write both.
#
# ### Exercise 1.1 · sparsity
# *difficulty ★☆☆ · 2 minutes*
#
# **Sparsity** is the fraction of entries that are exactly zero, over all tensors together:
#
# $$\text{sparsity} = \frac{\text{number of zeros}}{\text{number of entries}}$$
#
# A big layer must count for more than a small one. Here are two layers, 2×4 and 1×2, with zeros struck out:

# %% jupyter={"source_hidden": true}
# Picture: two layers and their zeros
big = torch.tensor([[0.0, 2.0, 0.0, 1.0], [3.0, 0.0, 0.5, 0.0]])
small = torch.tensor([[0.7, 4.0]])

figure, axes = plt.subplots(1, 2, figsize=(7, 1.8), layout="constrained", width_ratios=(4, 2))
plots.matrix(axes[0], big, "4 zeros of 8", keep=big != 0)
plots.matrix(axes[1], small, "0 zeros of 2", keep=small != 0)
plt.show()
print("together: 4 zeros of 10 entries, so the sparsity is 0.4")


# %% exercise="sparsity"
def sparsity(tensors):
    """Fraction of exact zeros over all tensors together.

    tensors: a list of torch tensors of any shapes (at least one entry in all)
    returns: a float from 0.0 (no zeros) to 1.0 (nothing but zeros)
    """
    ### BEGIN SOLUTION
    tensors = list(tensors)
    zeros = sum((t == 0).sum().item() for t in tensors)
    return zeros / sum(t.numel() for t in tensors)
    ### END SOLUTION


# %% tests="sparsity_basics" points=2
check.sparsity_basics(sparsity)
### BEGIN HIDDEN TESTS
with check.hidden():
    for shape in [(1,), (7,), (5, 3), (2, 3, 4)]:
        generator = torch.Generator().manual_seed(sum(shape))
        t = torch.randn(shape, generator=generator) * (torch.rand(shape, generator=generator) > 0.4)
        zeros = 0
        for value in t.flatten().tolist():
            if value == 0.0:
                zeros += 1
        got = float(sparsity([t]))
        assert math.isclose(got, zeros / t.numel(), abs_tol=1e-6), (
            f"A tensor of shape {shape} with {zeros} zeros among {t.numel()} entries: {zeros / t.numel():.4f} was expected, {got:.4f} came back."
        )
    got = float(sparsity([torch.zeros(4, 4)]))
    assert math.isclose(got, 1.0, abs_tol=1e-6), f"A matrix of nothing but zeros has sparsity 1.0; yours is {got:g}."
### END HIDDEN TESTS

# %% tests="sparsity_pooled" points=2
check.sparsity_pooled(sparsity)
### BEGIN HIDDEN TESTS
with check.hidden():
    generator = torch.Generator().manual_seed(11)
    for shapes in [[(100, 3), (2,)], [(2,), (100, 3)], [(4, 4), (1,), (3, 2, 2)], [(8,), (8,), (8,), (800,)]]:
        tensors = [
            torch.randn(s, generator=generator) * (torch.rand(s, generator=generator) > 0.1 * (3 + i))
            for i, s in enumerate(shapes)
        ]
        zeros, entries = 0, 0
        for t in tensors:
            for value in t.flatten().tolist():
                entries += 1
                if value == 0.0:
                    zeros += 1
        got = float(sparsity(tensors))
        assert math.isclose(got, zeros / entries, abs_tol=1e-6), (
            f"Tensors of shapes {shapes} with {zeros} zeros among {entries} entries: {zeros / entries:.4f} was expected, {got:.4f} came back."
        )
### END HIDDEN TESTS

# %% tests="sparsity_edges" points=1
check.sparsity_edges(sparsity)
### BEGIN HIDDEN TESTS
with check.hidden():
    before = torch.tensor([[0.0, -1.5], [2.0, 0.0]])
    given = before.clone()
    sparsity([given])
    assert torch.equal(given, before), "sparsity() changed the tensor it was given; it should only look."
    for dtype in (torch.float16, torch.bfloat16, torch.int64):
        t = torch.tensor([0, 1, 2, 0, 0], dtype=dtype)
        assert math.isclose(float(sparsity([t])), 0.6, abs_tol=1e-6), (
            f"[0, 1, 2, 0, 0] as {dtype} has sparsity 0.6; yours is {float(sparsity([t])):g}."
        )
    t = torch.tensor([0.0, -0.0, -3.0, 4.0])
    assert math.isclose(float(sparsity([t])), 0.5, abs_tol=1e-6), (
        f"[0, -0.0, -3, 4] has two zeros (minus zero is zero): 0.5 was expected, {float(sparsity([t])):g} came back."
    )
    t = torch.arange(12.0).reshape(3, 4).t()[::2]  # not contiguous: 0, 4, 8 and 2, 6, 10
    assert math.isclose(float(sparsity([t])), 1 / 6, abs_tol=1e-6), (
        "A slice of a transposed tensor was counted wrongly."
    )
    t = torch.ones(3_000, 1_000, dtype=torch.float16)
    t[:1_000] = 0
    assert math.isclose(float(sparsity([t])), 1 / 3, abs_tol=1e-5), (
        f"Three million float16 entries, a third of them zero: 0.3333 was expected, {float(sparsity([t])):.4f} came back."
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `t == 0` gives a tensor of `True` and `False`, and `True` counts as 1 in a sum.
# </details>
# <details><summary>Hint 2</summary>
#
# Keep two running totals over the list: the zeros seen so far and the entries seen so far (`t.numel()`). Divide once,
# at the very end.
# </details>

# %% [markdown]
# **What you saw.** Your function on the real model: nobody has pruned it yet, so next to nothing should be zero.

# %%
with when_written("exercise 1.1"):
    print(f"gpt2-mini as trained: {sparsity([p.detach() for p in model.parameters()]):.4%} of its parameters are zero")
    half = deepcopy(model)
    quick_magnitude_prune(half, att_sparsity=0.5, ff_sparsity=0.5)
    print(
        f"attention and feed-forward weights pruned to 50 %: {sparsity([w.detach() for w in prunable_weights(half).values()]):.2%} of those weights,"
    )
    print(
        f"but only {sparsity([p.detach() for p in half.parameters()]):.2%} of the whole model: a claim about sparsity must name its denominator"
    )

# %% [markdown]
# ### Exercise 1.2 · perplexity
# *difficulty ★★☆ · 4 minutes*
#
# At every place in a text the model gives each token of its vocabulary a score, the **logits**; softmax makes them
# probabilities. **Perplexity** asks how much probability the right next token got:
#
# $$\text{perplexity} = \exp\Big(-\frac{1}{n}\sum_{i=1}^{n} \log p_i(\text{right token})\Big),
# \qquad p_i = \text{softmax}(\text{logits}_i)$$
#
# A perplexity of 20 means: as unsure as if it had to guess among 20 equally likely tokens. Lower is better.
# Two places, a vocabulary of four tokens; the target's column is framed:

# %% jupyter={"source_hidden": true}
# Picture: logits, and the probabilities that they make
logits = torch.tensor([[[2.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]])  # (B=1, T=2, V=4)
targets = torch.tensor([[0, 3]])  # (B=1, T=2)

figure, axes = plt.subplots(1, 2, figsize=(8, 1.8), layout="constrained")
plots.matrix(axes[0], logits[0], "logits")
plots.matrix(axes[1], (logits[0].softmax(-1) * 1000).round() / 1000, "probabilities = softmax of each row")
for ax in axes:
    for place, token in enumerate(targets[0].tolist()):
        ax.add_patch(plt.Rectangle((token - 0.5, place - 0.5), 1, 1, fill=False, edgecolor=plots.BLUE, linewidth=3))
plt.show()
p = logits[0].softmax(-1)
by_hand = math.exp(-(math.log(p[0, 0]) + math.log(p[1, 3])) / 2)
print(
    f"the right tokens got {p[0, 0]:.3f} and {p[1, 3]:.3f}: exp(-(log {p[0, 0]:.3f} + log {p[1, 3]:.3f}) / 2) = {by_hand:.4f}"
)


# %% exercise="perplexity"
def perplexity(logits, targets):
    """exp of the mean negative log-likelihood of the targets.

    logits:  float tensor (B, T, V), the scores of each of V tokens at each place
    targets: int64 tensor (B, T), the token that was right at each place
    returns: a float, 1.0 or more
    """
    ### BEGIN SOLUTION
    log_p = torch.log_softmax(logits.float(), dim=-1)  # (B, T, V)
    right = log_p.gather(-1, targets.unsqueeze(-1))  # (B, T, 1)
    return math.exp(-right.double().mean().item())
    ### END SOLUTION


# %% tests="perplexity_basics" points=2
check.perplexity_basics(perplexity)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for draw.seed, (B, T, V) in enumerate([(1, 1, 2), (1, 6, 5), (2, 3, 4), (3, 2, 7), (4, 4, 4)]):
        generator = torch.Generator().manual_seed(draw.seed)
        x = torch.randn(B, T, V, generator=generator) * 2
        y = torch.randint(V, (B, T), generator=generator)
        nll = 0.0
        for b in range(B):
            for t in range(T):
                row = [math.exp(v) for v in x[b, t].tolist()]
                nll -= math.log(row[int(y[b, t])] / sum(row))
        wanted = math.exp(nll / (B * T))
        got = float(perplexity(x, y))
        assert math.isclose(got, wanted, rel_tol=1e-3), (
            f"Random logits of shape {(B, T, V)}: {wanted:.4f} was expected, {got:.4f} came back."
        )
### END HIDDEN TESTS

# %% tests="perplexity_mean" points=2
check.perplexity_mean(perplexity)
### BEGIN HIDDEN TESTS
with check.hidden():
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(3, 5, 6, generator=generator)
    x[0] *= 8  # one sequence is far worse than the others
    y = torch.randint(6, (3, 5), generator=generator)
    nll = 0.0
    for b in range(3):
        for t in range(5):
            row = [math.exp(v) for v in x[b, t].tolist()]
            nll -= math.log(row[int(y[b, t])] / sum(row))
    wanted = math.exp(nll / 15)
    keep_x, keep_y = x.clone(), y.clone()
    got = float(perplexity(x, y))
    assert math.isclose(got, wanted, rel_tol=1e-3), (
        f"Three sequences of unequal difficulty: {wanted:.4f} was expected, {got:.4f} came back."
    )
    assert torch.equal(x, keep_x), "perplexity() changed the logits it was given; it should only look."
    assert torch.equal(y, keep_y), "perplexity() changed the targets it was given; it should only look."
### END HIDDEN TESTS

# %% tests="perplexity_stable" points=1
check.perplexity_stable(perplexity)
### BEGIN HIDDEN TESTS
with check.hidden():
    got = float(perplexity(torch.tensor([[[0.0, -12.0, 150.0], [0.0, 0.0, 150.0]]]), torch.tensor([[1, 2]])))
    assert math.isclose(got, math.exp(81.0), rel_tol=1e-2), (
        f"Two tokens with log-probabilities of -162 and 0: exp(81) = {math.exp(81.0):.4g} was expected, {got:.4g} came back."
    )
    got = float(perplexity(torch.full((1, 2, 4), -1000.0), torch.zeros(1, 2, dtype=torch.int64)))
    assert math.isclose(got, 4.0, rel_tol=1e-3), (
        f"Four equal logits of -1000 are a guess among four: 4 was expected, {got:g} came back."
    )
    x = torch.zeros(1, 4, 16).half()
    got = float(perplexity(x, torch.zeros(1, 4, dtype=torch.int64)))
    assert math.isclose(got, 16.0, rel_tol=1e-2), (
        f"Equal float16 logits over 16 tokens: 16 was expected, {got:g} came back."
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `torch.log_softmax(logits, dim=-1)` gives every token's log-probability without overflow.
# </details>
# <details><summary>Hint 2</summary>
#
# `gather` picks one entry a row: `log_p.gather(-1, targets.unsqueeze(-1))`. (Or use `torch.nn.functional.cross_entropy`
# on `logits.flatten(0, 1)` and `targets.flatten()`, which does both steps.)
# </details>

# %% [markdown]
# **What you saw.** Your perplexity of the real model on a page it has never seen, and the library's on many pages.
# *Bits per character* says the same in a unit that doesn't depend on the tokenizer.

# %%
windows = held_out_windows(tokenizer, context, 12)  # (12, 256): pages of Macbeth, Twelfth Night and Henry V
with when_written("exercise 1.2"), torch.no_grad():
    page = windows[:1]
    print(f"your perplexity on one page: {perplexity(model(page)[:, :-1], page[:, 1:]):.2f}")
dense = evaluate(model, windows)
print(
    f"on {dense.tokens:,} held-out tokens: perplexity {dense.perplexity:.2f}, {dense.bits_per_character:.3f} bits per character; "
    f"its first guess is right for {dense.accuracy:.1%} of the tokens"
)

# %% [markdown]
# ## 3 · Prune it, and look at the damage
#
# There are four classic ways to choose what goes:
#
# | method | what goes | training |
# |-|-|-|
# | **magnitude** | the smallest weights of each layer | none |
# | **global** | the smallest weights of the whole model, ranked together | none |
# | **structured** | whole neurons and attention heads, those that add least on a few pages of text | none |
# | **gradual** | the smallest weights of each layer, a little more at each cut | between the cuts |
#
# The next cell prunes a fresh copy of the model for every point of the first three, in one shot.

# %%
from gpt2_lib.course.experiments import BEYOND, METHODS, sweep, sweep_gradually, table

points = sweep(model, windows)
display(Markdown(table(points)))

# %% [markdown]
# Gradual pruning needs training, so here is only a taste of it: five cuts, ten small steps after each. (Phase 2 does it
# properly; `docs/benchmarks.md` in the repository has what ten minutes of it reach.)

# %%
gradual = sweep_gradually(model, windows)
figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
plots.quality_curves(*axes, points + gradual)
plt.show()

local = {p.sparsity: p for p in points if p.method == METHODS[0].name}
slowly = {p.sparsity: p for p in gradual}
print(
    f"Layer by layer, half of the weights gone: perplexity {local[0.0].perplexity:.1f} -> {local[0.5].perplexity:.1f}; "
    f"at 80 %: {local[0.8].perplexity:.1f}, {local[0.8].perplexity / local[0.0].perplexity:.1f} times as unsure. "
    f"With a little training between the cuts: {slowly[0.5].perplexity:.1f} and {slowly[0.8].perplexity:.1f}."
)

# %% [markdown]
# The first cuts are nearly free. Then the curve bends, and soon the model talks nonsense. Read it:

# %%
for s in (0.0, 0.5, 0.7, 0.9):
    display(Markdown(f"---\n**{s:.0%} pruned, perplexity {local[s].perplexity:.1f}**\n\n{local[s].sample}"))

# %% [markdown]
# ### Beyond the four
#
# Magnitude looks at the weights alone. Newer methods also look at what flows through them, on a few pages of text
# (64 pages of the plays it was trained on, here). All in one shot, without training:
#
# - **random**: what any method has to beat;
# - **Taylor**: weight times gradient, how much the loss would change ([Molchanov et al., 2017](https://arxiv.org/abs/1611.06440));
# - **Wanda**: weight times the norm of its input, compared within a row ([Sun et al., 2023](https://arxiv.org/abs/2306.11695));
# - **SparseGPT**: prunes column by column, and corrects the columns to come for what went ([Frantar and Alistarh, 2023](https://arxiv.org/abs/2301.00774));
# - **2:4**: of every four neighbours two go, the pattern that recent NVIDIA GPUs speed up, chosen by any score.

# %%
from gpt2_lib import ModelPruner
from gpt2_lib.corpus import calibration_windows
from gpt2_lib.course.experiments import measure

pages = calibration_windows(tokenizer, context)
beyond = sweep(model, windows, (0.5,), METHODS[:1] + BEYOND)
for name, prune in {
    "2:4, magnitude": lambda pruner: pruner.prune_n_m(2, 4),
    "2:4, Wanda": lambda pruner: pruner.prune_wanda(pages, n_m=(2, 4)),
    "2:4, SparseGPT": lambda pruner: pruner.prune_sparsegpt(pages, n_m=(2, 4)),
}.items():
    pruned = deepcopy(model)
    prune(ModelPruner(pruned))
    beyond.append(measure(pruned, windows, name))
display(Markdown(table(beyond)))

# %% [markdown]
# ## 4 · The explorer
#
# Drag. Wherever the sliders go, the real model is pruned, measured on the held-out pages and asked to write.
# The star is you. Four things to try:
#
# 1. Prune only attention to 80 %, then only feed-forward to 80 %. Which can the model spare?
# 2. Switch between *layer by layer* and *global* and watch the mask of one layer: does it lose its share?
# 3. Choose *structured*: whole heads and neurons go. See the stripes in the mask, and what they cost.
# 4. Find the highest sparsity that still writes something like a play.

# %%
from gpt2_lib.course.widgets import Explorer

explorer = Explorer(model, windows, points)
explorer

# %% [markdown]
# ## 5 · Does a zero make it faster?
#
# Half of the weights are zero: surely the model is now twice as fast, and half the size? Measure: time for one page,
# memory of the weights, the file as it is saved, and the same file zipped. In the row before the last nothing is *set* to
# zero: a quarter of the heads and neurons are gone, rows and columns with them. In the last, of every four weights two are
# zero: an NVIDIA GPU has a kernel for that, the processor here has none.

# %%
from gpt2_lib.metrics import cost, cost_table

variants = {"dense": model}
for s in (0.5, 0.9):
    variants[f"{s:.0%} zeros"] = deepcopy(model)
    quick_magnitude_prune(variants[f"{s:.0%} zeros"], s, s)
variants["25% fewer heads and neurons"] = ModelPruner(model).remove_structures(0.25, 0.25, pages)
variants["2:4"] = pruned  # by SparseGPT, from above

costs = cost(variants, windows[:1])
display(Markdown(cost_table(costs, baseline="dense")))

# %% [markdown]
# A dense matrix full of zeros is still a dense matrix: it is stored, moved and multiplied like any other. Two things help:
#
# - **smaller shapes**: remove whole rows and columns, and every chip gains, since plain dense kernels get less to do;
# - **a sparse format**: zeros speed up a *kernel* only where one is made for that pattern, and shrink a *file* only where
#   something packs them. Here is a file made for it: a bitmask, the values that are left, then compressed; and the same with
#   every matrix rounded to **int8**.

# %%
from gpt2_lib.storage.packed import packed_sizes

packed = {
    name: (packed_sizes(variant).file, packed_sizes(variant, int8=True).file) for name, variant in variants.items()
}
lines = ["| model | packed file | with int8 |", "|-|-:|-:|"]
lines += [f"| {name} | {fp32 / 1e6:.2f} MB | {int8 / 1e6:.2f} MB |" for name, (fp32, int8) in packed.items()]
display(Markdown("\n".join(lines)))

# %% [markdown]
# You write the packing and the int8 yourself in Phase 3.

# %% [markdown]
# ## 6 · Claims against measurements
#
# You will meet these numbers in talks and blog posts. Here is what is behind them, and what this machine just measured.

# %%
from gpt2_lib.course.claims import claims_table

full, zeros, fewer = costs["dense"], costs["50% zeros"], costs["25% fewer heads and neurons"]
everywhere = {p.sparsity: p for p in points if p.method == METHODS[1].name}
shot = {p.method: p for p in beyond}
smaller_int8 = packed["25% fewer heads and neurons"][1]


def lost(point):
    return 1 - point.accuracy / dense.accuracy


measured = {
    "zeros": f"50 % zeros: memory {full.memory / zeros.memory:.2f}x, speed {full.seconds / zeros.seconds:.2f}x, "
    f"packed file {full.file / packed['50% zeros'][0]:.2f}x smaller",
    "structured": f"memory {full.memory / fewer.memory:.2f}x, speed {full.seconds / fewer.seconds:.2f}x; accuracy lost, "
    f"without training: {1 - evaluate(variants['25% fewer heads and neurons'], windows).accuracy / dense.accuracy:.0%}",
    "gradual": f"70 %, after {10 * 3} small steps: {lost(slowly[0.7]):.0%} of the accuracy lost, "
    f"in one shot {lost(local[0.7]):.0%}; memory and speed as for any zeros",
    "global": f"60 %: the same zeros either way; perplexity {everywhere[0.6].perplexity:.1f} global, "
    f"{local[0.6].perplexity:.1f} layer by layer",
    "one shot": f"of the accuracy lost at 50 %: magnitude {lost(local[0.5]):.0%}, Wanda {lost(shot['Wanda']):.0%}, "
    f"SparseGPT {lost(shot['SparseGPT']):.0%}; at 60 % by magnitude {lost(local[0.6]):.0%}",
    "structured and int8": f"file {full.file / smaller_int8:.1f}x smaller (25 % of heads and neurons, int8, packed)",
}
display(Markdown(claims_table(measured)))

# %% [markdown]
# ## 7 · Where pruned models run
#
# | where | what is used, with typical amounts | why |
# |-|-|-|
# | cloud | global and magnitude pruning, 50-70 % | smaller files and downloads; faster only with kernels for the pattern |
# | mobile | structured, 20-40 % | phones run dense kernels: smaller shapes are faster everywhere |
# | edge | structured and int8 together, 3-5x | the chip asks for int8, and memory is tiny |
# | training pipelines | gradual, while training | the model recovers between the cuts |
#
# **Good practice.** Start with magnitude: it is one line and sets the mark to beat. Go structured when the hardware
# must gain. Prune gradually if you train anyway. Combine with quantisation at the end. And measure each step.
#
# ### Knowledge check 1
# Answer first, then unfold.
#
# **1. You set 50 % of a model's weights to zero and save it with `torch.save`. How much smaller is the file?**
# <details><summary>answer</summary>
#
# Not at all: zeros are stored like any number. Zipped or packed it shrinks, as the table in part 5 shows.
# </details>
#
# **2. Model A has perplexity 20 with a vocabulary of 2,000 tokens, model B 30 with a vocabulary of 50,000. Which is better?**
# <details><summary>answer</summary>
#
# You can't tell: B's tokens are longer, so each is harder to guess. Compare bits per character.
# </details>
#
# **3. Layer by layer or global: which leaves every layer with the same sparsity?**
# <details><summary>answer</summary>
#
# Layer by layer. Global pruning ranks all weights together, so layers with small weights lose more.
# </details>
#
# **4. Why measure on plays the model has not seen?**
# <details><summary>answer</summary>
#
# On its training text a model can look good from memory alone; pruning and quality matter where it has to generalise.
# </details>
#
# **Next:** Phase 2, where you write the pruning yourself. To see your points for this notebook: save it (Ctrl + S), then run
# `make check` in a terminal.
