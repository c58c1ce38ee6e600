"""Tests of feedback pages: what a learner sees, what stays hidden, and that hostile work can't harm a page."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import struct
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from colour import contrast
from graded import CHECKS, HIDDEN, NOTEBOOK, PHASE, Graded, cell_of, further_cell
from matplotlib.figure import Figure
from nbformat import NotebookNode
from nbformat.v4 import new_output
from PIL import Image
from pygments.formatters import HtmlFormatter

from autograder.__main__ import main
from autograder.course import CourseError
from autograder.grading.verdicts import Grading, Review, read_grading, write_grading
from autograder.notebooks import read_notebook
from autograder.reports import display
from autograder.reports.feedback import feedback

EVIL = "</pre></script><script>alert(1)</script><img src=x onerror=alert(2)>"
TAGS_WITH_DANGER = {"script", "iframe", "object", "embed", "link", "form", "svg", "math", "base", "video", "audio"}


class Page(HTMLParser):
    """What a browser would make of a page: its tags with attributes, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(self.html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def words(self) -> str:
        """The text on one line, a space between table cells."""
        return " ".join(" ".join(self.texts).split())

    @property
    def pictures(self) -> list[str]:
        return [attributes["src"] or "" for tag, attributes in self.tags if tag == "img"]

    def assert_harmless(self) -> None:
        """No script, nothing from elsewhere, no handler: and a policy that forbids them all."""
        assert TAGS_WITH_DANGER.isdisjoint(tag for tag, _ in self.tags)
        for tag, attributes in self.tags:
            assert not any(name.startswith("on") for name in attributes), (tag, attributes)
            for name in ("src", "href"):
                assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,", "data:image/jpeg;"))
        styles = "".join(re.findall("<style>(.*?)</style>", self.html, re.DOTALL))
        assert "url(" not in styles
        assert "@import" not in styles
        policy = next(a["content"] for t, a in self.tags if t == "meta" and a.get("http-equiv"))
        assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    return Graded(tmp_path_factory.mktemp("graded"))


def page_of(graded: Graded, student: str) -> Page:
    (path,) = feedback(graded.course, PHASE, student)
    assert path == graded.root / "feedback" / student / PHASE / f"{NOTEBOOK}.html"
    return Page(path)


def picture(format: str, size: float = 1) -> str:
    file = io.BytesIO()
    if format == "png":
        with matplotlib.rc_context():
            Figure(figsize=(size, size)).savefig(file, format="png")
    else:
        Image.new("RGB", (4, 4)).save(file, "jpeg")
    return base64.b64encode(file.getvalue()).decode()


def png(width: int, height: int) -> bytes:
    """A picture's beginning, which says how many pixels it has."""
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0) + bytes(4)


def jpeg(width: int, height: int, before: bytes = b"") -> bytes:
    """The same; ``before`` is what stands between the first marker and the one of the frame."""
    parts = b"\x01\x11\0\x02\x11\1\x03\x11\1"
    return b"\xff\xd8" + before + b"\xff\xc0\0\x11\x08" + struct.pack(">2H", height, width) + b"\x03" + parts


def stream(text: str) -> NotebookNode:
    return new_output("stream", name="stdout", text=text)


def displayed(**data: str) -> NotebookNode:
    return new_output("display_data", data={mime.replace("_", "/"): content for mime, content in data.items()})


# What it shows


def test_points_code_outputs_and_messages_are_shown(graded: Graded) -> None:
    def change(notebook: NotebookNode) -> None:
        cell_of(notebook, "double").source = "def double(x):\n    return 2 + x  # sum\nprint('trying')"
        cell_of(notebook, "double").outputs = [
            stream("trying\n"),
            displayed(image_png=picture("png"), text_plain="<Figure>"),
        ]

    message = "Twice -3 is -6; yours is -1.\n  x   yours\n -3      -1"
    graded.add("ada", {"double_basics": 0}, {"double_basics": message}, change)
    page = page_of(graded, "ada")
    assert "2.5 of 4.5 points" in page.text
    assert "return 2 + x  # sum" in page.text
    assert "trying\n" in page.text.replace("</pre>", "\n")
    assert message in page.text, "line breaks and spaces are kept"
    assert "double_basics: 0 of 2" in page.text
    assert "double_text: 1 of 1" in page.text
    assert "half: 1.5 of 1.5" in page.text
    assert page.pictures == [f"data:image/png;base64,{picture('png')}"]
    assert ("pre", {"class": "message"}) in page.tags
    assert re.search(r'<span class="k">def</span>', page.html), "code is highlighted"
    page.assert_harmless()


