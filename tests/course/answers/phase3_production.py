"""Answers to the exercises of Phase 3's main notebook: wrong ones with the checks each must fail, and right ones."""

from __future__ import annotations

# A metrics function of its own, so that these answers don't depend on what is handed in for exercise 3.3.
OWN = """
def deployment_analysis(original_model, pruned_model, test_data):
    def measured(model):
        times = []
        with torch.no_grad():
            for _ in range(6):
                started = time.perf_counter()
                model(test_data[:1])
                times.append(time.perf_counter() - started)
            hits = (model(test_data)[:, :-1].argmax(-1) == test_data[:, 1:]).double().mean().item()
        return sorted(times[1:])[2], hits

    def packed(p):
        return -(-p.numel() // 8) + p.element_size() * int((p != 0).sum())

    (t0, a0), (t1, a1) = measured(original_model), measured(pruned_model)
    dense = sum(p.numel() * p.element_size() for p in original_model.parameters())
    stored = sum(min(packed(p), p.numel() * p.element_size()) for p in pruned_model.parameters())
    RETURN
"""
RATIOS = 'return {"compression": dense / stored, "speedup": t0 / t1, "quality": a1 / a0}'

METRICS = """
def evaluate_production_metrics(model, test_data):
    was = model.training
    model.eval()
    times = []
    with torch.no_grad():
        for _ in range(7):
            started = time.perf_counter()
            model(test_data[:1])
            times.append(time.perf_counter() - started)
        logits = model(test_data)
    model.train(was)
    latency = sorted(times)[3]
    memory = sum(p.numel() * p.element_size() for p in model.parameters())
    accuracy = (logits[:, :-1].argmax(-1) == test_data[:, 1:]).double().mean().item()
    return {"latency": latency, "memory": memory, "accuracy": accuracy}
"""


def own(ratios: str) -> str:
    return OWN.replace("RETURN", ratios)


def metrics(old: str, new: str) -> str:
    assert old in METRICS
    return METRICS.replace(old, new)


def letters(text: str) -> str:
    return f"def readiness():\n    return dict(enumerate({text!r}, start=1))"


PACK = {"pack_bits", "pack_values", "pack_care"}
INT8 = {"int8_range", "int8_scale", "int8_nearest", "int8_zeros", "int8_care"}
ALL_METRICS = {"metrics_accuracy", "metrics_memory", "metrics_latency", "metrics_care"}
ALL_RATIOS = {"analysis_compression", "analysis_speedup", "analysis_quality"}

