# %% [markdown] minutes=8
# ## 2.4 · Global: one ranking for the whole model
# *difficulty ★★☆ · <<minutes 2.4>> minutes · <<points 2.4>> points*
#
# So far every layer lost the same share. **Global** pruning puts the weights of all layers into one ranking and cuts the
# smallest, wherever they are (Renda et al., 2020, *Comparing Rewinding and Fine-tuning*). How much each layer loses follows.
#
# For layers with $n_1, n_2, \dots$ weights and a sparsity $s$:
#
# $$k = \text{round}\big(s \cdot (n_1 + n_2 + \dots)\big), \qquad
# m_{l,i} = \begin{cases}\text{False} & \text{if } |w_{l,i}| \text{ is among the } k \text{ smallest of all layers}\\
# \text{True} & \text{otherwise}\end{cases}$$
#
# One rounding, one ranking; no average of the layers' own thresholds. Among equals the **earlier layer** goes first (in the
# dict's order), and within it the earlier position.
#
# ### Exercise 2.4 · `global_masks`
# *★★☆ · <<minutes 2.4>> minutes*
#
# A layer of 2×4 large weights and one of 1×4 small ones, at sparsity 0.5. Both ways remove six of twelve:

# %% jupyter={"source_hidden": true}
# Picture: two layers, ranked each on its own and together
layers = {
    "large": torch.tensor([[0.9, -0.2, 0.5, -0.7], [0.4, -0.8, 0.6, 1.0]]),
    "small": torch.tensor([[0.1, -0.45, 0.3, 0.05]]),
}

shown = []
for way, thresholds in {"each on its own": (0.6, 0.1), "one ranking": (0.45, 0.45)}.items():
    for (name, values), threshold in zip(layers.items(), thresholds, strict=True):
        keep = values.abs() > threshold
        shown.append((f"{way}, {name}: {int((~keep).sum())} of {keep.numel()} go", values, keep))
figures.matrices(*shown)
figures.say("One ranking spares two of the large weights and empties the layer of small ones.")

# %% [markdown]
# Now the sixteen weight matrices of gpt2-mini. Drag the sparsity: the bars are what one ranking takes out of each layer.

# %%
GlobalDemo(model)

# %% [markdown]
# <details><summary>Hint 1: one long row</summary>
#
# Lay all weights end to end in one long row (`torch.cat` of the flattened tensors). On that row it is exercise 2.1. What is
# left is to cut the long mask back into one for each layer.
# </details>
# <details><summary>Hint 2: back into layers</summary>
#
# `keep.split([w.numel() for w in weights.values()])` cuts the long mask into parts of those lengths, in the same order;
# `part.view(w.shape)` gives each its shape. Rows laid end to end in the dict's order and a *stable* sort settle ties as asked.
# </details>
#
# <b class="gpt2-yours">✎ Write it here</b>


# %% exercise="global_masks"
def global_masks(weights: dict[str, torch.Tensor], sparsity: float) -> dict[str, torch.Tensor]:
    """Keep-masks in which exactly round(sparsity * total) entries are False: the smallest of all tensors together.

    weights:  {name: float tensor of any shape}, total entries in all; only looked at, never changed
    sparsity: the fraction to remove; anything outside [0, 1] is a ValueError
    returns:  {name: bool tensor of its weight's shape, True = keep}; among equals the earlier tensor goes first, then
              the earlier position
    """
    ### BEGIN SOLUTION
    if not 0 <= sparsity <= 1:  # NaN is not in [0, 1] either
        raise ValueError(f"sparsity is the fraction to remove, from 0 to 1; got {sparsity}.")
    sizes = torch.cat([w.detach().abs().flatten() for w in weights.values()])  # (total,), one layer after the other
    keep = torch.ones(sizes.numel(), dtype=torch.bool)  # (total,)
    keep[sizes.argsort(stable=True)[: round(sparsity * sizes.numel())]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts, strict=True)}
    ### END SOLUTION


# %% [markdown]
# **☑ Check it.**

