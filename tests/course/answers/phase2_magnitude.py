"""Wrong and right answers to Phase 2's exercises `magnitude_mask` and `magnitude_prune`.

WRONG: exercise -> name -> (the checks that must fail, all others must pass; the answer).
RIGHT: exercise -> name -> answer.
"""

from __future__ import annotations

MASK = {"mask_count", "mask_choice", "mask_ties", "mask_care", "mask_errors"}
PRUNE = {"prune_where", "prune_each", "prune_writes"}

# What an answer to magnitude_prune may stand on, so that it doesn't depend on the same student's magnitude_mask.
LOWEST = """
def lowest(weight, sparsity):
    keep = torch.ones(weight.numel(), dtype=torch.bool)
    keep[weight.detach().abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return keep.view(weight.shape)

"""

WRONG: dict[str, dict[str, tuple[set[str], str]]] = {
    "magnitude_mask": {
        "NumPy's sort as it comes, which is not stable": (
            {"mask_ties"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    keep = torch.ones(weight.numel(), dtype=torch.bool)
    order = weight.detach().abs().double().flatten().numpy().argsort()
    keep[torch.from_numpy(order)[: round(sparsity * weight.numel())]] = False
    return keep.view(weight.shape)
""",
        ),
        "signed instead of absolute": (
            {"mask_choice", "mask_ties"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "inverted: True is what goes": (
            {"mask_count", "mask_choice", "mask_ties", "mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.zeros(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = True
    return mask.view(weight.shape)
""",
        ),
        "the largest go": (
            {"mask_choice", "mask_ties", "mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    order = weight.abs().flatten().argsort(descending=True, stable=True)
    mask[order[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "one too many: the first that may stay is the threshold": (
            {"mask_count", "mask_ties", "mask_care", "mask_errors"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    sizes = weight.abs().flatten().sort().values
    return weight.abs() > sizes[min(int(sparsity * len(sizes)), len(sizes) - 1)]
""",
        ),
        "a threshold: all ties go": (
            {"mask_ties"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    k = round(sparsity * weight.numel())
    if k == 0:
        return torch.ones_like(weight, dtype=torch.bool)
    return weight.abs() > weight.abs().flatten().sort().values[k - 1]
""",
        ),
        "a threshold: all ties stay": (
            {"mask_ties"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    k = round(sparsity * weight.numel())
    if k == weight.numel():
        return torch.zeros_like(weight, dtype=torch.bool)
    return weight.abs() >= weight.abs().flatten().sort().values[k]
""",
        ),
        "among equals the later goes first": (
            {"mask_ties"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    n = weight.numel()
    order = weight.abs().flatten().argsort(descending=True, stable=True)
    mask = torch.zeros(n, dtype=torch.bool)
    mask[order[: n - round(sparsity * n)]] = True
    return mask.view(weight.shape)
""",
        ),
        "topk, which takes ties in any order": (
            {"mask_ties"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().topk(round(sparsity * weight.numel()), largest=False).indices] = False
    return mask.view(weight.shape)
""",
        ),
        "ties by value: of -0.5 and 0.5 the negative goes first": (
            {"mask_ties"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    ranked = sorted((abs(value), value, i) for i, value in enumerate(weight.flatten().tolist()))
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    for _, _, i in ranked[: round(sparsity * weight.numel())]:
        mask[i] = False
    return mask.view(weight.shape)
""",
        ),
        "looks up values: an equal one found first goes twice": (
            {"mask_ties"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    sizes = weight.abs().flatten().tolist()
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    for value in sorted(sizes)[: round(sparsity * len(sizes))]:
        mask[sizes.index(value)] = False
    return mask.view(weight.shape)
""",
        ),
        "zeros don't count as smallest": (
            {"mask_ties"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    sizes = weight.abs().flatten()
    sizes = torch.where(sizes == 0, float("inf"), sizes)
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[sizes.argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "rounds down": (
            {"mask_count"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: int(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "rounds up": (
            {"mask_count"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: math.ceil(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "rounds a half up, as at school": (
            {"mask_count"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: int(sparsity * weight.numel() + 0.5)]] = False
    return mask.view(weight.shape)
""",
        ),
        "keeps at least one": (
            {"mask_count"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    n = weight.numel()
    mask = torch.ones(n, dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: min(round(sparsity * n), n - 1)]] = False
    return mask.view(weight.shape)
""",
        ),
        "sparsity 0 crashes": (
            {"mask_count", "mask_ties", "mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    threshold = weight.abs().flatten().kthvalue(round(sparsity * weight.numel())).values
    return weight.abs() > threshold
""",
        ),
        "sparsity 1 crashes": (
            {"mask_count", "mask_ties", "mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    sizes = weight.abs().flatten().sort().values
    return weight.abs() >= sizes[round(sparsity * len(sizes))]
""",
        ),
        "a negative slice: sparsity 0 keeps nothing": (
            {"mask_count"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    n = weight.numel()
    kept = n - round(sparsity * n)
    order = weight.abs().flatten().argsort(stable=True)
    mask = torch.zeros(n, dtype=torch.bool)
    mask[order[-kept:]] = True
    return mask.view(weight.shape) & (kept < n)
""",
        ),
        "a quantile, which interpolates": (
            {"mask_count", "mask_ties", "mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    return weight.abs() > torch.quantile(weight.abs(), sparsity)
""",
        ),
        "sparsity as a fraction of the largest weight": (
            {"mask_count", "mask_ties", "mask_care", "mask_errors"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    return weight.abs() > sparsity * weight.abs().max()
""",
        ),
        "each row on its own": (
            {"mask_count", "mask_choice", "mask_ties", "mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    order = weight.abs().argsort(dim=-1, stable=True)
    mask = torch.ones(weight.shape, dtype=torch.bool)
    return mask.scatter(-1, order[..., : round(sparsity * weight.shape[-1])], False)
""",
        ),
        "the positions themselves, read as ranks": (
            {"mask_choice", "mask_ties", "mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    order = weight.abs().flatten().argsort(stable=True)
    return (order >= round(sparsity * weight.numel())).view(weight.shape)
""",
        ),
        "the mask in order of size, not of place": (
            {"mask_choice", "mask_ties", "mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    n = weight.numel()
    return (torch.arange(n) >= round(sparsity * n)).view(weight.shape)
""",
        ),
        "by lot": (
            {"mask_choice", "mask_ties", "mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    order = torch.randperm(weight.numel(), generator=torch.Generator().manual_seed(0))
    mask[order[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "a mask of 0.0 and 1.0": (
            {"mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.ones(weight.numel())
    mask[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = 0.0
    return mask.view(weight.shape)
""",
        ),
        "a flat mask": (
            {"mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask
""",
        ),
        "a NumPy mask": (
            {"mask_care"},
            """
import numpy as np

def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    sizes = weight.abs().float().numpy()
    mask = np.ones(sizes.size, dtype=bool)
    mask[np.argsort(sizes, axis=None, kind="stable")[: round(sparsity * sizes.size)]] = False
    return mask.reshape(sizes.shape)
""",
        ),
        "changes the weight it is given": (
            {"mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    order = weight.abs_().flatten().argsort(stable=True)
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[order[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "prunes the weight right away": (
            {"mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    mask = mask.view(weight.shape)
    weight[~mask] = 0
    return mask
""",
        ),
        "needs a tensor that lies in one piece": (
            {"mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.view(-1).abs().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "a mask in the memory's order": (
            {"mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.ones_like(weight, dtype=torch.bool)
    order = weight.abs().flatten().argsort(stable=True)
    torch.as_strided(mask, (mask.numel(),), (1,))[order[: round(sparsity * weight.numel())]] = False
    return mask
""",
        ),
        "ranks in half precision": (
            {"mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.detach().half().abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "fails on bfloat16": (
            {"mask_care"},
            """
import numpy as np

def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    sizes = np.abs(weight.detach().numpy())
    mask = np.ones(sizes.size, dtype=bool)
    mask[np.argsort(sizes, axis=None, kind="stable")[: round(sparsity * sizes.size)]] = False
    return torch.from_numpy(mask).reshape(weight.shape)
""",
        ),
        "matrices only": (
            {"mask_count", "mask_choice", "mask_ties", "mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    rows, columns = weight.shape
    places = sorted((abs(float(weight[r, c])), r, c) for r in range(rows) for c in range(columns))
    mask = torch.ones(rows, columns, dtype=torch.bool)
    for _, r, c in places[: round(sparsity * rows * columns)]:
        mask[r, c] = False
    return mask
""",
        ),
        "any sparsity is taken": (
            {"mask_errors"},
            """
def magnitude_mask(weight, sparsity):
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "clamps silently": (
            {"mask_errors"},
            """
def magnitude_mask(weight, sparsity):
    sparsity = max(0.0, min(1.0, sparsity))
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "takes per cent too": (
            {"mask_errors"},
            """
def magnitude_mask(weight, sparsity):
    if sparsity >= 2:
        sparsity = sparsity / 100
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "an assert instead of a ValueError": (
            {"mask_errors"},
            """
def magnitude_mask(weight, sparsity):
    assert 0 <= sparsity <= 1
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "prints the error": (
            {"mask_errors"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        print("ValueError: sparsity must lie in [0, 1]")
        return None
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "NaN slips through": (
            {"mask_errors"},
            """
def magnitude_mask(weight, sparsity):
    if sparsity < 0 or sparsity > 1:
        raise ValueError("sparsity")
    k = int(torch.tensor(sparsity * weight.numel(), dtype=torch.float64).round().nan_to_num())
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[:k]] = False
    return mask.view(weight.shape)
""",
        ),
        "refuses 0 and 1": (
            {"mask_count", "mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 < sparsity < 1:
        raise ValueError("sparsity")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "always a ValueError": (
            MASK,
            """
def magnitude_mask(weight, sparsity):
    raise ValueError("sparsity")
""",
        ),
        "the pruned weight instead of the mask": (
            {"mask_ties", "mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    pruned = weight.clone().flatten()
    pruned[pruned.abs().argsort(stable=True)[: round(sparsity * weight.numel())]] = 0
    return pruned.view(weight.shape)
""",
        ),
        "returns nothing": (
            MASK,
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
""",
        ),
        "a word": (
            MASK,
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    return "mask"
""",
        ),
        "counts the entries of a matrix: rows times columns": (
            {"mask_count", "mask_choice", "mask_ties", "mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    k = round(sparsity * weight.shape[0] * weight.shape[-1])
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[:k]] = False
    return mask.view(weight.shape)
""",
        ),
        "the mask is always a matrix": (
            {"mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.size(0), -1)
""",
        ),
        "loses dimensions of size 1": (
            {"mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.squeeze().shape)
""",
        ),
        "squares, which are zero in half precision": (
            {"mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[(weight * weight).flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "in units of the largest, which makes zeros in half precision": (
            {"mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    sizes = (weight / weight.abs().max()).abs().flatten()
    mask[sizes.argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "sorts a weight that does not lie in one piece": (
            {"mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    if not weight.is_contiguous():
        weight.copy_(weight.flatten().sort().values.view(weight.shape))
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "writes into mask.flatten(), sometimes a copy": (
            {"mask_care"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    mask = torch.ones_like(weight, dtype=torch.bool)
    mask.flatten()[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask
""",
        ),
        "judges the sparsity by its count": (
            {"mask_errors"},
            """
def magnitude_mask(weight, sparsity):
    k = round(sparsity * weight.numel())
    if not 0 <= k <= weight.numel():
        raise ValueError("that many are not there")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[:k]] = False
    return mask.view(weight.shape)
""",
        ),
        "positions of what stays instead of a mask": (
            MASK,
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    return weight.abs().flatten().argsort(stable=True)[round(sparsity * weight.numel()) :]
""",
        ),
        "a mask that keeps everything": (
            MASK,
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    return torch.ones_like(weight, dtype=torch.bool)
""",
        ),
        "right for the weights that can be seen only": (
            MASK,
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    if weight.numel() in (6, 8, 10):
        mask[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "a threshold, and signed": (
            {"mask_count", "mask_choice", "mask_ties", "mask_care", "mask_errors"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(sparsity)
    k = round(sparsity * weight.numel())
    threshold = weight.flatten().sort().values[k]
    return weight > threshold
""",
        ),
        "returns the error": (
            {"mask_errors"},
            """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        return ValueError(f"{sparsity} is no fraction")
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return mask.view(weight.shape)
""",
        ),
        "an index beyond the end for an error": (
            {"mask_errors"},
            """
def magnitude_mask(weight, sparsity):
    order = weight.abs().flatten().argsort(stable=True)
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    for place in range(round(sparsity * weight.numel())):
        mask[order[place]] = False
    return mask.view(weight.shape)
""",
        ),
    },
    "magnitude_prune": {
        "ranks in half precision": (
            {"prune_each"},
            LOWEST.replace("weight.detach()", "weight.detach().half()")
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith(".weight"):
                masks[name] = lowest(p, sparsity)
                p *= masks[name]
    return masks
""",
        ),
        "biases too": (
            {"prune_where"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if ".attn." in name or ".mlp." in name:
                masks[name] = lowest(p, sparsity)
                p *= masks[name]
    return masks
""",
        ),
        "biases too, but not in the masks": (
            {"prune_where"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if ".attn." in name or ".mlp." in name:
                mask = lowest(p, sparsity)
                p *= mask
                if name.endswith("weight"):
                    masks[name] = mask
    return masks
""",
        ),
        "embeddings too": (
            {"prune_where"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 2:
                masks[name] = lowest(p, sparsity)
                p *= masks[name]
    return masks
""",
        ),
        "LayerNorm too": (
            {"prune_where"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.startswith("h.") and name.endswith("weight"):
                masks[name] = lowest(p, sparsity)
                p *= masks[name]
    return masks
""",
        ),
        "attention only": (
            {"prune_where", "prune_each", "prune_writes"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if ".attn." in name and name.endswith("weight"):
                masks[name] = lowest(p, sparsity)
                p *= masks[name]
    return masks
""",
        ),
        "without the projections out of each part": (
            {"prune_where", "prune_each", "prune_writes"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(("c_attn.weight", "c_fc.weight")):
                masks[name] = lowest(p, sparsity)
                p *= masks[name]
    return masks
""",
        ),
        "first and last block only": (
            {"prune_where"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for i in sorted({0, len(model.h) - 1}):
            for name, p in model.h[i].named_parameters():
                if "c_" in name and name.endswith("weight"):
                    masks[f"h.{i}.{name}"] = lowest(p, sparsity)
                    p *= masks[f"h.{i}.{name}"]
    return masks
""",
        ),
        "block numbers of one digit": (
            {"prune_where"},
            LOWEST
            + """
import re

def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if re.fullmatch(r"h\\.\\d\\.(attn|mlp)\\.\\w+\\.weight", name):
                masks[name] = lowest(p, sparsity)
                p *= masks[name]
    return masks
""",
        ),
        "gpt2-mini's four blocks, whatever the model": (
            PRUNE,
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for i in range(4):
            for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"):
                name = f"h.{i}.{part}.weight"
                masks[name] = lowest(parameters[name], sparsity)
                parameters[name] *= masks[name]
    return masks
""",
        ),
        "names without .weight": (
            {"prune_where", "prune_writes"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.Linear):
                masks[name] = lowest(module.weight, sparsity)
                module.weight *= masks[name]
    return masks
""",
        ),
        "a list of masks": (
            {"prune_where", "prune_writes"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = []
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                masks.append(lowest(module.weight, sparsity))
                module.weight *= masks[-1]
    return masks
""",
        ),
        "all weights ranked together": (
            {"prune_each"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    weights = {f"{n}.weight": m.weight for n, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    flat = lowest(torch.cat([w.flatten() for w in weights.values()]), sparsity)
    parts = flat.split([w.numel() for w in weights.values()])
    masks = {n: part.view(w.shape) for (n, w), part in zip(weights.items(), parts)}
    with torch.no_grad():
        for name, w in weights.items():
            w *= masks[name]
    return masks
""",
        ),
        "the first weight's threshold for all": (
            {"prune_each"},
            """
def magnitude_prune(model, sparsity):
    masks, threshold = {}, None
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
                if threshold is None:
                    threshold = p.abs().quantile(sparsity)
                masks[name] = p.abs() > threshold
                p *= masks[name]
    return masks
""",
        ),
        "row by row": (
            {"prune_each"},
            """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
                order = p.abs().argsort(dim=1, stable=True)[:, : round(sparsity * p.shape[1])]
                masks[name] = torch.ones(p.shape, dtype=torch.bool).scatter(1, order, False)
                p *= masks[name]
    return masks
""",
        ),
        "signed": (
            {"prune_each"},
            """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
                mask = torch.ones(p.numel(), dtype=torch.bool)
                mask[p.flatten().argsort()[: round(sparsity * p.numel())]] = False
                masks[name] = mask.view(p.shape)
                p *= masks[name]
    return masks
""",
        ),
        "half, whatever the sparsity": (
            {"prune_each"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
                masks[name] = lowest(p, 0.5)
                p *= masks[name]
    return masks
""",
        ),
        "never writes the zeros": (
            {"prune_where", "prune_each", "prune_writes"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    return {
        name: lowest(p, sparsity)
        for name, p in model.named_parameters()
        if (".attn." in name or ".mlp." in name) and name.endswith("weight")
    }
""",
        ),
        "a new tensor that the model never hears of": (
            {"prune_where", "prune_each", "prune_writes"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    for name, p in model.named_parameters():
        if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
            masks[name] = lowest(p, sparsity)
            p = p * masks[name]
    return masks
""",
        ),
        "prunes a copy": (
            {"prune_where", "prune_each", "prune_writes"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    model, masks = deepcopy(model), {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
                masks[name] = lowest(p, sparsity)
                p *= masks[name]
    return masks
""",
        ),
        "new parameters in place of the old": (
            {"prune_writes"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            mask = masks[f"{name}.weight"] = lowest(module.weight, sparsity)
            module.weight = torch.nn.Parameter(module.weight.detach() * mask)
    return masks
""",
        ),
        "writes what goes and cuts what stays": (
            {"prune_each", "prune_writes"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
                masks[name] = lowest(p, sparsity)
                p[masks[name]] = 0
    return masks
""",
        ),
        "masks of what goes": (
            {"prune_writes"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
                keep = lowest(p, sparsity)
                p *= keep
                masks[name] = ~keep
    return masks
""",
        ),
        "masks of what has changed: what was zero already stays": (
            {"prune_writes"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
                before = p.clone()
                p *= lowest(p, sparsity)
                masks[name] = p == before
    return masks
""",
        ),
        "everything goes, whatever the sparsity": (
            PRUNE,
            """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
                masks[name] = torch.zeros_like(p, dtype=torch.bool)
                p *= masks[name]
    return masks
""",
        ),
        "masks of 0.0 and 1.0": (
            {"prune_writes"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
                masks[name] = lowest(p, sparsity).float()
                p *= masks[name]
    return masks
""",
        ),
        "frozen afterwards": (
            {"prune_writes"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    for name, p in model.named_parameters():
        if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
            p.requires_grad_(False)
            masks[name] = lowest(p, sparsity)
            p *= masks[name]
    return masks
""",
        ),
        "what stays becomes its absolute value": (
            {"prune_writes"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
                masks[name] = lowest(p.abs_(), sparsity)
                p *= masks[name]
    return masks
""",
        ),
        "forgets no_grad": (
            PRUNE,
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {}
    for name, p in model.named_parameters():
        if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
            masks[name] = lowest(p, sparsity)
            p *= masks[name]
    return masks
""",
        ),
        "returns nothing": (
            {"prune_where", "prune_writes"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
                p *= lowest(p, sparsity)
""",
        ),
        "returns the model": (
            {"prune_where", "prune_writes"},
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
                p *= lowest(p, sparsity)
    return model
""",
        ),
        "freezes what it does not prune": (
            {"prune_writes"},
            """
def magnitude_prune(model, sparsity):
    masks = {}
    for name, p in model.named_parameters():
        p.requires_grad = False
        if (".attn." in name or ".mlp." in name) and name.endswith(".weight"):
            keep = torch.ones(p.numel(), dtype=torch.bool)
            keep[p.abs().flatten().argsort(stable=True)[: round(sparsity * p.numel())]] = False
            masks[name] = keep.view(p.shape)
            p *= masks[name]
            p.requires_grad = True
    return masks
""",
        ),
        "masks for all, but zeros only where attention is": (
            {"prune_where", "prune_each", "prune_writes"},
            """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith(".weight"):
                masks[name] = magnitude_mask(p, sparsity)
                if ".attn." in name or "c_proj" in name:
                    p *= masks[name]
    return masks
""",
        ),
        "names all weights and prunes none": (
            PRUNE,
            """
def magnitude_prune(model, sparsity):
    return {
        name: torch.ones_like(p, dtype=torch.bool)
        for name, p in model.named_parameters()
        if (".attn." in name or ".mlp." in name) and name.endswith("weight")
    }
""",
        ),
        "deletes the model's parameters": (
            PRUNE,
            LOWEST
            + """
def magnitude_prune(model, sparsity):
    masks = {
        name: lowest(p, sparsity)
        for name, p in model.named_parameters()
        if (".attn." in name or ".mlp." in name) and name.endswith("weight")
    }
    for module in model.modules():
        for name in list(module._parameters):
            del module._parameters[name]
    return masks
""",
        ),
        "the whole model becomes zero": (
            PRUNE,
            """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.zero_()
            if (".attn." in name or ".mlp." in name) and name.endswith("weight"):
                masks[name] = torch.zeros_like(p, dtype=torch.bool)
    return masks
""",
        ),
        "returns after the first parameter": (
            {"prune_where", "prune_each", "prune_writes"},
            """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith(".weight"):
                masks[name] = magnitude_mask(p, sparsity)
                p *= masks[name]
            return masks
""",
        ),
        "returns after the first weight": (
            {"prune_where", "prune_each", "prune_writes"},
            """
def magnitude_prune(model, sparsity):
    masks = {}
    with torch.no_grad():
        for name, p in model.named_parameters():
            if (".attn." in name or ".mlp." in name) and name.endswith(".weight"):
                masks[name] = magnitude_mask(p, sparsity)
                p *= masks[name]
                return masks
""",
        ),
    },
}

RIGHT: dict[str, dict[str, str]] = {
    "magnitude_mask": {
        "NumPy": """
import numpy as np

def magnitude_mask(weight, sparsity):
    if np.isnan(sparsity) or sparsity < 0 or sparsity > 1:
        raise ValueError("sparsity must lie in [0, 1]")
    sizes = np.abs(weight.detach().float().numpy()).ravel()
    keep = np.full(sizes.shape, True)
    keep[np.argsort(sizes, kind="stable")[: round(sparsity * sizes.size)]] = False
    return torch.from_numpy(keep).reshape(tuple(weight.shape))
""",
        "everything of NumPy, by star import": """
from numpy import *

def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity must lie in [0, 1]")
    sizes = absolute(weight.detach().float().numpy()).ravel()
    keep = ones(sizes.size, dtype=bool)
    keep[argsort(sizes, kind="stable")[: int(round(sparsity * sizes.size))]] = False
    return torch.from_numpy(keep).reshape(weight.shape)
""",
        "plain loops, the smallest one at a time": """
def magnitude_mask(weight, sparsity):
    if not (sparsity >= 0 and sparsity <= 1):
        raise ValueError("sparsity must lie in [0, 1]")
    sizes = [abs(value) for value in weight.flatten().tolist()]
    keep = [True] * len(sizes)
    for _ in range(round(sparsity * len(sizes))):
        left = [i for i in range(len(sizes)) if keep[i]]
        keep[min(left, key=lambda i: sizes[i])] = False
    return torch.tensor(keep).reshape(weight.shape)
""",
        "Python's sort": """
def magnitude_mask(weight, sparsity):
    if sparsity != sparsity or not 0 <= sparsity <= 1:
        raise ValueError(sparsity)
    values = weight.reshape(-1).tolist()
    gone = set(sorted(range(len(values)), key=lambda i: abs(values[i]))[: round(sparsity * len(values))])
    return torch.tensor([i not in gone for i in range(len(values))]).reshape(weight.shape)
""",
        "a threshold, and ties counted": """
def magnitude_mask(weight, sparsity):
    if not 0.0 <= sparsity <= 1.0:
        raise ValueError(sparsity)
    k = round(sparsity * weight.numel())
    if k == 0:
        return torch.ones_like(weight, dtype=torch.bool)
    sizes = weight.abs().reshape(-1)
    threshold = sizes.kthvalue(k).values
    below = sizes < threshold
    ties = sizes == threshold
    first = ties & (ties.cumsum(0) <= k - below.sum())
    return ~(below | first).reshape(weight.shape)
""",
        "in place, on a clone": """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(sparsity)
    copy = weight.detach().clone().abs_().reshape(-1)
    gone = copy.sort(stable=True).indices[: round(sparsity * copy.numel())]
    copy.fill_(1)[gone] = 0
    return (copy == 1).reshape(weight.shape)
""",
        "squares in double precision": """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(sparsity)
    squares = weight.double().pow(2).flatten()
    rank = squares.argsort(stable=True).argsort()
    return (rank >= round(sparsity * squares.numel())).unflatten(0, weight.shape)
""",
        "as integers that order like the sizes": """
def magnitude_mask(weight, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError(sparsity)
    n = weight.numel()
    bits = weight.detach().float().abs().flatten().contiguous().view(torch.int32).long()
    keys = bits * n + torch.arange(n)
    gone = keys.topk(round(sparsity * n), largest=False).indices
    return torch.ones(n, dtype=torch.bool).index_fill(0, gone, False).reshape(weight.shape)
""",
        "right, but warns on stderr": """
import sys
import warnings

def magnitude_mask(weight, sparsity):
    warnings.warn("sorting")
    print("sorting", file=sys.stderr)
    if not 0 <= sparsity <= 1:
        raise ValueError(sparsity)
    keep = torch.ones(weight.numel(), dtype=torch.bool)
    keep[weight.abs().flatten().argsort(stable=True)[: round(sparsity * weight.numel())]] = False
    return keep.view(weight.shape)
""",
    },
    "magnitude_prune": {
        "module by module": LOWEST
        + """
def magnitude_prune(model, sparsity):
    masks = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            masks[name + ".weight"] = lowest(module.weight, sparsity)
            module.weight.data.mul_(masks[name + ".weight"])
    return masks
""",
        "block by block": LOWEST
        + """
@torch.no_grad()
def magnitude_prune(model, sparsity):
    masks = {}
    for i, block in enumerate(model.h):
        for outer, inner in (("attn", "c_attn"), ("attn", "c_proj"), ("mlp", "c_fc"), ("mlp", "c_proj")):
            weight = getattr(getattr(block, outer), inner).weight
            keep = lowest(weight, sparsity)
            weight.masked_fill_(~keep, 0.0)
            masks[f"h.{i}.{outer}.{inner}.weight"] = keep
    return masks
""",
        "a pattern for the names, and .data replaced": LOWEST
        + """
import re

def magnitude_prune(model, sparsity):
    wanted = re.compile(r"h\\.\\d+\\.(attn\\.c_attn|attn\\.c_proj|mlp\\.c_fc|mlp\\.c_proj)\\.weight")
    masks = {n: lowest(p, sparsity) for n, p in model.named_parameters() if wanted.fullmatch(n)}
    for n, p in model.named_parameters():
        if n in masks:
            p.data = p.data * masks[n]
    return masks
""",
        "through the state dict": LOWEST
        + """
def magnitude_prune(model, sparsity):
    state = model.state_dict()
    masks = {n: lowest(w, sparsity) for n, w in state.items() if w.dim() == 2 and not n.startswith("w")}
    model.load_state_dict({n: w * masks[n] if n in masks else w for n, w in state.items()})
    return masks
""",
        "NumPy": """
import numpy as np

def magnitude_prune(model, sparsity):
    masks = {}
    for name, p in model.named_parameters():
        if p.ndim == 2 and name.split(".")[0] == "h":
            array = p.detach().numpy()  # shares the parameter's memory
            order = np.argsort(np.abs(array), axis=None, kind="stable")[: round(sparsity * array.size)]
            keep = np.ones(array.size, dtype=bool)
            keep[order] = False
            masks[name] = torch.from_numpy(keep.reshape(array.shape))
            array.reshape(-1)[order] = 0.0
    return masks
""",
        "plain loops": """
def magnitude_prune(model, sparsity):
    masks = {}
    for name, p in model.named_parameters():
        if "ln" in name or "bias" in name or name in ("wte.weight", "wpe.weight"):
            continue
        rows, columns = p.shape
        places = [(abs(v), r, c) for r, row in enumerate(p.tolist()) for c, v in enumerate(row)]
        places.sort()
        keep = torch.ones(rows, columns, dtype=torch.bool)
        for _, r, c in places[: round(sparsity * rows * columns)]:
            keep[r, c] = False
            p.data[r, c] = 0.0
        masks[name] = keep
    return masks
""",
        "all masks first, then all zeros": LOWEST
        + """
def magnitude_prune(model, sparsity):
    parts = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    layers = [f"h.{i}.{part}" for i in range(model.config.n_layer) for part in parts]
    masks = {f"{layer}.weight": lowest(model.get_submodule(layer).weight, sparsity) for layer in layers}
    with torch.inference_mode(False), torch.no_grad():
        for name, mask in masks.items():
            p = model.get_parameter(name)
            p.copy_(torch.where(mask, p, torch.zeros_like(p)))
    return masks
""",
    },
}
