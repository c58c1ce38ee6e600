# %% [markdown] minutes=5
# ## 2 · Measure before you cut
#
# How much is gone, and how much did it hurt? You write the first.
#
# ### Exercise 1.1 · sparsity
# *★☆☆ · <<minutes 1.1>> minutes · <<points 1.1>> points*
#
# **Sparsity** is the fraction of entries that are exactly zero, over all tensors together:
#
# $$\text{sparsity} = \frac{\text{number of zeros}}{\text{number of entries}}$$

# %% jupyter={"source_hidden": true}
# Example: two layers and their zeros
big = torch.tensor([[0.0, 2.0, 0.0, 1.0], [3.0, 0.0, 0.5, 0.0]])
small = torch.tensor([[0.7, 4.0]])
matrices(("4 zeros of 8", big, big != 0), ("0 zeros of 2", small, small != 0))
say("Together: 4 zeros of 10 entries, so the sparsity is 0.4.")

# %% [markdown]
# <<primer>>
# <details><summary>Hint 1: how are zeros counted?</summary>
#
# `t == 0` gives a tensor of `True` and `False`, and `True` counts as 1 in a sum.
# </details>
# <details><summary>Hint 2: several tensors</summary>
#
# Keep two running totals over the list: the zeros seen so far and the entries seen so far (`t.numel()`). Divide once,
# at the very end.
# </details>
#
# <b class="gpt2-yours">✎ Write it here</b>


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


# %% [markdown]
# **☑ Check it.** Each line says what it tested; more is tested when you hand in.

# %% tests="sparsity_basics" points=2
check.sparsity_basics(sparsity)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for shape in [(1,), (7,), (5, 3), (2, 3, 4)]:
        t = torch.randn(shape, generator=draw.generator) * (torch.rand(shape, generator=draw.generator) > 0.4)
        zeros = t.flatten().tolist().count(0.0)
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
with check.hidden() as draw:
    generator = draw.generator
    for shapes in [[(100, 3), (2,)], [(2,), (100, 3)], [(4, 4), (1,), (3, 2, 2)], [(8,), (8,), (8,), (800,)]]:
        tensors = [
            torch.randn(s, generator=generator) * (torch.rand(s, generator=generator) > 0.1 * (3 + i))
            for i, s in enumerate(shapes)
        ] + [torch.zeros(2)]
        every = [value for t in tensors for value in t.flatten().tolist()]
        zeros, entries = every.count(0.0), len(every)
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
# **On the real model.** Nobody has pruned it yet, so next to nothing should be zero.

# %%
from gpt2_lib import metrics

with when_written("exercise 1.1"):
    half = deepcopy(model)
    quick_magnitude_prune(half, att_sparsity=0.5, ff_sparsity=0.5)
    every, pruned = (list(parts) for parts in (half.parameters(), prunable_weights(half).values()))
    before, among, of_all = (sparsity([p.detach() for p in parts]) for parts in (model.parameters(), pruned, every))
    say(
        f"As trained, {before:.4%} of all parameters are zero. With half of the attention and feed-forward weights pruned, "
        f"{among:.1%} of those are, but only {of_all:.1%} of the whole model: "
        "**a claim about sparsity must name its denominator.**"
    )
    if abs(of_all - metrics.sparsity(every)) > 1e-6:
        say(
            f"(These are your function's. The library counts {metrics.sparsity(every):.1%} of the whole model: see the checks.)"
        )
