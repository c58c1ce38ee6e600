"""Transfer of a check's models, optimisers and functions to the learner's function, and of their changes back.

Trust is one-way: the check's objects are sent as pickles, since the sandbox trusts the judge. The reply is plain data
only (`wire`): the values of a model's parameters and buffers, an optimiser's state. The judge writes these into its
own objects, so that a check inspects objects and methods that no learner's code has ever touched.
"""

from __future__ import annotations

import importlib
import io
import itertools
import marshal
import pickle
import random
import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
import torch
from IPython import get_ipython
from torch import Tensor, nn
from torch.optim import Optimizer

from .decoder import Decoder
from .encoder import Encoder
from .wire import NotPlainError, Opaque, TheirsError


def pack(values: dict[str, object]) -> bytes:
    """Return values as bytes for the sandbox. Raises NotPlainError for what can't be transferred or tracked."""
    for value in values.values():
        if not isinstance(value, nn.Module | Optimizer) and not callable(value):
            Encoder(strict=True).encode(value)
    data = io.BytesIO()
    try:
        _Pickler(data).dump(values)
    except TheirsError:
        raise
    except Exception as error:
        raise NotPlainError(f"it can't be transferred: {error}") from error
    return data.getvalue()


def unpack(data: bytes) -> dict[str, object]:
    """Return the objects, in the sandbox. Only for data from the judge."""
    return pickle.loads(data)


def get_random() -> bytes:
    """Return the states of the global random number generators."""
    return pickle.dumps((random.getstate(), np.random.get_state(), torch.get_rng_state().numpy()))


def draw() -> None:
    """Draw one number from each generator."""
    random.random()
    np.random.random()
    torch.rand(1)


def set_random(state: bytes) -> None:
    """Set the states of the global random number generators, in the sandbox."""
    python, numpy, pytorch = pickle.loads(state)
    random.setstate(python)
    np.random.set_state(numpy)
    torch.set_rng_state(torch.from_numpy(pytorch.copy()))


class _Pickler(pickle.Pickler):
    def reducer_override(self, thing: object) -> object:
        if isinstance(thing, Opaque):
            raise TheirsError(f"a {type(thing).__name__} came from your code; a check can't use it")
        if isinstance(thing, nn.Parameter):  # PyTorch's own method loses its gradient
            return _parameter, (thing.detach(), thing.requires_grad, thing.grad)
        if type(thing) is Tensor and thing.is_leaf and thing.grad is not None:
            return _leaf, (thing.detach(), thing.grad)
        if isinstance(thing, type) and thing.__module__ == "__main__":  # a locked cell's: the learner has it, too
            return theirs, (thing.__name__,)
        if isinstance(thing, types.ModuleType):
            return importlib.import_module, (thing.__name__,)
        if isinstance(thing, types.FunctionType) and _is_a_checks_own(thing):
            names = {name for code in _nested(thing.__code__) for name in code.co_names}
            known = {name: value for name, value in thing.__globals__.items() if name in names}
            cells = [cell.cell_contents for cell in thing.__closure__ or ()]
            return _function, (marshal.dumps(thing.__code__), known, thing.__name__, thing.__defaults__, cells)
        return NotImplemented


def _is_a_checks_own(function: types.FunctionType) -> bool:
    """Return whether a function can't be imported: it is defined in a check's cell or in another function."""
    return function.__module__ == "__main__" or "<" in function.__qualname__  # <locals>, <lambda>


def _nested(code: types.CodeType) -> list[types.CodeType]:
    inside = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return [code, *(found for inner in inside for found in _nested(inner))]


def _parameter(value: Tensor, trained: bool, slope: Tensor | None) -> nn.Parameter:
    made = nn.Parameter(value, trained)
    made.grad = slope
    return made


def _leaf(value: Tensor, slope: Tensor) -> Tensor:
    value.requires_grad_().grad = slope
    return value


def _function(code: bytes, known: dict, name: str, defaults: tuple | None, cells: list) -> Callable:
    known = {"__name__": "check", "__builtins__": __builtins__, **known}
    return types.FunctionType(marshal.loads(code), known, name, defaults, tuple(map(types.CellType, cells)))


def theirs(name: str) -> Callable:
    """Return the learner's own function of this name, in the sandbox."""
    return get_ipython().user_ns[name]


