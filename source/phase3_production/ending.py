# %% [markdown]
# ## Good practice, with what was measured here

# %% jupyter={"source_hidden": true}
# Table: what is said to be used where, and what this notebook measured
from gpt2_lib.deploy.production import deployment_analysis as library_analysis
from gpt2_lib.deploy.production import faster
from gpt2_lib.storage.packed import packed_sizes

structured = library_analysis(model, smaller, windows)
alone = {"packed": packed_sizes(model).file, "int8": packed_sizes(model, int8=True).file}  # nothing pruned
gained = {name: packed_sizes(m).file for name, m in (("60 %", pruned), ("25 %", smaller))}
display(
    Markdown(
        f"""
| where | said to be used | measured in this notebook |
|-|-|-|
| cloud | global or magnitude, 50-70 % | 60 % by SparseGPT: packed file {alone["packed"] / gained["60 %"]:.1f} times smaller than the dense one packed; int8 alone {alone["packed"] / alone["int8"]:.1f} times |
| phone | structured, 20-40 % | 25 %: {structured["flops"]:.2f} times fewer operations, speed-up to the first token {faster(structured)}, memory {structured["memory"]:.2f} times smaller |
| edge | structured and int8 | 25 % and int8: {alone["packed"] / packed_sizes(smaller, int8=True).file:.1f} times, int8 alone {alone["packed"] / alone["int8"]:.1f} times |
| training | gradual | one shot keeps {quality.accuracy / dense_quality.accuracy:.0%} of the accuracy at 60 %: train, and see `challenges` |
"""
    )
)

# %% [markdown]
# Quantise first, and measure what pruning adds, on text the model has not seen.
#
# ## Your card
# Run this cell when you are done, or earlier: what is not written yet, or stops, is left out.

# %% jupyter={"source_hidden": true}
# What you measured, for your card
measured = {"gpt2-mini as trained, top-1 accuracy": f"{dense_quality.accuracy:.1%}"}

with when_written("exercises 3.1 and 3.2"):
    weights = [p.detach() for n, p in pruned.named_parameters() if n.startswith("h.") and p.dim() == 2]
    total = 0
    for w in weights:
        q, scale = quantize_int8(w)
        bitmask, values = pack(q)
        total += bitmask.numel() + values.numel() + 4 * scale.numel()
    measured["60 % gone, the blocks packed in int8"] = (
        f"{sum(4 * w.numel() for w in weights) / total:.1f} times smaller than in float32"
    )

with when_written("exercises 3.1, 3.3 and 3.4"):
    found = deployment_analysis(model, smaller, windows)
    measured["25 % of heads and neurons removed"] = (
        f"packed {found['compression']:.2f} times smaller, {found['quality']:.0%} of the accuracy"
    )

card = progress.summary(measured)
display(card, Markdown(card.markdown()))

# %% [markdown]
# **Next:** [`challenges.ipynb`](challenges.ipynb), beside this notebook: four models to ship, measured on text that nobody has trained on.
