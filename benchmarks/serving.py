"""A thousand requests, sixteen at a time: is one lost, does the memory stay flat, and what does pruning save?

python benchmarks/serving.py [--out docs/benchmarks.md]
"""

from __future__ import annotations

import os
from importlib import metadata

import torch
from report import arguments, environment, publish, table

from gpt2_lib import GPT2, ModelPruner, load_pretrained_gpt2
from gpt2_lib.deploy.serving.load_test import load_test
from gpt2_lib.deploy.serving.serve import Settings
from gpt2_lib.deploy.serving.service import deploy_to_production

REQUESTS, CONCURRENCY, NEW_TOKENS = 1000, 16, 32
WARM_UP = 100  # requests, after which the memory is read for the first time
FLAT = 10 * 2**20  # bytes that the resident memory may grow by from then on
RATIO = 0.25  # of the heads and of the neurons of every block

PROTOCOL = f"""\
`deploy_to_production(model)` serves gpt2-mini as int8 ONNX, and {RATIO:.0%} of its heads and neurons removed (at once,
without training after it: this measures the server). {REQUESTS:,} requests for {NEW_TOKENS} tokens each, {CONCURRENCY}
at any time, each on a connection of its own, after {WARM_UP} that don't count; {Settings().concurrent} generations at
the same time, one thread each, the others wait. The client shares the machine with the server, and its times are
wall-clock; CPU time and resident memory are the server's own, the memory before and after the {REQUESTS:,}. Bars: every
request answered with 200, and the memory grown by at most {FLAT / 2**20:.0f} MiB. Which model is the faster, this table
doesn't say: each is served once, on a machine that does other things too."""


def served(name: str, model: GPT2) -> tuple[list[str], bool]:
    """A table row, and whether the bars are met."""
    with deploy_to_production(model) as deployment:
        load_test(deployment.url, WARM_UP, CONCURRENCY, NEW_TOKENS)
        result = load_test(deployment.url, REQUESTS, CONCURRENCY, NEW_TOKENS)
    row = [
        name,
        f"**{result.statuses.get(200, 0):,}**",
        f"{result.lost}",
        f"{result.requests_per_second:.1f}",
        f"{result.tokens_per_second:.0f}",
        f"{result.server_cpu_seconds / REQUESTS * 1e3:.1f}",
        f"{result.median_seconds * 1e3:.0f}",
        f"{result.p95_seconds * 1e3:.0f}",
        f"{result.resident_bytes_before / 2**20:.0f}",
        f"**{result.resident_bytes_after / 2**20:.0f}**",
    ]
    return row, result.errors == 0 and result.resident_bytes_after - result.resident_bytes_before <= FLAT


def main() -> None:
    page = arguments(__doc__).out
    torch.set_num_threads(1)
    dense = load_pretrained_gpt2()
    models = {
        "dense": dense,
        f"{RATIO:.0%} of heads and neurons removed": ModelPruner(dense).remove_structures(RATIO, RATIO),
    }
    rows, met = zip(*(served(name, model) for name, model in models.items()), strict=True)
    header = [
        "served model",
        "answered with 200",
        "lost",
        "requests/s",
        "tokens/s",
        "CPU ms/request",
        "median, ms",
        "p95, ms",
        "MiB before",
        "MiB after",
    ]
    missed = [f"the {name} model" for name, good in zip(models, met, strict=True) if not good]
    setting = f"{environment()}, {os.cpu_count()} cores, ONNX Runtime {metadata.version('onnxruntime')}"
    publish("serving", f"## Serving\n\n{PROTOCOL}\n\n{setting}.\n\n{table(header, rows)}", page, missed)


if __name__ == "__main__":
    main()