# %% tests="global_count" points=2
check.global_count(global_masks)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for shapes in [[(4,), (1,), (3,)], [(3,), (5, 2)], [(2, 3, 4), (7,), (3, 3)], [(4, 5), (5,), (5,), (2, 5), (40,)]]:
        total = sum(map(math.prod, shapes))
        values = ((torch.randperm(total, generator=draw.generator) + 1) / total).tolist()  # all different, none zero
        signed = torch.tensor([value * draw.random.choice((-1, 1)) for value in values])
        parts = signed.split([math.prod(shape) for shape in shapes])
        weights = {f"layer {i}": part.reshape(shapes[i]) for i, part in enumerate(parts)}
        for sparsity in (0.1, 0.25, 0.5, 0.75, 0.9, round(draw.random.uniform(0.2, 0.8), 3)):
            gone = check.removed_from(global_masks({name: w.clone() for name, w in weights.items()}, sparsity), weights)
            got = sum(map(sum, gone.values()))
            wanted = round(sparsity * total)
            assert got == wanted, (
                f"Layers of shapes {shapes}, {total} entries, at sparsity {sparsity}: round({sparsity} * {total}) = {wanted} go, "
                f"your masks remove {got}."
            )
### END HIDDEN TESTS

# %% tests="global_choice" points=2
check.global_choice(global_masks)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for shapes in [[(4, 6), (6, 4)], [(3, 5), (20,), (2, 2, 5)], [(8,), (16, 2), (9,), (4, 4)]]:
        scales = (1.0, 0.5, 1.6, 0.8)  # layers whose weights differ in size, but overlap
        weights = {  # in steps that half precision holds too: how precisely weights are compared is another check's
            f"layer {i}": (128 * scales[i] * torch.randn(shapes[i], generator=draw.generator)).round() / 128
            for i in range(len(shapes))
        }
        for sparsity in (0.3, 0.5, 0.8):
            gone = check.removed_from(global_masks({name: w.clone() for name, w in weights.items()}, sparsity), weights)
            got, total = sum(map(sum, gone.values())), sum(map(len, gone.values()))
            assert 0 < got < total, (
                f"Layers of shapes {shapes} at sparsity {sparsity}: some weights go and some stay; your masks remove {got} of {total}."
            )
            every = [pair for n, w in weights.items() for pair in zip(w.flatten().tolist(), gone[n], strict=True)]
            largest_gone = sorted((value for value, g in every if g), key=abs)[-1]
            smallest_kept = sorted((value for value, g in every if not g), key=abs)[0]
            assert abs(largest_gone) <= abs(smallest_kept), (
                f"Layers of shapes {shapes} at sparsity {sparsity}: your masks remove {largest_gone:.3f} and keep "
                f"{smallest_kept:.3f}, which is smaller in size. Is it one ranking over all layers?"
            )
    # Of 40 weights the 20 smallest are half of each layer; an average of thresholds lies far from their end.
    even, far = [(place + 1) / 20 for place in range(20)], [place + 100.0 for place in range(10)]
    halves = [even, [0.003 + (place + 1) / 100 for place in range(10)] + far]
    draw.random.shuffle(halves)
    weights = {
        f"layer {i}": torch.tensor([value * draw.random.choice((-1, 1)) for value in draw.random.sample(half, 20)])
        for i, half in enumerate(halves)
    }
    gone = check.removed_from(global_masks({name: w.clone() for name, w in weights.items()}, 0.5), weights)
    got = sum(map(sum, gone.values()))
    assert 19 <= got <= 21, (  # the exact number is another check's
        f"Two layers of 20 weights, one of which has ten of 100 and more, at sparsity 0.5: the 20 smallest of all go; your masks "
        f"remove {got}. Is it one ranking over all layers, and its threshold theirs?"
    )
### END HIDDEN TESTS

# %% tests="global_ties" points=1
check.global_ties(global_masks)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    cases = [{"one": torch.ones(4, 4), "two": torch.ones(8), "three": torch.ones(2, 2, 2)}]
    cases.append({"z": torch.tensor([0.0, -0.0, 0.5, -0.5]), "y": torch.tensor([[-0.5, 0.0], [0.5, -0.0]])})
    for shapes in [[(8,), (4, 4)], [(16, 16), (8, 8), (64,)]]:
        cases.append(
            {
                f"layer {9 - i}": torch.randint(-2, 3, shape, generator=draw.generator) / 2
                for i, shape in enumerate(shapes)
            }
        )
    for weights in cases:
        for sparsity in (0.25, 0.5, 0.75):
            every = [(n, i, abs(v)) for n, w in weights.items() for i, v in enumerate(w.flatten().tolist())]
            total, smallest_first = len(every), sorted(every, key=lambda one: one[2])  # equals stay in order
            go = {(name, place) for name, place, _ in smallest_first[: int(sparsity * total)]}  # always a whole number
            wanted = {name: [(name, i) in go for i in range(w.numel())] for name, w in weights.items()}
            gone = check.removed_from(global_masks({name: w.clone() for name, w in weights.items()}, sparsity), weights)
            got, asked = sum(map(sum, gone.values())), sum(map(sum, wanted.values()))
            if got == asked:
                fault = f"the right number goes, but not the earlier ones among equals, in the order of the dict {list(weights)}"
            else:
                fault = f"{asked} go, your masks remove {got}"
            assert gone == wanted, f"{total} weights, many of them equal, at sparsity {sparsity}: {fault}."
