# %% [markdown] minutes=8
# ### Exercise 2.3 b · `train_step_with_masks` (going deeper)
# *★★☆ · <<minutes 2.3 b>> minutes*
#
# Now train while weights are gone. An optimiser knows nothing of masks. It moves *every* weight: by today's gradient, and by
# the **momentum** of earlier ones. So a pruned weight comes back to life at the next step, even if its gradient were zero.
# The cure is one line: let the optimiser take its step, then put the zeros back,
#
# $$w \leftarrow m \odot \text{step}(w), \qquad m \text{ the keep-mask.}$$
#
# Half of this 2×4 weight is pruned, and today's gradient is zero everywhere. Look at what momentum alone does to it:

# %% jupyter={"source_hidden": true}
# Picture: an optimiser's step wakes what was pruned
before = torch.tensor([[0.9, 0.0, -0.6, 0.0], [0.0, 0.5, 0.0, -1.1]])
weight = torch.nn.Parameter(before.clone())
weight.grad = torch.zeros_like(weight)
optimizer = torch.optim.SGD([weight], lr=0.2, momentum=0.5)
optimizer.state[weight]["momentum_buffer"] = torch.tensor([[1.0, -2.0, 0.5, 3.0], [-1.0, 2.0, 4.0, 1.0]])
optimizer.step()
moved = weight.detach()
alive = (before == 0) & (moved != 0)

figures.matrices(
    ("before: four of eight are pruned", before, before != 0),
    ("after the optimiser's step: all alive", moved, None),
    ("what a step with masks leaves", torch.where(alive, 0.0, moved), ~alive),
)

# %% [markdown]
# <details><summary>Hint 1: an ordinary step</summary>
#
# An ordinary step of training comes first, in four lines: forget the old gradients, compute the loss, go backward, let
# the optimiser step. The masks have their say after that, and only then.
# </details>
# <details><summary>Hint 2: putting the zeros back</summary>
#
# `for name, parameter in model.named_parameters()` goes through all of them; `masks` may hold a mask for `name`. Writing
# zeros is not training: do it inside `with torch.no_grad():`, into the parameter itself (`parameter[~mask] = 0.0`).
# `loss.item()` is the loss as a number.
# </details>
#
# <b class="gpt2-yours">✎ Write it here</b>


# %% exercise="train_step_with_masks"
def train_step_with_masks(
    model: torch.nn.Module, masks: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer, loss_fn
) -> float:
    """One step of training, after which every pruned weight is exactly 0, whatever the optimiser did.

    model:     any module; masks: {parameter name: bool tensor, True = keep} for some or all of its parameters
    optimizer: of the model's parameters, with momentum and weight decay as it likes
    loss_fn:   loss_fn(model) is the loss to go down, a scalar tensor
    returns:   the loss before the step, as a number
    """
    ### BEGIN SOLUTION
    optimizer.zero_grad()
    loss = loss_fn(model)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in masks:
                parameter[~masks[name]] = 0.0
    return loss.item()
    ### END SOLUTION


# %% [markdown]
# **☑ Check it.**

# %% tests="step_zeros" points=2
check.step_zeros(train_step_with_masks)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    inputs, targets = torch.randn(8, 4, generator=draw.generator), torch.randn(8, 3, generator=draw.generator)
    kinds = {
        "SGD with momentum and weight decay": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.1),
        "AdamW with weight decay": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.1),
        "RMSprop with momentum": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9),
    }
    for kind, make in kinds.items():
        net = torch.nn.Sequential(torch.nn.Linear(4, 6, bias=False), torch.nn.Tanh(), torch.nn.Linear(6, 3, bias=False))
        optimizer = make(net.parameters())
        for _ in range(3):  # training before anything is pruned
            optimizer.zero_grad()
            ((net(inputs) - targets) ** 2).mean().backward()
            optimizer.step()
        masks = {}
        for cut in (0.3, 0.6, 1.0):  # more and more goes; at last all of the second layer
            masks["0.weight"] = torch.rand(6, 4, generator=draw.generator) >= min(cut, 0.7)
            masks["0.weight"][0] = True
            masks["2.weight"] = torch.rand(3, 6, generator=draw.generator) >= cut
            before, keep = dict(net.named_parameters()), {name: mask.clone() for name, mask in masks.items()}
            for step in (1, 2):
                train_step_with_masks(net, masks, optimizer, check.SquaredError(inputs, targets))
                for name, parameter in check.parameters_after(net, before).items():
                    for kept, value in zip(keep[name].flatten().tolist(), parameter.flatten().tolist(), strict=True):
                        assert kept or value == 0.0, (
                            f"{kind}, {name}, step {step} with new masks: a pruned weight is {value:.3g}; exactly 0 was "
                            f"expected. It must hold for any optimiser, and for weights that were not zero before."
                        )
