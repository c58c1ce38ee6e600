"""Tests of the pages: commands exist, trees and links lead somewhere, pictures have alt text."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

PAGES = ("README.md", "CONTRIBUTING.md", "docs/instructor.md")
ELSEWHERE = ("git", "cd", "conda", "source")  # commands of other programs; only their paths are looked at
IMAGE = re.compile(r"!\[(?P<alt>[^\]]*)\]\((?P<target>[^)\s]+)[^)]*\)")
LINK = re.compile(r"(?<!!)\[(?:[^\[\]]|!\[[^\]]*\]\([^)]*\))*\]\((?P<target>[^)\s]+)[^)]*\)")
HTML = re.compile(r"<(?:img|a|source)\s[^>]*?(?:src|href|srcset)=\"(?P<target>[^\"]+)\"[^>]*>")


def blocks(text: str) -> list[tuple[str, str]]:
    """(language, contents) of every fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Every command of every bash block, in words, without comments."""
    found = []
    for language, block in blocks(text):
        if language == "bash":
            for line in block.replace("\\\n", " ").splitlines():
                lexer = shlex.shlex(line, posix=True, punctuation_chars="&;|")
                lexer.whitespace_split = True
                words: list[str] = []
                for word in [*lexer, ";"]:
                    if re.fullmatch("[&;|]+", word):
                        found += [words] if words else []
                        words = []
                    else:
                        words.append(word)
    return found


def problem(command: list[str], repository: Path) -> str | None:
    """What is wrong with a page's command, or None."""
    made = "".join((repository / file).read_text(encoding="utf-8") for file in ("Makefile", "setup.mk"))
    targets = re.findall(r"^([a-z-]+):", made, flags=re.MULTILINE)
    program, *arguments = command
    if program == "make":
        return next((f"no target {a}" for a in arguments if "=" not in a and a not in targets), None)
    if program in ("python", "python3", ".venv/bin/python"):
        if arguments[0] != "-m":
            return None if (repository / arguments[0]).is_file() else f"no file {arguments[0]}"
        words = [a for a in arguments[1:] if not a.startswith("-")]
        done = subprocess.run(
            [sys.executable, "-m", *words, "--help"], cwd=repository, capture_output=True, text=True, timeout=300
        )
        return None if done.returncode == 0 else done.stderr
    if program == "gpt2-pruning":
        words = [a for a in arguments[:1] if not a.startswith("-")]
        done = subprocess.run([sys.executable, "-m", "gpt2_lib", *words, "--help"], capture_output=True, text=True)
        unknown = [a for a in arguments if a.startswith("--") and a not in done.stdout]
        return done.stderr if done.returncode else f"no option {unknown[0]}" if unknown else None
    if program == "jupyter" or program in ELSEWHERE:
        return next((f"no file {a}" for a in arguments if is_path(a) and not (repository / a).exists()), None)
    if program.startswith(".venv/bin/"):
        there = shutil.which(Path(program).name, path=sysconfig.get_path("scripts"))
        return None if there else f"no program {program}"
    return "a command that this test does not know"


def is_path(word: str) -> bool:
    return bool(re.search(r"\.(yml|ipynb|md|py|toml)$", word)) and "://" not in word


def tree(text: str) -> list[str]:
    """The tree's paths. A line is `name name/   what it is`; what stands deeper lies in the folder above."""
    shown = []
    parents: list[tuple[int, str]] = []
    block = next(
        (b for language, b in blocks(text) if language != "bash" and re.search("^gpt2_lib/", b, re.MULTILINE)), ""
    )
    for line in filter(str.strip, block.splitlines()):
        line = re.sub("[│├└─]", " ", line)
        depth = len(line) - len(line.lstrip())
        names = re.split(r"\s{2,}", line.strip())[0].split(" ")
        parents = [(d, parent) for d, parent in parents if d < depth]
        inside = parents[-1][1] if parents else ""
        shown += [inside + name for name in names]
        if names[-1].endswith("/"):
            parents.append((depth, inside + names[-1]))
    return shown


def targets(text: str) -> list[str]:
    """Every target of a link or picture that is no web address."""
    found = [m["target"] for pattern in (IMAGE, LINK, HTML) for m in pattern.finditer(text)]
    return [t for t in found if not re.match(r"(https?|mailto):", t)]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to headings."""
    headings = re.findall(r"^#+\s+(.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_command_exists(repository: Path, page: str) -> None:
    found = commands((repository / page).read_text(encoding="utf-8"))
    assert found, f"{page} has no bash block"
    problems = {" ".join(c): p for c in found if (p := problem(c, repository))}
    assert problems == {}


def test_the_readme_names_the_two_commands(repository: Path) -> None:
    found = commands((repository / "README.md").read_text(encoding="utf-8"))
    assert ["make", "lab"] in found
    assert ["make", "test"] in found


def test_everything_in_the_readmes_tree_exists(repository: Path) -> None:
    shown = tree((repository / "README.md").read_text(encoding="utf-8"))
    assert len(shown) > 5, "README.md has no tree: a fenced block with a line `gpt2_lib/   ...`"
    assert [p for p in shown if not any(repository.glob(re.sub("<.*?>", "*", p).rstrip("/")))] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_somewhere(repository: Path, page: str) -> None:
    text = (repository / page).read_text(encoding="utf-8")
    broken = []
    for target in targets(text):
        path, _, anchor = target.partition("#")
        file = (repository / page).parent / path if path else repository / page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_every_picture_has_alt_text(repository: Path, page: str) -> None:
    text = (repository / page).read_text(encoding="utf-8")
    silent = [m["target"] for m in IMAGE.finditer(text) if not m["alt"].strip()]
    silent += [tag for tag in re.findall("<img[^>]*>", text) if not re.search(r'alt="[^"]*\S[^"]*"', tag)]
    assert silent == []


def test_the_workflow_on_github_runs_makes_targets_on_every_python_that_pyproject_names(repository: Path) -> None:
    jobs = yaml.safe_load((repository / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    runs = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    made = [line.split() for run in runs for line in run.splitlines() if line.startswith("make ")]
    assert {command[1] for command in made} == {"lint", "test", "test-all"}
    assert [problem(command, repository) for command in made if problem(command, repository)] == []
    matrix = jobs["quick"]["strategy"]["matrix"]
    wanted = SpecifierSet(
        tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    )
    assert matrix["python"] == [f"3.{minor}" for minor in range(9, 20) if f"3.{minor}" in wanted]
    assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}


@pytest.mark.slow
def test_this_test_sees_what_is_wrong(repository: Path) -> None:
    """The checks above are only worth something if each of these is found."""
    wrong = commands("```bash\nmake nothing  # words\nmake lab && python -m gpt2_lib.nothing\nnothing --here\n```\n")
    wrong += commands("```bash\ngpt2-pruning train --nothing\ngpt2-pruning nothing\ngpt2-pruning --help\n```\n")
    assert [c[0] for c in wrong if problem(c, repository)] == ["make", "python", "nothing", *2 * ["gpt2-pruning"]]
    assert tree("```text\ngpt2_lib/   the library\n  gpt2.py   model\n├── a.md b.md   two\n```\n") == [
        "gpt2_lib/",
        "gpt2_lib/gpt2.py",
        "gpt2_lib/a.md",
        "gpt2_lib/b.md",
    ]
    assert targets('[![x](a.png)](b.md) <img src="c.png"> [web](https://d)') == ["a.png", "b.md", "c.png"]