def test_a_check_is_shown_with_its_label(graded: Graded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "labelled_checks"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "doubling.py").write_text('@check("twice <the> number")\ndef double_basics(f): ...\n', encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(graded.course, "rules", replace(graded.course.rules, checks=package.name))
    graded.add("labelled")
    page = page_of(graded, "labelled")
    assert "twice <the> number · double_basics: 2 of 2" in " ".join(page.text.split())
    assert "· double_text" not in page.text


def test_a_page_has_headings_table_headers_and_both_colour_schemes(graded: Graded) -> None:
    graded.add("grace")
    page = page_of(graded, "grace")
    assert ("html", {"lang": "en"}) in page.tags
    assert [tag for tag, _ in page.tags if tag in ("h1", "h2", "h3")] == ["h1", "h2", *["h3"] * 3, "h2", *["h3"] * 2]
    assert {"col", "row"} == {attributes.get("scope") for tag, attributes in page.tags if tag == "th"}
    assert "@media (prefers-color-scheme: dark)" in page.html
    assert "@media print" in page.html
    assert 'name="viewport"' in page.html


@pytest.mark.parametrize(("style", "box"), [("xcode", "#f6f8fa"), ("lightbulb", "#161b22")])
def test_highlighted_code_has_enough_contrast(style: str, box: str) -> None:
    """WCAG AA: 4.5 to 1."""

    assert style in str(display.code_style.__code__.co_consts)
    tokens = [(str(token), found["color"]) for token, found in HtmlFormatter(style=style).style if found["color"]]
    code = [(token, colour) for token, colour in tokens if not token.startswith(("Token.Generic", "Token.Error"))]
    assert [token for token, colour in code if contrast(f"#{colour}", box) < 4.5] == []


def test_a_graders_comment_points_by_hand_and_extra_credit_are_shown(graded: Graded) -> None:
    graded.add("hand", {"half_basics": 0}, {"half_basics": "Half of 2 is 1."})
    with graded.course.gradebook() as gradebook:
        grade: Any = gradebook.find_grade("half_basics", NOTEBOOK, PHASE, "hand")  # no column has a type
        grade.manual_score, grade.extra_credit = 1.0, 0.25
        half: Any = gradebook.find_comment("half", NOTEBOOK, PHASE, "hand")
        half.manual_comment = "Nearly <b>right</b>."
        double: Any = gradebook.find_comment("double", NOTEBOOK, PHASE, "hand")
        double.auto_comment = "No response."
        gradebook.db.commit()
    page = page_of(graded, "hand")
    assert "4.25 of 4.5 points" in page.text
    assert "Graded by hand: 1 (the check gave 0). Extra credit: 0.25." in page.text
    assert "Nearly <b>right</b>." in page.text
    assert "Nothing was written here." in page.text


def test_a_penalty_for_handing_in_late_is_taken_off_and_said(graded: Graded) -> None:
    graded.add("late")
    with graded.course.gradebook() as gradebook:
        notebook: Any = gradebook.find_submission_notebook(NOTEBOOK, PHASE, "late")
        notebook.late_submission_penalty = 1.0
        gradebook.db.commit()
    page = page_of(graded, "late")
    assert "3.5 of 4.5 points, after\n1 taken off for handing in late" in page.text


def test_the_command_names_whose_points_a_person_may_still_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room = Graded(tmp_path)
    write_grading(room.add("ada"), Grading("k", (Review(NOTEBOOK, "double", "It patched torch."),)))
    assert main(["feedback"], root=room.root) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["1 pages in feedback/; 0 submissions failed", "tiny: flagged (1): ada"]
    assert said[2].startswith("  look at them")


def test_a_learners_further_cells_are_folded_and_the_courses_own_are_not_shown(graded: Graded) -> None:
    def change(notebook: NotebookNode) -> None:
        further_cell(notebook, "my_note = 12345", stream("my output"))

    graded.add("further", change=change)
    page = page_of(graded, "further")
    details = page.html[page.html.index("<details>") :]
    assert "12345" in details
    assert "my output" in details
    assert "1 further cell of your own" in details
    assert "points" not in details, "an answer may need it"
    assert "a demonstration of the course" not in page.text
    assert "import math" not in page.text


def test_a_check_under_review_says_that_a_person_will_look_but_not_why(graded: Graded) -> None:
    folder = graded.add("reviewed", {"double_basics": 0})
    write_grading(folder, Grading("k", (Review(NOTEBOOK, "double_basics", "It patched torch."),)))
    page = page_of(graded, "reviewed")
    assert page.text.count("Your instructor will review this check.") == 1
    assert "patched" not in page.text


def test_a_check_whose_answer_is_under_review_says_so_too(graded: Graded) -> None:
    folder = graded.add("guessed")
    write_grading(folder, Grading("k", (Review(NOTEBOOK, "double", "It had lost its mark."),)))
    assert page_of(graded, "guessed").text.count("Your instructor will review this check.") == 2


def test_notes_stand_on_the_page_as_text(graded: Graded) -> None:
    note = f"sums.ipynb: the cell `setup` is the course's; changes in it were put back {EVIL}"
    write_grading(graded.add("noted"), Grading("k", notes=(note,)))
    page = page_of(graded, "noted")
    page.assert_harmless()
    assert "What you handed in" in page.text
    assert note in page.text
    graded.add("not-noted")
    assert "What you handed in" not in page_of(graded, "not-noted").text


def test_a_missing_notebook_gets_a_page_that_says_so(graded: Graded) -> None:
    folder = graded.add("missing", dict.fromkeys(CHECKS, 0.0))
    (folder / f"{NOTEBOOK}.ipynb").unlink()
    assert f"{NOTEBOOK}.ipynb is missing" in page_of(graded, "missing").text


def test_a_refused_submission_gets_a_page_that_says_why_and_what_to_do(graded: Graded) -> None:
    folder = graded.course.folder("autograded", PHASE, "refused")
    write_grading(folder, Grading("k", refused=f"sums.ipynb is a link, not a file. {EVIL}"))
    page = page_of(graded, "refused")
    assert f"sums.ipynb is a link, not a file. {EVIL}" in page.text
    assert "What to do" in page.text
    assert "of 4.5 points" not in page.text
    page.assert_harmless()


def test_ungraded_or_missing_work_is_an_error_that_says_what_to_do(graded: Graded) -> None:
    with pytest.raises(CourseError, match="run make grade first"):
        feedback(graded.course, PHASE, "nobody")
    with pytest.raises(CourseError, match="run make release first"):
        feedback(graded.course, "phase9", "ada")
    assert not graded.course.folder("feedback", PHASE, "nobody").exists()


def test_writing_it_again_gives_the_same_bytes(graded: Graded) -> None:
    graded.add("twice", {"double_text": 0}, {"double_text": "No."})
    (path,) = feedback(graded.course, PHASE, "twice")
    before = path.read_bytes()
    feedback(graded.course, PHASE, "twice")
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name], "nothing half-done is left"


