"""Tests of intake: which files of a submission's folder are taken, and which never are."""

from __future__ import annotations

import copy
import json
import os
import socket
import stat
import struct
import sys
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.grading.plan import Cell, Plan
from autograder.grading.prepare import Prepared, prepare
from autograder.intake import folder as module
from autograder.intake.folder import IntakeError, intake, shadows, which
from autograder.intake.names import looks_like
from autograder.intake.notebook import MAX_CELLS, clean_notebook
from autograder.intake.regular import Refused, read_regular

LAB = "phase2_techniques"
PLAN = Plan(LAB, (Cell("a", "code", "x = 0", "c1", locked=False, solution=True, points=None),))

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is graded on Windows, nor taken in")


def cell(source: object = "x = 1", **more: object) -> dict:
    return {
        "cell_type": "code",
        "id": "a",
        "metadata": {},
        "source": source,
        "outputs": [],
        "execution_count": 1,
    } | more


def notebook(*cells: object, **more: object) -> dict:
    return {"cells": list(cells or (cell(),)), "metadata": {}, "nbformat": 4, "nbformat_minor": 5} | more


def text(*cells: object, **more: object) -> str:
    return json.dumps(notebook(*cells, **more))


def sources(data: bytes) -> list[str]:
    """Of the notebook that would be run."""
    return [c.source for c in nbformat.reads(prepare(data, PLAN).text, as_version=4).cells]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A submission of one honest notebook."""
    made = tmp_path / "submission"
    made.mkdir()
    (made / f"{LAB}.ipynb").write_text(text(), encoding="utf-8")
    return made


# Honest submissions


def test_an_honest_submission_is_taken_whole_and_not_flagged(folder: Path) -> None:
    (folder / "numbers.csv").write_text("1,2\n")
    (folder / "my helpers").mkdir()
    (folder / "my helpers" / "заметки\n und 笔记.txt").write_text("note")
    (folder / "helper.py").write_text("y = 2")
    (folder / "model.pth").write_bytes(b"weights")
    taken = intake(folder, {LAB, "challenges"})
    assert taken.notebooks == {LAB: text().encode()}
    assert sources(taken.notebooks[LAB]) == ["x = 1"]
    assert taken.extras == {
        "numbers.csv": b"1,2\n",
        "my helpers/заметки\n und 笔记.txt": b"note",
        "helper.py": b"y = 2",
        "model.pth": b"weights",
    }
    assert (taken.refused, taken.review) == ({}, [])


def test_files_that_tools_leave_behind_are_ignored_silently(folder: Path) -> None:
    for name in (".ipynb_checkpoints", "__pycache__", "sub/.git"):
        (folder / name).mkdir(parents=True)
        (folder / name / "left.txt").write_text("left")
    for name in (".DS_Store", "scratch.ipynb", "sub/other.ipynb"):
        (folder / name).write_text("{")
    (folder / "timestamp.txt").write_text("2026-01-01 00:00:00 UTC")
    taken = intake(folder, {LAB})
    assert (taken.extras, taken.refused, taken.review) == ({}, {}, [])


def test_nan_duplicate_keys_a_byte_order_mark_and_sources_as_lists_are_fine() -> None:
    honest = text(cell(["x = 1\n", "y = 2"], outputs=[{"data": float("nan")}])).replace(
        '"metadata": {}', '"metadata": {}, "metadata": {}'
    )
    assert "NaN" in honest
    taken = json.loads(clean_notebook(b"\xef\xbb\xbf" + honest.encode()))
    assert "".join(taken["cells"][0]["source"]) == "x = 1\ny = 2"


def test_a_notebook_full_of_outputs_is_taken_without_them() -> None:
    output = {"output_type": "stream", "name": "stdout", "text": ["x" * 100 + "\n"] * 100_000}
    heavy = text(cell(outputs=[output])).encode()
    assert 10_000_000 < len(heavy) < module.MAX_NOTEBOOK
    assert len(clean_notebook(heavy)) < 1000
    assert clean_notebook(heavy) == clean_notebook(text().encode())  # what was ignored doesn't count


def test_a_notebook_of_an_older_format_is_upgraded_to_the_same_bytes_each_time() -> None:
    old = nbformat.v3.new_notebook(worksheets=[nbformat.v3.new_worksheet(cells=[nbformat.v3.new_code_cell("x = 1")])])
    data = json.dumps(old).encode()
    assert clean_notebook(data) == clean_notebook(data)
    assert json.loads(clean_notebook(data))["cells"][0]["source"] == ["x = 1"]


def test_nbgraders_metadata_ids_and_pasted_images_stay_tags_go() -> None:
    role = {"grade_id": "sparsity", "solution": True}
    image = {"a.png": {"image/png": "iVBORw0KGgo="}}
    given = notebook(
        cell(metadata={"nbgrader": role, "tags": ["skip-execution"]}, id="sparsity"),
        {"cell_type": "markdown", "id": "b", "metadata": {}, "source": "![](attachment:a.png)", "attachments": image},
        metadata={"kernelspec": {"name": "julia-1.9", "display_name": "Julia"}, "widgets": 5},
    )
    taken = json.loads(clean_notebook(json.dumps(given).encode()))
    assert taken["cells"][0]["metadata"] == {"nbgrader": role}
    assert taken["cells"][0]["id"] == "sparsity"
    assert taken["cells"][1]["attachments"] == image
    assert taken["metadata"] == {"kernelspec": {"name": "julia-1.9", "display_name": "Julia"}}


def test_ids_that_are_missing_doubled_or_wrong_are_replaced_by_new_ones() -> None:
    given = notebook(cell(id="cell-2"), cell(id="cell-2"), cell(id=7), cell(id="a b"))
    ids = [c["id"] for c in json.loads(clean_notebook(json.dumps(given).encode()))["cells"]]
    assert ids[0] == "cell-2"
    assert len(set(ids)) == 4


def test_half_a_surrogate_pair_can_be_written_afterwards() -> None:
    assert json.loads(clean_notebook(text(cell("x = '\ud800'")).encode()))["cells"][0]["source"] == ["x = '?'"]


# Notebooks that are none


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (text()[:40], "Was it cut short"),
        ("", "Was it cut short"),
        ("[" * 100_000, "nested too deeply"),
        ('{"cells":' * 100_000, "nested too deeply"),
        ("[]", "no format number"),
        ('"text"', "no format number"),
        ("{}", "no format number"),
        (text(nbformat=5), "format 5, and the newest known is 4"),
        (text(nbformat="4"), "is not a notebook|has the notebook format"),
        (text(nbformat=True), "is not a notebook|has the notebook format"),
        (text(nbformat=2), "not a valid notebook"),
        (text(cells={"0": cell()}), "cells are not a list"),
        (text(cells=None), "cells are not a list"),
        (text("x = 1"), "cell 1 is no cell"),
        (text(cell(), cell(5)), "cell 2 has no source"),
        (text(cell(), cell(["x", 5])), "cell 2 has no source"),
        (text({"cell_type": "code", "metadata": {}}), "cell 1 has no source"),
        (text(cell(cell_type="heading")), "no known type"),
        (text(*[cell()] * (MAX_CELLS + 1)), "at most 2000"),
        ('{"nbformat": ' + "9" * 5000 + "}", "not a valid notebook|format"),
    ],
)
def test_a_file_that_is_no_notebook_is_refused_with_the_reason(folder: Path, content: str, reason: str) -> None:
    (folder / f"{LAB}.ipynb").write_text(content, encoding="utf-8")
    taken = intake(folder, {LAB})
    assert taken.notebooks == {LAB: content.encode()}  # nobody reads it here
    assert (taken.refused, taken.review) == ({}, [])
    with pytest.raises(Refused, match=reason) as refused:
        clean_notebook(content.encode())
    assert not refused.value.suspicious
    assert prepare(content.encode(), PLAN) == Prepared(refused=str(refused.value))


def test_bytes_that_are_no_text_are_refused(folder: Path) -> None:
    (folder / f"{LAB}.ipynb").write_bytes(b"\x1f\x8b\x08\x00")
    taken = intake(folder, {LAB})
    assert taken.notebooks == {LAB: b"\x1f\x8b\x08\x00"}
    assert "not UTF-8" in prepare(taken.notebooks[LAB], PLAN).refused


def old_heading(level: object, version: int = 3) -> bytes:
    """A notebook of an old format, in which a heading becomes a line that begins with as many # as ``level`` says."""
    heading = {"cell_type": "heading", "metadata": {}, "source": "Title", "level": level}
    old = {"nbformat": version, "nbformat_minor": 0, "metadata": {"name": "old"}}
    return json.dumps(old | {"worksheets": [{"cells": [heading], "metadata": {}}]}).encode()


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("level", [1_500_000_000, 2**70, 1e9, 7, 0, -1, "1", [1], {}])
def test_a_heading_that_would_fill_the_memory_is_refused_before_it_is_written(level: object, version: int) -> None:
    with pytest.raises(Refused, match="a heading has no level between 1 and 6"):
        clean_notebook(old_heading(level, version))
    assert "a heading has no level between 1 and 6" in prepare(old_heading(level, version), PLAN).refused


