"""ExecuTorch: export to a ``.pte`` file for phones, which runs here from Python; its kernels are XNNPACK's.

PyTorch Mobile's successor. The file takes one text of 1 to ``n_positions`` tokens (batch 1, any length). With int8
the weights of all matrix products are int8 with one scale a row (the head too), and their inputs are rounded to int8
while it runs, one scale a token; the embedding table is int8 as well. LayerNorm, softmax and attention's own products
stay float32. The head is tied to the embedding in the model, but the file holds both.
"""

from __future__ import annotations

import copy
import math
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..files import replace_whole
from ..gpt2 import GPT2
from ..storage.quantize import quantize_int8
from ..system.quiet import only_errors, without_lines
from .contents.exportable import exportable
from .contents.metadata import CONFIG, TOKENIZER, metadata_of, tokenizer_in
from .extras import NOTING, DeployError, install_command, need

CPU_NOTES = r"^\[cpuinfo_utils\.cpp:\d+\]"  # where ExecuTorch looks for the cores of phones


def export_executorch(model: nn.Module, path: str | Path, int8: bool = True) -> Path:
    """Write ``model`` as an ExecuTorch program to ``path`` (``.pte``), whole or not at all. Returns the path.

    ``model`` is left as it is, and may have other numbers of heads and neurons in each block. Zeros are stored as
    any number is: they make the file neither smaller nor faster. Its sizes and its tokenizer go into the file. Raises
    MissingExtraError without the extra ``mobile``; ValueError if ``model`` is none that is `exportable`; DeployError
    if ExecuTorch refuses it, or the file can't be written.
    """
    inner = exportable(model)
    path = Path(path)
    try:
        with warnings.catch_warnings(), only_errors(*NOTING), torch.no_grad():
            warnings.simplefilter("ignore")  # of torch and torchao about their own internals
            need("executorch.exir", "mobile")
            path.parent.mkdir(parents=True, exist_ok=True)
            program = _lower(inner, int8)
        replace_whole(path, lambda part: part.write_bytes(program))
    except OSError as error:
        raise DeployError(f"Can't write {path}: {error}. Choose a file in a folder you may write to.") from error
    return path


# A program has no metadata but the numbers and tensors that its methods return: the texts are tensors of their bytes.
_METHODS = {CONFIG: "get_gpt2_lib_config", TOKENIZER: "get_gpt2_lib_tokenizer"}


def _as_bytes(text: str) -> Tensor:
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


