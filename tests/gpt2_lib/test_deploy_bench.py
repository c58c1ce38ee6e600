"""Tests of the table of targets: each is measured or has a reason; and of the commands of gpt2_lib.deploy."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest
import torch
from tiny import TINY, random_ids, random_model

from gpt2_lib import evaluate, held_out_windows, load_pretrained_gpt2, plots, save_pretrained
from gpt2_lib.commands import bench as bench_command
from gpt2_lib.corpus import calibration_windows
from gpt2_lib.deploy import __main__ as commands
from gpt2_lib.deploy.bench import measure, report
from gpt2_lib.deploy.bench.report import BASELINE, Row
from gpt2_lib.deploy.extras import DeployError, MissingExtraError

SMALL = replace(TINY, n_positions=160)
TIMED = [
    "PyTorch, dense",
    "PyTorch, 60% zeros",
    "PyTorch, structured 25%",
    "ONNX, dense",
    "ONNX, structured 25%",
    "ONNX, int8",
    "ONNX, structured 25%, int8",
]
PACKED, EXECUTORCH, COREML = "packed, 60% zeros, int8", "ExecuTorch, int8", "Core ML, 60% zeros, int8"


def stub(patch: pytest.MonkeyPatch, target: str, **names: object) -> None:
    """Put these names in place of a target's file: the real ones take a minute, and have tests of their own."""
    patch.setitem(sys.modules, f"gpt2_lib.{target}", SimpleNamespace(**names))


def missing(*arguments: object, **options: object) -> None:
    raise MissingExtraError("pip install -e '.[mobile]' adds it.")


@pytest.fixture(scope="module")
def mini_rows() -> Iterator[dict[str, Row]]:
    """The bundled model's rows, with an ExecuTorch that adds 1 to the logits of token 0, and a Core ML of 5 bytes."""
    model = load_pretrained_gpt2()
    exported = {}

    def export_executorch(model, path, int8):
        exported[path] = model
        path.write_bytes(b"123")
        return path

    def executorch(path):
        def logits(ids):
            out = exported[path](ids).detach().numpy().copy()
            out[..., 0] += 1
            return out

        return SimpleNamespace(logits=logits)

    def export_coreml(model, path, sparse, int8):
        (path / "Data").mkdir(parents=True)
        (path / "a").write_bytes(b"12")
        (path / "Data" / "b").write_bytes(b"345")
        return path

    with pytest.MonkeyPatch.context() as patch:
        stub(patch, "deploy.executorch", export_executorch=export_executorch, ExecuTorchGPT2=executorch)
        stub(patch, "deploy.coreml", export_coreml=export_coreml)
        assert model.tokenizer is not None
        windows = held_out_windows(model.tokenizer, model.config.n_positions, 4)
        calibration = calibration_windows(model.tokenizer, model.config.n_positions)
        yield {row.target: row for row in measure.bench(model, windows, 3, calibration)}


@pytest.fixture
def no_mobile(monkeypatch):
    stub(monkeypatch, "deploy.executorch", export_executorch=missing, ExecuTorchGPT2=missing)
    stub(monkeypatch, "deploy.coreml", export_coreml=missing)


@pytest.fixture
def small_rows(no_mobile) -> list[Row]:
    return measure.bench(random_model(SMALL), None, repeats=1)


@pytest.mark.slow
def test_every_target_has_a_row_in_a_fixed_order(mini_rows):
    assert list(mini_rows) == [*TIMED, PACKED, EXECUTORCH, COREML]


@pytest.mark.parametrize("target", TIMED)
@pytest.mark.slow
def test_a_target_that_runs_here_is_measured_in_every_column(mini_rows, target):
    row = mini_rows[target]
    assert 0 < row.prefill_ms <= row.prefill_p95_ms
    assert 0 < row.decode_ms < row.prefill_ms
    assert row.size > 0
    assert 0 < row.accuracy < 1
    assert row.perplexity > 1
    assert row.error >= 0


@pytest.mark.slow
def test_quality_is_that_of_the_model_that_was_exported(mini_rows):
    model = load_pretrained_gpt2()
    assert model.tokenizer is not None
    dense = evaluate(model, held_out_windows(model.tokenizer, model.config.n_positions, 4))
    assert mini_rows["PyTorch, dense"].accuracy == pytest.approx(dense.accuracy)
    assert mini_rows["PyTorch, dense"].error == 0
    for target, twin in (("ONNX, dense", "PyTorch, dense"), ("ONNX, structured 25%", "PyTorch, structured 25%")):
        assert mini_rows[target].perplexity == pytest.approx(mini_rows[twin].perplexity, rel=1e-3)
        assert 0 < mini_rows[target].error < 1e-4
    assert mini_rows["PyTorch, 60% zeros"].perplexity > 1.5 * dense.perplexity
    assert mini_rows["PyTorch, structured 25%"].perplexity > 1.02 * dense.perplexity  # refitted


