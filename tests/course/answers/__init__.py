"""Wrong and right answers to the exercises: each module holds some of one phase, phase2_magnitude some of Phase 2.

WRONG: exercise -> name -> (the checks that must fail, all others must pass; the answer).
RIGHT: exercise -> name -> the answer.
"""

from __future__ import annotations

import importlib
import pkgutil

Wrong = dict[str, dict[str, tuple[set[str], str]]]
Right = dict[str, dict[str, str]]


def answers(phase: str) -> tuple[Wrong, Right]:
    """WRONG and RIGHT of all modules of a phase, such as "phase2_techniques"."""
    wrong, right = {}, {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        if module.name.partition("_")[0] == phase.partition("_")[0]:
            found = importlib.import_module(f"{__name__}.{module.name}")
            assert not set(wrong) & set(found.WRONG), f"{module.name} answers an exercise that has its answers already"
            wrong |= found.WRONG
            right |= found.RIGHT
    return wrong, right
