"""Tests of calibration block by block: each block runs twice, on the inputs of a full pass."""

from __future__ import annotations

import errno
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import TINY, in_transformers, random_ids, random_model
from torch import Tensor, nn

from gpt2_lib import ModelPruner
from gpt2_lib.pruning.calibration import block_by_block, hessians, layer_groups, layers, tensor_store
from gpt2_lib.pruning.calibration.block_inputs import CHAINS, is_chain
from gpt2_lib.pruning.methods import one_shot
from gpt2_lib.pruning.sparsegpt import sparsegpt
from gpt2_lib.pruning.structures.budget import fractions_within
from gpt2_lib.pruning.targets import matrices, prunable_weights
from gpt2_lib.system import progress

DEEP = replace(TINY, n_layer=6, heads=(), neurons=())
WINDOWS = random_ids(TINY, 8, 32)

LLAMA_SHAPE = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
}


def of_transformers(kind: str, **more: Any) -> nn.Module:
    """A random model of transformers' ``kind``, such as llama, with six blocks."""
    import transformers

    shape = {"n_embd": 16, "n_layer": 6, "n_head": 4, "n_positions": 32} if kind == "gpt2" else LLAMA_SHAPE
    config = transformers.CONFIG_MAPPING[kind](**{"vocab_size": TINY.vocab_size, **shape, **more})
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(config).eval()


class Blocks(nn.Module):
    """Six blocks of one linear layer each, which a subclass calls in its own way."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(6))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x).tanh()
        return x


class Skips(Blocks):
    def forward(self, x: Tensor) -> Tensor:
        first = self.blocks[0](x)
        x = first
        for block in list(self.blocks)[1:]:
            x = block(x).tanh() + first
        return x


class Loops(Blocks):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(super().forward(x))


class Backwards(Blocks):
    def forward(self, x: Tensor) -> Tensor:
        for block in reversed(list(self.blocks)):
            x = block(x).tanh()
        return x


class Remembering(nn.Linear):
    """A block that reads what another one left in a list which all of them get."""

    def forward(self, x: Tensor, memory: list[Tensor]) -> Tensor:
        memory.append(x)
        return super().forward(x + memory[max(0, len(memory) - 3)])


class Remembers(Blocks):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Remembering(8, 8) for _ in range(6))

    def forward(self, x: Tensor) -> Tensor:
        memory: list[Tensor] = []
        for block in self.blocks:
            x = block(x, memory).tanh()
        return x


class InPlace(nn.Module):
    """A block that writes over its input, and gives a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> tuple[Tensor, str]:
        return x.add_(self.layer(x)), "more"


class Writes(Blocks):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(InPlace() for _ in range(6))

    def forward(self, x: Tensor) -> Tensor:
        x = x.clone()
        for block in self.blocks:
            x = block(x)[0]
        return x


def sequence() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh())


VECTORS = [torch.randn(10, 8, generator=torch.Generator().manual_seed(k)) for k in range(3)]
MODELS: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "ours": (lambda: random_model(DEEP), WINDOWS),
    "ours, padded": (
        lambda: random_model(DEEP),
        [{"input_ids": WINDOWS, "attention_mask": torch.ones_like(WINDOWS).tril(24)}],
    ),
    "transformers' GPT-2": (lambda: in_transformers(random_model(DEEP)), WINDOWS),
    "transformers' GPT-2 without a head": (lambda: in_transformers(random_model(DEEP)).transformer, WINDOWS),
    "Llama": (lambda: of_transformers("llama"), WINDOWS),
    "Llama, eager attention": (lambda: of_transformers("llama", attn_implementation="eager"), WINDOWS),
    "Mistral with a sliding window": (lambda: of_transformers("mistral", sliding_window=8), WINDOWS),
    "Gemma 3, other masks in other blocks": (
        lambda: of_transformers("gemma3_text", sliding_window=8, head_dim=4, sliding_window_pattern=3),
        WINDOWS,
    ),
    "a chain": (Blocks, VECTORS),
    "a sequence": (sequence, VECTORS),
    "in place": (Writes, VECTORS),
    "skips": (Skips, VECTORS),
    "loops": (Loops, VECTORS),
    "backwards": (Backwards, VECTORS),
    "remembers": (Remembers, VECTORS),
}
NO_CHAIN = {"skips", "loops", "backwards", "remembers"}


