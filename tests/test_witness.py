"""The witness names every tool that was replaced, however it was done, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from classroom import REPOSITORY

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a witness looks at a timer's signal, as on Unix")

# One process: each cell is run, looked at, and undone by a second one.
TAMPERING = {
    "torch.equal": ("torch.equal = lambda *a: True", "torch.equal = saved.equal"),
    "torch.Tensor.__eq__": ("torch.Tensor.__eq__ = lambda *a: True", "del torch.Tensor.__eq__"),
    "torch.Tensor.equal": ("torch.Tensor.equal = lambda *a: True", "del torch.Tensor.equal"),
    "builtins.isinstance": ("builtins.isinstance = lambda *a: True", "builtins.isinstance = saved.isinstance"),
    "builtins.AssertionError": ("builtins.AssertionError = KeyError", "builtins.AssertionError = saved.AssertionError"),
    "builtins.__build_class__": ("builtins.__build_class__ = print", "builtins.__build_class__ = saved.build_class"),
    "__builtins__": ("globals()['__builtins__'] = {**vars(builtins)}", "globals()['__builtins__'] = builtins"),
    "signal.setitimer": ("signal.setitimer = print", "signal.setitimer = saved.setitimer"),
    "time.monotonic": ("time.monotonic = int", "time.monotonic = saved.monotonic"),
    "gpt2_lib.progress.Progress.check": ("P.check = print", "P.check = saved.check"),
    "progress's check": ("progress.progress.__dict__['check'] = print", "del progress.progress.__dict__['check']"),
    "gpt2_lib.progress.progress": ("progress.progress = 1", "progress.progress = saved.progress"),
    "the module gpt2_lib.progress": (
        "sys.modules['gpt2_lib.progress'] = sys",
        "sys.modules['gpt2_lib.progress'] = progress",
    ),
    "gpt2_lib.lesson.time_limit.__exit__": (
        "T.__exit__.__code__ = (lambda self, *a: True).__code__",
        "T.__exit__.__code__ = saved.exit_code",
    ),
    "gpt2_lib.lesson.time_limit.__init__": (
        "T.__init__.__defaults__ = (9e9, True)",
        "T.__init__.__defaults__ = (15.0, True)",
    ),
    "contextlib._GeneratorContextManager.__exit__": ("C.__exit__ = print", "C.__exit__ = saved.context_exit"),
    "IPython's ast_transformers": ("ip.ast_transformers.append(print)", "ip.ast_transformers.clear()"),
    "IPython's input_transformers_post": (
        "ip.input_transformers_post.append(lambda lines: lines)",
        "ip.input_transformers_post.pop()",
    ),
    "IPython's replaced methods": ("ip.showtraceback = print", "del ip.showtraceback"),
    "IPython's handlers of exceptions": (
        "ip.set_custom_exc((ValueError,), lambda *a: None)",
        "ip.set_custom_exc((), None)",
    ),
    "IPython's display hook": ("ip.displayhook, saved.hook = print, ip.displayhook", "ip.displayhook = saved.hook"),
    "IPython's tracing": ("sys.setprofile(lambda *a: None)", "sys.setprofile(None)"),
    "IPython's timer's signal": (
        "signal.signal(signal.SIGALRM, lambda *a: None)",
        "signal.signal(signal.SIGALRM, signal.SIG_DFL)",
    ),
    "IPython's events": (
        "def mine(*a): pass\nip.events.register('pre_run_cell', mine)",
        "ip.events.unregister('pre_run_cell', mine)",
    ),
    "the compiler's ast_parse": ("ip.compile.ast_parse = print", "del ip.compile.ast_parse"),
    "the kernel's session's send": ("ip.kernel.session.send = print", "del ip.kernel.session.send"),
    "the kernel's shell_handlers.execute_request": (
        "ip.kernel.shell_handlers['execute_request'] = len",
        "ip.kernel.shell_handlers['execute_request'] = print",
    ),
}
HONEST = {
    "a progress bar": "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass",
    "a plot": "import matplotlib.pyplot as plt\nplt.plot([1]); plt.close('all')",
    "%matplotlib inline": "%matplotlib inline",
    "settings": "torch.set_printoptions(precision=2); torch.manual_seed(0); torch.set_grad_enabled(True)",
    "training": (
        "net = torch.nn.Linear(2, 1); way = torch.optim.AdamW(net.parameters())\n"
        "net(torch.ones(1, 2)).sum().backward(); way.step()"
    ),
    "warnings and logging": "import warnings, logging\nwarnings.simplefilter('ignore'); logging.basicConfig()",
    "a hook of a model's": "net = torch.nn.Linear(1, 1); net.register_forward_hook(lambda *a: None)",
    "classes of its own": (
        "class Mine(torch.nn.Module):\n    def forward(self, x): return x\nclass T2(torch.Tensor): pass"
    ),
    "a time limit": "from gpt2_lib.lesson import time_limit\nwith time_limit(): pass",
    "a check": "with progress.progress.check('x', print): pass",
    "names of its own": "equal = isinstance_ = check = 3",
    "an error": "1 / 0",
    "the library used": "from gpt2_lib.selection import layer_masks\nlayer_masks({'a': torch.ones(4)}, 0.5)",
}
PROGRAM = """
import json, sys
from types import SimpleNamespace
import torch, torch._dynamo, matplotlib.pyplot, gpt2_lib.demos, gpt2_lib.progress
from ipykernel.zmqshell import ZMQInteractiveShell
from jupyter_client.session import Session
from autograder.sandbox.witness import Witness

