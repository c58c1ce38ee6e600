"""Tests of Core ML packages, read back and computed operation by operation, against the model in torch."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tiny
import torch

from gpt2_lib import GPT2, apply_magnitude_pruning, held_out_windows, load_pretrained_gpt2
from gpt2_lib.deploy import coreml as target
from gpt2_lib.deploy.coreml import export_coreml, interpret, package_bytes, tokenizer_of
from gpt2_lib.deploy.extras import DeployError, MissingExtraError

pytest.importorskip("coremltools", reason="needs the extra mobile")


@pytest.fixture(scope="module")
def uneven() -> GPT2:
    return tiny.random_model(tiny.UNEVEN)


@pytest.fixture(scope="module")
def package(uneven: GPT2, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_coreml(uneven, tmp_path_factory.mktemp("coreml") / "model.mlpackage", sparse=False, int8=False)


def logits(model: GPT2, ids: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return model(ids).numpy()


def test_a_structured_models_logits_differ_by_the_rounding_to_float16(uneven: GPT2, package: Path):
    for length in (1, 20, tiny.UNEVEN.n_positions):
        ids = tiny.random_ids(tiny.UNEVEN, batch=2, length=length)
        np.testing.assert_allclose(interpret(package, ids), logits(uneven, ids), atol=2e-3, rtol=0)


def test_zeros_and_int8_shrink_the_bundled_model_and_keep_its_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(target, "_convert", functools.cache(target._convert))  # slow, and the same for all three
    model = apply_magnitude_pruning(load_pretrained_gpt2(), 0.6)
    assert model.tokenizer is not None
    windows = held_out_windows(model.tokenizer, model.config.n_positions, count=4)
    expected = logits(model, windows)
    sizes = {}
    for sparse, int8, tolerance in ((False, False, 2e-3), (True, False, 2e-3), (True, True, 3e-2)):
        path = export_coreml(model, tmp_path / "mini.mlpackage", sparse, int8)
        sizes[sparse, int8] = package_bytes(path)
        found = interpret(path, windows)
        assert abs(found - expected).max() < tolerance * abs(expected).max()
        assert (found.argmax(-1) == expected.argmax(-1)).mean() > (0.96 if int8 else 0.99)
    assert sizes[True, False] < 0.65 * sizes[False, False]
    assert sizes[True, True] < 0.4 * sizes[False, False]
    assert [p.name for p in tmp_path.iterdir()] == ["mini.mlpackage"]  # each replaced the one before


def test_storing_zeros_sparsely_prunes_nothing_more(tmp_path: Path):
    model = apply_magnitude_pruning(tiny.random_model(), 0.6)
    path = export_coreml(model, tmp_path / "model.mlpackage", sparse=True, int8=False)
    ids = tiny.random_ids(tiny.TINY, batch=1, length=32)
    np.testing.assert_allclose(interpret(path, ids), logits(model, ids), atol=2e-3, rtol=0)


@pytest.mark.parametrize("ids", [[[0, 300]], [[-1]], [0, 1], [[]], [[0.5]], [[0] * 33]])
def test_ids_that_the_model_does_not_know_are_refused(package: Path, ids: list):
    with pytest.raises(ValueError, match="ids"):
        interpret(package, ids)


def test_a_package_that_is_damaged_or_absent_is_refused(package: Path, tmp_path: Path):
    path = Path(shutil.copytree(package, tmp_path / "model.mlpackage"))
    spec = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    spec.write_bytes(spec.read_bytes()[:1000])
    with pytest.raises(DeployError, match="damaged"):
        interpret(path, [[0]])
    with pytest.raises(DeployError, match="no Core ML package"):
        interpret(tmp_path / "absent.mlpackage", [[0]])


def test_a_save_that_fails_leaves_the_old_package_and_nothing_else(
    uneven: GPT2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Full:
        user_defined_metadata: ClassVar[dict[str, str]] = {}

        def save(self, path: str) -> None:
            Path(path).mkdir()
            Path(path, "Manifest.json").write_text("{")
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(target, "_convert", lambda ct, model: Full())
    monkeypatch.setattr(target, "_compress", lambda package, sparse, int8: package)
    path = tmp_path / "model.mlpackage"
    path.mkdir()
    (path / "Manifest.json").write_text("old")
    with pytest.raises(DeployError, match="No space left"):
        export_coreml(uneven, path)
    assert [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*"))] == [
        "model.mlpackage",
        "model.mlpackage/Manifest.json",
    ]
    assert (path / "Manifest.json").read_text() == "old"


def test_the_whole_tokenizer_is_in_the_package(tmp_path: Path):
    """Its end of a text is called otherwise than GPT-2's: the BPE alone would not say so."""
    model = tiny.random_model()
    model.tokenizer = tiny.tokenizer_with_end(end="<end>", eos_token="<end>")
    found = tokenizer_of(export_coreml(model, tmp_path / "model.mlpackage", sparse=True, int8=True))
    assert found is not None
    assert found.to_json() == model.tokenizer.to_json()
    assert found.end_of_text == model.tokenizer.bpe.token_to_id("<end>")


def test_a_package_of_an_earlier_version_or_of_a_model_without_a_tokenizer_has_none(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert tokenizer_of(package) is None
    monkeypatch.setattr(target, "metadata_of", lambda model: {})
    old = export_coreml(tiny.random_model(), tmp_path / "old.mlpackage", sparse=False, int8=False)
    assert tokenizer_of(old) is None
    assert interpret(old, [[0]]).shape == (1, 1, tiny.TINY.vocab_size)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path):
    model = tiny.random_model()
    with torch.no_grad():
        model.h[0].mlp.c_fc.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"h\.0\.mlp\.c_fc\.weight has NaN"):
        export_coreml(model, tmp_path / "model.mlpackage")
    assert list(tmp_path.iterdir()) == []


def test_another_file_at_the_path_is_left_alone(uneven: GPT2, tmp_path: Path):
    (tmp_path / "mine.mlpackage").mkdir()
    (tmp_path / "mine.mlpackage" / "thesis.txt").touch()
    with pytest.raises(DeployError, match="no Core ML package"):
        export_coreml(uneven, tmp_path / "mine.mlpackage")
    with pytest.raises(ValueError, match="mlpackage"):
        export_coreml(uneven, tmp_path / "model.pte")
    with pytest.raises(ValueError, match="Linear"):
        export_coreml(torch.nn.Linear(2, 2), tmp_path / "model.mlpackage")  # pyright: ignore[reportArgumentType]  # no GPT2
    assert (tmp_path / "mine.mlpackage" / "thesis.txt").is_file()


def test_without_the_extra_the_command_that_adds_it_is_named(
    uneven: GPT2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gpt2-pruning-course\[mobile\]'"):
        export_coreml(uneven, tmp_path / "model.mlpackage")


def test_a_first_export_and_reading_back_write_nothing_beside_the_results(tmp_path: Path):
    """coremltools notes versions that it was not tested with, and what only macOS has, once a process."""
    code = """
import sys
from tiny import random_model
from gpt2_lib.deploy.coreml import export_coreml, interpret
interpret(export_coreml(random_model(), sys.argv[1]), [[0, 1, 2]])
"""
    command = [sys.executable, "-c", code, str(tmp_path / "model.mlpackage")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(tiny.__file__).parent)
    assert (done.stdout, done.stderr) == ("", "")
