"""Reader of an untrusted ONNX file: its graph must equal, node by node, that of `export_onnx` for its stated sizes."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from ...deploy.extras import need
from ...deploy.onnx import CONFIG, TOKENIZER, OnnxGPT2, export_onnx
from ...gpt2 import GPT2
from ...pruning.pruner import prunable_weights
from .identity import check_tokenizer, claimed_config
from .reference import weights


@dataclass(frozen=True)
class Exported:
    """A model in ONNX Runtime, on one thread: the artifact of a challenge."""

    model: OnnxGPT2
    int8: bool

    @property
    def removed(self) -> float:
        """The share of the blocks' weights that was removed; zeros don't count."""
        with torch.device("meta"):
            left = sum(w.numel() for w in prunable_weights(GPT2(self.model.config)).values())
        return 1 - left / weights()


@lru_cache(maxsize=8)
def read_exported(data: bytes) -> Exported:
    """Return the model in an ONNX file's bytes. Raises AssertionError unless `export_onnx` wrote it."""
    onnx = need("onnx", "deploy")
    try:
        proto = onnx.load_model_from_string(data)
        tensors = [*proto.graph.initializer, *(a.t for node in proto.graph.node for a in node.attribute)]
        if any(tensor.external_data or tensor.data_location for tensor in tensors):
            raise AssertionError("Weights of this ONNX file lie in another file: export it to a single one.")
        domains = {node.domain for node in proto.graph.node} | {opset.domain for opset in proto.opset_import}
        if foreign := sorted(domains - {"", "ai.onnx"}):
            raise AssertionError(f"This ONNX file has operators of {foreign[0][:50]!r}; only ONNX's own are run.")
        meta = {entry.key: entry.value for entry in proto.metadata_props}
        if CONFIG not in meta:
            raise AssertionError("This ONNX file was not written by gpt2_lib.deploy.onnx.export_onnx: use that.")
        config = claimed_config(json.loads(meta[CONFIG]))
        check_tokenizer(meta.get(TOKENIZER))
        int8 = any(tensor.data_type == onnx.TensorProto.INT8 for tensor in proto.graph.initializer)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "handed in.onnx")
            if _skeleton(proto) != _skeleton(onnx.load(export_onnx(GPT2(config), path, int8))):
                raise AssertionError(
                    "The graph of this ONNX file is not what export_onnx writes for a model of these sizes: export the "
                    "model again, and leave the file as it is."
                )
            path.write_bytes(data)
            model = OnnxGPT2(path, threads=1)
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(
            f"This is no ONNX file that can be read ({type(error).__name__}: {str(error)[:200]}). Export the model "
            "again with gpt2_lib.deploy.onnx.export_onnx."
        ) from error
    return Exported(model, int8)


def _skeleton(proto) -> bytes:  # of an onnx.ModelProto
    """Return the model without the values of its weights; integers stay, since they are shapes and positions."""
    onnx = need("onnx", "deploy")
    bare = onnx.ModelProto(ir_version=proto.ir_version, opset_import=proto.opset_import, graph=proto.graph)
    bare.functions.extend(proto.functions)
    bare.training_info.extend(proto.training_info)
    for tensor in bare.graph.initializer:
        if tensor.data_type != onnx.TensorProto.INT64:
            tensor.ClearField("raw_data")
    return bare.SerializeToString(deterministic=True)
