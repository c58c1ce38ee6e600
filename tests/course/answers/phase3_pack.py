"""Answers to exercise 3.1 a: wrong ones with the checks that each must fail, and unusual right ones."""

from __future__ import annotations

PACK = {"pack_bits", "pack_values", "pack_care"}

WRONG: dict[str, dict[str, tuple[set[str], str]]] = {
    "pack": {
        "nothing returned": (PACK, "def pack(weight):\n    bitmask = weight != 0"),
        "words": (PACK, 'def pack(weight):\n    return "bits", "values"'),
        "a byte for each entry": (
            {"pack_bits", "pack_care"},
            "def pack(weight):\n    flat = weight.flatten()\n    return (flat != 0).to(torch.uint8), flat[flat != 0]",
        ),
        "a bit is 1 where the weight is zero": (
            {"pack_bits"},
            """
def pack(weight):
    flat = weight.float().flatten()
    bits = np_bits((flat == 0).numpy())
    return torch.from_numpy(bits), weight.flatten()[flat != 0]


def np_bits(flags):
    import numpy as np

    return np.packbits(flags)
""",
        ),
        "each byte's halves change places": (
            {"pack_bits", "pack_care"},
            """
def pack(weight):
    kept = (weight != 0).contiguous()
    packed = torch.from_numpy(np.packbits(kept.numpy())).int()
    return ((packed % 16) * 16 + packed // 16).to(torch.uint8), weight[kept]
""",
        ),
        "the last, unfinished byte is forgotten": (
            {"pack_bits", "pack_care"},
            """
def pack(weight):
    flat = weight.flatten()
    bytes_ = []
    for start in range(0, flat.numel() // 8 * 8, 8):
        bytes_.append(sum(int(v != 0) << (7 - i) for i, v in enumerate(flat[start : start + 8])))
    return torch.tensor(bytes_, dtype=torch.uint8), flat[flat != 0]
""",
        ),
        "positive values only": (
            PACK,
            """
def pack(weight):
    import numpy as np

    flat = weight.flatten()
    return torch.from_numpy(np.packbits((flat > 0).numpy())), flat[flat > 0]
""",
        ),
        "tiny values are zero": (
            {"pack_values"},
            """
def pack(weight):
    import numpy as np

    flat = weight.flatten()
    kept = flat.abs() > 1e-8
    return torch.from_numpy(np.packbits(kept.numpy())), flat[kept]
""",
        ),
        "all values, zeros too": (
            {"pack_values", "pack_care"},
            """
def pack(weight):
    import numpy as np

    return torch.from_numpy(np.packbits((weight.flatten() != 0).numpy())), weight.flatten()
""",
        ),
        "values sorted": (
            {"pack_values"},
            """
def pack(weight):
    import numpy as np

    flat = weight.flatten()
    return torch.from_numpy(np.packbits((flat != 0).numpy())), flat[flat != 0].sort().values
""",
        ),
        "each row packed on its own": (
            {"pack_bits", "pack_care"},
            """
def pack(weight):
    import numpy as np

    bits = np.packbits((weight != 0).numpy(), axis=-1)
    return torch.from_numpy(bits).flatten(), weight[weight != 0]
""",
        ),
        "column by column": (
            PACK,
            """
def pack(weight):
    import numpy as np

    flat = weight.t().flatten() if weight.dim() == 2 else weight.flatten()
    return torch.from_numpy(np.packbits((flat != 0).numpy())), flat[flat != 0]
""",
        ),
        "a byte too many where eight divides": (
            {"pack_bits"},
            """
def pack(weight):
    import numpy as np

    flat = weight.flatten()
    bits = np.zeros(8 * (flat.numel() // 8 + 1), dtype=bool)
    bits[: flat.numel()] = (flat != 0).numpy()
    return torch.from_numpy(np.packbits(bits)), flat[flat != 0]
""",
        ),
        "as it lies in memory": (
            {"pack_care"},
            """
def pack(weight):
    import numpy as np

    flat = weight.as_strided((weight.numel(),), (1,))
    return torch.from_numpy(np.packbits((flat != 0).numpy())), flat[flat != 0]
""",
        ),
        "always in float32": (
            {"pack_care"},
            """
def pack(weight):
    import numpy as np

    flat = weight.float().flatten()
    return torch.from_numpy(np.packbits((flat != 0).numpy())), flat[flat != 0]
""",
        ),
        "the weight is changed": (
            {"pack_care"},
            """
def pack(weight):
    import numpy as np

    flat = weight.flatten()
    bits, values = torch.from_numpy(np.packbits((flat != 0).numpy())), flat[flat != 0]
    weight.zero_()
    return bits, values
""",
        ),
        "NumPy arrays": (
            {"pack_care"},
            """
def pack(weight):
    import numpy as np

    flat = weight.float().flatten().numpy()
    return np.packbits(flat != 0), flat[flat != 0]
""",
        ),
    },
}

RIGHT: dict[str, dict[str, str]] = {
    "pack": {
        "NumPy's packbits": """
def pack(weight):
    import numpy as np

    flat = weight.detach().flatten()
    return torch.from_numpy(np.packbits((flat != 0).numpy())), flat[flat != 0]
""",
        "the lowest bit first": """
def pack(weight):
    import numpy as np

    flat = weight.detach().flatten()
    return torch.from_numpy(np.packbits((flat != 0).numpy(), bitorder="little")), flat[flat != 0]
""",
        "a loop": """
def pack(weight):
    bytes_, values, flat = [], [], weight.reshape(-1)
    for start in range(0, flat.numel(), 8):
        byte = 0
        for place, value in enumerate(flat[start : start + 8].tolist()):
            if value != 0:
                byte |= 1 << (7 - place)
        bytes_.append(byte)
    return torch.tensor(bytes_, dtype=torch.uint8), torch.stack([v for v in flat if v != 0] or [flat[:0].sum()])[
        : int((flat != 0).sum())
    ]
""",
        "boolean indexing and powers of two": """
def pack(weight):
    kept = torch.ne(weight, 0)
    bits = torch.nn.functional.pad(kept.reshape(-1).int(), (0, -weight.numel() % 8)).view(-1, 8)
    return (bits << torch.arange(7, -1, -1, dtype=torch.int32)).sum(1).to(torch.uint8), weight[kept]
""",
        "a list of two": """
def pack(weight):
    import numpy as np

    flat = weight.flatten()
    return [torch.tensor(np.packbits((flat != 0).numpy())), flat[flat.nonzero().flatten()]]
""",
    },
}
