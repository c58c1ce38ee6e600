"""Models on disk: the bundled model, and folders and Hub repositories in Hugging Face's format.

A folder holds ``config.json``, ``model.safetensors`` and a tokenizer. Hugging Face keeps GPT-2's
matrices as ``Conv1D``, (in, out); ours are ``nn.Linear``, (out, in), so they are turned on the way.
The bundled model is stored in the same format: `transformers` can open it too.

The files of this folder may import those of the model that stand above checkpoints in the order of reading.
"""

# What safetensors gives has no types, or in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, overload

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from .. import tokenizer as tokenizers
from ..config import PRESETS, GPT2Config, special_ids
from ..files import finish_replacing, replace_together
from ..gpt2 import GPT2
from ..tokenizer import Tokenizer, storable
from . import modelling
from .description import config_json, generation_json, read_config, refuse_another_model, tokenizer_json
from .errors import CheckpointError, SaveError, not_written
from .hub import BUNDLED, HUB, folder_of
from .in_memory import from_transformers
from .loaded import LoadedGPT2, Published
from .plain import plain_parameters
from .precision import check_fits, dtype_of, half_of, name_of
from .weights import INDEX, ONE, TRANSPOSED, assign, fill, other_weights

__all__ = [
    "BUNDLED",
    "HUB",
    "PRESETS",
    "TRANSPOSED",
    "CheckpointError",
    "SaveError",
    "assign",
    "config_json",
    "from_transformers",
    "generation_json",
    "load_folder",
    "load_pretrained_gpt2",
    "not_written",
    "plain_parameters",
    "save_pretrained",
]

FILES = ("config.json", ONE, "tokenizer.json")
# What saving takes away: files of the model that was there, which would be mixed with the new one.
OF_A_MODEL = (
    *("config.json", "generation_config.json", modelling.FILE, ONE, INDEX, "model-*-of-*.safetensors"),
    *("pytorch_model*.bin", "pytorch_model*.bin.index.json", "tf_model*.h5", "flax_model*.msgpack"),
    *tokenizers.FILES,
    *("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.txt", "chat_template.jinja*"),
)


@overload
def load_pretrained_gpt2(name_or_folder: Published = "gpt2-mini") -> LoadedGPT2[Tokenizer]: ...
@overload
def load_pretrained_gpt2(name_or_folder: str | Path) -> LoadedGPT2[Tokenizer | None]: ...
def load_pretrained_gpt2(name_or_folder: str | Path = "gpt2-mini") -> LoadedGPT2[Any]:
    """Load a GPT-2 in float32, in evaluation mode, with its tokenizer as ``model.tokenizer``.

    ``name_or_folder``: ``"gpt2-mini"`` (bundled, no network), a folder in Hugging Face's format,
    one of ``"distilgpt2"``, ``"gpt2"``, ``"gpt2-medium"``, ``"gpt2-large"``, ``"gpt2-xl"``, or a Hub
    repository ``"owner/name"`` (downloaded once, then read from the cache). A Path is always a folder.

    ``model, tokenizer = load_pretrained_gpt2()`` works as well as ``model = ...``. A folder without a
    tokenizer gives None. ``model.config.dtype`` is the half precision of the folder's weights, if all have it.

    Raises CheckpointError when the model can't be had: unknown name, no network, a file that is
    missing, truncated or of another model.
    """
    return cast("LoadedGPT2[Any]", load_folder(folder_of(name_or_folder)))


def load_folder(folder: str | Path) -> GPT2:
    """Load a GPT-2 from a folder in Hugging Face's format; see `load_pretrained_gpt2`."""
    folder = Path(folder)
    try:
        finish_replacing(folder, OF_A_MODEL)  # a save that was killed
    except OSError as error:
        raise not_written(folder, error) from error
    for names in (("config.json",), (ONE, INDEX)):
        if not any((folder / name).is_file() for name in names):
            raise CheckpointError(
                f"{folder} has no {names[0]}. A model's folder needs {', '.join(FILES)}.{other_weights(folder)}"
            )
    config = read_config(folder)
    with torch.device("meta"):
        model = GPT2(config)
    model.config = replace(config, dtype=half_of(fill(model, folder)))
    if any((folder / name).is_file() for name in tokenizers.FILES):
        model.tokenizer = _read_tokenizer(folder, config)
        model.config = replace(model.config, **special_ids(config, model.tokenizer))
    return model.eval()


