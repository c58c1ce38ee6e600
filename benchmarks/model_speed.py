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
READS = 9  # of all weights, for the bandwidth

PROTOCOL = f"""\
Random weights, the same in both models; float32; CPU; one thread. The two take turns, and swap who goes first from
round to round; a figure is the median CPU time of the rounds (after one round that doesn't count), the ratio the median
of the rounds' ratios: above 1, `gpt2_lib` is the faster. A forward pass gives the logits of every position. Decoding
is greedy with the key-value cache, {PROMPT} tokens of prompt and {NEW} new ones, prompt included; transformers' side is
`generate`. Before it is timed, each pair must agree: logits within 1e-4, the same tokens.

A new token reads every weight of the blocks and of the head once, whatever code does it: bytes a token over the
bandwidth of one thread is the least time that it can take. The bandwidth is that of `Tensor.sum` over those weights,
the median of {READS}, CPU time. Where decoding comes near to it, memory is the limit, and no implementation can be much
faster than another with the same bytes."""


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


@torch.inference_mode()
def bandwidth_row(name: str, config: GPT2Config) -> list[str]:
    """Table row of one size: the bytes that a new token reads, the bandwidth of one read, and what decoding reaches."""
    model = GPT2(config).init_weights().eval()
    weights = [p for key, p in model.named_parameters() if not key.startswith("wpe")]
    size = sum(p.numel() * p.element_size() for p in weights)
    prompt = torch.randint(config.vocab_size, (1, PROMPT))
    reads, tokens = [], []
    for i in range(READS):
        reads.append(_seconds(lambda: [p.sum() for p in weights]))
        if i % 3 == 0:
            first, all_ = (_seconds(lambda n=n: list(generate_ids(model, prompt, n, temperature=0))) for n in (1, NEW))
            tokens.append((all_ - first) / (NEW - 1))  # without the prompt
    read, token = statistics.median(reads), statistics.median(tokens)
    cells = [f"{size / 1e6:.1f}", f"{size / read / 1e9:.1f}", f"{1e3 * read:.1f}", f"{1e3 * token:.1f}"]
    return [name, *cells, f"**{read / token:.2f}**"]


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _row(name: str, case: str, result: tuple[float, float, float]) -> list[str]:
    ours, theirs, ratio = result
    return [f"{name}, {case}", f"{ours * 1e3:.1f}", f"{theirs * 1e3:.1f}", f"**{ratio:.2f}**"]


def main() -> None:
    page = arguments(__doc__).out
    torch.set_num_threads(1)
    rows = measure("gpt2-mini", load_pretrained_gpt2().config, {"1x128": 60, "4x256": 20, "decode": 20})
    rows += measure("GPT-2 124M", GPT2Config(), {"1x128": 12, "4x256": 4, "decode": 6})
    text = table(["model, work", "gpt2_lib, ms", "transformers, ms", "ratio"], rows)
    header = ["decoding", "MB a token", "GB/s of a read", "ms of a read", "ms a token", "share of the bandwidth"]
    sizes = {"gpt2-mini": load_pretrained_gpt2().config, "GPT-2 124M": GPT2Config()}
    bound = table(header, [bandwidth_row(name, config) for name, config in sizes.items()])
    publish("model_speed", f"## Speed of the model\n\n{PROTOCOL}\n\n{environment()}.\n\n{text}\n\n{bound}", page)


if __name__ == "__main__":
    main()