shell = ZMQInteractiveShell.instance()
shell.kernel = SimpleNamespace(session=Session(), shell_handlers={"execute_request": print}, control_handlers={})
witness = Witness(shell)
cells, found = json.load(sys.stdin), []
shell.run_cell(cells.pop(0))
for done, undone in cells:
    # Not as a cell where it can be helped: IPython itself stumbles on some of it.
    run = shell.run_cell if undone == "pass" else lambda code: exec(code, shell.user_ns)
    run(done)
    changed = witness.changed()
    run(undone)
    found.append([changed, witness.changed()])
shell.run_cell("int = range = 5; from torch import abs; from builtins import len")
found.append(witness.hidden(["abs", "int", "len", "open", "range", "str"]))
print("FOUND", json.dumps(found))
"""
SETUP = """
import builtins, contextlib, signal, sys, time
from types import SimpleNamespace
import torch
from gpt2_lib import lesson, progress
ip, P, T, C = get_ipython(), progress.Progress, lesson.time_limit, contextlib._GeneratorContextManager
saved = SimpleNamespace(equal=torch.equal, isinstance=isinstance, progress=progress.progress)
saved.AssertionError, saved.build_class, saved.setitimer = AssertionError, __build_class__, signal.setitimer
saved.monotonic, saved.check, saved.exit_code = time.monotonic, P.check, T.__exit__.__code__
saved.context_exit = C.__exit__
"""


@pytest.fixture(scope="module")
def found() -> dict[str, list]:
    """What a witness named after each cell, and after it was undone; "hidden": see `PROGRAM`'s end."""
    cells = [*TAMPERING.values(), *((code, "pass") for code in HONEST.values())]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([SETUP, *cells]),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert "FOUND" in done.stdout, done.stderr[-2000:]
    told = json.loads(done.stdout.rpartition("FOUND")[2])
    return dict(zip([*TAMPERING, *HONEST, "hidden"], told, strict=True))


@pytest.mark.parametrize("name", TAMPERING)
def test_what_was_replaced_is_named(found: dict[str, list], name: str) -> None:
    changed, after = found[name]
    assert name in changed
    assert after == []


@pytest.mark.parametrize("name", HONEST)
def test_honest_cells_replace_nothing(found: dict[str, list], name: str) -> None:
    assert found[name] == [[], []]


def test_names_of_pythons_own_that_mean_something_else_are_told(found: dict[str, list]) -> None:
    assert found["hidden"] == ["abs", "int", "range"]
