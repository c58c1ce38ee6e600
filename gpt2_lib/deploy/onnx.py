"""ONNX: a GPT-2 in one file that ONNX Runtime, and much else, runs.

The graph is written here node by node, because that is short and leaves nothing to a tracer: any number of
heads and neurons in each block, any batch and length, the same bytes whatever the version of PyTorch. One
graph reads a prompt and continues it:

    inputs   input_ids                       int64 (batch, tokens)
             past_key_values.<i>.key, .value float32 (batch, heads, past, head size), of the block i; past may be 0
             last                            int64 (1,): logits of how many of the last positions are wanted
    outputs  logits                          float32 (batch, last, vocabulary)
             present.<i>.key, .value         float32 (batch, heads, past + tokens, head size)

The token embedding is also the head, and is stored once, as the head's matrix (C, V). With ``int8`` every
matrix is stored as `quantize_int8` rounds it, one scale for each output channel (a token is one of the head's,
so its embedding has a scale of its own), and each product is one of integers: DynamicQuantizeLinear rounds what
comes in to uint8, with one scale for a whole tensor, while the model runs.

Operators: https://onnx.ai/onnx/operators/, opset 20.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import tokenizers
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import GPT2Config
from ..files import replace_whole
from ..generate import generate_ids
from ..gpt2 import GPT2, Attention, KVCache
from ..metrics import Quality, evaluate
from ..storage.quantize import quantize_int8
from ..tokenizer import Tokenizer
from .extras import DeployError, need

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 20  # the first with GELU
IR_VERSION = 10  # the one that came with that opset: older runtimes refuse newer ones
LARGEST = 2**31 - 1  # bytes; no protobuf message can be larger
CONFIG, TOKENIZER = "gpt2_lib.config", "gpt2_lib.tokenizer"  # what the file's metadata calls them


def export_onnx(model: GPT2, path: Path | str, int8: bool = False) -> Path:
    """Write ``model`` to one .onnx file, with its sizes and its tokenizer in it; returns ``path``.

    ``int8``: the matrices, embeddings too, as 8-bit integers, about a quarter of the size. The file is written
    whole or not at all. Raises DeployError if it would be larger than 2 GiB or can't be written, ValueError
    for another kind of model or, with ``int8``, weights that are NaN or infinite, and MissingExtraError
    without the package onnx.
    """
    onnx = need("onnx", "deploy")
    path = Path(path)
    if not isinstance(model, GPT2):
        raise ValueError(f"Only a GPT2 of this library can be exported; got {type(model).__name__}.")
    size = sum(p.numel() * (1 if int8 and p.dim() == 2 else 4) for p in model.parameters())
    if size > LARGEST:
        raise DeployError(
            f"The weights take {size / 1e9:.1f} GB, and one ONNX file holds 2.1 GB: "
            f"{'' if int8 else 'export it with int8=True, or '}prune heads, neurons or blocks first."
        )
    proto = _Graph(int8).of(model)
    meta = {CONFIG: json.dumps(asdict(model.config))}
    if model.tokenizer is not None:
        meta[TOKENIZER] = model.tokenizer.bpe.to_str()
    onnx.helper.set_model_props(proto, meta)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_whole(path, lambda part: part.write_bytes(proto.SerializeToString()))
    except OSError as error:
        raise DeployError(f"Can't write {path}: {error}. Choose a folder that you may write to, with room.") from error
    return path


class _Graph:
    """An ONNX graph in the making: methods add nodes and return the name of what the node gives."""

    def __init__(self, int8: bool) -> None:
        self.onnx = need("onnx", "deploy")
        self.int8 = int8
        helper = self.onnx.helper
        self.model = helper.make_model(
            helper.make_graph([], "gpt2", [], []),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="gpt2_lib",
        )
        self.graph = self.model.graph

    def of(self, model: GPT2) -> ModelProto:
        """The whole model."""
        config = model.config
        ids, past, kept = self.shape("input_ids", 1), self.shape("past_key_values.0.key", 2), []
        total = self.op("Add", past, ids)
        positions = self.range(past, total)  # (T,)
        visible = self.op(
            "LessOrEqual", self.unsqueeze(self.range(self.integers(0), total), 0), self.unsqueeze(positions, 1)
        )
        mask = self.op("Where", visible, self.floats(0.0), self.floats(-math.inf))  # (T, S)
        wte = self.weight(model.wte.weight)
        x = self.op("Add", self.columns(wte, "input_ids"), self.columns(self.weight(model.wpe.weight), positions))
        for i, block in enumerate(model.h):
            y, kv = self.attention(self.norm(x, block.ln_1), block.attn, mask, i)
            kept += kv
            x = self.op("Add", x, y)
            y = self.linear(self.norm(x, block.ln_2), block.mlp.c_fc)
            y = self.linear(self.op("Gelu", y, approximate="tanh"), block.mlp.c_proj)
            x = self.op("Add", x, y)
        start = self.op("Neg", "last")
        x = self.op("Slice", x, start, self.integers(2**62), self.integers(1))
        self.op("Identity", self.product(self.norm(x, model.ln_f), wte), output="logits")
        self.describe(config, kept)
        return self.model

    def attention(self, x: str, layer: Attention, mask: str, block: int) -> tuple[str, list[str]]:
        """What attention gives (B, T, C), and the names of all keys and values."""
        N, H = layer.n_head, layer.head_size
        qkv = self.linear(x, layer.c_attn)  # (B, T, 3 N H)
        parts = []
        for part in self.op_of(3, "Split", qkv, axis=-1, num_outputs=3):
            heads = self.op("Reshape", part, self.integers(0, 0, N, H))
            parts.append(self.op("Transpose", heads, perm=[0, 2, 1, 3]))  # (B, N, T, H)
        kv = []
        for name, new in zip(("key", "value"), parts[1:], strict=True):
            earlier = f"past_key_values.{block}.{name}"
            kv.append(self.op("Concat", earlier, new, axis=2, output=f"present.{block}.{name}"))  # (B, N, S, H)
        q = self.op("Mul", parts[0], self.floats(1 / math.sqrt(H)))
        scores = self.op("MatMul", q, self.op("Transpose", kv[0], perm=[0, 1, 3, 2]))  # (B, N, T, S)
        weights = self.op("Softmax", self.op("Add", scores, mask), axis=-1)
        y = self.op("Transpose", self.op("MatMul", weights, kv[1]), perm=[0, 2, 1, 3])  # (B, T, N, H)
        return self.linear(self.op("Reshape", y, self.integers(0, 0, N * H)), layer.c_proj), kv

    def norm(self, x: str, layer: nn.LayerNorm) -> str:
        return self.op(
            "LayerNormalization", x, self.constant(layer.weight), self.constant(layer.bias), epsilon=layer.eps
        )

    def linear(self, x: str, layer: nn.Linear) -> str:
        return self.op("Add", self.product(x, self.weight(layer.weight)), self.constant(layer.bias))

    def weight(self, weight: Tensor) -> tuple[str, str | None]:
        """Store a weight (out, in) as (in, out), and with int8 its scales (out,)."""
        if not self.int8:
            return self.constant(weight.t()), None
        q, scale = _quantize(weight)
        return self.constant(q.t()), self.constant(scale)

    def product(self, x: str, weight: tuple[str, str | None]) -> str:
        """x (..., in) times a weight (in, out)."""
        matrix, scale = weight
        if scale is None:
            return self.op("MatMul", x, matrix)
        q, x_scale, zero = self.op_of(3, "DynamicQuantizeLinear", x)
        total = self.op("Cast", self.op("MatMulInteger", q, matrix, zero), to=self.onnx.TensorProto.FLOAT)
        return self.op("Mul", total, self.op("Mul", x_scale, scale))

    def columns(self, weight: tuple[str, str | None], indices: str) -> str:
        """Columns of a weight (C, n), side by side in the last dimension: an embedding (..., C) of the ``indices``."""
        matrix, scale = weight
        found = self.op("Gather", matrix, indices, axis=1)  # (C, ...)
        rank = 2 if indices == "input_ids" else 1
        found = self.op("Transpose", found, perm=[*range(1, rank + 1), 0])
        if scale is None:
            return found
        found = self.op("Cast", found, to=self.onnx.TensorProto.FLOAT)
        return self.op("Mul", found, self.unsqueeze(self.op("Gather", scale, indices), -1))

    # Small change.

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        """Add a node; the name of its output."""
        name = output or f"{kind}.{len(self.graph.node)}.0"
        self.graph.node.append(self.onnx.helper.make_node(kind, inputs, [name], **attributes))
        return name

    def op_of(self, outputs: int, kind: str, *inputs: str, **attributes: object) -> list[str]:
        """Add a node with several outputs; their names."""
        names = [f"{kind}.{len(self.graph.node)}.{i}" for i in range(outputs)]
        self.graph.node.append(self.onnx.helper.make_node(kind, inputs, names, **attributes))
        return names

    def constant(self, tensor: Tensor) -> str:
        tensor = tensor.detach().cpu()
        array = (tensor if tensor.dtype in (torch.int8, torch.int64) else tensor.float()).contiguous().numpy()
        name = f"constant.{len(self.graph.initializer)}"
        self.graph.initializer.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(torch.tensor(values))

    def floats(self, value: float) -> str:
        return self.constant(torch.tensor(value))

    def shape(self, name: str, axis: int) -> str:
        """The length of an axis, int64 (1,)."""
        return self.op("Shape", name, start=axis, end=axis + 1)

    def range(self, start: str, end: str) -> str:
        scalars = [self.op("Squeeze", name) for name in (start, end)]
        return self.op("Range", *scalars, self.constant(torch.tensor(1)))

    def unsqueeze(self, name: str, axis: int) -> str:
        return self.op("Unsqueeze", name, self.integers(axis))

    def describe(self, config: GPT2Config, kept: list[str]) -> None:
        """Declare the graph's inputs, in the order that OnnxGPT2 feeds them, and its outputs."""
        value, kinds = self.onnx.helper.make_tensor_value_info, self.onnx.TensorProto
        inputs = [value("input_ids", kinds.INT64, ["batch", "tokens"])]
        outputs = [value("logits", kinds.FLOAT, ["batch", "wanted", config.vocab_size])]
        for i, name in enumerate(kept):
            heads = config.heads[i // 2]  # each block has keys and values
            earlier = name.replace("present", "past_key_values")
            inputs.append(value(earlier, kinds.FLOAT, ["batch", heads, "past", config.head_size]))
            outputs.append(value(name, kinds.FLOAT, ["batch", heads, "seen", config.head_size]))
        self.graph.input.extend([*inputs, value("last", kinds.INT64, [1])])
        self.graph.output.extend(outputs)


def _quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """`quantize_int8`, with a coarser scale where neighbours in a row would overflow together.

    Without VNNI, x86 processors add the products of two neighbours with uint8 inputs in 16 bits, and cut off what
    does not fit. Two of one sign fit if they are 128 together: 255 * 128 < 2 ** 15. So the largest such sum is
    put beside the row's entries, and the scale makes it 127.
    """
    weight = weight.detach().float()
    sides = [F.pad(side.clamp(min=0), (0, 1)) for side in (weight, -weight)]
    sums = [(side[:, :-1] + side[:, 1:]).amax(1) for side in sides]
    q, scale = quantize_int8(torch.cat([weight, torch.stack(sums, 1)], dim=1))
    return q[:, :-2], scale


class OnnxGPT2:
    """A file of `export_onnx` in ONNX Runtime, on the CPU.

    ``config`` has its sizes, ``tokenizer`` its tokenizer (None if the model had none), ``size`` the file's bytes.
    ``threads``: how many compute; None leaves it to ONNX Runtime, which takes one a core. May be used from
    several threads at once.
    """

    def __init__(self, path: Path | str, threads: int | None = None) -> None:
        """Raises DeployError for a file that is missing, cut short or not of `export_onnx`."""
        self._ort = need("onnxruntime", "deploy")
        path = Path(path)
        if not path.is_file():
            raise DeployError(f"There is no file {path}: make it with export_onnx(model, path).")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be 1 or more, or None for one a core; got {threads}.")
        options = self._ort.SessionOptions()
        options.log_severity_level = 3  # errors, not warnings
        options.intra_op_num_threads = threads or 0
        try:
            self._session = self._ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise DeployError(
                f"ONNX Runtime can't read {path}: is it cut short, or no ONNX file? Export the model again. ({error})"
            ) from error
        meta = self._session.get_modelmeta().custom_metadata_map
        if CONFIG not in meta:
            raise DeployError(f"{path} is an ONNX file, but not one that export_onnx wrote: export the model with it.")
        self.config = GPT2Config(**json.loads(meta[CONFIG]))
        text = meta.get(TOKENIZER)
        self.tokenizer = Tokenizer(tokenizers.Tokenizer.from_str(text)) if text else None
        self.size = path.stat().st_size
        self._inputs = [i.name for i in self._session.get_inputs()]  # as export_onnx ordered them

    def logits(self, ids: np.ndarray | Tensor) -> np.ndarray:
        """Logits float32 (B, T, V) of token ids (B, T).

        Raises ValueError for a wrong shape, ids out of range, or more tokens than the model's context.
        """
        return self.step(ids)[0]

    def evaluate(self, windows: Tensor) -> Quality:
        """Next-token quality on windows of token ids (N, T), as `metrics.evaluate` measures it."""
        return evaluate(cast(GPT2, _AsGPT2(self)), windows)

    def generate_ids(
        self,
        ids: np.ndarray | Tensor | list[int],
        new_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
    ) -> Iterator[int]:
        """Yield ``new_tokens`` next token ids after the prompt ``ids``, (T,) or (1, T); see `generate.generate_ids`.

        A token is computed when it is asked for. Raises ValueError as `logits` and `generate.generate_ids` do.
        """
        start = torch.as_tensor(ids)
        start = start[None] if start.dim() == 1 else start
        if start.dim() != 2 or len(start) != 1:
            raise ValueError(f"One sequence of token ids is needed, (T,) or (1, T); got {tuple(start.shape)}.")
        for token in generate_ids(cast(GPT2, _AsGPT2(self)), start, new_tokens, temperature, top_k, seed):
            yield int(token)

    def generate(
        self,
        prompt: str,
        new_tokens: int = 100,
        temperature: float = 0.8,
        top_k: int | None = 40,
        seed: int | None = None,
    ) -> str:
        """Continue ``prompt`` by ``new_tokens`` tokens; returns the prompt and what follows it."""
        if self.tokenizer is None:
            raise ValueError("This file holds no tokenizer: export a model that has one, or use generate_ids.")
        ids = self.tokenizer.encode(prompt)
        if not ids:
            raise ValueError("The prompt is empty: give the model at least one character to start from.")
        return self.tokenizer.decode([*ids, *self.generate_ids(ids, new_tokens, temperature, top_k, seed)])

    def step(
        self, ids: np.ndarray | Tensor, past: list | None = None, last: int | None = None
    ) -> tuple[np.ndarray, list]:
        """Logits of the ``last`` positions (all if None) after ``ids`` (B, T), and the cache for what comes next.

        ``past``: the cache that the step before gave, or None at the start. It is left as it is, so that a text can
        be continued in several ways. Raises ValueError as `logits` does.
        """
        ids = np.asarray(ids)
        self._check(ids, past[0].shape()[2] if past else 0)
        value = self._ort.OrtValue.ortvalue_from_numpy
        if past is None:
            past = [
                value(np.empty((len(ids), heads, 0, self.config.head_size), np.float32))
                for heads in self.config.heads
                for _ in ("key", "value")
            ]
        wanted = np.array([last or ids.shape[1]])
        feed = dict(zip(self._inputs, [value(ids.astype(np.int64)), *past, value(wanted)], strict=True))
        logits, *present = self._session.run_with_ort_values(None, feed)
        return logits.numpy(), present

    def _check(self, ids: np.ndarray, past: int) -> None:
        if ids.ndim != 2 or ids.size == 0 or ids.dtype.kind not in "iu":
            raise ValueError(
                f"Token ids must be integers of shape (B, T), one token at least; got {ids.dtype} {ids.shape}."
            )
        if past + ids.shape[1] > self.config.n_positions:
            raise ValueError(
                f"{past + ids.shape[1]} tokens are more than the {self.config.n_positions} this model can see: "
                "shorten the text."
            )
        if ids.min() < 0 or ids.max() >= self.config.vocab_size:
            raise ValueError(
                f"Token ids must lie in [0, {self.config.vocab_size}); got {ids.min()} to {ids.max()}. Was the text "
                "encoded with another model's tokenizer?"
            )


class _AsGPT2(nn.Module):
    """An OnnxGPT2 as `metrics.evaluate` and `generate.generate_ids` use a GPT2. For one text at a time."""

    def __init__(self, onnx: OnnxGPT2) -> None:
        super().__init__()
        self.onnx, self.config, self.tokenizer = onnx, onnx.config, onnx.tokenizer
        self._past: list | None = None

    def forward(self, ids: Tensor) -> Tensor:
        return torch.from_numpy(self.onnx.logits(ids))

    def hidden(self, ids: Tensor, cache: KVCache) -> Tensor:
        """The last position's logits (B, 1, V): the graph has the head in it."""
        logits, self._past = self.onnx.step(ids, self._past if cache.seen else None, last=1)
        cache.seen += ids.size(1)
        return torch.from_numpy(logits)

    def head(self, logits: Tensor) -> Tensor:
        return logits
