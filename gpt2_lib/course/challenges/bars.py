"""The requirements of the four challenges, as assertions on artifacts. Each prints the value that it measured."""

from __future__ import annotations

from itertools import pairwise

import torch

from ...storage.quantize import dequantize_int8, quantize_int8
from . import speed
from .artifacts import Tracked
from .onnx_file import Exported
from .packed_file import Packed
from .reference import accuracy, dense, int8_alone, lost, weights

# The bars. Accuracy lost is relative to gpt2-mini as bundled: 0.02 is 2 % of its top-1 accuracy.
SPARSE, SPARSE_LOST = 0.6, 0.02  # challenges a and c: the share of the prunable weights that is gone
HALF, HALF_LOST = 0.5, 0.04  # a good part of the way there
FASTER, MOBILE_LOST = 1.3, 0.04  # challenge b: times as fast as dense
REMOVED, REMOVED_LOST = 0.2, 0.1  # a good part of the way: the share of the blocks' weights that is cut out
CUTS = 4  # challenge c: so many times, at least, the sparsity rises
SMALLER, EDGE_LOST = 1.3, 0.02  # challenge d: times smaller than gpt2-mini packed in int8: the gain by pruning
EDGE_SPARSE = 0.5
PART_SMALLER, EDGE_PART_LOST = 1.1, 0.04  # a good part of the way
EDGE_PART_SPARSE = 0.25  # coarser steps make a file smaller too: pruning is what is asked for
SLACK = 0.015  # on the visible pages, both ways: so few of them say no more than about a percent
TOO_GOOD = 0.01  # better than gpt2-mini by this share; ten steps of training on the held-out pages give 0.04


def assert_gone(found: Packed, share: float) -> None:
    """Assert that at least ``share`` of the prunable weights is pruned (to a tenth of a percent)."""
    assert found.gone >= share - 0.001, (
        f"{found.gone:.1%} of gpt2-mini's {weights():,} prunable weights are zero or cut out; {share:.0%} are asked "
        "for. (Prunable are the attention and feed-forward matrices, not the embeddings.)"
    )
    print(f"{found.gone:.1%} of the prunable weights are gone; {share:.0%} are asked for")


def assert_quality(found: Packed | Exported, most: float, hidden: bool = False) -> None:
    """Assert that less than ``most`` of the accuracy on `pages` is lost, and no more than TOO_GOOD gained.

    On the visible pages SLACK is added to both limits.
    """
    slack = 0.0 if hidden else SLACK
    share, bar = lost(found.model, hidden), most + slack
    text = "pages that you don't see" if hidden else "the visible pages"
    asked = f"less than {bar:.1%} is asked for" + ("" if hidden else f" there, {most:.0%} on the pages that decide")
    assert share < bar, (
        f"{share:.2%} of gpt2-mini's top-1 accuracy is lost on {text} ({accuracy(found.model, hidden):.2%} of the "
        f"tokens are right, and {accuracy(dense(), hidden):.2%} before); {asked}."
    )
    assert share > -TOO_GOOD - slack, (
        f"The model is better than gpt2-mini by {-share:.1%} on {text}, and {TOO_GOOD + slack:.1%} is the limit. Has "
        "it been trained on the plays that are held out? They are there to measure on."
    )
    print(f"{share:.2%} of the accuracy is lost on {text}; {asked}")


def assert_smaller(found: Packed, times: float) -> None:
    """Assert that gpt2-mini's unpruned int8 file, packed in the same way, is at least ``times`` as large."""
    assert found.smaller >= times, (
        f"Your file has {found.size:,} bytes. gpt2-mini in int8, packed and not pruned, has {int8_alone():,}: "
        f"{found.smaller:.2f} times as many, and {times:g} times is asked for. The rest has to come from pruning."
    )
    print(f"the file is {found.smaller:.2f} times smaller than gpt2-mini in int8; {times:g} times is asked for")


