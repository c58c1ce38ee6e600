# %% [markdown]
# # Phase 3: into production
#
# **<<minutes>> minutes, <<points core>> points · no GPU, no network**
#
# *<<words>> words, <<lines>> lines of code. "Going deeper": int8, prune or quantise, the comparison, phones, TensorRT and MLflow,
# <<minutes deeper>> minutes more for all <<points>> points.*
#
# A pruned model on your laptop has saved nothing yet. Here you pack it, measure it as a service would, and
# serve it, as far as this machine can. Each cell says where it stops.
#
# | part | exercise | minutes | points | of all |
# |-|-|-:|-:|-:|
# | 3.1 | **pack**: a sparse file | <<minutes 3.1>> | <<points 3.1 core>> | <<points 3.1>> |
# | 3.2 | **quantise** to int8 | <<minutes 3.2>> | | <<points 3.2>> |
# | 3.3 | **measure** a model | <<minutes 3.3>> | <<points 3.3 core>> | <<points 3.3>> |
# | 3.4 | **compare** two | <<minutes 3.4>> | | <<points 3.4>> |
# | 3.5 | **readiness**: five questions | <<minutes 3.5>> | <<points 3.5 core>> | <<points 3.5>> |

# %% locked="setup" jupyter={"source_hidden": true}
# Set-up: imports, and the line that fills as your checks pass
try:
    from gpt2_lib import GPT2, GPT2Config, ModelPruner, evaluate, held_out_windows, load_pretrained_gpt2, plots
except ImportError:
    raise ImportError(
        "This notebook runs in a Python without the course's library. Choose Kernel > Change Kernel > Python 3 "
        "in the JupyterLab that `make lab` opened."
    ) from None

import math
import statistics
import tempfile
import time
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from IPython.display import Markdown, display

from gpt2_lib.course import checks as check
from gpt2_lib.course.lesson import latency_fault, show, speedup_fault, tensor_fault, when_written
from gpt2_lib.course.page import figures
from gpt2_lib.course.progress import progress
from gpt2_lib.course.quiz import ask

points = "<<checks>>"
progress.begin("Phase 3", points)

# %%
model, tokenizer = load_pretrained_gpt2()
windows = held_out_windows(tokenizer, model.config.n_positions, 12)  # (12, 256): pages of three plays it never saw

# %% [markdown]
# ## What you ship
#
# Sixty percent of the attention and feed-forward weights go, by SparseGPT, which corrects the weights that stay. They are
# rounded to float16, as gpt2-mini's were, so that files compare:

# %%
from gpt2_lib.corpus import calibration_windows

calibration = calibration_windows(tokenizer, model.config.n_positions, 32)
pruned = deepcopy(model)
pruner = ModelPruner(pruned)
pruner.prune_sparsegpt(calibration, 0.6)
pruned.half().float()
stats = pruner.get_model_statistics()
before, after = (sum(p.numel() * p.element_size() for p in m.parameters()) for m in (model, pruned))
dense_quality, quality = evaluate(model, windows), evaluate(pruned, windows)
figures.say(
    f"- zeros: {stats['sparsity']:.1%} of the {stats['prunable']:,} prunable weights, {stats['whole_model_sparsity']:.1%} of the "
    f"whole model\n"
    f"- all weights in memory: {before / 1e6:.2f} MB before, {after / 1e6:.2f} MB now\n"
    f"- perplexity {dense_quality.perplexity:.1f} -> {quality.perplexity:.1f}, accuracy {dense_quality.accuracy:.1%} -> "
    f"{quality.accuracy:.1%}, in one shot and without training"
)
