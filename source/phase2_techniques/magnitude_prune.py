# %% [markdown] minutes=7
# ### Exercise 2.1 b · `magnitude_prune` (going deeper)
# *★★☆ · <<minutes 2.1 b>> minutes*
#
# One weight is done; now the model. Every attention and every feed-forward **weight** of every block is pruned, each
# ranked on its own, so that each ends up with the same sparsity. **Never** biases (few, and each moves a whole output),
# LayerNorm (few, and it scales everything) or embeddings (by convention).
#
# A PyTorch model is a list of named parameters. Here is a GPT-2 small enough to print, with 2 heads and blocks of
# different width, as structured pruning leaves them:


# %% jupyter={"source_hidden": true}
# Table: the parameters of a small model
lines = ["| parameter | shape | what it is | pruned |", "|-|-|-|-|"]
for name, parameter in check.small_model(neurons=(6, 3)).named_parameters():
    part = (
        "attention"
        if ".attn." in name
        else "feed-forward"
        if ".mlp." in name
        else "embedding"
        if "w" in name[:1]
        else "LayerNorm"
    )
    pruned = "**yes**" if parameter.dim() == 2 and part in ("attention", "feed-forward") else "no"
    lines.append(f"| `{name}` | {tuple(parameter.shape)} | {part} | {pruned} |")
figures.say("\n".join(lines))

# %% [markdown]
# <details><summary>Hint 1: which parameters?</summary>
#
# `for name, parameter in model.named_parameters()` visits everything. The names tell which are yours: those inside
# `attn` or `mlp` that end in `weight`. `magnitude_mask` does the rest, one parameter at a time.
# </details>
# <details><summary>Hint 2: writing into a parameter</summary>
#
# PyTorch refuses to write into a trainable parameter unless you say that this is not training: put the loop inside
# `with torch.no_grad():`. Then `parameter[~mask] = 0.0`, or `parameter *= mask`, writes into the model itself.
# (`parameter = parameter * mask` makes a new tensor and leaves the model unchanged.)
# </details>
#
# <b class="gpt2-yours">✎ Write it here</b>


# %% exercise="magnitude_prune"
def magnitude_prune(model: GPT2, sparsity: float) -> dict[str, torch.Tensor]:
    """Prune every attention and feed-forward weight of every block, each on its own: write zeros into the model.

    model:   a GPT2; its own parameters are changed in place, and stay trainable
    returns: {parameter name: its bool keep-mask}, for the pruned weights and nothing else
    """
    ### BEGIN SOLUTION
    masks = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith(".weight"):
                masks[name] = magnitude_mask(parameter, sparsity)
                parameter[~masks[name]] = 0.0
    return masks
    ### END SOLUTION


# %% [markdown]
# **☑ Check it.**

# %% tests="prune_where" points=2
check.prune_where(magnitude_prune)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for heads, neurons in (((1, 2, 1), (3, 8, 5)), ((2,), (6,)), ((1,) * 11, (2,) * 11)):
        small = check.small_model(draw.random.randrange(10**6), heads, neurons)
        before = {name: parameter.detach().clone() for name, parameter in small.named_parameters()}
        masks = magnitude_prune(small, 0.25)
        wanted = {name for name, old in before.items() if name.startswith("h.") and old.dim() == 2}
        assert set(masks) == wanted, (
            f"A model with {len(heads)} blocks, {heads} heads and {neurons} neurons: masks for {len(wanted)} weights were "
            f"expected; yours are for {len(masks)}, among them {sorted(set(masks) ^ wanted)[0]!r} missing or too many."
        )
        gone = sum(sum(check.removed_by(masks[name], before[name])) for name in wanted)
        n = sum(before[name].numel() for name in wanted)
        assert 0 < gone < n, f"At sparsity 0.25 some entries go and some stay; your masks remove {gone} of {n}."
### END HIDDEN TESTS

# %% tests="prune_each" points=1
check.prune_each(magnitude_prune)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for sparsity in (0.1, 0.5, 0.77):
        small = check.small_model(draw.seed, heads=(2, 1), neurons=(7, 3))
        with torch.no_grad():  # all the same in half precision, the smallest come last
            fc = small.h[0].mlp.c_fc.weight
            fc.copy_(1 + torch.arange(fc.numel(), 0, -1).view_as(fc) / 2**16)
        before = {name: parameter.detach().clone() for name, parameter in small.named_parameters()}
        magnitude_prune(small, sparsity)
        for name, parameter in check.parameters_after(small, before).items():
            if name.startswith("h.") and parameter.dim() == 2:
                values = before[name].flatten().tolist()
                smallest = sorted(values, key=abs)[: round(sparsity * len(values))]
                wanted = [value in smallest for value in values]
                got = [value == 0 for value in parameter.detach().flatten().tolist()]
                if sum(got) == sum(wanted):
                    fault = "the right number of them is zero in the model, but they are not the smallest"
                else:
                    fault = f"{sum(wanted)} of them go, {sum(got)} are zero in the model"
                assert got == wanted, f"Sparsity {sparsity}, {name} with its {len(values)} entries: {fault}."
