"""Claims about pruning that circulate, and what is true: the course teaches the difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """What is said, what is true (with its source), and the key of the figure that tests it here."""

    claim: str
    truth: str
    figure: str = ""


ISSUE_36214 = "[pytorch#36214](https://github.com/pytorch/pytorch/issues/36214)"
ZHU_GUPTA = "[Zhu and Gupta (2017)](https://arxiv.org/abs/1710.01878)"
SPARSEGPT = "[SparseGPT](https://arxiv.org/abs/2301.00774)"
WANDA = "[Wanda](https://arxiv.org/abs/2306.11695)"

CLAIMS = (
    Claim(
        "Magnitude pruning of 50 %: 1.2x less memory, 1.1x faster, “used by TensorRT, PyTorch”",
        f"Zeros in a dense tensor cost the same memory and time ({ISSUE_36214}). A file shrinks if it is packed: one "
        "bit an entry and the fp32 values left are 1.88x less for the pruned layers, 1.47x for the whole 124M model. "
        "TensorRT does not prune.",
        "zeros",
    ),
    Claim(
        "TensorRT prunes with its default method",
        "It has none. Its sparsity is off by default; `enable` uses weights that are 2:4 already; `force` overwrites "
        "weights and is deprecated.",
    ),
    Claim(
        "Structured pruning of 25 %: 1.3x less memory, 1.4x faster, “used by mobile, the Apple Neural Engine”",
        "25 % of the feed-forward neurons of GPT-2 124M are 1.13x fewer parameters, with 25 % of the heads 1.21x. "
        "Apple documents gains from *unstructured* sparsity of 75 % and more, stored sparse, as well.",
        "structured",
    ),
    Claim(
        "Gradual pruning of 70 %: 1.6x, “Google (BERT), Meta (LLaMA training)”",
        f"The schedule is from {ZHU_GUPTA} at Google, shown on vision, language modelling and translation. No source "
        "for BERT in production was found. Llama 3.2 1B and 3B: structured, in a single shot, then distilled.",
        "gradual",
    ),
    Claim(
        "Global pruning of 60 %: 1.8x, “NVIDIA, Hugging Face”",
        "Memory depends on sparsity and format, not on how weights were chosen. NVIDIA's ASP is 2:4 per group, "
        "Minitron is structured; Optimum's pruning wrapped Intel Neural Compressor and is gone.",
        "global",
    ),
    Claim(
        "Deploy 60 % sparsity with less than 2 % loss",
        "Not in one shot: OPT-125M at 50 % goes from perplexity 27.66 to 193 by magnitude, 38.9 by "
        f"{WANDA}, 37.0 by {SPARSEGPT}. With gradual pruning and training: yes.",
        "one shot",
    ),
    Claim("PyTorch Mobile runs it", "PyTorch Mobile is no longer supported; its successor is ExecuTorch."),
    Claim("The Edge TPU uses block sparsity", "It needs full int8; no support for sparsity was found."),
    Claim(
        "Structured pruning and quantisation: 3-5x",
        "Plausible: `python -m gpt2_lib.deploy bench`.",
        "structured and int8",
    ),
)


def claims_table(measured: Mapping[str, str]) -> str:
    """Claim, truth and ``measured[claim.figure]`` as a Markdown table.

    A claim whose figure is not in ``measured`` says that it was not measured here. Raises KeyError
    for a figure that no claim asks for.
    """
    unknown = set(measured) - {claim.figure for claim in CLAIMS}
    if unknown:
        raise KeyError(f"No claim asks for the figures {sorted(unknown)}.")
    lines = ["| what is said | what is true | measured here |", "|-|-|-|"]
    for claim in CLAIMS:
        figure = measured.get(claim.figure, "not measured in this notebook" if claim.figure else "nothing to measure")
        lines.append(f"| {claim.claim} | {claim.truth} | {figure} |")
    return "\n".join(lines)