### END HIDDEN TESTS

# %% tests="step_learns" points=2
check.step_learns(train_step_with_masks)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    rows, columns, samples = 3, 5, 4
    w = [[draw.random.uniform(-1, 1) for _ in range(columns)] for _ in range(rows)]
    b = [draw.random.uniform(-1, 1) for _ in range(rows)]
    x = [[draw.random.uniform(-2, 2) for _ in range(columns)] for _ in range(samples)]
    y = [[draw.random.uniform(-2, 2) for _ in range(rows)] for _ in range(samples)]
    kept = [[draw.random.random() < 0.6 for _ in range(columns)] for _ in range(rows)]
    for row in range(rows):
        for column in range(columns):
            w[row][column] *= kept[row][column]
    layer = torch.nn.Linear(columns, rows, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(w, dtype=torch.float64))
        layer.bias.copy_(torch.tensor(b, dtype=torch.float64))
    inputs, targets = torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    pace_w, pace_b = [[0.0] * columns for _ in range(rows)], [0.0] * rows  # the optimiser's momentum, kept by hand
    for step in (1, 2, 3, 4):
        loss, slope_w, slope_b = 0.0, [[0.0] * columns for _ in range(rows)], [0.0] * rows
        for sample in range(samples):
            for row in range(rows):
                error = b[row] - y[sample][row]
                for column in range(columns):
                    error += w[row][column] * x[sample][column]
                loss += error * error / (samples * rows)
                slope_b[row] += 2 * error / (samples * rows)
                for column in range(columns):
                    slope_w[row][column] += 2 * error * x[sample][column] / (samples * rows)
        for row in range(rows):
            pace_b[row] = 0.9 * pace_b[row] + slope_b[row] + 0.01 * b[row]
            b[row] -= 0.05 * pace_b[row]
            for column in range(columns):
                pace_w[row][column] = 0.9 * pace_w[row][column] + slope_w[row][column] + 0.01 * w[row][column]
                w[row][column] = kept[row][column] * (w[row][column] - 0.05 * pace_w[row][column])
        mask = torch.tensor(kept)
        awake = bool((layer.weight[~mask] != 0).any())  # since the step before
        idea = "Does the optimiser itself take the step, on this step's gradient alone?"
        if awake:
            idea = "Pruned weights came back to life in the step before, and have a part in the loss: are the masks applied last?"
        value = train_step_with_masks(layer, {"weight": mask}, optimizer, check.SquaredError(inputs, targets))
        for row in range(rows):
            places = [("bias, which no mask names,", layer.bias[row].item(), b[row])]
            for column in range(columns):
                if kept[row][column]:
                    places.append(("kept weight", layer.weight[row, column].item(), w[row][column]))
            for what, got, wanted in places:
                assert abs(got - wanted) < 1e-7, (
                    f"SGD with momentum 0.9 and weight decay 0.01, step {step}: a {what} should be {wanted:.6f}; it is "
                    f"{got:.6f}. {idea}"
                )
        got = check.number_from(value, "train_step_with_masks")
        assert abs(got - loss) < 1e-5, (
            f"Step {step}: the loss before the step was {loss:.6f}; {got:.6f} came back.{awake * f' {idea}'}"
        )
### END HIDDEN TESTS

# %% tests="step_care" points=1
check.step_care(train_step_with_masks)
### BEGIN HIDDEN TESTS
with check.hidden() as draw:
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 2))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(1 + torch.rand(parameter.shape, generator=draw.generator))
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.001)

    first = check.FirstOutputs(torch.ones(1, 2))
    wanted = first(net).item()
    value = train_step_with_masks(net, {}, optimizer, first)  # no masks at all: an ordinary step
    got = check.number_from(value, "train_step_with_masks")
    assert abs(got - wanted) < 0.1 * wanted, (  # step_learns looks at the last digits
        f"Without any masks: the loss before the step was {wanted:.4f}; {got:.4f} came back."
    )
    train_step_with_masks(net, {"1.bias": torch.tensor([False, True])}, optimizer, first)
    assert [value == 0 for value in net[1].bias.tolist()] == [True, False], (
        "A mask may name any parameter, also a bias, and also one that the loss does not use (its gradient is None): "
        f"1.bias with the mask [False, True] is {net[1].bias.tolist()} after the step."
    )
### END HIDDEN TESTS


