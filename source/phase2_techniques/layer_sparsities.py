# %% [markdown] minutes=10
# ## 2.5 · Budget: 60 % has to go, and you decide where
# *difficulty ★★☆ · <<minutes 2.5>> minutes · <<points 2.5>> points*
#
# At work nobody hands you the sparsity of each layer. There is a **budget**: 60 % of all weights have to go. A layer that the
# model can spare may lose more, another one less. A **sensitivity scan** helps to choose: prune one layer alone, leave the
# others whole, and see how far the loss rises. (Li et al., 2017, *Pruning Filters for Efficient ConvNets*, choose the share
# of each layer in this way.)
#
# ### Exercise 2.5 · `layer_sparsities`
# *★★☆ · <<minutes 2.5>> minutes*
#
# The scan, each layer at 80 %:

# %% jupyter={"source_hidden": true}
# Picture: how far the loss rises when a layer alone is pruned to 80 %
from gpt2_lib import ModelPruner
from gpt2_lib.pruning import scores
from gpt2_lib.pruning.pruner import prunable_weights
from gpt2_lib.pruning.sensitivity import scan

weights = {name: w.detach() for name, w in prunable_weights(model).items()}
points_of = scan(model, windows[:6], {"magnitude": scores.magnitude(weights)}, [0.8])
rises = {point.layer.removesuffix(".weight"): point.loss_rise for point in points_of}
figure, axes = figures.panels(1, height=4.2)
colours = [plots.ATTENTION if ".attn." in name else plots.FEEDFORWARD for name in rises]
axes[0].barh(list(rises), list(rises.values()), color=colours)
axes[0].invert_yaxis()
axes[0].set_xlabel("rise of the loss, nats per token")
plots.title(axes[0], "The first block can spare the least")
figures.show(figure, "Rise of the loss: " + ", ".join(f"{name} {rise:.2f}" for name, rise in rises.items()))
uniform = deepcopy(model)
ModelPruner(uniform).prune("magnitude", 0.6)
figures.say(f"60 % of every layer leaves perplexity {evaluate(uniform, windows).perplexity:.1f}. Where would you save?")

# %% [markdown]
# Your sparsities are used as in exercise 2.1: of each layer the smallest weights go. The score is the perplexity of what is
# left, before any training.
#
# <details><summary>Hint 1: where to begin</summary>
#
# Take three groups: what the scan calls sensitive gets 0.4, what it calls robust 0.75, the rest 0.6. Then move them.
# </details>
# <details><summary>Hint 2: hit the budget</summary>
#
# What goes in all is `sum(share[name] * weights[name] for name in weights)`. Divide by the sum of all weights: is it 0.6? If
# not, multiply every share by 0.6 and divide by what you found.
# </details>
#
# <b class="gpt2-yours">✎ Write it here</b>


# %% exercise="layer_sparsities"
def layer_sparsities(weights: dict[str, int]) -> dict[str, float]:
    """The sparsity of each layer, such that 60 % of all weights go. Numbers that you chose: nothing is measured in here.

    weights: {name: number of weights} of the 16 prunable matrices, such as "h.0.attn.c_attn.weight"
    returns: {name: sparsity in [0, 1]} for the same names
    """
    ### BEGIN SOLUTION
    chosen = {"h.0.attn": 0.5, "h.0.mlp": 0.3, "h.1.attn": 0.4, "h.1.mlp": 0.8}
    chosen |= {"h.2.attn": 0.6, "h.2.mlp": 0.8, "h.3.attn": 0.7, "h.3.mlp": 0.8}
    shares = {name: chosen[".".join(name.split(".")[:3])] for name in weights}
    gone = sum(shares[name] * count for name, count in weights.items()) / sum(weights.values())
    return {name: share * 0.6 / gone for name, share in shares.items()}
    ### END SOLUTION


# %% [markdown]
# **☑ Check it.** Four steps of one score.

# %% tests="budget_met" points=1
check.budget_met(layer_sparsities)
### BEGIN HIDDEN TESTS
from gpt2_lib.course import challenges

with check.hidden():
    sizes = challenges.prunable_sizes()
    before = dict(sizes)
    layer_sparsities(sizes)
    assert sizes == before, "layer_sparsities() changed the dict that it was given."
    first = check.shared_out(layer_sparsities)
    assert check.shared_out(layer_sparsities) == first, (
        "layer_sparsities() returned other sparsities when it was called again: the numbers are your choice."
    )
### END HIDDEN TESTS

# %% tests="budget_better" points=1
check.budget_better(layer_sparsities)
### BEGIN HIDDEN TESTS
from gpt2_lib.course import challenges

with check.hidden(60):
    challenges.assert_left(check.shared_out(layer_sparsities), "better", hidden=True)
### END HIDDEN TESTS

# %% tests="budget_good" points=1
check.budget_good(layer_sparsities)
### BEGIN HIDDEN TESTS
from gpt2_lib.course import challenges

with check.hidden(60):
    challenges.assert_left(check.shared_out(layer_sparsities), "good", hidden=True)
### END HIDDEN TESTS

# %% tests="budget_best" points=1
check.budget_best(layer_sparsities)
### BEGIN HIDDEN TESTS
from gpt2_lib.course import challenges

with check.hidden(60):
    challenges.assert_left(check.shared_out(layer_sparsities), "best", hidden=True)
### END HIDDEN TESTS


# %% [markdown]
# **On the real model.** Your budget beside the same share everywhere, and then both **recovered**: a few steps of training
# with the masks held, as in exercise 2.3.

# %% jupyter={"source_hidden": true}
# On the real model: two ways to spend the budget, before and after recovery
from dataclasses import replace

from gpt2_lib import corpus
from gpt2_lib.pruning.gradual import RECOVERY, MaskedRun

RECOVERY_STEPS = 12


def recovered(sparsities):
    """Perplexity of a pruned copy of the model, and again after training with its masks held."""
    copy = deepcopy(model)
    masks = ModelPruner(copy).prune("magnitude", sparsities)
    before = evaluate(copy, windows).perplexity
    run = MaskedRun(copy, replace(RECOVERY, steps=RECOVERY_STEPS, batch=4, warmup=2), masks, teacher=model)
    for _ in range(RECOVERY_STEPS):
        run.advance(text)
    return before, evaluate(copy, windows).perplexity


with when_written("exercise 2.5"):
    yours = layer_sparsities({name: w.numel() for name, w in weights.items()})
    text = corpus.encode(corpus.training_plays(), tokenizer)
    rows = {"60 % of every layer": recovered(0.6), "your sparsities": recovered(yours)}
    found = "\n".join(f"| {way} | {before:.1f} | {after:.1f} |" for way, (before, after) in rows.items())
    figures.say(
        f"| 60 % of all weights gone | perplexity | after {RECOVERY_STEPS} steps (dense: {dense.perplexity:.1f}) |\n"
        f"|-|-:|-:|\n{found}"
    )

# %% [markdown]
# Where the cuts fall decides most of what one shot costs. Training makes up for much of a poor choice: a few steps bring the
# two close together. So choose with care where you can't train, and don't expect the same gain where you can.
