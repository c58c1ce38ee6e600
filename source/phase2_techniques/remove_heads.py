# %% [markdown] minutes=12
# ### Exercise 2.2 c · `remove_heads` (going deeper)
# *★★★ · <<minutes 2.2 c>> minutes*
#
# A head is a feed-forward neuron's big brother: $H$ outputs wide, and fed three times. GPT-2 computes queries, keys and values
# of all $N$ heads with a single matrix, `c_attn`, of shape $(3 N H, C)$. Its rows are **stacked**: first Q of head 0, head 1, ...,
# then K of all heads, then V of all heads. Head $h$ is $H$ rows in each of the three, with the biases that belong to them, and
# $H$ columns of `c_proj` $(C, N H)$:
#
# $$\text{rows of head } h:\quad p \cdot N H + h \cdot H + i, \qquad p \in \{0, 1, 2\} \text{ for Q, K, V},\quad 0 \le i < H$$
#
# Here $N = 2$ heads of size $H = 2$ in a model of width $C = 4$, and head 0 goes:

# %% jupyter={"source_hidden": true}
# Picture: the rows and columns of head 0
N, H, C = 2, 2, 4
rows, columns = torch.arange(48.0).view(12, C) - 24, torch.arange(16.0).view(C, 4) - 8
first = torch.tensor([True, True, False, False])  # of the rows of each of the three, and of c_proj's columns: head 0
figures.matrices(
    *(
        (f"c_attn, rows of {part}", rows[4 * p : 4 * p + 4], ~first[:, None].expand(4, C))
        for p, part in enumerate("QKV")
    ),
    ("c_proj, its columns", columns, ~first.expand(C, 4)),
)

# %% [markdown]
# <details><summary>Hint 1: how wide is a head?</summary>
#
# `c_proj_weight` has $N H$ columns. The columns of head $h$ are $hH$ to $hH + H - 1$: that gives the columns
# to keep. The rows of Q to keep have the same numbers.
# </details>
# <details><summary>Hint 2: rows of K and V</summary>
#
# K's rows are Q's plus $N H$, V's are Q's plus $2 N H$: put the three together with `torch.cat` and pick weight and bias by it.
# `torch.arange(N * H).view(n_head, -1)[keep].flatten()` gives the columns without a loop. (Or view the weight as
# `(3, n_head, H, C)`, and pick along the second dimension.)
# </details>
#
# <b class="gpt2-yours">✎ Write it here</b>


