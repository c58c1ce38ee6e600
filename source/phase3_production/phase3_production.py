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
# # Phase 3: into production
#
# **15 minutes · five exercises · <<points>> points · no GPU, no network**
#
# A pruned model on your laptop has saved nobody anything yet. Here it is packed into a small file, measured as a service would
# measure it, exported, served and asked over HTTP: all for real, as far as this machine goes. Where it stops, it says so.
#
# | | exercise | what you write | minutes | difficulty | points |
# |-|-|-|-:|-|-:|
# | 3.1 | **pack** | a sparse file: one bit an entry, and the values that are left | 4 | ★★☆ | <<points 3.1>> |
# | 3.2 | **quantise** | int8 with one scale a row, where a zero stays a zero | 3 | ★★☆ | <<points 3.2>> |
# | 3.3 | **measure** | latency, memory and accuracy of a model | 3 | ★★☆ | <<points 3.3>> |
# | 3.4 | **compare** | what pruning bought, and what it cost | 2 | ★☆☆ | <<points 3.4>> |
# | 3.5 | **readiness** | five questions | 2 | ★☆☆ | <<points 3.5>> |
#
# The cells work as in Phase 2: write your code, run the checks below it, unfold a hint if you need one. After them come the four
# integrations (TensorRT, mobile, cloud, training pipelines): run, read, and change what makes you curious.

# %% locked="setup" jupyter={"source_hidden": true}
# Set-up: imports, and the line that fills as your checks pass
try:
    from gpt2_lib import GPT2, GPT2Config, ModelPruner, evaluate, held_out_windows, load_pretrained_gpt2, plots
except ImportError:
    raise ImportError(
        "This notebook runs in a Python without the course's library. Choose Kernel > Change Kernel > Python 3 "
        "in the JupyterLab that `make lab` opened."
    ) from None

import math
import random
import statistics
import tempfile
import time
from copy import deepcopy
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Markdown, display

from gpt2_lib.course import checks as check
from gpt2_lib.course.lesson import Slow, latency_fault, show, speedup_fault, tensor_fault, when_written
from gpt2_lib.course.progress import progress
from gpt2_lib.course.readiness import assessment, explain

points = "<<checks>>"
progress.begin("Phase 3", points)

# %%
model, tokenizer = load_pretrained_gpt2()
windows = held_out_windows(tokenizer, model.config.n_positions, 12)  # (12, 256): pages of three plays it never saw

# %% [markdown]
# ## What you ship
#
# `ModelPruner` is the library's face for all that you wrote in Phase 2. Sixty percent of the attention and feed-forward weights
# go, by SparseGPT, which corrects the weights that stay:

# %%
from gpt2_lib.corpus import calibration_windows

pruned = deepcopy(model)
pruner = ModelPruner(pruned)
pruner.prune_sparsegpt(calibration_windows(tokenizer, model.config.n_positions, 32), 0.6)
stats = pruner.get_model_statistics()
dense_quality, quality = evaluate(model, windows), evaluate(pruned, windows)
print(
    f"zeros: {stats['sparsity']:.1%} of the {stats['prunable']:,} prunable weights, {stats['whole_model_sparsity']:.1%} of the "
    f"whole model\n"
    f"in memory: {stats['bytes_dense'] / 1e6:.2f} MB before, {stats['bytes_dense'] / 1e6:.2f} MB now\n"
    f"perplexity {dense_quality.perplexity:.1f} -> {quality.perplexity:.1f}, accuracy {dense_quality.accuracy:.1%} -> "
    f"{quality.accuracy:.1%}, in one shot and without training"
)

# %% [markdown]
# Not one byte saved: a zero is stored like any number. So you write the format that saves them.
#
# ## 3.1 · Pack: what a sparse file costs
# *difficulty ★★☆ · 4 minutes · <<points 3.1>> points*
#
# For each entry **one bit**: is it there? And the values that are there, one after the other. With sparsity $s$ and
# values of $b$ bits, an entry takes
#
# $$1 + (1 - s)\, b \quad\text{bits instead of } b: \qquad \text{at } s = 0.5,\; b = 32:\quad \frac{32}{17} = 1.88\times \text{ smaller.}$$
#
# Eight bits make a byte. Whether the first entry is a byte's highest bit (as `np.packbits` has it) or its lowest is up to you,
# as long as `unpack` reads what `pack` wrote. The last byte is filled up with zeros.

# %% jupyter={"source_hidden": true}
# Picture: a sparse weight and its bits
weight = torch.tensor([[0.0, 1.5, 0.0, -2.0, 0.0], [0.5, 0.0, 0.0, 0.0, 3.0]])

figure, axes = plt.subplots(1, 2, figsize=(9, 1.6), layout="constrained")
plots.matrix(axes[0], weight, "a weight: 10 entries of 4 bytes", keep=weight != 0)
plots.matrix(axes[1], (weight != 0).float(), "its bits, row by row")
plt.show()
print("bits    01010100 01000000   2 bytes (the last six are filled up)")
print("values  1.5 -2.0 0.5 3.0   16 bytes, instead of 40 in all")


