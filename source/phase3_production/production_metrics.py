# %% [markdown] minutes=6
# ## 3.3 · Measure: what a service looks at
# *difficulty ★★☆ · <<minutes 3.3>> minutes · <<points 3.3>> points*
#
# To compare two models: how long each takes, how much memory it holds, how often it is right. Each has a trap:
#
# - **Latency.** The first pass is slow, and now and then another program gets in between. So: several passes, and their
#   **median** (p50), to compare models by. Users feel the hiccups: <<fact tail_latency>>.
# - **Memory.** Bytes, not parameters: an fp16 entry has two, and each tensor counts once. Serving adds the **KV cache**, for
#   each sequence $2 \cdot \text{layers} \cdot \text{heads} \cdot \text{head size} \cdot \text{tokens}$ numbers: removed
#   heads shrink it, removed neurons do not.
# - **Accuracy.** The logits at place $t$ guess token $t + 1$; and dropout must be off (`model.eval()`).

# %% [markdown]
# <details><summary>Hint 1: the clock</summary>
#
# `time.perf_counter()` before and after; collect five or more differences in a list, then `statistics.median`.
# Accuracy: `model(test_data)[:, :-1].argmax(-1)` are the guesses, `test_data[:, 1:]` what they are about.
# </details>
# <details><summary>Hint 2: leaving the model as it was</summary>
#
# Around it all: remember `model.training`, call `model.eval()`, measure under `torch.no_grad()`, then `model.train(remembered)`.
# Memory is one line: `sum(p.numel() * p.element_size() for p in model.parameters())`.
# </details>
#
# <b class="gpt2-yours">✎ Write it here</b>


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


# %% [markdown]
# **☑ Check it.**

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
with check.hidden() as draw:
    tiny = check.tiny_gpt2(n_layer=draw.random.randint(3, 6)).bfloat16()
    count = sum(p.numel() for p in tiny.parameters())
    got = check.metric(evaluate_production_metrics(tiny, torch.zeros(2, 6, dtype=torch.int64)), "memory")
    assert got == 2 * count, f"{count:,} bfloat16 parameters take {2 * count:,} bytes; {got:,.0f} came back."
### END HIDDEN TESTS

# %% tests="metrics_latency" points=2
check.metrics_latency(evaluate_production_metrics)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    chance = draw.random
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
with check.hidden() as draw:
    chance = draw.random
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
# **On the real model**, and without a quarter of its heads and neurons, what is left refitted on text:

# %%
smaller = ModelPruner(deepcopy(model)).remove_structures(0.25, 0.25, calibration).half().float()

# %% jupyter={"source_hidden": true}
# Measure: dense, with zeros, and smaller
with when_written("exercise 3.3"):
    rows = ["| model | ms a page | MB in memory | accuracy |", "|-|-:|-:|-:|"]
    for name, measured_model in (("dense", model), ("60 % zeros", pruned), ("25 % removed", smaller)):
        found = evaluate_production_metrics(measured_model, windows)
        rows.append(
            f"| {name} | {1000 * found['latency']:.1f} | {found['memory'] / 1e6:.2f} | {found['accuracy']:.1%} |"
        )
    figures.say("\n".join(rows))
