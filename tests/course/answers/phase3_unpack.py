"""Answers to exercise 3.1 b: wrong ones with the checks that each must fail, and unusual right ones."""

from __future__ import annotations

WRONG: dict[str, dict[str, tuple[set[str], str]]] = {
    "unpack": {
        "nothing returned": ({"unpack_exact", "unpack_care"}, "def unpack(bitmask, values, shape):\n    pass"),
        "zeros": (
            {"unpack_exact", "unpack_care"},
            "def unpack(bitmask, values, shape):\n    return torch.zeros(shape)",
        ),
        "values at the front": (
            {"unpack_exact"},
            """
def unpack(bitmask, values, shape):
    flat = torch.zeros(math.prod(shape), dtype=values.dtype)
    flat[: len(values)] = values
    return flat.view(shape)
""",
        ),
        "flat": (
            {"unpack_exact", "unpack_care"},
            """
def unpack(bitmask, values, shape):
    import numpy as np

    bits = torch.from_numpy(np.unpackbits(bitmask.numpy())[: math.prod(shape)]).bool()
    flat = torch.zeros(math.prod(shape), dtype=values.dtype)
    flat[bits] = values
    return flat
""",
        ),
        "always float32": (
            {"unpack_care"},
            """
def unpack(bitmask, values, shape):
    import numpy as np

    bits = torch.from_numpy(np.unpackbits(bitmask.numpy())[: math.prod(shape)]).bool()
    flat = torch.zeros(math.prod(shape))
    flat[bits] = values.float()
    return flat.view(shape)
""",
        ),
        "the values backwards": (
            {"unpack_exact"},
            """
def unpack(bitmask, values, shape):
    import numpy as np

    bits = torch.from_numpy(np.unpackbits(bitmask.numpy())[: math.prod(shape)]).bool()
    flat = torch.zeros(math.prod(shape), dtype=values.dtype)
    flat[bits] = values.flip(0)
    return flat.view(shape)
""",
        ),
        "the filled-up bits are not cut off": (
            {"unpack_exact"},
            """
def unpack(bitmask, values, shape):
    import numpy as np

    bits = torch.from_numpy(np.unpackbits(bitmask.numpy())).bool()
    flat = torch.zeros(len(bits), dtype=values.dtype)
    flat[bits] = values
    return flat.view(shape)
""",
        ),
        "the other end of the byte": (  # whoever has this packs from the highest bit on
            {"unpack_exact"},
            """
def unpack(bitmask, values, shape):
    import numpy as np

    bits = torch.from_numpy(np.unpackbits(bitmask.numpy(), bitorder="little")[: math.prod(shape)]).bool()
    flat = torch.zeros(math.prod(shape), dtype=values.dtype)
    flat[bits] = values
    return flat.view(shape)
""",
        ),
        "ones instead of values": (
            {"unpack_exact", "unpack_care"},
            """
def unpack(bitmask, values, shape):
    import numpy as np

    return torch.from_numpy(np.unpackbits(bitmask.numpy())[: math.prod(shape)]).to(values.dtype).view(shape)
""",
        ),
        "always a matrix": (
            {"unpack_exact"},
            """
def unpack(bitmask, values, shape):
    import numpy as np

    bits = torch.from_numpy(np.unpackbits(bitmask.numpy())[: math.prod(shape)]).bool()
    flat = torch.zeros(math.prod(shape), dtype=values.dtype)
    flat[bits] = values
    return flat.view(shape[0], -1)
""",
        ),
        "only matrices": (
            {"unpack_exact"},
            """
def unpack(bitmask, values, shape):
    import numpy as np

    rows, columns = shape
    bits = torch.from_numpy(np.unpackbits(bitmask.numpy())[: rows * columns]).bool()
    flat = torch.zeros(rows * columns, dtype=values.dtype)
    flat[bits] = values
    return flat.view(rows, columns)
""",
        ),
        "the values are used up": (
            {"unpack_care"},
            """
def unpack(bitmask, values, shape):
    import numpy as np

    bits = torch.from_numpy(np.unpackbits(bitmask.numpy())[: math.prod(shape)]).bool()
    flat = torch.zeros(math.prod(shape), dtype=values.dtype)
    flat[bits] = values
    values.zero_()
    return flat.view(shape)
""",
        ),
    },
}

RIGHT: dict[str, dict[str, str]] = {
    "unpack": {
        "NumPy's unpackbits": """
def unpack(bitmask, values, shape):
    import numpy as np

    bits = torch.from_numpy(np.unpackbits(bitmask.numpy())[: math.prod(shape)]).bool()
    flat = torch.zeros(math.prod(shape), dtype=values.dtype)
    flat[bits] = values
    return flat.view(shape)
""",
        "masked_scatter": """
def unpack(bitmask, values, shape):
    bits = bitmask.int()[:, None] >> torch.arange(7, -1, -1) & 1
    bits = bits.flatten()[: math.prod(shape)].bool().view(shape)
    return torch.zeros(shape, dtype=values.dtype).masked_scatter(bits, values)
""",
        "a loop": """
def unpack(bitmask, values, shape):
    left, flat = list(values), []
    for byte in bitmask.tolist():
        for place in range(8):
            flat.append(left.pop(0) if byte & (128 >> place) else torch.zeros((), dtype=values.dtype))
    return torch.stack(flat[: math.prod(shape)]).view(shape)
""",
        "positions": """
def unpack(bitmask, values, shape):
    bits = "".join(f"{byte:08b}" for byte in bitmask.tolist())
    flat = values.new_zeros(math.prod(shape))
    flat[[i for i, bit in enumerate(bits) if bit == "1"]] = values
    return flat.reshape(shape)
""",
    },
}
