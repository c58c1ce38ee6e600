"""The matrices of a model that can be pruned, by name.

In this library's `GPT2`, and in transformers' GPT-2: the weights of every block's attention (``c_attn``,
``c_proj``) and feed-forward part (``c_fc``, ``c_proj``). In any other ``nn.Module``, such as transformers'
Llama: the weights of its ``nn.Linear`` layers. Never biases, norms and embeddings, nor the head that a model
of transformers predicts its tokens with, tied to the embedding or not: Wanda and SparseGPT leave it whole too.

Adapters (modules beside a ``base_layer``, and those called ``lora_...`` or ``adapter...``) are not pruned;
the layer that they adapt is. Layers whose weight is computed from other tensors at each pass
(torch.nn.utils.prune, parametrize, weight_norm) are refused by name: zeros written to it would be lost. So are
hand-made adapters, as far as they can be told.

An ``nn.Linear`` stores its weight as (out, in), transformers' ``Conv1D`` as (in, out). A mask has the shape of
its parameter; what depends on the inputs (`matrices`) is always (out, in).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from ..gpt2 import GPT2
from ..modules import unwrap, way_to_a_parameter

ADAPTER = re.compile(r"(^|\.)(lora_|adapter)")
ATTENTION = {"attn", "self_attn"}  # of GPT-2, of Llama and most others
FEEDFORWARD = {"mlp"}
GPT2_LAYER = re.compile(r"(?:transformer\.)?(h\.\d+\.(?:attn|mlp)\.(?:c_attn|c_proj|c_fc))\.(.+)")
KNOWN_WRAPPERS = {"_orig_mod", "module", "base_layer"}  # torch.compile's, DataParallel's, PEFT's
INNER = {"base", "original", "orig", "linear", "wrapped"}  # what a hand-made adapter calls the layer that it adapts
GPT2_BLOCK = re.compile(r"(?:transformer\.)?h\.\d+")  # ours; transformers' with a head and without


def prunable_weights(model: nn.Module, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Return {parameter name: parameter} of all prunable matrices, in the model's order, or of ``names`` only.

    A shared matrix counts once. Raises ValueError, with the layer's name and what to do, for a weight that is
    computed from others and for one that is quantised, and for a name that isn't a prunable matrix's.
    """
    return {name: cast("Tensor", layer.weight) for name, layer in prunable_layers(model, names).items()}


def attention_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return {parameter name: parameter} of all attention matrices. Raises ValueError if they are not known."""
    return _part(model, ATTENTION)


def feedforward_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return {parameter name: parameter} of all feed-forward matrices. Raises ValueError if not known."""
    return _part(model, FEEDFORWARD)


def has_parts(model: nn.Module) -> bool:
    """Return whether the attention and feed-forward matrices of ``model`` are known."""
    words: set[str] = set().union(*(name.split(".") for name in prunable_layers(model)))
    return bool(words & ATTENTION) and bool(words & FEEDFORWARD)


def _part(model: nn.Module, words: set[str]) -> dict[str, Tensor]:
    if not has_parts(model):
        raise ValueError(
            f"A {type(unwrap(model)).__name__} has no attention and feed-forward parts that are known here; prune it "
            "with prune_layers or prune_globally."
        )
    return {name: w for name, w in prunable_weights(model).items() if words & set(name.split("."))}