### END HIDDEN TESTS

# %% tests="global_care" points=1
check.global_care(global_masks)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    # Exact in any dtype; the squares of the first four are zero in float16.
    powers = [2.0**power for power in (*range(-16, -12), *range(8, 16))]
    parts = (
        draw.random.sample(powers[:3] + powers[4:6], 5),
        draw.random.sample(powers[6:10], 4),
        draw.random.sample(powers[10:], 2),
    )
    parts[0].insert(parts[0].index(powers[0]), powers[3])  # of the four it stays, and does not read last
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        weights = {
            "matrix": torch.tensor(parts[0]).reshape(2, 3).to(dtype),
            "cube": torch.tensor(parts[1]).reshape(1, 2, 2).to(dtype),
            "row": torch.tensor(parts[2]).to(dtype),
        }
        for sparsity, left in ((0, powers), (0.25, powers[3:]), (1, [])):
            masks = global_masks({name: w.clone() for name, w in weights.items()}, sparsity)
            kept = []
            for name, weight in weights.items():
                fault = mask_fault(masks[name], weight)
                assert fault is None, (
                    f"A weight of {dtype}, shape {tuple(weight.shape)}, at sparsity {sparsity}: {fault}"
                )
                kept += masks[name].flatten().tolist()
            assert kept == [value in left for part in parts for value in part], (
                f"Three layers of {dtype} with the weights {parts} at sparsity {sparsity}: the {12 - len(left)} smallest go; your masks "
                f"say {kept}."
            )
    close = torch.tensor([1 + place / 2**16 for place in range(12, 0, -1)])  # in half precision all the same
    kept = global_masks({"close": close}, 0.25)["close"].tolist()
    assert kept == [True] * 9 + [False] * 3, (
        f"Twelve float32 weights that differ by 0.000015 each, the smallest last, at sparsity 0.25: the last three go; your mask "
        f"says {kept}. Is a weight compared as precisely as it was given?"
    )
    values = draw.random.sample(powers[:-1], 11)
    values.insert(draw.random.choice((0, 2, 4, 6, 8, 10)), powers[-1])  # the largest is in both
    base = torch.tensor(values).reshape(3, 4)
    slanted = {"turned": base.t(), "thinned": (1.5 * base)[:, ::2]}  # 12 and 6 weights, all different
    before = {name: weight.clone() for name, weight in slanted.items()}
    masks = global_masks(slanted, 0.5)
    smallest = sorted(value for weight in before.values() for value in weight.flatten().tolist())[:9]
    for name, weight in before.items():
        assert masks[name].flatten().tolist() == [value not in smallest for value in weight.flatten().tolist()], (
            f"Weights that lie in memory in another order than they read: of all 18, those up to {smallest[-1]:g} go. {name}:\n"
            f"{show(weight)}\nyour mask:\n{show(masks[name])}"
        )
    for sparsity in (50, -1e-6, 1.000001, math.nan):
        check.refused(global_masks, {"alone": base}, sparsity)
### END HIDDEN TESTS


# %% [markdown]
# **On the real model.** Your function ranks all 1.8 million prunable weights of gpt2-mini together. Left: what that leaves of each
# layer. Right: your curve over the library's, and exercise 2.1's way beside it.

# %% jupyter={"source_hidden": true}
# On the real model: your masks, layer by layer and in one ranking
from gpt2_lib import ModelPruner
from gpt2_lib.pruning.pruner import prunable_weights
from gpt2_lib.pruning.selection import layer_masks

prunable = {name: w.detach() for name, w in prunable_weights(model).items()}


def perplexity_with(masks):
    """Return the perplexity on six held-out pages of a copy of the model without the weights that ``masks`` remove."""
    copy = deepcopy(model)
    with torch.no_grad():
        for name, keep in masks.items():
            copy.get_parameter(name).mul_(keep)
    return evaluate(copy, windows[:6]).perplexity


def library_masks(sparsity):
    return ModelPruner(deepcopy(model)).prune_globally(sparsity)