# %% exercise="pack"
def pack(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Split a weight into its bitmask and the values that are not zero.

    weight:  tensor of any shape with n entries, of any float dtype; only looked at
    returns: bitmask, uint8 tensor of ceil(n / 8) entries, eight entries of the weight to each, row by row, 1 = not zero;
             values, 1-D tensor of the weight's dtype: the entries that are not zero, in order
    """
    ### BEGIN SOLUTION
    kept = weight != 0
    return torch.from_numpy(np.packbits(kept)), weight[kept]
    ### END SOLUTION


# %% tests="pack_bits" points=2
check.pack_bits(pack)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for shape in [(1,), (7,), (8,), (9,), (3, 5), (4, 4), (2, 3, 4), (5, 13)]:
        weight = torch.randn(shape, generator=draw.generator) * (torch.rand(shape, generator=draw.generator) < 0.5)
        got, _ = check.lists(pack(weight.clone()))
        wanted = [check.bytes_of([value != 0 for value in weight.flatten().tolist()], first) for first in (True, False)]
        assert got in wanted, (
            f"A weight of shape {shape}: {wanted[0]} was expected (or, lowest bit first, {wanted[1]}); your bitmask is "
            f"{got}."
        )
### END HIDDEN TESTS

# %% tests="pack_values" points=1
check.pack_values(pack)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    weights = [torch.zeros(3, 4), torch.tensor([[1e-30, 0.0, -1e-30]]), torch.full((2, 5), -1.0)]
    for shape in [(9,), (6, 5), (2, 3, 4)]:
        weights.append(
            torch.randn(shape, generator=draw.generator) * (torch.rand(shape, generator=draw.generator) < 0.4)
        )
    for weight in weights:
        _, got = check.lists(pack(weight.clone()))
        wanted = []
        for value in weight.flatten().tolist():
            if value != 0:
                wanted.append(value)
        assert got == wanted, (
            f"A weight of shape {tuple(weight.shape)} with {len(wanted)} entries that are not zero: your {len(got)} values are "
            f"others, or in another order. Tiny is not zero."
        )
### END HIDDEN TESTS

# %% tests="pack_care" points=1
check.pack_care(pack)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float32):
        wanted = sorted(draw.random.sample([sign * 2.0**power for power in range(-3, 5) for sign in (1, -1)], 6))
        weight = torch.zeros(12, dtype=dtype)
        weight[sorted(draw.random.sample(range(12), 6))] = torch.tensor(wanted, dtype=dtype)
        weight = weight.view(4, 3).t().contiguous().t()  # lies in memory in another order than it reads
        bitmask, values = check.two(pack(weight.clone()), "bitmask, values")
        fault = tensor_fault(values, (6,), weight)
        assert fault is None, f"The values of a weight of {dtype}: {fault}"
        kept = [value != 0 for value in weight.flatten().tolist()]
        bits = [check.bytes_of(flags, first) for flags in (kept, [not k for k in kept]) for first in (True, False)]
        got = bitmask.flatten().tolist(), values.tolist()
        assert got in [(b, wanted) for b in bits], (  # what a 1 means is for pack_bits to say
            f"A weight of {dtype} that lies in memory in another order than it reads: {bits[0]} (or {bits[1]}) and {wanted} were expected, "
            f"as it reads, row by row; {got[0]} and {got[1]} came back.\nThe weight:\n{show(weight)}"
        )
### END HIDDEN TESTS


# %% exercise="unpack"
def unpack(bitmask: torch.Tensor, values: torch.Tensor, shape: tuple) -> torch.Tensor:
    """The weight that pack() split, exactly.

    bitmask, values: what pack() returned; shape: the weight's shape
    returns: tensor of that shape and of the values' dtype
    """
    ### BEGIN SOLUTION
    bits = torch.from_numpy(np.unpackbits(bitmask)).bool()  # a multiple of eight
    weight = torch.zeros(math.prod(shape), dtype=values.dtype)
    weight[bits[: weight.numel()]] = values
    return weight.view(shape)
    ### END SOLUTION


# %% tests="unpack_exact" points=2
check.unpack_exact(unpack)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:

    def unpacked(weight, highest_first):
        bitmask = torch.tensor(
            check.bytes_of([v != 0 for v in weight.flatten().tolist()], highest_first), dtype=torch.uint8
        )
        return unpack(bitmask, weight[weight != 0], tuple(weight.shape))

    one = torch.zeros(3, 3)
    one[0, 0] = 2.5  # which end of a byte comes first?
    try:
        highest_first = torch.equal(unpacked(one, True), one)
    except (RuntimeError, IndexError, ValueError):
        highest_first = False
    try:
        written, _ = check.lists(pack(one.clone()))
    except Exception:  # pack() has its own checks
        written = []
    assert written != check.bytes_of((one != 0).flatten().tolist(), not highest_first), (
        f"pack() writes a first entry as bit {'highest' if not highest_first else 'lowest'} of its byte, and unpack() reads it at "
        "the other end."
    )
    weights = [one, torch.zeros(2, 3), torch.ones(4, 4), torch.ones(3, 1, 5), torch.tensor([0.0])]
    for shape in [(7,), (8,), (5, 9), (2, 3, 4), (16, 16)]:
        weights.append(
            torch.randn(shape, generator=draw.generator) * (torch.rand(shape, generator=draw.generator) < 0.5)
        )
    for weight in weights:
        assert torch.equal(unpacked(weight, highest_first), weight), (
            f"A weight of shape {tuple(weight.shape)} with {int((weight != 0).sum())} values did not come back exactly "
            f"(draw.seed {draw.seed})."
        )
### END HIDDEN TESTS

# %% tests="unpack_care" points=1
check.unpack_care(unpack)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        bitmask, values = torch.full((1,), 255, dtype=torch.uint8), torch.randn(8, generator=draw.generator).to(dtype)
        before = bitmask.clone(), values.clone()
        first = unpack(bitmask, values, (2, 4))
        assert sorted(first.flatten().tolist()) == sorted(before[1].tolist()), (
            f"Eight values of {dtype} and eight bits, all of them 1: {before[1].tolist()} were expected; what came back holds "
            f"{first.flatten().tolist()}."
        )
        first.zero_()
        for given, was in zip((bitmask, values), before, strict=True):
            assert torch.equal(given, was), "unpack() changed what it was given, or its result shares memory with it."
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `weight.flatten() != 0` are the bits. Give them zeros at the end until eight divides their number, look at them as rows of
# eight, and each row is a byte: 128 for its first bit, 64 for the second, ..., 1 for the last, summed up.
# </details>
# <details><summary>Hint 2</summary>
#
# `np.packbits` and `np.unpackbits` do just that; `tensor.numpy()` and `torch.from_numpy` lead there and back. To unpack:
# start from zeros, then `weight[bits] = values` puts the values where the bits are `True`.
# </details>

# %% [markdown]
# **What you saw.** Your file format on gpt2-mini, a larger share of its smallest weights zero at each dot, against two others: all
# values with zeros in between (dense), and each value with a 32-bit column number (CSR, what `scipy.sparse` does). The blue line
# is the formula above, the dots are your bytes.

# %%
with when_written("exercise 3.1"):
    weights, cut = (
        [p.detach() for n, p in m.named_parameters() if n.startswith("h.") and p.dim() == 2] for m in (model, pruned)
    )
    everything = sum(4 * w.numel() for w in weights)
    levels, mine = (0.0, 0.25, 0.5, 0.6, 0.75, 0.9), []
    for level in levels:
        total = 0
        for w in weights:
            order = w.abs().flatten().argsort()
            thinned = w.flatten().clone()
            thinned[order[: round(level * w.numel())]] = 0
            bitmask, values = pack(thinned.view(w.shape))
            total += bitmask.numel() + 4 * values.numel()
        mine.append(total / everything)
    exact = all(torch.equal(unpack(*pack(w), tuple(w.shape)), w) for w in cut)
    figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
    line = torch.linspace(0, 0.9, 50)
    ax.plot(line, torch.ones(50), color=plots.GREY, label="dense: a zero costs what a number costs")
    ax.plot(line, 2 * (1 - line), color=plots.ORANGE, linestyle="--", label="CSR, 32-bit columns: gains from 50 % on")
    ax.plot(line, 1 / 32 + (1 - line), color=plots.BLUE, label="bitmask and values")
    ax.plot(levels, mine, "o", color=plots.BLUE, label="your pack()")
    ax.set(xlabel="sparsity", ylabel="bytes, 1 = dense", ylim=(0, 2.05))
    ax.legend(frameon=False)
    plt.show()
    print(f"Every matrix of the pruned model comes back exactly: {exact}.")
    print(f"At 50 % your format is {1 / mine[2]:.2f}x smaller than dense; the formula says 1.88x.")

# %% [markdown]
# ## 3.2 · Quantise: eight bits a weight
# *difficulty ★★☆ · 3 minutes · <<points 3.2>> points*
#
# The values that are left need not be 32 bits. For each output channel (row) $i$ of a weight, one scale maps the largest
# entry to 127, and everything else to the nearest whole number:
#
# $$s_i = \frac{\max_j |w_{ij}|}{127}, \qquad q_{ij} = \text{round}\Big(\frac{w_{ij}}{s_i}\Big) \in [-127, 127], \qquad w_{ij} \approx s_i\, q_{ij}$$
#
# There is no zero point: the grid is symmetric, so that **0 stays 0**, and what is pruned stays pruned (Krishnamoorthi, 2018,
# section 2.2). One scale a row, since a row of small weights would be rounded to nothing by the scale of a large one. A row of
# zeros has no largest entry to divide by: any finite scale will do.

# %% jupyter={"source_hidden": true}
# Picture: a weight and its int8
weight = torch.tensor([[1.27, -0.5, 0.0, 0.003], [0.02, 0.0, -0.0127, 0.001]])
q = torch.tensor([[127, -50, 0, 0], [127, 0, -81, 6]])

figure, axes = plt.subplots(1, 2, figsize=(9, 1.6), layout="constrained")
plots.matrix(axes[0], weight, "a weight: two rows, one of small entries")
plots.matrix(axes[1], q, "int8; the scales are 1.27/127 and 0.02/127", keep=q != 0)
plt.show()
print("The second row's -0.0127 is -81 of its own steps. With the first row's scale it would have been -1 step.")


# %% exercise="quantize_int8"
def quantize_int8(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round a weight to int8, symmetric, with one scale for each row.

    weight:  float tensor (out, in); only looked at
    returns: q, int8 tensor (out, in), every entry from -127 to 127;
             scale, float tensor (out,), finite and above 0: q * scale[:, None] is the weight, rounded to nearest
    """
    ### BEGIN SOLUTION
    weight = weight.float()
    largest = weight.abs().amax(dim=1)  # (out,)
    scale = torch.where(largest > 0, largest / 127, 1.0)  # a row of zeros: anything finite
    return (weight / scale[:, None]).round().to(torch.int8), scale
    ### END SOLUTION


# %% tests="int8_range" points=1
check.int8_range(quantize_int8)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for _ in range(5):
        weight = torch.randn(6, 9, generator=draw.generator) * 10.0 ** torch.arange(-3.0, 3.0)[:, None]
        q, _ = check.numbers(quantize_int8(weight.clone()), weight)
        for row, values in enumerate(q.tolist()):
            largest = max(abs(value) for value in values)
            assert largest == 127, (
                f"Row {row} of a weight whose rows differ in size: its largest entry becomes 127 or -127; yours {largest:g}. "
                f"A wrap-around in int8, or one scale for all rows?"
            )
### END HIDDEN TESTS

# %% tests="int8_scale" points=2
check.int8_scale(quantize_int8)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for _ in range(4):
        weight = torch.randn(5, 8, generator=draw.generator) * 10.0 ** torch.arange(-2.0, 3.0)[:, None]
        weight[0] = -weight[0].abs()  # the largest entry is negative
        _, scale = check.numbers(quantize_int8(weight.clone()), weight)
        for row, values in enumerate(weight.tolist()):
            wanted = max(abs(value) for value in values) / 127
            assert abs(float(scale[row]) / wanted - 1) < 1e-3, (
                f"Row {row} with entries up to {wanted * 127:.4g} in size: the scale is {wanted:.6g}, yours {float(scale[row]):.6g}."
            )
### END HIDDEN TESTS

# %% tests="int8_nearest" points=2
check.int8_nearest(quantize_int8)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    weight = torch.randn(8, 50, generator=torch.Generator().manual_seed(draw.seed))
    q, scale = check.numbers(quantize_int8(weight.clone()), weight)
    for row, (values, integers) in enumerate(zip(weight.tolist(), q.tolist(), strict=True)):
        unit = max(abs(value) for value in values) / 127
        for value, integer in zip(values, integers, strict=True):
            assert abs(value / unit - integer) <= 0.5 + 1e-3, (
                f"Row {row}: {value:.5f} is {value / unit:.3f} scales and became {integer:g}; the nearest whole number was "
                f"expected."
            )
### END HIDDEN TESTS

# %% tests="int8_zeros" points=1
check.int8_zeros(quantize_int8)
### BEGIN HIDDEN TESTS
with check.hidden():
    generator = torch.Generator().manual_seed(random.SystemRandom().randrange(10**6))
    for shape in [(1, 1), (3, 8), (6, 5)]:
        weight = torch.randn(shape, generator=generator) * (torch.rand(shape, generator=generator) < 0.5)
        weight[-1] = 0.0
        check.assert_zeros_stay(quantize_int8(weight.clone()), weight)
### END HIDDEN TESTS

# %% tests="int8_care" points=1
check.int8_care(quantize_int8)
### BEGIN HIDDEN TESTS
with check.hidden():
    dice = random.SystemRandom()
    rows = [dice.sample(row, 4) for row in ([1.0, -0.5, 0.25, 0.0], [0.125, 0.0, -1.0, 0.75])]
    base = torch.tensor(rows) * 2.0 ** dice.randint(-3, 3)  # exact in every precision
    for dtype in (torch.float16, torch.bfloat16):
        q, scale = check.numbers(quantize_int8(base.to(dtype)), base)
        worst = (q * scale[:, None] - base.double()).abs().max() / base.abs().max()
        assert worst < 0.02, (
            f"A weight of {dtype}: q * scale is off by up to {worst:.1%} of the largest entry.\nThe weight:\n{show(base)}"
        )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `weight.abs().amax(dim=1)` has one entry a row. To divide each row by its own scale, give the scale a second
# dimension: `scale[:, None]`.
# </details>
# <details><summary>Hint 2</summary>
#
# Round before you convert: `.to(torch.int8)` alone cuts off. For the row of zeros: `torch.where(largest > 0, largest / 127, 1.0)`.
# </details>

# %% [markdown]
# **What you saw.** Pruned and quantised together, by your functions, on the real model: bytes of all matrices of the blocks, and
# what rounding does to the quality.

# %%
with when_written("exercises 3.1 and 3.2"):
    rows = ["| the blocks' matrices | MB | smaller | perplexity |", "|-|-:|-:|-:|"]
    dense_bytes = sum(4 * p.numel() for n, p in model.named_parameters() if n.startswith("h.") and p.dim() == 2)
    rows.append(f"| dense, 32 bits | {dense_bytes / 1e6:.2f} | 1.00x | {dense_quality.perplexity:.2f} |")
    for name, source, int8 in (("60 % pruned, packed", pruned, False), ("60 % pruned, int8, packed", pruned, True)):
        twin, size = deepcopy(source), 0
        with torch.no_grad():
            for n, p in twin.named_parameters():
                if n.startswith("h.") and p.dim() == 2:
                    q, scale = quantize_int8(p) if int8 else (p.detach(), torch.zeros(0))
                    bitmask, values = pack(q)
                    size += bitmask.numel() + values.numel() * values.element_size() + 4 * scale.numel()
                    p.copy_(q * scale[:, None] if int8 else unpack(bitmask, values, tuple(p.shape)))
        rows.append(
            f"| {name} | {size / 1e6:.2f} | {dense_bytes / size:.2f}x | {evaluate(twin, windows).perplexity:.2f} |"
        )
    display(Markdown("\n".join(rows)))

# %% [markdown]
# Rounding to eight bits costs next to nothing here; the pruning is what hurts, and training repairs that (the challenges).

# %% [markdown]
# ## 3.3 · Measure: what a service looks at
# *difficulty ★★☆ · 3 minutes · <<points 3.3>> points*
#
# Three numbers decide whether a model can be served: how long it takes, how much memory it holds, how often it is right. Each has
# a trap:
#
# - **Latency.** The first pass is slow (memory is fetched, kernels are chosen), and now and then another program gets in between.
#   So: several passes, and the **median** of them. A mean would pay for every hiccup.
# - **Memory.** Bytes, not parameters: an fp16 entry has two, and each tensor counts once.
# - **Accuracy.** The logits at place $t$ guess token $t + 1$; and dropout must be off (`model.eval()`).


# %% exercise="evaluate_production_metrics"
def evaluate_production_metrics(model: torch.nn.Module, test_data: torch.Tensor) -> dict[str, float]:
    """Latency, memory and accuracy of a model; the model is left as it was.

    model:     model(ids) takes token ids, int64 (B, T), and gives logits (B, T, V)
    test_data: int64 (N, T), N pages of token ids
    returns:   {"latency": seconds of a pass over the first page alone, (1, T): the median of 5 passes or more,
                "memory": bytes of all parameters,
                "accuracy": share of right guesses, from 0 to 1: each token but a page's first is guessed from
                those before it, and the likeliest next token is the guess}
    """
    ### BEGIN SOLUTION
    was_training = model.training
    model.eval()
    with torch.no_grad():
        times = []
        for _ in range(9):
            started = time.perf_counter()
            model(test_data[:1])
            times.append(time.perf_counter() - started)
        guesses = model(test_data)[:, :-1].argmax(-1)  # (N, T - 1)
    model.train(was_training)
    return {
        "latency": statistics.median(times),
        "memory": sum(p.numel() * p.element_size() for p in model.parameters()),
        "accuracy": (guesses == test_data[:, 1:]).double().mean().item(),
    }
    ### END SOLUTION


# %% tests="metrics_accuracy" points=2
check.metrics_accuracy(evaluate_production_metrics)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for shape in [(1, 2), (3, 7), (5, 16)]:
        tiny = check.tiny_gpt2(draw.seed)
        pages = torch.randint(17, shape, generator=draw.generator)
        for row in range(shape[0]):  # every guess of the first page becomes right, every second of the next, ...
            for place in range(1, shape[1], 1 + row):
                with torch.no_grad():
                    pages[row, place] = tiny(pages[row : row + 1])[0, place - 1].argmax()
        right = 0
        with torch.no_grad():
            for page in pages:
                guesses = tiny(page[None])[0].argmax(-1).tolist()
                for place in range(1, shape[1]):
                    right += guesses[place - 1] == int(page[place])
        wanted = right / (shape[0] * (shape[1] - 1))
        got = check.metric(evaluate_production_metrics(tiny, pages.clone()), "accuracy")
        assert abs(got - wanted) < 1e-6, (
            f"{shape[0]} pages of {shape[1]} tokens: accuracy {wanted:.4f} was expected, {got:.4f} came back."
        )
    noisy = check.tiny_gpt2(draw.seed, dropout=0.5).train()
    pages = torch.randint(17, (8, 16), generator=draw.generator)
    for place in range(1, 16, 2):  # so many right guesses that dropout would cost some
        with torch.no_grad():
            pages[:, place] = check.tiny_gpt2(draw.seed)(pages)[:, place - 1].argmax(-1)
    quiet = check.accuracy_of(check.tiny_gpt2(draw.seed), pages)
    for _ in range(3):
        got = check.metric(evaluate_production_metrics(noisy, pages.clone()), "accuracy")
        assert abs(got - quiet) < 1e-6, (
            f"A model in training mode with dropout: accuracy {quiet:.4f} was expected, {got:.4f} came back. Is dropout off?"
        )
### END HIDDEN TESTS

# %% tests="metrics_memory" points=1
check.metrics_memory(evaluate_production_metrics)
### BEGIN HIDDEN TESTS
with check.hidden():
    tiny = check.tiny_gpt2(n_layer=random.SystemRandom().randint(3, 6)).bfloat16()
    count = sum(p.numel() for p in tiny.parameters())
    got = check.metric(evaluate_production_metrics(tiny, torch.zeros(2, 6, dtype=torch.int64)), "memory")
    assert got == 2 * count, f"{count:,} bfloat16 parameters take {2 * count:,} bytes; {got:,.0f} came back."
### END HIDDEN TESTS

# %% tests="metrics_latency" points=2
check.metrics_latency(evaluate_production_metrics)
### BEGIN HIDDEN TESTS
with check.hidden():
    chance = random.SystemRandom()
    places = chance.sample(range(4), 4)
    usual = chance.sample(
        [chance.uniform(0.006, 0.009), chance.uniform(0.015, 0.02)], 2
    )  # so that no constant is right
    for nap, (slow, quick) in zip(usual, (places[:2], places[2:]), strict=True):
        naps = [nap] * 4
        naps[slow], naps[quick] = chance.uniform(0.06, 0.065), 0.0
        fault = latency_fault(
            lambda *given: check.metric(evaluate_production_metrics(*given), "latency"),
            check.tiny_gpt2(),
            pages=1,
            naps=naps,
        )
        assert fault is None, f"Of every four passes of this model one is slow and one quick. {fault}"
### END HIDDEN TESTS

# %% tests="metrics_care" points=1
check.metrics_care(evaluate_production_metrics)
### BEGIN HIDDEN TESTS
with check.hidden():
    chance = random.SystemRandom()
    tiny = check.tiny_gpt2(chance.randrange(10**6), n_layer=chance.randint(1, 5))
    pages = torch.randint(17, (3, 8), generator=torch.Generator().manual_seed(chance.randrange(10**6)))
    for place in range(1, 8, chance.randint(1, 3)):  # so that some guesses are right
        with torch.no_grad():
            pages[0, place] = tiny(pages[:1])[0, place - 1].argmax()
    before = {name: p.detach().clone() for name, p in tiny.named_parameters()}
    size, right = sum(4 * p.numel() for p in before.values()), check.accuracy_of(tiny, pages)
    came = evaluate_production_metrics(tiny, pages.clone())
    after = {name: p for name, p in tiny.named_parameters() if p.requires_grad}
    assert set(after) == set(before), "The model's parameters can't be trained any more afterwards."
    # Each number has a check of its own. One of them has to be right here: a model that nobody looks at is left as it was, too.
    assert check.metric(came, "memory") == size or abs(check.metric(came, "accuracy") - right) < 1e-6, (
        f"Neither the memory ({size:,} bytes) nor the accuracy ({right:.4f}) of this model is right. Does your function measure the model that it is given?"
    )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# `time.perf_counter()` before and after; collect five or more differences in a list, then `statistics.median`.
# Accuracy: `model(test_data)[:, :-1].argmax(-1)` are the guesses, `test_data[:, 1:]` what they are about.
# </details>
# <details><summary>Hint 2</summary>
#
# Around it all: remember `model.training`, call `model.eval()`, measure under `torch.no_grad()`, then `model.train(remembered)`.
# Memory is one line: `sum(p.numel() * p.element_size() for p in model.parameters())`.
# </details>

# %% [markdown]
# ## 3.4 · Compare: what pruning bought
# *difficulty ★☆☆ · 2 minutes · <<points 3.4>> points*
#
# Three ratios tell a pruned model's story. **Compression**: the original's bytes over the bytes of the pruned model as your `pack`
# stores it. **Speedup**: the original's latency over the pruned one's. **Quality**: the pruned model's accuracy over the
# original's, so 0.98 means two percent lost. A number above 1 is a gain in all three.
#
# Packing costs a bit an entry, so a tensor without zeros gets larger by it. Each tensor is stored in the way that takes
# fewer bytes, packed or dense, as a real file would.


# %% exercise="deployment_analysis"
def deployment_analysis(
    original_model: torch.nn.Module, pruned_model: torch.nn.Module, test_data: torch.Tensor
) -> dict[str, float]:
    """What pruning has bought and what it cost.

    test_data: int64 (N, T), N pages of token ids
    returns:   {"compression": bytes of the original's parameters / bytes of the pruned model's, each parameter
                either packed (bitmask and values) or dense, whichever is smaller,
                "speedup": latency of the original / latency of the pruned model,
                "quality": accuracy of the pruned model / accuracy of the original}
    """
    ### BEGIN SOLUTION
    before = evaluate_production_metrics(original_model, test_data)
    after = evaluate_production_metrics(pruned_model, test_data)
    stored = 0
    for p in pruned_model.parameters():
        bitmask, values = pack(p)
        stored += min(p.numel() * p.element_size(), bitmask.numel() + values.numel() * values.element_size())
    return {
        "compression": before["memory"] / stored,
        "speedup": before["latency"] / after["latency"],
        "quality": after["accuracy"] / before["accuracy"],
    }
    ### END SOLUTION


# %% tests="analysis_compression" points=2
check.analysis_compression(deployment_analysis)
### BEGIN HIDDEN TESTS
with check.hidden():
    chance = random.SystemRandom()
    for neurons in (None, (chance.randint(4, 9), chance.randint(1, 3))):
        original, fewer, pages = check.two_models(chance.randrange(10**6))
        if neurons:  # fewer of them, as structured pruning leaves a model
            fewer = GPT2(GPT2Config(17, 16, n_embd=8, n_layer=2, n_head=2, neurons=neurons)).init_weights().eval()
            with torch.no_grad():
                fewer.h[0].attn.c_attn.weight[:12] = 0
        before = stored = 0
        for p in original.parameters():
            before += 4 * p.numel()
        for p in fewer.parameters():
            stored += min(4 * p.numel(), -(-p.numel() // 8) + 4 * int((p != 0).sum()))
        got = check.metric(deployment_analysis(original, fewer, pages), "compression")
        assert abs(got / (before / stored) - 1) < 1e-6, (
            f"{before:,} bytes become {stored:,}: {before / stored:.4f} was expected, {got:.4f} came back."
        )
### END HIDDEN TESTS

# %% tests="analysis_speedup" points=1
check.analysis_speedup(deployment_analysis)
### BEGIN HIDDEN TESTS
with check.hidden():
    chance = random.SystemRandom()
    short, long = chance.uniform(0.003, 0.005), chance.uniform(0.015, 0.02)
    # A pruned model may also be slower, so no constant is right for both. Of three attempts one has to do: the machine is busy.
    for naps in chance.sample([(long, short), (short, long)], 2):
        for _ in range(3):
            original, fewer, pages = check.two_models(chance.randrange(10**6))
            original, fewer = (Slow(model, [nap]) for model, nap in zip((original, fewer), naps, strict=True))
            fault = speedup_fault(
                check.metric(deployment_analysis(original, fewer, pages[:1]), "speedup"), original, fewer
            )
            if fault is None:
                break
        assert fault is None, fault
### END HIDDEN TESTS

# %% tests="analysis_quality" points=1
check.analysis_quality(deployment_analysis)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for number in range(3):
        better, worse, pages = check.two_models(draw.seed + number)
        for place in range(1, 16, 2):  # so that the twin has some right, too
            with torch.no_grad():
                pages[-1, place] = worse(pages[-1:])[0, place - 1].argmax()
        known = [(model, check.accuracy_of(model, pages)) for model in (better, worse)]
        for (first, before), (second, after) in (known, known[::-1]):  # a pruned model may be the better one
            got = check.metric(deployment_analysis(deepcopy(first), deepcopy(second), pages.clone()), "quality")
            assert abs(got - after / before) < 1e-6, (
                f"Accuracy {before:.4f} before, {after:.4f} after: {after / before:.4f} was expected, {got:.4f} came back (draw.seed {draw.seed + number})."
            )
### END HIDDEN TESTS

# %% [markdown]
# <details><summary>Hint 1</summary>
#
# You have written the parts: `evaluate_production_metrics` of both models gives latency, accuracy and the original's bytes;
# `pack` of each parameter gives the two tensors whose bytes you add up.
# </details>
# <details><summary>Hint 2</summary>
#
# For a tensor: `min(p.numel() * p.element_size(), bitmask.numel() + values.numel() * values.element_size())`.
# </details>

# %% [markdown]
# **What you saw.** Your two functions on the model that was pruned above; then the library's report of two ways to prune:
# 60 % of the weights as zeros, and a quarter of the heads and neurons really removed. It times reading (prefill) and writing
# (decode) apart, the two models taking turns, and counts every byte of a real file.

# %%
with when_written("exercises 3.1, 3.3 and 3.4"):
    mine = deployment_analysis(model, pruned, windows)
    print("yours, 60 % zeros:  " + "   ".join(f"{name} {value:.2f}" for name, value in mine.items()))

# %%
from gpt2_lib.deploy.production import analysis_table
from gpt2_lib.deploy.production import deployment_analysis as library_analysis

calibration = calibration_windows(tokenizer, model.config.n_positions, 32)
smaller = ModelPruner(deepcopy(model)).remove_structures(0.25, 0.25, calibration)
reports = {
    "60 % zeros": library_analysis(model, pruned, windows),
    "25 % removed": library_analysis(model, smaller, windows),
}
for name, report in reports.items():
    display(Markdown(f"**{name}**\n\n{analysis_table(report)}"))

# %% [markdown]
# Read the speed of the first table: **zeros make nothing faster** on a dense kernel. The second is faster in about the ratio of
# its operations. Both lost quality in one shot: a model is trained after such cuts, which is what the `challenges` notebook is for.
#
# ## Four ways out
#
# Each cell does what can be done on this machine and says where it stops. Files go to a temporary folder.

# %%
from gpt2_lib.deploy.extras import DeployError, MissingExtraError

folder = Path(tempfile.mkdtemp(prefix="gpt2-production-"))

# %% [markdown]
# ### Cloud: ONNX Runtime, a server, Kubernetes
# ONNX is the format that most runtimes read. The exported file holds the graph, the weights and the tokenizer; ONNX Runtime
# runs it without PyTorch. In int8, the head is untied from the embedding first: tied, it would be left in 32 bits.

# %%
try:
    from gpt2_lib.deploy.onnx import OnnxGPT2, export_onnx

    rows = ["| file | MB | ms to read 128 tokens | perplexity |", "|-|-:|-:|-:|"]
    prompt = windows[:1, :128]
    for name, exported, int8 in (
        ("dense", model, False),
        ("25 % removed", smaller, False),
        ("25 % removed, int8", smaller, True),
    ):
        runtime = OnnxGPT2(
            export_onnx(exported, folder / f"{name.partition(',')[0]} {int8}.onnx", int8=int8), threads=1
        )
        runtime.logits(prompt)
        times = []
        for _ in range(9):
            started = time.perf_counter()
            runtime.logits(prompt)
            times.append(time.perf_counter() - started)
        size = (folder / f"{name.partition(',')[0]} {int8}.onnx").stat().st_size / 1e6
        found = runtime.evaluate(windows[:4]).perplexity
        rows.append(f"| {name} | {size:.2f} | {1000 * statistics.median(times):.1f} | {found:.2f} |")
    display(Markdown("\n".join(rows)))
except MissingExtraError as missing:
    print(missing)

# %% [markdown]
# Served: `deploy_to_production` starts a web server in a process of its own and hands you the keys. It refuses what is too long,
# too large or too much at once, reports its health and its metrics, and finishes what it has begun when it is told to stop.

# %%
from gpt2_lib import deploy_to_production

try:
    with deploy_to_production(smaller) as served:
        print(served)
        print(served.generate("To be, or not to be", new_tokens=24, seed=1))
        load = served.measure(requests=20, concurrency=2)
        print(
            f"{load['requests']} requests of 32 tokens, {load['errors'] or 'none'} of them failed: "
            f"{1000 * load['median_seconds']:.0f} ms each (median), {load['tokens_per_second']:.0f} tokens a second"
        )
except (MissingExtraError, DeployError) as reason:
    print(reason)

# %% [markdown]
# In a cluster the same server runs in a container. The manifests are in `gpt2_lib/deploy/serving/manifests` (kustomize: a base, a
# dense and a pruned overlay). No cluster is here, so they are checked without one: against Kubernetes' schema, and for what
# a schema doesn't see (a selector that fits nothing, a probe on a port that is closed).

# %%
from gpt2_lib.deploy.serving import kubernetes

try:
    for overlay in ("dense", "pruned"):
        faults = kubernetes.validate(kubernetes.MANIFESTS / "overlays" / overlay)
        print(f"{overlay}: {faults or 'no fault found; not applied to any cluster'}")
except (MissingExtraError, DeployError) as reason:
    print(reason)

# %% [markdown]
# ### Mobile: Core ML and ExecuTorch
# Phones run what their vendors compile. Both need packages that the course doesn't install by itself; what these say in red does
# no harm. Core ML models can be made here but only run on Apple's systems, so the saved program is read back and computed step
# by step, to compare the numbers.

# %%
try:
    from gpt2_lib.deploy.coreml import export_coreml, interpret, package_bytes

    package = export_coreml(pruned, folder / "pruned.mlpackage", sparse=True, int8=True)
    ids = windows[:1, :32]
    with torch.no_grad():
        apart = (torch.from_numpy(interpret(package, ids)) - pruned(ids)).abs().max()
    size = sum(p.numel() * 4 for p in pruned.parameters())
    print(
        f"Core ML, 60 % zeros stored sparsely, int8: {package_bytes(package) / 1e6:.2f} MB of {size / 1e6:.2f}; its logits are up to "
        f"{apart:.2f} from PyTorch's.\nIt was computed here step by step: running it takes an Apple system."
    )
except (MissingExtraError, DeployError) as reason:
    print(reason)

# %%
try:
    from gpt2_lib.deploy.executorch import ExecuTorchGPT2, export_executorch

    program = export_executorch(smaller, folder / "smaller.pte", int8=False)
    ids = windows[:1, :32]
    with torch.no_grad():
        apart = (torch.from_numpy(ExecuTorchGPT2(program).logits(ids)) - smaller(ids)).abs().max()
    print(
        f"ExecuTorch, 25 % removed: {program.stat().st_size / 1e6:.2f} MB, run here; its logits are up to {apart:.1e} from PyTorch's."
    )
except (MissingExtraError, DeployError) as reason:
    print(reason)

# %% [markdown]
# ### TensorRT
# TensorRT doesn't prune. It compiles a model for one NVIDIA GPU, and if asked to (`--sparsity=enable`) uses its sparse tensor
# cores for weights that are **2:4** already: two of every four neighbours zero. So: prune to 2:4, write the ONNX file, check the
# pattern, and keep the command for the machine that has the GPU.

# %%
from gpt2_lib import convert_to_tensorrt

two_four = ModelPruner(deepcopy(model))
two_four.prune_sparsegpt(calibration, n_m=(2, 4))
try:
    converted = convert_to_tensorrt(two_four.model, folder / "tensorrt")
except (MissingExtraError, DeployError) as reason:
    print(reason)

# %% [markdown]
# How much faster is 2:4 on a GPU? `python -m gpt2_lib.deploy.semi_structured` measures it where there is one. None
# was at hand when this was written, so there is no table of ours to show, and we quote none.
#
# ### Training pipelines: MLflow
# A gradual run belongs in the same ledger as every other training: its settings, its curves, the model it ended in.

# %%
from gpt2_lib.corpus import encode, training_plays
from gpt2_lib.pruning.gradual import RECOVERY, GradualRun
from gpt2_lib.pruning.schedules import Schedule

try:
    from dataclasses import replace

    from gpt2_lib.deploy.tracking import load_tracked, track_gradual

    run = GradualRun(deepcopy(model), replace(RECOVERY, steps=6), Schedule(0.6, 4, every=2), teacher=model)
    page = {name: text[:200_000] for name, text in list(training_plays().items())[:1]}
    version = track_gradual(
        run, encode(page, tokenizer), windows[:2], every=3, folder=folder / "mlflow", name="gpt2-mini-60"
    )
    again = load_tracked(folder / "mlflow", "gpt2-mini-60")
    print(
        f"version {version} of gpt2-mini-60 is registered, {run.log[-1]['step']} steps; loaded back, its perplexity is\n"
        f"{evaluate(again, windows).perplexity:.1f} (six steps are for show: the challenges train in earnest)"
    )
except (MissingExtraError, DeployError) as reason:
    print(reason)

# %% [markdown]
# ### The whole pipeline
# Load, prune, convert, deploy: four lines, and a model that answers.

# %%
from gpt2_lib import apply_magnitude_pruning

try:
    shipped = load_pretrained_gpt2()
    shipped = apply_magnitude_pruning(shipped, sparsity=0.3)
    shipped = convert_to_tensorrt(shipped)
    with deploy_to_production(shipped) as shipped:
        print(shipped.generate("My lord,", new_tokens=16, seed=2))
except (MissingExtraError, DeployError) as reason:
    print(reason)

# %% [markdown]
# ### Good practice, with what was measured here

# %%
zeros, structured = reports["60 % zeros"], reports["25 % removed"]
display(
    Markdown(
        f"""
| where | pattern | why | measured in this notebook |
|-|-|-|-|
| cloud | global or magnitude, 50-70 % | smaller downloads and images | 60 %: file {zeros["compression"]:.1f}x smaller, with int8 {zeros["compression_int8"]:.1f}x; speed {zeros["speedup"]:.2f}x |
| mobile | structured, 20-40 % | dense kernels get smaller shapes | 25 %: {structured["speedup"]:.2f}x faster for {structured["flops"]:.2f}x fewer operations, memory {structured["memory"]:.2f}x |
| edge | structured and int8, 3-5x | int8 units, little memory | 25 % and int8: file {structured["compression_int8"]:.1f}x smaller |
| training | gradual | recovers between the cuts | one shot keeps {zeros["quality"]:.0%} of the accuracy at 60 %: train, and see `challenges` |

Start with magnitude: it is one line, and the mark to beat. Go structured when the hardware must gain. Prune gradually when
you train anyway. Quantise at the end. Measure each step, on text the model has not seen.
"""
    )
)

# %% [markdown]
# ## 3.5 · Readiness: five questions
# *difficulty ★☆☆ · 2 minutes · <<points 3.5>> points*
#
# Five questions, a point each. Let `readiness` return a letter for each, in the form
# `return {1: "a", 2: "b", 3: "c", 4: "d", 5: "a"}`; then its checks say in a line what is behind each question. What you answer
# first is for you, what you hand in is for the points.

# %% locked="questions"
display(Markdown(assessment()))


# %% exercise="readiness"
def readiness() -> dict[int, str]:
    """Your answers, a letter from a to d for each question, such as {1: "a", ...}."""
    ### BEGIN SOLUTION
    return {1: "c", 2: "a", 3: "d", 4: "b", 5: "c"}
    ### END SOLUTION


# %% tests="ready_1" points=1
check.ready_1(readiness)
### BEGIN HIDDEN TESTS
with check.hidden():
    assert readiness()[1].strip().lower() == "c", (
        "Question 1: another choice is right. " + explain(1, readiness()).split("\n")[1]
    )
### END HIDDEN TESTS

# %% tests="ready_2" points=1
check.ready_2(readiness)
### BEGIN HIDDEN TESTS
with check.hidden():
    assert readiness()[2].strip().lower() == "a", (
        "Question 2: another choice is right. " + explain(2, readiness()).split("\n")[1]
    )
### END HIDDEN TESTS

# %% tests="ready_3" points=1
check.ready_3(readiness)
### BEGIN HIDDEN TESTS
with check.hidden():
    assert readiness()[3].strip().lower() == "d", (
        "Question 3: another choice is right. " + explain(3, readiness()).split("\n")[1]
    )
### END HIDDEN TESTS

# %% tests="ready_4" points=1
check.ready_4(readiness)
### BEGIN HIDDEN TESTS
with check.hidden():
    assert readiness()[4].strip().lower() == "b", (
        "Question 4: another choice is right. " + explain(4, readiness()).split("\n")[1]
    )
### END HIDDEN TESTS

# %% tests="ready_5" points=1
check.ready_5(readiness)
### BEGIN HIDDEN TESTS
with check.hidden():
    assert readiness()[5].strip().lower() == "c", (
        "Question 5: another choice is right. " + explain(5, readiness()).split("\n")[1]
    )
### END HIDDEN TESTS

# %% [markdown]
# ## Your card
# Run this cell when you are done, or earlier: what is not written yet is left out.

# %%
measured = {"gpt2-mini as trained, top-1 accuracy": f"{dense_quality.accuracy:.1%}"}

with when_written("exercises 3.1 and 3.2"):
    weights = [p.detach() for n, p in pruned.named_parameters() if n.startswith("h.") and p.dim() == 2]
    total = 0
    for w in weights:
        q, scale = quantize_int8(w)
        bitmask, values = pack(q)
        total += bitmask.numel() + values.numel() + 4 * scale.numel()
    measured["60 % gone, the blocks packed in int8"] = f"{sum(4 * w.numel() for w in weights) / total:.1f}x smaller"

with when_written("exercises 3.1, 3.3 and 3.4"):
    found = deployment_analysis(model, smaller, windows[:4])
    measured["25 % of heads and neurons removed"] = (
        f"{found['speedup']:.2f}x faster, {found['quality']:.0%} of the accuracy"
    )

card = progress.summary(measured)
display(card)
print(card.markdown())

# %% [markdown]
# Hidden tests look at more shapes, precisions and edge cases than the checks above. To see all your points: save the notebook
# (Ctrl + S), then run `make check` in a terminal.
#
# **Next:** [`challenges.ipynb`](challenges.ipynb), beside this notebook: four models to ship, measured on text that nobody has trained on.
