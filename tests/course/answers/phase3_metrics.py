"""Answers to exercise 3.3: wrong ones with the checks that each must fail, and unusual right ones."""

from __future__ import annotations

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
ALL_METRICS = {"metrics_accuracy", "metrics_memory", "metrics_latency", "metrics_care"}


def metrics(old: str, new: str) -> str:
    assert old in METRICS
    return METRICS.replace(old, new)


WRONG: dict[str, dict[str, tuple[set[str], str]]] = {
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
}

RIGHT: dict[str, dict[str, str]] = {
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
}
