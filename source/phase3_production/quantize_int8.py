# %% [markdown] minutes=5
# ## 3.2 · Quantise: eight bits a weight (going deeper)
# *difficulty ★★☆ · <<minutes 3.2>> minutes · <<points 3.2>> points*
#
# The values that are left need not be 32 bits. For each output channel (row) $i$ of a weight, one scale maps the largest
# entry to 127, and everything else to the nearest whole number:
#
# $$s_i = \frac{\max_j |w_{ij}|}{127}, \qquad q_{ij} = \text{round}\Big(\frac{w_{ij}}{s_i}\Big) \in [-127, 127], \qquad w_{ij} \approx s_i\, q_{ij}$$
#
# The grid is symmetric, so **0 stays 0**, and what is pruned stays pruned (Krishnamoorthi, 2018, section 2.2). One scale a
# row, since by the scale of a large row a small one would be rounded to nothing. A row of zeros: any finite scale will do.

# %% jupyter={"source_hidden": true}
# Picture: a weight and its int8
weight = torch.tensor([[1.27, -0.5, 0.0, 0.003], [0.02, 0.0, -0.0127, 0.001]])
q = torch.tensor([[127, -50, 0, 0], [127, 0, -81, 6]])

figures.matrices(
    ("a weight: two rows, one of small entries", weight, None),
    ("int8; the scales are 1.27/127 and 0.02/127", q, None),
)
figures.say("The second row's -0.0127 is -81 of its own steps. With the first row's scale it would have been -1 step.")

# %% [markdown]
# <details><summary>Hint 1: one scale a row</summary>
#
# `weight.abs().amax(dim=1)` has one entry a row. To divide each row by its own scale, give the scale a second
# dimension: `scale[:, None]`.
# </details>
# <details><summary>Hint 2: rounding, and a row of zeros</summary>
#
# Round before you convert: `.to(torch.int8)` alone cuts off. For the row of zeros: `torch.where(largest > 0, largest / 127, 1.0)`.
# </details>
#
# <b class="gpt2-yours">✎ Write it here</b>


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


# %% [markdown]
# **☑ Check it.**

# %% tests="int8_range" points=1
check.int8_range(quantize_int8)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for _ in range(5):
        weight = torch.randn(6, 9, generator=draw.generator) * 10.0 ** torch.arange(-3.0, 3.0)[:, None]
        q, _ = check.numbers(quantize_int8(weight.clone()), weight)
        for row, values in enumerate(q.tolist()):
            largest = max(abs(value) for value in values)
            # 126: the largest entry over its own scale may come out below 127 by float32's rounding, and how an answer
            # rounds is the question of int8_nearest.
            assert largest in (126, 127), (
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
with check.hidden() as draw:
    for shape in [(1, 1), (3, 8), (6, 5)]:
        weight = torch.randn(shape, generator=draw.generator) * (torch.rand(shape, generator=draw.generator) < 0.5)
        weight[-1] = 0.0
        check.assert_zeros_stay(quantize_int8(weight.clone()), weight)
### END HIDDEN TESTS

# %% tests="int8_care" points=1
check.int8_care(quantize_int8)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    dice = draw.random
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
# **What you saw.** Pruned and quantised together, by your functions, on the real model: bytes of all matrices of the blocks, and
# what rounding does to the quality.

# %% jupyter={"source_hidden": true}
# On the real model: int8, packed
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
    figures.say("\n".join(rows))

# %% [markdown]
# Rounding to eight bits costs next to nothing here; the pruning is what hurts, and training repairs that (the challenges).
