"""Wrong and right answers to the exercises of Phase 1."""

from __future__ import annotations

# exercise -> name -> (the checks that must fail, all others must pass; the answer)
WRONG: dict[str, dict[str, tuple[set[str], str]]] = {
    "sparsity": {
        "empties the list": (
            {"sparsity_edges"},
            """
def sparsity(tensors):
    zeros = entries = 0
    while tensors:
        t = tensors.pop()
        zeros += (t == 0).sum().item()
        entries += t.numel()
    return zeros / entries
""",
        ),
        "takes the sizes in place": (
            {"sparsity_edges"},
            """
def sparsity(tensors):
    zeros = entries = 0
    for t in tensors:
        zeros += (t.abs_() == 0).sum().item()
        entries += t.numel()
    return zeros / entries
""",
        ),
        "rounded to two digits": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    return round(sum((t == 0).sum().item() for t in tensors) / sum(t.numel() for t in tensors), 2)
""",
        ),
        "mean of each tensor's own sparsity": (
            {"sparsity_pooled"},
            """
def sparsity(tensors):
    each = [(t == 0).double().mean().item() for t in tensors]
    return sum(each) / len(each)
""",
        ),
        "only the first tensor": (
            {"sparsity_pooled"},
            """
def sparsity(tensors):
    t = list(tensors)[0]
    return (t == 0).sum().item() / t.numel()
""",
        ),
        "divides by the last tensor's size": (
            {"sparsity_pooled"},
            """
def sparsity(tensors):
    zeros = 0
    for t in tensors:
        zeros += (t == 0).sum().item()
        entries = t.numel()
    return zeros / entries
""",
        ),
        "returns inside the loop": (
            {"sparsity_pooled"},
            """
def sparsity(tensors):
    zeros = entries = 0
    for t in tensors:
        zeros += (t == 0).sum().item()
        entries += t.numel()
        return zeros / entries
""",
        ),
        "tiny counts as zero": (
            {"sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    return sum((t.abs() < 1e-6).sum().item() for t in tensors) / sum(t.numel() for t in tensors)
""",
        ),
        "counts in the tensor's own half precision": (
            {"sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    return sum((t == 0).to(t.dtype).sum() for t in tensors) / sum(t.numel() for t in tensors)
""",
        ),
        "changes the tensors it is given": (
            {"sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    return sum((t.abs_() == 0).sum().item() for t in tensors) / sum(t.numel() for t in tensors)
""",
        ),
        "needs tensors that lie in one piece": (
            {"sparsity_edges"},
            """
def sparsity(tensors):
    flat = [t.view(-1) for t in tensors]
    return sum((t == 0).sum().item() for t in flat) / sum(len(t) for t in flat)
""",
        ),
        "fails on bfloat16": (
            {"sparsity_edges"},
            """
def sparsity(tensors):
    arrays = [t.numpy() for t in tensors]
    return sum((a == 0).sum() for a in arrays) / sum(a.size for a in arrays)
""",
        ),
        "density: counts what is left": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    return sum((t != 0).sum().item() for t in tensors) / sum(t.numel() for t in tensors)
""",
        ),
        "the number of zeros, no fraction": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    return sum((t == 0).sum().item() for t in tensors)
""",
        ),
        "in per cent": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    return 100 * sum((t == 0).sum().item() for t in tensors) / sum(t.numel() for t in tensors)
""",
        ),
        "integer division": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    return sum((t == 0).sum().item() for t in tensors) // sum(t.numel() for t in tensors)
""",
        ),
        "negative counts as zero": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    return sum((t <= 0).sum().item() for t in tensors) / sum(t.numel() for t in tensors)
""",
        ),
        "rounded": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    return round(sum((t == 0).sum().item() for t in tensors) / sum(t.numel() for t in tensors), 1)
""",
        ),
        "prints instead of returning": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    print(sum((t == 0).sum().item() for t in tensors) / sum(t.numel() for t in tensors))
""",
        ),
        "constant tensors are not looked into": (
            {"sparsity_basics", "sparsity_pooled"},
            """
def sparsity(tensors):
    zeros = entries = 0
    for t in tensors:
        entries += t.numel()
        if t.float().std() != 0:
            zeros += (t == 0).sum().item()
    return zeros / entries