class ExecuTorchGPT2:
    """A loaded program of `export_executorch`.

    ``tokenizer`` is its tokenizer; None if the model had none, or the file is of an earlier version.

    Raises MissingExtraError without the extra ``mobile``, DeployError if ``path`` is no such program or is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        with only_errors(*NOTING):
            runtime = need("executorch.runtime", "mobile")
        path = Path(path)
        if not path.is_file():
            raise DeployError(f"There is no file {path}: write one with export_executorch.")
        try:
            # Checked: the default trusts the file, and a damaged one can take Python down with it.
            self._program = runtime.Runtime.get().load_program(
                path, verification=runtime.Verification.InternalConsistency
            )
            with without_lines(CPU_NOTES):
                self._forward = self._program.load_method("forward")
            self.vocab_size, self.n_positions = (
                int(self._program.load_method(name).execute([])[0]) for name in ("get_vocab_size", "get_max_seq_len")
            )
            metadata = self._metadata()
        except (RuntimeError, AttributeError, ValueError) as error:
            raise DeployError(
                f"{path} is no program that export_executorch wrote, or is damaged ({error}): export the model again."
            ) from error
        self.tokenizer = tokenizer_in(metadata, path)

    def _metadata(self) -> dict[str, str]:
        """Return the metadata in the program; {} for programs of earlier versions."""
        return {
            key: self._program.load_method(name).execute([])[0].numpy().tobytes().decode()
            for key, name in _METHODS.items()
            if name in self._program.method_names
        }

    def logits(self, ids: np.ndarray | Tensor | list) -> np.ndarray:
        """Return logits float32 (B, T, V) of token ids (B, T), row by row: the program has batch size 1.

        Raises ValueError for a wrong shape, ids out of range, or more tokens than the model's context.
        """
        ids = torch.as_tensor(ids)
        if ids.dim() != 2 or ids.numel() == 0 or ids.is_floating_point():
            raise ValueError(f"Token ids (B, T) are needed, one at least; got {ids.dtype} {tuple(ids.shape)}.")
        if ids.size(1) > self.n_positions:
            raise ValueError(f"{ids.size(1)} tokens are more than the {self.n_positions} this program takes.")
        if ids.min() < 0 or ids.max() >= self.vocab_size:
            raise ValueError(f"Token ids must lie in [0, {self.vocab_size}).")
        rows = ids.to(torch.int64).split(1)
        return np.concatenate([self._forward.execute([row.contiguous()])[0].numpy().copy() for row in rows])


class _Program(nn.Module):
    """GPT-2's forward pass over one text (1, T), written for XNNPACK.

    `GPT2.forward` asks for the length while it runs, which an exported program of any length can't; and XNNPACK
    takes the original's GELU for the exact one (logits are then off by up to 1e-2), so its tanh is spelt out.
    """

    def __init__(self, model: GPT2, int8: bool) -> None:
        super().__init__()
        self.model = model
        self.wte = _Int8Embedding(model.wte.weight) if int8 else model.wte

    def forward(self, ids: Tensor) -> Tensor:
        T = ids.size(1)
        position = torch.arange(T)
        hidden_from = torch.where(position[:, None] >= position, 0.0, -1e9)  # (T, T)
        x = (self.wte(ids) + self.model.wpe(position))[0]  # (T, C)
        for block in self.model.h:
            attn, mlp = block.attn, block.mlp
            qkv = attn.c_attn(block.ln_1(x)).view(T, 3, attn.n_head, attn.head_size)
            q, k, v = qkv.permute(1, 2, 0, 3).unbind(0)  # (N, T, H) each; with chunk the length becomes fixed
            scores = torch.bmm(q / math.sqrt(attn.head_size), k.transpose(1, 2)) + hidden_from  # (N, T, T)
            y = torch.bmm(scores.softmax(-1), v).transpose(0, 1)  # (T, N, H)
            x = x + attn.c_proj(y.reshape(T, attn.n_head * attn.head_size))
            x = x + mlp.c_proj(_gelu(mlp.c_fc(block.ln_2(x))))
        return self.model.head(self.model.ln_f(x))[None]  # (1, T, V)


class _Int8Embedding(nn.Module):
    q: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        q, scale = quantize_int8(weight)
        self.register_buffer("q", q)
        self.register_buffer("scale", scale[:, None])

    def forward(self, ids: Tensor) -> Tensor:
        return nn.functional.embedding(ids, self.q).float() * nn.functional.embedding(ids, self.scale)


def _gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def _lower(model: GPT2, int8: bool) -> bytes:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    config = model.config
    model = copy.deepcopy(model).cpu().float().eval()
    ids = torch.arange(min(4, config.n_positions))[None] % config.vocab_size
    lengths = {"ids": {1: torch.export.Dim("T", min=1, max=config.n_positions)}}
    try:
        program = torch.export.export(_Program(model, int8).eval(), (ids,), dynamic_shapes=lengths)
        if int8:
            program = torch.export.export(_quantised(program.module(), ids), (ids,), dynamic_shapes=lengths)
        return (
            to_edge_transform_and_lower(
                program,
                partitioner=[XnnpackPartitioner()],
                constant_methods={
                    "get_vocab_size": config.vocab_size,
                    "get_max_seq_len": config.n_positions,
                    **{_METHODS[key]: _as_bytes(text) for key, text in metadata_of(model).items()},
                },
            )
            .to_executorch()
            .buffer
        )
    except Exception as error:  # of many kinds: torch's, torchao's and ExecuTorch's
        from importlib.metadata import version

        raise DeployError(
            f"ExecuTorch {version('executorch')} with torch {torch.__version__} can't take this model: {error}. Each "
            f"ExecuTorch is made for one torch. This brings a pair that fits: {install_command('mobile')}"
        ) from error


def _quantised(module: torch.fx.GraphModule, ids: Tensor) -> nn.Module:
    from executorch.backends.xnnpack.quantizer import xnnpack_quantizer
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    config = xnnpack_quantizer.get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
    prepared = prepare_pt2e(module, xnnpack_quantizer.XNNPACKQuantizer().set_global(config))
    prepared(ids)  # no calibration: it only lets the observers see the weights
    return convert_pt2e(prepared)
