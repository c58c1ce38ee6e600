# %% [markdown] minutes=4
# ### Exercise 2.2 b · `remove_neurons` (going deeper)
# *★★☆ · <<minutes 2.2 b>> minutes*
#
# Now cut. It is tempting to write zeros into row $j$ of $W_{fc}$ and call neuron $j$ gone. It isn't: it still gets
# its bias, so it says $\text{GELU}(b_j)$ at every token, and $W_{proj}$ passes that on. GELU(1) is 0.84, not 0. This **leak**
# is easy to overlook. Row, bias and column must all go; then nothing is left that could leak.
#
# Look at neuron 2 above: its row *is* all zeros, and its score is 5. It goes now, and `keep = tensor([0, 1, 3])` names those that stay.


# %% jupyter={"source_hidden": true}
# Picture: neuron 2 goes, and what it said is missing
gone = torch.tensor([False, False, True, False])  # neuron 2
figures.matrices(
    ("c_fc weight", c_fc_weight, ~gone[:, None].expand(4, 2)),
    ("bias", c_fc_bias[:, None], ~gone[:, None]),
    ("c_proj weight", c_proj_weight, ~gone.expand(2, 4)),
)

keep = torch.tensor([0, 1, 3])
x = torch.tensor([0.5, -1.0])  # any token
whole = check.mlp_output(x, c_fc_weight, c_fc_bias, c_proj_weight)
without = check.mlp_output(x, c_fc_weight[keep], c_fc_bias[keep], c_proj_weight[:, keep])
rows = {
    "output with neuron 2, whose row is all zeros": whole,
    "output without it": without,
    "the difference, at every token: GELU(1) times its column": whole - without,
}
figures.matrices(*((what, values[None].mul(1000).round() / 1000, None) for what, values in rows.items()))

# %% [markdown]
# <details><summary>Hint 1: picking rows</summary>
#
# A tensor of indices picks rows: `matrix[keep]`. Which dimension of each of the three holds the neurons?
# </details>
# <details><summary>Hint 2: picking columns</summary>
#
# `matrix[:, keep]` picks columns, and `index_select(dim, keep)` says the same with the dimension spelt out. Both
# make copies.
# </details>
#
# <b class="gpt2-yours">✎ Write it here</b>


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


# %% [markdown]
# **☑ Check it.**

# %% tests="neurons_shapes" points=1
check.neurons_shapes(remove_neurons)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for n, C, kept in ((6, 3, [1]), (5, 5, [0, 4]), (4, 7, [1, 2, 3]), (8, 4, [0, 1, 2, 3, 4, 5, 6, 7])):
        weights = [torch.rand(shape, generator=draw.generator) + 2 for shape in ((n, C), (n,), (C, n))]
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
        got, k = [tuple(tensor.shape) for tensor in smaller], len(kept)
        assert got == [(k, C), (k,), (C, k)], f"{k} of {n} neurons stay, width {C}: {got} came back."
        got = slow_mlp(x, *[tensor.tolist() for tensor in smaller], range(k))
        assert torch.allclose(torch.tensor(got), torch.tensor(wanted), rtol=1e-4, atol=1e-4), (
            f"{n} neurons, width {C}, keep = {kept}: with the others silenced the first output is {wanted[0]:.4f}; with your matrices it is {got[0]:.4f}."
        )
### END HIDDEN TESTS

# %% tests="neurons_care" points=1
check.neurons_care(remove_neurons)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for n, C, kept in ((4, 2, [0, 1, 2, 3]), (4, 2, [3]), (5, 3, [0, 3, 4]), (1, 2, [0])):
        for dtype in (torch.float32, torch.float16):
            weights = [  # whole numbers, each once: exact in any precision
                torch.randperm(n * C, generator=draw.generator).view(n, C).to(dtype) + 1,
                torch.randperm(n, generator=draw.generator).to(dtype) + 1,
                torch.randperm(n * C, generator=draw.generator).view(C, n).to(dtype) + 1,
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
