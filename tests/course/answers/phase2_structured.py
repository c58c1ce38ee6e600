"""Wrong and right answers to Phase 2's exercises `neuron_scores`, `remove_neurons` and `remove_heads`.

WRONG: exercise -> name -> (the checks that must fail, all others must pass; the answer).
RIGHT: exercise -> name -> answer.
"""

from __future__ import annotations

SCORES = {"scores_value", "scores_bias", "scores_care"}
NEURONS = {"neurons_shapes", "neurons_output", "neurons_care"}
HEADS = {"heads_shapes", "heads_output", "heads_care"}

WRONG: dict[str, dict[str, tuple[set[str], str]]] = {
    "neuron_scores": {
        "without the outgoing weights": (
            {"scores_value", "scores_bias"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    return torch.cat([c_fc_weight, c_fc_bias[:, None]], 1).norm(dim=1)
""",
        ),
        "without the incoming weights": (
            {"scores_value", "scores_bias"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    return c_proj_weight.norm(dim=0)
""",
        ),
        "the bias forgotten": (
            {"scores_bias"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    return c_fc_weight.norm(dim=1) * c_proj_weight.norm(dim=0)
""",
        ),
        "the bias outside the root": (
            {"scores_bias"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    return (c_fc_weight.norm(dim=1) + c_fc_bias.abs()) * c_proj_weight.norm(dim=0)
""",
        ),
        "the bias added with its sign": (
            {"scores_bias"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    return (c_fc_weight.norm(dim=1) + c_fc_bias) * c_proj_weight.norm(dim=0)
""",
        ),
        "the bias added to every weight": (
            {"scores_bias"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    return (c_fc_weight + c_fc_bias[:, None]).norm(dim=1) * c_proj_weight.norm(dim=0)
""",
        ),
        "the bias among what is fed": (
            {"scores_bias"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    fed = torch.cat([c_proj_weight, c_fc_bias[None]], 0)
    return c_fc_weight.norm(dim=1) * fed.norm(dim=0)
""",
        ),
        "the bias a factor of its own": (
            {"scores_value", "scores_bias"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    return c_fc_weight.norm(dim=1) * c_fc_bias.abs() * c_proj_weight.norm(dim=0)
""",
        ),
        "a sum instead of a product": (
            {"scores_value", "scores_bias"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    return torch.cat([c_fc_weight, c_fc_bias[:, None]], 1).norm(dim=1) + c_proj_weight.norm(dim=0)
""",
        ),
        "L1 norms": (
            {"scores_value", "scores_bias"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    return (c_fc_weight.abs().sum(1) + c_fc_bias.abs()) * c_proj_weight.abs().sum(0)
""",
        ),
        "squares, no roots": (
            {"scores_value", "scores_bias"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    return ((c_fc_weight**2).sum(1) + c_fc_bias**2) * (c_proj_weight**2).sum(0)
""",
        ),
        "the largest instead of the norm": (
            {"scores_value", "scores_bias"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    feeds = torch.cat([c_fc_weight, c_fc_bias[:, None]], 1)
    return feeds.abs().amax(1) * c_proj_weight.abs().amax(0)
""",
        ),
        "root mean squares": (
            {"scores_value", "scores_bias"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    feeds = torch.cat([c_fc_weight, c_fc_bias[:, None]], 1)
    return feeds.pow(2).mean(1).sqrt() * c_proj_weight.pow(2).mean(0).sqrt()
""",
        ),
        "norms of the wrong dimension": (
            SCORES,
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    return (c_fc_weight.norm(dim=0) ** 2 + c_fc_bias**2).sqrt() * c_proj_weight.norm(dim=1)
""",
        ),
        "norms of the whole matrices": (
            SCORES,
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    return (c_fc_weight.norm() ** 2 + c_fc_bias.norm() ** 2).sqrt() * c_proj_weight.norm()
""",
        ),
        "as shares of their sum": (
            {"scores_value", "scores_bias"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    scores = torch.cat([c_fc_weight, c_fc_bias[:, None]], 1).norm(dim=1) * c_proj_weight.norm(dim=0)
    return scores / scores.sum()
""",
        ),
        "sorted": (
            {"scores_value", "scores_bias", "scores_care"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    scores = torch.cat([c_fc_weight, c_fc_bias[:, None]], 1).norm(dim=1) * c_proj_weight.norm(dim=0)
    return scores.sort(descending=True).values
""",
        ),
        "a column of scores": (
            {"scores_care"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    feeds = torch.cat([c_fc_weight, c_fc_bias[:, None]], 1)
    return feeds.norm(dim=1, keepdim=True) * c_proj_weight.norm(dim=0)[:, None]
""",
        ),
        "a list": (
            {"scores_care"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    feeds = torch.cat([c_fc_weight, c_fc_bias[:, None]], 1)
    return (feeds.norm(dim=1) * c_proj_weight.norm(dim=0)).tolist()
""",
        ),
        "a NumPy array": (
            {"scores_care"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    feeds = torch.cat([c_fc_weight, c_fc_bias[:, None]], 1)
    return (feeds.norm(dim=1) * c_proj_weight.norm(dim=0)).float().numpy()
""",
        ),
        "squares in half precision": (
            {"scores_care"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    feeds = torch.cat([c_fc_weight, c_fc_bias[:, None]], dim=1)
    return (feeds.half() ** 2).float().sum(1).sqrt() * (c_proj_weight.half() ** 2).float().sum(0).sqrt()
""",
        ),
        "norms in half precision": (
            {"scores_care"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    feeds = torch.cat([c_fc_weight, c_fc_bias[:, None]], dim=1).half()
    return feeds.norm(dim=1).float() * c_proj_weight.half().norm(dim=0).float()
""",
        ),
        "fails on bfloat16": (
            {"scores_care"},
            """
import numpy as np

def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    w, b, p = c_fc_weight.numpy(), c_fc_bias.numpy(), c_proj_weight.numpy()
    return torch.from_numpy(np.sqrt((w**2).sum(1) + b**2) * np.sqrt((p**2).sum(0)))
""",
        ),
        "changes the weights it is given": (
            {"scores_care"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    feeds = c_fc_weight.pow_(2).sum(1) + c_fc_bias.pow_(2)
    return feeds.sqrt() * c_proj_weight.pow_(2).sum(0).sqrt()
""",
        ),
        "needs matrices that lie in one piece": (
            {"scores_care"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    n, C = c_fc_weight.shape
    w, p = c_fc_weight.view(-1), c_proj_weight.view(-1)
    feeds = torch.stack([(w[j * C : (j + 1) * C] ** 2).sum() + c_fc_bias[j] ** 2 for j in range(n)])
    return feeds.sqrt() * torch.stack([(p[j::n] ** 2).sum() for j in range(n)]).sqrt()
""",
        ),
        "rounded to whole numbers": (
            {"scores_value", "scores_bias", "scores_care"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    feeds = torch.cat([c_fc_weight, c_fc_bias[:, None]], 1)
    return (feeds.norm(dim=1) * c_proj_weight.norm(dim=0)).int()
""",
        ),
        "prints instead of returning": (
            SCORES,
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    print(torch.cat([c_fc_weight, c_fc_bias[:, None]], 1).norm(dim=1) * c_proj_weight.norm(dim=0))
""",
        ),
        "a single neuron's score has no dimension": (
            {"scores_care"},
            """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    feeds = torch.cat([c_fc_weight, c_fc_bias[:, None]], dim=1)
    return (feeds.norm(dim=1) * c_proj_weight.norm(dim=0)).squeeze()
""",
        ),
        "a one for each neuron": (
            {"scores_value", "scores_bias", "scores_care"},
            "def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):\n    return torch.ones(len(c_fc_bias))",
        ),
    },
    "remove_neurons": {
        "rows without columns": (
            {"neurons_shapes", "neurons_output", "neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    return c_fc_weight[keep], c_fc_bias[keep], c_proj_weight.clone()
""",
        ),
        "rows of both": (
            NEURONS,
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    return c_fc_weight[keep], c_fc_bias[keep], c_proj_weight[keep]
""",
        ),
        "columns of both": (
            NEURONS,
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    return c_fc_weight[:, keep], c_fc_bias[keep], c_proj_weight[:, keep]
""",
        ),
        "the bias stays whole": (
            NEURONS,
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    return c_fc_weight[keep], c_fc_bias.clone(), c_proj_weight[:, keep]
""",
        ),
        "the first biases": (
            {"neurons_output", "neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    return c_fc_weight[keep], c_fc_bias[: len(keep)].clone(), c_proj_weight[:, keep]
""",
        ),
        "no bias any more": (
            {"neurons_output", "neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    return c_fc_weight[keep], torch.zeros(len(keep)), c_proj_weight[:, keep]
""",
        ),
        "the first neurons, whichever are to stay": (
            {"neurons_output", "neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    k = len(keep)
    return c_fc_weight[:k].clone(), c_fc_bias[:k].clone(), c_proj_weight[:, :k].clone()
""",
        ),
        "the first columns of c_proj": (
            {"neurons_output", "neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    return c_fc_weight[keep], c_fc_bias[keep], c_proj_weight[:, : len(keep)].clone()
""",
        ),
        "from the first to the last that stays": (
            NEURONS,
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    a, b = int(keep[0]), int(keep[-1]) + 1
    return c_fc_weight[a:b].clone(), c_fc_bias[a:b].clone(), c_proj_weight[:, a:b].clone()
""",
        ),
        "removes those to keep": (
            NEURONS,
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    stay = torch.ones(len(c_fc_bias), dtype=torch.bool)
    stay[keep] = False
    return c_fc_weight[stay], c_fc_bias[stay], c_proj_weight[:, stay]
""",
        ),
        "~ of positions, which counts from the end": (
            {"neurons_output", "neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    return c_fc_weight[~keep], c_fc_bias[~keep], c_proj_weight[:, ~keep]
""",
        ),
        "zeros in all three, the shapes as before": (
            {"neurons_shapes", "neurons_output", "neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    stay = torch.zeros(len(c_fc_bias), dtype=c_fc_bias.dtype)
    stay[keep] = 1
    return c_fc_weight * stay[:, None], c_fc_bias * stay, c_proj_weight * stay
""",
        ),
        "zeros in c_fc's rows: GELU(bias) leaks": (
            NEURONS,
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    stay = torch.zeros(len(c_fc_bias), dtype=c_fc_bias.dtype)
    stay[keep] = 1
    return c_fc_weight * stay[:, None], c_fc_bias.clone(), c_proj_weight.clone()
""",
        ),
        "c_proj comes back transposed": (
            NEURONS,
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    return c_fc_weight[keep], c_fc_bias[keep], c_proj_weight.t()[keep]
""",
        ),
        "columns moved by one": (
            {"neurons_output", "neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    return c_fc_weight[keep], c_fc_bias[keep], c_proj_weight[:, keep - 1]
""",
        ),
        "in the opposite order": (
            {"neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    keep = keep.flip(0)
    return c_fc_weight[keep], c_fc_bias[keep], c_proj_weight[:, keep]
""",
        ),
        "scaled up for what is gone": (
            {"neurons_output", "neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    more = len(c_fc_bias) / len(keep)
    return c_fc_weight[keep], c_fc_bias[keep], c_proj_weight[:, keep] * more
""",
        ),
        "writes zeros into what it is given": (
            {"neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    gone = torch.ones(len(c_fc_bias), dtype=torch.bool)
    gone[keep] = False
    c_fc_weight[gone], c_fc_bias[gone], c_proj_weight[:, gone] = 0, 0, 0
    return c_fc_weight[keep], c_fc_bias[keep], c_proj_weight[:, keep]
""",
        ),
        "the originals when all stay": (
            {"neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    if len(keep) == len(c_fc_bias):
        return c_fc_weight, c_fc_bias, c_proj_weight
    return c_fc_weight[keep], c_fc_bias[keep], c_proj_weight[:, keep]
""",
        ),
        "views where those that stay are neighbours": (
            {"neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    a, b = int(keep[0]), int(keep[-1]) + 1
    if b - a == len(keep):
        return c_fc_weight[a:b], c_fc_bias[a:b], c_proj_weight[:, a:b]
    return c_fc_weight[keep], c_fc_bias[keep], c_proj_weight[:, keep]
""",
        ),
        "one that stays loses its dimension": (
            NEURONS,
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    return c_fc_weight[keep].squeeze(0), c_fc_bias[keep], c_proj_weight[:, keep].squeeze(1)
""",
        ),
        "a float32 product picks, half precision fails": (
            {"neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    pick = torch.eye(len(c_fc_bias))[keep]
    return pick @ c_fc_weight, pick @ c_fc_bias, c_proj_weight @ pick.t()
""",
        ),
        "two tensors": (
            NEURONS,
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    return c_fc_weight[keep], c_proj_weight[:, keep]
""",
        ),
        "NumPy arrays": (
            NEURONS,
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    return c_fc_weight.numpy()[keep], c_fc_bias.numpy()[keep], c_proj_weight.numpy()[:, keep]
""",
        ),
        "returns nothing": (
            NEURONS,
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    c_fc_weight, c_fc_bias, c_proj_weight = c_fc_weight[keep], c_fc_bias[keep], c_proj_weight[:, keep]
""",
        ),
        "the right biases, but the first rows of c_fc": (
            {"neurons_output", "neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    return c_fc_weight[: len(keep)].clone(), c_fc_bias[keep], c_proj_weight[:, keep]
""",
        ),
        "gives keep another shape": (
            {"neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    bias, proj = c_fc_bias[keep], c_proj_weight[:, keep]
    rows = keep.unsqueeze_(1).expand(-1, c_fc_weight.size(1))
    return c_fc_weight.gather(0, rows), bias, proj
""",
        ),
        "nothing but zeros, in the right shapes": (
            {"neurons_shapes", "neurons_output", "neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    k, C = len(keep), c_fc_weight.size(1)
    return torch.zeros(k, C), torch.zeros(k), torch.zeros(C, k)
""",
        ),
        "a list of tensors for an index": (
            {"neurons_shapes", "neurons_output", "neurons_care"},
            """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    rows = [j for j in keep]
    return c_fc_weight[rows], c_fc_bias[rows], c_proj_weight[:, rows]
""",
        ),
    },
    "remove_heads": {
        "only Q loses the heads": (
            HEADS,
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, torch.arange(width, 3 * width)])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "V keeps all heads": (
            HEADS,
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + width, torch.arange(2 * width, 3 * width)])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "only Q comes back": (
            HEADS,
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    columns = torch.arange(c_proj_weight.size(1)).view(n_head, -1)[keep].flatten()
    return c_attn_weight[columns], c_attn_bias[columns], c_proj_weight[:, columns]
""",
        ),
        "Q's rows three times": (
            {"heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    columns = torch.arange(c_proj_weight.size(1)).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns, columns])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "K and V swapped": (
            {"heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + 2 * width, columns + width])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "biases forgotten": (
            HEADS,
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    return c_attn_weight[rows], c_attn_bias.clone(), c_proj_weight[:, columns]
""",
        ),
        "the first biases": (
            {"heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    return c_attn_weight[rows], c_attn_bias[: len(rows)].clone(), c_proj_weight[:, columns]
""",
        ),
        "only Q's biases, three times": (
            {"heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    return c_attn_weight[rows], c_attn_bias[columns].repeat(3), c_proj_weight[:, columns]
""",
        ),
        "biases set to zero": (
            {"heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    return c_attn_weight[rows], torch.zeros(len(rows)), c_proj_weight[:, columns]
""",
        ),
        "c_proj stays whole": (
            HEADS,
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight.clone()
""",
        ),
        "rows of c_proj": (
            HEADS,
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[columns]
""",
        ),
        "c_proj's first columns": (
            {"heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, : len(columns)].clone()
""",
        ),
        "stride: a head's Q, K and V side by side": (
            {"heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    columns = torch.arange(c_proj_weight.size(1)).view(n_head, -1)[keep].flatten()
    rows = torch.arange(len(c_attn_bias)).view(n_head, -1)[keep].flatten()
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "stride: heads interleaved": (
            {"heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(-1, n_head)[:, keep].flatten()
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "stride: single rows instead of heads": (
            HEADS,
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    rows = torch.cat([keep, keep + width, keep + 2 * width])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, keep]
""",
        ),
        "stride: K starts after the kept rows": (
            {"heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    columns = torch.arange(c_proj_weight.size(1)).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + len(columns), columns + 2 * len(columns)]) % len(c_attn_bias)
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "removes those to keep": (
            HEADS,
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    stay = torch.tensor([h for h in range(n_head) if h not in keep.tolist()], dtype=torch.int64)
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[stay].flatten()
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "the first heads, whichever are to stay": (
            {"heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width // n_head * len(keep))
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "zeros instead of smaller matrices": (
            HEADS,
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    stay = torch.zeros(n_head, dtype=c_attn_bias.dtype)
    stay[keep] = 1
    stay = stay.repeat_interleave(c_proj_weight.size(1) // n_head)
    rows = stay.repeat(3)
    return c_attn_weight * rows[:, None], c_attn_bias * rows, c_proj_weight * stay
""",
        ),
        "a head's width from the model's": (
            {"heads_care", "heads_shapes"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    C = c_attn_weight.size(1)
    columns = torch.arange(C).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + C, columns + 2 * C])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "in the opposite order": (
            {"heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep.flip(0)].flatten()
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "writes zeros into what it is given": (
            {"heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    result = c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
    gone = [i for i in range(width) if i not in columns.tolist()]
    c_proj_weight[:, gone] = 0
    return result
""",
        ),
        "the originals when all stay": (
            {"heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    if len(keep) == n_head:
        return c_attn_weight, c_attn_bias, c_proj_weight
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "a float32 product picks, half precision fails": (
            {"heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    pick = torch.eye(width).view(n_head, -1, width)[keep].flatten(0, 1)
    picks = torch.block_diag(pick, pick, pick)
    return picks @ c_attn_weight, picks @ c_attn_bias, c_proj_weight @ pick.t()
""",
        ),
        "two heads, whatever n_head says": (
            HEADS,
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(2, -1)[keep].flatten()
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "returns nothing": (
            HEADS,
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    c_attn_weight, c_attn_bias, c_proj_weight = c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "in c_attn a head is two wide": (
            {"heads_shapes", "heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()
    two = torch.tensor([2 * h + i for h in keep.tolist() for i in range(2)])
    rows = torch.cat([two, two + width, two + 2 * width])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "K begins 2 N rows further down": (
            {"heads_shapes", "heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    columns = torch.arange(c_proj_weight.size(1)).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + 2 * n_head, columns + 4 * n_head])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "K's rows are Q's, the biases are right": (
            {"heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()
    biases = torch.cat([columns, columns + width, columns + 2 * width])
    rows = torch.cat([columns, columns, columns + 2 * width])
    return c_attn_weight[rows], c_attn_bias[biases], c_proj_weight[:, columns]
""",
        ),
        "makes columns of keep itself": (
            {"heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    keep *= width // n_head
    columns = (keep[:, None] + torch.arange(width // n_head)).flatten()
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "a slice of c_proj where the heads stand side by side": (
            {"heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    width = c_proj_weight.size(1)
    columns = torch.arange(width).view(n_head, -1)[keep].flatten()
    rows = torch.cat([columns, columns + width, columns + 2 * width])
    first, last = int(columns[0]), int(columns[-1])
    proj = c_proj_weight[:, first : last + 1] if last - first + 1 == len(columns) else c_proj_weight[:, columns]
    return c_attn_weight[rows], c_attn_bias[rows], proj
""",
        ),
        "nothing but zeros, in the right shapes": (
            {"heads_shapes", "heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    k, C = len(keep) * c_proj_weight.size(1) // n_head, c_attn_weight.size(1)
    return torch.zeros(3 * k, C), torch.zeros(3 * k), torch.zeros(C, k)
""",
        ),
        "a loop whose indices are tensors": (
            {"heads_shapes", "heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    NH = c_proj_weight.shape[1]
    H = NH // n_head
    rows = [p * NH + h * H + i for p in range(3) for h in keep for i in range(H)]
    columns = [h * H + i for h in keep for i in range(H)]
    return c_attn_weight[rows], c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
        "a row and a column for a head, like neurons": (
            {"heads_shapes", "heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    return c_attn_weight[keep], c_attn_bias[keep], c_proj_weight[:, keep]
""",
        ),
        "reads the rows as Q, K and V of head 0, then of head 1": (
            {"heads_output", "heads_care"},
            """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    C = c_attn_weight.shape[1]
    rows = torch.arange(len(c_attn_bias)).view(n_head, 3, -1)[keep].flatten()
    columns = torch.arange(c_proj_weight.shape[1]).view(n_head, -1)[keep].flatten()
    return c_attn_weight[rows].view(-1, C), c_attn_bias[rows], c_proj_weight[:, columns]
""",
        ),
    },
}

RIGHT: dict[str, dict[str, str]] = {
    "neuron_scores": {
        "plain loops": """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    scores = []
    for j, row in enumerate(c_fc_weight.tolist()):
        into = math.sqrt(sum(w * w for w in row) + float(c_fc_bias[j]) ** 2)
        scores.append(into * math.sqrt(sum(row[j] ** 2 for row in c_proj_weight.tolist())))
    return torch.tensor(scores)
""",
        "NumPy": """
import numpy as np

def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    w, b, p = (t.detach().float().numpy() for t in (c_fc_weight, c_fc_bias, c_proj_weight))
    return torch.from_numpy(np.linalg.norm(np.column_stack([w, b]), axis=1) * np.linalg.norm(p, axis=0))
""",
        "sums of squares, one root": """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    return torch.sqrt((c_fc_weight.square().sum(1) + c_fc_bias.square()) * c_proj_weight.square().sum(0))
""",
        "double precision": """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    into = torch.hypot(c_fc_weight.double().norm(dim=-1), c_fc_bias.double())
    return into * c_proj_weight.double().t().norm(dim=-1)
""",
        "einsum": """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    w, b, p = c_fc_weight.float(), c_fc_bias.float(), c_proj_weight.float()
    return (torch.einsum("nc,nc->n", w, w) + b * b).sqrt() * torch.einsum("cn,cn->n", p, p).sqrt()
""",
        "torch.linalg, from a helper": """
def norms(rows):
    return torch.linalg.vector_norm(rows, dim=1)

def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    return norms(torch.hstack([c_fc_weight, c_fc_bias.unsqueeze(1)])) * norms(c_proj_weight.T)
""",
        "in place, on clones": """
def neuron_scores(c_fc_weight, c_fc_bias, c_proj_weight):
    into = c_fc_weight.clone().mul_(c_fc_weight).sum(1).add_(c_fc_bias**2).sqrt_()
    return into.mul_(c_proj_weight.clone().mul_(c_proj_weight).sum(0).sqrt_())
""",
    },
    "remove_neurons": {
        "index_select": """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    return c_fc_weight.index_select(0, keep), c_fc_bias.index_select(0, keep), c_proj_weight.index_select(1, keep)
""",
        "a bool mask": """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    stays = torch.isin(torch.arange(c_fc_bias.numel()), keep)
    return c_fc_weight[stays], c_fc_bias[stays], c_proj_weight[:, stays]
""",
        "NumPy": """
import numpy as np

def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    w, b, p = (t.detach().numpy() for t in (c_fc_weight, c_fc_bias, c_proj_weight))
    return tuple(torch.from_numpy(a) for a in (w[keep.numpy()], b[keep.numpy()], np.take(p, keep.numpy(), axis=1)))
""",
        "plain loops over lists": """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    w, b, p = c_fc_weight.tolist(), c_fc_bias.tolist(), c_proj_weight.tolist()
    keep = keep.tolist()
    rows = [w[j] for j in keep]
    return torch.tensor(rows), torch.tensor([b[j] for j in keep]), torch.tensor([[row[j] for j in keep] for row in p])
""",
        "deletes what goes, the last first": """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    w, b, p = c_fc_weight.clone(), c_fc_bias.clone(), c_proj_weight.clone()
    for j in reversed(range(len(c_fc_bias))):
        if j not in keep:
            w, b = torch.cat([w[:j], w[j + 1 :]]), torch.cat([b[:j], b[j + 1 :]])
            p = torch.cat([p[:, :j], p[:, j + 1 :]], 1)
    return w, b, p
""",
        "a list, stacked from rows and columns": """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    return [
        torch.stack([c_fc_weight[j] for j in keep]),
        torch.stack([c_fc_bias[j] for j in keep]),
        torch.stack([c_proj_weight[:, j] for j in keep], dim=1),
    ]
""",
        "in double precision": """
def remove_neurons(c_fc_weight, c_fc_bias, c_proj_weight, keep):
    pick = torch.nn.functional.one_hot(keep, len(c_fc_bias)).double()
    return pick @ c_fc_weight.double(), pick @ c_fc_bias.double(), c_proj_weight.double() @ pick.T
""",
    },
    "remove_heads": {
        "four dimensions": """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    C = c_attn_weight.shape[1]
    weight = c_attn_weight.reshape(3, n_head, -1, C)[:, keep].reshape(-1, C)
    bias = c_attn_bias.reshape(3, n_head, -1)[:, keep].reshape(-1)
    return weight, bias, c_proj_weight.reshape(C, n_head, -1)[:, keep].reshape(C, -1)
""",
        "Q, K and V one after the other": """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    H = c_proj_weight.size(1) // n_head
    columns = torch.tensor([h * H + i for h in keep.tolist() for i in range(H)])
    weights = [part[columns] for part in c_attn_weight.chunk(3)]
    biases = [part[columns] for part in c_attn_bias.chunk(3)]
    return torch.cat(weights), torch.cat(biases), c_proj_weight.index_select(1, columns)
""",
        "NumPy": """
import numpy as np

def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    w, b, p = c_attn_weight.numpy(), c_attn_bias.numpy(), c_proj_weight.numpy()
    width = p.shape[1]
    H = width // n_head
    columns = (keep.numpy()[:, None] * H + np.arange(H)).ravel()
    rows = np.concatenate([columns + part * width for part in range(3)])
    return torch.tensor(w[rows]), torch.tensor(b[rows]), torch.tensor(p[:, columns])
""",
        "plain loops over lists": """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    w, b, p = c_attn_weight.tolist(), c_attn_bias.tolist(), c_proj_weight.tolist()
    H = len(b) // (3 * n_head)
    new_w, new_b = [], []
    for part in range(3):
        for h in keep.tolist():
            for i in range(H):
                row = (part * n_head + h) * H + i
                new_w.append(w[row])
                new_b.append(b[row])
    new_p = [[row[h * H + i] for h in keep.tolist() for i in range(H)] for row in p]
    return torch.tensor(new_w), torch.tensor(new_b), torch.tensor(new_p)
""",
        "a bool mask": """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    stays = torch.zeros(n_head, dtype=torch.bool)
    stays[keep] = True
    stays = stays.repeat_interleave(c_proj_weight.size(1) // n_head)
    return c_attn_weight[stays.repeat(3)], c_attn_bias[stays.tile(3)], c_proj_weight[:, stays]
""",
        "slices glued together": """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    H = len(c_attn_bias) // 3 // n_head
    starts = [part * n_head * H + int(h) * H for part in range(3) for h in keep]
    weight = torch.cat([c_attn_weight[s : s + H] for s in starts])
    bias = torch.cat([c_attn_bias[s : s + H] for s in starts])
    return weight, bias, torch.cat([c_proj_weight[:, int(h) * H : int(h) * H + H] for h in keep], dim=1)
""",
        "in double precision": """
def remove_heads(c_attn_weight, c_attn_bias, c_proj_weight, n_head, keep):
    w, b, p = c_attn_weight.double(), c_attn_bias.double(), c_proj_weight.double()
    C = p.shape[0]
    w, b, p = w.unflatten(0, (3, n_head, -1)), b.unflatten(0, (3, n_head, -1)), p.unflatten(1, (n_head, -1))
    return w[:, keep].flatten(0, 2), b[:, keep].flatten(), p[:, keep].flatten(1)
""",
    },
}
