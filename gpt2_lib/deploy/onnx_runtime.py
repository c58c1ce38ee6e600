"""A GPT-2 in ONNX Runtime: its logits, its quality and its text, with the interface of the PyTorch model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from ..config import GPT2Config
from ..generate import StopAt, generate_ids, renamed
from ..gpt2 import GPT2, KVCache
from ..metrics import Quality, evaluate
from ..system.extras import command_line
from ..system.processors import processors
from .contents.metadata import CONFIG, tokenizer_in
from .extras import DeployError, need

if TYPE_CHECKING:
    from onnxruntime import OrtValue

DATA = "gpt2_lib.data"  # what the file's metadata calls the name of the file beside it


class OnnxGPT2:
    """A model file of `export_onnx` in ONNX Runtime, on the CPU.

    ``config`` has its sizes, ``tokenizer`` its tokenizer (None if the model had none), ``size`` the bytes of
    the file, and of the one with its weights where they lie beside it.
    ``threads``: how many compute; None takes one a processor that this process may use. May be used from
    several threads at once.
    """

    def __init__(self, path: Path | str, threads: int | None = None) -> None:
        """Load the file. Raises DeployError if it is missing, truncated or not of `export_onnx`."""
        self._ort = need("onnxruntime", "deploy")
        path = Path(path)
        if path.is_dir():
            command = command_line(["gpt2-pruning", "export", str(path), "model.onnx"])
            raise DeployError(f"{path} is a folder: make a file of it with {command}, and name that.")
        if not path.is_file():
            raise DeployError(f"There is no file {path}: make it with export_onnx(model, path).")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be 1 or more, or None for one a processor; got {threads}.")
        options = self._ort.SessionOptions()
        options.log_severity_level = 3  # errors, not warnings
        options.intra_op_num_threads = threads or processors()
        try:
            self._session = self._ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise DeployError(
                f"ONNX Runtime can't read {path}: is it cut short, no ONNX file, or without the .data file that lay "
                f"beside it? Copy both, or export the model again. ({error})"
            ) from error
        meta = self._session.get_modelmeta().custom_metadata_map
        if CONFIG not in meta:
            raise DeployError(f"{path} is an ONNX file, but not one that export_onnx wrote: export the model with it.")
        self.config = GPT2Config(**json.loads(meta[CONFIG]))
        self.tokenizer = tokenizer_in(meta, path)
        self.size = path.stat().st_size + (path.with_name(meta[DATA]).stat().st_size if DATA in meta else 0)
        self._inputs = [i.name for i in self._session.get_inputs()]  # as export_onnx ordered them

    def logits(self, ids: np.ndarray | Tensor) -> np.ndarray:
        """Return logits float32 (B, T, V) of token ids (B, T).

        Raises ValueError for a wrong shape, ids out of range, or more tokens than the model's context.
        """
        return self.step(ids)[0]

    def evaluate(self, windows: Tensor) -> Quality:
        """Return the next-token quality on windows of token ids (N, T), as `metrics.evaluate` measures it."""
        return evaluate(cast(GPT2, _AsGPT2(self)), windows)

    @renamed(new_tokens="max_new_tokens")
    def generate_ids(
        self,
        ids: np.ndarray | Tensor | list[int],
        max_new_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
        stop_at: StopAt = "end of text",
    ) -> Iterator[int]:
        """Yield up to ``max_new_tokens`` next token ids after the prompt ``ids``, (T,) or (1, T).

        See `generate.generate_ids`. A token is computed when it is asked for. Raises ValueError as that and `logits`
        do.
        """
        start = torch.as_tensor(ids)
        start = start[None] if start.dim() == 1 else start
        if start.dim() != 2 or len(start) != 1:
            raise ValueError(f"One sequence of token ids is needed, (T,) or (1, T); got {tuple(start.shape)}.")
        model = cast(GPT2, _AsGPT2(self))
        for token in generate_ids(model, start, max_new_tokens, temperature, top_k, seed, stop_at):
            yield int(token)

    @renamed(new_tokens="max_new_tokens")
    def generate(
        self,
        prompt: str,
        max_new_tokens: int = 100,
        temperature: float = 0.8,
        top_k: int | None = 40,
        seed: int | None = None,
        stop_at: StopAt = "end of text",
    ) -> str:
        """Continue ``prompt`` as `generate.generate` does; returns the prompt and what follows it."""
        if self.tokenizer is None:
            raise ValueError("This file holds no tokenizer: export a model that has one, or use generate_ids.")
        ids = self.tokenizer.encode(prompt)
        if not ids:
            raise ValueError("The prompt is empty: give the model at least one character to start from.")
        made = self.generate_ids(ids, max_new_tokens, temperature, top_k, seed, stop_at)
        return self.tokenizer.decode([*ids, *made])

    def step(
        self, ids: np.ndarray | Tensor, past: list[OrtValue] | None = None, last: int | None = None
    ) -> tuple[np.ndarray, list[OrtValue]]:
        """Return logits of the ``last`` positions (all if None) after ``ids`` (B, T), and the cache for the next step.

        ``past``: the cache that the step before gave, or None at the start. It is left as it is, so that a text can
        be continued in several ways. Raises ValueError as `logits` does, and for a ``last`` that isn't in 1 ... T.
        """
        ids = np.asarray(ids)
        self._check(ids, past[0].shape()[2] if past else 0)
        if last is not None and not 1 <= last <= ids.shape[1]:
            raise ValueError(f"Logits of 1 to {ids.shape[1]} last positions can be had; got last={last!r}.")
        value = self._ort.OrtValue.ortvalue_from_numpy
        if past is None:
            past = [
                value(np.empty((len(ids), heads, 0, self.config.head_size), np.float32))
                for heads in self.config.heads
                for _ in ("key", "value")
            ]
        wanted = np.array([ids.shape[1] if last is None else last])
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
    """An adapter that gives an OnnxGPT2 the interface that `metrics.evaluate` and `generate_ids` need. Batch size 1."""

    def __init__(self, onnx: OnnxGPT2) -> None:
        super().__init__()
        self.onnx, self.config, self.tokenizer = onnx, onnx.config, onnx.tokenizer
        self._past: list[OrtValue] | None = None

    def forward(self, ids: Tensor) -> Tensor:
        return torch.from_numpy(self.onnx.logits(ids))

    def next_logits(self, ids: Tensor, cache: KVCache) -> Tensor:
        """Return logits as `GPT2.next_logits`; of ``cache`` only the number of seen tokens is used."""
        logits, self._past = self.onnx.step(ids, self._past if cache.seen else None, last=1)
        cache.seen += ids.size(1)
        return torch.from_numpy(logits[:, -1])