@pytest.mark.parametrize("level", [1, 6])
def test_an_old_notebooks_honest_heading_is_kept(level: int) -> None:
    assert json.loads(clean_notebook(old_heading(level)))["cells"][0]["source"] == ["#" * level + " Title"]


@pytest.mark.parametrize("worksheets", [5, [5], [None], {"cells": 5}, [{"cells": 5}], [{"cells": [5]}], "text", [[]]])
def test_an_old_notebook_that_holds_no_cells_is_refused_or_empty(worksheets: object) -> None:
    data = json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": worksheets}).encode()
    with pytest.raises(Refused, match="is not a valid notebook"):
        clean_notebook(data)


def test_a_60_mb_cell_is_refused_with_what_to_do(folder: Path) -> None:
    (folder / f"{LAB}.ipynb").write_text(text(cell("#" * 60_000_000)))
    assert "larger than 60 MB: clear its outputs" in intake(folder, {LAB}).refused[f"{LAB}.ipynb"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
PLACES = [("cells",), ("cells", 0), ("metadata",), ("nbformat",), ("nbformat_minor",), ("metadata", "kernelspec")]
PLACES += [("cells", 0, key) for key in ("cell_type", "source", "metadata", "outputs", "id", "attachments")]


@settings(max_examples=150)
@given(place=st.sampled_from(PLACES), value=json_values)
def test_any_value_in_any_place_gives_a_valid_notebook_or_a_reason(place: tuple, value: object) -> None:
    changed = copy.deepcopy(notebook(cell(), {"cell_type": "markdown", "id": "b", "metadata": {}, "source": ""}))
    target = changed
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    prepared = prepare(json.dumps(changed).encode(), PLAN)
    if prepared.refused:
        with pytest.raises(Refused) as refused:
            clean_notebook(json.dumps(changed).encode())
        assert prepared == Prepared(refused=str(refused.value))
        return
    cleaned = clean_notebook(json.dumps(changed).encode())
    nbformat.validate(nbformat.reads(cleaned.decode(), as_version=4))
    assert clean_notebook(cleaned) == cleaned
    nbformat.validate(nbformat.reads(prepared.text, as_version=4))


# Links, devices and the like


def assert_refused_for_review(folder: Path, name: str, words: str) -> None:
    taken = intake(folder, {LAB})
    assert words in taken.refused[name]
    assert any(repr(name) in note and words in note for note in taken.review)
    assert name not in taken.extras
    assert name.removesuffix(".ipynb") not in taken.notebooks
    assert taken.stamp is None


@pytest.mark.parametrize("name", [f"{LAB}.ipynb", "data.csv", "other.ipynb", "sub/data.csv", "timestamp.txt"])
@pytest.mark.parametrize("kind", ["link", "dead link", "link to a folder", "hard link", "pipe", "socket"])
def test_a_path_that_is_no_plain_file_is_refused_and_flagged(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    if kind == "hard link" and name == "other.ipynb":
        return  # an unwanted notebook is not even opened
    secret = tmp_path / "source.ipynb"
    secret.write_text(text(cell("the_solution = 42")))
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(secret)
    elif kind == "dead link":
        path.symlink_to(tmp_path / "nowhere")
    elif kind == "link to a folder":
        path.symlink_to(tmp_path)
    elif kind == "hard link":
        path.hardlink_to(secret)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        monkeypatch.chdir(path.parent)  # a socket's path is short
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    assert_refused_for_review(folder, name, {"dead link": "link", "link to a folder": "link"}.get(kind, kind))


def test_a_device_is_not_even_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr(os, "open", lambda path, *a, **k: opened.append(path))
    with pytest.raises(Refused, match="is a device"):
        read_regular("/dev/zero", 10)
    assert opened == []


@pytest.mark.parametrize("name", [f"{LAB}.ipynb", "data.csv", "timestamp.txt"])
def test_a_device_in_the_folder_is_refused_and_flagged(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Only root can make one: here a file says that it is one."""
    (folder / name).write_text("2026-01-01 00:00:00 UTC")
    honest, real = os.stat, os.open
    device = os.stat("/dev/zero")
    assert stat.S_ISCHR(device.st_mode)

    def looked_at(path: str, **named: Any) -> os.stat_result:
        return device if path == name else honest(path, **named)

    def opened(path: str, *arguments: Any, **named: Any) -> int:
        assert path != name
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "stat", looked_at)
    monkeypatch.setattr(os, "open", opened)
    assert_refused_for_review(folder, name, "is a device")


def test_a_file_exchanged_for_a_link_while_it_is_looked_at_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "data.csv"
    path.write_text("1")
    honest = os.stat(path, follow_symlinks=False)
    path.unlink()
    path.symlink_to(tmp_path)
    monkeypatch.setattr(os, "stat", lambda *a, **k: honest)  # the look was at the file
    with pytest.raises(Refused, match="is a link"):
        read_regular(path, 10)


def test_a_folder_that_is_a_link_is_refused_and_flagged(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    taken = intake(link, {LAB})
    assert taken.notebooks == {}
    assert "is a link" in taken.refused["link"]
    assert len(taken.review) == 1


def test_a_folder_in_the_notebooks_place_is_refused(folder: Path) -> None:
    (folder / f"{LAB}.ipynb").unlink()
    (folder / f"{LAB}.ipynb").mkdir()
    assert "is a folder, not a file" in intake(folder, {LAB}).refused[f"{LAB}.ipynb"]


@pytest.mark.parametrize("what", ["file", "nothing", "forbidden"])
def test_only_a_folder_that_cannot_be_read_is_an_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    place = tmp_path / "place"
    if what == "file":
        place.write_text("")
    elif what == "forbidden":  # the tests may run as root, who may everything

        def forbidden(*arguments: object, **names: object) -> int:
            raise PermissionError(13, "Permission denied")

        place.mkdir()
        monkeypatch.setattr(os, "open", forbidden)
    with pytest.raises(IntakeError, match={"file": "is a file", "nothing": "No such"}.get(what, "Permission denied")):
        intake(place, {LAB})


def test_a_single_file_that_cannot_be_read_is_refused_and_the_rest_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "data.csv").write_text("1")
    real = os.open

    def forbidden(path: str, *arguments: Any, **names: Any) -> int:
        if path == "data.csv":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **names)

    monkeypatch.setattr(os, "open", forbidden)
    taken = intake(folder, {LAB})
    assert taken.refused == {"data.csv": "can't be read: Permission denied"}
    assert list(taken.notebooks) == [LAB]


# When it was handed in


@pytest.mark.parametrize(
    ("stamp", "utc"),
    [
        ("2026-01-31 12:30:00 UTC", datetime(2026, 1, 31, 12, 30)),
        ("2026-01-31 12:30:00.25 UTC\n", datetime(2026, 1, 31, 12, 30, 0, 250_000)),
        ("2026-01-31 12:30:00 Europe/Berlin", datetime(2026, 1, 31, 11, 30)),
        ("2026-07-31 12:30:00 +0200", datetime(2026, 7, 31, 10, 30)),
        ("2026-01-31T23:30:00-03:30", datetime(2026, 2, 1, 3, 0)),
        ("2026-01-31 12:30:00", datetime(2026, 1, 31, 12, 30)),
    ],
)
def test_the_stamp_is_a_utc_time_without_a_zone(folder: Path, stamp: str, utc: datetime) -> None:
    (folder / "timestamp.txt").write_text(stamp)
    taken = intake(folder, {LAB})
    assert taken.stamp == utc
    assert (taken.extras, taken.refused, taken.review) == ({}, {}, [])


def test_without_a_stamp_nothing_is_refused(folder: Path) -> None:
    taken = intake(folder, {LAB})
    assert (taken.stamp, taken.refused, taken.review) == (None, {}, [])


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b" \n", b"{", b"yesterday", b"2026-13-01 00:00:00 UTC", b"0001-01-01 00:00:00 +2300"),
        *(b"9999-12-31 23:59:00 -2300", b"9" * 100, b"9" * 40 + b"h", b"\xff\xfe2\x000\x00"),
        *(b"2026-01-01 99:00:00 UTC", b"2026-01-01 00:00:00 " + b"9" * 70, b"\0" * 20),
    ],
)
def test_a_stamp_that_is_no_time_is_refused_and_flagged(folder: Path, content: bytes) -> None:
    (folder / "timestamp.txt").write_bytes(content)
    assert_refused_for_review(folder, "timestamp.txt", "is no time")
    assert list(intake(folder, {LAB}).notebooks) == [LAB]


@pytest.mark.parametrize("part", ["2026", "12", "12:30", "January", "2026-01", "UTC"])
def test_a_part_of_a_time_is_no_time(folder: Path, part: str) -> None:
    """The rest would be the day on which it is graded."""
    (folder / "timestamp.txt").write_text(part)
    assert_refused_for_review(folder, "timestamp.txt", "is no time")


def test_no_file_that_a_stamp_names_is_opened(folder: Path) -> None:
    """A zone by the name of a file is read as a table of zones; it could be any file, and of any size."""
    head = b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    with tempfile.NamedTemporaryFile(dir="/tmp") as zone:  # the path is short
        zone.write(head + struct.pack(">lbb", 3600, 0, 0) + b"ABC\0")
        zone.flush()
        for name in (zone.name, f"../../..{zone.name}"):
            (folder / "timestamp.txt").write_text(f"2026-01-31 12:30:00 {name}")
            assert_refused_for_review(folder, "timestamp.txt", "is no time")


@pytest.mark.parametrize("make", [lambda file: file.write(b" " * 101), lambda file: file.truncate(1 << 40)])
def test_a_stamp_that_is_too_long_is_refused_without_being_read(folder: Path, make: Callable[[Any], object]) -> None:
    with (folder / "timestamp.txt").open("wb") as file:
        file.write(b"2026-01-01 00:00:00 UTC")
        make(file)
    taken = intake(folder, {LAB})
    assert taken.stamp is None
    assert "is no time" in taken.refused["timestamp.txt"]
    assert len(taken.review) == 1
    assert list(taken.notebooks) == [LAB]


def test_a_folder_in_the_stamps_place_is_refused(folder: Path) -> None:
    (folder / "timestamp.txt").mkdir()
    taken = intake(folder, {LAB})
    assert taken.stamp is None
    assert taken.refused == {"timestamp.txt": "is a folder, not a file"}


# Limits


@pytest.mark.parametrize("name", [f"{LAB}.ipynb", "data.csv"])
def test_a_sparse_giant_is_refused(folder: Path, name: str) -> None:
    with (folder / name).open("wb") as file:
        file.truncate(1 << 40)
    taken = intake(folder, {LAB})
    assert "is larger than" in taken.refused[name]
    assert taken.extras == {}


def test_extras_have_limits_on_size_number_and_depth(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EXTRA", 1_000_000)
    monkeypatch.setattr(module, "MAX_EXTRAS", 2_500_000)
    monkeypatch.setattr(module, "MAX_EXTRA_FILES", 4)
    monkeypatch.setattr(module, "MAX_DEPTH", 2)
    for name, size in {"a": 1_000_001, "b": 1_000_000, "c": 1_000_000, "d": 1_000_000, "e": 1, "f": 1, "g": 1}.items():
        (folder / name).write_bytes(bytes(size))
    (folder / "x" / "y" / "z").mkdir(parents=True)
    (folder / "x" / "y" / "z" / "deep.txt").write_text("")
    taken = intake(folder, {LAB})
    assert sorted(taken.extras) == ["b", "c", "e", "f"]
    assert {name: reason[:20] for name, reason in taken.refused.items()} == {
        "a": "is larger than 1 MB",
        "d": "was left out: at mos",
        "g": "was left out: at mos",
        "x/y/z": "is more than 2 folde",
    }
    assert taken.review == []


def test_a_folder_of_very_many_files_does_not_hide_the_notebook(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 50)
    for number in range(60):
        (folder / f"a{number}.txt").write_text("")
    taken = intake(folder, {LAB})
    assert list(taken.notebooks) == [LAB]
    assert "more than 50 files" in taken.refused["."]
    assert taken.extras == {}


# Modules


@pytest.mark.parametrize(
    "name",
    [
        *("torch.py", "gpt2_lib.py", "Torch.PY", "random.py", "numpy/__init__.py", "gpt2_lib/metrics.py"),
        *("autograder.py", "sitecustomize.py", "usercustomize.py", "json.pyc", "matplotlib.pth"),
        "math.cpython-311-x86_64-linux-gnu.so",
    ],
)
def test_a_file_that_would_be_imported_in_a_modules_place_is_left_out_and_flagged(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    assert_refused_for_review(folder, name, "take the place of the module")


def test_data_in_a_folder_named_after_a_module_is_no_danger() -> None:
    assert not shadows("test/data.csv")
    assert not shadows("torch.csv")
    assert not shadows("helpers/torch.py")  # imported as helpers.torch


# Names


@pytest.mark.parametrize(
    "found",
    [
        *(f"{LAB} (1).ipynb", f"{LAB}-Copy1.ipynb", "Phase2_Techniques.ipynb", f"{LAB}-2.ipynb"),
        *(f"{LAB}(2) (1).ipynb", f"{LAB} copy 2.ipynb", f"handed in/{LAB}.ipynb"),
    ],
)
def test_a_notebook_of_nearly_the_right_name_is_refused_with_a_hint(folder: Path, found: str) -> None:
    path = folder / found
    path.parent.mkdir(exist_ok=True)
    (folder / f"{LAB}.ipynb").rename(path)
    if (folder / f"{LAB}.ipynb").exists():
        pytest.skip("this file system doesn't tell A from a")
    taken = intake(folder, {LAB})
    assert taken.notebooks == {}
    assert f"Is it {found!r}?" in taken.refused[f"{LAB}.ipynb"]


def test_a_missing_notebook_without_a_like_is_no_refusal(folder: Path) -> None:
    assert intake(folder, {LAB, "challenges"}).refused == {}


def test_further_notebooks_are_named_with_what_was_graded_in_their_place(folder: Path) -> None:
    assert which([LAB], intake(folder, {LAB}).further) == []
    for name in (f"{LAB} (1).ipynb", "scratch.ipynb", ".hidden.ipynb"):
        (folder / name).write_text(text())
    further = intake(folder, {LAB, "challenges"}).further
    told = f"{LAB}.ipynb was graded, not what lies beside it: '{LAB} (1).ipynb', 'scratch.ipynb'"
    assert which([LAB], further) == [told]
    assert which([], ["a.ipynb"] * 7)[0].endswith(f"{', '.join(5 * [repr('a.ipynb')])} and 2 more")


def test_a_name_ends_in_a_number_of_its_own() -> None:
    assert looks_like("lab-1", "lab-1")
    assert looks_like("lab-1-2", "lab-1")
    assert not looks_like("lab-2", "lab-1")
    assert not looks_like("lab", "lab-1")


# The digest


def test_the_digest_says_whether_anything_that_was_taken_in_changed(folder: Path) -> None:
    (folder / "a.txt").write_text("b")
    first = intake(folder, {LAB}).digest
    (folder / "timestamp.txt").write_text("2026-01-01 00:00:00 UTC")  # it is told apart, as the stamp
    (folder / "scratch.ipynb").write_text("{")
    assert intake(folder, {LAB}).digest == first  # what was ignored doesn't count
    (folder / "a.txt").rename(folder / "a.tx")
    (folder / "a.tx").write_text("tb")
    second = intake(folder, {LAB}).digest
    (folder / f"{LAB}.ipynb").write_text(text(cell("x = 2")))
    third = intake(folder, {LAB}).digest
    (folder / f"{LAB}.ipynb").rename(folder / "data.csv")
    assert len({first, second, third, intake(folder, {LAB}).digest}) == 4