# What nobody sees: the hidden tests


def test_no_failing_check_shows_its_source(graded: Graded) -> None:
    graded.add("failing", dict.fromkeys(CHECKS, 0.0), dict.fromkeys(CHECKS, "It is wrong."))
    page = page_of(graded, "failing")
    assert page.text.count("It is wrong.") == 2, "once an exercise"
    assert page.text.count("The message is the same as above.") == len(CHECKS) - 2
    assert [hidden for hidden in HIDDEN if hidden in page.text] == []
    assert "assert double" not in page.text


def test_a_cell_that_prints_the_tests_shows_none_of_their_hidden_lines(graded: Graded) -> None:
    def change(notebook: NotebookNode) -> None:
        test, other = cell_of(notebook, "double_basics").source, cell_of(notebook, "half_basics").source
        ways = [test, repr([other, test]), json.dumps(other), "\x1b[31m" + test.replace("hidden", "hid\x1b[0mden")]
        further_cell(notebook, "for line in In: print(line)", *(displayed(text_plain=way) for way in ways))
        cell_of(notebook, "double").outputs = [stream(test), displayed(text_html=test, text_plain="plain")]

    graded.add("printer", change=change)
    page = page_of(graded, "printer")
    assert [hidden for hidden in HIDDEN if hidden in page.text] == []
    assert page.text.count("[a line of a hidden test]") >= 12
    assert "assert double(2) == 4" in page.text, "the part that learners know may be shown"


