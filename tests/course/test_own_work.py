"""Tests of own_work: calls of the library are detected, and own code is accepted. Hidden calls are out of scope."""

from __future__ import annotations

import pytest
import torch

from gpt2_lib.course.own_work import borrowed, code_of


def look(code: str) -> str | None:
    """Return what the function f of a notebook with ``code`` is built on."""
    notebook = {"__name__": "__main__", "torch": torch}
    exec(code, notebook)
    return borrowed(notebook["f"], notebook)


SELECTION = "from gpt2_lib.pruning.selection import layer_masks\n"
BORROWED = {
    "a name imported above": SELECTION + "def f(w): return layer_masks(w)",
    "under another name": SELECTION + "ours = layer_masks\ndef f(w): return ours(w)",
    "a module imported above": "import gpt2_lib.pruning.selection\n"
    "def f(w): return gpt2_lib.pruning.selection.layer_masks(w)",
    "import as, inside": "def f(w):\n    import gpt2_lib.pruning.selection as s\n    return s.layer_masks(w)",
    "from import, inside": "def f(w):\n    from gpt2_lib.pruning import schedules, selection\n"
    "    return selection.layer_masks(w)",
    "a star": "from gpt2_lib import *\ndef f(m): return apply_magnitude_pruning(m)",
    "a helper": "from gpt2_lib.pruning.scores import neuron\ndef h(w): return neuron(w)\ndef f(w): return h(w)",
    "a nested function": SELECTION + "def f(w):\n    def g(): return layer_masks(w)\n    return g()",
    "decorated": SELECTION + "@torch.no_grad()\ndef f(w): return layer_masks(w)",
    "the function itself": "from gpt2_lib.pruning.schedules import cubic_sparsity as f",
    "a method": "from gpt2_lib import ModelPruner\nf = ModelPruner.prune_globally",
    "imported around a nested function": "def f(w):\n    from gpt2_lib.pruning import selection\n"
    "    def g(): return selection.layer_masks(w)\n    return g()",
    "two imports on a line": "def f(w):\n    from gpt2_lib.pruning.selection import global_masks, layer_masks\n"
    "    return layer_masks(w)",
    "handed on": "def f(w):\n    from gpt2_lib.pruning.selection import layer_masks\n"
    "    return list(map(layer_masks, w))",
    "an object of the library's": "from gpt2_lib import ModelPruner\npruner = ModelPruner.__new__(ModelPruner)\n"
    "def f(m): return pruner.prune(0.5)",
    "a class of one's own": "from gpt2_lib import ModelPruner\nclass P(ModelPruner): pass\ndef f(m): return P(m)",
    "the reference solutions": "def f(w):\n    from gpt2_lib.course.exercises import reference\n"
    "    return reference().magnitude_mask(w, 0.5)",
    "PyTorch's, by its dots": "import torch.nn.utils.prune\ndef f(m): torch.nn.utils.prune.identity(m, 'weight')",
    "PyTorch's, inside": "def f(m):\n    from torch.nn.utils import prune\n    prune.l1_unstructured(m, 'weight', 1)",
    "PyTorch's, a function": "from torch.nn.utils.prune import l1_unstructured as cut\ndef f(m): cut(m, 'weight', 1)",
}

HONEST = {
    "own work": "def f(w, s): return w.abs() > torch.nn.functional.relu(w).mean()",
    "imported, but not used": SELECTION + "import torch.nn.utils.prune as p\ndef f(w): return w.abs() > 0",
    "imported inside, but not used": "def f(w):\n    import gpt2_lib.pruning.masking\n"
    "    import gpt2_lib.pruning.selection as s\n"
    "    from gpt2_lib.pruning import scores\n    from gpt2_lib.pruning.selection import global_masks, layer_masks\n"
    "    return w.abs() > 0",
    "a module of which nothing is called": "import gpt2_lib.pruning.masking\ndef f(w):\n"
    "    import gpt2_lib.pruning.selection as s\n"
    "    print(gpt2_lib.pruning.masking, s, s.__doc__)\n    return w",
    "the name of an import, used for something else": "def f(w):\n"
    "    from gpt2_lib.pruning.selection import layer_masks\n    layer_masks = w.abs()\n    return layer_masks > 0",
    "own function of the same name": SELECTION + "def layer_masks(w): return w\ndef f(w): return layer_masks(w)",
    "an attribute of the same name": "from gpt2_lib.pruning import pruner\ndef f(model): return model.pruner.prune",
    "names the model": "from gpt2_lib import GPT2\ndef f(m):\n    assert isinstance(m, GPT2)\n    return m",
    "draws with our colours": "def f(w):\n    from gpt2_lib import plots\n    return plots.STAYS",
    "torch's other helpers": "def f(m): return torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0)",
    "NumPy": "import numpy as np\ndef f(w): return np.sort(w)",
    "recursive": "def f(n): return f(n - 1) if n else 0",
    "a built-in": "f = sorted",
    "names that are missing": "def f(w): return nobody.knows(w)",
}


@pytest.mark.parametrize("code", BORROWED.values(), ids=BORROWED)
def test_borrowed_work_is_seen_and_its_source_named(code: str) -> None:
    source = look(code)
    assert source is not None
    assert source.startswith(("gpt2_lib", "torch.nn.utils.prune"))


@pytest.mark.parametrize("code", HONEST.values(), ids=HONEST)
def test_own_work_is_left_alone(code: str) -> None:
    assert look(code) is None


def test_the_code_of_a_function_is_its_own_its_helpers_and_what_is_nested_in_them() -> None:
    notebook = {"__name__": "__main__", "torch": torch}
    exec(
        "def h(x): return [y for y in x]\ndef f(x):\n    def g(): return h(x)\n    return g()\ndef o(): pass", notebook
    )
    names = {code.co_name for code in code_of(notebook["f"], notebook)}
    assert {"f", "g", "h"} <= names
    assert "o" not in names


def test_the_code_of_a_decorated_function_is_the_learners_own() -> None:
    notebook = {"__name__": "__main__", "torch": torch}
    exec("@torch.no_grad()\ndef f(x): return x", notebook)
    assert {code.co_name for code in code_of(notebook["f"], notebook)} == {"f"}


def test_a_proxy_of_a_function_knows_its_borrowed_name() -> None:
    class Proxy:
        def __init__(self, found: str | None) -> None:
            self.__borrowed__ = found

    assert borrowed(Proxy("gpt2_lib.pruning.selection.layer_masks"), {}) == "gpt2_lib.pruning.selection.layer_masks"
    assert borrowed(Proxy(None), {}) is None