with when_written("exercise 2.4"):
    half = global_masks(prunable, 0.5)
    figure, axes = figures.panels(2, height=4.2)
    names = [name.removesuffix(".weight") for name in half]
    colours = [plots.ATTENTION if ".attn." in name else plots.FEEDFORWARD for name in names]
    gone = [1 - keep.float().mean().item() for keep in half.values()]
    axes[0].barh(names, gone, color=colours)
    axes[0].axvline(0.5, color=plots.HERE, linestyle="--")
    axes[0].invert_yaxis()
    axes[0].set(xlim=(0, 1), xlabel="share that is gone (line: half)")
    plots.title(axes[0], "Some layers pay for others")
    levels = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8)
    ways = {
        "the library": (library_masks, {"color": plots.REFERENCE, "linewidth": 7, "alpha": 0.4}),
        "one ranking": (lambda s: global_masks(prunable, s), {"color": plots.STAYS, "marker": "o"}),
        "by layer": (lambda s: layer_masks(prunable, s), {"color": plots.GOES, "marker": "s", "linestyle": "--"}),
    }
    curves = {label: [perplexity_with(choose(s)) for s in levels] for label, (choose, _) in ways.items()}
    for label, perplexities in curves.items():
        axes[1].plot(levels, perplexities, label=label, **ways[label][1])
    axes[1].set_xlabel("weights pruned")
    plots.title(axes[1], "What the model pays")
    for ax in axes:
        plots.percent(ax.xaxis)
    plots.perplexity_axis(axes[1])
    plots.name_ends(axes[1])
    shares = ", ".join(f"{name} {share:.0%}" for name, share in zip(names, gone, strict=True))
    figures.show(figure, f"Gone of each layer at 50%: {shares}. Perplexity: {figures.told(levels, curves)}")

# %% [markdown]
# The same number of weights is gone either way, and here **one ranking is clearly worse**. Why? Size can be compared *within* a
# layer, but not between layers. The ranking takes most from the first block's two output matrices (`c_proj`), since
# their weights are the smallest on average, not because the model could spare them. The next cell tests that explanation
# in three ways:
#
# 1. **Blame one layer.** Prune each layer on its own, but the first block's `mlp.c_proj` as the ranking wants it.
# 2. **Scale each layer first.** Divide every layer by its standard deviation *before* the ranking, and rank
#    together again.
# 3. **Change the sizes, but not the model.** Double every value vector of attention and halve the matrix that reads them.
#    Every output stays the same, since 2 · ½ = 1. A meaningful importance would not change.

# %% jupyter={"source_hidden": true}
# On the real model: the ranking again, after two weights were scaled against each other
with when_written("exercise 2.4"):
    local, suspect = layer_masks(prunable, 0.5), "h.0.mlp.c_proj.weight"
    own_unit = global_masks({name: w / w.std() for name, w in prunable.items()}, 0.5)
    twin = deepcopy(model)
    with torch.no_grad():
        for block in twin.h:
            values = slice(2 * block.attn.c_proj.in_features, None)  # c_attn holds Q, K, then V
            block.attn.c_attn.weight[values] *= 2
            block.attn.c_attn.bias[values] *= 2
            block.attn.c_proj.weight /= 2
    rescaled = global_masks({name: twin.get_parameter(name).detach() for name in prunable}, 0.5)
    moved = sum(int((rescaled[name] != half[name]).sum()) for name in half)
    rows = {
        "each layer on its own": perplexity_with(local),
        f"the same, but `{suspect}` as ranked": perplexity_with(local | {suspect: half[suspect]}),
        "one ranking": perplexity_with(half),
        "one ranking, each layer scaled": perplexity_with(own_unit),
    }
    found = "\n".join(f"| {way} | {value:.1f} |" for way, value in rows.items())
    figures.say(f"| half of the weights gone | perplexity on six pages |\n|-|-:|\n{found}")
    figures.say(
        f"On these pages the rescaled twin, uncut, has perplexity {evaluate(twin, windows[:6]).perplexity:.1f}; the model itself "
        f"{evaluate(model, windows[:6]).perplexity:.1f}. Yet one ranking of its weights decides otherwise about {moved:,} of them."
    )

# %% [markdown]
# That one layer does most of the harm; in their own units the layers can be ranked together and lose little more than
# each on its own. So it is *magnitude* that can't be ranked globally here, in a model whose
# layers have very different scales; a score in units of the loss (Taylor's, in Phase 1's *Going deeper*) can. Where you
# prune globally by size, keep a share of each layer (`ModelPruner.prune_globally(0.5, min_kept=0.3)`).
