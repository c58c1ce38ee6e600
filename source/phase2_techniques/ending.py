# %% [markdown] minutes=2
# ## What you have built
#
# | part | technique | the idea in one line | smaller, and faster on plain kernels? | training needed? |
# |-|-|-|-|-|
# | 2.1 | magnitude | cut what is near zero, layer by layer | no: zeros are stored and multiplied like any number | no |
# | 2.2 | structured | cut whole neurons and heads | **yes**: the matrices are smaller | to recover |
# | 2.3 | gradual | cut a little, train, cut again | no | yes, between the cuts |
# | 2.4 | global | one ranking for all layers | no | no |
#
# Your own functions once more, all on the real model, each in one shot and without any training after it. Run this cell
# when you are done, or earlier: what is not written yet, or stops, is left out.

# %% jupyter={"source_hidden": true}
# What you measured, for your card
from gpt2_lib.pruning.pruner import prunable_weights

measured = {"gpt2-mini as trained": f"perplexity {dense.perplexity:.2f}"}

with when_written("exercise 2.1 a"), torch.no_grad():
    pruned = deepcopy(model)
    for w in prunable_weights(pruned).values():
        w.mul_(magnitude_mask(w, 0.5))
    measured["half of the weights gone, layer by layer"] = f"perplexity {evaluate(pruned, windows).perplexity:.2f}"

with when_written("exercise 2.2 a"), torch.no_grad():
    pruned = deepcopy(model)
    for mlp in (block.mlp for block in pruned.h):
        parts = mlp.c_fc.weight, mlp.c_fc.bias, mlp.c_proj.weight
        gone = neuron_scores(*(part.detach() for part in parts)).argsort()[: len(parts[1]) // 10]
        parts[0][gone], parts[1][gone], parts[2][:, gone] = 0, 0, 0  # as if they were removed
    measured["a tenth of the neurons gone"] = f"perplexity {evaluate(pruned, windows).perplexity:.2f}"

with when_written("exercise 2.3 a"):
    early = cubic_sparsity(25, 0, 100, 0.0, 0.8) / 0.8
    measured["of all that goes, cut in the first quarter of a schedule"] = f"{early:.0%}"

with when_written("exercise 2.4"):
    pruned = deepcopy(model)
    weights = {n: w.detach() for n, w in prunable_weights(pruned).items()}
    for name, mask in global_masks(weights, 0.5).items():
        weights[name].mul_(mask)
    measured["half of the weights gone, one ranking for all"] = f"perplexity {evaluate(pruned, windows).perplexity:.2f}"

# %% [markdown]
# ### Your card
# To share it, right-click the picture (with Shift, if JupyterLab's own menu opens). The points are those of the checks
# that you see.

# %%
card = progress.summary(measured)
display(card, Markdown(card.markdown()))

# %% [markdown]
# ### Knowledge check 2
# Answer first, then unfold.
#
# **1. Why does a mask remove exactly $k$ weights, and not all those below a threshold?**
# <details><summary>answer</summary>
#
# Weights can be equal: gpt2-mini's were stored in float16, and 46 of them lie exactly on the threshold that halves its first
# feed-forward matrix. A threshold takes all of them or none, and the sparsity you get is not the one you asked for.
# </details>
#
# **2 (after 2.2 b). You delete a neuron's row in `c_fc`, but keep its bias. What goes wrong?**
# <details><summary>answer</summary>
#
# If the row is only set to zero, the neuron still sends GELU(bias) into everything that it feeds. If it is really removed, the
# shapes no longer fit. A neuron is a row, a bias and a column of `c_proj`: all three go.
# </details>
#
# **3 (after 2.3 b). A pruned weight is zero. Why does training bring it back, unless it is set to zero again after every step?**
# <details><summary>answer</summary>
#
# It still gets a gradient, as large as any (its input and its output's gradient are not zero), and momentum adds those of
# earlier steps. Weight decay alone would leave it at zero. A mask applied after the step undoes all of it.
# </details>
#
# **4. Global and layer by layer, both at 50 %: how many zeros does each have, and where?**
# <details><summary>answer</summary>
#
# Equally many in all. Layer by layer, each layer loses half; in one ranking, layers of small weights lose more and can empty out.
# </details>
#
# **5. Which of the four makes the model faster on a phone without a special kernel?**
# <details><summary>answer</summary>
#
# Structured pruning: a plain dense kernel has less to do when the matrices are smaller, wherever arithmetic, or reading the
# weights, is what takes the time. The others leave the shapes as they are.
# </details>
#
# **Next:** Phase 3, where a pruned model is packed, quantised, measured and shipped.

# %% jupyter={"source_hidden": true}
# Grade my notebook: run this cell, then press the button
from gpt2_lib.course.page.own_grade import GradeMyNotebook

GradeMyNotebook("phase2_techniques")
