# %% [markdown]
# ## Your card
# Run this cell when you are done, or earlier: what is not written yet is left out.

# %%
measured = {"gpt2-mini as trained, top-1 accuracy": f"{dense_quality.accuracy:.1%}"}

with when_written("exercises 3.1 and 3.2"):
    weights = [p.detach() for n, p in pruned.named_parameters() if n.startswith("h.") and p.dim() == 2]
    total = 0
    for w in weights:
        q, scale = quantize_int8(w)
        bitmask, values = pack(q)
        total += bitmask.numel() + values.numel() + 4 * scale.numel()
    measured["60 % gone, the blocks packed in int8"] = f"{sum(4 * w.numel() for w in weights) / total:.1f}x smaller"

with when_written("exercises 3.1, 3.3 and 3.4"):
    found = deployment_analysis(model, smaller, windows[:4])
    measured["25 % of heads and neurons removed"] = (
        f"{found['speedup']:.2f}x faster, {found['quality']:.0%} of the accuracy"
    )

card = progress.summary(measured)
display(card)
print(card.markdown())

# %% [markdown]
# Hidden tests look at more shapes, precisions and edge cases than the checks above. To see all your points: save the notebook
# (Ctrl + S), then run `make check` in a terminal.
#
# **Next:** [`challenges.ipynb`](challenges.ipynb), beside this notebook: four models to ship, measured on text that nobody has trained on.