# %% exercise="remove_heads"
def remove_heads(
    c_attn_weight: torch.Tensor,
    c_attn_bias: torch.Tensor,
    c_proj_weight: torch.Tensor,
    n_head: int,
    keep: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Smaller copies of the three, with only the heads in keep; what they compute is as if the others were silent.

    c_attn_weight (3 N H, C) and c_attn_bias (3 N H,): Q, then K, then V, each head by head; N = n_head
    c_proj_weight (C, N H); keep: int64 tensor (k,), ascending indices of the heads that stay
    returns: c_attn_weight (3 k H, C), c_attn_bias (3 k H,), c_proj_weight (C, k H), in the order of keep
    """
    ### BEGIN SOLUTION
    width = c_proj_weight.size(1)  # N H
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()  # (k H,)
    rows = torch.cat([columns, columns + width, columns + 2 * width])  # (3 k H,): in Q, in K, in V
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
    ### END SOLUTION


# %% [markdown]
# **☑ Check it.**

# %% tests="heads_shapes" points=1
check.heads_shapes(remove_heads)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for N, H, kept in ((2, 3, [1]), (3, 1, [0, 2]), (5, 2, [0, 1, 4])):
        C, k = N * H, len(kept)
        weights = [
            torch.rand(shape, generator=draw.generator) + 2 for shape in ((3 * N * H, C), (3 * N * H,), (C, N * H))
        ]
        numbers = {number for weight in weights for number in weight.flatten().tolist()}
        smaller = check.three_tensors(remove_heads(*weights, N, torch.tensor(kept)), "remove_heads")
        got, wanted = [tuple(tensor.shape) for tensor in smaller], [(3 * k * H, C), (3 * k * H,), (C, k * H)]
        assert got == wanted, f"{k} of {N} heads of size {H} stay: shapes {wanted} were expected; {got} came back."
        assert any(number in numbers for tensor in smaller for number in tensor.flatten().tolist()), (
            "Not one number that came back is one of those that went in: what stays is copied, not made anew."
        )
### END HIDDEN TESTS

# %% tests="heads_output" points=3
check.heads_output(remove_heads)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:

    def slow_attention(x, feeds, bias, fed, n_head, alive):
        """The output of causal attention as a list of lists, head by head; those not in ``alive`` say nothing."""
        width = len(fed[0])
        H = width // n_head
        output = [[0.0] * len(fed) for _ in x]
        stacked = []
        for token in x:
            stacked.append([])
            for row, b in zip(feeds, bias, strict=True):
                total = b
                for w, value in zip(row, token, strict=True):
                    total += w * value
                stacked[-1].append(total)
        for h in range(n_head):
            if h not in alive:
                continue
            for t in range(len(x)):
                exps = []
                for s in range(t + 1):
                    dot = 0.0
                    for i in range(h * H, h * H + H):
                        dot += stacked[t][i] * stacked[s][width + i]
                    exps.append(math.exp(dot / math.sqrt(H)))
                norm = math.fsum(exps)
                for i in range(h * H, h * H + H):
                    y = 0.0
                    for s in range(t + 1):
                        y += exps[s] / norm * stacked[s][2 * width + i]
                    for c in range(len(fed)):
                        output[t][c] += fed[c][i] * y
        return output

    for N, H, kept in ((2, 2, [1]), (2, 3, [0]), (4, 2, [0, 3]), (4, 3, [1, 2, 3]), (3, 1, [0, 2])):
        C = N * H
        weights = [
            torch.randn(shape, generator=draw.generator) / 2 for shape in ((3 * N * H, C), (3 * N * H,), (C, N * H))
        ]
        x = torch.randn(3, C, generator=draw.generator).tolist()
        wanted = slow_attention(x, *[w.tolist() for w in weights], N, kept)
        smaller = check.three_tensors(
            remove_heads(*[w.clone() for w in weights], N, torch.tensor(kept)), "remove_heads"
        )
        k = len(kept)
        shapes = [tuple(tensor.shape) for tensor in smaller]
        assert shapes == [(3 * k * H, C), (3 * k * H,), (C, k * H)], (
            f"{k} of {N} heads of size {H}: {shapes} came back."
        )
        got = slow_attention(x, *[tensor.tolist() for tensor in smaller], k, range(k))
        for t in range(3):
            assert torch.allclose(torch.tensor(got[t]), torch.tensor(wanted[t]), rtol=1e-3, atol=1e-4), (
                f"{N} heads of size {H}, keep = {kept}: with the others silenced the first output of token {t} is "
                f"{wanted[t][0]:.4f}; with your matrices it is {got[t][0]:.4f}."
            )
### END HIDDEN TESTS

# %% tests="heads_care" points=1
check.heads_care(remove_heads)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    # The last three have been pruned before: their heads are no longer as wide together as the model (N H < C).
    for N, H, C, kept in ((2, 2, 4, [0, 1]), (3, 2, 6, [0, 2]), (2, 2, 6, [0]), (3, 1, 4, [0, 2]), (1, 2, 4, [0])):
        for dtype in (torch.float32, torch.float16):
            width, k = N * H, len(kept)
            weights = [  # whole numbers, each once: exact in any precision
                torch.randperm(3 * width * C, generator=draw.generator).view(3 * width, C).to(dtype) + 1,
                torch.randperm(3 * width, generator=draw.generator).to(dtype) + 1,
                torch.randperm(C * width, generator=draw.generator).view(C, width).to(dtype) + 1,
            ]
            before = [tensor.clone() for tensor in weights]
            smaller = check.three_tensors(remove_heads(*weights, N, torch.tensor(kept)), "remove_heads")
            shapes = [tuple(tensor.shape) for tensor in smaller]
            assert shapes == [(3 * k * H, C), (3 * k * H,), (C, k * H)], (
                f"{N} heads of size {H} in a model of width {C}, keep = {kept}: {shapes} came back. (Heads may have been removed before: "
                "how wide one is follows from the matrices' own shapes.)"
            )
            for part in range(3):
                for place, h in enumerate(kept):
                    for i in range(H):
                        new, old = part * k * H + place * H + i, part * width + h * H + i
                        assert smaller[0][new].tolist() == before[0][old].tolist(), (
                            f"{N} heads of size {H}, keep = {kept}, {dtype}: row {new} of c_attn should be row {old} of the old one. The order is that of keep."
                        )
                        assert float(smaller[1][new]) == float(before[1][old]), (
                            f"{N} heads of size {H}, keep = {kept}, {dtype}: entry {new} of the bias should be entry {old} of the old one."
                        )
                        if part == 0:
                            assert smaller[2][:, new].tolist() == before[2][:, old].tolist(), (
                                f"{N} heads of size {H}, keep = {kept}, {dtype}: column {new} of c_proj should be column {old} of the old one."
                            )
            for tensor in smaller:
                tensor.zero_()
            for now, old in zip(weights, before, strict=True):
                assert torch.equal(now, old), (
                    f"keep = {kept} of {N} heads: writing into what came back wrote into what was given. Copies are asked for, whatever stays."
                )
### END HIDDEN TESTS


# %% [markdown]
# **On the real model.** Your three functions on gpt2-mini: for growing shares of the neurons in every block, those with *your*
# lowest scores are cut out, and the model is measured. Your curve should lie on the library's.

# %% jupyter={"source_hidden": true}
# On the real model: heads and neurons really removed
from dataclasses import replace

from gpt2_lib import ModelPruner
from gpt2_lib.pruning import scores


def lowest_out(values, share):
    """Ascending indices of what stays when the share with the lowest scores goes."""
    return values.argsort(stable=True)[round(share * len(values)) :].sort().values


def shrunk(heads, neurons):
    """gpt2-mini without these shares of each block's heads and neurons, removed by your functions."""
    weights, n_heads, n_neurons = dict(model.state_dict()), [], []
    for i, block in enumerate(model.h):
        fc, proj = f"h.{i}.mlp.c_fc", f"h.{i}.mlp.c_proj.weight"
        three = weights[f"{fc}.weight"], weights[f"{fc}.bias"], weights[proj]
        stay = lowest_out(neuron_scores(*three), neurons)
        weights[f"{fc}.weight"], weights[f"{fc}.bias"], weights[proj] = remove_neurons(*three, stay)
        n_neurons.append(len(stay))
        qkv, proj = f"h.{i}.attn.c_attn", f"h.{i}.attn.c_proj.weight"
        three = weights[f"{qkv}.weight"], weights[f"{qkv}.bias"], weights[proj]
        of_heads = scores.head(*three, block.attn.n_head)  # the same idea as your score, from the library
        stay = lowest_out(of_heads, heads)
        weights[f"{qkv}.weight"], weights[f"{qkv}.bias"], weights[proj] = remove_heads(*three, block.attn.n_head, stay)
        n_heads.append(len(stay))
    smaller = GPT2(replace(model.config, heads=tuple(n_heads), neurons=tuple(n_neurons))).eval()
    smaller.load_state_dict(weights)
    return smaller


shares = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
with when_written("exercise 2.2"):
    yours = [evaluate(shrunk(0.0, s), windows[:6]).perplexity for s in shares]
    library = [evaluate(ModelPruner(model).remove_structures(0.0, s), windows[:6]).perplexity for s in shares]
    figure, (ax,) = figures.panels(height=2.6)
    ax.plot(shares, library, color=plots.REFERENCE, linewidth=7, alpha=0.4, label="the library")
    ax.plot(shares, yours, color=plots.STAYS, marker="o", label="yours")
    ax.set_xlabel("neurons removed from every block")
    plots.title(ax, "By weights alone, neurons are expensive")
    plots.percent(ax.xaxis)
    plots.perplexity_axis(ax)
    plots.name_ends(ax)
    figures.show(
        figure, f"Perplexity against neurons removed. {figures.told(shares, {'yours': yours, 'the library': library})}"
    )

# %% [markdown]
# That bends early: a tenth of the neurons of every block, and the perplexity has more than doubled. Where does it go wrong?
# Take a quarter of *one* block's neurons at a time. Beside your score, two others: at random, and by a neuron's **contribution** on real
# text, which is its activation (root of the mean square over 1,536 tokens) times the norm of its output weights.

# %% jupyter={"source_hidden": true}
# On the real model: a quarter of one block's neurons, chosen in three ways
from gpt2_lib.pruning.surgery import shrink


@torch.no_grad()
def contribution(block):
    """Return the contribution of each neuron of a block, measured on other pages than the quality."""
    seen = []
    hook = block.mlp.c_proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(windows[6:])
    hook.remove()
    return seen[0].square().mean(dim=(0, 1)).sqrt() * block.mlp.c_proj.weight.norm(dim=0)


with when_written("exercise 2.2"), torch.no_grad():
    three = [(block.mlp.c_fc.weight, block.mlp.c_fc.bias, block.mlp.c_proj.weight) for block in model.h]
    by = {
        "your score": [neuron_scores(*weights) for weights in three],
        "at random": [torch.rand(768, generator=torch.Generator().manual_seed(i)) for i in range(4)],
        "by contribution": [contribution(block) for block in model.h],
    }
    figure, (ax,) = figures.panels(height=3.6)
    words = []
    for number, (name, values) in enumerate(by.items()):
        heights = [
            evaluate(shrink(model, neurons={i: lowest_out(v, 0.25)}), windows[:6]).perplexity
            for i, v in enumerate(values)
        ]
        places = [i + 0.27 * (number - 1) for i in range(4)]
        bars = ax.bar(places, heights, width=0.25, color=plots.SERIES[number][0], label=name)
        ax.bar_label(
            bars, fmt="%.1f", fontsize=10, padding=3, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0}
        )
        words.append(f"{name}: {', '.join(f'{height:.1f}' for height in heights)}")
    uncut = evaluate(model, windows[:6]).perplexity
    ax.axhline(uncut, color=plots.HERE, linestyle="--", linewidth=1, label="nothing removed", zorder=0.5)
    ax.set(xlabel="the block that loses a quarter of its neurons", ylabel="perplexity", xticks=range(4))
    ax.legend(frameon=False, fontsize=plots.SIZE)
    ax.margins(y=0.1)  # room for the numbers
    plots.title(ax, "One block is different")
    figures.show(figure, f"Perplexity without a quarter of one block's neurons, blocks 0 to 3. {'; '.join(words)}")

