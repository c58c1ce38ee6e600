# %% [markdown] minutes=4
# ### 3.1 b · The way back (going deeper)
#
# <b class="gpt2-yours">✎ Write it here</b>


# %% exercise="unpack"
def unpack(bitmask: torch.Tensor, values: torch.Tensor, shape: tuple) -> torch.Tensor:
    """The weight that pack() split, exactly.

    bitmask, values: what pack() returned; shape: the weight's shape
    returns: tensor of that shape and of the values' dtype
    """
    ### BEGIN SOLUTION
    bits = torch.from_numpy(np.unpackbits(bitmask)).bool()  # a multiple of eight
    weight = torch.zeros(math.prod(shape), dtype=values.dtype)
    weight[bits[: weight.numel()]] = values
    return weight.view(shape)
    ### END SOLUTION


# %% [markdown]
# **☑ Check it.**

# %% tests="unpack_exact" points=2
check.unpack_exact(unpack, pack)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:

    def unpacked(weight, highest_first):
        bitmask = torch.tensor(
            check.bytes_of([v != 0 for v in weight.flatten().tolist()], highest_first), dtype=torch.uint8
        )
        return unpack(bitmask, weight[weight != 0], tuple(weight.shape))

    one = torch.zeros(3, 3)
    one[0, 0] = 2.5  # which end of a byte comes first?
    try:
        highest_first = torch.equal(unpacked(one, True), one)
    except (RuntimeError, IndexError, ValueError):
        highest_first = False
    try:
        written, _ = check.lists(pack(one.clone()))
    except Exception:  # pack() has its own checks
        written = []
    assert written != check.bytes_of((one != 0).flatten().tolist(), not highest_first), (
        f"pack() writes a first entry as bit {'highest' if not highest_first else 'lowest'} of its byte, and unpack() reads it at "
        "the other end."
    )
    weights = [one, torch.zeros(2, 3), torch.ones(4, 4), torch.ones(3, 1, 5), torch.tensor([0.0])]
    for shape in [(7,), (8,), (5, 9), (2, 3, 4), (16, 16)]:
        weights.append(
            torch.randn(shape, generator=draw.generator) * (torch.rand(shape, generator=draw.generator) < 0.5)
        )
    for weight in weights:
        assert torch.equal(unpacked(weight, highest_first), weight), (
            f"A weight of shape {tuple(weight.shape)} with {int((weight != 0).sum())} values did not come back exactly "
            f"(draw.seed {draw.seed})."
        )
### END HIDDEN TESTS

# %% tests="unpack_care" points=1
check.unpack_care(unpack)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        bitmask, values = torch.full((1,), 255, dtype=torch.uint8), torch.randn(8, generator=draw.generator).to(dtype)
        before = bitmask.clone(), values.clone()
        first = unpack(bitmask, values, (2, 4))
        assert sorted(first.flatten().tolist()) == sorted(before[1].tolist()), (
            f"Eight values of {dtype} and eight bits, all of them 1: {before[1].tolist()} were expected; what came back holds "
            f"{first.flatten().tolist()}."
        )
        first.zero_()
        for given, was in zip((bitmask, values), before, strict=True):
            assert torch.equal(given, was), "unpack() changed what it was given, or its result shares memory with it."
### END HIDDEN TESTS


# %% [markdown]
# **What you saw.** Your file format on gpt2-mini, a larger share of its smallest weights zero at each dot, against two others: all
# values with zeros in between (dense), and each value with a 32-bit column number (CSR, what `scipy.sparse` does). The blue line
# is the formula above, the dots are your bytes.

# %% jupyter={"source_hidden": true}
# On the real model: what your packing saves
with when_written("exercise 3.1"):
    weights, cut = (
        [p.detach() for n, p in m.named_parameters() if n.startswith("h.") and p.dim() == 2] for m in (model, pruned)
    )
    everything = sum(4 * w.numel() for w in weights)
    levels, mine = (0.0, 0.25, 0.5, 0.6, 0.75, 0.9), []
    for level in levels:
        total = 0
        for w in weights:
            order = w.abs().flatten().argsort()
            thinned = w.flatten().clone()
            thinned[order[: round(level * w.numel())]] = 0
            bitmask, values = pack(thinned.view(w.shape))
            total += bitmask.numel() + 4 * values.numel()
        mine.append(total / everything)
    exact = all(torch.equal(unpack(*pack(w), tuple(w.shape)), w) for w in cut)
    figure, (ax,) = figures.panels(height=3.6)
    line = torch.linspace(0, 0.9, 50)
    ax.plot(line, torch.ones(50), color=plots.HERE, linestyle=":", label="dense")
    ax.plot(line, 2 * (1 - line), color=plots.GOES, linestyle="--", label="CSR, 32-bit columns")
    ax.plot(line, 1 / 32 + (1 - line), color=plots.REFERENCE, label="bitmask and values")
    ax.plot(levels, mine, "o", color=plots.STAYS, label="your pack()")
    ax.set(xlabel="weights pruned", ylabel="bytes, 1 = dense", ylim=(0, 2.05))
    plots.title(ax, "CSR saves from 50 % on, a bitmask from 3 %")
    plots.percent(ax.xaxis)
    plots.name_ends(ax)
    figures.show(figure, f"Bytes against weights pruned, 1 = dense. {figures.told(levels, {'yours': mine}, digits=2)}")
    figures.say(
        f"Every matrix of the pruned model comes back exactly: {exact}. "
        f"At 50 % your format is {1 / mine[2]:.2f}x smaller than dense; the formula says 1.88x."
    )
