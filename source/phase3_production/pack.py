# %% [markdown] minutes=4
# Not one byte saved: a zero is stored like any number. So you write the format that saves them.
#
# ## 3.1 · Pack: what a sparse file costs
# *difficulty ★★☆ · <<minutes 3.1>> minutes · <<points 3.1>> points*
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

figures.matrices(("a weight: 10 entries of 4 bytes", weight, weight != 0), ("its bits, row by row", weight != 0, None))
figures.say(
    "Bits: `01010100 01000000`, 2 bytes (the last six are filled up). "
    "Values: `1.5 -2.0 0.5 3.0`, 16 bytes, instead of 40 in all."
)

# %% [markdown]
# <details><summary>Hint 1: bits</summary>
#
# `weight.flatten() != 0` are the bits. Give them zeros at the end until eight divides their number, look at them as rows of
# eight, and each row is a byte: 128 for its first bit, 64 for the second, ..., 1 for the last, summed up.
# </details>
# <details><summary>Hint 2: NumPy has it</summary>
#
# `np.packbits` and `np.unpackbits` do just that; `tensor.numpy()` and `torch.from_numpy` lead there and back. To unpack:
# start from zeros, then `weight[bits] = values` puts the values where the bits are `True`.
# </details>
#
# <b class="gpt2-yours">✎ Write it here</b>


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


# %% [markdown]
# **☑ Check it.**

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
        wanted = [value for value in weight.flatten().tolist() if value != 0]
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
