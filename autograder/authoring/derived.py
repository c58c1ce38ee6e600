"""Values derived from a notebook's cells that replace its marks: points, minutes, number of exercises.

These marks may stand in any cell, so that no number is written twice:

    "<<checks>>"       in code: {exercise: {check: points}}; an exercise is "## 2.1 · Magnitude: ..." as "2.1 magnitude"
    <<points>>         the points of the notebook
    <<points 2.1>>     those of the checks in the section 2.1
    <<points core>>    those on the notebook's core path; <<points 2.1 core>> those of a section there
    <<points NAME>>    those of the check NAME
    <<minutes>>        the minutes of the notebook's core path, the sum of those in the cells' headers
    <<minutes 2.1>>    those of a section; <<minutes 2.1 a>> those of the exercise 2.1 a in it
    <<minutes deeper>> those of the cells with the tag "deeper", which the core path leaves out
    <<words>>          the words on the core path; <<lines>> the lines of code that are shown there
    <<exercises>>      how many answers the learner writes, in words
    <<sections>>       how many sections give points, in words
    <<primer>>         the folded text of primer.py, which explains PyTorch
    <<fact NAME>>      a statement of gpt2_lib/course/facts.toml, with its sources; <<table NAME>> the table that it has
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from .primer import PRIMER

SECTION = re.compile(r"^#{2,3} (?:Exercise )?(\S+) · ([^:`\n]+)", re.MULTILINE)  # number, name
HEADING = re.compile(r"^(##|###) (?:(?:Exercise )?(\S+(?: [a-z])?) · )?", re.MULTILINE)  # depth, number
MARK = re.compile(r'"<<checks>>"|<<(points|minutes|exercises|sections|words|lines)(?: ([^<>\n]+))?>>')
HIDDEN_FROM_LEARNERS = r"### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS"
SOLUTION = r"### BEGIN SOLUTION.*?### END SOLUTION"
DEEPER = "deeper"  # the tag of sections outside the core path
CORE = "core"
WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]

Checks = Mapping[str, Mapping[str, float]]  # section -> check -> points


class MarkError(Exception):
    """A mark has no value."""


def fill_in(cells: list[dict], minutes: list[int]) -> None:
    """Replace the marks by values derived from the cells and from the minutes in their headers.

    Raises MarkError.
    """
    from gpt2_lib.course import facts  # imports PyTorch, which the other commands do not need

    for cell in cells:  # first, since their words count
        try:
            cell["source"] = facts.fill_in(cell["source"].replace("<<primer>>", PRIMER))
        except KeyError as error:
            raise MarkError(f"There is no fact {error} in {facts.FILE.name}.") from error
    checks, short = checks_by_section(cells), checks_by_section(core(cells))
    exercises = sum(cell["metadata"].get("nbgrader", {}).get("solution", False) for cell in cells)
    known = {
        "points": _points(checks) | {f"{name} {CORE}".strip(): points for name, points in _points(short).items()},
        "minutes": _minutes_by_heading(cells, minutes),
        "exercises": {"": _in_words(exercises)},
        "sections": {"": _in_words(len(checks))},
        "words": {"": f"{sum(map(words, core(cells))):,}"},
        "lines": {"": str(sum(map(lines_shown, core(cells))))},
    }

    def derived(mark: re.Match[str]) -> str:
        if mark[0] == '"<<checks>>"':
            return _as_code(checks)
        if (mark[2] or "") not in known[mark[1]]:
            raise MarkError(f"{mark[0]} has no value: no section, exercise or check is called {mark[2]!r}.")
        return known[mark[1]][mark[2] or ""]

    for cell in cells:
        cell["source"] = MARK.sub(derived, cell["source"])


def core(cells: list[dict]) -> list[dict]:
    """Return the cells of the core path."""
    return [cell for cell in cells if not is_deeper(cell)]


def is_deeper(cell: dict) -> bool:
    return DEEPER in cell["metadata"].get("tags", [])


def words(cell: dict) -> int:
    """Return the number of Markdown words that a learner reads in ``cell``, without folded text and formulas."""
    if cell["cell_type"] != "markdown":
        return 0
    text = re.sub(r"<details.*?</details>", " ", MARK.sub("1", cell["source"]), flags=re.DOTALL)
    text = re.sub(r"<[^>]*>|\$\$.*?\$\$|[|#*`_-]+", " ", text, flags=re.DOTALL)
    return len(re.findall(r"\w[\w'.,%-]*", text))


def lines_shown(cell: dict) -> int:
    """Return the number of code lines that a learner sees in ``cell``; a folded cell has none."""
    folded = cell["metadata"].get("jupyter", {}).get("source_hidden")
    if cell["cell_type"] != "code" or folded:
        return 0
    source = re.sub(HIDDEN_FROM_LEARNERS, "", cell["source"], flags=re.DOTALL)
    source = re.sub(SOLUTION, "a comment\nan error", source, flags=re.DOTALL)  # what nbgrader puts there
    return sum(1 for line in source.splitlines() if line.strip())


def checks_by_section(cells: list[dict]) -> Checks:
    """Return the points of each check by section: {"2.1 magnitude": {"mask_count": 2}}."""
    checks: dict[str, dict[str, float]] = {}
    section = ""
    for cell in cells:
        if cell["cell_type"] == "markdown" and (found := SECTION.findall(cell["source"])):
            section = f"{found[-1][0]} {found[-1][1].strip().lower()}"
        role = cell["metadata"].get("nbgrader", {})
        if "points" in role:
            checks.setdefault(section, {})[role["grade_id"]] = role["points"]
    return checks


def _points(checks: Checks) -> dict[str, str]:
    found = {"": sum(points for of in checks.values() for points in of.values())}
    found |= {section.partition(" ")[0]: sum(of.values()) for section, of in checks.items()}
    found |= {check: points for of in checks.values() for check, points in of.items()}
    return {name: f"{points:g}" for name, points in found.items()}


def _minutes_by_heading(cells: list[dict], minutes: list[int]) -> dict[str, str]:
    """Return the minutes by heading number; an exercise's count for the section around it, too."""
    found, around = {"": 0, DEEPER: 0}, {"##": "", "###": ""}
    for cell, more in zip(cells, minutes, strict=True):
        if cell["cell_type"] == "markdown":
            for depth, number in HEADING.findall(cell["source"]):
                around = {"##": number, "###": ""} if depth == "##" else around | {"###": number}
        names = {DEEPER, around["###"] or around["##"]} - {""} if is_deeper(cell) else {"", *around.values()}
        for name in names if more else ():
            found[name] = found.get(name, 0) + more
    return {name: str(total) for name, total in found.items()}


def _as_code(checks: Checks) -> str:
    text = json.dumps(checks, indent=4, ensure_ascii=False)
    return re.sub(r"(?<=[^{,\n ])(?=\n *\})", ",", text)  # as ruff has it


def _in_words(count: int) -> str:
    return WORDS[count] if count < len(WORDS) else str(count)
