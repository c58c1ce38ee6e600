"""Folders of GPT-2s as different programs and versions write them, one function each, without these programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file
from tiny import CONV1D, TINY, random_model, tokenizer, tokenizer_with_end
from torch import Tensor

from gpt2_lib import GPT2, GPT2Config, save_pretrained
from gpt2_lib.config import TextCodec
from gpt2_lib.generate import generate_ids
from gpt2_lib.tokenizer import Tokenizer

SIZES = replace(TINY, n_positions=64)  # 50 new tokens fit
FIRST = [5, 17, 250, 3, 3, 99, 0, 41]  # a prompt
Write = Callable[[Path], GPT2]
MAKES: dict[str, Write] = {}
F = TypeVar("F", bound=Write)


def make(name: str) -> Callable[[F], F]:
    def enter(write: F) -> F:
        MAKES[name] = write
        return write

    return enter


def original(sizes: GPT2Config = SIZES, text: TextCodec | None = None) -> GPT2:
    """The model that is in all folders of these sizes."""
    model = random_model(sizes)
    model.tokenizer = tokenizer() if text is None else text
    return model


def write(folder: Path, model: GPT2, weights: dict[str, Tensor] | None = None, **config: object) -> GPT2:
    """Write ``model`` as this library does, then put in other ``weights`` and entries of config.json; ... is none."""
    save_pretrained(model, folder)
    if weights is not None:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    edit(folder / "config.json", **config)
    return model


def edit(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))


def stored(model: GPT2) -> dict[str, Tensor]:
    """The weights as Hugging Face has them."""
    return {
        name: (p.detach().t() if name.endswith(CONV1D) else p.detach()).contiguous().clone()
        for name, p in model.named_parameters()
    }


def cast_to(dtype: torch.dtype) -> Write:
    def in_this_type(folder: Path) -> GPT2:
        weights = {name: w.to(dtype) for name, w in stored(original()).items()}
        model = original()
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(p.to(dtype))
        return write(folder, model, weights)

    return in_this_type


for dtype in (torch.float16, torch.bfloat16, torch.float64):
    MAKES[str(dtype)] = cast_to(dtype)


@make("as this library writes it")
def plain(folder: Path) -> GPT2:
    return write(folder, original())


@make("with the prefix of transformers, and the head stored too")
def prefixed(folder: Path) -> GPT2:
    weights = {f"transformer.{name}": w for name, w in stored(original()).items()}
    weights["lm_head.weight"] = weights["transformer.wte.weight"].clone()
    return write(folder, original(), weights)


@make("with the causal masks that OpenAI stored, and its config")
def openai(folder: Path) -> GPT2:
    mask = torch.ones(1, 1, SIZES.n_positions, SIZES.n_positions).tril()
    more = {f"h.{i}.attn.bias": mask.clone() for i in range(2)}
    more |= {f"h.{i}.attn.masked_bias": torch.tensor(-1e4) for i in range(2)}
    return write(folder, original(), stored(original()) | more, n_ctx=64, n_inner=..., attn_pdrop=0.1)


def shard(folder: Path, weights: dict[str, Tensor]) -> None:
    places = {}
    for number in (1, 2, 3):
        file = f"model-{number:05}-of-00003.safetensors"
        part = dict(list(weights.items())[number - 1 :: 3])
        save_file(part, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": 0}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@make("in three files")
def sharded(folder: Path) -> GPT2:
    write(folder, original())
    (folder / "model.safetensors").unlink()
    shard(folder, stored(original()))
    return original()


@make("in three files, with the prefix")
def sharded_with_prefix(folder: Path) -> GPT2:
    write(folder, original())
    (folder / "model.safetensors").unlink()
    shard(folder, {f"transformer.{name}": w for name, w in stored(original()).items()})
    return original()


@make("with vocab.json and merges.txt")
def vocabulary_and_merges(folder: Path) -> GPT2:
    model = write(folder, original(text=tokenizer_with_end()))
    split_tokenizer(folder)
    return model


def split_tokenizer(folder: Path) -> None:
    """tokenizer.json as the two older files; the description goes too."""
    bpe = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = bpe["model"]["vocab"] | {token["content"]: token["id"] for token in bpe["added_tokens"]}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in bpe["model"]["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


@make("with an end of another name, and a token to pad with")
def other_end(folder: Path) -> GPT2:
    text = tokenizer_with_end(end="</s>", eos_token="</s>", bos_token="</s>", pad_token="t")
    return write(folder, original(text=text))


@make("with an end that comes up")
def that_ends(folder: Path) -> GPT2:
    model = original()
    new = [int(token) for token in generate_ids(model, torch.tensor([FIRST]), 50, temperature=0)]
    end = next(token for place, token in enumerate(new) if place > 9 and token not in new[:place])
    model.tokenizer = Tokenizer(tokenizer().bpe, end_of_text=end)
    return write(folder, model)


@make("without a tokenizer, the end in config.json alone")
def without_tokenizer(folder: Path) -> GPT2:
    model = random_model(SIZES)
    return write(folder, model, eos_token_id=7, bos_token_id=8)


@make("with an end that lies outside of the vocabulary")
def end_outside(folder: Path) -> GPT2:
    return write(folder, original(), eos_token_id=50256, bos_token_id=50256)


@make("with n_ctx alone")
def n_ctx(folder: Path) -> GPT2:
    return write(folder, original(), n_ctx=SIZES.n_positions, n_positions=...)


@make("with the names of other models' sizes")
def other_names(folder: Path) -> GPT2:
    names = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64}
    return write(folder, original(), None, **names, n_embd=..., n_layer=..., n_head=..., n_positions=...)


for gelu in ("gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate"):
    MAKES[f"with {gelu}"] = lambda folder, gelu=gelu: write(folder, original(), activation_function=gelu)


@make("with heads that transformers 4 has pruned")
def heads_pruned(folder: Path) -> GPT2:
    model = original(replace(SIZES, heads=(2, 3)))
    pruned = {"0": [0, 2], "1": [3]}
    plain: dict[str, Any] = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "auto_map": ...}
    return write(folder, model, heads=..., neurons=..., pruned_heads=pruned, n_inner=None, **plain)


@make("with fewer heads and blocks of different widths")
def uneven(folder: Path) -> GPT2:
    return write(folder, original(replace(SIZES, heads=(3, 1), neurons=(40, 7))))


@make("with uneven blocks, by an earlier version of this library")
def earlier(folder: Path) -> GPT2:
    auto_map = {"AutoModelForCausalLM": "modeling_pruned_gpt2.PrunedGPT2LMHeadModel"}
    return write(folder, original(replace(SIZES, heads=(3, 1))), model_type="gpt2", auto_map=auto_map)


@make("with fewer neurons in all blocks alike")
def narrow(folder: Path) -> GPT2:
    return write(folder, original(replace(SIZES, neurons=(40, 40))))


@make("with most weights zero")
def sparse(folder: Path) -> GPT2:
    model = original()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(CONV1D):
                p.mul_(torch.rand(p.shape, generator=torch.Generator().manual_seed(0)) > 0.6)  # -0 among them
    return write(folder, model)