@contextmanager
def counted(model: nn.Module) -> Iterator[Counter[str]]:
    """How often each block of ``model`` is called."""
    calls: Counter[str] = Counter()
    blocks = {layers.block_of(model, name) for name in prunable_weights(model)} - {None}
    handles = [
        model.get_submodule(str(block)).register_forward_hook(lambda *_, block=block: calls.update([str(block)]))
        for block in blocks
    ]
    yield calls
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("name", MODELS)
def test_sparsegpt_is_what_a_plain_loop_of_whole_passes_gives(name: str) -> None:
    make, batches = MODELS[name]
    model, by_hand = make(), make()
    names = list(prunable_weights(model))
    ModelPruner(model).prune_sparsegpt(batches, 0.5)
    for group in layer_groups(by_hand, names):
        for key, hessian in hessians(by_hand, batches, group).items():
            weight = matrices(by_hand, [key])[key]
            with torch.no_grad():
                weight.copy_(sparsegpt(weight, hessian, 0.5))
    for key in names:
        torch.testing.assert_close(model.get_parameter(key), by_hand.get_parameter(key), rtol=1e-3, atol=1e-5)


def test_llama_goes_by_blocks_as_gpt2_does() -> None:
    names = list(prunable_weights(of_transformers("llama")))
    groups = layer_groups(of_transformers("llama"), names)
    assert groups == [[n for n in names if f".layers.{k}." in n] for k in range(6)]


PRUNE: dict[str, Callable[[nn.Module], object]] = {
    "Wanda": lambda m: ModelPruner(m).prune_wanda(WINDOWS, 0.5),
    "SparseGPT": lambda m: ModelPruner(m).prune_sparsegpt(WINDOWS, 0.5),
    "SparseGPT, n:m": lambda m: ModelPruner(m).prune_sparsegpt(WINDOWS, n_m=(2, 4)),
}
COUNTED = {
    "ours": lambda: random_model(DEEP),
    "transformers' GPT-2": lambda: in_transformers(random_model(DEEP)),
    "Llama": lambda: of_transformers("llama"),
    "Qwen 2": lambda: of_transformers("qwen2"),
}


@pytest.mark.parametrize("method", PRUNE)
@pytest.mark.parametrize("name", COUNTED)
def test_each_block_is_run_twice_for_each_batch_and_the_last_once(
    name: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "TOKENS_PER_BATCH", 3 * 32)  # three batches
    model = COUNTED[name]()
    with counted(model) as calls:
        PRUNE[method](model)
    assert sorted(calls.values()) == [3, 6, 6, 6, 6, 6]


def test_a_model_that_is_not_known_is_tried_on_one_row() -> None:
    model = of_transformers("gemma3_text", head_dim=4)
    with counted(model) as calls:
        ModelPruner(model).prune_wanda(WINDOWS, 0.5)
    assert sorted(calls.values()) == [3, 4, 4, 4, 4, 4]  # one batch; a plain pass and one of each block alone


def test_admm_runs_each_block_twice_besides_its_gradients() -> None:
    model = random_model(DEEP)
    with counted(model) as calls:
        ModelPruner(model).prune_admm(WINDOWS, 0.5)
    assert sorted(calls.values()) == [9, 10, 10, 10, 10, 10]  # eight windows, one by one, for the gradients


@pytest.mark.parametrize("cut", ["scores", "widths"])
def test_structures_run_each_block_twice(cut: str) -> None:
    model = random_model(DEEP)
    with counted(model) as calls:
        if cut == "scores":
            ModelPruner(model).prune_structures(0.25, 0.25, WINDOWS, refit=False)
        else:
            fractions_within(model, WINDOWS, 0.8)
    assert sorted(calls.values()) == [1, 2, 2, 2, 2, 2]


