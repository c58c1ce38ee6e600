"""Answers to exercise 3.5: wrong ones with the checks that each must fail, and unusual right ones."""

from __future__ import annotations


def letters(text: str) -> str:
    return f"def readiness():\n    return dict(enumerate({text!r}, start=1))"


WRONG: dict[str, dict[str, tuple[set[str], str]]] = {
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
    "readiness": {
        "capital letters": letters("CADBC"),
        "one after the other": "def readiness():\n    a = {}\n    a[1] = 'c'\n    a[2] = 'a'\n    a[3] = 'd'\n"
        "    a[4] = 'b'\n    a[5] = 'c'\n    return a",
        "with blanks": "def readiness():\n    return {1: ' c', 2: 'a ', 3: ' d ', 4: 'b', 5: 'c'}",
        "in another order": "def readiness():\n    return {5: 'c', 4: 'b', 3: 'd', 2: 'a', 1: 'c'}",
    },
}
