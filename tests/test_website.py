"""Tests of the website's files; tests/system/test_whole_website.py builds all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from graded import HIDDEN, MASTER
from nbformat import NotebookNode
from nbformat.v4 import new_output

import docs.website.executed as runs
from autograder.authoring.release import release
from autograder.authoring.sources import to_notebook
from autograder.notebooks import read_notebook
from docs.website.links import adapted
from docs.website.notebook import STATE, VIEW, page

FILES = {"README.md", "docs/guide.md", "docs/pictures/a.png"}


@pytest.mark.parametrize(
    ("text", "there", "elsewhere"),
    [
        ("[the guide](guide.md#wanda)", "[the guide](guide.md#wanda)", ""),
        ("[start](../README.md)", "[start](../README.md)", ""),
        ("[web](https://example.org/a.md)", "[web](https://example.org/a.md)", ""),
        ("[below](#wanda)", "[below](#wanda)", ""),
        ("![a](pictures/a.png)", "![a](pictures/a.png)", ""),
        ("[code](../gpt2_lib/gpt2.py)", "code", "[code](https://host/blob/1/gpt2_lib/gpt2.py)"),
        ("![b](pictures/b.png)", "", "![b](https://host/blob/1/docs/pictures/b.png)"),
        ("`[code](../gpt2_lib/gpt2.py)`", "`[code](../gpt2_lib/gpt2.py)`", ""),
        ("```md\n[x](y.py)\n```", "```md\n[x](y.py)\n```", ""),
    ],
)
def test_a_link_leads_into_the_site_or_the_repository_or_is_text(text: str, there: str, elsewhere: str) -> None:
    assert adapted(text, "docs/guide.md", FILES) == there
    assert adapted(text, "docs/guide.md", FILES, "https://host/blob/1") == (elsewhere or there)


@pytest.fixture
def books(tmp_path: Path) -> tuple[NotebookNode, NotebookNode]:
    """A released notebook and its master, each of whose cells shows its own name."""
    source = tmp_path / "source" / "tiny" / "sums.py"
    source.parent.mkdir(parents=True)
    source.write_text(MASTER, encoding="utf-8")
    release(tmp_path)
    master = to_notebook(source.with_suffix(".ipynb"))
    for cell in master.cells:
        cell.outputs = [new_output("display_data", data={"text/plain": f"shown by {cell.id}"})]
    return read_notebook(tmp_path / "notebooks" / "tiny" / "sums.ipynb"), master


def shown(notebook: NotebookNode) -> list[str]:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return ["".join(output.data.values()) for output in outputs]


def test_no_solution_no_hidden_test_and_nothing_that_these_show_gets_on_a_page(
    books: tuple[NotebookNode, NotebookNode],
) -> None:
    made = page(*books)
    sources = "\n".join(cell.source for cell in made.cells)
    assert [secret for secret in (*HIDDEN, "return x + x", "return x / 2") if secret in sources] == []
    assert "YOUR CODE HERE" in sources
    (demonstration,) = (cell for cell in books[1].cells if "demonstration" in cell.source)
    assert shown(made) == ["shown by setup", f"shown by {demonstration.id}"]


def test_a_cell_that_is_another_in_the_master_shows_nothing(books: tuple[NotebookNode, NotebookNode]) -> None:
    learners, master = books
    for cell in master.cells:
        cell.source += "\nprint(the_answer)"
    assert shown(page(learners, master)) == []


def test_a_widget_is_what_it_shows_at_the_moment(books: tuple[NotebookNode, NotebookNode]) -> None:
    learners, master = books
    master.metadata["widgets"] = {
        STATE: {
            "state": {
                "box": {"model_name": "VBoxModel", "state": {"children": ["IPY_MODEL_a", "IPY_MODEL_b"]}},
                "a": {"model_name": "IntSliderModel", "state": {"value": 50}},
                "b": {"model_name": "HTMLModel", "state": {"value": "<img alt='a curve'>"}},
                "bar": {"model_name": "HBoxModel", "state": {"children": ["IPY_MODEL_p", "IPY_MODEL_b"]}},
                "p": {"model_name": "FloatProgressModel", "state": {}},
            }
        }
    }
    views = [new_output("display_data", data={VIEW: {"model_id": name}, "text/plain": name}) for name in ("box", "bar")]
    for cell in master.cells:
        cell.outputs = views if cell.id == "setup" else []
    made = page(learners, master)
    assert shown(made) == ["<div><img alt='a curve'></div>"]
    assert "widgets" not in made.metadata


def test_a_notebook_is_executed_again_when_its_master_or_the_library_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = tmp_path / "source" / "tiny" / "sums.py"
    library = tmp_path / "gpt2_lib" / "a.py"
    for path, text in ((master, MASTER), (library, "a = 1")):
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    ran: list[str] = []
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    monkeypatch.setattr(runs, "run", lambda notebook: ran.append("run"))
    for change in (None, None, master, None, library):
        if change:
            change.write_text(change.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
        assert set(runs.executed(tmp_path / "kept")) == {"sums"}
    assert len(ran) == 3