def test_layers_that_are_left_out_cost_no_passes_more() -> None:
    model = random_model(DEEP)
    with counted(model) as calls:
        ModelPruner(model).prune("wanda", 0.5, text=WINDOWS, names=["h.1.mlp.*", "h.4.attn.*"])
    assert calls == {"h.0": 1, "h.1": 2, "h.2": 1, "h.3": 1, "h.4": 1}


@pytest.mark.parametrize("kind", CHAINS)
def test_the_models_that_are_known_to_be_chains_are(kind: str) -> None:
    model = of_transformers(kind)
    paths = sorted({str(layers.block_of(model, name)) for name in prunable_weights(model)})
    assert len(paths) == 6
    assert is_chain(model, paths, WINDOWS[:1])


@pytest.mark.parametrize("name", ["a chain", "in place", *sorted(NO_CHAIN)])
def test_blocks_that_are_no_chain_are_detected(name: str) -> None:
    model = MODELS[name][0]()
    assert is_chain(model, [f"blocks.{k}" for k in range(6)], VECTORS[0]) is (name not in NO_CHAIN)


def pruned(model: nn.Module) -> dict[str, Tensor]:
    ModelPruner(model).prune_sparsegpt(WINDOWS, 0.5)
    return {name: w.detach() for name, w in prunable_weights(model).items()}


@pytest.mark.parametrize("room", [0, 8 * 32 * 24 * 4], ids=["all in files", "some in files"])
def test_outputs_beyond_the_memory_limit_are_in_files_while_needed(
    room: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(layers, "TOKENS_PER_BATCH", 2 * 32)
    expected = pruned(random_model(DEEP))
    monkeypatch.setattr(tensor_store, "KEPT_BYTES", room / 2)
    monkeypatch.setattr(tensor_store, "KEPT_SHARE", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(one_shot, "restored_on_error", nullcontext)  # its copies would lie there too
    model = random_model(DEEP)
    files = set()
    handle = model.h[3].register_forward_hook(lambda *_: files.update(p.name for p in tmp_path.rglob("*.pt")))
    found = pruned(model)
    handle.remove()
    assert files == ({"0.pt", "1.pt", "2.pt", "3.pt"} if room == 0 else {"2.pt", "3.pt"})
    assert list(tmp_path.iterdir()) == []
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_an_error_puts_the_weights_back_from_files_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_store, "KEPT_BYTES", 3000)
    model, before = random_model(DEEP), random_model(DEEP).state_dict()
    model.h[4].mlp.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ModelPruner(model).prune_sparsegpt(WINDOWS, 0.5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_full_disk_is_told_in_words_and_the_model_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tensor_store, "KEPT_BYTES", 0)
    monkeypatch.setattr(tensor_store, "KEPT_SHARE", 0)
    monkeypatch.setattr("torch.save", full)
    model, before = random_model(DEEP), random_model(DEEP).state_dict()
    with pytest.raises(OSError, match=r"could not be kept in .*is the disk full\? Free some space, or set .* TMPDIR"):
        ModelPruner(model).prune_sparsegpt(WINDOWS, 0.5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_an_error_between_two_blocks_leaves_the_model_with_its_own_blocks() -> None:
    model = random_model(DEEP).train()
    blocks = list(model.h)
    model.h[2].mlp.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        [hessians(model, text, group) for group, text in block_by_block(model, WINDOWS, [*prunable_weights(model)], "")]
    assert all(module.training for module in model.modules())
    assert list(model.h) == blocks
    assert all(not block._forward_hooks for block in blocks)


TITLES = {
    "prune_wanda": "Wanda",
    "prune_sparsegpt": "SparseGPT",
    "prune_admm": "ADMM",
    "prune_taylor": "gradients",
    "prune_structures": "refitting",
}


@pytest.mark.parametrize("verb", TITLES)
def test_a_bar_shows_the_progress(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Impatient(progress.tqdm):
        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **options | {"delay": 0})

    monkeypatch.setattr(progress, "tqdm", Impatient)
    pruner = ModelPruner(random_model())
    if verb == "prune_structures":
        pruner.prune_structures(0.25, 0.25, WINDOWS)
    else:
        getattr(pruner, verb)(WINDOWS, 0.5)
    assert TITLES[verb] in capsys.readouterr().err
