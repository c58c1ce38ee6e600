# %% [markdown]
# # Phase 1: what pruning does to a real GPT-2
#
# **<<minutes>> minutes, <<points core>> points · no GPU, no network**
#
# *<<words>> words, <<lines>> lines of code, one small function. "Going deeper": <<minutes deeper>> minutes more for all <<points>> points,
# now or later.*
#
# A trained language model is a pile of numbers, many of them close to zero. *Pruning* asks: what if they were exactly
# zero, and gone? Here is a real GPT-2, trained on 35 plays by Shakespeare. Cut it, and measure it on three plays it has
# never seen.
#
# Run the cells with **Shift + Enter**. A blue bar: yours to write; dotted: yours to change. Folded cells (`•••`) open with a click.
# After a restart, or at a `NameError`: **Run > Run All Above Selected Cell**.

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

import torch

from gpt2_lib.config import PRESETS
from gpt2_lib.course import checks as check
from gpt2_lib.course.experiments import readable
from gpt2_lib.course.lesson import when_written
from gpt2_lib.course.page.figures import matrices, panels, say, show
from gpt2_lib.course.progress import progress
from gpt2_lib.pruning.pruner import attention_weights, feedforward_weights, prunable_weights, quick_magnitude_prune

points = "<<checks>>"
progress.begin("Phase 1", points)

# %% [markdown] minutes=2
# ## 1 · Prune it
#
# One call loads the model. It goes on with any text; this one starts like a page of *Macbeth*. Then a copy loses the
# smallest fifth of its weights, and another one four fifths. Read what they write:

# %%
model, tokenizer = load_pretrained_gpt2()

for share in (0.0, 0.2, 0.8):
    cut = deepcopy(model)
    quick_magnitude_prune(cut, att_sparsity=share, ff_sparsity=share)
    text = generate(cut, "**MACBETH**  \nIs this a dagger", max_new_tokens=60, seed=3)
    say(f"---\n**{share:.0%} of the weights gone**\n\n{readable(text)}")

# %% [markdown]
# A fifth was nearly free; four fifths were not. The course is about what lies between.
#
# A GPT-2 has three kinds of numbers:
#
# - **embeddings**: a vector for each token and each position,
# - **attention**: in every block, the matrices that let a token look at earlier ones,
# - **feed-forward**: in every block, two wide matrices that work on each token alone.
#
# Pruning here means the last two. Embeddings are left out by convention, not because they cost nothing: the token
# embedding is the output matrix, too, and is multiplied for every token.

# %% jupyter={"source_hidden": true}
# Picture: where the parameters are, and how large they are
context = model.config.n_positions


def parts(m):
    """Count parameters by where they live."""
    attention = sum(w.numel() for w in attention_weights(m).values())
    feedforward = sum(w.numel() for w in feedforward_weights(m).values())
    embeddings = m.wte.weight.numel() + m.wpe.weight.numel()
    rest = sum(p.numel() for p in m.parameters()) - attention - feedforward - embeddings
    return {"embeddings": embeddings, "attention": attention, "feed-forward": feedforward, "biases, LayerNorm": rest}


with torch.device("meta"):  # only the shapes: OpenAI's GPT-2 without its half gigabyte of weights
    openai = GPT2(PRESETS["gpt2"])
models = {"gpt2-mini (here)": parts(model), "GPT-2 124M (OpenAI)": parts(openai)}
figure, (ax,) = panels(height=1.9)
plots.parameter_bars(ax, models)
shares = [
    f"{name}, {sum(counts.values()):,} parameters: "
    + ", ".join(f"{part} {count / sum(counts.values()):.0%}" for part, count in counts.items())
    for name, counts in models.items()
]
show(figure, "Where the parameters are. " + "; ".join(shares))

figure, (ax,) = panels(height=2.4)
kinds = {"attention": attention_weights(model), "feed-forward": feedforward_weights(model)}
plots.weight_histogram(ax, {kind: torch.cat([w.flatten() for w in found.values()]) for kind, found in kinds.items()})
together = torch.cat([w.detach().flatten().abs() for w in prunable_weights(model).values()])
sizes = f"Half of the {len(together):,} prunable weights lie within ±{together.median():.4f}; the largest is {together.max():.2f}."
show(figure, f"Histograms of the weights of attention and feed-forward: both high and narrow around zero. {sizes}")
say(sizes)
# %% [markdown]
# Many weights are near zero. Removing those should cost least: that is the whole idea of **magnitude pruning**.
