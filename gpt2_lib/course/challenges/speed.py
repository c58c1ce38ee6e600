"""The speed of a model relative to gpt2-mini, both in ONNX Runtime on one thread."""

from __future__ import annotations

import statistics
import tempfile
import time
from functools import cache
from pathlib import Path

from ...deploy.onnx import OnnxGPT2, export_onnx
from .onnx_file import Exported
from .reference import dense, pages

TIMED, ROUNDS, ATTEMPTS = (1, 128), 21, 3  # batch and length; rounds in which the models take turns


def speed_up(found: Exported) -> float:
    """Return gpt2-mini's CPU time, exported in the same way, over that of ``found``: the median of ROUNDS turns."""
    batch, length = TIMED
    ids = pages()[:batch, :length]
    whole = dense_exported(found.int8)
    ratios = []
    for turn in range(ROUNDS + 1):
        seconds = {}
        for model in (whole, found.model) if turn % 2 else (found.model, whole):
            started = time.thread_time()
            model.logits(ids)
            seconds[model] = time.thread_time() - started
        ratios.append(seconds[whole] / seconds[found.model])
    return statistics.median(ratios[1:])  # the first is a warm-up


@cache
def dense_exported(int8: bool) -> OnnxGPT2:
    """Return gpt2-mini in ONNX Runtime."""
    with tempfile.TemporaryDirectory() as folder:
        return OnnxGPT2(export_onnx(dense(), Path(folder, "dense.onnx"), int8), threads=1)
