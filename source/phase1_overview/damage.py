# %% [markdown] minutes=2
# ## 3 · The damage
#
# A way to prune is a choice on four axes: the **score** of a weight (its size; something measured on text), the **scope**
# in which scores are ranked (a layer; the whole model), the **grain** (single weights; whole neurons and heads), and the
# **schedule** (one shot; cuts with training between). Against *magnitude, layer by layer*, *global* changes the scope, *gradual* the
# schedule, and *structured* grain and score:

# %% jupyter={"source_hidden": true}
# Measure, for about a minute: a fresh copy is pruned for every point (bars show the time left)
from gpt2_lib.course.experiments import METHODS, sweep, sweep_gradually, table

swept = sweep(model, windows)
gradual = sweep_gradually(model, windows)
figure, axes = panels(2, height=3.6)
plots.quality_curves(*axes, swept + gradual)
local = {p.sparsity: p for p in swept if p.method == METHODS[0].name}
everywhere = {p.sparsity: p for p in swept if p.method == METHODS[1].name}
slowly = {p.sparsity: p for p in gradual}
ends = [f"{p.method}: {p.perplexity:.0f}" for p in swept + gradual if p.sparsity == 0.5]
show(
    figure,
    f"Perplexity and accuracy against sparsity. Perplexity at 50 %, from {dense.perplexity:.0f}: {'; '.join(ends)}",
)
say(f"<details><summary>The numbers</summary>\n\n{table(swept + gradual)}\n\n</details>")

# %% [markdown]
# **Look for** where each curve bends. Two lines had help: *gradual* trained for ten small steps after each cut, and
# *structured* used text to choose, and to refit what stays (your functions in Phase 2 use none).

# %% jupyter={"source_hidden": true}
# What it writes at 50 and 90 %
for s in (0.5, 0.9):
    say(f"---\n**{s:.0%} pruned, perplexity {local[s].perplexity:.1f}**\n\n{readable(local[s].sample)}")
