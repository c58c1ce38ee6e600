"""Tests from masters to learners' notebooks: the generator, the release, and the safety of a learner's work.

The pipeline's own tests use a tiny course made on the spot; the rest uses the real notebooks of source/.
"""

from __future__ import annotations

import re
import shutil
from itertools import pairwise
from pathlib import Path

import jupytext
import nbformat
import pytest
from execution import MEMORY_LIMIT, assert_no_error_and_each_check_says_what_is_missing, execute

from autograder.__main__ import main
from autograder.authoring import derived
from autograder.authoring.release import release, stale
from autograder.authoring.sources import SourceError, masters, notebooks, to_notebook
from autograder.notebooks import NotebookError, digest, is_pristine, read_notebook, to_text

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = notebooks(REPOSITORY)
OPEN_LINES = 25  # of a demonstration that is not folded

TINY = '''# %% [markdown]
# # Doubling

# %% locked="setup"
import math

# %% exercise="double"
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return x + x  # the secret answer
    ### END SOLUTION

# %% tests="double_basics" points=2 tags=["check"]
assert double(2) == 4, f"Twice 2 is 4; yours is {double(2)}."
### BEGIN HIDDEN TESTS
assert double(-3) == -6, "the secret test"
### END HIDDEN TESTS

# %%
print("fine")

# %%
print("fine")
'''


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A course of one phase and one small notebook."""
    return make_course(tmp_path / "course", TINY)


def make_course(root: Path, source: str) -> Path:
    phase = root / "source" / "tiny"
    phase.mkdir(parents=True)
    (phase / "doubling.py").write_text(source, encoding="utf-8")
    return root


def learner(root: Path) -> Path:
    return root / "notebooks" / "tiny" / "doubling.ipynb"


def edit(path: Path, old: str, new: str) -> None:
    """Change a cell of a notebook as a learner would in JupyterLab."""
    notebook = read_notebook(path)
    changed = [cell for cell in notebook.cells if old in cell.source]
    assert changed, f"no cell holds {old!r}"
    for cell in changed:
        cell.source = cell.source.replace(old, new)
    path.write_text(to_text(notebook), encoding="utf-8")


# The generator


def test_the_short_spelling_becomes_nbgraders_metadata(tiny: Path) -> None:
    cells = to_notebook(tiny / "source/tiny/doubling.ipynb").cells
    by_id = {cell.metadata.nbgrader.grade_id: cell for cell in cells if "nbgrader" in cell.metadata}
    roles = {
        name: tuple(cell.metadata.nbgrader[key] for key in ("grade", "solution", "locked"))
        for name, cell in by_id.items()
    }
    assert roles == {
        "setup": (False, False, True),
        "double": (False, True, False),
        "double_basics": (True, False, True),
    }
    assert by_id["double_basics"].metadata.nbgrader.points == 2
    assert by_id["double_basics"].metadata.tags == ["check"]
    assert by_id["double"].id == "double"


def test_the_same_source_gives_the_same_bytes(tiny: Path) -> None:
    first, second = (to_text(to_notebook(tiny / "source/tiny/doubling.ipynb")) for _ in range(2))
    assert first == second
    assert first.endswith("}\n")


def test_cell_ids_are_valid_and_differ_even_for_equal_cells(tiny: Path) -> None:
    notebook = to_notebook(tiny / "source/tiny/doubling.ipynb")
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


def test_a_cell_keeps_its_id_when_another_is_inserted(tiny: Path) -> None:
    master = tiny / "source/tiny/doubling.py"
    before = {cell.source: cell.id for cell in to_notebook(master.with_suffix(".ipynb")).cells}
    master.write_text(
        TINY.replace('# %% locked="setup"', "# %%\nprint('new')\n\n# %% locked=\"setup\""), encoding="utf-8"
    )
    after = {cell.source: cell.id for cell in to_notebook(master.with_suffix(".ipynb")).cells}
    assert {source: after[source] for source in before} == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('exercise="double"', 'exercize="double"', "exercize"),
        ('exercise="double"', "exercise=double", "exercise=double"),
        ('exercise="double"', "exercise double", "title"),
        (" points=2", "", "tests need points"),
        (" points=2", " points=0", "tests need points"),
        ('locked="setup"', 'locked="setup" points=2', "points belong to tests"),
        ('locked="setup"', "points=2", "points without tests"),
        ('locked="setup"', 'locked="double_basics"', "'double_basics' is taken"),
        ('locked="setup"', 'locked="set up"', "is no id"),
        ('locked="setup"', 'locked="setup" exercise="x"', "not exercise and locked"),
        ("    ### BEGIN SOLUTION\n", "", "needs its answer between"),
        ("[markdown]", "[markdown] minutes=2.5", "minutes are a whole number"),
    ],
)
def test_a_wrong_header_is_an_error_that_names_file_and_cell(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TINY
    notebook = make_course(tmp_path, TINY.replace(old, new)) / "source/tiny/doubling.ipynb"
    with pytest.raises(SourceError, match=re.escape(message)) as error:
        to_notebook(notebook)
    assert re.search(r"source/tiny/doubling\.py, cell \d", str(error.value))


def joined(root: Path, order: str, **masters: str) -> Path:
    """A course of one phase of these masters in an order."""
    phase = root / "source" / "tiny"
    phase.mkdir(parents=True)
    for name, text in masters.items():
        (phase / f"{name}.py").write_text(text, encoding="utf-8")
    (phase / "phase.toml").write_text(order, encoding="utf-8")
    return root


def test_masters_are_joined_in_the_order_of_the_list(tmp_path: Path) -> None:
    root = joined(
        tmp_path,
        'whole = ["opening", "doubling"]\nother = ["ending"]',
        doubling=TINY,
        ending="# %%\n3\n",
        opening="# %% [markdown]\n# 1\n",
    )
    assert notebooks(root) == [root / "source/tiny/other.ipynb", root / "source/tiny/whole.ipynb"]
    alone = to_notebook(make_course(tmp_path / "alone", TINY) / "source/tiny/doubling.ipynb").cells
    assert to_notebook(root / "source/tiny/whole.ipynb").cells[1:] == alone
    assert release(root) == ["notebooks/tiny/other.ipynb: written", "notebooks/tiny/whole.ipynb: written"]
    assert {path.name for path in (root / "release").rglob("*.*")} == {"other.ipynb", "whole.ipynb"}


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ('whole = ["opening"]', "phase.toml has doubling.py in no notebook"),
        ('whole = ["opening", "doubling"]\nother = ["opening"]', "phase.toml has opening.py in more than one place"),
        ('whole = ["opening", "doubling", "end"]', "phase.toml lists 'end', but there is no end.py beside it"),
        ('whole = "opening"', "phase.toml: whole is to be a list of masters"),
        ("whole = [", "phase.toml can't be read: "),
    ],
)
def test_a_wrong_order_is_an_error_that_says_what_to_mend(tmp_path: Path, order: str, message: str) -> None:
    root = joined(tmp_path, order, doubling=TINY, opening="# %%\n1\n")
    with pytest.raises(SourceError, match=re.escape(message)):
        release(root)


def test_points_minutes_and_counts_are_filled_in(tmp_path: Path) -> None:
    marks = (
        "# <<points>> <<points 1>> <<points double_basics>> <<minutes>> <<minutes 1>> <<minutes 1 a>> "
        "<<exercises>> <<sections>>"
    )
    text = TINY.replace("# # Doubling", marks).replace(
        '# %% exercise="double"',
        "# %% [markdown] minutes=3\n# ## 1 · Twice\n# ### Exercise 1 a · `double`\n\n"
        "# %% [markdown] minutes=4\n# ### Exercise 1 b · `more`\n\n"
        '# %% [markdown] minutes=5\n# ## Further on\n\n# %% exercise="double"',
    )
    cells = to_notebook(make_course(tmp_path, text) / "source/tiny/doubling.ipynb").cells
    assert cells[0].source == "2 2 2 12 7 3 one one"
    assert not any("minutes" in cell.metadata for cell in cells)


def test_cells_off_the_core_path_count_separately(tmp_path: Path) -> None:
    marks = "# two words, <<words>> <<lines>> <<minutes>> <<minutes deeper>> <<points core>> <<points>>"
    root = make_course(tmp_path, TINY.replace("# # Doubling", marks))
    phase = root / "source" / "tiny"
    more = "# %% [markdown] minutes=7\n# ### Exercise 1 c · `more`\n# <<minutes 1 c>> words\n\n"
    more += '# %% tests="more" points=5\n1 + 1\n'
    (phase / "more.py").write_text(more, encoding="utf-8")
    (phase / "phase.toml").write_text('doubling = ["doubling", {deeper = "more"}]', encoding="utf-8")
    cells = to_notebook(phase / "doubling.ipynb").cells
    deeper = [cell.source for cell in cells if "deeper" in cell.metadata.get("tags", [])]
    assert deeper == ["### Exercise 1 c · `more`\n7 words", "1 + 1"]
    release(root)
    released = read_notebook(root / "notebooks" / "tiny" / "doubling.ipynb").cells
    core = [cell for cell in released if "deeper" not in cell.metadata.get("tags", [])]
    shown = [line for cell in core if cell.cell_type == "code" for line in cell.source.splitlines() if line.strip()]
    read = [word for cell in core if cell.cell_type == "markdown" for word in re.findall(r"\w+", cell.source)]
    assert cells[0].source == f"two words, {len(read)} {len(shown)} 0 7 2 7"


def test_a_quiz_has_the_same_check_for_each_question_and_its_key_in_one_place(tmp_path: Path) -> None:
    text = TINY.replace('exercise="double"', 'exercise="double" key="ab"') + (
        '\n# %% quiz="ask_1 ask_2" points=3\ncheck.ask_1(double)\n### BEGIN HIDDEN TESTS\n'
        'check.right_choice("ask_1", double, "<<key>>")\n### END HIDDEN TESTS\n'
    )
    cells = to_notebook(make_course(tmp_path, text) / "source/tiny/doubling.ipynb").cells[-2:]
    assert [(cell.id, cell.metadata.nbgrader.points) for cell in cells] == [("ask_1", 3), ("ask_2", 3)]
    assert cells[1].source == cells[0].source.replace("ask_1", "ask_2")
    assert 'check.right_choice("ask_2", double, "ab")' in cells[1].source


def test_a_mark_without_a_value_is_an_error(tmp_path: Path) -> None:
    root = make_course(tmp_path, TINY.replace("# # Doubling", "# <<minutes 9.9>>"))
    with pytest.raises(SourceError, match=r"doubling\.ipynb: <<minutes 9\.9>> has no value"):
        release(root)


# The release


def test_nothing_of_the_solutions_or_hidden_tests_is_released(tiny: Path) -> None:
    release(tiny)
    released = [path for step in ("release", "notebooks") for path in (tiny / step).rglob("*") if path.is_file()]
    assert {path.name for path in released} == {"doubling.ipynb"}
    assert_no_secrets(released, secrets=("secret answer", "secret test"))


def assert_no_secrets(released: list[Path], secrets: tuple[str, ...] = ()) -> None:
    assert released
    for path in released:
        assert path.suffix != ".py", f"{path} may hold solutions"
        text = path.read_text(encoding="utf-8")
        for secret in ("BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN TESTS", "END HIDDEN TESTS", *secrets):
            assert secret not in text, f"{path} holds {secret!r}"


def test_two_releases_give_the_same_bytes(tiny: Path) -> None:
    release(tiny)
    first = learner(tiny).read_bytes()
    shutil.rmtree(tiny / "notebooks")
    (tiny / "gradebook.db").unlink()
    release(tiny)
    assert learner(tiny).read_bytes() == first
    assert release(tiny) == []


def test_the_learners_cells_are_locked_and_their_points_and_ids_survive(tiny: Path) -> None:
    release(tiny)
    cells = {cell.id: cell for cell in read_notebook(learner(tiny)).cells}
    assert cells["double_basics"].metadata.editable is False
    assert cells["double_basics"].metadata.nbgrader.points == 2
    assert "NotImplementedError" in cells["double"].source
    assert '"""Twice x."""' in cells["double"].source


@pytest.mark.slow
def test_check_release_is_silent_on_fresh_files_and_names_stale_ones(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release(tiny)
    assert main(["check-release"], root=tiny) == 0
    master = tiny / "source/tiny/doubling.py"
    master.write_text(TINY.replace("# # Doubling", "# # Doubling numbers"), encoding="utf-8")
    assert main(["check-release"], root=tiny) == 1
    assert capsys.readouterr().err.splitlines()[:2] == [
        "notebooks/tiny/doubling.ipynb differs from what its source gives",
        "source/tiny/doubling.ipynb differs from what its source gives",
    ]


def test_check_release_names_missing_and_orphaned_notebooks(tiny: Path) -> None:
    release(tiny)
    learner(tiny).rename(learner(tiny).with_name("old.ipynb"))
    assert stale(tiny) == [
        "notebooks/tiny/doubling.ipynb is missing",
        "notebooks/tiny/old.ipynb has no source any more",
    ]


def test_an_instructors_edit_of_the_generated_master_is_not_overwritten(tiny: Path) -> None:
    release(tiny)
    master = tiny / "source/tiny/doubling.ipynb"
    edit(master, "secret answer", "better answer")
    with pytest.raises(SourceError, match="changed by hand"):
        release(tiny)
    assert "better answer" in master.read_text(encoding="utf-8")


def test_other_files_in_source_are_refused_rather_than_forgotten(tiny: Path) -> None:
    (tiny / "source/tiny/data.csv").write_text("1,2\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"data\.csv: only notebooks are released"):
        release(tiny)


# Nothing a learner wrote is ever overwritten


@pytest.fixture
def updated(tiny: Path) -> Path:
    """A course that was released, and whose source has a newer version."""
    release(tiny)
    master = tiny / "source/tiny/doubling.py"
    master.write_text(TINY.replace("# # Doubling", "# # Doubling, second edition"), encoding="utf-8")
    return tiny


def test_a_pristine_notebook_is_replaced_by_the_new_version(updated: Path) -> None:
    assert release(updated) == ["notebooks/tiny/doubling.ipynb: updated"]
    assert "second edition" in learner(updated).read_text(encoding="utf-8")


def test_outputs_and_an_empty_last_cell_are_no_work(updated: Path) -> None:
    notebook = read_notebook(learner(updated))
    notebook.cells[-1].outputs = [nbformat.v4.new_output("stream", text="fine\n")]
    notebook.cells[-1].execution_count = 7
    notebook.cells.append(nbformat.v4.new_code_cell(""))
    learner(updated).write_text(to_text(notebook), encoding="utf-8")
    release(updated)
    assert "second edition" in learner(updated).read_text(encoding="utf-8")


def test_a_notebook_someone_worked_in_stays_and_the_new_version_lies_beside_it(
    updated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(learner(updated), "raise NotImplementedError", "return 2 * x  # raise")
    mine = learner(updated).read_bytes()
    assert main(["release"], root=updated) == 0
    assert learner(updated).read_bytes() == mine
    beside = learner(updated).with_name("doubling.new.ipynb")
    assert "second edition" in beside.read_text(encoding="utf-8")
    assert is_pristine(read_notebook(beside))
    assert "doubling.new.ipynb" in capsys.readouterr().out


def test_work_in_the_notebook_beside_it_is_safe_too(updated: Path) -> None:
    edit(learner(updated), "raise NotImplementedError", "return 2 * x  # raise")
    release(updated)
    beside = learner(updated).with_name("doubling.new.ipynb")
    edit(beside, "raise NotImplementedError", "return 3 * x  # raise")
    assert release(updated) == []  # the newest version is in work already: no third copy
    master = updated / "source/tiny/doubling.py"
    master.write_text(TINY.replace("# # Doubling", "# # Doubling, third edition"), encoding="utf-8")
    release(updated)
    assert "return 2 * x" in learner(updated).read_text(encoding="utf-8")
    assert "return 3 * x" in beside.read_text(encoding="utf-8")
    assert "third edition" in beside.with_name("doubling.new-2.ipynb").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", ["", "{", "my notes", "{}"])
def test_a_file_that_is_no_notebook_is_not_overwritten(updated: Path, content: str) -> None:
    learner(updated).write_text(content, encoding="utf-8")
    release(updated)
    assert learner(updated).read_text(encoding="utf-8") == content


def test_a_notebook_of_another_origin_is_not_overwritten(updated: Path) -> None:
    own = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("mine")])
    learner(updated).write_text(to_text(own), encoding="utf-8")
    release(updated)
    assert read_notebook(learner(updated)).cells[0].source == "mine"


def test_unreadable_notebooks_give_a_reason_and_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "x.ipynb"
    path.write_text('{"cells": [', encoding="utf-8")
    with pytest.raises(NotebookError, match=r"x\.ipynb is not a valid notebook .*line 1.*Revert Notebook"):
        read_notebook(path)


# The real notebooks


def test_the_course_has_its_four_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "phase1_overview",
        "phase2_techniques",
        "challenges",
        "phase3_production",
    ]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_master_is_short_and_opens_in_jupytext_on_its_own(notebook: Path) -> None:
    for master in masters(notebook):
        text = master.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 400
        assert jupytext.reads(text, fmt=".py").metadata["jupytext"]["text_representation"]["format_name"] == "percent"


# On the core path: minutes promised, words to read, lines of code shown.
BUDGETS = {
    "phase1_overview": (15, 900, 150),
    "phase2_techniques": (30, 1800, 450),
    "phase3_production": (15, 900, 300),
    "challenges": (40, 900, 200),
}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_core_path_keeps_to_its_time(notebook: Path) -> None:
    minutes, words, lines = BUDGETS[notebook.stem]
    released = read_notebook(REPOSITORY / "notebooks" / notebook.parent.name / notebook.name)
    core = derived.core(released.cells)
    assert sum(map(derived.words, core)) <= words
    assert sum(map(derived.lines_shown, core)) <= lines
    assert f"**{minutes} minutes" in core[0]["source"]


def test_the_committed_notebooks_are_fresh() -> None:
    assert stale(REPOSITORY) == [], "run make release and commit what it writes"


def test_the_committed_notebooks_hold_no_solution_and_no_hidden_test() -> None:
    assert_no_secrets([path for path in (REPOSITORY / "notebooks").rglob("*") if path.is_file()])


def test_a_learners_notebook_runs_to_its_end_and_says_what_is_missing(tmp_path: Path) -> None:
    """A sample: tests/system has all of them run in JupyterLab, and the masters with every extra."""
    path = REPOSITORY / "notebooks" / "phase2_techniques" / "phase2_techniques.ipynb"
    notebook, peak = execute(read_notebook(path), tmp_path)
    assert_no_error_and_each_check_says_what_is_missing(notebook)
    assert peak < MEMORY_LIMIT


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_for_the_learner_are_marked_and_no_others(notebook: Path) -> None:
    """The page's style gives the cell below such a mark the blue bar."""
    cells = to_notebook(notebook).cells
    marked = [after.id for cell, after in pairwise(cells) if 'class="gpt2-yours"' in cell.source]
    assert marked == [cell.id for cell in cells if cell.metadata.get("nbgrader", {}).get("solution")]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_last_cell_grades_the_notebook_at_a_press_and_is_not_graded(notebook: Path) -> None:
    last = read_notebook(REPOSITORY / "notebooks" / notebook.parent.name / notebook.name).cells[-1]
    assert last.source.startswith("# Grade my notebook")
    assert last.source.endswith(f'GradeMyNotebook("{notebook.stem}")')
    assert "nbgrader" not in last.metadata


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_long_demonstration_is_open(notebook: Path) -> None:
    """A learner scrolls past what need not be read."""
    cells = [
        cell for cell in to_notebook(notebook).cells if cell.cell_type == "code" and "nbgrader" not in cell.metadata
    ]
    assert [cell.source[:60] for cell in cells if derived.lines_shown(cell) > OPEN_LINES] == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_picture_in_markdown_has_alt_text(notebook: Path) -> None:
    text = "\n".join(cell.source for cell in to_notebook(notebook).cells if cell.cell_type == "markdown")
    pictures = re.findall(r"!\[([^\]]*)\]\(", text) + [
        "".join(re.findall(r'\balt="([^"]*)"', tag)) for tag in re.findall(r"<img\b[^>]*>", text)
    ]
    assert all(alt.strip() for alt in pictures), f"{len(pictures)} pictures, one without alt text"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_picture_is_shown_with_its_words_alone(notebook: Path) -> None:
    """`figures.show` takes them; tests/system/test_execution.py looks at what comes out."""
    for cell in to_notebook(notebook).cells:
        if cell.cell_type == "code":
            assert not re.search(r"\bplt\b|pyplot|\.savefig\(|\.imshow\(|IPython\.display\.Image", cell.source), cell.id
            drawn = len(re.findall(r"\bpanels\(", cell.source))
            assert len(re.findall(r"(?<!\w)(?:figures\.)?show\(\s*figure,", cell.source)) == drawn, cell.id


def test_the_search_for_alt_text_sees_both_spellings() -> None:
    """Guards the test above, which passes on notebooks without pictures."""
    assert re.findall(r"!\[([^\]]*)\]\(", "![](a.png) ![curve](b.png)") == ["", "curve"]


def test_the_digest_sees_every_change_of_a_cell(tiny: Path) -> None:
    notebook = to_notebook(tiny / "source/tiny/doubling.ipynb")
    before = digest(notebook)
    notebook.cells[0].source += "!"
    assert digest(notebook) != before
