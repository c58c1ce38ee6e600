"""Tests of ExecuTorch programs, run from Python, against the model in torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from gpt2_lib import GPT2, held_out_windows, load_pretrained_gpt2
from gpt2_lib.deploy import executorch as target
from gpt2_lib.deploy.executorch import ExecuTorchGPT2, export_executorch
from gpt2_lib.deploy.extras import DeployError, MissingExtraError
from gpt2_lib.deploy.onnx import export_onnx

pytest.importorskip("executorch", reason="needs the extra mobile")


@pytest.fixture(scope="module")
def uneven() -> GPT2:
    return tiny.random_model(tiny.UNEVEN)


@pytest.fixture(scope="module")
def uneven_file(uneven: GPT2, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exporting takes most of this file's time, so it is done once."""
    return export_executorch(uneven, tmp_path_factory.mktemp("fp32") / "model.pte", int8=False)


def logits(model: GPT2, ids: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return model(ids).numpy()


def test_float32_logits_of_a_structured_model_are_torchs_at_any_length(uneven: GPT2, uneven_file: Path):
    program = ExecuTorchGPT2(uneven_file)
    for length in (1, 2, 17, tiny.UNEVEN.n_positions, 3):
        ids = tiny.random_ids(tiny.UNEVEN, batch=2, length=length)
        np.testing.assert_allclose(program.logits(ids), logits(uneven, ids), atol=1e-4, rtol=0)


def test_int8_keeps_the_accuracy_of_the_bundled_model_in_a_third_of_its_weights(tmp_path: Path):
    model = load_pretrained_gpt2()
    path = export_executorch(model, tmp_path / "mini.pte")
    assert path.stat().st_size < sum(p.numel() * 4 for p in model.parameters()) / 3
    assert model.tokenizer is not None
    windows = held_out_windows(model.tokenizer, 128, count=16)
    ours, theirs = ExecuTorchGPT2(path).logits(windows), logits(model, windows)
    assert abs(ours - theirs).max() < 0.08 * abs(theirs).max()
    hits = [(x.argmax(-1)[:, :-1] == windows[:, 1:].numpy()).mean() for x in (ours, theirs)]
    assert abs(hits[0] - hits[1]) < 0.01
    assert (ours.argmax(-1) == theirs.argmax(-1)).mean() > 0.95


def test_the_whole_tokenizer_is_in_the_program(tmp_path: Path):
    """Its end of a text is called otherwise than GPT-2's: the BPE alone would not say so."""
    model = tiny.random_model()
    model.tokenizer = tiny.tokenizer_with_end(end="<end>", eos_token="<end>")
    found = ExecuTorchGPT2(export_executorch(model, tmp_path / "model.pte", int8=False)).tokenizer
    assert found is not None
    assert found.to_json() == model.tokenizer.to_json()
    assert found.end_of_text == model.tokenizer.bpe.token_to_id("<end>")


def test_a_program_of_an_earlier_version_or_of_a_model_without_a_tokenizer_has_none(
    uneven_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert ExecuTorchGPT2(uneven_file).tokenizer is None
    monkeypatch.setattr(target, "metadata_of", lambda model: {})
    old = ExecuTorchGPT2(export_executorch(tiny.random_model(), tmp_path / "old.pte", int8=False))
    assert old.tokenizer is None
    assert old.logits([[0]]).shape == (1, 1, tiny.TINY.vocab_size)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path):
    model = tiny.random_model()
    with torch.no_grad():
        model.h[0].mlp.c_fc.weight[0, 0] = torch.inf
    with pytest.raises(ValueError, match=r"h\.0\.mlp\.c_fc\.weight has NaN or infinite"):
        export_executorch(model, tmp_path / "model.pte")
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_is_cut_short_or_another_is_refused(uneven_file: Path, tmp_path: Path):
    cut, text = tmp_path / "cut.pte", tmp_path / "text.pte"
    cut.write_bytes(uneven_file.read_bytes()[: uneven_file.stat().st_size // 2])
    text.write_text("no program " * 100)
    for path, said in ((cut, "damaged"), (text, "damaged"), (tmp_path / "absent.pte", "no file")):
        with pytest.raises(DeployError, match=said):
            ExecuTorchGPT2(path)


@pytest.mark.parametrize("ids", [[[0, 300]], [[-1]], [0, 1], [[]], [[0.5]], [[0] * 33]])
def test_ids_that_the_model_does_not_know_are_refused(uneven_file: Path, ids: list):
    with pytest.raises(ValueError, match=r"ids|tokens"):
        ExecuTorchGPT2(uneven_file).logits(ids)


def test_a_file_that_cannot_be_written_is_said_and_nothing_is_left(
    uneven: GPT2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(target, "_lower", lambda model, int8: b"program")
    (tmp_path / "file").touch()
    (tmp_path / "folder.pte").mkdir()
    for path in (tmp_path / "file" / "model.pte", tmp_path / "folder.pte"):
        with pytest.raises(DeployError, match="Can't write"):
            export_executorch(uneven, path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.pte"]


def test_a_torch_that_does_not_fit_is_said_and_leaves_the_old_file(
    uneven: GPT2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(*args: object, **kwargs: object) -> None:
        raise AttributeError("module 'torch' has no attribute 'gone'")

    monkeypatch.setattr(torch.export, "export", broken)
    path = tmp_path / "model.pte"
    path.write_bytes(b"old")
    with pytest.raises(DeployError, match=r"gone.*\[mobile\]"):
        export_executorch(uneven, path)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("model.pte", b"old")]


def test_without_the_extra_the_command_that_adds_it_is_named(
    uneven: GPT2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "executorch.exir", None)
    monkeypatch.setitem(sys.modules, "executorch.runtime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gpt2-pruning-course\[mobile\]'"):
        export_executorch(uneven, tmp_path / "model.pte")
    with pytest.raises(MissingExtraError, match="mobile"):
        ExecuTorchGPT2(tmp_path / "model.pte")
    with pytest.raises(ValueError, match="Linear"):
        export_executorch(torch.nn.Linear(2, 2), tmp_path / "model.pte")  # pyright: ignore[reportArgumentType]  # no GPT2


def test_beside_onnx_the_file_holds_the_token_embedding_once_more(tmp_path: Path):
    """As Phase 3 says of the two sizes. Vocabularies of two sizes: what else the formats hold is the same in both."""

    def beside(vocab_size: int) -> int:
        model = tiny.random_model(replace(tiny.UNEVEN, vocab_size=vocab_size))
        program = export_executorch(model, tmp_path / "model.pte", int8=False)
        return program.stat().st_size - export_onnx(model, tmp_path / "model.onnx").stat().st_size

    more = 4000
    table = more * tiny.UNEVEN.n_embd * 4
    assert abs(beside(tiny.UNEVEN.vocab_size + more) - beside(tiny.UNEVEN.vocab_size) - table) < 0.02 * table


def test_a_first_export_and_run_write_nothing_beside_the_results(tmp_path: Path):
    """torchao, torch and ExecuTorch's C++ note their own affairs, once a process."""
    code = """
import sys, torch
from tiny import random_model
from gpt2_lib.deploy.executorch import ExecuTorchGPT2, export_executorch
ExecuTorchGPT2(export_executorch(random_model(), sys.argv[1], int8=False)).logits([[0, 1, 2]])
"""
    command = [sys.executable, "-c", code, str(tmp_path / "model.pte")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(tiny.__file__).parent)
    assert (done.stdout, done.stderr) == ("", "")