def _read_tokenizer(folder: Path, config: GPT2Config) -> Tokenizer:
    try:
        found = Tokenizer.load(folder, config.eos_token_id)
    except Exception as error:  # `tokenizers` raises bare Exception for a broken file
        raise CheckpointError(f"Can't read the tokenizer in {folder}: {error}") from error
    if len(found) > config.vocab_size:
        raise CheckpointError(
            f"The tokenizer in {folder} has {len(found)} tokens, the model only {config.vocab_size}: "
            "they don't belong together."
        )
    return found


def save_pretrained(model: nn.Module, folder: str | Path, dtype: torch.dtype | None = None) -> None:
    """Write ``model`` to ``folder`` in Hugging Face's format: all of it, or nothing.

    A model that torch.compile or DataParallel has wrapped is saved without that. What the folder held of an earlier
    GPT-2 is replaced, its tokenizer too; other files stay. ``dtype``: floating-point, of the weights in the file; None:
    float16 or bfloat16 where all have it in memory, else float32. Each weight is rounded once, and a zero stays zero.

    Raises TypeError for another kind of model; ValueError for one that could not be loaded again, or whose weights
    overflow in ``dtype``; CheckpointError where the folder holds another kind of model; SaveError, which is an OSError
    too, where it can't be written. After each of these the folder is unchanged.
    """
    inner, weights = plain_parameters(model)
    save_files(Path(folder), model_files(inner, weights, dtype))


def model_files(
    model: GPT2, weights: dict[str, Tensor], dtype: torch.dtype | None = None
) -> dict[str, Callable[[Path], object]]:
    """Return {file name: function that writes it} for a folder in Hugging Face's format."""
    dtype = dtype_of(half_of(p.dtype for p in weights.values())) if dtype is None else dtype
    if not dtype.is_floating_point:
        raise ValueError(f"Weights are saved as floating-point numbers, as torch.float16; got {dtype}.")
    tensors: dict[str, Tensor] = {}
    memory: set[int] = set()  # safetensors takes no two tensors that share theirs
    for name, p in weights.items():
        stored = _stored(name, p, dtype)
        shared = stored.untyped_storage().nbytes() > stored.numel() * stored.element_size()
        tensors[name] = stored.clone() if shared or stored.data_ptr() in memory else stored
        memory.add(tensors[name].data_ptr())
    tokenizer = None if model.tokenizer is None else storable(model.tokenizer)
    described = {"config.json": config_json(model.config, tokenizer) | {"dtype": name_of(dtype)}}
    if generation := generation_json(model.config, described["config.json"]):
        described["generation_config.json"] = generation
    files: dict[str, Callable[[Path], object]] = {
        ONE: lambda path: save_file(tensors, path, metadata={"format": "pt"}),
    }
    if tokenizer is not None:
        files["tokenizer.json"] = tokenizer.save
        described["tokenizer_config.json"] = tokenizer_json(model.config, tokenizer)
    if "auto_map" in described["config.json"]:
        files[modelling.FILE] = lambda path: path.write_text(modelling.CODE, encoding="utf-8", newline="\n")
    return files | {name: json_file(content) for name, content in described.items()}


def json_file(content: object) -> Callable[[Path], object]:
    """Return a function that writes ``content`` to a file as JSON."""
    text = json.dumps(content, indent=2) + "\n"
    return lambda path: path.write_text(text, encoding="utf-8", newline="\n")


def save_files(folder: Path, files: dict[str, Callable[[Path], object]]) -> None:
    """Write a model's ``files`` to ``folder``; those of an earlier model are replaced (see `save_pretrained`)."""
    try:
        if folder.is_dir():
            finish_replacing(folder, OF_A_MODEL)
            refuse_another_model(folder)
        replace_together(folder, files, OF_A_MODEL)
    except (OSError, SafetensorError) as error:
        raise not_written(folder, error) from error


def _stored(name: str, p: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a parameter in Hugging Face's layout; it may share the model's memory."""
    turned = (p.t() if name.endswith(TRANSPOSED) else p).cpu()
    stored = turned.to(dtype).contiguous()
    check_fits(name, turned, stored)
    return stored
