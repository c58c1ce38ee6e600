"""Weights on disk: the bundled model, folders and Hub repositories in Hugging Face's format.

A folder holds ``config.json``, ``model.safetensors`` and a tokenizer. Hugging Face keeps GPT-2's
matrices as ``Conv1D``, (in, out); ours are ``nn.Linear``, (out, in), so they are turned on the way.
The bundled model is stored in the same format: `transformers` can open it too.
"""

# What safetensors and huggingface_hub give has no types, or in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .config import PRESETS, GPT2Config
from .gpt2 import GPT2
from .system.files import replace_whole
from .tokenizer import Tokenizer

BUNDLED = {"gpt2-mini": Path(__file__).parent / "weights" / "gpt2-mini"}
HUB = {name: f"openai-community/{name}" for name in PRESETS} | {"distilgpt2": "distilbert/distilgpt2"}
FILES = ("config.json", "model.safetensors", "tokenizer.json")
TRANSPOSED = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
# Settings of other GPT-2s that would change the numbers; only these values are built in.
BUILT_IN = {
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}


class CheckpointError(Exception):
    """A model can't be loaded; the message says why and what to do."""


def load_pretrained_gpt2(name_or_folder: str | Path = "gpt2-mini") -> GPT2:
    """Load a GPT-2 in float32, in evaluation mode, with its tokenizer as ``model.tokenizer``.

    ``name_or_folder``: ``"gpt2-mini"`` (bundled, no network), a folder in Hugging Face's format,
    one of ``"distilgpt2"``, ``"gpt2"``, ``"gpt2-medium"``, ``"gpt2-large"``, ``"gpt2-xl"``, or a Hub
    repository ``"owner/name"`` (downloaded once, then read from the cache).

    ``model, tokenizer = load_pretrained_gpt2()`` works as well as ``model = ...``.

    Raises CheckpointError when the model can't be had: unknown name, no network, a file that is
    missing, truncated or of another model.
    """
    return load_folder(_folder_of(name_or_folder))


def load_folder(folder: str | Path) -> GPT2:
    """Load a GPT-2 from a folder in Hugging Face's format; see `load_pretrained_gpt2`."""
    folder = Path(folder)
    for file in ("config.json", "model.safetensors"):
        if not (folder / file).is_file():
            raise CheckpointError(f"{folder} has no {file}. A model's folder needs {', '.join(FILES)}.")
    config = _read_config(folder / "config.json")
    with torch.device("meta"):
        model = GPT2(config)
    _fill(model, folder / "model.safetensors")
    try:
        model.tokenizer = Tokenizer.load(folder)
    except Exception as error:  # `tokenizers` raises bare Exception for a broken file
        raise CheckpointError(f"Can't read the tokenizer in {folder}: {error}") from error
    if len(model.tokenizer) > config.vocab_size:
        raise CheckpointError(
            f"The tokenizer in {folder} has {len(model.tokenizer)} tokens, the model only {config.vocab_size}: "
            "they don't belong together."
        )
    return model.eval()