@pytest.mark.slow
def test_sizes_are_those_of_the_files(mini_rows):
    size = {target: row.size for target, row in mini_rows.items()}
    assert size["PyTorch, 60% zeros"] == size["PyTorch, dense"]  # a zero is stored as any number
    assert size["ONNX, structured 25%"] < size["ONNX, dense"]
    assert 3 * size["ONNX, int8"] < size["ONNX, dense"]
    assert 5 * size[PACKED] < size["PyTorch, dense"]
    assert size[EXECUTORCH] == 3
    assert size[COREML] == 5


@pytest.mark.slow
def test_an_error_in_the_logits_is_found(mini_rows):
    assert mini_rows[EXECUTORCH].error == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_a_target_that_does_not_run_here_has_a_size_and_no_times(mini_rows):
    for target in (PACKED, COREML):
        assert mini_rows[target].prefill_ms is None
        assert mini_rows[target].note
    assert mini_rows[COREML].accuracy is None
    assert mini_rows[EXECUTORCH].decode_ms is None


def test_random_weights_are_timed_but_have_no_quality(small_rows):
    rows = {row.target: row for row in small_rows}
    assert all(rows[target].prefill_ms > 0 for target in TIMED)
    assert {row.accuracy for row in small_rows} == {row.perplexity for row in small_rows} == {None}
    assert rows["ONNX, dense"].error < 1e-4


def test_a_missing_extra_is_a_row_with_the_command_that_adds_it(small_rows):
    for row in small_rows[-2:]:
        assert row == Row(row.target, note="pip install -e '.[mobile]' adds it.")


def test_a_target_that_refuses_the_model_is_a_row_with_its_reason(no_mobile, monkeypatch):
    def refuse(model, path, int8):
        raise DeployError("Too large.")

    monkeypatch.setattr("gpt2_lib.deploy.onnx.export_onnx", refuse)
    rows = {row.target: row for row in measure.bench(random_model(SMALL), None, repeats=1)}
    assert rows["ONNX, int8"] == Row("ONNX, int8", note="Too large.")
    prefill = rows["PyTorch, dense"].prefill_ms
    assert prefill is not None
    assert prefill > 0


