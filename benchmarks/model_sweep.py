"""Which size for gpt2-mini? Train several on the same text and compare them on held-out plays.

Each sees the same number of characters; vocabularies differ, so bits per character is the figure to
compare. ``python benchmarks/model_sweep.py`` writes docs/model_sweep.csv (an hour of CPU).
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from copy import deepcopy
from pathlib import Path

import torch

from gpt2_lib import corpus
from gpt2_lib.config import GPT2Config
from gpt2_lib.gpt2 import GPT2
from gpt2_lib.metrics import evaluate
from gpt2_lib.pruning.pruner import apply_magnitude_pruning
from gpt2_lib.tokenizer import Tokenizer
from gpt2_lib.train import Recipe, Run, fit

CONTEXT = 256
RUNS = [  # vocabulary, layers, width (always 4 heads), optimiser of the blocks' matrices
    (512, 4, 192, "Muon"),
    (1024, 4, 192, "AdamW"),
    (1024, 4, 192, "Muon"),
    (2048, 4, 128, "Muon"),
    (2048, 4, 192, "Muon"),
    (2048, 4, 256, "Muon"),
    (2048, 6, 192, "Muon"),
]


def train_one(vocabulary: int, layers: int, width: int, optimizer: str, characters: float) -> dict:
    torch.set_num_threads(1)
    texts = corpus.training_plays()
    tokenizer = Tokenizer.train(texts.values(), vocabulary)
    ids = corpus.encode(texts, tokenizer)
    per_token = sum(map(len, texts.values())) / len(ids)
    recipe = Recipe(steps=round(characters / per_token / (16 * CONTEXT)))
    torch.manual_seed(recipe.seed)
    model = GPT2(GPT2Config(vocabulary, CONTEXT, width, layers, 4)).init_weights()
    model.tokenizer = tokenizer
    held_out = corpus.held_out_windows(tokenizer, CONTEXT)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(model, recipe, Path(folder) / "run.pt")
        if optimizer == "AdamW":  # for everything, at the same learning rate as the embeddings
            run.optimizers[:] = [torch.optim.AdamW(model.parameters(), lr=recipe.adam_lr, betas=(0.9, 0.95))]
        fit(run, ids, held_out[:1], every=recipe.steps)
    trained = time.process_time() - started
    quality = evaluate(model, held_out)
    started = time.process_time()
    evaluate(model, held_out[: 10_000 // CONTEXT])
    forward = time.process_time() - started
    rise = {
        s: evaluate(apply_magnitude_pruning(deepcopy(model), s), held_out).perplexity / quality.perplexity
        for s in (0.5, 0.8)
    }
    return {
        "vocabulary": vocabulary,
        "layers": layers,
        "width": width,
        "optimizer": optimizer,
        "parameters": sum(p.numel() for p in model.parameters()),
        "characters_per_token": round(per_token, 3),
        "train_cpu_seconds": round(trained),
        "bits_per_character": round(quality.bits_per_character, 4),
        "perplexity": round(quality.perplexity, 2),
        "accuracy": round(quality.accuracy, 4),
        "perplexity_x_at_50%": round(rise[0.5], 3),
        "perplexity_x_at_80%": round(rise[0.8], 3),
        "cpu_seconds_per_10k_tokens": round(forward, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--characters", type=float, default=2.5e6, help="training text a model sees")
    parser.add_argument("--add", action="store_true", help="only the runs that --out lacks")
    parser.add_argument("--out", type=Path, default=Path("docs/model_sweep.csv"))
    arguments = parser.parse_args()
    rows = []
    if arguments.add and arguments.out.is_file():
        with arguments.out.open() as file:
            rows = list(csv.DictReader(file))
    done = {(int(r["vocabulary"]), int(r["layers"]), int(r["width"]), r["optimizer"]) for r in rows}
    with ProcessPoolExecutor(2) as pool:
        jobs = [pool.submit(train_one, *run, arguments.characters) for run in RUNS if run not in done]
        for job in as_completed(jobs):
            rows.append(job.result())
            print(rows[-1], flush=True)
            with arguments.out.open("w", newline="") as file:
                writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
                writer.writeheader()
                writer.writerows(sorted(rows, key=lambda row: float(row["bits_per_character"])))


if __name__ == "__main__":
    main()
