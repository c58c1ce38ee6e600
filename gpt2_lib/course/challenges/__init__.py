"""Artifacts of the four challenges, read and measured: packed models, an ONNX file, the log of a training run.

`bars` has the requirements, `reference` the pages for measuring, `budget` the same for exercise 2.5, which hands in
numbers and no file. Nothing is trained: a submission ships its files, and
these functions raise an AssertionError that says what is missing. They run outside the sandbox when a submission is
graded, so a file is inspected before it is used:

- A packed file is read as far as its configuration, with a limit on what it unpacks to, and goes on only if
  that describes gpt2-mini or a part of it, and the tokenizer is gpt2-mini's or none.
- An ONNX file goes to ONNX Runtime only if its graph equals, node by node, the one that `deploy.onnx.export_onnx`
  writes for the sizes it states: no foreign operators, no loops, no data in other files. Only the numbers
  are the submission's own.

This relies on zstandard, safetensors and protobuf to survive hostile bytes of a limited size. If one of them does
not, the process that judges this one submission ends, and the check gives no points. A file can't show whether a log
was typed by hand, as long as its end fits the model, nor which text a model was trained on. A model that is better
than gpt2-mini on the held-out plays by more than TOO_GOOD is refused: it must have been trained on them.
"""

from .artifacts import LARGEST, Tracked, exported, packed, tracked
from .bars import (
    EDGE_LOST,
    EDGE_PART_LOST,
    EDGE_PART_SPARSE,
    EDGE_SPARSE,
    FASTER,
    HALF,
    HALF_LOST,
    MOBILE_LOST,
    PART_SMALLER,
    REMOVED,
    REMOVED_LOST,
    SLACK,
    SMALLER,
    SPARSE,
    SPARSE_LOST,
    assert_agrees,
    assert_faster,
    assert_gone,
    assert_int8,
    assert_log,
    assert_quality,
    assert_removed,
    assert_schedule,
    assert_smaller,
)
from .budget import BUDGET, BUDGET_LEFT, assert_left, perplexity_left, prunable_sizes
from .onnx_file import Exported
from .packed_file import Packed
from .reference import accuracy, dense, int8_alone, lost, pages, weights

__all__ = [
    "BUDGET",
    "BUDGET_LEFT",
    "EDGE_LOST",
    "EDGE_PART_LOST",
    "EDGE_PART_SPARSE",
    "EDGE_SPARSE",
    "FASTER",
    "HALF",
    "HALF_LOST",
    "LARGEST",
    "MOBILE_LOST",
    "PART_SMALLER",
    "REMOVED",
    "REMOVED_LOST",
    "SLACK",
    "SMALLER",
    "SPARSE",
    "SPARSE_LOST",
    "Exported",
    "Packed",
    "Tracked",
    "accuracy",
    "assert_agrees",
    "assert_faster",
    "assert_gone",
    "assert_int8",
    "assert_left",
    "assert_log",
    "assert_quality",
    "assert_removed",
    "assert_schedule",
    "assert_smaller",
    "dense",
    "exported",
    "int8_alone",
    "lost",
    "packed",
    "pages",
    "perplexity_left",
    "prunable_sizes",
    "tracked",
    "weights",
]