def test_the_number_of_threads_is_put_back(small_rows):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        measure.bench(random_model(SMALL), None, repeats=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_a_short_context_is_measured_with_a_shorter_prompt():
    model = random_model(TINY)
    assert measure.prompt_of(model) == TINY.n_positions - 1 < 128
    rows = {row.target: row for row in measure.bench(model, random_ids(TINY, 2, TINY.n_positions), repeats=1)}
    assert rows[BASELINE].prefill_ms is not None
    assert rows[BASELINE].decode_ms is not None


def test_no_room_for_a_prompt_is_refused():
    with pytest.raises(ValueError, match="the context one more"):
        measure.bench(random_model(replace(TINY, n_positions=1)))
    with pytest.raises(ValueError, match="need 128 tokens"):
        measure.bench(random_model(SMALL), random_ids(SMALL, 2, 100))
    with pytest.raises(ValueError, match="repeats"):
        measure.bench(random_model(SMALL), repeats=0)


def test_the_csv_has_all_that_the_rows_have(small_rows, tmp_path):
    report.write_csv(small_rows, tmp_path / "new" / "deploy.csv")
    with open(tmp_path / "new" / "deploy.csv", newline="") as file:
        read = list(csv.DictReader(file))
    expected = [{k: "" if v is None else str(v) for k, v in asdict(row).items()} for row in small_rows]
    assert read == expected
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["deploy.csv"]


def test_the_picture_shows_every_target_that_was_timed(small_rows, tmp_path):
    report.draw(small_rows, tmp_path / "deploy.png")
    shown = matplotlib.image.imread(tmp_path / "deploy.png")[..., :3]
    for name, (colour, _, _) in zip(TIMED, plots.SERIES, strict=False):
        wanted = np.array(matplotlib.colors.to_rgb(colour))
        assert (np.abs(shown - wanted).max(-1) < 0.02).sum() > 20, name


def test_the_table_leaves_out_what_was_not_measured():
    rows = [Row("A", 12.34, 15.0, 1.234, 2_500_000, 0.3641, 25.231, 2e-5, "why"), Row("B", note="no")]
    lines = report.table(rows).splitlines()
    assert lines[2] == "| A | 12.3 | 15.0 | 1.23 | 2.50 | 36.4% | 25.23 | 2e-05 | why |"
    assert lines[3].count("|") == lines[2].count("|") == lines[0].count("|")
    assert lines[3].endswith("| no |")


def test_the_caption_states_the_protocol():
    text = measure.caption("gpt2-mini", 128, 30, "a.txt (40 windows)", "b.txt (64 windows)")
    for part in ("1 thread", "128 tokens", "30 times", "perplexity: a.txt (40 windows)", "doesn't count"):
        assert part in text
    assert "structures with calibration on b.txt (64 windows)" in text
    text = measure.caption("gpt2", 128, 30, None, None)
    assert "no text, so no accuracy" in text
    assert "structures by their weights alone" in text


def test_bench_measures_a_folder_and_says_which(no_mobile, monkeypatch, tmp_path, capsys):
    model = random_model(SMALL)
    save_pretrained(model, tmp_path / "mine")
    measured = []
    monkeypatch.setattr(
        bench_command, "bench", lambda *given: measured.append(given) or [Row(report.BASELINE, 1.0, size=5)]
    )
    bench_command.main(["--model", str(tmp_path / "mine"), "--out", str(tmp_path / "out.csv")])
    assert f"{tmp_path / 'mine'}, float32" in capsys.readouterr().out
    ((given, windows, _, calibration),) = measured
    assert torch.equal(given.wte.weight, model.wte.weight)
    assert windows is None  # the folder has no tokenizer
    assert calibration is None
    with pytest.raises(SystemExit, match="has no config"):
        commands.main(["bench", "--model", str(tmp_path)])
    with pytest.raises(SystemExit):
        bench_command.main(["--model", "gpt2-mini", "--shape", "gpt2"])


@pytest.mark.parametrize(
    ("options", "tested", "calibrated"),
    [
        ([], "plays", "plays"),
        (["--test", "plays"], "plays", "plays"),
        (["--test", "a.txt"], "a.txt", None),
        (["--test", "a.txt", "--calibrate", "b.txt"], "a.txt", "b.txt"),
        (["--calibrate", "b.txt"], "plays", "b.txt"),
    ],
)
def test_bench_measures_on_the_text_that_is_asked_for(options, tested, calibrated, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Path(f"{name}.txt").write_text(f"To {name} or not to {name}: that is the question.\n" * 900, encoding="utf-8")
    measured = []
    monkeypatch.setattr(
        bench_command, "bench", lambda *given: measured.append(given) or [Row(report.BASELINE, 1.0, size=5)]
    )
    bench_command.main([*options, "--windows", "3", "--out", "out.csv"])
    ((model, windows, repeats, calibration),) = measured
    assert (len(windows), repeats) == (3, 30)
    printed = capsys.readouterr().out
    named = {"plays": "the course's plays", None: None}
    assert f"perplexity: {named.get(tested, tested)} (3 of " in printed
    if calibrated is None:
        assert calibration is None
        assert "by their weights alone" in printed
    else:
        assert calibration.shape[1] == model.config.n_positions
        assert f"calibration on {named.get(calibrated, calibrated)} (" in printed


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeployError, match=r"Can't write .*deploy\.csv"):
        report.write_csv([], tmp_path / "file" / "deploy.csv")


# The commands.


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("bench", "commands.bench"),
        ("serve", "deploy.serving.serve"),
        ("load-test", "deploy.serving.load_test"),
        ("check-manifests", "deploy.serving.kubernetes"),
    ],
)
def test_a_command_gets_the_rest_of_the_arguments(command, file, monkeypatch):
    got = []
    stub(monkeypatch, file, main=got.append)
    commands.main([command, "--help", "x"])
    assert got == [["--help", "x"]]


def test_an_unknown_command_is_answered_with_the_list(capsys):
    for argv in (["fly"], []):
        with pytest.raises(SystemExit) as stopped:
            commands.main(argv)
        assert stopped.value.code == 2
        assert "bench" in capsys.readouterr().err


def test_an_error_ends_a_command_with_its_message_and_no_traceback(monkeypatch):
    def fail(argv):
        raise DeployError("The port is in use.")

    stub(monkeypatch, "deploy.serving.serve", main=fail)
    with pytest.raises(SystemExit, match="The port is in use"):
        commands.main(["serve"])


def test_the_command_line_of_bench_is_checked(capsys):
    for argv in (["--repeats", "0"], ["--windows", "0"], ["--shape", "gpt9"], ["--out", "x.png"]):
        with pytest.raises(SystemExit):
            bench_command.main(argv)


@pytest.mark.slow
def test_bench_prints_the_table_and_writes_both_files(mini_rows, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench_command, "bench", lambda *_: list(mini_rows.values()))
    bench_command.main(["--out", str(tmp_path / "out.csv"), "--windows", "2"])
    printed = capsys.readouterr().out
    assert report.table(list(mini_rows.values())) in printed
    assert "perplexity: the course's plays (2 of " in printed
    assert "with calibration on the course's plays (64 windows" in printed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.csv", "out.png"]


@pytest.mark.slow
def test_help_works_without_the_extras(repository: Path):
    modules = ("onnx", "onnxruntime", "executorch", "coremltools", "fastapi", "uvicorn", "mlflow")
    code = (
        f"import sys; sys.modules |= dict.fromkeys({modules}); from gpt2_lib.deploy.__main__ import main; "
        "main(['bench', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert "--shape" in done.stdout
