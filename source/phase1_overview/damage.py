# %% [markdown] minutes=2
# ## 3 · Prune it, and look at the damage
#
# There are four classic ways to choose what goes:
#
# | method | what goes | training |
# |-|-|-|
# | **magnitude** | the smallest weights of each layer | none |
# | **global** | the smallest weights of the whole model, ranked together | none |
# | **structured** | whole neurons and attention heads, those that add least on a few pages of text | none |
# | **gradual** | the smallest weights of each layer, a little more at each cut | between the cuts |
#
# The next cell prunes a fresh copy of the model for every point of the first three, in one shot.

# %%
from gpt2_lib.course.experiments import BEYOND, METHODS, sweep, sweep_gradually, table

points = sweep(model, windows)
display(Markdown(table(points)))

# %% [markdown]
# Gradual pruning needs training, so here is only a taste of it: five cuts, ten small steps after each. (Phase 2 does it
# properly; `docs/benchmarks.md` in the repository has what ten minutes of it reach.)

# %%
gradual = sweep_gradually(model, windows)
figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
plots.quality_curves(*axes, points + gradual)
plt.show()

local = {p.sparsity: p for p in points if p.method == METHODS[0].name}
slowly = {p.sparsity: p for p in gradual}
print(
    f"Layer by layer, half of the weights gone: perplexity {local[0.0].perplexity:.1f} -> {local[0.5].perplexity:.1f}; "
    f"at 80 %: {local[0.8].perplexity:.1f}, {local[0.8].perplexity / local[0.0].perplexity:.1f} times as unsure. "
    f"With a little training between the cuts: {slowly[0.5].perplexity:.1f} and {slowly[0.8].perplexity:.1f}."
)

# %% [markdown]
# The first cuts are nearly free. Then the curve bends, and soon the model talks nonsense. Read it:

# %%
for s in (0.0, 0.5, 0.7, 0.9):
    display(Markdown(f"---\n**{s:.0%} pruned, perplexity {local[s].perplexity:.1f}**\n\n{local[s].sample}"))

# %% [markdown]
# ### Beyond the four
#
# Magnitude looks at the weights alone. Newer methods also look at what flows through them, on a few pages of text
# (64 pages of the plays it was trained on, here). All in one shot, without training:
#
# - **random**: what any method has to beat;
# - **Taylor**: weight times gradient, how much the loss would change ([Molchanov et al., 2017](https://arxiv.org/abs/1611.06440));
# - **Wanda**: weight times the norm of its input, compared within a row ([Sun et al., 2023](https://arxiv.org/abs/2306.11695));
# - **SparseGPT**: prunes column by column, and corrects the columns to come for what went ([Frantar and Alistarh, 2023](https://arxiv.org/abs/2301.00774));
# - **2:4**: of every four neighbours two go, the pattern that recent NVIDIA GPUs speed up, chosen by any score.

# %%
from gpt2_lib import ModelPruner
from gpt2_lib.corpus import calibration_windows
from gpt2_lib.course.experiments import measure

pages = calibration_windows(tokenizer, context)
beyond = sweep(model, windows, (0.5,), METHODS[:1] + BEYOND)
for name, prune in {
    "2:4, magnitude": lambda pruner: pruner.prune_n_m(2, 4),
    "2:4, Wanda": lambda pruner: pruner.prune_wanda(pages, n_m=(2, 4)),
    "2:4, SparseGPT": lambda pruner: pruner.prune_sparsegpt(pages, n_m=(2, 4)),
}.items():
    pruned = deepcopy(model)
    prune(ModelPruner(pruned))
    beyond.append(measure(pruned, windows, name))
display(Markdown(table(beyond)))
