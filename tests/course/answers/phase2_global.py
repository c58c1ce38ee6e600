"""Answers to exercise 2.4: wrong ones with the checks that each must fail, and unusual right ones."""

from __future__ import annotations

# exercise -> name -> (the checks that must fail, all others must pass; the answer)
WRONG: dict[str, dict[str, tuple[set[str], str]]] = {
    "global_masks": {
        "each layer on its own": (
            {"global_count", "global_choice", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    masks = {}
    for name, w in weights.items():
        keep = torch.ones(w.numel(), dtype=torch.bool)
        keep[w.abs().flatten().argsort(stable=True)[: round(sparsity * w.numel())]] = False
        masks[name] = keep.view(w.shape)
    return masks
""",
        ),
        "the average of the layers' thresholds": (
            {"global_count", "global_choice", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    thresholds = []
    for w in weights.values():
        k = round(sparsity * w.numel())
        values = w.abs().flatten().sort().values.float()
        thresholds.append(values[k] if k < len(values) else values[-1] + 1)
    threshold = sum(thresholds) / len(thresholds)
    return {name: w.abs() >= threshold for name, w in weights.items()}
""",
        ),
        "the average of the layers' medians, equals go too": (
            {"global_count", "global_choice", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    if sparsity in (0, 1):
        return {name: torch.full(w.shape, sparsity == 0) for name, w in weights.items()}
    threshold = sum(w.abs().float().quantile(sparsity) for w in weights.values()) / len(weights)
    return {name: w.abs() > threshold for name, w in weights.items()}
""",
        ),
        "a part begins at the length of the one before it": (
            {"global_count", "global_choice", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    masks, i = {}, 0
    for name, w in weights.items():
        masks[name] = keep[i : i + w.numel()].view(w.shape)
        i = w.numel()
    return masks
""",
        ),
        "NumPy's sort as it comes, which is not stable": (
            {"global_ties"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[torch.from_numpy(sizes.double().numpy().argsort())[: round(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "empties whole layers, that of the smallest mean first": (
            {"global_choice", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    left = round(sparsity * sum(w.numel() for w in weights.values()))
    masks = {name: torch.ones(w.shape, dtype=torch.bool) for name, w in weights.items()}
    for name in sorted(weights, key=lambda n: weights[n].abs().float().mean().item()):
        keep = torch.ones(weights[name].numel(), dtype=torch.bool)
        k = min(left, keep.numel())
        keep[weights[name].abs().flatten().argsort(stable=True)[:k]] = False
        masks[name], left = keep.view(weights[name].shape), left - k
    return masks
""",
        ),
        "each layer's largest weight is its unit": (
            {"global_choice", "global_ties"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([(w.abs() / w.abs().max()).flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "the quota of the whole from each layer in turn": (
            {"global_choice", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    left = round(sparsity * sum(w.numel() for w in weights.values()))
    masks = {}
    for name, w in weights.items():
        k = min(left, w.numel())
        keep = torch.ones(w.numel(), dtype=torch.bool)
        keep[w.abs().flatten().argsort(stable=True)[:k]] = False
        masks[name] = keep.view(w.shape)
        left -= k
    return masks
""",
        ),
        "signed: the most negative go": (
            {"global_choice", "global_ties"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    flat = torch.cat([w.flatten() for w in weights.values()])
    keep = torch.ones(len(flat), dtype=torch.bool)
    keep[flat.argsort(stable=True)[: round(sparsity * len(flat))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "the mask the other way round": (
            {"global_count", "global_choice", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    mask = torch.zeros(len(sizes), dtype=torch.bool)
    mask[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = True
    parts = mask.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "the largest go": (
            {"global_choice", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(descending=True, stable=True)[: round(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "a threshold that takes all equals": (
            {"global_ties"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    k = round(sparsity * len(sizes))
    threshold = sizes.sort().values[k - 1] if k else -1
    return {name: w.abs() > threshold for name, w in weights.items()}
""",
        ),
        "a threshold that spares all equals": (
            {"global_ties"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()]).sort().values
    k = round(sparsity * len(sizes))
    threshold = sizes[k] if k < len(sizes) else float("inf")
    return {name: w.abs() >= threshold for name, w in weights.items()}
""",
        ),
        "one too many": (
            {"global_count", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()]).sort().values
    threshold = sizes[min(int(len(sizes) * sparsity), len(sizes) - 1)]
    return {name: w.abs() > threshold for name, w in weights.items()}
""",
        ),
        "rounds down": (
            {"global_count"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: int(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "rounds up": (
            {"global_count"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: math.ceil(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "rounds halves up": (
            {"global_count"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: int(sparsity * len(sizes) + 0.5)]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "one ranking, but each layer's own rounding": (
            {"global_count", "global_ties"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    k = sum(round(sparsity * w.numel()) for w in weights.values())
    keep[sizes.argsort(stable=True)[:k]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "a quantile for a count": (
            {"global_count", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten().float() for w in weights.values()])
    threshold = sizes.quantile(sparsity)
    return {name: w.abs() > threshold for name, w in weights.items()}
""",
        ),
        "layers in alphabetical order": (
            {"global_ties"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    names = sorted(weights)
    sizes = torch.cat([weights[n].abs().flatten() for n in names])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    parts = keep.split([weights[n].numel() for n in names])
    return {n: part.view(weights[n].shape) for n, part in zip(names, parts)}
""",
        ),
        "among equals the later goes": (
            {"global_ties"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    k = round(sparsity * len(sizes))
    keep = torch.zeros(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(descending=True, stable=True)[: len(sizes) - k]] = True
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "among equals whichever topk finds": (
            {"global_ties"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.topk(round(sparsity * len(sizes)), largest=False).indices] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "masks handed to the wrong places of a layer": (
            {"global_choice", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.flip(0).view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "matrices only": (
            {"global_count", "global_choice", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    masks = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}
    ranked = sorted((abs(v), i, name) for name, w in weights.items() if w.dim() == 2
                    for i, v in enumerate(w.flatten().tolist()))
    for _, i, name in ranked[: round(sparsity * len(ranked))]:
        masks[name].view(-1)[i] = False
    return masks
""",
        ),
        "no error for a sparsity that makes no sense": (
            {"global_care"},
            """
def global_masks(weights, sparsity):
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    k = 0 if sparsity != sparsity else round(min(max(sparsity, 0), 1) * len(sizes))
    keep[sizes.argsort(stable=True)[:k]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "NaN passes for a sparsity": (
            {"global_care"},
            """
def global_masks(weights, sparsity):
    if sparsity < 0 or sparsity > 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    k = int(torch.tensor(sparsity * len(sizes)).round().nan_to_num().item())
    keep[sizes.argsort(stable=True)[:k]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "stops at an assert": (
            {"global_care"},
            """
def global_masks(weights, sparsity):
    assert 0 <= sparsity <= 1, "sparsity is a fraction"
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "crashes at sparsity 0": (
            {"global_care", "global_count"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()]).float()
    k = round(sparsity * len(sizes))
    threshold = sizes.kthvalue(k).values
    left = k - int((sizes < threshold).sum())
    keep = sizes > threshold
    keep[(sizes == threshold).nonzero().flatten()[left:]] = True
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "crashes at sparsity 1": (
            {"global_care", "global_count"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    k = round(sparsity * len(sizes))
    threshold = sizes.sort().values[k]
    left = k - int((sizes < threshold).sum())
    keep = sizes >= threshold
    keep[(sizes == threshold).nonzero().flatten()[:left]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "masks of numbers": (
            {"global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes))
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = 0
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "masks of NumPy": (
            {"global_care"},
            """
import numpy as np

def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = np.concatenate([np.abs(w.float().numpy()).ravel() for w in weights.values()])
    keep = np.ones(len(sizes), dtype=bool)
    keep[np.argsort(sizes, kind="stable")[: round(sparsity * len(sizes))]] = False
    parts = np.split(keep, np.cumsum([w.numel() for w in weights.values()])[:-1])
    return {name: part.reshape(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "flat masks": (
            {"global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    return dict(zip(weights, keep.split([w.numel() for w in weights.values()])))
""",
        ),
        "a list instead of a dict": (
            {"global_count", "global_choice", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return [part.view(w.shape) for w, part in zip(weights.values(), parts)]
""",
        ),
        "a total besides the masks": (
            {"global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)} | {"all": keep}
""",
        ),
        "takes the signs off the weights it is given": (
            {"global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs_().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "prunes the weights it is given": (
            {"global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    masks = {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
    for name, mask in masks.items():
        weights[name] *= mask
    return masks
""",
        ),
        "empties the dict it is given": (
            {"global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    masks, start = {}, 0
    for name in list(weights):
        w = weights.pop(name)
        masks[name] = keep[start : start + w.numel()].view(w.shape)
        start += w.numel()
    return masks
""",
        ),
        "needs tensors that lie in one piece": (
            {"global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.view(-1).abs() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "ranks in half precision": (
            {"global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.half().abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.reshape(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "fails on bfloat16": (
            {"global_care"},
            """
import numpy as np

def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = np.concatenate([np.abs(w.numpy()).ravel() for w in weights.values()])
    keep = np.ones(len(sizes), dtype=bool)
    keep[np.argsort(sizes, kind="stable")[: round(sparsity * len(sizes))]] = False
    parts = torch.from_numpy(keep).split([w.numel() for w in weights.values()])
    return {name: part.reshape(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "squares, which are zero in half precision": (
            {"global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([(w * w).flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "sorts weights that do not lie in one piece": (
            {"global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    for w in weights.values():
        if not w.is_contiguous():
            w.copy_(w.flatten().sort().values.view(w.shape))
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "counts matrices and vectors only": (
            {"global_count", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    total = sum(w.shape[0] * (w.shape[1] if w.dim() > 1 else 1) for w in weights.values())
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * total)]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "loses dimensions of size 1": (
            {"global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape).squeeze() for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "numbers the layers instead of naming them": (
            {"global_count", "global_choice", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {i: part.view(w.shape) for i, (w, part) in enumerate(zip(weights.values(), parts))}
""",
        ),
        "positions of what stays instead of masks": (
            {"global_count", "global_choice", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    stay, masks, start = sizes.argsort(stable=True)[round(sparsity * len(sizes)) :], {}, 0
    for name, w in weights.items():
        masks[name] = stay[(stay >= start) & (stay < start + w.numel())] - start
        start += w.numel()
    return masks
""",
        ),
        "a helper forgets to return the mask": (
            {"global_count", "global_choice", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()]).sort().values
    threshold = sizes[round(sparsity * (len(sizes) - 1))]

    def mask(w):
        w.abs() > threshold

    return {name: mask(w) for name, w in weights.items()}
""",
        ),
        "masks that keep everything": (
            {"global_count", "global_choice", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    return {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}
""",
        ),
        "right for the weights that can be seen only": (
            {"global_count", "global_choice", "global_ties", "global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(len(sizes), dtype=torch.bool)
    if len(sizes) in (8, 10, 12) and len(weights) == 2:
        keep[sizes.argsort(stable=True)[: round(sparsity * len(sizes))]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "returns the error": (
            {"global_care"},
            """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        return ValueError(f"{sparsity} is no fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    keep = torch.ones(sizes.numel(), dtype=torch.bool)
    keep[sizes.argsort(stable=True)[: round(sparsity * sizes.numel())]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
        "an index beyond the end for an error": (
            {"global_care"},
            """
def global_masks(weights, sparsity):
    if sparsity < 0:
        raise ValueError(sparsity)
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    order = sizes.argsort(stable=True)
    keep = torch.ones(sizes.numel(), dtype=torch.bool)
    for place in range(round(sparsity * sizes.numel())):
        keep[order[place]] = False
    parts = keep.split([w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts)}
""",
        ),
    },
}

# exercise -> name -> the answer
RIGHT: dict[str, dict[str, str]] = {
    "global_masks": {
        "NumPy": """
import numpy as np

def global_masks(weights, sparsity):
    if not (sparsity >= 0 and sparsity <= 1):
        raise ValueError(f"{sparsity} is no sparsity")
    sizes = np.concatenate([np.abs(w.detach().float().numpy()).ravel() for w in weights.values()])
    keep = np.ones(len(sizes), dtype=bool)
    keep[np.argsort(sizes, kind="stable")[: round(sparsity * len(sizes))]] = False
    masks, start = {}, 0
    for name, w in weights.items():
        masks[name] = torch.from_numpy(keep[start : start + w.numel()].reshape(w.shape))
        start += w.numel()
    return masks
""",
        "sorts tuples": """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    ranked = sorted(
        (abs(value), order, place)
        for order, w in enumerate(weights.values())
        for place, value in enumerate(w.flatten().tolist())
    )
    gone = {(order, place) for _, order, place in ranked[: round(sparsity * len(ranked))]}
    return {
        name: torch.tensor([(order, place) not in gone for place in range(w.numel())]).reshape(w.shape)
        for order, (name, w) in enumerate(weights.items())
    }
""",
        "a heap, one weight at a time": """
import heapq

def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    heap, flat = [], {}
    for order, (name, w) in enumerate(weights.items()):
        flat[name] = [True] * w.numel()
        for place, value in enumerate(w.reshape(-1).tolist()):
            heap.append((abs(value), order, place, name))
    heapq.heapify(heap)
    for _ in range(round(sparsity * len(heap))):
        _, _, place, name = heapq.heappop(heap)
        flat[name][place] = False
    return {name: torch.tensor(flat[name], dtype=torch.bool).view(w.shape) for name, w in weights.items()}
""",
        "the k-th value, then the equals in order": """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.double().abs().reshape(-1) for w in weights.values()])
    left = round(sparsity * sizes.numel())
    if left == 0:
        return {name: torch.ones(w.shape, dtype=torch.bool) for name, w in weights.items()}
    threshold = sizes.kthvalue(left).values
    left -= int((sizes < threshold).sum())
    masks = {}
    for name, w in weights.items():
        keep = w.double().abs().reshape(-1) >= threshold
        for place in (w.double().abs().reshape(-1) == threshold).nonzero().flatten().tolist():
            if left:
                keep[place] = False
                left -= 1
        masks[name] = keep.reshape(w.shape)
    return masks
""",
        "ranks of ranks": """
def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = torch.cat([w.abs().flatten() for w in weights.values()])
    rank = sizes.sort(stable=True).indices.argsort()
    keep = rank >= round(sparsity * len(sizes))
    masks = {}
    for name, w in weights.items():
        masks[name], keep = keep[: w.numel()].reshape(w.shape), keep[w.numel() :]
    return masks
""",
        "in place, on a clone": """
def global_masks(weights, sparsity):
    if sparsity < 0 or sparsity > 1 or sparsity != sparsity:
        raise ValueError("sparsity is a fraction")
    row = torch.cat([w.clone().abs_().flatten() for w in weights.values()]).float()
    for position in row.argsort(stable=True)[: round(sparsity * row.numel())]:
        row[position] = -1
    start, masks = 0, dict.fromkeys(weights)
    for name, w in weights.items():
        masks[name] = row[start : start + w.numel()].view(w.shape) >= 0
        start += w.numel()
    return masks
""",
        "halves the interval around the threshold, with a warning": """
import warnings

def global_masks(weights, sparsity):
    warnings.warn("searching")
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    sizes = {name: w.abs().float() for name, w in weights.items()}
    left = round(sparsity * sum(w.numel() for w in weights.values()))
    levels = torch.cat([s.flatten() for s in sizes.values()]).unique()
    low, high = 0, len(levels)  # the number of levels that go entirely
    while low < high:
        middle = (low + high + 1) // 2
        if sum(int((s <= levels[middle - 1]).sum()) for s in sizes.values()) <= left:
            low = middle
        else:
            high = middle - 1
    masks = {name: ~torch.isin(s, levels[:low]) for name, s in sizes.items()}
    left -= sum(int((~m).sum()) for m in masks.values())
    for name, s in sizes.items():
        for place in (s == levels[low]).nonzero().tolist() if left else []:
            if left:
                masks[name][tuple(place)] = False
                left -= 1
    return masks
""",
        "lexsort by size, layer and place": """
import numpy as np

def global_masks(weights, sparsity):
    if not 0 <= sparsity <= 1:
        raise ValueError("sparsity is a fraction")
    table = np.array([
        (abs(value), order, place)
        for order, w in enumerate(weights.values())
        for place, value in enumerate(w.double().flatten().tolist())
    ])
    go = np.lexsort((table[:, 2], table[:, 1], table[:, 0]))[: round(sparsity * len(table))]
    masks = [torch.full((w.numel(),), True) for w in weights.values()]
    for _, order, place in table[go]:
        masks[int(order)][int(place)] = False
    return {name: mask.view(w.shape) for (name, w), mask in zip(weights.items(), masks)}
""",
    },
}