# %% [markdown]
# In three of four blocks your score takes a quarter of the neurons almost for free. In the first it fails, worse than at random:
# some neurons there have small weights and large activations, and weights alone don't show that. A score that also uses the activations gets it right. That is
# the idea of Wanda (Sun et al., 2023) for single weights. **Measure on your model; no score is safe everywhere.**
#
# And now what removing is for. A quarter of all heads and neurons goes, and the clock runs: the dense model; the same quarter
# *set to zero*, in matrices of full size; and the quarter *removed* by your functions.

# %% jupyter={"source_hidden": true}
# On the real model: what it costs, zeros beside smaller matrices
from gpt2_lib import quick_magnitude_prune
from gpt2_lib.metrics import cost, cost_table

with when_written("exercise 2.2"):
    zeros, single = deepcopy(model), deepcopy(model)
    ModelPruner(zeros).prune_structures(0.25, 0.25)
    quick_magnitude_prune(single, 0.25, 0.25)
    removed = shrunk(0.25, 0.25)
    chosen = ModelPruner(model).remove_structures(0.25, 0.25, windows=windows[6:], refit=False)  # by contribution
    refitted = ModelPruner(model).remove_structures(0.25, 0.25, windows=windows[6:])
    costs = cost(
        {"dense": model, "a quarter set to zero": zeros, "a quarter removed, by you": removed}, windows[:1], repeats=7
    )
    figures.say(cost_table(costs, baseline="dense"))
    rows = ["| model | perplexity on six pages | first guess right | parameters |", "|-|-:|-:|-:|"]
    for name, m in (
        ("dense", model),
        ("set to zero", zeros),
        ("removed, by you", removed),
        ("removed, by contribution", chosen),
        ("the same, refitted on six pages", refitted),
        ("single weights (2.1)", single),
    ):
        quality, parameters = evaluate(m, windows[:6]), sum(p.numel() for p in m.parameters())
        rows.append(f"| {name} | {quality.perplexity:.1f} | {quality.accuracy:.1%} | {parameters:,} |")
    figures.say("\n".join(rows))

# %% [markdown]
# Set to zero or removed, the quality is the same: only silent units have been taken out. But only *removing* them makes the
# model smaller and faster. The price depends on the choice: by weights alone, losing a quarter of the heads and neurons is ruinous here; by
# contribution on real text it costs far less, with the same small matrices. *Refitting* lets the remaining units take over a part of what
# the others did, by least squares on a few pages, without training. And usually some training follows. (With four heads a block, a
# quarter is one whole head; GPT-2 124M has twelve to choose from.)
