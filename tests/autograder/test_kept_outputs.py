"""Tests of the outputs that are kept of a learner's cells: messages of any shape, and displays that change others."""

from __future__ import annotations

import pytest
from nbclient.exceptions import CellExecutionComplete
from nbformat.v4 import new_code_cell, new_notebook

from autograder.workers import learner
from autograder.workers.learner import LearnerKernel
from autograder.workers.setting import Account, Setting


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> LearnerKernel:
    monkeypatch.setattr(learner, "zygote", lambda warm: None)
    notebook = new_notebook(cells=[new_code_cell("") for _ in range(3)])
    kernel = LearnerKernel(notebook, Setting(), Account(until=0.0))
    kernel.clear_before_next_output = False  # as each cell begins
    return kernel


def send(kernel: LearnerKernel, kind: object, content: object, cell: int = 0) -> None:
    message = {"msg_type": kind, "header": {"msg_type": kind}, "parent_header": {"msg_id": "1"}, "content": content}
    kernel.process_message(message, kernel.nb.cells[cell], cell)


def display(kernel: LearnerKernel, text: str, kind: str = "display_data", cell: int = 0, id: str = "x") -> None:
    content = {"data": {"text/plain": text}, "metadata": {}, "transient": {"display_id": id}}
    send(kernel, kind, content, cell)


def kept(kernel: LearnerKernel) -> int:
    return sum(len(str(output)) for cell in kernel.nb.cells for output in cell.outputs)


def test_a_display_that_changes_others_counts_for_each_of_them(kernel: LearnerKernel) -> None:
    for number in range(800):
        display(kernel, "", cell=number % 2)
    before = kept(kernel)
    display(kernel, "A" * 500_000, "update_display_data", cell=2)
    display(kernel, "A" * 500_000, "display_data", cell=2)
    assert kept(kernel) == before
    display(kernel, "A" * 500, "update_display_data", cell=2)
    assert kept(kernel) == before + 800 * 500
    assert kernel.dropped == 0


def test_all_outputs_of_a_notebook_have_a_limit_together(kernel: LearnerKernel) -> None:
    for cell in range(3):
        kernel._kept = 0  # as each cell begins
        for number in range(40):
            display(kernel, "", cell=cell, id=f"{number % 2}")
    limit = kernel.limits.output
    for _ in range(200):
        kernel._kept = 0  # as each cell begins
        display(kernel, "A" * 15_000, "update_display_data", cell=2, id="0")
    assert 30_000_000 < kernel._kept_in_all <= limit


def test_an_update_of_one_output_is_kept(kernel: LearnerKernel) -> None:
    display(kernel, "begun")
    display(kernel, "done", "update_display_data")
    assert [output.data["text/plain"] for output in kernel.nb.cells[0].outputs] == ["done"]


GOOD = {"data": {"text/plain": "x"}, "metadata": {}, "transient": {}}
ODD: list[tuple[object, object]] = [
    ("display_data", GOOD | {"data": [["text/plain", "x"]]}),
    ("display_data", GOOD | {"data": {"image/png": {"a": 1}, "text/plain": ["a", 5]}}),
    ("display_data", GOOD | {"data": None}),
    ("display_data", GOOD | {"metadata": [1]}),
    ("display_data", GOOD | {"transient": ["display_id"]}),
    ("display_data", GOOD | {"transient": {"display_id": ["x"]}}),
    ("update_display_data", GOOD | {"transient": {"display_id": {}}}),
    ("execute_result", GOOD | {"execution_count": {"a": "b"}}),
    ("execute_input", {"execution_count": "<b>\x1b[2J"}),
    ("execute_input", {"execution_count": True}),
    ("stream", {"name": {"a": 1}, "text": "x"}),
    ("stream", {"name": "\x1b[2Jowned", "text": "x"}),
    ("stream", {"name": "stdout", "text": 5}),
    ("stream", {}),
    ("error", {"ename": ["a"], "evalue": {"a": 1}, "traceback": [{"a": 1}]}),
    ("error", {"ename": "a", "evalue": "b", "traceback": "c"}),
    ("clear_output", {"wait": {}}),
    ("status", {"execution_state": ["idle"]}),
    ("status", []),
    ("stream", None),
]


@pytest.mark.parametrize(("kind", "content"), ODD)
def test_a_message_of_another_shape_is_dropped_and_counted(
    kernel: LearnerKernel, kind: object, content: object
) -> None:
    send(kernel, kind, content)
    assert kernel.dropped == 1
    assert kernel.nb.cells[0].outputs == []
    assert kernel.nb.cells[0].execution_count is None


@pytest.mark.parametrize("kind", ["comm_open", "history_reply", ["status"], {}, None, 5])
def test_a_message_of_another_kind_is_not_read(kernel: LearnerKernel, kind: object) -> None:
    send(kernel, kind, {"data": {}})
    assert kernel.nb.cells[0].outputs == []


def test_an_update_of_what_is_there_no_more_is_dropped(kernel: LearnerKernel) -> None:
    display(kernel, "one")
    kernel.nb.cells[0].outputs = []
    display(kernel, "two", "update_display_data", cell=1)
    assert kernel.dropped == 1


def test_what_kernels_send_is_kept(kernel: LearnerKernel) -> None:
    figure = {"application/vnd.plotly.v1+json": {"data": []}, "text/html": ["<b>", "</b>"], "image/png": "aGk="}
    send(kernel, "execute_input", {"code": "", "execution_count": 3})
    send(kernel, "stream", {"name": "stderr", "text": "x"})
    send(kernel, "display_data", {"data": figure, "metadata": {"image/png": {"width": 3}}})
    send(kernel, "execute_result", GOOD | {"execution_count": 3})
    send(kernel, "error", {"ename": "E", "evalue": "", "traceback": ["E"]})
    send(kernel, "clear_output", {"wait": True})
    assert [o.output_type for o in kernel.nb.cells[0].outputs] == ["stream", "display_data", "execute_result", "error"]
    assert kernel.nb.cells[0].execution_count == 3
    with pytest.raises(CellExecutionComplete):
        send(kernel, "status", {"execution_state": "idle"})
    assert kernel.dropped == 0
