# %% [markdown]
# # Phase 1: what pruning does to a real GPT-2
#
# **<<minutes>> minutes · <<exercises>> small exercises · no GPU, no network**
#
# A trained language model is a pile of numbers. Many of them are close to zero. *Pruning* asks: what if they
# were exactly zero, and gone? How much can you cut before the model notices, and does anything get faster?
#
# You will not have to believe anybody. This notebook holds a real GPT-2, small enough for a laptop and trained
# on 35 plays by Shakespeare. You cut it, and measure it on three plays it has never seen.
#
# | | part | minutes |
# |-|-|-:|
# | 1 | Meet the model | <<minutes 1>> |
# | 2 | Measure before you cut (<<exercises>> exercises) | <<minutes 2>> |
# | 3 | Prune it, and look at the damage | <<minutes 3>> |
# | 4 | The explorer: prune while you drag | <<minutes 4>> |
# | 5 | Does a zero make it faster? | <<minutes 5>> |
# | 6 | Claims against measurements | <<minutes 6>> |
# | 7 | Where pruned models run, and a knowledge check | <<minutes 7>> |
#
# Run the cells from top to bottom with **Shift + Enter**. Grey cells marked `# YOUR CODE HERE` are yours to write.

# %% locked="setup" jupyter={"source_hidden": true}
# Set-up: imports, and the line that fills as your checks pass
try:
    from gpt2_lib import GPT2, evaluate, generate, held_out_windows, load_pretrained_gpt2, plots
except ImportError:
    raise ImportError(
        "This notebook runs in a Python without the course's library. Choose Kernel > Change Kernel > Python 3 "
        "in the JupyterLab that `make lab` opened."
    ) from None

import math
from copy import deepcopy

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display

from gpt2_lib.config import PRESETS
from gpt2_lib.course import checks as check
from gpt2_lib.course import pictures
from gpt2_lib.course.lesson import when_written
from gpt2_lib.course.progress import progress
from gpt2_lib.pruning.pruner import attention_weights, feedforward_weights, prunable_weights, quick_magnitude_prune

points = "<<checks>>"
progress.begin("Phase 1", points)

# %% [markdown] minutes=2
# ## 1 · Meet the model
#
# One call loads it, with its tokenizer. It continues any text you give it: this one starts like a page of *Macbeth*,
# in the Markdown the plays are printed in.

# %%
model, tokenizer = load_pretrained_gpt2()
context = model.config.n_positions

display(Markdown(generate(model, "**MACBETH**  \nIs this a dagger", new_tokens=120, seed=3)))


# %% [markdown]
# It is no Shakespeare, but it has learned what a play looks like: who speaks, where lines break, how people talk.
# Where do the numbers that know this live? A GPT-2 has three kinds of them:
#
# - **embeddings**: a vector for each token and each position,
# - **attention**: in every block, the matrices that let a token look at earlier ones,
# - **feed-forward**: in every block, two wide matrices that work on each token alone.
#
# Pruning in this course means the last two. (Embeddings are looked up, not multiplied; cutting them hurts at once.)


# %%
def parts(m):
    """Count parameters by where they live."""
    every = sum(p.numel() for p in m.parameters())
    attention = sum(w.numel() for w in attention_weights(m).values())
    feedforward = sum(w.numel() for w in feedforward_weights(m).values())
    embeddings = m.wte.weight.numel() + m.wpe.weight.numel()
    rest = every - attention - feedforward - embeddings
    return {
        "embeddings": embeddings,
        "attention": attention,
        "feed-forward": feedforward,
        "biases, LayerNorm": rest,
    }


with torch.device("meta"):  # only the shapes: OpenAI's GPT-2 without its half gigabyte of weights
    openai = GPT2(PRESETS["gpt2"])

models = {"gpt2-mini (here)": parts(model), "GPT-2 124M (OpenAI)": parts(openai)}
for name, counts in models.items():
    print(f"{name}: {sum(counts.values()):,} parameters, " + ", ".join(f"{k} {v:,}" for k, v in counts.items()))

figure, ax = plt.subplots(figsize=(9, 2.2), layout="constrained")
plots.parameter_bars(ax, models)
plt.show()

# %% [markdown]
# Now look at the weights themselves. If many are near zero, then removing those should cost least: that is the whole
# idea of **magnitude pruning**.

# %%
figure, ax = plt.subplots(figsize=(8, 3), layout="constrained")
plots.weight_histogram(
    ax,
    {
        "attention": torch.cat([w.flatten() for w in attention_weights(model).values()]),
        "feed-forward": torch.cat([w.flatten() for w in feedforward_weights(model).values()]),
    },
)
plt.show()

together = torch.cat([w.detach().flatten().abs() for w in prunable_weights(model).values()])
print(
    f"Half of the {len(together):,} prunable weights lie within ±{together.median():.4f}; the largest is {together.max():.2f}."
)
