"""How fast is `gpt2_lib`'s GPT-2 beside transformers' GPT2LMHeadModel? Same weights, same CPU, one run.

python benchmarks/model_speed.py [--out docs/benchmarks.md]
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable

import torch
from report import arguments, environment, publish, table
from torch import Tensor
from transformers import GPT2LMHeadModel

from gpt2_lib import GPT2, GPT2Config, load_pretrained_gpt2, save_pretrained
from gpt2_lib.generate import generate_ids

PROMPT, NEW = 64, 64  # tokens of the decoding case

PROTOCOL = f"""\
Random weights, the same in both models; float32; CPU; one thread. The two take turns, and swap who goes first from
round to round; a figure is the median CPU time of the rounds (after one round that doesn't count), the ratio the median
of the rounds' ratios: above 1, `gpt2_lib` is the faster. A forward pass gives the logits of every position. Decoding
is greedy with the key-value cache, {PROMPT} tokens of prompt and {NEW} new ones, prompt included; transformers' side is
`generate`. Before it is timed, each pair must agree: logits within 1e-4, the same tokens."""


def twins(config: GPT2Config) -> tuple[GPT2, GPT2LMHeadModel]:
    """A GPT-2 with random weights, and the same in transformers."""
    torch.manual_seed(0)
    ours = GPT2(config).init_weights().eval()
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(ours, folder)
        return ours, GPT2LMHeadModel.from_pretrained(folder).eval()


def race(ours: Callable[[], Tensor], theirs: Callable[[], Tensor], rounds: int) -> tuple[float, float, float]:
    """Median CPU seconds of both, and the median ratio theirs / ours."""
    if not torch.allclose(ours(), theirs(), rtol=0, atol=1e-4):
        raise SystemExit("The two models disagree: there is nothing to compare.")
    times: dict[Callable, list[float]] = {ours: [], theirs: []}
    for i in range(rounds):
        for work in (ours, theirs) if i % 2 else (theirs, ours):
            start = time.process_time()
            work()
            times[work].append(time.process_time() - start)
    ratio = statistics.median(t / o for o, t in zip(times[ours], times[theirs], strict=True))
    return statistics.median(times[ours]), statistics.median(times[theirs]), ratio


@torch.inference_mode()
def measure(name: str, config: GPT2Config, rounds: dict[str, int]) -> list[list[str]]:
    """Table rows of one size: two forward passes and decoding, ``rounds`` of each."""
    ours, theirs = twins(config)
    rows = []
    for case, batch, length in (("1x128", 1, 128), ("4x256", 4, 256)):
        ids = torch.randint(config.vocab_size, (batch, length))
        result = race(lambda ids=ids: ours(ids), lambda ids=ids: theirs(ids).logits, rounds[case])
        rows.append(_row(name, f"forward {case}", result))
    prompt = torch.randint(config.vocab_size, (1, PROMPT))
    decode = theirs.generate  # pyright: ignore[reportAttributeAccessIssue]  # its protocol doesn't fit its models
    result = race(
        lambda: torch.cat([prompt, *generate_ids(ours, prompt, NEW, temperature=0)], dim=1),
        lambda: decode(prompt, max_new_tokens=NEW, do_sample=False),
        rounds["decode"],
    )
    rows.append(_row(name, f"decode {PROMPT}+{NEW}", result))
    return rows


def _row(name: str, case: str, result: tuple[float, float, float]) -> list[str]:
    ours, theirs, ratio = result
    return [f"{name}, {case}", f"{ours * 1e3:.1f}", f"{theirs * 1e3:.1f}", f"**{ratio:.2f}**"]


def main() -> None:
    page = arguments(__doc__).out
    torch.set_num_threads(1)
    rows = measure("gpt2-mini", load_pretrained_gpt2().config, {"1x128": 60, "4x256": 20, "decode": 20})
    rows += measure("GPT-2 124M", GPT2Config(), {"1x128": 12, "4x256": 4, "decode": 6})
    text = table(["model, work", "gpt2_lib, ms", "transformers, ms", "ratio"], rows)
    publish("model_speed", f"## Speed of the model\n\n{PROTOCOL}\n\n{environment()}.\n\n{text}", page)


if __name__ == "__main__":
    main()
