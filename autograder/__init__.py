"""The autograder, on top of nbgrader: from masters to learners' notebooks, and from submissions to points.

``python -m autograder release | check-release | check | grade | feedback``
"""

import sys as _sys
from importlib.util import find_spec as _find_spec

if _find_spec("nbgrader") is None:  # the library alone was installed
    _NEEDED = "The autograder needs the extra course: python -m pip install 'gpt2-pruning-course[course]'"
    if _sys.argv[:1] == ["-m"]:  # `python -m autograder` is starting
        _sys.exit(_NEEDED)
    raise ImportError(_NEEDED)
