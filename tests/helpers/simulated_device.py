"""A simulated second device: its tensors can't be mixed with those of the CPU.

Numbers are real (they lie on the CPU), so whole functions run, and what they give can be compared. As on Apple's
MPS there is no float64. They call themselves "meta" since PyTorch asks every other device for a driver.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

ELSEWHERE = torch.device("meta")
MIXES = ("aten::copy_", "aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")
aten: Any = torch.ops.aten


class There(Tensor):
    """A tensor that says it is on ``ELSEWHERE``."""

    inner: Tensor
    is_meta = property(lambda _: False)  # pyright: ignore[reportAssignmentType]  it has numbers

    @staticmethod
    def __new__(cls, inner: Tensor) -> There:
        if inner.dtype == torch.float64:
            raise TypeError("There is no float64 on this device.")
        made: There = torch.Tensor._make_wrapper_subclass(  # pyright: ignore[reportAttributeAccessIssue]
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=ELSEWHERE,
        )
        made.inner = inner
        return made

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"There({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


class SecondDevice(TorchDispatchMode):
    """While it is entered, tensors can be made and moved ``ELSEWHERE``."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


def _run(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    with torch.inference_mode(False), torch.no_grad():  # PyTorch can't make a tensor of inference of a subclass's view
        return _run_on_its_device(function, args, kwargs)


def _run_on_its_device(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    there = [t for t in tensors if isinstance(t, There)]
    here = [t for t in tensors if not isinstance(t, There) and t.dim() > 0]
    if there and here and function._schema.name not in MIXES:
        raise RuntimeError(f"Expected all tensors to be on the same device, but found two devices: {function}.")
    goes_there = bool(there)
    if function._schema.name in MIXES:
        goes_there = isinstance(args[0], There)
    if kwargs.get("device") is not None:
        goes_there = torch.device(kwargs["device"]).type == ELSEWHERE.type
        kwargs = kwargs | {"device": torch.device("cpu")}
    inner_args, inner_kwargs = tree_map(lambda leaf: leaf.inner if isinstance(leaf, There) else leaf, (args, kwargs))
    found = function(*inner_args, **inner_kwargs)
    known = {id(t.inner): t for t in there}

    def wrap(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or not goes_there:
            return leaf
        return known.get(id(leaf)) if id(leaf) in known else There(leaf)

    return tree_map(wrap, found)


def moved(model: nn.Module) -> nn.Module:
    """``model`` with its parameters and buffers ``ELSEWHERE``, in place."""
    new: dict[int, Tensor] = {}
    for module in model.modules():
        for leaf, p in [*module._parameters.items(), *module._buffers.items()]:
            if p is None:
                continue
            if id(p) not in new:
                there = There(p.detach().clone())
                new[id(p)] = nn.Parameter(there, p.requires_grad) if isinstance(p, nn.Parameter) else there
            setattr(module, leaf, new[id(p)])
    return model
