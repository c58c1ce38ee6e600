"""Tests of docs/your-own-model.md: every block runs, in the page's order, with a model of a few thousand weights."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TINY, UNEVEN, random_model, tokenizer

from gpt2_lib import (
    GPT2,
    GPT2Config,
    ModelPruner,
    load_packed,
    load_pretrained_gpt2,
    masks_of_zeros,
    metrics,
    save_packed,
    save_pretrained,
)
from gpt2_lib.__main__ import main
from gpt2_lib.deploy.onnx_runtime import OnnxGPT2
from gpt2_lib.deploy.serving import kubernetes
from gpt2_lib.deploy.serving.serve import parser
from gpt2_lib.pruning.targets import prunable_weights

BLOCK = re.compile(r"^```(bash|python|yaml)\n(.*?)^```$", re.M | re.S)


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
    (methods,) = [block for _, block in BLOCK.findall(page) if "def by_input" in block]
    Path("my_methods.py").write_text(methods, encoding="utf-8")
    names: dict[str, object] = {}
    for number, (language, block) in enumerate(BLOCK.findall(page), 1):
        if language == "yaml":
            shutil.copytree(Path(kubernetes.__file__).parent / "manifests", "gpt2_lib/deploy/serving/manifests")
            Path("my-cluster").mkdir()
            Path("my-cluster", "kustomization.yaml").write_text(block, encoding="utf-8")
            assert kubernetes.validate("my-cluster") == []
        elif language == "python":
            if block == methods:
                continue  # the commands above it have imported it
            exec(compile(block, f"block {number} of the page", "exec"), names)
        else:
            for line in block.splitlines():
                command, *arguments = shlex.split(line)
                assert command == "gpt2-pruning"
                main(arguments)
    said = capsys.readouterr().out
    assert said.count("Measured on test.txt (") == 8  # evaluate, compare twice, and prune five times
    trained, pruned = load_pretrained_gpt2("my-trained"), load_pretrained_gpt2("my-pruned")
    masks, before = masks_of_zeros(trained), masks_of_zeros(pruned)
    assert len(before) == 8
    assert all(bool((masks[name] <= mask).all()) for name, mask in before.items())  # no zero was lost
    assert load_pretrained_gpt2("my-smaller").config.neurons == (72, 72)
    assert metrics.sparsity(prunable_weights(load_pretrained_gpt2("my-own")).values()) == 0.5
    assert "| my_methods.py:by_input | 50.0% |" in said
    assert Path("my-model.onnx").is_file()
    assert Path("methods.png").read_bytes().startswith(b"\x89PNG")
    config, weights = names["config"], names["weights"]
    assert isinstance(config, dict)
    assert isinstance(weights, dict)
    assert config["n_embd"] == trained.config.n_embd
    assert {*weights} == {name for name, _ in trained.named_parameters()}
    assert all(torch.equal(weights[name], p) for name, p in trained.named_parameters())  # said on the page, too
    start = torch.tensor([tokenizer().encode("To be, or not")])
    served = OnnxGPT2("my-model.onnx").generate_ids(start, 5, temperature=0, stop_at=None)
    assert names["written"] == [int(token) for token in served]
    for name, sparsity in (("gradual", 0.6), ("student", 0.6), ("recovered", 0.5)):
        model = names[name]
        assert isinstance(model, GPT2)
        assert metrics.sparsity(prunable_weights(model).values()) == pytest.approx(sparsity, abs=0.01)


def test_the_reader_of_packed_files_is_short_and_reads_every_kind(repository: Path, tmp_path: Path) -> None:
    page = (repository / "docs" / "your-own-model.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n([^`]*?def read_packed.*?)^config, weights = ", page, re.M | re.S)
    assert len([line for line in block.splitlines() if line]) <= 42
    names: dict[str, Any] = {}
    exec(block, names)
    odd = GPT2Config(vocab_size=300, n_positions=32, n_embd=25, n_layer=2, n_head=5)
    sizes = {"even": TINY, "uneven": UNEVEN, "wide": replace(TINY, n_embd=136, neurons=(80, 70)), "odd": odd}
    sizes["one neuron"] = replace(odd, neurons=(1, 7))
    kinds: list[dict[str, bool]] = [{}, {"int8": True}, {"int4": True}]
    for (number, config), kind, sparsity in product(sizes.items(), kinds, (0.0, 0.7)):
        model = random_model(config)
        ModelPruner(model).prune("magnitude", sparsity)
        path = tmp_path / f"{number}.pack"
        save_packed(model, path, **kind)
        expected = dict(load_packed(path).named_parameters())
        found = names["read_packed"](path)[1]
        assert {*found} == {*expected}
        assert all(torch.equal(found[name], p) for name, p in expected.items())
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(ValueError, match="damaged"):
            names["read_packed"](path)


def test_the_command_that_serves_is_one_that_the_server_takes(repository: Path) -> None:
    page = (repository / "docs" / "your-own-model.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"`gpt2-pruning serve (.*?)`", page)
    assert parser().parse_args(shlex.split(line)).model == Path("my-model.onnx")
