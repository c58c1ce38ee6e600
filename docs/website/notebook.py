"""A notebook's page: the learner's notebook, and in it what the executed master shows outside of exercises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from markdown_it import MarkdownIt
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output

from autograder.notebooks import as_node, grade_id

VIEW, STATE = "application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json"
KINDS = ("text/html", "text/markdown", "text/plain", "image/png")  # what a static page can show
MARKDOWN = MarkdownIt().enable("table")
NOTE = (
    "*A picture of the notebook after a whole run: where an exercise is to be written, it stands as you get it; the "
    "pictures and tables below are what its cells show once it is solved. What can be dragged is a snapshot here.*"
)


def page(learners: NotebookNode, master: NotebookNode) -> NotebookNode:
    """The notebook to show. ``learners`` is the released one, ``master`` the same one executed, solutions in.

    Only the outputs of cells that are the same in both are taken, and none of exercises and checks.
    """
    shown = {cell.id: cell for cell in master.cells if cell.cell_type == "code" and not _is_graded(cell)}
    widgets: dict[str, Any] = master.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    made = as_node({**learners, "metadata": {"kernelspec": learners.metadata.kernelspec}})
    for cell in made.cells:
        cell.metadata = as_node({})
        if cell.cell_type == "code":
            twin = shown.get(cell.id)
            outputs = twin.outputs if twin is not None and twin.source == cell.source else []
            cell.outputs = [one for output in outputs for one in _static(output, widgets)]
    made.cells.insert(1, new_markdown_cell(NOTE, id="about-this-page"))
    return made


def _is_graded(cell: NotebookNode) -> bool:
    role = cell.metadata.get("nbgrader", {})
    return bool(grade_id(cell)) and bool(role.get("grade") or role.get("solution"))


def _static(output: NotebookNode, widgets: dict[str, Any]) -> Iterator[NotebookNode]:
    """An output without what needs a kernel: a widget is what it shows at the moment."""
    if output.output_type == "stream":
        if output.name == "stdout":
            yield output
    elif output.output_type != "error":
        view = output.data.get(VIEW)
        data = {kind: output.data[kind] for kind in KINDS if kind in output.data}
        if view is not None:
            html = "".join(_html(view["model_id"], widgets))
            data = {"text/html": html, "text/plain": ""} if html else {}
        elif "text/markdown" in data:  # as HTML at once: Sphinx would take its headings for the page's
            data = {"text/html": MARKDOWN.render(data["text/markdown"])}
        if data:
            yield new_output("display_data", data=data)


def _html(model: str, widgets: dict[str, Any]) -> Iterator[str]:
    """What a widget says and draws, without what moves it; nothing for a bar of progress."""
    found = widgets.get(model.removeprefix("IPY_MODEL_"), {})
    name, state = found.get("model_name", ""), found.get("state", {})
    children = [widgets.get(child.removeprefix("IPY_MODEL_"), {}) for child in state.get("children", ())]
    if any("Progress" in child.get("model_name", "") for child in children):
        return
    if name == "HTMLModel":
        yield f"<div>{state.get('value', '')}</div>"
    for child in state.get("children", ()):
        yield from _html(child, widgets)
