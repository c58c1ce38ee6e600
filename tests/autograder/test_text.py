"""Tests of learners' text on a terminal, a page or in a table."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.text import FORMULA, did_you_mean, for_table, from_table, masked, of_file, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("李 华, Ада, o'brien", "李 华, Ада, o'brien"),
        ("\x1b[2K\rada  phase2  39 of 39", "ada  phase2  39 of 39"),
        ("\x1b]0;owned\x07title", "title"),
        ("two\nlines\r\nand\u2028more", "two lines and more"),
        ("nul\0 bell\a", "nul? bell?"),
        ("\u202eevil", "?evil"),
        ("half \ud800 a pair", "half ? a pair"),
        (ValueError("an error"), "an error"),
    ],
)
def test_plain_text_is_one_line_without_terminal_commands(text: object, shown: str) -> None:
    assert plain(text) == shown


def test_long_text_is_cut() -> None:
    assert plain("x" * 10_000, 100) == "x" * 100 + " ..."
    assert plain("All rows are softmax in one step.", 30) == "All rows are softmax in one ..."
    assert plain("All rows are softmax in one step.", 27) == "All rows are softmax in one ..."
    assert plain("a " + "x" * 200, 100) == "a " + "x" * 98 + " ...", "a long word stays, as far as it fits"


@given(st.text())
def test_any_text_is_one_printable_line(text: str) -> None:
    shown = plain(text)
    assert "\n" not in shown
    assert "\x1b" not in shown
    shown.encode()
    assert plain(shown) == shown


@given(st.text())
def test_no_spreadsheet_reads_a_formula(text: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerow([for_table(text)])
    assert not next(csv.reader([out.getvalue()]))[0].startswith(FORMULA)


@pytest.mark.parametrize(
    "text", ["=1+1", "\uff1d1+1", "\ufe661", " =1", "\u3000@x", "x;=HYPERLINK(1)", "x; '+1", "x\t=1", "x\n=1", "x;;-1"]
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_formula_is_read_whatever_separates_the_cells(text: str, separator: str) -> None:
    for made in (masked(text), for_table(text)):
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerow(["a", made, "b"])
        cells = [cell for line in out.getvalue().splitlines() for cell in line.split(separator)]
        assert not any(cell.strip(' "\u3000').startswith(FORMULA) for cell in cells)


@given(st.text(alphabet="'=;-@ \t\nx\uff1d"))
def test_a_masked_text_is_given_back_whole(text: str) -> None:
    assert from_table(masked(text)) == text


@given(st.text())
def test_a_table_gives_back_what_was_put_into_it(text: str) -> None:
    assert from_table(for_table(text)) == plain(text)


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("is a link", "lab.ipynb is a link"),
        ("can't be read: no", "lab.ipynb can't be read: no"),
        ("no notebook, and nothing that one asks for", "lab.ipynb: no notebook, and nothing that one asks for"),
        ("'b.ipynb' was taken in its place", "lab.ipynb: 'b.ipynb' was taken in its place"),
    ],
)
def test_a_file_and_the_reason_are_a_sentence(reason: str, told: str) -> None:
    assert of_file("lab.ipynb", reason) == told


def test_a_sentence_on_an_unknown_name_has_one_mark_at_its_end() -> None:
    assert did_you_mean("kim-le", ["kim-lee", "ada"]) == ": did you mean kim-lee?"
    assert did_you_mean("x", ["kim-lee", "ada"]) == ": there are ada, kim-lee."