def test_an_error_message_made_of_a_test_shows_none_of_its_hidden_lines(graded: Graded) -> None:
    source = read_notebook(graded.course.folder("source", PHASE) / f"{NOTEBOOK}.ipynb")
    test = cell_of(source, "double_basics").source
    graded.add("thrower", {"double_basics": 0}, {"double_basics": ("ValueError", test), "double": ("ValueError", test)})
    assert [hidden for hidden in HIDDEN if hidden in page_of(graded, "thrower").text] == []


def test_a_syntax_errors_place_is_a_line_and_no_file(graded: Graded) -> None:
    def change(notebook: NotebookNode) -> None:
        cell = further_cell(notebook, "x =")
        frame = f"Cell In[{cell.execution_count}], line 1\n    x =\nSyntaxError: invalid syntax (3406330568.py, line 1)"
        error = new_output(
            "error", ename="SyntaxError", evalue="invalid syntax (3406330568.py, line 1)", traceback=[frame]
        )
        cell.outputs = [error]

    graded.add("syntax", change=change)
    text = page_of(graded, "syntax").text
    assert text.count("SyntaxError: invalid syntax (line 1)") == 1
    assert "3406330568" not in text


def test_a_traceback_shows_frames_of_the_learners_cells_and_no_others(graded: Graded) -> None:
    def change(notebook: NotebookNode) -> None:
        cell = further_cell(notebook, "go()")
        frames = [
            f"Cell In[{cell.execution_count}], line 1\n----> 1 go()",
            f"Cell In[{cell_of(notebook, 'half').execution_count}], line 2, in half(x)\n      2 my_line",
            f"Cell In[{cell_of(notebook, 'half_basics').execution_count}], line 3, in helper()\n      3 secret",
            "File /opt/python/lib/torch.py:7, in f()\n      7 library()",
        ]
        cell.outputs = [new_output("error", ename="KeyError", evalue="'x'", traceback=[*frames, "KeyError: 'x'"])]

    graded.add("tracer", change=change)
    text = page_of(graded, "tracer").text
    assert "----> 1 go()" in text
    assert "my_line" in text
    assert "KeyError: 'x'" in text
    assert "secret" not in text
    assert "/opt" not in text


# What hostile work can do


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file names with < and >")
def test_markup_in_code_outputs_messages_comments_and_names_is_only_text(graded: Graded) -> None:
    def change(notebook: NotebookNode) -> None:
        cell = cell_of(notebook, "double")
        cell.source = f"# {EVIL}"
        cell.outputs = [stream(EVIL), displayed(text_plain=EVIL), displayed(text_html=f"html {EVIL}")]
        further_cell(notebook, f"'''{EVIL}'''", new_output("error", ename=EVIL, evalue=EVIL, traceback=[EVIL]))

    student = "<script>alert(3)<&>"
    graded.add(student.replace("/", ""), {"half_basics": 0}, {"half_basics": EVIL}, change)
    with graded.course.gradebook() as gradebook:
        comment: Any = gradebook.find_comment("half", NOTEBOOK, PHASE, student)
        comment.manual_comment = EVIL
        gradebook.db.commit()
    page = page_of(graded, student)
    page.assert_harmless()
    assert page.pictures == []
    assert "html </pre>" not in page.text, "a learner's HTML is not even shown as text"
    assert page.text.count("alert(1)") == 8  # code, 2 outputs, comment, message, code, an error's name and value
    assert student in page.text