### END HIDDEN TESTS

# %% tests="prune_writes" points=1
check.prune_writes(magnitude_prune)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for heads, neurons in (((1, 2, 1), (3, 8, 5)), ((2,), (6,))):
        small = check.small_model(draw.random.randrange(10**6), heads, neurons)
        with torch.no_grad():
            small.h[0].mlp.c_fc.weight.abs_()[0, 0] = 0.0  # goes, and only its mask can say so
        before = {name: parameter.detach().clone() for name, parameter in small.named_parameters()}
        masks = magnitude_prune(small, 0.7)
        after, zeros, entries = check.parameters_after(small, before), 0, 0
        for name, mask in masks.items():
            if name not in before or before[name].dim() != 2:
                continue  # a wrong name has a check of its own
            rows = zip(
                mask.flatten().tolist(), before[name].flatten().tolist(), after[name].flatten().tolist(), strict=True
            )
            for kept, old, new in rows:
                assert new == (old if kept else 0.0), (
                    f"{name} was {old:.4f} where its mask is {kept}; it is {new:.4f} now."
                )
                assert new != 0 or not kept, (
                    f"At sparsity 0.7, your mask of {name} keeps a 0, its smallest. What goes is False, also where it was 0 already."
                )
                zeros, entries = zeros + (new == 0), entries + 1
        assert 0 < zeros < entries, (
            f"At sparsity 0.7, {zeros} of the {entries} entries that your masks name are zero in the model."
        )
        for name, parameter in after.items():
            assert parameter.requires_grad, f"{name} can't be trained any more (requires_grad is False)."
### END HIDDEN TESTS


# %% [markdown]
# **On the real model.** Your function prunes gpt2-mini: each point is a fresh copy, measured on pages it has never seen.
# Your curve lies on the library's if the two agree. The third curve cuts the same *number* of weights at random: the
# distance between them is what ranking by size gains.

# %% jupyter={"source_hidden": true}
# On the real model: your curve beside the library's
from gpt2_lib import quick_magnitude_prune

levels = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8)


def curve(prune):
    """Return the perplexity on six held-out pages after ``prune(copy of the model, sparsity)``, for each level."""
    perplexities = []
    for s in levels:
        copy = deepcopy(model)
        prune(copy, s)
        perplexities.append(evaluate(copy, windows[:6]).perplexity)
    return perplexities


def prune_at_random(copy, sparsity):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for block in copy.h:
            for layer in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj):
                layer.weight *= torch.rand(layer.weight.shape, generator=generator) >= sparsity


with when_written("exercise 2.1"):
    yours = curve(magnitude_prune)
    library, at_random = curve(lambda copy, s: quick_magnitude_prune(copy, s, s)), curve(prune_at_random)
    figure, (ax,) = figures.panels(height=3.6)
    ax.plot(levels, library, color=plots.REFERENCE, linewidth=7, alpha=0.4, label="the library, by magnitude")
    ax.plot(levels, yours, color=plots.STAYS, marker="o", label="yours")
    ax.plot(levels, at_random, color=plots.GOES, marker="s", linestyle="--", label="at random")
    ax.set_xlabel("attention and feed-forward weights pruned")
    plots.title(ax, "In one shot: which weights go decides what is left")
    plots.percent(ax.xaxis)
    plots.perplexity_axis(ax)
    plots.name_ends(ax)
    curves = {"yours": yours, "the library's": library, "at random": at_random}
    figures.show(figure, f"Perplexity against weights pruned. {figures.told(levels, curves)}")
    figures.say(
        "The first third goes for little. At a half, gpt2-mini is twice as unsure as before, and from there it gets worse "
        "quickly; at random, it would have been lost at a third. Nothing was retrained here: this is **one shot**. "
        "Exercise 2.3 trains in between, and the bend moves to the right. And remember Phase 1: these zeros make no dense "
        "matrix product faster. The next exercise's cuts do."
    )
