"""Tests of text in any form: its windows, and batches whose padding is ignored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny import TINY, in_transformers, random_ids, random_model, tokenizer
from torch.utils.data import DataLoader

from gpt2_lib import (
    KeepMasks,
    MaskKeeper,
    ModelPruner,
    convert_to_tensorrt,
    evaluate,
    evaluate_production_metrics,
    export_onnx,
    from_transformers,
    generate,
    held_out_windows,
    load_packed,
    load_pretrained_gpt2,
    masks_of_zeros,
    remove_silenced,
    save_for_transformers,
    save_packed,
    save_pretrained,
    windows_of,
)
from gpt2_lib.pruning import calibration, sensitivity
from gpt2_lib.pruning.schedules import Schedule
from gpt2_lib.train import Recipe, Run

WINDOWS = random_ids(TINY, 8, 32)
ROWS = [WINDOWS[0, :20], WINDOWS[1, :32], WINDOWS[2, :20], WINDOWS[3, :9]]


def loader(rows: Any, batch_size: int = 1) -> DataLoader[torch.Tensor]:
    return DataLoader(rows, batch_size=batch_size)


def padded(left: bool) -> dict[str, torch.Tensor]:
    ids, mask = torch.full((4, 32), 7), torch.zeros(4, 32, dtype=torch.int64)
    for i, row in enumerate(ROWS):
        place = slice(32 - len(row), 32) if left else slice(0, len(row))
        ids[i, place], mask[i, place] = row, 1
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("left", [True, False])
def test_padding_counts_for_nothing_on_either_side(left: bool) -> None:
    model = random_model()
    alone = [evaluate(model, row[None]) for row in ROWS]
    found = evaluate(model, [padded(left)])
    assert found.tokens == sum(q.tokens for q in alone) == 19 + 31 + 19 + 8
    assert found.loss == pytest.approx(sum(q.loss * q.tokens for q in alone) / found.tokens, rel=1e-5)
    names = ["h.1.mlp.c_fc.weight"]
    rows = calibration.hessians(model, [row[None] for row in ROWS], names)[names[0]]
    torch.testing.assert_close(calibration.hessians(model, padded(left), names)[names[0]], rows, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "given",
    [
        WINDOWS.int(),
        WINDOWS.to(torch.int16),
        loader(list(WINDOWS), batch_size=3),
        [{"input_ids": WINDOWS.int(), "attention_mask": torch.ones_like(WINDOWS)}],
        {"input_ids": WINDOWS.tolist()},
        WINDOWS.split(3),
    ],
    ids=["int32", "int16", "DataLoader", "dict", "lists", "tensors"],
)
def test_evaluation_and_calibration_take_any_form(given: Any) -> None:
    model = random_model()
    assert evaluate(model, given).loss == pytest.approx(evaluate(model, WINDOWS).loss, rel=1e-5)
    pruned, same = random_model(), random_model()
    ModelPruner(pruned).prune("wanda", 0.5, text=given)
    ModelPruner(same).prune("wanda", 0.5, text=WINDOWS)
    assert all(torch.equal(p, q) for p, q in zip(pruned.parameters(), same.parameters(), strict=True))
    ModelPruner(pruned).prune("taylor", 0.6, text=given)


def test_an_iterator_is_held_for_the_methods_that_read_it_once_a_block() -> None:
    pruned, same = random_model(), random_model()
    ModelPruner(pruned).prune("sparsegpt", 0.5, text=(ids for ids in WINDOWS.split(3)))
    ModelPruner(same).prune("sparsegpt", 0.5, text=WINDOWS.split(3))
    assert all(torch.equal(p, q) for p, q in zip(pruned.parameters(), same.parameters(), strict=True))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "There is no text to measure on"),
        (loader([], batch_size=1), "There is no text to measure on"),
        (WINDOWS.float(), "Token ids are whole numbers; got torch.float32"),
        (["To be"], "batch of str"),
        ([{"ids": WINDOWS}], "batch of dict"),
        ({"input_ids": WINDOWS, "attention_mask": torch.ones(8, 3)}, "they must agree"),
        ({"input_ids": WINDOWS, "labels": WINDOWS[:, 1:]}, r"labels must be the input_ids, not shifted.*\(8, 31\)"),
        ({"input_ids": WINDOWS, "labels": WINDOWS.roll(-1, 1)}, "labels must be the input_ids"),
        ({"input_ids": WINDOWS, "labels": torch.ones(8)}, "labels must be the input_ids"),
        ({"input_ids": WINDOWS, "labels": WINDOWS * 0 - 100}, "no text to measure on"),
    ],
)
def test_data_that_are_no_text_are_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(random_model(), given)


@pytest.mark.parametrize("masked", [True, False])
def test_evaluate_leaves_out_tokens_whose_label_counts_for_nothing(masked: bool) -> None:
    """As transformers has it: prompts, and ends that are padding's token, too."""
    labels = WINDOWS.clone()
    labels[:, :5] = -100
    labels[0, 9] = labels[3, 20:] = -100
    batch: dict[str, Any] = {"input_ids": WINDOWS, "labels": labels}
    if masked:
        batch["attention_mask"] = torch.ones_like(WINDOWS)
        batch["attention_mask"][3, 20:] = 0
    model = random_model()
    model.tokenizer = tokenizer()
    found = evaluate(model, batch)
    with torch.no_grad():
        assert found.loss == pytest.approx(in_transformers(model)(**batch).loss.item(), rel=1e-5)
    assert found.tokens == int((labels[:, 1:] != -100).sum())
    assert found.bits_per_character > 0
    everything = evaluate(model, WINDOWS)
    assert evaluate(model, {"input_ids": WINDOWS, "labels": WINDOWS}) == everything
    names = ["h.0.mlp.c_fc.weight"]  # what a layer reads counts whatever its label is
    found = calibration.input_norms(model, [{"input_ids": WINDOWS, "labels": torch.ones(8)}], names)
    torch.testing.assert_close(found, calibration.input_norms(model, WINDOWS, names))


