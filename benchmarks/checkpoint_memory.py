"""Peak memory of scripts that work on a checkpoint with the shape of GPT-2 124M."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from gpt2_lib import GPT2, load_pretrained_gpt2, save_pretrained
from gpt2_lib.config import PRESETS

# Before what is measured: peak() is the process's highest resident memory so far, in bytes.
PEAK = """
def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
"""


@contextmanager
def gpt2_folder() -> Iterator[tuple[str, int]]:
    """A checkpoint of 124M random weights in float32, with gpt2-mini's tokenizer; and the bytes of its weights."""
    model = GPT2(PRESETS["gpt2"]).init_weights()
    model.tokenizer = load_pretrained_gpt2().tokenizer
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(model, folder)
        del model
        yield folder, size


def numbers_from(script: str, *arguments: str) -> list[int]:
    """The numbers in the last line that ``script`` prints, in a Python of its own."""
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stderr}\nThe measured script failed.")
    return [int(number) for number in done.stdout.splitlines()[-1].split()]