ACTIVE = {
    "html": {"text_html": "<b>bold</b><script>alert(1)</script>"},
    "svg": {"image_svg+xml": "<svg onload='alert(1)'/>"},
    "javascript": {"application_javascript": "alert(1)"},
    "markdown": {"text_markdown": "<img src=x onerror=alert(1)>"},
    "svg called png": {"image_png": base64.b64encode(b"<svg onload='alert(1)'/>").decode()},
    "no base64": {"image_png": "no base64 '>\"<script>alert(1)</script>"},
    "gif": {"image_gif": base64.b64encode(b"GIF89a").decode()},
}


@pytest.mark.parametrize("kind", ACTIVE)
def test_only_real_png_and_jpeg_pictures_are_shown(graded: Graded, kind: str) -> None:
    def change(notebook: NotebookNode) -> None:
        jpeg = displayed(image_jpeg=picture("jpeg"))
        cell_of(notebook, "double").outputs = [displayed(**ACTIVE[kind], text_plain="instead"), jpeg]

    graded.add(kind, change=change)
    page = page_of(graded, kind)
    page.assert_harmless()
    assert page.pictures == [f"data:image/jpeg;base64,{picture('jpeg')}"]
    assert "instead" in page.text
    assert "alert" not in page.text


TOO_MANY = {
    "png": png(40_000, 40_000),
    "png of one line": png(2**31 - 1, 1),
    "jpeg": jpeg(65_535, 65_535),
    "jpeg with a comment": jpeg(65_535, 65_535, b"\xff\xfe\0\x06\xff\xc0\0\1"),
    # Whoever draws it skips the second FF; whoever doesn't skip it finds the small frame in the comment.
    "jpeg with a filling byte": (jpeg(65_535, 65_535, b"\xff") + b"\xff\xfe\xc1\0").ljust(0xC004, b"\0")
    + jpeg(4, 4)[2:].ljust(0x200, b"\0"),
    "no head": b"\x89PNG\r\n\x1a\n",
    "no pixels": png(0, 40_000),
    "no frame": b"\xff\xd8\xff\xe0\0\x04JF",
    "markers without end": b"\xff\xd8" + b"\xff\xe0\0\0" * 200,
}


@pytest.mark.parametrize("name", TOO_MANY)
def test_a_picture_of_too_many_or_unknown_pixels_is_left_out(graded: Graded, name: str) -> None:
    content = TOO_MANY[name]
    data = base64.b64encode(content).decode()
    shown = displayed(image_png=data) if content.startswith(b"\x89PNG") else displayed(image_jpeg=data)
    student = name.replace(" ", "-")
    graded.add(student, change=lambda notebook: further_cell(notebook, "draw()", shown))
    page = page_of(graded, student)
    assert page.pictures == []
    assert "pixels left out" in page.text


def test_a_page_has_a_limit_on_the_pixels_of_all_its_pictures(graded: Graded) -> None:
    data = base64.b64encode(png(4000, 4000)).decode()
    outputs = [displayed(image_png=data) for _ in range(6)]
    graded.add("many", change=lambda notebook: further_cell(notebook, "draw()", *outputs))
    page = page_of(graded, "many")
    assert len(page.pictures) == 4
    assert page.text.count("a picture of 16,000,000 pixels left out") == 2