def matrices(model: nn.Module, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Return the weights of `prunable_weights`, each as (out, in): a view where the layer stores the transpose."""
    return {name: matrix(layer) for name, layer in prunable_layers(model, names).items()}


def as_stored(model: nn.Module, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return masks of matrices (out, in) in the shapes of their parameters."""
    layers = prunable_layers(model)
    turned = {name for name, layer in layers.items() if is_conv1d(layer)}
    return {name: mask.t().contiguous() if name in turned else mask for name, mask in masks.items()}


def prunable_layers(model: nn.Module, names: Iterable[str] | None = None) -> dict[str, nn.Module]:
    """Return {name of a weight: the nn.Linear or Conv1D that owns it}, as in `prunable_weights`."""
    model = unwrap(model)
    whole, adapters = _whole(model), _adapters(model)
    _check_no_own_adapter(model, adapters)
    found: dict[str, nn.Module] = {}
    for owner, layer in _named_modules(model).items():
        adapter = ADAPTER.search(owner) or owner.startswith(adapters)
        of_a_block = owner.startswith("h.") or not isinstance(model, GPT2)
        if callable(getattr(layer, "weight", None)):  # of torch.ao's quantised layers it is a method
            raise ValueError(f"The layer {owner!r} is quantised, and would be left out: prune before you quantise.")
        if is_matrix_layer(layer) and of_a_block and not adapter:
            check_plain(owner, layer)
            if id(layer.weight) not in whole:
                found[f"{owner}.weight".lstrip(".")] = layer  # a bare nn.Linear has no name
    order = [name for name, _ in model.named_parameters() if name in found]
    wanted = order if names is None else list(names)
    unknown = [name for name in wanted if name not in order]
    if unknown:
        raise no_such_layer(unknown[0], order)
    return {name: found[name] for name in wanted}


def no_such_layer(name: object, names: Sequence[str]) -> ValueError:
    """Return the error for a name, or a glob, that none of the prunable layers ``names`` has."""
    nearest = difflib.get_close_matches(str(name), names, cutoff=0.0)
    return ValueError(
        f"No prunable layer is called {name!r}. The nearest of the {len(names)} that there are: {', '.join(nearest)}; "
        "gpt2_lib.pruning.pruner.prunable_weights(model) has them all."
    )


def some_of(names: Sequence[str], most: int = 3) -> str:
    """Return ``names`` for a message: all of a few, or the first ones and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def is_matrix_layer(module: nn.Module) -> bool:
    """Return whether ``module`` is an nn.Linear or transformers' Conv1D."""
    return isinstance(module, nn.Linear) or is_conv1d(module)


def is_conv1d(module: nn.Module) -> bool:
    """Return whether ``module`` is transformers' Conv1D, with a weight (in, out); transformers is not imported."""
    return any(c.__name__ == "Conv1D" and c.__module__.startswith("transformers.") for c in type(module).__mro__)


def matrix(layer: nn.Module) -> Tensor:
    """Return a layer's weight as (out, in): itself or a view."""
    weight = cast("Tensor", layer.weight)
    return weight.detach().t() if is_conv1d(layer) else weight


def check_plain(owner: str, layer: nn.Module) -> None:
    """Raise ValueError, with advice, unless the layer's weight and bias are plain floating point parameters."""
    tensors: dict[str, Any] = layer._parameters
    kind = f"The layer {owner!r}" if owner else "The layer"
    for leaf in ("weight", "bias"):
        if leaf in tensors:
            continue
        way = way_to_a_parameter(layer, leaf) or "a layer with parameters of its own in its place"
        raise ValueError(
            f"{kind} computes its {leaf} from other tensors at each pass, so that zeros written to it would be lost. "
            f"Make it a parameter first: {way}."
        )
    if not cast("Tensor", layer.weight).is_floating_point():
        raise ValueError(f"{kind} has weights of {layer.weight.dtype}: prune the model before it is quantised.")


def check_has_data(model: nn.Module) -> None:
    """Raise ValueError for a model on the meta device, where tensors have shapes but no values."""
    for name, p in unwrap(model).named_parameters():
        if p.is_meta:
            raise ValueError(
                f"{name} is on the meta device: it has a shape, but no numbers. Load the model's weights first, for "
                "example with load_pretrained_gpt2."
            )


def as_gpt2(model: nn.Module) -> GPT2:
    """Return the GPT2 inside ``model``'s wrappers, for code that needs its heads and neurons. Raises ValueError."""
    inner = unwrap(model)
    if not isinstance(inner, GPT2):
        raise ValueError(
            f"A {type(inner).__name__} has no attention and feed-forward parts whose heads and neurons are known here: "
            "if it is a GPT-2, convert it with from_transformers or load its folder with load_pretrained_gpt2; else "
            "prune it weight by weight."
        )
    return inner


def gpt2_block(model: nn.Module, name: str) -> str | None:
    """Return the transformer block, such as ``h.3``, of a weight of a GPT-2 (ours or transformers'), else None."""
    inner = unwrap(model)
    known = isinstance(inner, GPT2) or type(inner).__module__.startswith("transformers.models.gpt2.")
    found = GPT2_BLOCK.match(name)
    return found[0] if known and found else None


def _whole(model: nn.Module) -> set[int]:
    """Return the ids of the parameters that are never pruned: those of embeddings and of the head."""
    kept = [module for module in _named_modules(model).values() if isinstance(module, nn.Embedding)]
    head = getattr(model, "get_output_embeddings", None)  # a method of transformers' models
    kept += [module for module in [head() if callable(head) else None] if isinstance(module, nn.Module)]
    return {id(p) for module in kept for p in module.parameters(recurse=False)}


def _check_no_own_adapter(model: nn.Module, adapters: tuple[str, ...]) -> None:
    """Raise ValueError for a hand-made adapter: a module that adds the product of two small matrices to a layer's own.

    In a GPT-2 it is found by its place, elsewhere by the name of the layer inside and the shapes beside it.
    """
    modules = _named_modules(model)
    for owner, layer in modules.items():
        if not is_matrix_layer(layer) or ADAPTER.search(owner) or owner.startswith(adapters):
            continue
        inside = GPT2_LAYER.match(owner)
        if inside and set(inside[2].split(".")) - KNOWN_WRAPPERS:
            raise _own_adapter(inside[1], inside[2])
        above, _, name = owner.rpartition(".")
        if name in INNER and _is_low_rank_beside(matrix(layer), modules[above], layer):
            raise _own_adapter(above, name)


def _own_adapter(owner: str, inside: str) -> ValueError:
    return ValueError(
        f"{owner or 'The model'} is not one layer: it computes with {inside} and other weights, so that zeros in each "
        "would not be zeros of their sum. Merge them into one nn.Linear first, or train the adapter after pruning."
    )


def _is_low_rank_beside(weight: Tensor, wrapper: nn.Module, layer: nn.Module) -> bool:
    """Return whether ``wrapper`` also holds two matrices (r, in) and (out, r) with a small r, in any orientation."""
    out, given = weight.shape
    others = [p for p in wrapper.parameters() if p.dim() == 2 and p is not layer.weight]
    ranks = [{size for size in p.shape if size < min(out, given)} for p in others]
    of_input = [rank for p, rank in zip(others, ranks, strict=True) if given in p.shape]
    of_output = [rank for p, rank in zip(others, ranks, strict=True) if out in p.shape]
    return len(others) > 1 and any(a & b for a in of_input for b in of_output)


def _adapters(model: nn.Module) -> tuple[str, ...]:
    """Return the prefixes of adapters' module names: all modules beside a ``base_layer``."""
    return tuple(
        f"{name}.{child}".lstrip(".")
        for name, module in _named_modules(model).items()
        if "base_layer" in module._modules
        for child in module._modules
        if child != "base_layer"
    )


def _named_modules(model: nn.Module) -> dict[str, nn.Module]:
    return dict(model.named_modules())  # pyright: ignore[reportUnknownArgumentType]  torch gives no type
