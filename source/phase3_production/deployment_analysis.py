# %% [markdown] minutes=5
# ## 3.4 · Compare: what pruning bought (going deeper)
# *difficulty ★☆☆ · <<minutes 3.4>> minutes · <<points 3.4>> points*
#
# Three ratios tell a pruned model's story. **Compression**: the original's bytes over the bytes of the pruned model as your `pack`
# stores it. **Speedup**: the original's latency over the pruned one's. **Quality**: the pruned model's accuracy over the
# original's, so 0.98 means two percent lost. A number above 1 is a gain in all three.
#
# Packing costs a bit an entry, so each tensor is stored in the way that takes fewer bytes, packed or dense.

# %% [markdown]
# <details><summary>Hint 1: you have the parts</summary>
#
# You have written the parts: `evaluate_production_metrics` of both models gives latency, accuracy and the original's bytes;
# `pack` of each parameter gives the two tensors whose bytes you add up.
# </details>
# <details><summary>Hint 2: the stored bytes of a tensor</summary>
#
# For a tensor: `min(p.numel() * p.element_size(), bitmask.numel() + values.numel() * values.element_size())`.
# </details>
#
# <b class="gpt2-yours">✎ Write it here</b>


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


# %% [markdown]
# **☑ Check it.**

# %% tests="analysis_compression" points=2
check.analysis_compression(deployment_analysis)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    chance = draw.random
    for neurons in (None, (chance.randint(4, 9), chance.randint(1, 3))):
        original, fewer, pages = check.two_models(chance.randrange(10**6))
        if neurons:  # fewer of them, as structured pruning leaves a model
            fewer = GPT2(GPT2Config(17, 16, n_embd=8, n_layer=2, n_head=2, neurons=neurons)).init_weights().eval()
            with torch.no_grad():
                fewer.h[0].attn.c_attn.weight[:12] = 0
        size = chance.choice([2, 4]) if neurons else 2  # bytes a value
        fewer = fewer.bfloat16() if size == 2 else fewer
        before = sum(4 * p.numel() for p in original.parameters())
        stored = sum(min(size * p.numel(), -(-p.numel() // 8) + size * int((p != 0).sum())) for p in fewer.parameters())
        got = check.metric(deployment_analysis(original, fewer, pages), "compression")
        assert abs(got / (before / stored) - 1) < 1e-6, (
            f"{before:,} bytes become {stored:,}: {before / stored:.4f} was expected, {got:.4f} came back."
        )
### END HIDDEN TESTS

# %% tests="analysis_speedup" points=1
check.analysis_speedup(deployment_analysis)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    chance = draw.random
    short, long = chance.uniform(0.003, 0.005), chance.uniform(0.015, 0.02)
    # A pruned model may also be slower, so no constant is right for both.
    for naps in chance.sample([(long, short), (short, long)], 2):
        original, fewer, pages = check.two_models(chance.randrange(10**6))
        fault = speedup_fault(
            lambda first, second, page=pages[:1]: check.metric(deployment_analysis(first, second, page), "speedup"),
            original,
            fewer,
            naps,
        )
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
# **On the real model.** Your functions on the model pruned above; then the library's report on it, and on the one without a
# quarter of its heads and neurons. It times the first token (reading, *prefill*) and each one after it (writing, *decode*)
# apart, the two models taking turns. Your compression counts the original as it lies in memory; the library packs both, by
# zstd, which halves the dense file already: all weights are float16's, and the unused bits of float32 vanish.

# %%
with when_written("exercises 3.1, 3.3 and 3.4"):
    mine = deployment_analysis(model, pruned, windows)
    figures.say("yours, 60 % zeros: " + ", ".join(f"{name} {value:.2f}" for name, value in mine.items()))

# %% jupyter={"source_hidden": true}
# The library's report
from gpt2_lib.deploy.production import analysis_table
from gpt2_lib.deploy.production import deployment_analysis as library_analysis

reports = {
    "60 % zeros": library_analysis(model, pruned, windows),
    "25 % removed": library_analysis(model, smaller, windows),
}
for name, report in reports.items():
    figures.say(f"**{name}**\n\n{analysis_table(report)}")
