"""Write docs/grading.md: all answers of tests/course/answers, and the points that each check gives them.

``make docs`` runs it. Which checks an answer must fail stands beside the answer, the points in the masters' headers.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [path for path in (str(ROOT), str(ROOT / "tests" / "course")) if path not in sys.path]

from answers import answers  # noqa: E402
from nbformat import NotebookNode  # noqa: E402

from autograder.authoring.sources import notebooks, to_notebook  # noqa: E402

PAGE = ROOT / "docs" / "grading.md"


def page() -> str:
    """The whole page, as Markdown."""
    paths = [path for path in notebooks(ROOT) if path.stem == path.parent.name]  # the challenges' answers are files
    found = [answers(path.stem) for path in paths]
    wrong, right = (sum(len(names) for both in found for names in both[which].values()) for which in (0, 1))
    head = f"""# What the checks catch

{wrong} wrong answers and {right} unusual right ones, and the points that every check gives them, hidden tests included.
`tests/system/test_grading.py` has nbgrader grade each in the real notebook, and fails when one gets other points than
here, when a wrong answer loses nothing, or when a check catches nothing. The code of the answers is in
[tests/course/answers](../tests/course/answers).

"""
    return head + "\n\n".join(section(path.stem, to_notebook(path)).rstrip("\n") for path in paths) + "\n"


def section(phase: str, notebook: NotebookNode) -> str:
    """The answers to one notebook's exercises."""
    wrong, right = answers(phase)
    lines = [f"## {phase}", ""]
    for exercise, checks in checks_of(notebook).items():
        lines += [f"### `{exercise}`", ""]
        lines += ["| answer | " + " | ".join(checks) + " | points |", "|-" + "|-:" * (len(checks) + 1) + "|"]
        fails = {name: fails for name, (fails, _) in wrong[exercise].items()}
        fails |= {f"*right:* {name}": set() for name in right[exercise]}
        for name, lost in fails.items():
            got = {check: 0 if check in lost else points for check, points in checks.items()}
            total = f"{sum(got.values()):g} of {sum(checks.values()):g}"
            lines.append(f"| {name} | " + " | ".join(f"{points:g}" for points in got.values()) + f" | {total} |")
        lines.append("")
    return "\n".join(lines)


def checks_of(notebook: NotebookNode) -> dict[str, dict[str, float]]:
    """{exercise: {check: points}} in the notebook's order."""
    found: dict[str, dict[str, float]] = {}
    for cell in notebook.cells:
        role = cell.metadata.get("nbgrader", {})
        if role.get("solution"):
            found[cell.id] = {}
        elif role.get("grade"):
            list(found.values())[-1][cell.id] = role["points"]
    return found


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(f"Wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
