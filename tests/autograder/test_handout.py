"""Tests of the learners' repository: it is complete, it works, and it gives no answer away."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from classroom import NOTEBOOKS
from nbformat import NotebookNode

from autograder.authoring import handout as module
from autograder.authoring.handout import NOT_LEARNERS, HandoutError, handout
from autograder.authoring.release import release
from autograder.notebooks import is_pristine, read_notebook, to_text

REPOSITORY = Path(__file__).parents[2]
SECRET = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS)\n(.*?)### END \1", re.DOTALL)

# Lines of solutions and hidden tests that the library has as well: it prunes too, so some are its own way to do what an
# exercise teaches. A line that turns up anew is either that, or an answer given away: look before adding it.
SHARED = {
    ("gpt2_lib/storage/quantize.py", "largest = weight.abs().amax(dim=1)  # (out,)"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The handout of the real course; tests only read it."""
    target = tmp_path_factory.mktemp("real") / "learners"
    handout(REPOSITORY, target)
    return target


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def readable(name: str, data: bytes) -> str:
    """The text of a file, a notebook's as people see it."""
    if name.endswith(".ipynb"):
        return "\n".join("".join(cell["source"]) for cell in json.loads(data)["cells"])
    return data.decode(errors="replace")


# Secrets


def secret_lines() -> dict[str, str]:
    """Distinctive lines that only solutions and hidden tests have -> which of the two."""
    found, seen = {}, ""
    for master in sorted((REPOSITORY / "source").glob("*/*.py")):
        text = master.read_text(encoding="utf-8")
        for kind, block in SECRET.findall(text):
            found |= {line.strip(): kind for line in block.splitlines() if len(line.strip()) > 25}
        seen += SECRET.sub("", text)
    for visible in (REPOSITORY / "gpt2_lib" / "course" / "checks").glob("*.py"):
        seen += visible.read_text(encoding="utf-8")
    return {line: kind for line, kind in found.items() if line not in seen}


GENERIC = re.compile(
    r"was_training = model.training|except Exception as error:|"
    r"with check.hidden\(\)( as draw)?:|for [\w, ]+ in \w+(\.items\(\))?:|generator = torch.Generator\(\).*"
)


def test_the_handout_has_no_line_of_a_solution_or_a_hidden_test(made: Path) -> None:
    secrets = {line: kind for line, kind in secret_lines().items() if not GENERIC.fullmatch(line)}
    assert sum(kind == "SOLUTION" for kind in secrets.values()) > 20
    assert sum(kind == "HIDDEN TESTS" for kind in secrets.values()) > 100
    texts = {name: readable(name, data) for name, data in files(made).items()}
    assert {(name, line) for line in secrets for name, text in texts.items() if line in text} == SHARED


def test_a_leak_would_be_found(made: Path) -> None:
    """The same search finds the secrets where they are: in the masters."""
    master = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "source").glob("*/*.py"))
    assert all(line in master for line in secret_lines())


def test_nothing_for_instructors_is_handed_out(made: Path) -> None:
    names = files(made)
    assert {name.split("/")[0] for name in names} == {
        *("LICENSE", "Makefile", "README.md", "environment.yml", "pyproject.toml", "requirements.lock", ".gitignore"),
        *(".handout.json", "autograder", "gpt2_lib", "nbgrader_config.py", "notebooks", "postBuild", "setup.mk"),
        "docs",
    }
    assert [name for name in names if name.startswith("docs/")] == ["docs/benchmarks.md"]
    assert "gpt2_lib/course/exercises.py" not in names
    assert {Path(name).suffix for name in names if name.startswith("gpt2_lib")} == {
        *(".py", ".typed", ".json", ".toml", ".safetensors", ".csv", ".md"),
        *(".yaml", ""),  # what the server's container and its cluster need
    }
    for name, data in names.items():
        text = readable(name, data)
        assert not re.search(r"gpt2_lib\.(course\.)?exercises|from \.+exercises", text)
        if name.endswith(".ipynb"):
            assert "### BEGIN" not in text


# What learners need


def test_a_link_of_a_notebook_leads_to_a_file_that_is_handed_out(made: Path) -> None:
    found = [
        (path.parent / link).resolve()
        for path in made.glob("notebooks/*/*.ipynb")
        for cell in read_notebook(path).cells
        for link in re.findall(r"\]\((?!https?:)([^)#\s]+)", cell.source if cell.cell_type == "markdown" else "")
    ]
    assert len(found) >= 2
    assert [path for path in found if not path.is_file()] == []


