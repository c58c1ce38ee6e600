# %% [markdown] minutes=4
# ### Going deeper: scores that use text
#
# Magnitude uses the weights alone. These methods also use the activations, on 64 pages of the plays it was trained
# on. All in one shot, at 50 %:
#
# - **random**: the baseline for any method;
# - **Taylor**: |weight times gradient|, averaged over the pages: how much the loss would change ([Molchanov et al., 2017](https://arxiv.org/abs/1611.06440)),
#   which means the same in every layer, so that one ranking for all works with it;
# - **Wanda**: |weight| times the norm of its input, compared within a row ([Sun et al., 2023](https://arxiv.org/abs/2306.11695));
# - **SparseGPT**: prunes column by column, and corrects the later columns for the loss ([Frantar and Alistarh, 2023](https://arxiv.org/abs/2301.00774));
# - **ADMM**: chooses and corrects all of a layer's weights together, by least squares ([Boža, 2024](https://arxiv.org/abs/2401.02938));
# - **2:4**: of every four neighbours two go, chosen by any score: a pattern that NVIDIA GPUs since Ampere have kernels for.
#
# <<fact size_effect>>:
#
# <<table size_effect>>

# %% jupyter={"source_hidden": true}
# Measure: every method at 50 %, and 2:4
from gpt2_lib import ModelPruner
from gpt2_lib.corpus import calibration_windows
from gpt2_lib.course.experiments import BEYOND, measure

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
say(table(beyond))
