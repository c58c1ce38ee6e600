# %% [markdown] minutes=2
# ## 3 · The damage
#
# A way to prune is a choice on four axes: the **score** of a weight (its size; something measured on text), the **scope**
# in which scores are ranked (a layer; the whole model), the **grain** (single weights; whole neurons and heads), and the
# **schedule** (one shot; cuts with training between). Each line below changes one of them against *magnitude, layer by layer*:

# %% jupyter={"source_hidden": true}
# Measure (the bars show the time left; a busy machine takes longer): prune a fresh copy of the model for every point,
# and one with a little training between its cuts
from gpt2_lib.course.experiments import METHODS, sweep, sweep_gradually, table

points = sweep(model, windows)
gradual = sweep_gradually(model, windows)
figure, axes = panels(2, height=3.6)
plots.quality_curves(*axes, points + gradual)
local = {p.sparsity: p for p in points if p.method == METHODS[0].name}
everywhere = {p.sparsity: p for p in points if p.method == METHODS[1].name}
slowly = {p.sparsity: p for p in gradual}
ends = [f"{p.method}: {p.perplexity:.0f}" for p in points + gradual if p.sparsity == 0.5]
show(
    figure,
    f"Perplexity and accuracy against sparsity. Perplexity at 50 %, from {dense.perplexity:.0f}: {'; '.join(ends)}",
)
say(f"<details><summary>The numbers</summary>\n\n{table(points + gradual)}\n\n</details>")

# %% [markdown]
# **Look for** where each curve bends. Two lines had help: ten small steps of training a cut (gradual); text, to fit what
# stays (structured; in Phase 2 it has none).

# %% jupyter={"source_hidden": true}
# What it writes at 50 and 90 %
for s in (0.5, 0.9):
    say(f"---\n**{s:.0%} pruned, perplexity {local[s].perplexity:.1f}**\n\n{readable(local[s].sample)}")
