"""The configuration files of a model's folder: config.json, generation_config.json and tokenizer_config.json."""

# What JSON gives has no types.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from ..config import GPT2Config, TextCodec, check_size, special_ids
from ..tokenizer import Tokenizer
from . import modelling
from .errors import CheckpointError

MODEL_TYPE = "gpt2"
TYPES = {MODEL_TYPE, modelling.TYPE}  # an earlier version called both the first
HEADS = {"GPT2LMHeadModel", "GPT2Model", modelling.NAME}  # classes whose language model this one is
# Settings of other GPT-2s that would change the numbers; only these values are built in.
BUILT_IN = {
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}
# The same function: GELU's approximation by tanh, which transformers has five times.
GELU = {"gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate"}
OTHER_NAMES = {  # transformers takes either
    "n_embd": ("hidden_size",),
    "n_layer": ("num_hidden_layers",),
    "n_head": ("num_attention_heads",),
    "n_positions": ("max_position_embeddings", "n_ctx"),
}
DROPOUTS = {"dropout": "resid_pdrop", "embedding_dropout": "embd_pdrop", "attention_dropout": "attn_pdrop"}
DROPOUT = 0.1  # of a GPT-2 whose config.json doesn't say, in transformers
WEIGHTS = {".safetensors", ".bin", ".h5", ".msgpack", ".gguf"}  # model files of any program
IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
# What `config_json` writes itself, or what is not so any more once the model was loaded.
OWN = {
    *("model_type", "architectures", "auto_map", "tie_word_embeddings", "vocab_size", "n_inner", "heads", "neurons"),
    *("pruned_heads", "dtype", "torch_dtype", "transformers_version", "_name_or_path"),
    *(BUILT_IN.keys() | OTHER_NAMES.keys() | set(IDS) | set(DROPOUTS.values())),
    *(name for names in OTHER_NAMES.values() for name in names),
}


def read_config(folder: Path) -> GPT2Config:
    """Return the model's sizes and special token ids. Raises CheckpointError for another kind of model."""
    first = folder / "generation_config.json"
    generation = _object(first) if first.is_file() else {}
    return config_of(_object(folder / "config.json"), folder / "config.json", generation)


def has_own_head(folder: Path) -> bool:
    """Return whether config.json says that the head is not the token embedding."""
    return _object(folder / "config.json").get("tie_word_embeddings") is False


def _object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file. Raises CheckpointError."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"it holds {type(found).__name__}, and an object is needed")
    except (OSError, ValueError, RecursionError) as error:
        raise _broken(path, error) from error
    return cast("dict[str, Any]", found)


def _broken(where: Path | str, error: Exception) -> CheckpointError:
    return CheckpointError(f"{where} is no GPT-2 configuration: {error!r}. Download or copy the model's folder again.")


