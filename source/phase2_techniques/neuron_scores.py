# %% [markdown] minutes=7
# ## 2.2 · Structured: whole neurons and heads go
# *difficulty ★★☆ and ★★★ · <<minutes 2.2>> minutes for the core's <<points 2.2 core>> of <<points 2.2>> points*
#
# A zero inside a matrix saves no time: the processor multiplies by it like by any number. But if everything that belongs
# to one **neuron** is gone, its row and its column can be cut out, and the matrices are really smaller. Any chip has
# less to compute then, with the plain kernels it has. The same holds for a whole **attention head**. The price: you can't pick the
# smallest weights one by one any more, so the same number of weights costs more quality (in Phase 1 text helped).
#
# **The layout.** PyTorch's `nn.Linear` stores its weight as (out, in): one **row** for each output, one **column** for each
# input. With $C$ the width of the model and $n$ hidden neurons, a feed-forward part is
#
# $$y = W_{proj}\,\text{GELU}(W_{fc}\,x + b), \qquad W_{fc}: (n, C),\quad b: (n),\quad W_{proj}: (C, n)$$
#
# so neuron $j$ is three things: **row** $j$ of $W_{fc}$ and entry $j$ of $b$ feed it, **column** $j$ of $W_{proj}$ is what it feeds.
#
# ### Exercise 2.2 a · `neuron_scores`
# *★☆☆ · <<minutes 2.2 a>> minutes*
#
# Which neurons matter least? Those with small input weights, and those with small output weights. So multiply the two norms:
#
# $$\text{score}_j = \Big\lVert\, [\,W_{fc}[j, :],\; b_j\,] \,\Big\rVert_2 \cdot \Big\lVert\, W_{proj}[:, j] \,\Big\rVert_2,
# \qquad \lVert v \rVert_2 = \sqrt{\textstyle\sum_i v_i^2}$$
#
# The bias counts: it is the weight of an input that is always 1. Four neurons in a model of width 2:

# %% jupyter={"source_hidden": true}
# Picture: four neurons and their scores
c_fc_weight = torch.tensor([[3.0, 0.0], [1.0, 2.0], [0.0, 0.0], [2.0, 1.0]])  # (n=4, C=2)
c_fc_bias = torch.tensor([4.0, 2.0, 1.0, 2.0])  # (n=4,)
c_proj_weight = torch.tensor([[0.0, 0.0, 3.0, 2.0], [2.0, 0.0, 4.0, 0.0]])  # (C=2, n=4)

figures.matrices(
    ("c_fc weight, a row each", c_fc_weight, None),
    ("bias", c_fc_bias[:, None], None),
    ("c_proj weight, a column each", c_proj_weight, None),
)
figures.say("""
| neuron | norm of its inputs | norm of its outputs | score |
|-|-|-|-:|
| 0 | sqrt(9 + 0 + 16) = 5 | sqrt(0 + 4) = 2 | 10 |
| 1 | sqrt(1 + 4 + 4) = 3 | 0: its outputs have no weight | 0 |
| 2 | 1: its bias alone | sqrt(9 + 16) = 5 | 5 |
| 3 | sqrt(4 + 1 + 4) = 3 | sqrt(4 + 0) = 2 | 6 |
""")

# %% [markdown]
# On the real model and four pages: drag, and neurons are removed from the second block (blocks count from 0), lowest scores first.
# Then change the 1 into a 0 and run the cell again: does the first block behave alike?

# %%
NeuronDemo(model, windows[:4], 1)

# %% [markdown]
# <details><summary>Hint 1: which dimension?</summary>
#
# Square, add up along the right dimension, take the root: once along the rows of `c_fc_weight`, with the bias's
# square added before the root, and once down the columns of `c_proj_weight`.
# </details>
# <details><summary>Hint 2: two norms</summary>
#
# `torch.cat([c_fc_weight, c_fc_bias[:, None]], dim=1)` has one row for each neuron with everything that feeds it, and
# `.norm(dim=1)` gives a norm for each row, `.norm(dim=0)` for each column.
# </details>
#
# <b class="gpt2-yours">✎ Write it here</b>


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


# %% [markdown]
# **☑ Check it.**

# %% tests="scores_value" points=2
check.scores_value(neuron_scores)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for n, C in ((1, 1), (4, 4), (7, 3), (3, 8)):
        feeds, fed = torch.randn(n, C, generator=draw.generator), torch.randn(C, n, generator=draw.generator)
        got = check.as_numbers(neuron_scores(feeds.clone(), torch.zeros(n), fed.clone()), n)
        for j in range(n):
            wanted = math.hypot(*feeds[j].tolist()) * math.hypot(*fed[:, j].tolist())
            assert math.isclose(got[j], wanted, rel_tol=5e-3), (  # the last digits are scores_care's
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
        bias[-1] = -8.0  # the last score is the largest, or nearly: no order is right by luck
        got = check.as_numbers(neuron_scores(feeds.clone(), bias.clone(), fed.clone()), n)
        for j in range(n):
            wanted = math.hypot(*feeds[j].tolist(), float(bias[j])) * math.hypot(*fed[:, j].tolist())
            assert math.isclose(got[j], wanted, rel_tol=5e-3), (  # the last digits are scores_care's
                f"Random weights of {n} neurons, width {C}: neuron {j}, bias {float(bias[j]):.4f}, has score {wanted:.4f}; yours is {got[j]:.4f}."
            )
### END HIDDEN TESTS

# %% tests="scores_care" points=1
check.scores_care(neuron_scores)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    sizes = 1 + torch.arange(5.0, 0, -1) / 2**16  # all the same in half precision
    scores = neuron_scores(sizes[:, None].repeat(1, 3), sizes, sizes.repeat(3, 1)).tolist()
    assert sorted(range(5), key=scores.__getitem__) == [4, 3, 2, 1, 0], (
        f"Five neurons of float32 weights, each fed a little less than the one before: your scores are {scores}. Is a weight counted "
        "as precisely as it was given?"
    )
    for n, C in ((1, 1), (5, 3), (4, 6)):
        order = draw.random.sample(range(n), n)  # the neurons from the least important to the most
        sizes = torch.zeros(n)
        for rank, neuron in enumerate(order):
            sizes[neuron] = 4.0 ** (rank - 3)  # so far apart that the precision doesn't matter, nor which norm it is
        feeds, fed = (0.8 + 0.4 * torch.rand(n, C, generator=draw.generator) for _ in range(2))
        plain = [
            feeds * sizes[:, None],
            0.05 + 0.01 * torch.rand(n, generator=draw.generator),
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