def save_pretrained(model: GPT2, folder: str | Path, dtype: torch.dtype = torch.float32) -> None:
    """Write ``model`` to ``folder`` in Hugging Face's format, each file whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (p.t() if name.endswith(TRANSPOSED) else p).detach().to(dtype).contiguous()
        for name, p in model.named_parameters()
    }
    replace_whole(folder / "model.safetensors", lambda path: save_file(tensors, path, metadata={"format": "pt"}))
    config = json.dumps(_config_json(model.config), indent=2) + "\n"
    replace_whole(folder / "config.json", lambda path: path.write_text(config, encoding="utf-8", newline="\n"))
    if model.tokenizer is not None:
        replace_whole(folder / "tokenizer.json", model.tokenizer.save)


def _folder_of(name: str | Path) -> Path:
    if isinstance(name, str) and name in BUNDLED:
        return BUNDLED[name]
    if Path(name).is_dir():
        return Path(name)
    repository = HUB.get(str(name), str(name))
    if repository.count("/") != 1 or repository.startswith((".", "/", "~")):
        raise CheckpointError(
            f"No model named {str(name)!r}, and no such folder. Names: {', '.join([*BUNDLED, *HUB])}; "
            "or give a folder, or a Hub repository as 'owner/name'."
        )
    return _download(repository)


def _download(repository: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
    except ImportError as error:
        raise CheckpointError(
            f"There is no folder {repository!r}, and looking for it on the Hugging Face Hub needs the package "
            "huggingface_hub: pip install 'gpt2-pruning-course[hub]'. The bundled model needs neither: "
            "load_pretrained_gpt2()."
        ) from error
    try:
        return Path(snapshot_download(repository, allow_patterns=[*FILES, "vocab.json", "merges.txt"]))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise CheckpointError(
            f"There is no folder {repository!r}, and the Hugging Face Hub has no public model of that name: "
            "check its spelling."
        ) from error
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"Can't reach the Hugging Face Hub for {repository}, and it is not in the local cache. "
            "Check the network and try again, or use the bundled model: load_pretrained_gpt2()."
        ) from error
    except HfHubHTTPError as error:
        raise CheckpointError(
            f"The Hugging Face Hub refused {repository}: {str(error).splitlines()[0]}. With 401 or 403 the model is "
            "private, or the token saved on this machine is wrong (hf auth logout); else try again later, or use "
            "the bundled model: load_pretrained_gpt2()."
        ) from error
    except Exception as error:  # of the system, or of the client's own HTTP library
        raise CheckpointError(
            f"Downloading {repository} broke off: {error}. Check the network and the space on the disk, and try "
            "again (what is there is kept), or use the bundled model: load_pretrained_gpt2()."
        ) from error


def _read_config(path: Path) -> GPT2Config:
    try:
        c = json.loads(path.read_text(encoding="utf-8"))
        if c.get("model_type") != "gpt2":
            raise CheckpointError(f"{path} describes a {c.get('model_type')!r} model; only 'gpt2' can be loaded.")
        for key, value in BUILT_IN.items():
            if c.get(key, value) != value:
                raise CheckpointError(
                    f"{path} sets {key} to {c[key]!r}; only models with {value!r} can be loaded: choose another."
                )
        neurons = c.get("n_inner") or 4 * c["n_embd"]
        return GPT2Config(
            vocab_size=c["vocab_size"],
            n_positions=c["n_positions"],
            n_embd=c["n_embd"],
            n_layer=c["n_layer"],
            n_head=c["n_head"],
            heads=tuple(c.get("heads", ())),
            neurons=tuple(c.get("neurons", ())) or (neurons,) * c["n_layer"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is no GPT-2 configuration: {error!r}. Download or copy the model's folder again."
        ) from error


def _config_json(config: GPT2Config) -> dict[str, Any]:
    c: dict[str, Any] = {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": None,
        "vocab_size": config.vocab_size,
        "n_positions": config.n_positions,
        "n_embd": config.n_embd,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_inner": config.neurons[0] if len(set(config.neurons)) == 1 else None,
    }
    if set(config.heads) != {config.n_head} or len(set(config.neurons)) > 1:
        c |= {"heads": config.heads, "neurons": config.neurons}  # ours: blocks of different sizes
    return c


def _fill(model: GPT2, path: Path) -> None:
    """Read the weights into ``model`` (on the meta device), one tensor at a time, largest first.

    safetensors maps the file, and mapped pages count as memory until it is closed. Opened anew for
    each tensor, the peak is the model plus one small tensor instead of twice the model.
    """
    wanted = dict(model.named_parameters())
    try:
        with safe_open(path, "pt") as file:
            stored = {name.removeprefix("transformer."): name for name in file.keys()}  # noqa: SIM118
        missing = sorted(set(wanted) - set(stored))
        if missing:
            raise CheckpointError(
                f"{path} lacks {len(missing)} of the {len(wanted)} tensors of this GPT-2, such as {missing[0]!r}: "
                "it belongs to another model, or config.json does."
            )
        for name in sorted(wanted, key=lambda name: -wanted[name].numel()):
            with safe_open(path, "pt") as file:
                tensor: Tensor = file.get_tensor(stored[name])
                if name.endswith(TRANSPOSED):
                    tensor = tensor.t()
                if tensor.shape != wanted[name].shape:
                    raise CheckpointError(
                        f"{path}: {name} has shape {tuple(tensor.shape)}, "
                        f"config.json asks for {tuple(wanted[name].shape)}."
                    )
                assign(model, name, torch.empty(tensor.shape).copy_(tensor))
                del tensor
            if name == "wte.weight" and "lm_head.weight" in stored:
                _check_tied(model, path, stored["lm_head.weight"])
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"Can't read {path}: {error}. Is it cut short? Delete it and download or copy it again."
        ) from error


def _check_tied(model: GPT2, path: Path, name: str) -> None:
    with safe_open(path, "pt") as file:
        if not torch.equal(file.get_tensor(name).float(), model.wte.weight):
            raise CheckpointError(
                f"{path} has a head ({name}) of its own, different from the token embedding. Only a GPT-2 whose head "
                "is tied to it can be loaded: choose another."
            )


def assign(model: GPT2, name: str, tensor: Tensor) -> None:
    """Make ``tensor`` the parameter ``name`` of a model that was built on the meta device."""
    owner, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(owner), leaf, torch.nn.Parameter(tensor))