class Watched:
    """The objects of a call before it, in the sandbox, for finding what it changed."""

    def __init__(self, values: dict[str, object]) -> None:
        self._values = values
        self._before = {n: dict(v.named_parameters()) for n, v in values.items() if isinstance(v, nn.Module)}

    def place_of(self, result: object) -> str | None:
        """Return which of the objects the function returned; None for one that can be read only once."""
        found = (name for name, value in self._values.items() if value is result)
        return None if isinstance(result, Iterator) else next(found, None)

    def after(self, encoder: Encoder) -> dict[str, list]:
        """Return {name: its current state} as plain data."""
        return {name: self._now(name, value, encoder) for name, value in self._values.items()}

    def _now(self, name: str, value: object, encoder: Encoder) -> list:
        if isinstance(value, nn.Module):
            before = self._before[name]
            parameters = {
                n: (before.get(n) is p, p.detach(), p.requires_grad, p.grad) for n, p in value.named_parameters()
            }
            buffers = {n: b.detach() for n, b in value.named_buffers()}
            return ["module", encoder.encode((parameters, buffers, value.training))]
        if isinstance(value, Optimizer):
            weights = [(p.detach(), p.grad) for group in value.param_groups for p in group["params"]]
            return ["optimizer", encoder.encode((value.state_dict(), weights))]
        return ["value", encoder.encode((value, [tensor.grad for tensor in _leaves(value)]))]


def restore(ours: object, told: list, decoder: Decoder) -> None:
    """Apply the reported changes to ``ours``."""
    kind, coded = told
    theirs = decoder.decode(coded)
    if isinstance(ours, nn.Module) and kind == "module":
        _restore_module(ours, *cast(tuple, theirs))
    elif isinstance(ours, Optimizer) and kind == "optimizer":
        _restore_optimizer(ours, *cast(tuple, theirs))
    elif kind == "value":
        value, slopes = cast(tuple, theirs)
        take_over(ours, value)
        mine = list(_leaves(ours))
        for tensor, slope in zip(mine, slopes if len(slopes) == len(mine) else [], strict=False):
            tensor.grad = slope


def _leaves(value: object) -> Iterator[Tensor]:
    """Yield the tensors in plain data that may have a gradient."""
    if isinstance(value, Tensor) and value.requires_grad and value.is_leaf:
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)


def _restore_module(ours: nn.Module, parameters: dict[str, tuple], buffers: dict[str, Tensor], training: bool) -> None:
    mine = dict(ours.named_parameters())
    for name in mine.keys() - parameters.keys():
        owner, _, leaf = name.rpartition(".")
        delattr(ours.get_submodule(owner), leaf)
    for name, (same, value, trained, slope) in parameters.items():
        owner, _, leaf = name.rpartition(".")
        if not same or name not in mine:
            ours.get_submodule(owner).register_parameter(leaf, nn.Parameter(value, bool(trained)))
            mine[name] = ours.get_parameter(name)
        elif mine[name].shape == value.shape and mine[name].dtype == value.dtype:
            mine[name].data.copy_(value)
        else:
            mine[name].data = value
        mine[name].requires_grad_(bool(trained))
        mine[name].grad = slope
    for name, value in buffers.items():
        if name in dict(ours.named_buffers()):
            ours.get_buffer(name).data = value
    if ours.training != bool(training):
        ours.train(bool(training))


def _restore_optimizer(ours: Optimizer, state: dict, weights: list[tuple]) -> None:
    mine = [p for group in ours.param_groups for p in group["params"]]
    for parameter, (value, slope) in zip(mine, weights, strict=True):
        if parameter.shape == value.shape and parameter.dtype == value.dtype:
            parameter.data.copy_(value)
            parameter.grad = slope
    ours.load_state_dict(state)


def take_over(ours: object, theirs: object) -> None:
    """Change ``ours``, plain data as it was sent, to what the function left of it."""
    with torch.no_grad():
        if isinstance(ours, Tensor) and isinstance(theirs, Tensor):
            if ours.shape == theirs.shape and ours.dtype == theirs.dtype and not torch.equal(ours, theirs):
                ours.copy_(theirs)  # other tensors of the check may share this memory
            ours.data = theirs.detach()  # and what came back may share it
        elif isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray):
            if ours.shape == theirs.shape and ours.dtype == theirs.dtype and ours.flags.writeable:
                ours[...] = theirs
        elif isinstance(ours, dict) and isinstance(theirs, dict):
            if list(ours) == list(theirs) and all(type(ours[k]) is type(theirs[k]) for k in ours):
                for key, value in ours.items():
                    take_over(value, theirs[key])
            else:
                ours.clear()
                ours.update(theirs)
        elif isinstance(ours, set) and isinstance(theirs, set):
            ours.clear()
            ours.update(theirs)
        elif isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
            same = [type(mine) is type(new) for mine, new in zip(ours, theirs, strict=False)]
            for mine, new in itertools.compress(zip(ours, theirs, strict=False), same):
                take_over(mine, new)
            if isinstance(ours, list):  # what stays is the check's own object; what can't be changed in place is new
                kept = [
                    mine if stays and _can_change(mine) else new
                    for mine, new, stays in zip(ours, theirs, same, strict=False)
                ]
                ours[:] = [*kept, *theirs[len(kept) :]]
        elif isinstance(ours, deque) and isinstance(theirs, list):
            ours.clear()
            ours.extend(theirs)
        elif isinstance(ours, bytearray) and isinstance(theirs, bytes):
            ours[:] = theirs


def _can_change(value: object) -> bool:
    return isinstance(value, Tensor | np.ndarray | dict | set | list | deque | bytearray | tuple)