# %% [markdown]
# **On the real model.** Your two functions train gpt2-mini while it is pruned to 80 %: 32 small steps, each on two pages from the
# plays it was trained on. Your schedule decides how much is gone, your step keeps it gone. Beside it, for a fair race, a
# copy that loses its 80 % at once and then trains for just as many steps, on the same pages.

# %% jupyter={"source_hidden": true}
# On the real model: pruned while it trains, in your steps
from tqdm.auto import tqdm

from gpt2_lib.corpus import calibration_windows
from gpt2_lib.pruning.pruner import prunable_weights
from gpt2_lib.pruning.schedules import cubic_sparsity as library_cubic
from gpt2_lib.pruning.selection import layer_masks

STEPS, CUTTING, FINAL = 32, 12, 0.8  # all steps, those in which weights go, and where it ends


def prune(m, sparsity):
    """Cut every attention and feed-forward weight of ``m`` to ``sparsity``; returns the masks."""
    weights = prunable_weights(m)
    masks = layer_masks(weights, sparsity)
    with torch.no_grad():
        for name, keep in masks.items():
            weights[name].mul_(keep)
    return masks


def train_pruned(schedule):
    """Prune a copy of the model along ``schedule`` (step -> sparsity) while it trains."""
    copy, losses, sparsities = deepcopy(model), [], []
    optimizer = torch.optim.AdamW(copy.parameters(), lr=1e-3)
    for step in tqdm(range(STEPS), desc="training"):
        sparsities.append(schedule(step))
        masks = prune(copy, sparsities[-1])
        batch = pages[2 * step : 2 * step + 2]  # (2, 256)
        optimizer.param_groups[0]["lr"] = 1e-3 * (1 - step / STEPS)

        def loss_fn(m, batch=batch):
            return torch.nn.functional.cross_entropy(m(batch)[:, :-1].flatten(0, 1), batch[:, 1:].flatten())

        losses.append(float(train_step_with_masks(copy, masks, optimizer, loss_fn)))
    return copy, losses, sparsities


with when_written("exercise 2.3"):
    pages = calibration_windows(tokenizer, model.config.n_positions, 2 * STEPS)  # (64, 256)
    one_shot = deepcopy(model)
    prune(one_shot, FINAL)
    runs = {
        "gradual": (lambda step: cubic_sparsity(step, 0, CUTTING, 0.0, FINAL), plots.STAYS, "-"),
        "all at once": (lambda step: FINAL, plots.GOES, "--"),
    }
    trained = {label: train_pruned(schedule) for label, (schedule, _, _) in runs.items()}
    quality = {label: evaluate(copy, windows).perplexity for label, (copy, _, _) in trained.items()}
    figure, axes = figures.panels(2, height=3.6)
    curve = [library_cubic(step, 0, CUTTING, 0.0, FINAL) for step in range(STEPS)]
    axes[0].plot(curve, color=plots.REFERENCE, linewidth=7, alpha=0.4, label="library")
    for label, (_, colour, line) in runs.items():
        _, losses, sparsities = trained[label]
        axes[0].plot(sparsities, color=colour, linestyle=line, label=label)
        axes[1].plot([math.exp(loss) for loss in losses], color=colour, linestyle=line, label=label)
    plots.title(axes[0], "How much is gone")
    plots.title(axes[1], "On the pages of each training step")
    plots.percent(axes[0].yaxis)
    plots.perplexity_axis(axes[1])
    for ax in axes:
        ax.set_xlabel("training step")
        plots.name_ends(ax)
    ends = ", ".join(
        f"{label} from {math.exp(t[1][0]):.0f} to {math.exp(t[1][-1]):.0f}" for label, t in trained.items()
    )
    figures.show(figure, f"Sparsity and perplexity of each training step's pages. Perplexity: {ends}")
    figures.say(
        f"| 80 % of the weights gone | perplexity on all twelve pages (dense: {dense.perplexity:.1f}) |\n|-|-:|\n"
        f"| one shot, no training | {evaluate(one_shot, windows).perplexity:.1f} |\n"
        f"| all at once, then {STEPS} steps | {quality['all at once']:.1f} |\n"
        f"| gradual, within the same {STEPS} steps | {quality['gradual']:.1f} |"
    )

# %% [markdown]
# Both copies lost the same number of weights, and a few seconds of training brought much of the quality back. In so short a
# race gradual is no better than all at once (the last two rows of the table): while the one is
# still losing weights, the other is already healing. Gradual pruning is made for longer runs, in which the healing between
# two cuts can finish: Zhu & Gupta spread theirs over many thousands of steps. Then a schedule costs nothing extra, since the
# model is trained anyway. What a longer run makes of gpt2-mini is measured in
# [docs/benchmarks.md](../../docs/benchmarks.md#gradual-pruning).