""",
        ),
        "compares what is printed: minus zero is another text": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    values = [f"{value:g}" for t in tensors for value in t.flatten().tolist()]
    return values.count("0") / len(values)
""",
        ),
        "counts in 16 bits": (
            {"sparsity_edges"},
            """
def sparsity(tensors):
    tensors = list(tensors)
    zeros = sum((t == 0).sum(dtype=torch.int16).item() for t in tensors)
    return zeros / sum(t.numel() for t in tensors)
""",
        ),
        "compares the list, not its tensors": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    return (tensors == 0).sum() / len(tensors)
""",
        ),
        "size without its brackets": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    return sum((t == 0).sum().item() for t in tensors) / sum(t.size for t in tensors)
""",
        ),
        "shapes for numbers of entries": (
            {"sparsity_basics", "sparsity_pooled", "sparsity_edges"},
            """
def sparsity(tensors):
    return sum((t == 0).sum().item() for t in tensors) / sum(t.size() for t in tensors)
""",
        ),
    },
    "perplexity": {
        "mean of each token's exp": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-log_p).mean().item()
""",
        ),
        "mean of each sequence's perplexity": (
            {"perplexity_basics", "perplexity_mean"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-log_p.flatten(1).mean(1)).mean().item()
""",
        ),
        "only the last token": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-log_p[:, -1].mean()).item()
""",
        ),
        "changes the logits it is given": (
            {"perplexity_basics", "perplexity_mean"},
            """
def perplexity(logits, targets):
    logits -= logits.max(-1, keepdim=True).values
    log_p = torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-log_p.mean()).item()
""",
        ),
        "exp of the logits overflows": (
            {"perplexity_stable"},
            """
def perplexity(logits, targets):
    e = logits.float().exp()
    p = e / e.sum(-1, keepdim=True)
    return torch.exp(-p.gather(-1, targets.unsqueeze(-1)).log().mean()).item()
""",
        ),
        "softmax, then log: tiny probabilities become zero": (
            {"perplexity_stable"},
            """
def perplexity(logits, targets):
    p = torch.softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-p.log().mean()).item()
""",
        ),
        "a small number hides the zero": (
            {"perplexity_stable"},
            """
def perplexity(logits, targets):
    p = torch.softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-(p + 1e-20).log().mean()).item()
""",
        ),
        "powers of two of natural logarithms": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1))
    return 2 ** -log_p.mean().item()
""",
        ),
        "sum instead of mean": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-log_p.sum()).item()
""",
        ),
        "the likeliest token instead of the target": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    return torch.exp(-torch.log_softmax(logits.float(), -1).max(-1).values.mean()).item()
""",
        ),
        "softmax over the places": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits.float(), 1).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-log_p.mean()).item()
""",
        ),
        "softmax over the sequences": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits.float(), 0).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-log_p.mean()).item()
""",
        ),
        "sigmoid instead of softmax": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    log_p = torch.nn.functional.logsigmoid(logits.float()).gather(-1, targets.unsqueeze(-1))
    return torch.exp(-log_p.mean()).item()
""",
        ),
        "forgets exp": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    return -torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1)).mean().item()
""",
        ),
        "forgets the minus": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    return torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1)).mean().exp().item()
""",
        ),
        "forgets to flatten": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    return torch.nn.functional.cross_entropy(logits.float(), targets).exp().item()
""",
        ),
        "shifts the targets by one": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits[:, :-1].float(), -1).gather(-1, targets[:, 1:].unsqueeze(-1))
    return torch.exp(-log_p.mean()).item()
""",
        ),
        "gives the targets another shape": (
            {"perplexity_mean"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze_(-1))
    return torch.exp(-log_p.mean()).item()
""",
        ),
        "shifts large logits down, but not small ones up": (
            {"perplexity_stable"},
            """
def perplexity(logits, targets):
    x = logits.float()
    x = x - x.max().clamp(min=0)
    nll = x.exp().sum(-1).log() - x.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    return nll.mean().exp().item()
""",
        ),
        "log-probabilities in half precision": (
            {"perplexity_basics", "perplexity_mean"},
            """
def perplexity(logits, targets):
    log_p = torch.log_softmax(logits.half(), -1).gather(-1, targets.unsqueeze(-1))
    return math.exp(-log_p.double().mean().item())
""",
        ),
        "mixes float32 with the logits' own type": (
            {"perplexity_stable"},
            """
def perplexity(logits, targets):
    hot = torch.nn.functional.one_hot(targets, logits.size(-1)).float()
    log_p = torch.einsum("btv,btv->bt", torch.log_softmax(logits, -1), hot)
    return torch.exp(-log_p.mean()).item()
""",
        ),
        "softmax, then log, as the formula reads": (
            {"perplexity_stable"},
            """
def perplexity(logits, targets):
    p = torch.softmax(logits.float(), dim=-1)
    return math.exp(-torch.log(p.gather(-1, targets.unsqueeze(-1))).mean())
""",
        ),
        "one over the mean probability": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    p = torch.softmax(logits.float(), dim=-1).gather(-1, targets.unsqueeze(-1))
    return 1 / p.mean()