def test_the_notebooks_are_as_released_and_can_be_graded(made: Path) -> None:
    notebooks = sorted(path.relative_to(made).as_posix() for path in made.glob("notebooks/*/*.ipynb"))
    assert notebooks == [f"notebooks/{path.parent.name}/{path.name}" for path in NOTEBOOKS.values()]
    for name in notebooks:
        notebook = read_notebook(made / name)
        assert is_pristine(notebook)
        roles = [cell.metadata.nbgrader for cell in notebook.cells if "nbgrader" in cell.metadata]
        assert sum(role.get("points", 0) for role in roles) > 0
        assert any(role.solution for role in roles)


@pytest.mark.slow
def test_the_library_works_from_the_handout_alone(made: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(made, tmp_path / "learners")
    environment = os.environ | {"PYTHONPATH": str(copy), "MPLBACKEND": "agg", "PYTHONDONTWRITEBYTECODE": "1"}

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    every = sorted(path.relative_to(copy).with_suffix("") for path in copy.glob("gpt2_lib/**/*.py"))
    lines = [f"import {'.'.join(path.parts)}" for path in every if not path.stem.startswith("__")]
    out = run("-c", "\n".join([*lines, "print(gpt2_lib.__file__, gpt2_lib.load_pretrained_gpt2().config.n_layer)"]))
    assert out.startswith(str(copy))
    assert "usage" in run("-m", "gpt2_lib.experiments", "--help")


def test_pip_installs_the_handout_as_environment_yml_says(made: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(made, tmp_path / "learners")
    assert "- -e ." in (copy / "environment.yml").read_text(encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-build-isolation", "--ignore-installed", "--prefix", str(tmp_path / "prefix"), "-e", "."]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    installed = [path for path in (tmp_path / "prefix").rglob("*") if path.suffix in (".pth", ".py")]
    # A path of Windows stands there as Python writes it, with every backslash twice.
    written = [path.read_text(encoding="utf-8").replace("\\\\", "\\") for path in installed]
    assert any(str(copy) in text for text in written)
    assert list((tmp_path / "prefix").rglob("entry_points.txt")) == []  # the autograder's


@pytest.mark.skipif(sys.platform == "win32", reason="the Makefile is for Unix")
def test_make_has_what_a_learner_needs_and_no_more(made: Path) -> None:
    def make(*arguments: str) -> str:
        return subprocess.run(["make", "-C", made, *arguments], capture_output=True, text=True, check=True).stdout

    assert re.findall(r"^  make (\w+)", make("help"), re.MULTILINE) == ["help", "lab", "check", "clean"]
    plan = make("-n", "lab")
    assert "pip install --disable-pip-version-check -r requirements.lock" in plan
    assert "notebooks/phase1_overview/phase1_overview.ipynb" in plan
    assert "autograder" not in plan


def test_the_readme_leads_to_every_notebook_and_to_no_missing_file(made: Path) -> None:
    text = (made / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", text)
    assert set(links) >= {path.relative_to(made).as_posix() for path in made.glob("notebooks/*/*.ipynb")}
    assert all((made / link).exists() for link in links)
    assert re.findall(r"\]\(notebooks/\w+/(\w+)\.ipynb\)", text) == [
        *("phase1_overview", "phase2_techniques", "phase3_production", "challenges")
    ]


def test_pyproject_has_what_ours_has_but_for_the_tools(made: Path) -> None:
    ours, theirs = (tomllib.loads((folder / "pyproject.toml").read_text("utf-8")) for folder in (REPOSITORY, made))
    for key in ("name", "version", "requires-python", "dependencies", "license", "license-files"):
        assert theirs["project"][key] == ours["project"][key]
    extras = ours["project"]["optional-dependencies"]
    assert theirs["project"]["optional-dependencies"] == {n: extras[n] for n in extras if n not in NOT_LEARNERS}
    assert theirs["build-system"] == ours["build-system"]
    assert theirs["tool"] == {"setuptools": ours["tool"]["setuptools"]}


# Again, on a small course

TINY = """# %% exercise="double"
def double(x):
    ### BEGIN SOLUTION
    return x + x
    ### END SOLUTION

# %% tests="double_basics" points=2
assert double({}) == 4
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A course with one small notebook and next to no library."""
    made = tmp_path / "course"
    (made / "source" / "tiny").mkdir(parents=True)
    (made / "source" / "tiny" / "doubling.py").write_text(TINY.format(2))
    (made / "gpt2_lib").mkdir()
    for name in ("__init__", "exercises", "old"):
        (made / "gpt2_lib" / f"{name}.py").write_text(f'"""{name}"""\n')
    for name in ("environment.yml", "requirements.lock", "LICENSE", "setup.mk", "pyproject.toml", "nbgrader_config.py"):
        shutil.copy(REPOSITORY / name, made)
    return made


def worked_in(path: Path) -> NotebookNode:
    notebook = read_notebook(path)
    notebook.cells[0].source = "def double(x):\n    return 2 * x"
    path.write_text(to_text(notebook))
    return notebook


def test_a_notebook_in_which_somebody_worked_is_never_handed_out(root: Path, tmp_path: Path) -> None:
    release(root)
    mine = root / "notebooks" / "tiny" / "doubling.ipynb"
    pristine = mine.read_bytes()
    worked_in(mine)
    before = files(root)
    handout(root, tmp_path / "out")
    assert (tmp_path / "out" / "notebooks" / "tiny" / "doubling.ipynb").read_bytes() == pristine
    assert files(root) == before  # the course itself is only read


@pytest.mark.slow
def test_learners_can_check_their_work_in_the_handout(root: Path, tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "autograder", root / "autograder", ignore=shutil.ignore_patterns("__pycache__"))
    out = tmp_path / "out"
    handout(root, out)
    worked_in(out / "notebooks" / "tiny" / "doubling.ipynb")
    environment = os.environ | {"PYTHONPATH": str(out), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "autograder", "check"]  # as `make check` runs it
    done = subprocess.run(command, cwd=out, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^total +2 +2$", done.stdout, re.MULTILINE), done.stdout
    assert "Traceback" not in done.stderr


def test_an_update_replaces_what_is_as_it_was_and_removes_what_is_gone(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    handout(root, out)
    assert handout(root, out) == []
    (root / "source" / "tiny" / "doubling.py").write_text(TINY.format("2.0"))
    (root / "gpt2_lib" / "__init__.py").write_text('"""New."""\n')
    (root / "gpt2_lib" / "old.py").unlink()
    assert handout(root, out) == [
        "notebooks/tiny/doubling.ipynb: updated",
        "gpt2_lib/__init__.py: updated",
        "gpt2_lib/old.py: removed, it is no longer part of the handout",
    ]
    assert "double(2.0)" in (out / "notebooks" / "tiny" / "doubling.ipynb").read_text()
    fresh = tmp_path / "fresh"
    handout(root, fresh)
    assert files(out) == files(fresh)


def test_an_update_keeps_files_that_were_changed(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    handout(root, out)
    notebook = out / "notebooks" / "tiny" / "doubling.ipynb"
    worked_in(notebook)
    (out / "README.md").write_text("Our own words\n")
    (out / "gpt2_lib" / "old.py").write_text("mine = 1\n")
    (out / "dates.txt").write_text("due on Friday\n")
    (root / "source" / "tiny" / "doubling.py").write_text(TINY.format("2.0"))
    (root / "gpt2_lib" / "old.py").unlink()
    kept = {name: (out / name).read_bytes() for name in ("README.md", "gpt2_lib/old.py", "dates.txt")}
    kept["notebooks/tiny/doubling.ipynb"] = notebook.read_bytes()
    messages = "\n".join(handout(root, out))
    assert {name: data for name, data in files(out).items() if name in kept} == kept
    assert "double(2.0)" in (notebook.parent / "doubling.new.ipynb").read_text()
    subprocess.run(["git", "init", "-q", out], check=True)
    ignored = ["git", "-C", out, "check-ignore", "-q", "notebooks/tiny/doubling.new.ipynb"]
    assert subprocess.run(ignored, check=False).returncode == 1, "a push brings it to the learners"
    assert "README.md: somebody changed it, so it stays" in messages
    assert "gpt2_lib/old.py: no longer part of the handout; somebody changed it, so it stays" in messages


@pytest.mark.parametrize("what", ["files", "a broken marker", "a file"])
def test_a_folder_that_is_no_handout_is_never_touched(root: Path, tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    if what == "a file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / (".handout.json" if what == "a broken marker" else "thesis.tex")).write_text("[mine")
    before = files(tmp_path)
    with pytest.raises(HandoutError, match="name a new folder"):
        handout(root, out)
    assert files(tmp_path) == before


@pytest.mark.parametrize("writes", [0, 1, 4, 9])
def test_interrupted_anywhere_it_is_finished_by_the_next_run(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    out, real, left = tmp_path / "out", module.write_whole, [writes]

    def killed(path: Path, data: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_whole", killed)
        with pytest.raises(KeyboardInterrupt):
            handout(root, out)
    handout(root, out)
    handout(root, tmp_path / "fresh")
    assert files(out) == files(tmp_path / "fresh")
