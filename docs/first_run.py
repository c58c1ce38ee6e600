"""Write the first run into docs/instructor.md: the output of its commands for five people in Phase 2, three pictures.

``python docs/first_run.py`` (Linux, with bubblewrap and Chromium; some minutes). The people are made up; TEXT says what
each of them hands in.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / part) for part in ("", "tests/helpers", "tests/course") if str(ROOT / part) not in sys.path]

from classroom import NOTEBOOKS, Classroom  # noqa: E402
from exports import zipped  # noqa: E402
from lab_page import chromium, running_lab  # noqa: E402
from layouts import HandIn, Learner, moodle  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import Browser, Page  # noqa: E402
from screens import PICTURES, right, save, wrong  # noqa: E402
from term import WORKSHEET  # noqa: E402

from autograder.__main__ import main as command  # noqa: E402
from autograder.notebooks import to_text  # noqa: E402

PHASE = "phase2_techniques"
PAGE = ROOT / "docs" / "instructor.md"
BLOCK = re.compile(r"(<!-- first run[^>]*-->\n).*?(<!-- end of the first run -->\n)", re.DOTALL)
TEXT = """This is the output for five people. Ada hands in the solutions, Grace a wrong answer to each exercise, Kim
half of the solutions, a day late; Tuğba hands in a PDF, Ulla nothing:
"""
SHOWN = {  # picture -> what is seen in it, and the words below
    "term_class": (
        "The class page: how many were graded, the open tasks, a histogram of totals, who may need help and why",
        "`grades/phase2_techniques.html`, for you alone: who may need help, the most frequent errors, what is flagged.",
    ),
    "term_feedback": (
        "A page of feedback: points by exercise, then each answer with the messages of the checks",
        "What Grace gets. The page needs no network.",
    ),
    "term_formgrader": (
        "The Formgrader: an answer, the field of points beside its check, and room for a comment",
        "Grace's submission in the Formgrader, for [points by hand](#points-by-hand).",
    ),
}
NAMES = ("Ada Lovelace", "Grace Hopper", "Kim Lee", "Tuğba Şahin", "Ulla Berg")
ON_TIME, LATE = "Friday, 20 November 2026, 10:00 AM", "Saturday, 21 November 2026, 9:00 AM"
TERM = f'late = "10% per day"\n\n[{PHASE}]\ndue = "2026-11-20 23:59"\n'
COMMANDS = {
    "roster": f'make roster FROM=worksheet.csv ARGS="--assignment {PHASE}"',
    "collect": "make collect FROM=submissions.zip",
    "grade": "make grade",
    "export": "make feedback export",
}
WIDE = 1100  # pixels of the window
HIGH = {"term_class": 1250, "term_feedback": 1000, "term_formgrader": 820}


def hand_ins(room: Classroom) -> Iterator[HandIn]:
    solved = right(NOTEBOOKS[PHASE])
    half = dict(list(solved.items())[: len(solved) // 2])
    for number, (name, answers) in enumerate(zip(NAMES, (solved, wrong(PHASE), half), strict=False)):
        first, _, last = name.partition(" ")
        work = to_text(room.written(PHASE, answers, whole=True)).encode()
        yield HandIn(Learner(first, last, 500 + number, ""), number, {f"{PHASE}.ipynb": work})
    yield HandIn(Learner("Tuğba", "Şahin", 503, ""), 3, {"essay.pdf": b"%PDF"})


def worksheet() -> str:
    text = io.StringIO()
    rows = [[*WORKSHEET]]
    for number, name in enumerate(NAMES):
        time = {2: LATE, 4: "-"}.get(number, ON_TIME)
        rows.append([f"Participant {500 + number}", name, f"user{number}@example.edu"])
        rows[-1] += ["Submitted for grading" if time != "-" else "No submission", "", "100.00", "Yes", time, "-", ""]
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def said(line: str, root: Path) -> str:
    """Return the output of a command of the page, run as the Makefile runs it."""
    words = shlex.split(line)[1:]
    values = dict(word.split("=", 1) for word in words if "=" in word)
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        for name in (word for word in words if "=" not in word):
            source = [values["FROM"]] if "FROM" in values else []
            command([name, *source, *shlex.split(values.get("ARGS", ""))], root=root)
    return told.getvalue()


def write(told: dict[str, str]) -> None:
    """Write the output of the commands and the pictures into the page."""
    text = PAGE.read_text(encoding="utf-8")
    parts = [TEXT, *(f"```text\n$ {COMMANDS[name]}\n{output}```\n" for name, output in told.items())]
    parts += [f"![{alt}](pictures/{name}.png)\n\n*{words}*\n" for name, (alt, words) in SHOWN.items()]
    PAGE.write_text(BLOCK.sub(lambda m: "\n".join([m[1].rstrip(), *parts, m[2]]), text), encoding="utf-8")
    print(f"Wrote {PAGE.relative_to(ROOT)}")


def shoot(page: Page, name: str) -> None:
    page.wait_for_timeout(1500)
    made = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    save(made.quantize(method=Image.Quantize.FASTOCTREE), f"{name}.png")


def photograph(root: Path, browser: Browser) -> None:
    """Take the pictures: the class page, a page of feedback, and the Formgrader with a learner's answer."""
    files = {"term_class": f"grades/{PHASE}.html", "term_feedback": f"feedback/grace-hopper/{PHASE}/{PHASE}.html"}
    for name, file in files.items():
        page = browser.new_page(viewport={"width": WIDE, "height": HIGH[name]})
        page.goto((root / file).as_uri())
        shoot(page, name)
        page.close()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        running_lab(root, root, Path(folder), "none.ipynb") as lab,
    ):
        page = browser.new_page(viewport={"width": WIDE, "height": HIGH["term_formgrader"]})
        page.set_default_timeout(120_000)
        page.goto(f"http://127.0.0.1:{lab.port}/lab?reset&token={lab.token}")
        page.get_by_role("menuitem", name="Nbgrader", exact=True).wait_for()
        page.goto(f"http://127.0.0.1:{lab.port}/formgrader/manage_students/grace-hopper/{PHASE}")
        page.get_by_role("link", name=PHASE, exact=True).click()
        score = page.locator("input.score").first
        score.wait_for()
        score.evaluate("field => field.scrollIntoView({block: 'center'})")
        shoot(page, "term_formgrader")
        page.close()


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        root = Path(folder, "course")
        room = Classroom.with_notebook(NOTEBOOKS[PHASE], root)
        for file in ("Makefile", "setup.mk", "nbgrader_config.py"):
            shutil.copy(ROOT / file, root)
        (root / "term.toml").write_text(TERM, encoding="utf-8")
        Path("worksheet.csv").write_text(worksheet(), encoding="utf-8")
        Path("submissions.zip").write_bytes(zipped(moodle(hand_ins(room))))
        write({name: said(line, root) for name, line in COMMANDS.items()})
        with chromium() as browser:
            photograph(root, browser)


if __name__ == "__main__":
    main()
