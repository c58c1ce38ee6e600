"""Answers to exercise 3.2: wrong ones with the checks that each must fail, and unusual right ones."""

from __future__ import annotations

INT8 = {"int8_range", "int8_scale", "int8_nearest", "int8_zeros", "int8_care"}

WRONG: dict[str, dict[str, tuple[set[str], str]]] = {
    "quantize_int8": {
        "nothing returned": (INT8, "def quantize_int8(weight):\n    scale = weight.abs().amax(1) / 127"),
        "words": (INT8, 'def quantize_int8(weight):\n    return "q", "scale"'),
        "transposed": (
            INT8,
            """
def quantize_int8(weight):
    weight = weight.float().t()
    scale = (weight.abs().amax(1) / 127).clamp(min=1e-12)
    return (weight / scale[:, None]).round().to(torch.int8), scale
""",
        ),
        "one scale for all": (
            {"int8_range", "int8_scale", "int8_nearest"},
            """
def quantize_int8(weight):
    weight = weight.float()
    scale = (weight.abs().max() / 127).clamp(min=1e-12).expand(weight.size(0)).clone()
    return (weight / scale[:, None]).round().to(torch.int8), scale
""",
        ),
        "one scale for each column": (
            INT8,
            """
def quantize_int8(weight):
    weight = weight.float()
    scale = (weight.abs().amax(0) / 127).clamp(min=1e-12)
    return (weight / scale).round().to(torch.int8), scale
""",
        ),
        "one scale for all rows, returned for each": (
            {"int8_nearest", "int8_range"},
            """
def quantize_int8(weight):
    weight = weight.float()
    scale = (weight.abs().amax(1) / 127).clamp(min=1e-12)
    return (weight / scale.max()).round().to(torch.int8), scale
""",
        ),
        "the scales along the columns": (
            INT8,
            """
def quantize_int8(weight):
    weight = weight.float()
    scale = (weight.abs().amax(1) / 127).clamp(min=1e-12)
    return (weight / scale).round().to(torch.int8), scale
""",
        ),
        "cut off instead of rounded": (
            {"int8_nearest"},
            """
def quantize_int8(weight):
    weight = weight.float()
    scale = (weight.abs().amax(1) / 127).clamp(min=1e-12)
    return (weight / scale[:, None]).to(torch.int8), scale
""",
        ),
        "rounded down": (
            {"int8_nearest"},
            """
def quantize_int8(weight):
    weight = weight.float()
    scale = (weight.abs().amax(1) / 127).clamp(min=1e-12)
    return (weight / scale[:, None]).floor().clamp(-127, 127).to(torch.int8), scale
""",
        ),
        "up to 128, which wraps around": (
            {"int8_range", "int8_scale", "int8_nearest", "int8_care"},
            """
def quantize_int8(weight):
    weight = weight.float()
    scale = (weight.abs().amax(1) / 128).clamp(min=1e-12)
    return (weight / scale[:, None]).round().to(torch.int16).to(torch.int8), scale
""",
        ),
        "the scale is one over it": (
            {"int8_scale", "int8_zeros", "int8_care"},
            """
def quantize_int8(weight):
    weight = weight.float()
    scale = 127 / weight.abs().amax(1)
    return (weight * scale[:, None]).nan_to_num(0).round().to(torch.int8), scale
""",
        ),
        "a row of zeros is divided by zero": (
            {"int8_zeros"},
            """
def quantize_int8(weight):
    weight = weight.float()
    scale = weight.abs().amax(1) / 127
    return (weight / scale[:, None]).nan_to_num(0).round().to(torch.int8), scale
""",
        ),
        "with a zero point": (
            {"int8_scale", "int8_nearest", "int8_zeros", "int8_care"},
            """
def quantize_int8(weight):
    weight = weight.float()
    low, high = weight.amin(1), weight.amax(1)
    scale = ((high - low) / 254).clamp(min=1e-12)
    return ((weight - low[:, None]) / scale[:, None] - 127).round().clamp(-127, 127).to(torch.int8), scale
""",
        ),
        "no absolute value": (
            {"int8_scale", "int8_nearest", "int8_care"},
            """
def quantize_int8(weight):
    weight = weight.float()
    scale = (weight.amax(1) / 127).abs().clamp(min=1e-12)
    return (weight / scale[:, None]).round().clamp(-127, 127).to(torch.int8), scale
""",
        ),
        "seven bits": (
            {"int8_range", "int8_scale", "int8_nearest"},
            """
def quantize_int8(weight):
    weight = weight.float()
    scale = (weight.abs().amax(1) / 63).clamp(min=1e-12)
    return (weight / scale[:, None]).round().to(torch.int8), scale
""",
        ),
        "floats": (
            {"int8_range"},
            """
def quantize_int8(weight):
    weight = weight.float()
    scale = (weight.abs().amax(1) / 127).clamp(min=1e-12)
    return (weight / scale[:, None]).round(), scale
""",
        ),
        "the weight is changed": (
            {"int8_care"},
            """
def quantize_int8(weight):
    scale = (weight.float().abs().amax(1) / 127).clamp(min=1e-12)
    q = (weight.float() / scale[:, None]).round().to(torch.int8)
    weight.div_(scale[:, None].to(weight.dtype)).round_()
    return q, scale
""",
        ),
        "everything becomes zero": (
            INT8 - {"int8_scale"},
            """
def quantize_int8(weight):
    scale = (weight.float().abs().amax(1) / 127).clamp(min=1e-12)
    return torch.zeros_like(weight, dtype=torch.int8), scale
""",
        ),
    },
}

RIGHT: dict[str, dict[str, str]] = {
    "quantize_int8": {
        "a loop over the rows": """
def quantize_int8(weight):
    rows, scales = [], []
    for row in weight.detach().float():
        largest = row.abs().max().item()
        scales.append(largest / 127 if largest else 1.0)
        rows.append((row / scales[-1]).round())
    return torch.stack(rows).clamp(-127, 127).to(torch.int8), torch.tensor(scales)
""",
        "NumPy": """
def quantize_int8(weight):
    import numpy as np

    w = weight.detach().float().numpy()
    scale = np.abs(w).max(axis=1) / 127
    scale[scale == 0] = 1
    return torch.from_numpy(np.rint(w / scale[:, None]).astype(np.int8)), torch.from_numpy(scale)
""",
        "halves away from zero": """
def quantize_int8(weight):
    weight = weight.detach().double()
    scale = (weight.abs().amax(1) / 127).clamp(min=1e-30)
    x = weight / scale[:, None]
    return (x.sign() * (x.abs() + 0.5).floor()).clamp(-127, 127).to(torch.int8), scale.float()
""",
        "a tiny scale for rows of zeros": """
def quantize_int8(weight):
    weight = weight.to(torch.float32)
    scale = torch.clamp(weight.abs().max(dim=1).values / 127, min=1e-12)
    return torch.round(weight / scale.unsqueeze(1)).type(torch.int8), scale
""",
        "torch's own kernel": """
def quantize_int8(weight):
    weight = weight.detach().float().contiguous()
    largest = weight.abs().amax(1)
    scale = torch.where(largest == 0, torch.ones_like(largest), largest / 127)
    zero = torch.zeros(len(scale), dtype=torch.int64)
    return torch.quantize_per_channel(weight, scale, zero, 0, torch.qint8).int_repr().clamp(-127, 127), scale
""",
    },
}
