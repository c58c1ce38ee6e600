# %% [markdown] minutes=5
# ### Exercise 1.2 · perplexity: write it (going deeper)
# *★★☆ · <<minutes 1.2>> minutes · <<points 1.2>> points*
#
# The formula above, as a function of any logits and targets. Scores may be large: `exp(150)` is more than a float32 holds.

# %% [markdown]
# <details><summary>Hint 1: probabilities without overflow</summary>
#
# `torch.log_softmax(logits, dim=-1)` gives every token's log-probability without overflow.
# </details>
# <details><summary>Hint 2: one entry a row</summary>
#
# `log_p.gather(-1, targets.unsqueeze(-1))` picks the targets'. (Or use `torch.nn.functional.cross_entropy` on
# `logits.flatten(0, 1)` and `targets.flatten()`, which does both steps.)
# </details>
#
# <b class="gpt2-yours">✎ Write it here</b>


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


# %% [markdown]
# **☑ Check it.**

# %% tests="perplexity_basics" points=2
check.perplexity_basics(perplexity)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for B, T, V in [(1, 1, 2), (1, 6, 5), (2, 3, 4), (3, 2, 7), (4, 4, 4)]:
        x = torch.randn(B, T, V, generator=draw.generator) * 2
        y = torch.randint(V, (B, T), generator=draw.generator)
        nll = 0.0
        for b in range(B):
            for t in range(T):
                row = [math.exp(v) for v in x[b, t].tolist()]
                nll -= math.log(row[int(y[b, t])] / sum(row))
        wanted = math.exp(nll / (B * T))
        got = float(perplexity(x, y))
        assert math.isclose(got, wanted, rel_tol=1e-4), (
            f"Random logits of shape {(B, T, V)}: {wanted:.4f} was expected, {got:.4f} came back."
        )
### END HIDDEN TESTS

# %% tests="perplexity_mean" points=2
check.perplexity_mean(perplexity)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for _ in range(6):  # rounding errors may cancel in one of them
        x = torch.randn(3, 5, 6, generator=draw.generator)
        x[0] = (8 * x[0]).clamp(-12, 12)  # one sequence is far worse than the others
        y = torch.randint(6, (3, 5), generator=draw.generator)
        nll = 0.0
        for b in range(3):
            for t in range(5):
                row = [math.exp(v) for v in x[b, t].tolist()]
                nll -= math.log(row[int(y[b, t])] / sum(row))
        wanted = math.exp(nll / 15)
        keep_x, keep_y = x.clone(), y.clone()
        got = float(perplexity(x, y))
        assert math.isclose(got, wanted, rel_tol=1e-4), (
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
# **On the real model**: one page, by your function.

# %%
with when_written("exercise 1.2"), torch.no_grad():
    page = windows[:1]
    say(f"Your perplexity on one page: {perplexity(model(page)[:, :-1], page[:, 1:]):.2f}.")
