"""Checks of exercises 2.2 a and b: scores of neurons, and their removal."""

from __future__ import annotations

import itertools
import math

import torch

from ..check import check
from ..lesson import show, tensor_fault
from ..progress import progress


def as_numbers(values, count):
    """Return a learner's scores as a list of floats. (Another check tests their exact type and shape.)"""
    assert values is not None, "neuron_scores() returned nothing: end it with `return ...`."
    try:
        flat = torch.as_tensor(values).detach().double().flatten().tolist()
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"A tensor of {count} scores was expected; a {type(values).__name__} came back.") from None
    assert len(flat) == count, f"There are {count} neurons, so {count} scores were expected; {len(flat)} came back."
    return flat


@check("all that feeds a neuron times all that it feeds")
def scores_value(neuron_scores):
    feeds = torch.tensor([[3.0, 4.0], [0.0, 1.0], [6.0, 8.0]])  # (n=3, C=2)
    fed = torch.tensor([[0.0, 3.0, 0.0], [2.0, 4.0, 1.0]])  # (C=2, n=3)
    shown = f"c_fc weight\n{show(feeds)}\nno bias (all 0), c_proj weight\n{show(fed)}"
    progress.given(shown)
    got = as_numbers(neuron_scores(feeds.clone(), torch.zeros(3), fed.clone()), 3)
    ideas = {
        (5.0, 1.0, 10.0): "That is what feeds each neuron; what it feeds is missing.",
        (2.0, 5.0, 1.0): "That is what each neuron feeds; what feeds it is missing.",
        (7.0, 6.0, 11.0): "The two norms are added; a neuron without output weights would still score.",
        (100.0, 25.0, 100.0): "These are squares of what was expected.",
        (14.0, 7.0, 14.0): "That looks like L1 norms, sums of absolute values.",
        (5.0, 2.5, 5.0): "That looks like means; the norm is the root of a sum of squares.",
    }
    idea = ideas.get(
        tuple(round(value, 3) for value in got), "A row of c_fc feeds a neuron; a column of c_proj is what it feeds."
    )
    assert torch.allclose(torch.tensor(got), torch.tensor([10.0, 5.0, 10.0]), rtol=1e-4), (
        f"Scores of 10, 5 and 10 were expected; {', '.join(f'{g:.4g}' for g in got)} came back. {idea}\nGiven:\n{shown}"
    )


@check("the bias feeds it too")
def scores_bias(neuron_scores):
    feeds = torch.tensor([[3.0, 0.0], [0.0, 0.0], [0.0, 0.0]])  # (n=3, C=2)
    bias = torch.tensor([-4.0, 2.0, 0.0])
    fed = torch.tensor([[1.0, 0.0, 3.0], [0.0, 1.0, 4.0]])  # (C=2, n=3)
    shown = f"c_fc weight\n{show(feeds)}\nbias\n{show(bias)}\nc_proj weight\n{show(fed)}"
    progress.given(shown)
    got = as_numbers(neuron_scores(feeds.clone(), bias.clone(), fed.clone()), 3)
    if math.isclose(got[0], 3.0, rel_tol=1e-4):
        idea = "Where does the bias come in? It feeds its neuron like one more input, one that is always 1."
    elif math.isclose(got[0], 25.0, rel_tol=1e-4):
        idea = "The root is missing."
    elif math.isclose(got[0], 7.0, rel_tol=1e-4):
        idea = "The bias belongs under the same root as the weights."
    else:
        idea = "The bias feeds its neuron like one more weight in the row."
    assert torch.allclose(torch.tensor(got), torch.tensor([5.0, 2.0, 0.0]), rtol=1e-4, atol=1e-6), (
        f"Scores of 5, 2 and 0 were expected; {', '.join(f'{g:.4g}' for g in got)} came back. {idea}\nGiven:\n{shown}"
    )


