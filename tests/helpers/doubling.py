"""A course of one phase, "tiny", with one small notebook, "doubling"."""

from __future__ import annotations

from pathlib import Path

from classroom import Classroom

MASTER = '''# %% locked="setup"
import math

# %% exercise="double"
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return x + x
    ### END SOLUTION

# %% tests="double_basics" points=2
assert double(2) == 4, f"Twice 2 is 4; yours is {double(2)}."
### BEGIN HIDDEN TESTS
the_hidden_input = -3
assert double(the_hidden_input) == -6, f"Twice -3 is -6; yours is {double(the_hidden_input)}."
### END HIDDEN TESTS

# %% tests="double_text" points=1
assert double("a") == "aa", f"Twice 'a' is 'aa'; yours is {double('a')!r}."
'''
GOOD = "def double(x):\n    return 2 * x"


def small_course(folder: Path, more: str = "") -> Classroom:
    """The course, released in a new folder of ``folder``; ``more`` cells stand at the notebook's end."""
    source = folder / "doubling.py"
    source.write_text(MASTER + more, encoding="utf-8")
    return Classroom.made_of([source], folder / "course", "tiny")
