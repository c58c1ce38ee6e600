"""How much memory does pruning GPT-2 124M take, from the file to a text written by the pruned model?

python benchmarks/prune_memory.py [--out docs/benchmarks.md]

Exits with an error when a method takes more than the bar.
"""

from __future__ import annotations

import tempfile

from checkpoint_memory import PEAK, gpt2_folder, numbers_from
from report import arguments, environment, publish, table

BAR = 2.5
TOKENS, LENGTH = 4096, 128  # of calibration text; the widest matrix has 3,072 inputs

# What follows ``pruner.``; the model is ``pruner.model`` afterwards.
METHODS = {
    "magnitude, layer by layer": "prune_layers(0.5)",
    "magnitude, global": "prune_globally(0.5)",
    "magnitude, 2:4": "prune_n_m(2, 4)",
    "rectangles": "prune_rectangles(0.5)",
    "random": "prune_randomly(0.5)",
    "Taylor, layer by layer": "prune_taylor(windows, 0.5)",
    "Taylor, global": "prune_taylor(windows, 0.5, globally=True)",
    "Wanda": "prune_wanda(windows, 0.5)",
    "SparseGPT": "prune_sparsegpt(windows, 0.5)",
    "ADMM": "prune_admm(windows, 0.5)",
    "heads and neurons, zeroed": "prune_structures(0.25, 0.25, windows)",
    "heads and neurons, removed": "remove_structures(0.25, 0.25, windows)",
}

PROTOCOL = f"""\
A checkpoint with the shape of GPT-2 124M (random weights, float32) is loaded in a fresh process, pruned, saved, and let
go; the saved folder is loaded and writes 20 tokens. Calibration: {TOKENS:,} random tokens in windows of {LENGTH}. The
figure is the process's peak resident memory (VmHWM, so Linux) less that after PyTorch and the library were imported,
over the size of the weights. Bar: at most {BAR}."""

MEASURE = """
import sys
import torch
from gpt2_lib import ModelPruner, generate, load_pretrained_gpt2, save_pretrained
{peak}
before = peak()
pruner = ModelPruner(load_pretrained_gpt2(sys.argv[1]))
windows = torch.randint(2048, ({windows}, {length}))
pruner.{call}
pruned = peak()
save_pretrained(pruner.model, sys.argv[2])
del pruner
generate(load_pretrained_gpt2(sys.argv[2]), "**MACBETH**", 20)
print(pruned - before, peak() - before)
"""


def peaks(source: str, call: str) -> list[int]:
    """Bytes above the imports: after pruning, and at the end."""
    script = MEASURE.format(peak=PEAK, windows=TOKENS // LENGTH, length=LENGTH, call=call)
    with tempfile.TemporaryDirectory() as target:
        return numbers_from(script, source, target)


def main() -> None:
    page = arguments(__doc__).out
    with gpt2_folder() as (folder, size):
        found = {name: [peak / size for peak in peaks(folder, call)] for name, call in METHODS.items()}
    rows = [[name, *(f"{share:.2f}" for share in both)] for name, both in found.items()]
    text = table([f"peak / {size / 1e6:.0f} MB of weights", "loaded and pruned", "saved, loaded, used"], rows)
    missed = [
        f"{name} takes {whole:.2f} times the weights, not {BAR}" for name, (_, whole) in found.items() if whole > BAR
    ]
    publish("prune_memory", f"## Memory while pruning\n\n{PROTOCOL}\n\n{environment()}.\n\n{text}", page, missed)


if __name__ == "__main__":
    main()
