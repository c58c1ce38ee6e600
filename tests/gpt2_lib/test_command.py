"""Tests of commands under Ctrl-C, with a closed pipe, and with output that can't be written or shown."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt2_lib import experiments, train
from gpt2_lib.commands import arguments, bench
from gpt2_lib.course import experiments as course_experiments
from gpt2_lib.system import command
from gpt2_lib.system.command import CLOSED, INTERRUPTED, count, output_file, output_folder

posix = pytest.mark.skipif(sys.platform == "win32", reason="pipes and signals of POSIX")
# A small command, where a real one would compute for long; its room alone, without PyTorch.
ROOM = Path(command.__file__).parent
LOADED = f"import sys; sys.path.append({str(ROOM.parent)!r}); from {ROOM.name}.command import run; "


def start(*arguments: str, **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit status and the errors."""
    assert process.stderr is not None
    with process.stderr as errors:
        said = errors.read()
    if process.stdout is not None:
        process.stdout.close()
    return process.wait(), said


@posix
def test_a_reader_that_goes_away_ends_a_command_silently():
    process = start("-m", "gpt2_lib.deploy", "check-manifests", "--help")
    assert process.stdout is not None
    process.stdout.close()
    status, errors = ended(process)
    assert errors == ""
    assert status in (0, CLOSED)  # argparse ignores such an error


@posix
@pytest.mark.parametrize(
    "body",
    ["print('x' * 10**6)", "print('x'); raise SystemExit(3)", "[print(i, flush=True) for i in range(10**6)]"],
    ids=["at once", "at its end", "line by line"],
)
def test_output_after_a_closed_pipe_is_dropped(body: str):
    process = start("-c", f"{LOADED}run(lambda: exec({body!r}))")
    assert process.stdout is not None
    process.stdout.close()
    assert ended(process) == (CLOSED, "")


@posix
def test_a_reader_of_the_errors_may_go_away_too():
    body = "from tqdm import tqdm\nfor _ in tqdm(range(10**6), mininterval=0): pass"
    process = start("-c", f"{LOADED}run(lambda: exec({body!r}))")
    assert process.stderr is not None
    process.stderr.close()
    assert process.wait() == CLOSED
    assert process.stdout is not None
    process.stdout.close()


@posix
@pytest.mark.parametrize("where", ["while it works", "while it imports"])
def test_ctrl_c_ends_a_command_with_one_word(where: str, tmp_path: Path):
    if where == "while it works":
        body = "print('here', flush=True); __import__('time').sleep(60)"
        process = start("-c", f"{LOADED}run(lambda: exec({body!r}))")
    else:  # a module that is imported before all others
        (tmp_path / "safetensors.py").write_text("print('here', flush=True); __import__('time').sleep(60)")
        process = start("-m", "gpt2_lib.exercises", env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGINT)
    status, errors = ended(process)
    assert errors == "\nStopped.\n"
    assert status in (INTERRUPTED, -signal.SIGINT)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is always full: Linux")
