"""Tests of the command line: another model and text, tables, JSON and a pruned folder; bad input in a sentence."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tiny import random_model, tokenizer

from gpt2_lib import load_pretrained_gpt2, save_pretrained
from gpt2_lib.__main__ import COMMANDS, main
from gpt2_lib.commands import completion
from gpt2_lib.commands.texts import read_texts, windows_to_calibrate_on
from gpt2_lib.pruning.targets import prunable_weights
from gpt2_lib.system.extras import MissingExtraError

SENTENCE = "Whether 'tis nobler in the mind to suffer\n"
OTHER = "To be, or not to be: that is the question:\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a few thousand weights, and two texts."""
    folder = tmp_path_factory.mktemp("given")
    model = random_model()
    model.tokenizer = tokenizer()
    save_pretrained(model, folder / "in")
    (folder / "train.txt").write_text(SENTENCE * 60, encoding="utf-8")
    (folder / "test.txt").write_text(OTHER * 30, encoding="utf-8")
    return folder


def call(*arguments: object) -> None:
    main([str(argument) for argument in arguments])


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Return the error message of a command that must fail."""
    with pytest.raises(SystemExit) as end:
        call(*arguments)
    assert end.value.code not in (0, None)
    said = end.value.code if isinstance(end.value.code, str) else capsys.readouterr().err
    assert "Traceback" not in said
    return said


def test_prune_saves_a_folder_and_says_on_what_text_it_measured(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, found = tmp_path / "out", tmp_path / "found.json"
    texts = ("--calibrate", folder / "train.txt", "--test", folder / "test.txt")
    call("prune", folder / "in", out, "--method", "wanda", "--sparsity", 0.5, *texts, "--json", found)
    said = capsys.readouterr().out
    assert "| wanda | " in said
    assert f"Measured on {folder / 'test.txt'} (" in said
    assert f"Calibrated on {folder / 'train.txt'} (" in said
    pruned = load_pretrained_gpt2(out)
    assert all((w == 0).double().mean() == 0.5 for w in prunable_weights(pruned).values())
    rows = json.loads(found.read_text())["rows"]
    assert [row["sparsity"] for row in rows] == [0, 0.5]
    assert [row["model"] for row in rows] == ["as given", "wanda"]


def test_prune_takes_sparsities_by_name_ignores_layers_and_keeps_n_of_m(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.json").write_text('{"*": 0.5, "h.0.*": 0.25}')
    common = ("--method", "magnitude", "--test", folder / "test.txt", "--ignore", "*.attn.*")
    call("prune", folder / "in", tmp_path / "a", *common, "--sparsities", tmp_path / "s.json")
    call("prune", folder / "in", tmp_path / "b", *common, "--n-m", "1:4")
    for name, w in prunable_weights(load_pretrained_gpt2(tmp_path / "a")).items():
        assert (w == 0).double().mean() == (0 if ".attn." in name else 0.25 if name.startswith("h.0.") else 0.5)
    for name, w in prunable_weights(load_pretrained_gpt2(tmp_path / "b")).items():
        assert (w == 0).double().mean() == (0 if ".attn." in name else 0.75)
    assert "No text was used for pruning." in capsys.readouterr().out


def test_prune_by_structures_saves_a_smaller_model(folder: Path, tmp_path: Path) -> None:
    call("prune", folder / "in", tmp_path / "out", "--method", "structured", "--sparsity", 0.5, "--test", folder)
    assert load_pretrained_gpt2(tmp_path / "out").config.neurons == (48, 48)


def test_compare_gives_the_perplexities_of_a_plain_loop_of_transformers(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tmp_path / "found.json"
    options = ("--sparsity", 0.5, "--calibrate", folder / "train.txt", "--test", folder / "test.txt", "--length", 24)
    call("compare", folder / "in", "--methods", "magnitude", "sparsegpt", *options, "--windows", 9999, "--json", found)
    said = capsys.readouterr().out
    rows: dict[str, dict[str, Any]] = {row["method"]: row for row in json.loads(found.read_text())["rows"]}
    assert list(rows) == ["unpruned", "magnitude", "sparsegpt"]
    assert all(f"| {row['perplexity']:,.2f} |" in said for row in rows.values())

    for method in ("magnitude", "sparsegpt"):
        calibrate = options[2:4] if method == "sparsegpt" else ()
        call("prune", folder / "in", tmp_path / method, "--method", method, *options[:2], *calibrate, *options[4:])
    for method, place in {"unpruned": folder / "in", **{m: tmp_path / m for m in ("magnitude", "sparsegpt")}}.items():
        theirs = transformers.GPT2LMHeadModel.from_pretrained(place).eval()
        encode = transformers.AutoTokenizer.from_pretrained(place)
        ids = torch.tensor(encode((folder / "test.txt").read_text(encoding="utf-8"))["input_ids"])
        windows = ids[: len(ids) // 24 * 24].view(-1, 24)
        with torch.no_grad():
            losses = [theirs(window[None], labels=window[None]).loss.item() for window in windows]
        assert rows[method]["perplexity"] == pytest.approx(math.exp(sum(losses) / len(losses)), rel=1e-4)
        assert rows[method]["tokens"] == len(windows) * 23


def test_evaluate_and_generate_and_export(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("evaluate", folder / "in", "--test", folder / "test.txt", "--windows", 3)
    assert f"Measured on {folder / 'test.txt'} (3 of " in capsys.readouterr().out
    call("generate", folder / "in", "To be", "--max-new-tokens", 5, "--seed", 1)
    assert capsys.readouterr().out.startswith("To be")
    call("export", folder / "in", tmp_path / "model.pack", "--int8")
    assert (tmp_path / "model.pack").stat().st_size > 1000


def test_evaluate_takes_the_plays_by_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call("evaluate", folder / "in", "--test", "plays", "--windows", 2)
    assert "Measured on the course's plays (2 of " in capsys.readouterr().out


def test_a_text_is_the_same_from_every_kind_of_file(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    texts = ["To be,\nor not", "to be: é"]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in texts) + "\n\n", encoding="utf-8")
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, "id": [1, 2]}), tmp_path / "a.parquet")
    (tmp_path / "many" / "deep").mkdir(parents=True)
    (tmp_path / "many" / "1.txt").write_text(texts[0], encoding="utf-8-sig")
    (tmp_path / "many" / "deep" / "2.TXT").write_text(texts[1], encoding="utf-8")
    for name in ("a.jsonl", "a.parquet", "many"):
        assert read_texts(tmp_path / name) == texts


def bad_texts(folder: Path) -> dict[Path, str]:
    import pyarrow
    import pyarrow.parquet

    files: dict[str, tuple[bytes, str]] = {
        "short.txt": (b"To be", "short.txt: The text has 2 tokens, and one window needs 32"),
        "latin.txt": ("é".encode("latin-1"), "is not in UTF-8 (byte 0 is 0xe9). If it is text, convert it"),
        "wide.txt": ("To be".encode("utf-16"), "is in UTF-16, and UTF-8 is needed: iconv -f UTF-16 -t"),
        "empty.txt": (b"", "The text has 0 tokens"),
        "text.csv": (b"To be", "is no .txt, .jsonl or .parquet file"),
        "bad.jsonl": (b'{"text": "a"}\n{"text"\n', "line 2, is no JSON"),
        "other.jsonl": (b'{"words": "a"}\n', "line 1, has no text"),
        "bad.parquet": (b"PAR1", "can't be read as Parquet"),
        "empty.jsonl": (b"", "The text has 0 tokens"),
    }
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    (folder / "nothing").mkdir()
    pyarrow.parquet.write_table(pyarrow.table({"words": ["a"]}), folder / "columns.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", None]}), folder / "null.parquet")
    more = {"nothing": "has no .txt file", "columns.parquet": "no column called text, but words"}
    more |= {"null.parquet": "rows without text", "absent.txt": "There is no file or folder"}
    return {folder / name: said for name, said in {**{n: s for n, (_, s) in files.items()}, **more}.items()}


def test_a_text_that_can_not_be_read_is_refused_and_nothing_is_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text, message in bad_texts(tmp_path).items():
        arguments = ("prune", folder / "in", tmp_path / "out", "--method", "magnitude", "--sparsity", 0.5)
        said = refused(capsys, *arguments, "--test", text, "--json", tmp_path / "found.json")
        assert message in said
        assert text.name in said
        assert not (tmp_path / "out").exists()
        assert not (tmp_path / "found.json").exists()


PROSE = {
    "English": "To be, or not to be:\nthat is",
    "Russian": "Быть или не быть,\nвот в чём вопрос",  # noqa: RUF001
    "Chinese": "生存还是毁灭, 这 是\n",
}


@pytest.mark.parametrize("language", PROSE)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_the_encoding_that_is_named_is_the_texts(tmp_path: Path, encoding: str, language: str) -> None:
    (tmp_path / "a.txt").write_bytes(PROSE[language].encode(encoding))
    with pytest.raises(ValueError, match="iconv -f UTF-") as refused:
        read_texts(tmp_path / "a.txt")
    (named,) = re.findall(r"iconv -f (\S+)", str(refused.value))
    assert (tmp_path / "a.txt").read_bytes().decode(named) == PROSE[language]


@pytest.mark.parametrize("content", [b"PK\3\4\0\0\0\0" + bytes(range(256)) * 9, b"To be\0", bytes(99), b"\0" * 64])
def test_a_file_that_is_no_text_is_told_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(ValueError, match="is no text: it has NUL bytes"):
        read_texts(tmp_path / "a.txt")


def test_the_mark_of_utf8_and_ends_of_lines_of_every_system_are_read_as_before(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfTo be,\r\nor not\rto be\n")
    assert read_texts(tmp_path / "a.txt") == ["To be,\nor not\nto be\n"]


def test_a_published_models_name_is_no_out(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(folder)
    options = ("--method", "magnitude", "--sparsity", 0.5, "--test", folder / "test.txt")
    said = refused(capsys, "prune", folder / "in", "gpt2-mini", *options)
    assert "gpt2-mini is a published model's name: give another, or ./gpt2-mini" in said.replace("\\", "/")
    assert not (folder / "gpt2-mini").exists()


CALIBRATED = ["--calibrate", "absent.txt", "--calibration-windows", "2"]
NEVER: list[tuple[list[str], str]] = [  # before any text is looked for
    (["--method", "magnitude", "--n-m", "2:7"], "not a multiple of 7"),
    (["--method", "structured", "--n-m", "2:4"], "structured doesn't prune n:m"),
    (["--method", "magnitude", "--sparsity", "1"], "This would leave nothing of h.0.attn"),
    (["--method", "structured", "--sparsity", "1"], "would leave 0 of 4 units"),
    (["--method", "structured", "--sparsity", "0.5", "--ignore", "h.0.*"], "structured takes one fraction"),
    (["--method", "magnitude", "--sparsity", "0.5", "--ignore", "h.9.*"], "No prunable layer is called 'h.9.*'"),
    (["--method", "wanda", "--sparsity", "0.5", *CALIBRATED], "wanda needs 96 tokens to calibrate on"),
    (["--method", "structured", "--sparsity", "0.5", *CALIBRATED], "structured needs 96 tokens"),
    (["--method", "taylor", "--sparsity", "0.5", *CALIBRATED], "There is no file or folder absent-test.txt"),
]


@pytest.mark.parametrize(("options", "message"), NEVER, ids=[" ".join(options[1:5]) for options, _ in NEVER])
def test_what_can_never_work_is_refused_before_a_text_is_read(
    options: list[str], message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "prune", folder / "in", tmp_path / "out", *options, "--test", "absent-test.txt")
    assert message in said
    said = refused(capsys, "compare", folder / "in", "--methods", *options[1:], "--test", "absent-test.txt")
    assert message in said


def test_an_out_where_no_folder_can_be_made_is_refused_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def mkdir(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted", str(path))  # as in /sys, to root too

    monkeypatch.setattr(Path, "mkdir", mkdir)
    options = ("--method", "magnitude", "--sparsity", 0.5, "--test", "absent.txt")
    assert "out can't be made: [Errno 1] Operation" in refused(capsys, "prune", "absent", folder / "out", *options)


def test_of_a_long_calibration_text_only_what_is_needed_is_encoded(folder: Path, tmp_path: Path) -> None:
    words = ["to", "be", "or", "not", "that", "is", "the", "question"]
    lines = [f"{words[i % 8]} {words[i % 7]} {i}" for i in range(3000)]
    (tmp_path / "long.txt").write_text("\n".join(lines))
    model = load_pretrained_gpt2(folder / "in")
    assert model.tokenizer is not None
    encode, seen = model.tokenizer.encode, []
    model.tokenizer.encode = lambda text: seen.append(text) or encode(text)  # type: ignore[method-assign]
    found = windows_to_calibrate_on(model, str(tmp_path / "long.txt"), None, 4)
    assert found.ids.shape == (4, 32)
    assert found.said.endswith("long.txt (4 windows of 32 tokens, spread evenly)")
    assert sum(map(len, seen)) < len("\n".join(lines)) / 10
    first, *_, last = (model.tokenizer.decode(row.tolist()) for row in found.ids)
    assert first.startswith(lines[0])
    assert "29" in last  # near the end
    assert windows_to_calibrate_on(model, str(tmp_path / "long.txt"), None, 60).said.endswith("windows of 32 tokens)")


def test_small_things_are_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test = ["--test", str(folder / "test.txt")]
    main(["prune", str(folder / "in"), str(tmp_path / "a"), "--method", "structured", "--sparsity", "0.25", *test])
    said = capsys.readouterr().out
    assert "Removed: 2 of 8 heads, 25.0%.\nRemoved: 48 of 192 neurons, 25.0%.\n" in said
    assert "with weights in float32" in said
    given = ["--sparsity", "0.25", "--calibrate", "absent.txt", *test]
    main(["prune", str(folder / "in"), str(tmp_path / "b"), "--method", "magnitude", *given])
    assert "magnitude uses no text: --calibrate is left out." in capsys.readouterr().err
    assert "Were arguments swapped" in refused(capsys, "evaluate", folder / "test.txt", "--test", "gpt2-mini")


def test_all_methods_are_those_that_can(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["compare", str(folder / "in"), "--methods", "all", "--n-m", "2:4", "--test", str(folder / "test.txt")])
    rows = [line.split(" | ")[0].strip("| ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert rows == ["method", "unpruned", "magnitude", "random"]


def test_parquet_without_pyarrow_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ValueError, match="needs the package pyarrow: pip install pyarrow"):
        read_texts(tmp_path / "a.parquet")


BAD: list[tuple[list[str], str]] = [
    (["--method", "wanda", "--sparsity", "0.5"], "wanda needs text: give --calibrate TEXT"),
    (["--method", "magnitude", "--sparsity", "50"], "Did you mean 0.5?"),
    (["--method", "magnitude", "--sparsity", "1.5"], "from 0 to 1; got 1.5.\n"),
    (["--method", "magnitude", "--sparsity", "50%"], "a fraction such as 0.5 is needed; got '50%': write 0.5"),
    (["--method", "magnitude", "--sparsity", "half"], "a fraction such as 0.5 is needed; got 'half'"),
    (["--method", "magnitude", "--sparsity", "nan"], "from 0 to 1; got nan"),
    (["--method", "magnitude", "--n-m", "4"], "N:M such as 2:4 is needed; got '4'"),
    (["--method", "magnitude", "--n-m", "5:7"], "not a multiple of 7"),
    (["--method", "magnitude-global", "--n-m", "2:4"], "doesn't prune n:m"),
    (["--method", "magnitude"], "one of the arguments --sparsity --sparsities --n-m is required"),
    (["--method", "wander", "--sparsity", "0.5"], "invalid choice: 'wander'"),
    (["--method", "magnitude", "--sparsity", "0.5", "--ignore", "h.9.*"], "No prunable layer is called 'h.9.*'"),
    (["--method", "magnitude", "--sparsity", "1"], "This would leave nothing of h.0.attn"),
    (["--method", "magnitude", "--sparsity", "0.5", "--length", "64"], "more than the model's context of 32 tokens"),
    (["--method", "magnitude", "--sparsity", "0.5", "--length", "1"], "at least 2 tokens"),
    (["--method", "magnitude", "--sparsities", "absent.json"], "absent.json can't be read"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[" ".join(options[1:]) for options, _ in BAD])
def test_an_impossible_command_is_refused_and_writes_nothing(
    options: list[str], message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "prune", folder / "in", tmp_path / "out", *options, "--test", folder / "test.txt")
    assert message in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"h.9.*": 0.5}', "No prunable layer is called 'h.9.*'. The nearest of the 8 that there are: h."),
        ('{"*": 50}', "Did you mean 0.5?"),
        ('{"*": "0.5"}', "got '0.5'"),
        ("[0.5]", "must hold one object"),
        ("{", "is no JSON"),
        ('{"h.0.*": 0.5, "h.0.*": 0.3}', "names 'h.0.*' twice"),
        ("{}", "Nothing is left to prune"),
    ],
)
def test_a_file_of_sparsities_that_does_not_fit_is_refused(
    content: str, message: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.json").write_text(content)
    options = ("--method", "magnitude", "--sparsities", tmp_path / "s.json", "--test", folder / "test.txt")
    assert message in refused(capsys, "prune", folder / "in", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_an_out_that_exists_stays_and_a_model_that_does_not_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept")
    (tmp_path / "file").write_text("kept")
    options = ("--method", "magnitude", "--sparsity", 0.5, "--test", folder / "test.txt")
    assert "is there already" in refused(capsys, "prune", folder / "in", tmp_path / "out", *options)
    assert "is there already" in refused(capsys, "prune", folder / "in", tmp_path / "file", *options)
    assert "can't be made" in refused(capsys, "prune", folder / "in", tmp_path / "file" / "new", *options)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    assert "has no config.json" in refused(capsys, "evaluate", tmp_path / "out", *options[-2:])
    assert "No model named 'gpt3'" in refused(capsys, "evaluate", "gpt3", *options[-2:])


def test_a_model_without_a_tokenizer_is_told_what_it_lacks(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_pretrained(random_model(), tmp_path / "in")
    said = refused(capsys, "evaluate", tmp_path / "in", "--test", folder / "test.txt")
    assert "no tokenizer, which text needs" in said


def test_export_refuses_a_package_that_cannot_be_written_before_it_loads_the_model(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "export", "no-such-model", folder / "test.txt" / "model.mlpackage")
    assert "can't write there" in said


def test_an_ending_that_no_format_has_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "the file's suffix sets the format" in refused(capsys, "export", folder / "in", "model.bin")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        call(command, "--help")
    assert end.value.code == 0
    assert "usage: " in capsys.readouterr().out


@pytest.mark.slow
def test_the_module_and_the_script_are_the_same_command() -> None:
    script = Path(sys.executable).with_name("gpt2-pruning")
    for start in ([sys.executable, "-m", "gpt2_lib"], [str(script)]):
        done = subprocess.run([*start, "--help"], capture_output=True, text=True, check=True)
        assert all(f"\n  {command} " in done.stdout for command in COMMANDS)


def test_compare_draws_a_bar_for_each_model(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ("--test", folder / "test.txt", "--picture", tmp_path / "bars.svg")
    call("compare", folder / "in", "--methods", "magnitude", "random", "--sparsity", 0.5, *texts)
    assert f"Written: {tmp_path / 'bars.svg'}" in capsys.readouterr().out
    drawn = (tmp_path / "bars.svg").read_text(encoding="utf-8")
    assert all(f"<!-- {name} -->" in drawn for name in ("unpruned", "magnitude", "random"))


def test_a_picture_of_no_known_format_is_refused_before_any_work(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--methods", "random", "--sparsity", 0.5, "--test", folder / "test.txt", "--picture", "bars.bmp")
    assert "one of .png, .svg, .pdf; got 'bars.bmp'" in refused(capsys, "compare", folder / "in", *asked)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")
def test_bash_completes_commands_options_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    call("completion")
    script = capsys.readouterr().out
    for typed, wanted in {
        ("pru",): ["prune"],
        ("c",): ["compare", "check-manifests", "completion"],
        ("prune", "in", "out", "--me"): ["--method"],
        ("prune", "in", "out", "--method", "spa"): ["sparsegpt"],
        ("compare", "in", "--methods", "magnitude", "magnitude-g"): ["magnitude-global"],
        ("load-test", "--pr"): ["--prompt"],
        ("bench", "--cal"): ["--calibrate"],
        ("evaluate", "in", "--test", "te"): [],  # then bash goes on with names of files
    }.items():
        words = " ".join(("gpt2-pruning", *typed))
        ask = f"{script}\nCOMP_WORDS=({words}) COMP_CWORD={len(typed)}\n_gpt2_pruning\necho ${{COMPREPLY[@]}}"
        done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
        assert (done.stderr, done.stdout.split()) == ("", wanted)


def test_completion_leaves_out_the_options_of_commands_whose_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> object:
        raise MissingExtraError("Not installed: matplotlib.")

    assert "--repeats" in completion.words_of("bench")
    monkeypatch.setattr(completion, "module_of", missing)
    assert list(completion.words_of("bench")) == []