def config_of(c: dict[str, Any], where: Path | str, generation: dict[str, Any]) -> GPT2Config:
    """Return the configuration in a parsed config.json and generation_config.json; messages name ``where``."""
    try:
        if c.get("model_type") not in TYPES:
            raise CheckpointError(f"{where} describes a {c.get('model_type')!r} model; only 'gpt2' can be loaded.")
        _check_built_in(where, c)
        for name, others in OTHER_NAMES.items():
            for other in others:
                if other in c:
                    c.setdefault(name, c[other])
        for name in OTHER_NAMES:
            check_size(name, c[name])
        neurons = c.get("n_inner") or 4 * c["n_embd"]
        return GPT2Config(
            vocab_size=c["vocab_size"],
            n_positions=c["n_positions"],
            n_embd=c["n_embd"],
            n_layer=c["n_layer"],
            n_head=c["n_head"],
            heads=tuple(c.get("heads", ())) or _heads_left(c),
            neurons=tuple(c.get("neurons", ())) or (neurons,) * c["n_layer"],
            **_ids(generation, c),
            **_dropouts(c),
            others={name: value for name, value in c.items() if name not in OWN},
            generation=generation,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _broken(where, error) from error


def _check_built_in(where: Path | str, c: dict[str, Any]) -> None:
    for key, value in BUILT_IN.items():
        found = c.get(key, value)
        if found != value and not (key == "activation_function" and found in GELU):
            raise CheckpointError(
                f"{where} sets {key} to {found!r}; only models with {value!r} can be loaded: take one that has it."
            )


def _dropouts(c: dict[str, Any]) -> dict[str, Any]:
    """Return the rates of dropout by their names in `GPT2Config`, without those that equal the first."""
    found = {ours: c.get(theirs, DROPOUT) for ours, theirs in DROPOUTS.items()}
    return {name: rate for name, rate in found.items() if name == "dropout" or rate != found["dropout"]}


def _heads_left(c: dict[str, Any]) -> tuple[int, ...]:
    """Return the number of heads of each block, without those in the ``pruned_heads`` of transformers 4."""
    gone = cast("dict[str, list[int]]", c.get("pruned_heads") or {})
    return tuple(c["n_head"] - len(gone.get(str(block), ())) for block in range(c["n_layer"]))


def _ids(first: dict[str, Any], c: dict[str, Any]) -> dict[str, Any]:
    """Return the special ids inside the vocabulary. generation_config.json goes first, as in transformers.

    A text may have several ends; the first is the usual one.
    """
    found: dict[str, Any] = {}
    for name in IDS:
        for value in (first.get(name), c.get(name)):
            listed = cast("list[Any]", value) if isinstance(value, list) else [value]
            numbers = [number for number in listed if type(number) is int and 0 <= number < c["vocab_size"]]
            if numbers and name not in found:
                found[name] = numbers[0]
                if name == "eos_token_id":
                    found["other_ends"] = tuple(numbers[1:])
    return found


def config_json(config: GPT2Config, tokenizer: TextCodec | None) -> dict[str, Any]:
    """Return the content of config.json."""
    c: dict[str, Any] = {
        **config.others,
        "model_type": MODEL_TYPE,
        "architectures": ["GPT2LMHeadModel"],
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "tie_word_embeddings": True,
        **{name: number for name, number in special_ids(config, tokenizer).items() if name != "pad_token_id"},
        "vocab_size": config.vocab_size,
        "n_positions": config.n_positions,
        "n_ctx": config.n_positions,  # the same; llama.cpp's converter looks for this one
        "n_embd": config.n_embd,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_inner": config.neurons[0] if len(set(config.neurons)) == 1 else None,
        **dict(zip(DROPOUTS.values(), config.dropouts, strict=True)),
    }
    if config.other_ends:
        c["eos_token_id"] = [c["eos_token_id"], *config.other_ends]
    if (pad := special_ids(config, tokenizer)["pad_token_id"]) is not None:
        c["pad_token_id"] = pad
    if set(config.heads) != {config.n_head} or len(set(config.neurons)) > 1:
        c |= {"heads": config.heads, "neurons": config.neurons, **modelling.SETTINGS}  # blocks of different sizes
    return c


def generation_json(config: GPT2Config, described: dict[str, Any]) -> dict[str, Any]:
    """Return the content of generation_config.json, with the special ids of ``described``, config.json; {} for none."""
    ids = {name: described[name] for name in IDS if described.get(name) is not None}
    return config.generation | ids if config.generation else {}


def tokenizer_json(config: GPT2Config, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the content of tokenizer_config.json.

    AutoTokenizer reads tokenizer.json as it is only if told this class; else it takes GPT-2's and adds <|endoftext|>
    to a vocabulary that lacks it. It would tidy spaces and, in transformers 4, give token_type_ids, which GPT-2 adds
    to the text as embeddings.
    """
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config.n_positions,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        **tokenizer.special,
    }


def refuse_another_model(folder: Path) -> None:
    """Raise CheckpointError if ``folder`` holds anything but a GPT-2 that `save_pretrained` could replace."""
    found: Any = None
    if adapters := sorted((file.name for file in folder.glob("adapter_*")), reverse=True):
        kind = f"{adapters[0]}, an adapter, which PEFT would put on the new model"
    elif (folder / "config.json").exists():
        try:
            found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            classes = set(found.get("architectures") or HEADS)
            if found.get("model_type") in TYPES and classes & HEADS:
                return
            kind = f"a {found.get('model_type')!r} model ({', '.join(sorted(classes - HEADS)) or 'of no class'})"
        except (ValueError, AttributeError, TypeError):
            kind = "a config.json that describes no model"
    elif weights := sorted(file.name for file in folder.glob("*") if file.suffix in WEIGHTS):
        kind = f"{weights[0]}, and no config.json that says what it is"
    else:
        return
    raise CheckpointError(f"{folder} holds {kind}: it is left as it is. Save to a new folder, or empty this one first.")
