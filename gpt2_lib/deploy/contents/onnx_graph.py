"""The ONNX graph of a GPT-2, node by node; `onnx` describes its inputs and outputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...config import GPT2Config
from ...gpt2 import GPT2, Attention
from ...storage.quantize import quantize_int8
from ..extras import need

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

OPSET = 20  # the first with GELU
IR_VERSION = 10  # the one that came with that opset: older runtimes refuse newer ones
WORTH_STORING = 1024  # bytes; smaller constants, shapes among them, stay in the graph


class Matrix(NamedTuple):
    """The names of a stored weight (in, out) and, if it is int8, of its scales (out,)."""

    values: str
    scale: str | None


class Graph:
    """A builder of an ONNX graph: methods add nodes and return the names of their outputs.

    ``store``, if there is one, is given the weights instead of the graph; see `onnx.ExternalData`.
    """

    def __init__(self, int8: bool, store: Callable[[TensorProto, np.ndarray], None] | None = None) -> None:
        self.onnx = need("onnx", "deploy")
        self.int8, self.store = int8, store
        helper = self.onnx.helper
        self.model = helper.make_model(
            helper.make_graph([], "gpt2", [], []),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="gpt2_lib",
        )
        self.graph = self.model.graph

    def of(self, model: GPT2) -> ModelProto:
        """Return the ONNX model of ``model``."""
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
        """Add attention; returns the names of its output (B, T, C) and of all keys and values."""
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

    def weight(self, weight: Tensor) -> Matrix:
        """Store a weight (out, in) as (in, out), and with int8 its scales (out,)."""
        if not self.int8:
            return Matrix(self.constant(weight.t()), None)
        q, scale = quantize(weight)
        return Matrix(self.constant(q.t()), self.constant(scale))

    def product(self, x: str, weight: Matrix) -> str:
        """Add the product of x (..., in) and a weight (in, out)."""
        if weight.scale is None:
            return self.op("MatMul", x, weight.values)
        q, x_scale, zero = self.op_of(3, "DynamicQuantizeLinear", x)
        total = self.op("Cast", self.op("MatMulInteger", q, weight.values, zero), to=self.onnx.TensorProto.FLOAT)
        return self.op("Mul", total, self.op("Mul", x_scale, weight.scale))

    def columns(self, weight: Matrix, indices: str) -> str:
        """Add the selection of a weight's (C, n) columns at ``indices``, as embeddings (..., C)."""
        found = self.op("Gather", weight.values, indices, axis=1)  # (C, ...)
        rank = 2 if indices == "input_ids" else 1
        found = self.op("Transpose", found, perm=[*range(1, rank + 1), 0])
        if weight.scale is None:
            return found
        found = self.op("Cast", found, to=self.onnx.TensorProto.FLOAT)
        return self.op("Mul", found, self.unsqueeze(self.op("Gather", weight.scale, indices), -1))

    # Nodes, constants and shapes.

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: object) -> str:
        """Add a node; returns the name of its output."""
        name = output or f"{kind}.{len(self.graph.node)}.0"
        self.graph.node.append(self.onnx.helper.make_node(kind, inputs, [name], **attributes))
        return name

    def op_of(self, outputs: int, kind: str, *inputs: str, **attributes: object) -> list[str]:
        """Add a node with several outputs; returns their names."""
        names = [f"{kind}.{len(self.graph.node)}.{i}" for i in range(outputs)]
        self.graph.node.append(self.onnx.helper.make_node(kind, inputs, names, **attributes))
        return names

    def constant(self, tensor: Tensor) -> str:
        tensor = tensor.detach().cpu()
        array = (tensor if tensor.dtype in (torch.int8, torch.int64) else tensor.float()).contiguous().numpy()
        name = f"constant.{len(self.graph.initializer)}"
        if self.store is None or array.nbytes < WORTH_STORING:
            self.graph.initializer.append(self.onnx.numpy_helper.from_array(array, name))
        else:
            kind = self.onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            entry = self.graph.initializer.add(name=name, data_type=kind, dims=array.shape)
            self.store(entry, array)
        return name

    def integers(self, *values: int) -> str:
        return self.constant(torch.tensor(values))

    def floats(self, value: float) -> str:
        return self.constant(torch.tensor(value))

    def shape(self, name: str, axis: int) -> str:
        """Add the length of an axis, int64 (1,)."""
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


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantise as `quantize_int8`, with a coarser scale where neighbours in a row would overflow together.

    Without VNNI, x86 processors add the products of two neighbours with uint8 inputs in 16 bits, and cut off what
    does not fit. Two of one sign fit if they are 128 together: 255 * 128 < 2 ** 15. So the largest such sum is
    put beside the row's entries, and the scale makes it 127.
    """
    weight = weight.detach().float()
    sides = [F.pad(side.clamp(min=0), (0, 1)) for side in (weight, -weight)]
    sums = [(side[:, :-1] + side[:, 1:]).amax(1) for side in sides]
    q, scale = quantize_int8(torch.cat([weight, torch.stack(sums, 1)], dim=1))
    return q[:, :-2], scale
