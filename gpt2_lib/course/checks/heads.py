"""Checks of exercise 2.2 c: removal of heads."""

from __future__ import annotations

import torch

from ..check import check
from ..lesson import show
from ..progress import progress
from .structured import fitting, three_tensors


def attention_output(x, c_attn_weight, c_attn_bias, c_proj_weight, n_head):
    """Return the output of causal attention for x (T, C), without the last bias, as in gpt2_lib/gpt2.py."""
    T = x.size(0)
    qkv = (x @ c_attn_weight.t() + c_attn_bias).view(T, 3, n_head, -1)  # (T, 3, N, H)
    q, k, v = qkv.permute(1, 2, 0, 3)  # each (N, T, H)
    y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)  # (N, T, H)
    return y.transpose(0, 1).reshape(T, -1) @ c_proj_weight.t()  # (T, C)


@check("really fewer heads, of a layer that lost some before, too")
def heads_shapes(remove_heads):
    progress.given("c_attn weight (24, 8), bias (24,), c_proj weight (8, 8), n_head = 4, keep = [0, 2, 3]")
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(shape, generator=generator) for shape in ((24, 8), (24,), (8, 8))]
    smaller = three_tensors(remove_heads(*weights, 4, torch.tensor([0, 2, 3])), "remove_heads")
    for name, old, new, shape, idea in zip(
        ("c_attn weight", "c_attn bias", "c_proj weight"),
        weights,
        smaller,
        ((18, 8), (18,), (8, 6)),
        (
            "A head has H = 2 rows of Q in it, 2 of K and 2 of V.",
            "It has one entry for each row of the weight.",
            "A head is H = 2 of its columns, since it is (out, in).",
        ),
        strict=True,
    ):
        got = tuple(new.shape)
        if got == tuple(old.shape):
            idea += " Its size did not change: zeros are not enough here."
        elif got in ((22, 8), (22,)):
            idea += " Yours lost those of one of the three only."
        assert got == shape, f"3 of 4 heads stay: the {name} {tuple(old.shape)} becomes {shape}; yours is {got}. {idea}"
    progress.given("c_attn weight (12, 8), bias (12,), c_proj weight (8, 4), n_head = 2, keep = [1]")
    cut = [torch.randn(shape, generator=generator) for shape in ((12, 8), (12,), (8, 4))]  # 2 of the 4 heads are left
    try:
        smaller = three_tensors(remove_heads(*cut, 2, torch.tensor([1])), "remove_heads")
        got = str([tuple(tensor.shape) for tensor in smaller])
    except (RuntimeError, IndexError, ValueError) as error:  # rows and columns that the matrices don't have any more
        got = f"{type(error).__name__} ({error})"
    assert got == "[(6, 8), (6,), (8, 2)]", (
        "A layer of width 8 that had 4 heads and lost 2 of them before: c_attn (12, 8), c_proj (8, 4), n_head = 2. One stays: (6, 8), "
        f"(6,) and (8, 2) were expected; {got} came back. How wide a head is follows from c_proj's columns, here 4 / 2, no longer from "
        "the model's width."
    )


@check("the same output as with those heads silenced")
def heads_output(remove_heads):
    progress.given("c_attn weight (27, 9), bias (27,), c_proj weight (9, 9), n_head = 3, keep = [0, 2]")
    generator = torch.Generator().manual_seed(1)
    weights = [torch.randn(shape, generator=generator) / 2 for shape in ((27, 9), (27,), (9, 9))]
    x = torch.randn(4, 9, generator=generator)  # (T=4, C=9)
    silenced = weights[2].clone()
    silenced[:, 3:6] = 0.0  # head 1 has no output weights
    stay = [0, 1, 2, 6, 7, 8]
    wanted = attention_output(x, weights[0], weights[1], silenced, 3)
    smaller = three_tensors(remove_heads(*[w.clone() for w in weights], 3, torch.tensor([0, 2])), "remove_heads")
    fitting(smaller, [(18, 9), (18,), (9, 6)], "2 of 3 heads of size 3 stay, in a model of width 9")
    feeds, bias, fed = (tensor.float() for tensor in smaller)
    got = attention_output(x, feeds, bias, fed, 2)
    if not torch.equal(smaller[2], weights[2][:, stay]):
        idea = "Look at c_proj first: head h feeds the columns h * H to h * H + H - 1."
    elif not torch.equal(smaller[0][:6], weights[0][stay]):
        idea = "Look at the first rows of c_attn: Q of head 0, then Q of head 2."
    else:
        idea = "c_proj and Q are right. Are K, V and all the biases taken from the same heads? K starts N * H rows further down."
    assert torch.allclose(got, wanted, atol=1e-4), (
        f"Three heads, head 1 silenced: the output for the last token is\n{show(wanted[-1])}\nwith your matrices it is\n{show(got[-1])}\n{idea}"
    )


@check("copies in the order of keep, and the weights left alone")
def heads_care(remove_heads):
    weights = [torch.arange(48.0).view(12, 4), torch.arange(12.0), torch.arange(16.0).view(4, 4)]
    before = [tensor.clone() for tensor in weights]
    keep = torch.tensor([1])
    progress.given("c_attn weight (12, 4), bias (12,), c_proj weight (4, 4), n_head = 2, keep = [1]")
    smaller = three_tensors(remove_heads(*weights, 2, keep), "remove_heads")
    names = ("c_attn_weight", "c_attn_bias", "c_proj_weight")
    for name, now, old in zip(names, weights, before, strict=True):
        assert torch.equal(now, old), (
            f"remove_heads() changed the {name} it was given; copies are asked for.\nBefore:\n{show(old)}\nafter:\n{show(now)}"
        )
    assert keep.tolist() == [1], f"remove_heads() changed keep, from [1] to {keep.tolist()}."
    fitting(smaller, [(6, 4), (6,), (4, 2)], "1 of 2 heads of size 2 stays, in a model of width 4")
    assert smaller[1].tolist() == [2.0, 3.0, 6.0, 7.0, 10.0, 11.0], (
        f"Of the bias [0.0, 1.0, ... 11.0], head 1 has 2 and 3 in Q, 6 and 7 in K, 10 and 11 in V; yours is {smaller[1].tolist()}."
    )
    every = three_tensors(remove_heads(*weights, 2, torch.tensor([0, 1])), "remove_heads")
    for place, row in enumerate((0, 2, 4, 6, 8, 10)):  # the first of each head's rows of Q, K and V
        assert float(every[1][2 * place]) == before[1][row], (
            f"keep = [0, 1] is an order, too: Q of head 0, Q of head 1, then K, then V; your bias is {every[1].tolist()}."
        )
    for new in (*smaller, *every):
        new.zero_()
    for name, now, old in zip(names, weights, before, strict=True):
        assert torch.equal(now, old), (
            f"Writing into the smaller {name} wrote into the one that was given too: a copy of its own is asked for, "
            "also where all stay."
        )
