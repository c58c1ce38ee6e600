"""Calibration statistics of a model on some text: input norms, Hessians, gradients.

Works for any nn.Module with nn.Linear layers, and for transformers' Conv1D. ``batches`` is an iterable of
what ``model(batch)`` takes. A tensor is cut along its first dimension into batches of at most 4096 entries:
for a GPT-2 it is windows of token ids (N, T). Padding of batches with ``input_ids`` and ``attention_mask`` is
taken out (`batches.batches_for`). Tensors go where the model is. ``names`` are names of weights,
such as ``h.0.attn.c_attn.weight``. In any case the model is left unchanged: its weights, gradients, hooks, and
training modes.
"""

from .input_statistics import block_by_block, hessians, input_norms
from .layers import layer_groups
from .loss_gradients import gradients, loss_of, next_token_loss

__all__ = ["block_by_block", "gradients", "hessians", "input_norms", "layer_groups", "loss_of", "next_token_loss"]
