"""docs/your-own-model.md: every block runs, in the page's order, with a model of a few thousand weights."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tiny import random_model, tokenizer

from gpt2_lib import load_pretrained_gpt2, masks_of_zeros, save_pretrained
from gpt2_lib.__main__ import main
from gpt2_lib.deploy.serving.serve import _parser

BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.M | re.S)


def test_every_block_of_the_page_runs(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (repository / "docs" / "your-own-model.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    model = random_model()
    model.tokenizer = tokenizer()
    save_pretrained(model, "my-model")
    Path("train.txt").write_text("Whether 'tis nobler in the mind to suffer\n" * 40, encoding="utf-8")
    Path("test.txt").write_text("To be, or not to be: that is the question:\n" * 20, encoding="utf-8")
    Path("sparsities.json").write_text('{"*": 0.5, "*.attn.*": 0.3}', encoding="utf-8")
    names: dict[str, object] = {}
    for number, (language, block) in enumerate(BLOCK.findall(page), 1):
        if language == "python":
            exec(compile(block, f"block {number} of the page", "exec"), names)
        else:
            for line in block.splitlines():
                command, *arguments = shlex.split(line)
                assert command == "gpt2-pruning"
                main(arguments)
    said = capsys.readouterr().out
    assert said.count("Measured on test.txt (") == 6  # evaluate, compare, and prune four times
    trained, pruned = load_pretrained_gpt2("my-trained"), load_pretrained_gpt2("my-pruned")
    masks, before = masks_of_zeros(trained), masks_of_zeros(pruned)
    assert len(before) == 8
    assert all(bool((masks[name] <= mask).all()) for name, mask in before.items())  # no zero was lost
    assert load_pretrained_gpt2("my-smaller").config.neurons == (72, 72)
    assert Path("my-model.onnx").is_file()


def test_the_command_that_serves_is_one_that_the_server_takes(repository: Path) -> None:
    page = (repository / "docs" / "your-own-model.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"`gpt2-pruning serve (.*?)`", page)
    assert _parser().parse_args(shlex.split(line)).model == Path("my-model.onnx")
