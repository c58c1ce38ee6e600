# %% [markdown] minutes=8
# ## 2.1 · Magnitude: the smallest weights go
# *difficulty ★☆☆ and ★★☆ · <<minutes 2.1>> minutes for the core's <<points 2.1 core>> of <<points 2.1>> points*
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
# *★☆☆ · <<minutes 2.1 a>> minutes*
#
# A weight of 2×4 numbers at sparsity 0.5. Four of eight go: 0.05, 0.1, 0.2, and one of the two 0.4, the earlier.

# %% jupyter={"source_hidden": true}
# Picture: the weight, its size, what is left
weight = torch.tensor([[0.9, -0.1, 0.4, -1.2], [0.2, -0.5, 0.05, 0.4]])
keep = torch.tensor([[True, False, False, True], [False, True, False, True]])

figures.matrices(
    ("the weight", weight, None),
    ("its size: four of eight go", weight.abs(), keep),
    ("what is left", weight.masked_fill(~keep, 0), keep),
)
print(f"the keep-mask:\n{show(keep)}")

# %% [markdown]
# Now with 147,456 weights: the feed-forward matrix of the first block. Drag the sparsity. The two lines are the
# threshold that your sparsity amounts to. Where is the histogram high, and how far do you have to drag until weights of 0.1 go?

# %%
ThresholdDemo(model.h[0].mlp.c_fc.weight)

# %% [markdown]
# <details><summary>Hint 1: where do the small ones stand?</summary>
#
# Flatten the absolute values. If you knew the positions from the smallest to the largest, the first
# `round(sparsity * n)` of them would be all you need: a mask of `True` everywhere gets `False` there.
# </details>
# <details><summary>Hint 2: the function that sorts</summary>
#
# `values.argsort(stable=True)` gives those positions, and *stable* leaves equals in their order. Start from
# `torch.ones(n, dtype=torch.bool)`, give it the weight's shape at the end. For the error: `not 0 <= sparsity <= 1`
# also catches NaN, which is neither smaller nor larger than anything.
# </details>
#
# <b class="gpt2-yours">✎ Write it here</b>


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


# %% [markdown]
# **☑ Check it.**

# %% tests="mask_count" points=2
check.mask_count(magnitude_mask)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for shape in [(1,), (2,), (5,), (7,), (10,), (1, 3), (3, 7), (4, 6), (2, 3, 5), (40,)]:
        n = math.prod(shape)
        sizes = (torch.randperm(n, generator=draw.generator) + 1) / n  # all different, none zero
        signs = torch.where(torch.rand(n, generator=draw.generator) < 0.5, -1.0, 1.0)
        weight = (sizes * signs).reshape(shape)
        for sparsity in (0, 0.1, 0.25, 0.5, 0.7, 0.9, 1, round(draw.random.random(), 3)):
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
        n = math.prod(shape)
        sizes = (torch.randperm(n, generator=draw.generator) + 1) / n
        signs = torch.where(torch.rand(n, generator=draw.generator) < 0.5, -1.0, 1.0)
        weight = (sizes * signs).reshape(shape)
        values = weight.flatten().tolist()
        gone = check.removed_by(magnitude_mask(weight.clone(), 0.5), weight)
        assert 0 < sum(gone) < n, (
            f"A weight of shape {shape} at sparsity 0.5: some entries go and some stay; your mask removes {sum(gone)} of {n}."
        )
        largest_gone = sorted((value for value, g in zip(values, gone, strict=True) if g), key=abs)[-1]
        smallest_kept = sorted((value for value, g in zip(values, gone, strict=True) if not g), key=abs)[0]
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
        smallest_first = sorted(range(len(values)), key=lambda place, of=values: abs(of[place]))  # equals stay in order
        go = smallest_first[: int(sparsity * len(values))]  # always a whole number here
        wanted = [place in go for place in range(len(values))]
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
                smallest = sorted(values)[:count]
                kept = torch.tensor([value not in smallest for value in values]).reshape(shape)
                assert torch.equal(mask, kept), (
                    f"A weight of {dtype}, shape {shape}, at sparsity {count}/12: the {count} smallest go; your mask says otherwise.\n"
                    f"The weight:\n{show(weight)}\nyour mask:\n{show(mask)}"
                )
    close = [1 + place / 2**16 for place in range(12, 0, -1)]  # all the same in half precision, the smallest come last
    mask = magnitude_mask(torch.tensor(close), 0.25)
    assert mask.tolist() == [True] * 9 + [False] * 3, (
        f"Twelve float32 weights that differ by 0.000015 each, the smallest last, at sparsity 0.25: the last three go. Yours goes "
        f"by\n{show(mask)}\nIs a weight compared as precisely as it was given?"
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
with check.hidden() as draw:
    for shape in [(4, 6), (6, 8), (10, 10)]:  # a sparsity that makes sense is not refused
        weight = torch.rand(shape, generator=draw.generator) + 0.1
        got = sum(check.removed_by(magnitude_mask(weight.clone(), 0.5), weight))
        assert got == weight.numel() // 2, (
            f"Sparsity 0.5 makes sense: of a weight of shape {shape}, {weight.numel() // 2} entries go; your mask removes {got}."
        )
    for sparsity in (50, -1e-6, 1.000001, math.inf, math.nan):
        check.refused(magnitude_mask, weight.clone(), sparsity)
### END HIDDEN TESTS
