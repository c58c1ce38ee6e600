# %% [markdown]
# # Phase 3: <<sections>> challenges
#
# **40 minutes · <<points>> points · no GPU, no network**
#
# *<<words>> words, <<lines>> lines of code.* Until now you wrote functions. Here you make *models*, with everything that `gpt2_lib` has: nothing in it is off limits.
#
# | part | challenge | what you ship | the bar | points |
# |-|-|-|-|-:|
# | a | **sparse** | a packed file | 60 % of the prunable weights gone, less than 2 % of the accuracy lost | <<points a>> |
# | b | **mobile** | an ONNX file | 1.3 times as fast as dense, less than 4 % lost | <<points b>> |
# | c | **tracked** | a training run's log, and its model | gradual pruning to 60 %, less than 2 % lost | <<points c>> |
# | d | **edge** | a packed int8 file | 1.3 times smaller than int8 alone, less than 2 % lost | <<points d>> |
#
# **How it works.** Each challenge has a cell for you with two functions. `make_...()` trains and writes a file beside this
# notebook. The other one returns that file's bytes: it is all that grading calls, so **nothing is trained again when you are
# graded**. Hand in the files *together with the notebook* (a zip or a folder, 12 MB a file at most). A cell whose file is there
# does nothing; to train again, delete the file.
#
# **How it is measured.** "Accuracy" is how often the model's first guess at the next token is right; "2 % lost" is relative to
# gpt2-mini as bundled. You see the result on 32 pages of the held-out plays, where 1.5 % more may be lost; the points are
# decided on 96 other pages. So don't train on held-out plays: a model that is more than 1 % better than gpt2-mini on them is
# refused.
#
# **How long it takes.** Training takes the course's own solutions five to ten minutes for all <<sections>> on two cores. One run
# can serve a, c and d, so **read all <<sections>> before you start**.

# %% locked="setup" jupyter={"source_hidden": true}
# Set-up: imports, and the line that fills as your checks pass
try:
    from gpt2_lib import ModelPruner, corpus, evaluate, generate, load_pretrained_gpt2, plots
    from gpt2_lib.course import challenges
except ImportError:
    raise ImportError(
        "This notebook runs in a Python without the course's library. Choose Kernel > Change Kernel > Python 3 "
        "in the JupyterLab that `make lab` opened."
    ) from None

import csv
from dataclasses import replace
from pathlib import Path

from IPython.display import Markdown, display
from tqdm.auto import tqdm

from gpt2_lib.course import checks as check
from gpt2_lib.course.lesson import when_written
from gpt2_lib.course.page import figures
from gpt2_lib.course.progress import progress
from gpt2_lib.deploy.onnx import export_onnx
from gpt2_lib.pruning.gradual import RECOVERY, GradualRun, sparsegpt_cuts
from gpt2_lib.pruning.schedules import Schedule
from gpt2_lib.storage.packed import load_packed, save_packed
from gpt2_lib.train import Run

points = "<<checks>>"
progress.begin("Challenges", points)

# %%
dense = challenges.dense()  # gpt2-mini as bundled, to compare with: prune a fresh one, not this
pages = challenges.pages()  # (32, 256): the pages of the held-out plays that you see
dense_accuracy = challenges.accuracy(dense)  # on these pages

# %%
figures.say(
    f"gpt2-mini: {dense_accuracy:.2%} of the next tokens on these pages are right, "
    f"{challenges.weights():,} prunable weights, {challenges.int8_alone() / 1e6:.2f} MB packed in int8"
)
