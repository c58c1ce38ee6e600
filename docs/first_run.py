"""Write the first run into docs/instructor.md: what its commands say for five people in Phase 2, and three pictures.

``python docs/first_run.py`` (Linux, with bubblewrap and Chromium; some minutes). The people are made up: Ada hands in
the solutions, Grace the first wrong answer to each exercise, Kim half of it and late, Tuğba a PDF, Ulla nothing.
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
BLOCK = re.compile(r"(<!-- first run: (\w+) -->\n```text\n).*?(```\n)", re.DOTALL)
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
    """What a command of the page says, run as the Makefile runs it."""
    words = shlex.split(line)[1:]
    values = dict(word.split("=", 1) for word in words if "=" in word)
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        for name in (word for word in words if "=" not in word):
            source = [values["FROM"]] if "FROM" in values else []
            command([name, *source, *shlex.split(values.get("ARGS", ""))], root=root)
    return told.getvalue()


def write(told: dict[str, str]) -> None:
    """Put what was said into the page, after the lines that ask for it."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = {name: f"$ {COMMANDS[name]}\n{output}" for name, output in told.items()}
    PAGE.write_text(BLOCK.sub(lambda m: f"{m[1]}{blocks[m[2]]}{m[3]}", text), encoding="utf-8")
    print(f"Wrote {PAGE.relative_to(ROOT)}")


def shoot(page: Page, name: str) -> None:
    page.wait_for_timeout(1500)
    made = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    save(made.quantize(method=Image.Quantize.FASTOCTREE), f"{name}.png")


def photograph(root: Path, browser: Browser) -> None:
    """The class page, a page of feedback, and the Formgrader with a learner's answer."""
    files = {"term_class": f"grades/{PHASE}.html", "term_feedback": f"feedback/grace-hopper/{PHASE}/{PHASE}.html"}
    for name, file in files.items():
        page = browser.new_page(viewport={"width": WIDE, "height": HIGH[name]})
        page.goto((root / file).as_uri())
        shoot(page, name)
        page.close()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        running_lab(ROOT, root, Path(folder), "none.ipynb") as lab,
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
        shutil.copy(ROOT / "nbgrader_config.py", root)
        (root / "term.toml").write_text(TERM, encoding="utf-8")
        Path("worksheet.csv").write_text(worksheet(), encoding="utf-8")
        Path("submissions.zip").write_bytes(zipped(moodle(hand_ins(room))))
        write({name: said(line, root) for name, line in COMMANDS.items()})
        with chromium() as browser:
            photograph(root, browser)


if __name__ == "__main__":
    main()