def test_a_full_disk_is_one_sentence():
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-c", f"{LOADED}run(lambda: print('x'))"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert process.returncode == 1
    assert process.stderr.startswith("Stopped: ")
    assert "No space left" in process.stderr
    assert len(process.stderr.splitlines()) == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_any_terminal_shows_what_it_can(encoding: str):
    text = "\N{RIGHT SINGLE QUOTATION MARK} \N{CJK UNIFIED IDEOGRAPH-6F22} \ud800"
    process = subprocess.run(
        [sys.executable, "-c", f"{LOADED}run(lambda: print({text!r}))"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )
    assert (process.returncode, process.stderr) == (0, b"")
    assert process.stdout.decode(encoding).strip() == text.encode(encoding, "backslashreplace").decode(encoding)


@posix
def test_a_command_without_any_output_works():
    command = [sys.executable, "-c", f"{LOADED}run(lambda: print('x'))"]
    script = 'exec "$@" >&- 2>&-'
    assert subprocess.run(["sh", "-c", script, "sh", *command]).returncode == 0


def test_the_status_is_what_main_gives():
    for body, status, errors in (
        ("0", 0, ""),
        ("None", 0, ""),
        ("7", 7, ""),
        ("sys.exit(2)", 2, ""),
        ("sys.exit('No.')", 1, "No.\n"),
    ):
        process = start("-c", f"{LOADED}run(lambda: {body})")
        assert ended(process) == (status, errors)


@pytest.fixture
def taken(tmp_path: Path) -> Path:
    """A file, where a folder would be needed."""
    (tmp_path / "file").write_text("kept")
    return tmp_path / "file"


COMMANDS: list[tuple[str, Callable[[list[str]], object], str]] = [
    ("experiments", lambda argv: experiments.main(argv), "curves.png"),
    ("bench", lambda argv: bench.main(argv), "out.csv"),
    ("train", lambda argv: train.main(argv), ""),
]


@pytest.mark.parametrize(("name", "main", "file"), COMMANDS, ids=[name for name, *_ in COMMANDS])
def test_an_unwritable_path_is_reported_before_any_work(
    name: str,
    main: Callable[[list[str]], object],
    file: str,
    taken: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    def work(*_: object, **__: object) -> None:
        raise AssertionError("It began to work.")

    monkeypatch.setattr(course_experiments, "load_pretrained_gpt2", work)
    monkeypatch.setattr(arguments, "load", work)
    monkeypatch.setattr("gpt2_lib.corpus.training_plays", work)
    with pytest.raises(SystemExit) as end:
        main(["--out", str(taken / file)])
    assert end.value.code == 2
    assert "--out: can't write there" in capsys.readouterr().err
    assert taken.read_text() == "kept"
    with pytest.raises(AssertionError, match="began to work"):
        main(["--out", str(taken.parent / "new" / file)])
    assert list((taken.parent / "new").iterdir()) == []


def test_an_output_is_tried_and_nothing_is_left_or_lost(tmp_path: Path, taken: Path):
    assert output_file(str(tmp_path / "a" / "b.csv")) == tmp_path / "a" / "b.csv"
    assert output_file(str(taken)) == taken
    assert output_folder(str(tmp_path / "c")) == tmp_path / "c"
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [taken]
    assert taken.read_text() == "kept"
    bad = [str(tmp_path), "", ".", str(tmp_path / ("x" * 250)), str(taken / "x")]
    bad += ["/dev/null"] if Path("/dev/null").exists() else []
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError):
            output_file(text)
    with pytest.raises(argparse.ArgumentTypeError, match="can't write there"):
        output_folder(str(taken))


@pytest.mark.parametrize("text", ["0", "-1", "", "1.5", "many"])
def test_a_count_is_a_whole_number_of_at_least_one(text: str):
    assert count("12") == 12
    with pytest.raises(argparse.ArgumentTypeError, match="at least 1"):
        count(text)


@pytest.mark.parametrize("device", ["nonsense", "cuda:99", "cpu,"])
def test_a_device_that_is_not_there_is_told_before_any_work(device: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        train.main(["--device", device])
    assert "can't be used here" in capsys.readouterr().err


@posix
@pytest.mark.parametrize("flushed", [True, False], ids=["line by line", "at its end"])
def test_the_autograders_commands_end_silently_too(flushed: bool, tmp_path: Path):
    script = (
        "import sys; from autograder import __main__ as tool\n"
        f"tool.release = lambda root: print('x', flush={flushed}) or ['y']\n"
        "sys.exit(tool.main(['--course', sys.argv[1], 'release']))"
    )
    process = start("-c", script, str(tmp_path))
    assert process.stdout is not None
    process.stdout.close()
    assert ended(process) == (CLOSED, "")


@pytest.mark.slow
@pytest.mark.parametrize("module", ["gpt2_lib", "gpt2_lib.experiments", "gpt2_lib.course.exercises"])
def test_a_package_that_is_missing_is_a_sentence_with_the_command_that_adds_it(module: str, tmp_path: Path):
    """Also where it is missed while Python still imports. A finder that hides it comes first."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, package=None: None if name == 'matplotlib' else find(name, package)\n"
    )
    arguments = ["experiments", "--help"] if module == "gpt2_lib" else ["--help"]
    process = start("-m", module, *arguments, env=os.environ | {"PYTHONPATH": str(tmp_path)})
    status, errors = ended(process)
    assert status == 1
    assert errors.count("\n") == 1, errors
    assert "Not installed: matplotlib. This adds it: " in errors
    assert "pip install 'gpt2-pruning-course[course]'" in errors