def test_windows_are_the_same_whatever_the_text_comes_in() -> None:
    words = tokenizer()
    text = "To be, or not to be: that is the question.\n" * 20
    ids = words.encode(text)
    expected = torch.tensor(ids[: len(ids) // 16 * 16]).view(-1, 16)
    whole = len(expected) // 2 * 32
    sources: list[Any] = [text, ids, torch.tensor(ids, dtype=torch.int32), np.array(ids), [torch.tensor(ids)]]
    sources += [[text[:43], text[43:]], loader(list(torch.tensor(ids)[:whole].view(-1, 32)), batch_size=2)]
    sources += [{"input_ids": [ids]}, [{"input_ids": torch.tensor([ids])}], [np.array(ids)]]
    for source in sources:
        found = windows_of(source, words, 16)
        assert found.dtype == torch.int64
        assert torch.equal(found, expected[: len(found)])
        assert len(found) >= len(expected) - 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("To be", "2 tokens, and one window needs 16"),
        (loader([], batch_size=1), "The text has 0 tokens"),
        ([0.5] * 40, "whole numbers; got torch.float"),
        (7.5, "Text, token ids or batches|whole numbers"),
        ([object()], "Text, token ids or batches"),
        ([], "The text has 0 tokens"),
    ],
)
def test_text_shorter_than_a_window_is_refused(source: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        windows_of(source, tokenizer(), 16)


def test_text_needs_a_tokenizer_and_a_window_two_tokens() -> None:
    with pytest.raises(ValueError, match="Text needs a tokenizer"):
        windows_of("To be, or not to be", length=4)
    with pytest.raises(ValueError, match="at least 2 tokens"):
        windows_of([1, 2, 3], length=1)


@pytest.mark.parametrize(
    "form",
    [
        WINDOWS.int(),
        WINDOWS.numpy(),
        WINDOWS.numpy().astype(np.uint16),
        WINDOWS.tolist(),
        list(WINDOWS),
        list(WINDOWS.numpy()),
        DataLoader(torch.utils.data.TensorDataset(WINDOWS), batch_size=3),
        torch.utils.data.TensorDataset(WINDOWS),
        [{"input_ids": row.tolist()} for row in WINDOWS],
        {"input_ids": WINDOWS.numpy(), "attention_mask": np.ones(WINDOWS.shape)},
    ],
    ids=["int32", "NumPy", "uint16", "lists", "rows", "rows of NumPy", "loader", "dataset", "dicts", "dict of NumPy"],
)
def test_a_language_models_text_comes_in_any_form(form: Any) -> None:
    """To measure on, and to calibrate on."""
    model, names = random_model(), ["h.0.mlp.c_fc.weight"]
    assert evaluate(model, form).loss == pytest.approx(evaluate(model, WINDOWS).loss, rel=1e-5)
    found = calibration.input_norms(model, form, names)[names[0]]
    torch.testing.assert_close(found, calibration.input_norms(model, WINDOWS, names)[names[0]])


@pytest.mark.parametrize("form", ["a text", b"bytes", None, 7, [{"other": 1}], [["a"]], [[1.5, 2.5]], [True, False]])
def test_data_that_are_no_text_are_refused_for_measuring_and_calibration(form: Any) -> None:
    model = random_model()
    before = model.wte.weight.clone()
    for use in (lambda: evaluate(model, form), lambda: ModelPruner(model).prune("wanda", 0.5, text=form)):
        with pytest.raises(ValueError, match=r"Windows of token ids|whole numbers|needs text"):
            use()
    assert torch.equal(model.wte.weight, before)


@pytest.mark.parametrize(
    "swapped",
    [
        lambda model: evaluate(WINDOWS, model),  # type: ignore[arg-type]
        lambda model: ModelPruner("gpt2-mini"),  # type: ignore[arg-type]
        lambda model: save_pretrained("folder", model),  # type: ignore[arg-type]
        lambda model: load_pretrained_gpt2(model),
        lambda model: save_packed("file", model),  # type: ignore[arg-type]
        lambda model: save_for_transformers("folder", model),  # type: ignore[arg-type]
        lambda model: load_packed(model),
        lambda model: export_onnx("file", model),  # type: ignore[arg-type]
        lambda model: convert_to_tensorrt("folder", model),  # type: ignore[arg-type]
        lambda model: from_transformers(tokenizer(), model),  # type: ignore[arg-type]
        lambda model: generate("To be", model),  # type: ignore[arg-type]
        lambda model: windows_of("To be, or not", 2),  # type: ignore[arg-type]
        lambda model: held_out_windows(256, tokenizer()),  # type: ignore[arg-type]
        lambda model: evaluate_production_metrics(WINDOWS, model),  # type: ignore[arg-type]
        lambda model: sensitivity.scan(WINDOWS, model, {}),  # type: ignore[arg-type]
        lambda model: Run(Recipe(steps=1), model),  # type: ignore[arg-type]
        lambda model: Run(model, Schedule(0.5, steps=1)),  # type: ignore[arg-type]
        lambda model: masks_of_zeros("mine"),  # type: ignore[arg-type]
        lambda model: remove_silenced(WINDOWS),  # type: ignore[arg-type]
        lambda model: KeepMasks(model),  # type: ignore[arg-type]
        lambda model: MaskKeeper(model, torch.optim.SGD(model.parameters()), {}),  # type: ignore[arg-type]
        lambda model: MaskKeeper(model, {}, [torch.optim.SGD(model.parameters())]),  # type: ignore[arg-type]
    ],
)
def test_swapped_arguments_are_told(swapped: Any) -> None:
    with pytest.raises(TypeError, match=r"needed; got a|is the order"):
        swapped(random_model())