@check("one score for each neuron, and the weights are left alone")
def scores_care(neuron_scores):
    given = [
        torch.tensor([[3.0, 0.0], [1.0, 2.0], [2.0, 1.0]]),
        torch.tensor([4.0, 2.0, 2.0]),
        torch.tensor([[0.0, 1.0, 2.0], [2.0, 2.0, 0.0]]),
    ]
    before = [tensor.clone() for tensor in given]
    progress.given(f"c_fc weight\n{show(given[0])}\nbias\n{show(given[1])}\nc_proj weight\n{show(given[2])}")
    fault = tensor_fault(neuron_scores(*given), (3,))
    assert fault is None, f"For 3 neurons: {fault}"
    for name, now, old in zip(("c_fc_weight", "c_fc_bias", "c_proj_weight"), given, before, strict=True):
        assert torch.equal(now, old), (
            f"neuron_scores() changed {name}; it should only look.\nBefore:\n{show(old)}\nafter:\n{show(now)}"
        )


def mlp_output(x, c_fc_weight, c_fc_bias, c_proj_weight):
    """Return the output of a feed-forward part for x (C,), without the last bias, as in gpt2_lib/gpt2.py."""
    hidden = torch.nn.functional.gelu(c_fc_weight @ x + c_fc_bias, approximate="tanh")  # (n,)
    return c_proj_weight @ hidden  # (C,)


def three_tensors(result, name):
    """Return the three tensors that remove_neurons or remove_heads returned."""
    assert result is not None, f"{name}() returned nothing: end it with `return ...`."
    assert isinstance(result, tuple | list), f"{name}() returns three tensors; a {type(result).__name__} came back."
    assert len(result) == 3, (
        f"{name}() returns three tensors, the weight and the bias that feed, and the weight that is fed; {len(result)} came back."
    )
    for what, tensor in zip(("first", "second", "third"), result, strict=True):
        assert isinstance(tensor, torch.Tensor), (
            f"{name}() returns three torch tensors; the {what} that came back is a {type(tensor).__name__}."
        )
    return [tensor.detach() for tensor in result]


def fitting(tensors, shapes, what):
    """Assert that the three tensors of remove_neurons or remove_heads have these shapes; ``what`` stays of which."""
    got = [tuple(tensor.shape) for tensor in tensors]
    assert got == shapes, f"{what}: the shapes {shapes} were expected; {got} came back."


@check("really smaller matrices")
def neurons_shapes(remove_neurons):
    keep = torch.tensor([0, 2, 3, 4])
    progress.given(f"c_fc weight (6, 3), bias (6,), c_proj weight (3, 6), keep = {keep.tolist()}")
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(shape, generator=generator) for shape in ((6, 3), (6,), (3, 6))]
    smaller = three_tensors(remove_neurons(*weights, keep), "remove_neurons")
    for name, old, new, shape, idea in zip(
        ("c_fc weight", "bias", "c_proj weight"),
        weights,
        smaller,
        ((4, 3), (4,), (3, 4)),
        (
            "A neuron is a row of it.",
            "Each neuron has one entry in it.",
            "A neuron is a column of it, since it is (out, in).",
        ),
        strict=True,
    ):
        got = tuple(new.shape)
        if got == tuple(old.shape):
            idea += " Its size did not change: zeros are not enough here."
        elif got == tuple(2 if size == 4 else size for size in shape):
            idea += " keep names those that stay."
        assert got == shape, (
            f"4 of 6 neurons stay: the {name} {tuple(old.shape)} becomes {shape}; yours is {got}. {idea}"
        )