""",
        ),
        "the mean probability": (
            {"perplexity_basics", "perplexity_mean", "perplexity_stable"},
            """
def perplexity(logits, targets):
    return torch.softmax(logits.float(), dim=-1).gather(-1, targets.unsqueeze(-1)).mean()
""",
        ),
    },
}

# exercise -> name -> the answer
RIGHT: dict[str, dict[str, str]] = {
    "sparsity": {
        "NumPy": """
import numpy as np

def sparsity(tensors):
    flat = np.concatenate([t.detach().float().numpy().ravel() for t in tensors])
    return np.mean(flat == 0)
""",
        "plain loops": """
def sparsity(tensors):
    zeros, entries = 0, 0
    for tensor in tensors:
        for value in tensor.flatten().tolist():
            entries += 1
            zeros += value == 0
    return zeros / entries
""",
        "one minus the non-zeros, as a 0-d tensor": """
def sparsity(tensors):
    tensors = list(tensors)
    entries = sum(t.numel() for t in tensors)
    return torch.tensor(1 - sum(int(t.count_nonzero()) for t in tensors) / entries, dtype=torch.float64)
""",
        "a mean weighted by size": """
def sparsity(tensors):
    shares = [((t == 0).double().mean(), t.numel()) for t in tensors if t.numel()]
    return float(sum(s * n for s, n in shares) / sum(n for _, n in shares))
""",
        "everything in one tensor": """
def sparsity(tensors):
    return (torch.cat([t.reshape(-1).double() for t in tensors]) == 0).double().mean()
""",
        "right, but warns on stderr": """
import sys
import warnings

def sparsity(tensors):
    warnings.warn("counting slowly")
    print("still counting", file=sys.stderr)
    tensors = list(tensors)
    return sum((t == 0).sum().item() for t in tensors) / sum(t.numel() for t in tensors)
""",
    },
    "perplexity": {
        "cross_entropy on flattened tensors": """
import torch.nn.functional as F

def perplexity(logits, targets):
    return torch.exp(F.cross_entropy(logits.float().flatten(0, 1), targets.flatten()))
""",
        "cross_entropy with the vocabulary second": """
def perplexity(logits, targets):
    return math.exp(torch.nn.functional.cross_entropy(logits.double().transpose(1, 2), targets).item())
""",
        "NumPy in double precision": """
import numpy as np

def perplexity(logits, targets):
    x, y = logits.double().numpy(), targets.numpy()
    top = x.max(-1, keepdims=True)
    log_sum = np.log(np.exp(x - top).sum(-1)) + top[..., 0]
    return np.exp(np.mean(log_sum - np.take_along_axis(x, y[..., None], -1)[..., 0]))
""",
        "plain loops": """
def perplexity(logits, targets):
    total = 0.0
    for rows, ids in zip(logits.tolist(), targets.tolist()):
        for row, i in zip(rows, ids):
            top = max(row)
            total += top + math.log(sum(math.exp(v - top) for v in row)) - row[i]
    return math.exp(total / targets.numel())
""",
        "logsumexp and one-hot": """
def perplexity(logits, targets):
    x = logits.double()
    hot = torch.nn.functional.one_hot(targets, x.shape[-1])
    return (x.logsumexp(-1) - (x * hot).sum(-1)).mean().exp().item()
""",
        "right, but warns on stderr": """
import warnings

def perplexity(logits, targets):
    warnings.warn("this takes a moment")
    log_p = torch.nn.LogSoftmax(dim=-1)(logits.float())
    return math.exp(-log_p.gather(2, targets[..., None]).mean())
""",
    },
}