@pytest.mark.slow
def test_a_hundred_megabytes_of_output_make_a_small_page(graded: Graded) -> None:
    def change(notebook: NotebookNode) -> None:
        cell_of(notebook, "double").outputs = [stream("x" * 60_000_000), *[stream("y\n")] * 3_000]
        cell_of(notebook, "half").outputs = [displayed(text_plain=f"{n}" + "z" * 100_000) for n in range(400)]
        further_cell(notebook, "a = 1\n" * 200_000)
        noise = base64.b64encode(png(800, 600) + b"n" * 900_000).decode()
        further_cell(notebook, "draw()", *(displayed(image_png=noise, text_plain="pixels") for _ in range(12)))
        huge = base64.b64encode(png(800, 600) + b"n" * 2_000_000).decode()
        further_cell(notebook, "draw_more()", displayed(image_png=huge))

    graded.add("loud", {"double_basics": 0}, {"double_basics": "m" * 10_000_000}, change)
    page = page_of(graded, "loud")
    assert len(page.html) < 12_000_000
    assert len(page.pictures) == 6
    assert "a picture of 2,000,033 bytes left out" in page.text
    assert "characters left out" in page.text
    assert "more outputs left out" in page.text
    assert len(page.text) < 400_000


def test_control_characters_and_progress_bars_become_plain_lines(graded: Graded) -> None:
    text = "\x1b[31mred\x1b[0m \x1b]8;;http://evil\x07link\x1b]8;;\x07\r\n 10%\r 50%\r100%\na\x00b\u202ec\ud800\n"

    def change(notebook: NotebookNode) -> None:
        cell_of(notebook, "double").outputs = [new_output("stream", name="stdout", text="here: ")]
        cell_of(notebook, "half").source = "x = 1\x00\u202e"

    folder = graded.add("control", change=change)
    path = folder / f"{NOTEBOOK}.ipynb"  # as JSON: nbformat would not write half a surrogate pair
    path.write_text(path.read_text(encoding="utf-8").replace('"here: "', json.dumps(f"here: {text}")), encoding="utf-8")
    assert "here: red link\n100%\nabc?" in page_of(graded, "control").text


def test_values_of_the_wrong_type_in_a_graded_notebook_do_no_harm(graded: Graded) -> None:
    """A hostile kernel can send any JSON as an output."""

    folder = graded.add("types", change=lambda notebook: further_cell(notebook, "send()", *[stream("")] * 4))
    path = folder / f"{NOTEBOOK}.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["cells"][-1]["outputs"] = [
        {"output_type": "stream", "name": "stdout", "text": 12345},
        {"output_type": "display_data", "metadata": {}, "data": {"text/plain": {"a": 1}}},
        {"output_type": "display_data", "metadata": {}, "data": {"image/png": 5, "text/plain": "pixels"}},
        {"output_type": "error", "ename": None, "evalue": [1], "traceback": [2]},
    ]
    path.write_text(json.dumps(notebook), encoding="utf-8")
    page = page_of(graded, "types")
    page.assert_harmless()
    assert "12345" in page.text
    assert "None: [1]" in page.text


# nbgrader's own command and the formgrader's button


def test_nbgraders_own_generate_feedback_writes_the_same_page(tmp_path: Path) -> None:
    room = Graded(tmp_path)
    room.add("ada", {"double_basics": 0}, {"double_basics": "Wrong."})
    (path,) = feedback(room.course, PHASE, "ada")
    expected = path.read_bytes()
    path.unlink()
    room.course.api.config.GenerateFeedback.exporter_class = "autograder.reports.feedback.FeedbackExporter"
    room.course.api.generate_feedback(PHASE, "ada")
    assert path.read_bytes().replace(os.linesep.encode(), b"\n") == expected  # nbgrader writes as the system does


# grading.json


def test_a_grading_is_read_as_it_was_written(tmp_path: Path) -> None:
    grading = Grading("abc", (Review("n", "", "Look é."), Review("n", "c", "Look.")), ("A note.",), "No.")
    write_grading(tmp_path / "new", grading)
    assert read_grading(tmp_path / "new") == grading
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["grading.json"]


def test_no_grading_means_nothing_to_review(tmp_path: Path) -> None:
    assert read_grading(tmp_path) == Grading()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"key": 1, "review": [], "notes": [], "refused": ""}', "\x00"])
def test_an_unreadable_grading_has_no_key_and_is_up_for_review(tmp_path: Path, text: str) -> None:
    (tmp_path / "grading.json").write_text(text)
    grading = read_grading(tmp_path)
    assert grading.key == ""
    assert "grade this submission again" in grading.review[0].reason
