"""Tests of type checkers on a user's script: no error in a right one, and the line of a misspelt key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import second_environment

SCRIPT = """
from pathlib import Path
from typing import assert_type

import torch
from torch.nn import functional as F

from gpt2_lib import (
    GPT2,
    MaskKeeper,
    ModelPruner,
    allocate,
    compare,
    evaluate,
    generate,
    load_pretrained_gpt2,
    quick_magnitude_prune,
    save_packed,
    save_pretrained,
    windows_of,
)
from gpt2_lib.pruning import scores, sensitivity
from gpt2_lib.pruning.targets import prunable_weights
from gpt2_lib.tokenizer import Tokenizer

model, tokenizer = load_pretrained_gpt2()
assert_type(model, GPT2)
assert_type(tokenizer, Tokenizer)
own, own_tokenizer = load_pretrained_gpt2(Path("my-model"))
assert_type(own_tokenizer, Tokenizer | None)  # a folder may have none
loaded = load_pretrained_gpt2("gpt2-mini")
text = windows_of(Path("train.txt").read_text(encoding="utf-8"), tokenizer, loaded.config.n_positions)
test = text[:2]
print(compare(loaded, ["magnitude", "wanda"], 0.5, text=text, test=text).rows[0].quality.perplexity)
points = sensitivity.scan(loaded, text, {"magnitude": scores.magnitude(prunable_weights(loaded))})
pruner = ModelPruner(loaded)
masks = pruner.prune("magnitude", allocate(points, 0.5))
pruner, statistics = quick_magnitude_prune(model, att_sparsity=0.3, ff_sparsity=0.5)
print(f"{statistics['sparsity']:.0%}", statistics["layers"]["h.0.attn.c_attn.weight"]["zeros"])
optimizer = torch.optim.AdamW(loaded.parameters(), lr=1e-4)
keeper = MaskKeeper(loaded, [optimizer], masks)
for batch in text.split(4):
    logits = loaded(batch[:, :-1])
    F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten()).backward()
    optimizer.step()
    optimizer.zero_grad()
keeper.remove()
print(evaluate(loaded, text).perplexity, generate(loaded, "To be", 20))
save_pretrained(loaded, "out")
print(save_packed(loaded, "out.pack").file)
"""


def test_a_right_script_passes_and_a_misspelt_key_is_seen(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "right.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(SCRIPT.replace("statistics['sparsity']", "statistics['sparcity']"), "utf-8")
    settings = {"extraPaths": [str(repository)], "pythonVersion": "3.11", "typeCheckingMode": "standard"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run([*command, "--project", str(tmp_path)], capture_output=True, text=True, cwd=tmp_path)
    found = json.loads(done.stdout)["generalDiagnostics"]
    (seen,) = found
    assert Path(seen["file"]).name == "wrong.py"
    assert "sparcity" in seen["message"]


def test_mypy_says_the_same(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "right.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(SCRIPT.replace("statistics['sparsity']", "statistics['sparcity']"), "utf-8")
    (tmp_path / "mypy.ini").write_text("[mypy]\n[mypy-torch.*]\nfollow_imports = skip\n")  # it takes a minute
    options = ["--python-version", "3.11", "--cache-dir", str(tmp_path / "cache"), "--no-error-summary"]
    command = [second_environment.python(), "-m", "mypy", *options, "right.py", "wrong.py"]
    environment = os.environ | {"MYPYPATH": str(repository)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    lines = [line for line in done.stdout.splitlines() if ": error:" in line]
    (seen,) = [line for line in lines if line.startswith(("right.py:", "wrong.py:"))]  # others are of what is imported
    assert seen.startswith("wrong.py:")
    assert "sparcity" in seen
