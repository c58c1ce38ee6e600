"""How much memory does loading GPT-2 124M take, beside transformers' from_pretrained?

python benchmarks/load_memory.py [--out docs/benchmarks.md]
"""

from __future__ import annotations

import statistics

from checkpoint_memory import PEAK, gpt2_folder, numbers_from
from report import arguments, environment, publish, table

ROUNDS = 3
BAR = 1.15

PROTOCOL = f"""\
A checkpoint with the shape of GPT-2 124M (random weights, float32) is loaded in a fresh process, {ROUNDS} times with
each library in turns. The figure is the process's peak resident memory (VmHWM, so Linux) less that after PyTorch and
the library were imported, median of the {ROUNDS}, over the size of the weights. It is taken after loading, and again
after a forward pass of 8 tokens: transformers leaves the weights in the file until they are used, `gpt2_lib` reads them
at once (they are turned on the way, and the file may then be replaced). Bar: `gpt2_lib` at most {BAR} in both."""


MEASURE = """
import sys
{imports}
{peak}
before = peak()
model = {load}(sys.argv[1])
loaded = peak()
with torch.inference_mode():
    model(torch.zeros(1, 8, dtype=torch.int64))
print(loaded - before, peak() - before)
"""

LOADERS = {
    "gpt2_lib, load_pretrained_gpt2": MEASURE.format(
        peak=PEAK, imports="import torch\nfrom gpt2_lib import load_pretrained_gpt2", load="load_pretrained_gpt2"
    ),
    "transformers, from_pretrained": MEASURE.format(
        peak=PEAK,
        imports="import torch\nfrom transformers import GPT2LMHeadModel",
        load="GPT2LMHeadModel.from_pretrained",
    ),
}


def peaks(folder: str) -> dict[str, tuple[float, float]]:
    """Median peaks of each loader, in bytes above the imports: after loading, after a first use."""
    seen: dict[str, list[tuple[int, ...]]] = {name: [] for name in LOADERS}
    for _ in range(ROUNDS):
        for name, script in LOADERS.items():
            seen[name].append(tuple(numbers_from(script, folder)))
    return {name: tuple(map(statistics.median, zip(*rounds, strict=True))) for name, rounds in seen.items()}


def main() -> None:
    page = arguments(__doc__).out
    with gpt2_folder() as (folder, size):
        rows = [[name, *(f"{peak / size:.2f}" for peak in both)] for name, both in peaks(folder).items()]
    text = table([f"peak / {size / 1e6:.0f} MB of weights", "loaded", "and used once"], rows)
    publish("load_memory", f"## Memory while loading\n\n{PROTOCOL}\n\n{environment()}.\n\n{text}", page)


if __name__ == "__main__":
    main()