@check("the same output as with those neurons silenced")
def neurons_output(remove_neurons):
    weights = [
        torch.tensor([[3.0, 0.0], [1.0, 2.0], [0.0, 0.0], [2.0, 1.0]]),
        torch.tensor([4.0, 2.0, 1.0, 2.0]),
        torch.tensor([[0.0, 1.0, 3.0, 2.0], [2.0, 0.0, 4.0, 0.0]]),
    ]
    progress.given("c_fc weight (4, 2), bias (4,), c_proj weight (2, 4), keep = [0, 1, 3]")
    smaller = three_tensors(remove_neurons(*[w.clone() for w in weights], torch.tensor([0, 1, 3])), "remove_neurons")
    n = smaller[0].size(0) if smaller[0].dim() == 2 else 0
    fitting(smaller, [(n, 2), (n,), (2, n)], f"{n} neurons, as c_fc has rows, in a model of width 2")
    x = torch.tensor([0.0, 0.0])  # of the token only the biases are left
    other = torch.tensor([1.0, 1.0])
    # GELU(4) = 3.9999 and GELU(2) = 1.9546; what GELU(1) = 0.8412 says must not come through
    wanted = torch.tensor([1.9546 * 1 + 1.9546 * 2, 3.9999 * 2])
    got = mlp_output(x, *[tensor.float() for tensor in smaller])
    leak = torch.tensor([0.8412 * 3, 0.8412 * 4])
    if torch.allclose(got, wanted + leak, atol=1e-3):
        idea = "What is too much is GELU(1) times neuron 2's column: its bias leaks through."
    else:
        idea = _which_neurons(smaller, weights)
    assert torch.allclose(got, wanted, atol=1e-3), (
        f"Neuron 2 silenced, the input (0, 0): the output is {[round(v, 3) for v in wanted.tolist()]}; with your matrices it is "
        f"{[round(v, 3) for v in got.tolist()]}. {idea}\nkeep = [0, 1, 3], c_proj weight before\n{show(weights[2])}\nyours\n{show(smaller[2])}"
    )
    assert n == 3, (
        f"The output is right, but {n} neurons are there, of which keep = [0, 1, 3] has 3: cut rows, biases and columns out, instead of "
        "writing zeros."
    )
    silenced = weights[2].clone()
    silenced[:, 2] = 0.0
    wanted, got = (
        mlp_output(other, weights[0], weights[1], silenced),
        mlp_output(other, *[tensor.float() for tensor in smaller]),
    )
    assert torch.allclose(got, wanted, atol=1e-3), (
        f"Neuron 2 silenced, the input (1, 1): the output is {[round(v, 3) for v in wanted.tolist()]}; with your matrices it is "
        f"{[round(v, 3) for v in got.tolist()]}. For (0, 0) it is right, so bias and c_proj are: look at the rows of c_fc.\n"
        f"keep = [0, 1, 3], c_fc weight before\n{show(weights[0])}\nyours\n{show(smaller[0])}"
    )


def _which_neurons(smaller, weights):
    """Return which neurons ``smaller`` has; a question if its row, bias and column are not those of the same ones."""
    feeds, bias, fed = weights
    for chosen in itertools.product(range(len(bias)), repeat=min(smaller[0].size(0), len(bias))):
        places = torch.tensor(chosen, dtype=torch.int64)
        parts = (feeds[places], bias[places], fed[:, places])
        if all(a.shape == b.shape and torch.equal(a, b.float()) for a, b in zip(parts, smaller, strict=True)):
            return f"What came back is of the neurons {[*chosen]}: keep has the numbers of those that stay."
    return "Do row, bias and column of what you keep belong to the same neurons?"


@check("copies in the order of keep, and the weights left alone")
def neurons_care(remove_neurons):
    weights = [torch.arange(8.0).view(4, 2), torch.arange(4.0), torch.arange(8.0).view(2, 4)]
    before = [tensor.clone() for tensor in weights]
    keep = torch.tensor([1, 2])
    progress.given("c_fc weight (4, 2), bias (4,), c_proj weight (2, 4), keep = [1, 2]")
    smaller = three_tensors(remove_neurons(*weights, keep), "remove_neurons")
    names = ("c_fc_weight", "c_fc_bias", "c_proj_weight")
    for name, now, old in zip(names, weights, before, strict=True):
        assert torch.equal(now, old), (
            f"remove_neurons() changed the {name} it was given; copies are asked for.\nBefore:\n{show(old)}\nafter:\n{show(now)}"
        )
    assert keep.tolist() == [1, 2], f"remove_neurons() changed keep, from [1, 2] to {keep.tolist()}."
    fitting(smaller, [(2, 2), (2,), (2, 2)], "2 of 4 neurons stay, in a model of width 2")
    assert smaller[1].tolist() == [1.0, 2.0], (
        f"Of the bias {before[1].tolist()}, keep = [1, 2] leaves [1.0, 2.0]; yours is {smaller[1].tolist()}."
    )
    every = three_tensors(remove_neurons(*weights, torch.tensor([0, 1, 2, 3])), "remove_neurons")
    for new in (*smaller, *every):
        new.zero_()
    for name, now, old in zip(names, weights, before, strict=True):
        assert torch.equal(now, old), (
            f"Writing into the smaller {name} wrote into the one that was given too: a copy of its own is asked for, "
            "also where all stay."
        )
