"""Answers to exercise 3.4: wrong ones with the checks that each must fail, and unusual right ones."""

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
ALL_RATIOS = {"analysis_compression", "analysis_speedup", "analysis_quality"}


def own(ratios: str) -> str:
    return OWN.replace("RETURN", ratios)


WRONG: dict[str, dict[str, tuple[set[str], str]]] = {
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
}

RIGHT: dict[str, dict[str, str]] = {
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
}
