# %% [markdown] minutes=5
# ## 2.3 · Gradual: a little at a time
# *difficulty ★☆☆ and ★★☆ · <<minutes 2.3>> minutes for the core's <<points 2.3 core>> of <<points 2.3>> points*
#
# Cut half of the weights in one shot and the model stumbles: what is left was trained to work together with what is
# gone. Cut a few, train a little so that the rest takes over, cut a few more: that is **gradual pruning** (Zhu & Gupta,
# 2017, *To prune, or not to prune*). It takes two small functions: a **schedule** that says how much is gone at each
# training step, and a **training step** after which what is gone is still gone.
#
# ### Exercise 2.3 a · `cubic_sparsity`
# *★☆☆ · <<minutes 2.3 a>> minutes*
#
# At first there is plenty to spare, so much may go at once. Towards the end every cut hurts, so the cuts get smaller
# and smaller. Zhu & Gupta's equation 1 says it with a cubic: from the initial sparsity $s_i$ to the final one $s_f$, in
# $n$ training steps from step $t_0$ on ($n\,\Delta t$ in the paper, which counts cuts, one every $\Delta t$ steps),
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

smallest_first = weight.abs().flatten().sort().values.tolist()
figures.matrices(
    *((f"step {t}: {s:g}", weight, weight.abs() >= smallest_first[gone]) for t, (s, gone) in worked.items())
)
figures.say(
    "In the first step three weights go, then two, then one, then none: fast while it is easy, slow when it hurts."
)

# %% [markdown]
# Drag the final sparsity, the start and the number of steps. The straight line arrives at the same place at the same
# time: how much of the work has each done a quarter of the way?

# %%
ScheduleDemo()

# %% [markdown]
# <details><summary>Hint 1: a fraction of the way</summary>
#
# Name the fraction of the way first: `(step - start) / steps`. What is it at the start, half-way, at the end? What
# should it be before the start and after the end?
# </details>
# <details><summary>Hint 2: before the start, after the end</summary>
#
# `min(max(x, 0.0), 1.0)` holds a number between 0 and 1. With the fraction held there, the equation gives the initial
# sparsity before the start and the final one after the end, with no `if` at all.
# </details>
#
# <b class="gpt2-yours">✎ Write it here</b>


# %% exercise="cubic_sparsity"
def cubic_sparsity(step: int, start: int, steps: int, initial: float, final: float) -> float:
    """The sparsity at a training step, from initial to final along a cubic (Zhu & Gupta, 2017, equation 1).

    step:    the training step that is asked about; pruning begins at step `start`
    returns: a float; initial before the start, final after the end
    """
    ### BEGIN SOLUTION
    done = min(max((step - start) / steps, 0.0), 1.0)  # the fraction of the way: 0 before the start, 1 after the end
    return final + (initial - final) * (1 - done) ** 3
    ### END SOLUTION


# %% [markdown]
# **☑ Check it.**

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
