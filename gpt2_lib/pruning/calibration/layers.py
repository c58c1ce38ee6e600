"""The layers to calibrate, their order, and the model's state during calibration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from ...batches import batches_for
from ...modules import unwrap
from ..targets import check_plain, is_matrix_layer

TOKENS_PER_BATCH = 4096


def layer_groups(model: nn.Module, names: Sequence[str]) -> list[list[str]]:
    """Return the order of calibration: each group is calibrated after the earlier ones are pruned.

    A layer is thus fitted to the inputs that it will really get, as in the code of both papers: block by block, where
    blocks are the entries of the model's list of modules, and layer by layer outside of it.
    """
    layers_of(model, names)
    groups: dict[str, list[str]] = {}
    for name, _ in unwrap(model).named_parameters(remove_duplicate=False):
        if name in set(names):
            groups.setdefault(block_of(model, name) or name, []).append(name)
    return list(groups.values())


def block_of(model: nn.Module, name: str) -> str | None:
    """Return the block of a parameter: the entry of the outermost module list, such as ``h.3``; None outside of one."""
    module, path = unwrap(model), ""
    for part in name.split(".")[:-1]:
        is_list = isinstance(module, nn.ModuleList | nn.Sequential)
        path = f"{path}.{part}".lstrip(".")
        if is_list:
            return path
        module = module.get_submodule(part)
    return None


def layers_of(model: nn.Module, names: Sequence[str]) -> dict[str, nn.Module]:
    """Return the nn.Linear or Conv1D that owns each of the weights."""
    model = unwrap(model)
    modules: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    known = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    layers: dict[str, nn.Module] = {}
    for name in names:
        owner, _, leaf = name.rpartition(".")
        layer = modules.get(owner)
        if layer is not None and leaf == "weight" and is_matrix_layer(layer):
            check_plain(owner, layer)
            layers[name] = layer
        elif name in known:
            raise ValueError(f"{name} isn't the weight of an nn.Linear: only those can be calibrated.")
        else:
            raise ValueError(f"The model has no parameter {name!r}.")
    if not layers:
        raise ValueError("No weights are named: there is nothing to calibrate.")
    return layers


def split_batches(model: nn.Module, batches: Iterable[Any]) -> Iterator[Any]:
    """Yield the batches without padding; a single tensor is split into batches."""
    whole = isinstance(batches, Tensor)
    for batch in batches_for(model, batches):
        if whole:
            yield from batch.split(max(1, TOKENS_PER_BATCH // batch[0].numel())) if batch.numel() else ()
        else:
            yield batch


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Set evaluation mode; afterwards every module is back in its earlier mode."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def check_statistics(statistics: Mapping[str, Tensor], what: str) -> None:
    for name, value in statistics.items():
        if not value.isfinite().all():
            raise ValueError(f"The {what} of {name} are NaN or infinite: check the model's weights and the data.")