def assert_int8(found: Packed) -> None:
    """Assert that each row of every matrix holds multiples, from -127 to 127, of one number."""
    for name, p in found.model.named_parameters():
        if p.dim() == 2:
            again = dequantize_int8(*quantize_int8(p))
            assert torch.allclose(again, p, rtol=1e-4, atol=0), (
                f"{name} is not stored as int8. save_packed(model, path, int8=True) does it, for all matrices."
            )


def assert_removed(found: Exported, share: float) -> None:
    """Assert that at least ``share`` of the blocks' weights is removed."""
    assert found.removed >= share, (
        f"{found.removed:.1%} of the weights of gpt2-mini's blocks are cut out; {share:.0%} are asked for. Zeros stay "
        "in the matrices: ModelPruner.remove_structures makes these smaller."
    )
    print(f"{found.removed:.1%} of the blocks' weights are cut out; {share:.0%} are asked for")


def assert_faster(found: Exported, times: float) -> None:
    """Assert a speed of at least ``times`` gpt2-mini's, exported in the same way; the best of three runs counts."""
    best = 0.0
    for _ in range(speed.ATTEMPTS):
        best = max(best, speed.speed_up(found))
        if best >= times:
            break
    assert best >= times, (
        f"The model is {best:.2f} times as fast as gpt2-mini in ONNX Runtime, both in "
        f"{'int8' if found.int8 else 'float32'}, batch and length {speed.TIMED}, one thread; {times:g} times is "
        "asked for. Remove more heads or neurons."
    )
    print(f"{best:.2f} times as fast as dense, batch and length {speed.TIMED}; {times:g} times is asked for")


def assert_log(found: Tracked) -> None:
    """Assert that the log is a training run's: rising steps, positive losses, rows before and after the cuts."""
    steps = [row["step"] for row in found.rows]
    assert all(earlier < later for earlier, later in pairwise(steps)), "The log's steps must rise from row to row."
    assert all(row["loss"] > 0 for row in found.rows), "The log's losses are cross-entropies, and above 0."
    assert len(found.rows) > CUTS, f"The log has {len(found.rows)} rows; {CUTS} cuts and an end need more."
    print(f"a log of {len(found.rows)} rows, steps {steps[0]:g} to {steps[-1]:g}")


def assert_schedule(found: Tracked) -> None:
    """Assert that the sparsity rises in CUTS cuts or more, none over half of the total, with training after."""
    levels = [0.0, *(row["sparsity"] for row in found.rows)]
    rises = [later - earlier for earlier, later in pairwise(levels)]
    cuts = [number for number, rise in enumerate(rises) if rise > 0.001]
    assert min(rises) > -0.005, "The log's sparsity falls at some row: a gradual schedule only rises."
    assert len(cuts) >= CUTS, (
        f"The log's sparsity rises {len(cuts)} times; a gradual schedule has at least {CUTS} cuts, each with a row."
    )
    assert max(rises) <= levels[-1] / 2 + 0.001, (
        f"One cut takes {max(rises):.1%} of the weights, more than half of the {levels[-1]:.1%} that go in all."
    )
    assert cuts[-1] < len(rises) - 1, "The log ends with a cut: continue training after it, and log that."
    print(f"{len(cuts)} cuts to a sparsity of {levels[-1]:.1%}; at least {CUTS} are asked for")


def assert_agrees(found: Tracked) -> None:
    """Assert that the log's last row has the final model's sparsity and its accuracy on the visible pages."""
    last = found.rows[-1]
    assert abs(last["sparsity"] - found.packed.gone) < 0.002, (
        f"The log ends at a sparsity of {last['sparsity']:.2%}, and the model handed in has {found.packed.gone:.2%}."
    )
    here = accuracy(found.packed.model)
    assert abs(last["accuracy"] - here) < 0.003, (
        f"The log ends at an accuracy of {last['accuracy']:.2%}, and the model handed in has {here:.2%} on the visible "
        "pages: evaluate(model, pages()).accuracy."
    )
    print(f"the log ends where the model is: sparsity {found.packed.gone:.1%}, accuracy {here:.1%}")
