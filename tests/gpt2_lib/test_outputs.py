"""Tests of what commands write beside a model: nothing that is read is replaced, and ruined weights are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny import random_model, tokenizer

from gpt2_lib import GPT2, save_pretrained
from gpt2_lib.__main__ import main


@pytest.fixture
def model(tmp_path: Path) -> GPT2:
    """A model, which lies in the folder m, with the text t.txt beside it."""
    model = random_model()
    model.tokenizer = tokenizer()
    save_pretrained(model, tmp_path / "m")
    (tmp_path / "t.txt").write_text("To be, or not to be, that is the question.\n" * 60, encoding="utf-8")
    return model


@pytest.mark.parametrize("target", ["m/model.safetensors", "m/config.json", "m/new.json", "t.txt", "other.json"])
def test_an_output_never_replaces_what_is_read_or_is_no_result(
    model: GPT2, tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    (tmp_path / "other.json").write_text('{"mine": 1}')
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    given, common = str(tmp_path / "m"), ["--test", str(tmp_path / "t.txt"), "--json", str(tmp_path / target)]
    pruning = ["--sparsity", "0.5", *common]
    for command in (
        ["evaluate", given, *common],
        ["compare", given, "--methods", "magnitude", *pruning],
        ["prune", given, str(tmp_path / "out"), "--method", "magnitude", *pruning],
    ):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code
        capsys.readouterr()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_out_in_the_model_is_refused(model: GPT2, tmp_path: Path) -> None:
    options = ["--method", "magnitude", "--sparsity", "0.5", "--test", str(tmp_path / "t.txt")]
    with pytest.raises(SystemExit, match="write to another place"):
        main(["prune", str(tmp_path / "m"), str(tmp_path / "m" / "pruned"), *options])


def test_a_result_is_replaced_by_the_next(model: GPT2, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, command = tmp_path / "found.json", ["evaluate", str(tmp_path / "m"), "--test", str(tmp_path / "t.txt")]
    for windows in ("3", "4"):
        main([*command, "--windows", windows, "--json", str(found)])
    assert "4 " in str(json.loads(found.read_text())["tested_on"])
    capsys.readouterr()


def test_one_text_for_both_is_said_and_so_are_weights_that_are_nan(
    model: GPT2, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = str(tmp_path / "t.txt")
    options = ["--sparsity", "0.5", "--test", text, "--calibrate", text]
    main(["compare", str(tmp_path / "m"), "--methods", "wanda", *options])
    assert "--calibrate and --test are one text" in capsys.readouterr().err
    with torch.no_grad():
        model.ln_f.weight[0] = torch.nan
    save_pretrained(model, tmp_path / "ruined")
    with pytest.raises(SystemExit, match=r"ln_f\.weight has entries that are NaN or infinite"):
        main(["evaluate", str(tmp_path / "ruined"), "--test", text])
