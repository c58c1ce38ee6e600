# %% [markdown]
# # Phase 2: prune it yourself
#
# **<<minutes>> minutes, <<points core>> points · four techniques, a short function each · no GPU, no network**
#
# *<<words>> words, <<lines>> lines of code. "Going deeper": <<minutes deeper>> minutes more for all <<exercises>> functions and <<points>> points.*
#
# In Phase 1 a library pruned the model for you. Now you write the pruning: every function is a few lines long, and at the end
# those that are right prune the real model. In one shot you will see the model suffer; with 600 training steps, this
# repository prunes 60 % of it and loses less than 2 % of its accuracy ([measured](../../docs/benchmarks.md#gradual-pruning);
# a shorter run there has dense models trained as long).
#
# | part | technique | what goes | core minutes | hardest exercise | core points | of all |
# |-|-|-|-:|-|-:|-:|
# | 2.1 | **magnitude** | the smallest weights of each layer | <<minutes 2.1>> | ★★☆ | <<points 2.1 core>> | <<points 2.1>> |
# | 2.2 | **structured** | whole neurons and attention heads, so that the matrices get smaller | <<minutes 2.2>> | ★★★ | <<points 2.2 core>> | <<points 2.2>> |
# | 2.3 | **gradual** | a little at a time, with training in between | <<minutes 2.3>> | ★★☆ | <<points 2.3 core>> | <<points 2.3>> |
# | 2.4 | **global** | the smallest weights of the whole model, ranked together | <<minutes 2.4>> | ★★☆ | <<points 2.4 core>> | <<points 2.4>> |
# | 2.5 | **budget**, a bonus | 60 % of the model, shared out by you | (<<minutes 2.5>>) | ★★☆ | | <<points 2.5>> |
#
# They stand on their own: stuck in one, go on with the next, and come back.
#
# **How it works.** Each exercise shows the idea on a tiny matrix; the cell with the blue bar is yours to write (dotted ones may be changed), hints are folded above
# it. Each check below it looks at one thing and gives its own points; one that fails says what it expected, for which input,
# and what came back. PyTorch, NumPy, a plain loop: any way that is right is right. Only, write it yourself: an answer that
# calls `gpt2_lib`'s pruning or `torch.nn.utils.prune` gets no points. Hidden tests look at more cases when you hand in.
# After a restart: **Run > Run All Above Selected Cell**.
#
# New to PyTorch? Unfold this first.
# <<primer>>

# %% locked="setup" jupyter={"source_hidden": true}
# Set-up: imports, and the line that fills as your checks pass
try:
    from gpt2_lib import GPT2, evaluate, held_out_windows, load_pretrained_gpt2, plots
except ImportError:
    raise ImportError(
        "This notebook runs in a Python without the course's library. Choose Kernel > Change Kernel > Python 3 "
        "in the JupyterLab that `make lab` opened."
    ) from None

import math
from copy import deepcopy

import torch
from IPython.display import Markdown, display

from gpt2_lib.course import checks as check
from gpt2_lib.course.demos import GlobalDemo, NeuronDemo, ScheduleDemo, ThresholdDemo
from gpt2_lib.course.lesson import mask_fault, show, tensor_fault, when_written
from gpt2_lib.course.page import figures
from gpt2_lib.course.progress import progress

points = "<<checks>>"
progress.begin("Phase 2", points)

# %%
model, tokenizer = load_pretrained_gpt2()
windows = held_out_windows(tokenizer, model.config.n_positions, 12)  # (12, 256): pages of three plays it never saw
dense = evaluate(model, windows)  # the mark to hold: perplexity, accuracy, bits per character

# %% [markdown]
# Everything is loaded: `model` is gpt2-mini, `windows` are twelve pages that it has never seen, and `dense` is its quality on them
# before anything is cut. Curves and tables with many models use the first six pages, to save time.

# %%
figures.say(
    f"gpt2-mini as trained: perplexity {dense.perplexity:.2f}, {dense.bits_per_character:.3f} bits per character, "
    f"its first guess is right for {dense.accuracy:.1%} of {dense.tokens:,} tokens"
)
