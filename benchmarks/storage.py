"""How small does a pruned gpt2-mini get on disk, beside zstd on the dense file?

python benchmarks/storage.py [--out docs/benchmarks.md]
"""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import torch
import zstandard
from report import arguments, environment, publish, table

from gpt2_lib import GPT2, evaluate, held_out_windows, load_pretrained_gpt2, save_pretrained
from gpt2_lib.corpus import MEASURED
from gpt2_lib.pruning import selection
from gpt2_lib.storage.packed import LEVEL, load_packed, save_packed

SPARSITIES = (0.0, 0.5, 0.6, 0.8, "2:4")
PROTOCOL = f"""\
gpt2-mini, pruned in one shot by magnitude: that share of every attention and feed-forward matrix, 80 % of its weights;
the embeddings stay dense. Sizes are of everything needed to load: weights, configuration, tokenizer, and for the
packed files bitmasks, scales and header. "safetensors" is the folder that `save_pretrained` writes, and the plain
answer is to compress its files with zstd, at the same level {LEVEL}. "packed" is `save_packed`: bitmask and non-zero
values, before and after its zstd. The bundled weights come from float16, so 13 of a float32's 23 fraction bits are zero
and compress well; training fills them. The second table is the same model with each weight moved by a random 0.1 %, as
any training would do. In brackets: times smaller than the float32 folder; what *pruning* gains is a line beside the 0%
of its own column. Bar: where anything is pruned, the packed file is smaller than the zipped folder, in fp32 and in
fp16."""

QUALITY = f"""\
What int8 costs in quality: {MEASURED} held-out windows of 256 tokens, before and after a round trip through the int8
file. (Pruned in one shot, with no recovery: it is the pruning that is dear, not the int8.)"""


@torch.no_grad()
def prune(dense: GPT2, sparsity: float | str) -> GPT2:
    """A pruned copy of ``dense``."""
    model = copy.deepcopy(dense)
    weights = {name: p for name, p in model.named_parameters() if name.startswith("h.") and p.dim() == 2}
    masks = selection.n_m_masks(weights) if isinstance(sparsity, str) else selection.layer_masks(weights, sparsity)
    for name, p in weights.items():
        p.masked_fill_(~masks[name], 0.0)
    return model


@torch.no_grad()
def as_if_trained(model: GPT2) -> GPT2:
    """A copy of ``model`` with random low bits in every weight."""
    model = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    for p in model.parameters():
        p.mul_(1 + 1e-3 * torch.randn(p.shape, generator=generator))
    return model


def folder_sizes(model: GPT2, dtype: torch.dtype) -> tuple[int, int]:
    """Bytes of the folder in Hugging Face's format, and of its files after zstd."""
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(model, folder, dtype)
        contents = [path.read_bytes() for path in Path(folder).iterdir()]
    return sum(map(len, contents)), sum(len(zstandard.compress(content, LEVEL)) for content in contents)


def percent(sparsity: float | str) -> str:
    return sparsity if isinstance(sparsity, str) else f"{sparsity:.0%}"


def storage(dense: GPT2, packed_file: Path) -> tuple[str, list[str]]:
    """The table of sizes of ``dense``, pruned, and the bars that are missed."""
    header = ["MB (1e6 bytes), pruned", "fp32, safetensors", "zstd", "packed", "packed, zstd"]
    header += ["fp16, safetensors", "zstd", "packed, zstd", "int8, packed, zstd"]
    rows, missed = [], []
    for sparsity in SPARSITIES:
        model = prune(dense, sparsity)
        fp32, fp32_zstd = folder_sizes(model, torch.float32)
        fp16, fp16_zstd = folder_sizes(model, torch.float16)
        packed = save_packed(model, packed_file)
        int8 = save_packed(model, packed_file, int8=True)
        half = save_packed(model.half(), packed_file)
        sizes = [fp32, fp32_zstd, packed.packed, packed.file, fp16, fp16_zstd, half.file, int8.file]
        cells = [f"{size / 1e6:.2f}" for size in sizes]
        for i in (3, 6, 7):  # the packed files
            cells[i] = f"**{cells[i]}** ({fp32 / sizes[i]:.1f}x)"
        rows.append([percent(sparsity), *cells])
        if sparsity != 0 and not (packed.file < fp32_zstd and half.file < fp16_zstd):
            missed.append(
                f"at {percent(sparsity)} the packed file is not smaller than zstd alone: {packed.file} of {fp32_zstd} "
                f"bytes, fp16 {half.file} of {fp16_zstd}"
            )
    return table(header, rows), missed


def quality(dense: GPT2, packed_file: Path) -> str:
    """The table of perplexities."""
    assert dense.tokenizer is not None
    windows = held_out_windows(dense.tokenizer, 256, MEASURED)
    rows = []
    for sparsity in SPARSITIES:
        model = prune(dense, sparsity)
        save_packed(model, packed_file, int8=True)
        fp32, int8 = evaluate(model, windows), evaluate(load_packed(packed_file), windows)
        change = int8.perplexity / fp32.perplexity - 1
        rows.append(
            [
                percent(sparsity),
                f"{fp32.perplexity:.3f}",
                f"{int8.perplexity:.3f}",
                f"{change:+.2%}",
                f"{100 * (int8.accuracy - fp32.accuracy):+.2f}",
            ]
        )
    return table(["pruned", "perplexity, fp32", "int8", "change", "top-1 accuracy, points"], rows)


def main() -> None:
    page = arguments(__doc__).out
    dense = load_pretrained_gpt2()
    with tempfile.TemporaryDirectory() as folder:
        packed_file = Path(folder) / "model.gpt2z"
        bundled, missed = storage(dense, packed_file)
        trained, missed_too = storage(as_if_trained(dense), packed_file)
        perplexities = quality(dense, packed_file)
    text = "\n\n".join(
        [
            f"## Size on disk\n\n{PROTOCOL}\n\n{environment()}, zstandard {zstandard.__version__}.",
            f"The bundled weights:\n\n{bundled}",
            f"With all bits of a float32 in use:\n\n{trained}",
            f"{QUALITY}\n\n{perplexities}",
        ]
    )
    publish("storage", text, page, missed + missed_too)


if __name__ == "__main__":
    main()