# exercise -> name -> (the checks that must fail, all others must pass; the answer)
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
    "evaluate_production_metrics": {
        "nothing returned": (
            ALL_METRICS,
            metrics('return {"latency": latency, "memory": memory, "accuracy": accuracy}', "pass"),
        ),
        "words": (
            ALL_METRICS,
            metrics(
                '"latency": latency, "memory": memory, "accuracy": accuracy',
                '"latency": "fast", "memory": "small", "accuracy": "high"',
            ),
        ),
        "the weights are changed": (
            {"metrics_care"},
            metrics("    model.train(was)\n", "    model.train(was)\n    next(model.parameters()).data.add_(1e-6)\n"),
        ),
        "each guess against the token it saw": (
            {"metrics_accuracy"},
            metrics("logits[:, :-1].argmax(-1) == test_data[:, 1:]", "logits.argmax(-1) == test_data"),
        ),
        "guesses shifted the other way": (
            {"metrics_accuracy"},
            metrics("logits[:, :-1].argmax(-1) == test_data[:, 1:]", "logits[:, 1:].argmax(-1) == test_data[:, :-1]"),
        ),
        "guesses shifted by two": (
            {"metrics_accuracy"},
            metrics("logits[:, :-1].argmax(-1) == test_data[:, 1:]", "logits[:, :-2].argmax(-1) == test_data[:, 2:]"),
        ),
        "guesses shifted by two, the other way": (
            {"metrics_accuracy"},
            metrics("logits[:, :-1].argmax(-1) == test_data[:, 1:]", "logits[:, 2:].argmax(-1) == test_data[:, :-2]"),
        ),
        "shifted across pages": (
            {"metrics_accuracy"},
            metrics(
                "logits[:, :-1].argmax(-1) == test_data[:, 1:]",
                "logits.argmax(-1).flatten()[:-1] == test_data.flatten()[1:]",
            ),
        ),
        "the last place alone": (
            {"metrics_accuracy"},
            metrics("logits[:, :-1].argmax(-1) == test_data[:, 1:]", "logits[:, -2].argmax(-1) == test_data[:, -1]"),
        ),
        "the last page alone": (
            {"metrics_accuracy"},
            metrics(
                "(logits[:, :-1].argmax(-1) == test_data[:, 1:])", "(logits[-1:, :-1].argmax(-1) == test_data[-1:, 1:])"
            ),
        ),
        "how many, not which share": ({"metrics_accuracy"}, metrics(".double().mean()", ".double().sum()")),
        "the share of wrong guesses": ({"metrics_accuracy"}, metrics("argmax(-1) ==", "argmax(-1) !=")),
        "percent": ({"metrics_accuracy"}, metrics(".mean().item()", ".mean().item() * 100")),
        "the first token counts as missed": (
            {"metrics_accuracy"},
            metrics(".double().mean().item()", ".sum().item() / test_data.numel()"),
        ),
        "the first page alone": (
            {"metrics_accuracy"},
            metrics(
                "(logits[:, :-1].argmax(-1) == test_data[:, 1:])", "(logits[:1, :-1].argmax(-1) == test_data[:1, 1:])"
            ),
        ),
        "pages in twos, and the last of an odd number is forgotten": (
            {"metrics_accuracy"},
            metrics(
                "    model.train(was)\n",
                "    even = len(logits) // 2 * 2 or 1\n    model.train(was)\n"
                "    test_data, logits = test_data[:even], logits[:even]\n",
            ),
        ),
        "dropout is on": ({"metrics_accuracy"}, metrics("    model.eval()\n", "")),
        "left in evaluation mode": ({"metrics_care"}, metrics("    model.train(was)\n", "")),
        "parameters, not bytes": ({"metrics_memory"}, metrics("p.numel() * p.element_size()", "p.numel()")),
        "always four bytes": ({"metrics_memory"}, metrics("p.numel() * p.element_size()", "4 * p.numel()")),
        "megabytes": (
            {"metrics_memory"},
            metrics("for p in model.parameters())", "for p in model.parameters()) / 1e6"),
        ),
        "milliseconds": (
            {"metrics_latency"},
            metrics("latency = sorted(times)[3]", "latency = 1000 * sorted(times)[3]"),
        ),
        "the mean": ({"metrics_latency"}, metrics("latency = sorted(times)[3]", "latency = sum(times) / len(times)")),
        "the fastest": ({"metrics_latency"}, metrics("latency = sorted(times)[3]", "latency = min(times)")),
        "the slowest": ({"metrics_latency"}, metrics("latency = sorted(times)[3]", "latency = max(times)")),
        "a single pass": ({"metrics_latency"}, metrics("latency = sorted(times)[3]", "latency = times[0]")),
        "all pages": ({"metrics_latency"}, metrics("model(test_data[:1])", "model(test_data)")),
        "computing time, not the clock": (
            {"metrics_latency"},
            METRICS.replace("time.perf_counter()", "time.process_time()"),
        ),
        "three passes": (
            {"metrics_latency"},
            METRICS.replace("range(7)", "range(3)").replace("sorted(times)[3]", "sorted(times)[1]"),
        ),
        "the model does not sleep any more": (
            {"metrics_latency"},
            metrics("    model.eval()\n", "    model.eval()\n    model.naps = [0.0]\n"),
        ),
        "gradients switched off for good": (
            {"metrics_care"},
            metrics("    model.eval()\n", "    model.eval()\n    model.requires_grad_(False)\n"),
        ),
        "constants, and the model is not looked at": (
            ALL_METRICS,
            """
def evaluate_production_metrics(model, test_data):
    return {"latency": 0.02, "memory": 10_000, "accuracy": 0.5}
""",
        ),
        "a constant latency, chosen by the number of pages": (
            {"metrics_latency"},
            metrics("latency = sorted(times)[3]", "latency = 0.0202 if len(test_data) == 3 else 0.012"),
        ),
    },
    "deployment_analysis": {
        "nothing returned": (ALL_RATIOS, own("pass")),
        "the wrong way round": (
            ALL_RATIOS,
            own('return {"compression": stored / dense, "speedup": t1 / t0, "quality": a0 / a1}'),
        ),
        "in memory, not packed": ({"analysis_compression"}, own(RATIOS.replace("dense / stored", "dense / dense"))),
        "every tensor packed": (
            {"analysis_compression"},
            own("stored = sum(packed(p) for p in pruned_model.parameters())\n    " + RATIOS),
        ),
        "values without bitmasks": (
            {"analysis_compression"},
            own("stored = sum(4 * int((p != 0).sum()) for p in pruned_model.parameters())\n    " + RATIOS),
        ),
        "the blocks alone": (
            {"analysis_compression"},
            own(
                "blocks = [p for n, p in pruned_model.named_parameters() if 'h.' in n and p.dim() == 2]\n"
                "    dense, stored = sum(4 * p.numel() for p in blocks), sum(packed(p) for p in blocks)\n    " + RATIOS
            ),
        ),
        "the pruned model's own dense size": (
            {"analysis_compression"},
            own("dense = sum(4 * p.numel() for p in pruned_model.parameters())\n    " + RATIOS),
        ),
        "guesses shifted the other way": (
            {"analysis_quality"},
            own(RATIOS).replace(
                "model(test_data)[:, :-1].argmax(-1) == test_data[:, 1:]",
                "model(test_data)[:, 1:].argmax(-1) == test_data[:, :-1]",
            ),
        ),
        "each guess against the token it saw": (
            {"analysis_quality"},
            own(RATIOS).replace("[:, :-1].argmax(-1) == test_data[:, 1:]", ".argmax(-1) == test_data"),
        ),
        "the last place alone": (
            {"analysis_quality"},
            own(RATIOS).replace("[:, :-1].argmax(-1) == test_data[:, 1:]", "[:, -2].argmax(-1) == test_data[:, -1]"),
        ),
        "the first page alone": (
            {"analysis_quality"},
            own(RATIOS).replace(
                "model(test_data)[:, :-1].argmax(-1) == test_data[:, 1:]",
                "model(test_data[:1])[:, :-1].argmax(-1) == test_data[:1, 1:]",
            ),
        ),
        "four bytes a value, whatever it is stored in": (
            {"analysis_compression"},
            own(RATIOS).replace("p.element_size() * int((p != 0).sum())", "4 * int((p != 0).sum())"),
        ),
        "a difference of accuracies": ({"analysis_quality"}, own(RATIOS.replace("a1 / a0", "a0 - a1"))),
        "the share lost": ({"analysis_quality"}, own(RATIOS.replace("a1 / a0", "1 - a1 / a0"))),
        "seconds saved": ({"analysis_speedup"}, own(RATIOS.replace("t0 / t1", "t0 - t1"))),
        "another name": (
            {"analysis_compression"},
            own(RATIOS.replace('"compression"', '"ratio"')),
        ),
        "five times as fast, whatever was measured": (
            {"analysis_speedup"},
            own(RATIOS.replace("t0 / t1", "5.0")),
        ),
        "no model is slower than the original": (
            {"analysis_speedup"},
            own(RATIOS.replace("t0 / t1", "max(t0 / t1, 1.0)")),
        ),
        "no model is better than the original": (
            {"analysis_quality"},
            own(RATIOS.replace("a1 / a0", "min(a1 / a0, 1.0)")),
        ),
        "no model is better than the original, and both are the same afterwards": (
            {"analysis_quality"},
            own(
                "for p, q in zip(original_model.parameters(), pruned_model.parameters()):\n"
                "        if p.shape == q.shape:\n            q.data.copy_(p.data)\n    "
                + RATIOS.replace("a1 / a0", "min(a1 / a0, 1.0)")
            ),
        ),
    },
    "readiness": {
        "not answered": ({f"ready_{n}" for n in range(1, 6)}, "def readiness():\n    return {}"),
        "all a": ({"ready_1", "ready_3", "ready_4", "ready_5"}, letters("aaaaa")),
        "all b": ({"ready_1", "ready_2", "ready_3", "ready_5"}, letters("bbbbb")),
        "all c": ({"ready_2", "ready_3", "ready_4"}, letters("ccccc")),
        "all d": ({"ready_1", "ready_2", "ready_4", "ready_5"}, letters("ddddd")),
        "a list": (
            {f"ready_{n}" for n in range(1, 6)},
            'def readiness():\n    return ["c", "a", "d", "b", "c"]',
        ),
        "the last two missing": ({"ready_4", "ready_5"}, letters("cad")),
        "keys as text": (
            {f"ready_{n}" for n in range(1, 6)},
            'def readiness():\n    return {"1": "c", "2": "a", "3": "d", "4": "b", "5": "c"}',
        ),
        "nothing returned": (
            {f"ready_{n}" for n in range(1, 6)},
            'def readiness():\n    answers = {1: "c", 2: "a", 3: "d", 4: "b", 5: "c"}',
        ),
        "no letters": (
            {f"ready_{n}" for n in range(1, 6)},
            "def readiness():\n    return dict.fromkeys(range(1, 6), 3)",
        ),
        "a letter that is no choice": ({"ready_2"}, letters("cedbc")),
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
    "evaluate_production_metrics": {
        "time.time and numpy": """
def evaluate_production_metrics(model, test_data):
    import numpy as np

    mode = model.training
    model.train(False)
    with torch.inference_mode():
        hits = [
            (model(page[None])[0, :-1].argmax(-1) == page[1:]).float().mean().item() for page in test_data
        ]
        times = []
        for _ in range(11):
            start = time.time()
            _ = model(test_data[0:1])
            times.append(time.time() - start)
    model.train(mode)
    return {
        "accuracy": np.mean(hits),
        "latency": np.median(times[1:]),
        "memory": sum(p.nbytes for p in model.parameters()),
    }
""",
        "timeit": """
def evaluate_production_metrics(model, test_data):
    import statistics
    import timeit

    was = model.training
    model.eval()
    try:
        with torch.no_grad():
            times = timeit.repeat(lambda: model(test_data[:1]), number=1, repeat=8)
            right = total = 0
            for start in range(0, len(test_data), 2):
                pages = test_data[start : start + 2]
                right += (model(pages)[:, :-1].argmax(-1) == pages[:, 1:]).sum().item()
                total += pages[:, 1:].numel()
    finally:
        model.train(was)
    return {
        "latency": statistics.median(times),
        "memory": sum(t.numel() * t.element_size() for t in model.state_dict().values()),
        "accuracy": right / total,
    }
""",
        "without no_grad": """
def evaluate_production_metrics(model, test_data):
    was = model.training
    model.eval()
    times = []
    for _ in range(9):
        started = time.perf_counter_ns()
        model(test_data[:1])
        times.append((time.perf_counter_ns() - started) / 1e9)
    guesses = model(test_data[:, :-1]).topk(1).indices.squeeze(-1)
    model.train(was)
    size = 0
    for p in model.parameters():
        size += p.nelement() * p.dtype.itemsize
    accuracy = float((guesses == test_data[:, 1:]).sum()) / guesses.numel()
    return {"latency": torch.tensor(times[1:]).median().item(), "memory": float(size), "accuracy": accuracy}
""",
        "a copy is measured": """
def evaluate_production_metrics(model, test_data):
    import copy

    twin, times = copy.deepcopy(model).eval(), []
    with torch.inference_mode():
        right = (twin(test_data)[:, :-1].argmax(-1) == test_data[:, 1:]).float().mean()
        for number in range(3 + 10):
            begun = time.monotonic()
            twin(test_data[:1])
            if number >= 3:  # the first three warm it up
                times.append(time.monotonic() - begun)
    memory = sum(p.numel() * p.element_size() for p in twin.parameters())
    return {"latency": sorted(times)[len(times) // 2], "memory": memory, "accuracy": right.item()}
""",
        "more than was asked": METRICS.replace('"accuracy": accuracy}', '"accuracy": accuracy, "passes": len(times)}'),
    },
    "deployment_analysis": {
        "by itself": own(RATIOS),
        "with more in it": own(RATIOS.replace("{", '{"original": (t0, a0), "pruned": (t1, a1), ')),
        "a loop": own("""
    total = 0
    for p in pruned_model.parameters():
        dense_bytes = p.nelement() * p.element_size()
        kept = torch.count_nonzero(p).item()
        packed_bytes = math.ceil(p.nelement() / 8) + p.itemsize * kept
        total += dense_bytes if kept == p.nelement() else min(dense_bytes, packed_bytes)
    result = {}
    result["speedup"] = t0 / t1
    result["quality"] = a1 / a0
    result["compression"] = dense / total
    return result
"""),
        "tensors as numbers": own(
            'return {"compression": torch.tensor(dense / stored), "speedup": torch.tensor(t0 / t1), '
            '"quality": torch.tensor(a1 / a0, dtype=torch.float64)}'
        ),
    },
    "readiness": {
        "capital letters": letters("CADBC"),
        "one after the other": "def readiness():\n    a = {}\n    a[1] = 'c'\n    a[2] = 'a'\n    a[3] = 'd'\n"
        "    a[4] = 'b'\n    a[5] = 'c'\n    return a",
        "with blanks": "def readiness():\n    return {1: ' c', 2: 'a ', 3: ' d ', 4: 'b', 5: 'c'}",
        "in another order": "def readiness():\n    return {5: 'c', 4: 'b', 3: 'd', 2: 'a', 1: 'c'}",
    },
}
