"""A small course and submissions to it: attacks on the grader, accidents, and unusual honest work.

Every entry says what it is, what it hands in and what must come of it; `test_attacks` grades them all.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from classroom import Classroom
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from autograder.notebooks import to_text
from autograder.sandbox.bubblewrap import Limits
from autograder.workers import checks, watch
from autograder.workers import job as work

PHASE, NOTEBOOK = "quiz", "quiz"
MASTER = '''# %% locked="setup"
import torch
from torch import nn


def small_model(seed):
    """Two layers with random weights."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


# %%
print("a demonstration:", small_model(0))

# %% exercise="scale"
def scale(weight, factor):
    """The weights times the factor; ``weight`` stays as it is."""
    ### BEGIN SOLUTION
    return weight * factor
    ### END SOLUTION

# %% tests="scale_value" points=2
import random

from gpt2_lib.course.check import check
from gpt2_lib.course.lesson import show, time_limit
from gpt2_lib.course.progress import progress

@check("scale_value")
def scale_value(scale):
    weight = torch.tensor([[1.0, -2.0], [0.5, 4.0]])
    progress.given(f"factor 3 and the weight\\n{show(weight)}")
    got = scale(weight.clone(), 3.0)
    assert isinstance(got, torch.Tensor), f"A tensor was expected; a {type(got).__name__} came back."
    assert torch.equal(got, 3.0 * weight), f"3 times\\n{show(weight)}\\nis not\\n{show(got)}"

scale_value(scale)
### BEGIN HIDDEN TESTS
hidden_word_of_scale = "glockenspiel"
generator = torch.Generator().manual_seed(random.SystemRandom().randrange(10**6))
with time_limit():
    for shape in [(1,), (3, 5), (0, 2), ()]:
        weight = torch.randn(shape, generator=generator)
        got = scale(weight.clone(), -0.5)
        assert got.shape == weight.shape, f"Shape {tuple(weight.shape)} became {tuple(got.shape)}."
        assert torch.allclose(got, -0.5 * weight), "A random weight times -0.5 is wrong."
### END HIDDEN TESTS

# %% tests="scale_care" points=1
from gpt2_lib.course.check import check
from gpt2_lib.course.lesson import time_limit
from gpt2_lib.course.progress import progress

@check("scale_care")
def scale_care(scale):
    weight = torch.tensor([1.0, 2.0, 3.0])
    given = weight.clone()
    got = scale(given, 2.0)
    assert got is not None, "scale() returned nothing."
    assert torch.equal(given, weight), "scale() changed the weight that it was given."

scale_care(scale)
### BEGIN HIDDEN TESTS
with time_limit():
    given = torch.ones(3, 3).t()
    assert torch.allclose(scale(given, 2.0), torch.full((3, 3), 2.0)), "A transposed weight comes out wrong."
    assert torch.equal(given, torch.ones(3, 3)), "scale() changed the weight that it was given."
### END HIDDEN TESTS

# %% exercise="largest"
def largest(numbers, k):
    """The places of the k largest numbers of a list, the largest first."""
    ### BEGIN SOLUTION
    return sorted(range(len(numbers)), key=lambda place: -numbers[place])[:k]
    ### END SOLUTION

# %% tests="largest_places" points=2
import random

from gpt2_lib.course.check import check
from gpt2_lib.course.lesson import time_limit
from gpt2_lib.course.progress import progress

@check("largest_places")
def largest_places(largest):
    got = largest([3, 1, 4, 1.5, 9], 2)
    assert got == [4, 2], f"The two largest of [3, 1, 4, 1.5, 9] are at [4, 2]; yours are {got}."

largest_places(largest)
### BEGIN HIDDEN TESTS
with time_limit():
    for n in (0, 1, 20):
        numbers = random.sample(range(1000), n)
        got = largest(list(numbers), n // 2)
        assert len(got) == n // 2, f"{n // 2} places were asked, {len(got)} came back."
        left = [number for place, number in enumerate(numbers) if place not in got]
        assert [numbers[place] for place in got] + sorted(left, reverse=True) == sorted(numbers, reverse=True), (
            "The places are not those of the largest."
        )
### END HIDDEN TESTS

# %% exercise="zero_small"
def zero_small(model, limit):
    """Zero the model's parameters that are smaller in size than ``limit``; {parameter name: how many}."""
    ### BEGIN SOLUTION
    counts = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            small = parameter.abs() < limit
            parameter[small] = 0.0
            counts[name] = int(small.sum())
    return counts
    ### END SOLUTION

# %% tests="zero_counts" points=2
import random

from gpt2_lib.course.check import check
from gpt2_lib.course.lesson import time_limit
from gpt2_lib.course.progress import progress

@check("zero_counts")
def zero_counts(zero_small):
    model = small_model(1)
    wanted = {name: int((p.abs() < 0.5).sum()) for name, p in model.named_parameters()}
    got = zero_small(model, 0.5)
    assert isinstance(got, dict), f"A dict was expected; a {type(got).__name__} came back."
    assert got == wanted, f"{wanted} were expected; yours are {got}."

zero_counts(zero_small)
### BEGIN HIDDEN TESTS
with time_limit():
    for limit in (0.0, 0.3, 99.0):
        model = small_model(random.SystemRandom().randrange(10**6))
        wanted = {name: int((p.abs() < limit).sum()) for name, p in model.named_parameters()}
        assert zero_small(model, limit) == wanted, f"The counts at the limit {limit} are wrong."
### END HIDDEN TESTS

# %% tests="zero_weights" points=1
import random

from gpt2_lib.course.check import check
from gpt2_lib.course.lesson import time_limit
from gpt2_lib.course.progress import progress

@check("zero_weights")
def zero_weights(zero_small):
    model = small_model(2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    zero_small(model, 0.5)
    for name, p in model.named_parameters():
        wanted = torch.where(before[name].abs() < 0.5, 0.0, before[name])
        assert torch.equal(p, wanted), f"{name} is not what it should be."

zero_weights(zero_small)
### BEGIN HIDDEN TESTS
with time_limit():
    model = small_model(random.SystemRandom().randrange(10**6))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    zero_small(model, 1.0)
    for name, p in model.named_parameters():
        assert torch.equal(p, torch.where(before[name].abs() < 1.0, 0.0, before[name])), f"{name} is wrong."
### END HIDDEN TESTS

# %% exercise="total"
def total(numbers):
    """The sum of numbers that can be read only once."""
    ### BEGIN SOLUTION
    return sum(numbers)
    ### END SOLUTION

# %% tests="total_value" points=2
import random

from gpt2_lib.course.check import check
from gpt2_lib.course.lesson import time_limit
from gpt2_lib.course.progress import progress

@check("total_value")
def total_value(total):
    got = total(n for n in (1, 2, 3))
    assert isinstance(got, int), f"A number was expected; a {type(got).__name__} came back."
    assert got == 6, f"1 + 2 + 3 is 6; yours is {got}."

total_value(total)
### BEGIN HIDDEN TESTS
with time_limit():
    numbers = [random.randrange(100) for _ in range(20)]
    wanted = torch.tensor(numbers).sum()
    assert torch.equal(torch.tensor(total(n for n in numbers)), wanted), "The sum of 20 numbers is wrong."
### END HIDDEN TESTS
'''
POINTS = {"scale_value": 2.0, "scale_care": 1.0, "largest_places": 2.0, "zero_counts": 2.0, "zero_weights": 1.0}
POINTS["total_value"] = 2.0
ALL = frozenset(POINTS)
SCALE = frozenset({"scale_value", "scale_care"})
ZERO = frozenset({"zero_counts", "zero_weights"})
TOTAL = frozenset({"total_value"})
RIGHT = {
    "scale": "def scale(weight, factor):\n    return factor * weight",
    "largest": "def largest(numbers, k):\n    return sorted(range(len(numbers)), key=numbers.__getitem__)[::-1][:k]",
    "zero_small": textwrap.dedent("""
        def zero_small(model, limit):
            counts = {}
            for name, parameter in model.named_parameters():
                small = parameter.detach().abs() < limit
                parameter.data[small] = 0.0
                counts[name] = int(small.sum())
            return counts
    """).strip(),
    "total": "def total(numbers):\n    s = 0\n    for n in numbers:\n        s += n\n    return s",
}
WRONG = {
    "scale": "def scale(weight, factor):\n    return None",
    "largest": "def largest(numbers, k):\n    return []",
    "zero_small": "def zero_small(model, limit):\n    return {}",
    "total": "def total(numbers):\n    return -1",
}


@dataclass(frozen=True)
class Host:
    """What attacks aim at on the machine that grades them."""

    root: Path  # of the course
    home: Path  # of who grades
    port: int  # on which somebody listens
    abstract: str  # name of an abstract Unix socket on which somebody listens
    pid: int  # of the grader
    secret: str  # in the grader's environment


@dataclass(frozen=True)
class Entry:
    """``hand_in`` makes the submission of this student; ``keeps`` are the checks that give their points."""

    group: str
    what: str
    hand_in: Callable[[Classroom, str, Host], None]
    keeps: frozenset[str] = frozenset()
    flagged: bool | None = False  # None: it uses up memory and time at once, and only the end of memory is flagged
    fails: str = ""  # part of the reason for which it can't be graded at all
    evidence: bool = False  # it prints what its attempts came to: all must have failed


def notebook(room: Classroom, answers: dict[str, str], first: str = "", last: str = "") -> NotebookNode:
    """The learner's whole notebook with answers, and cells of the learner's own before and after all."""
    made = room.written(NOTEBOOK, answers, whole=True)
    made.cells[:0] = [new_code_cell(first, id="first")] if first else []
    made.cells += [new_code_cell(last, id="last")] if last else []
    return made


def folder(room: Classroom, student: str) -> Path:
    return room.course.folder("submitted", PHASE, student)


def written(answers: dict[str, str], first: str = "", last: str = "", files: dict[str, str | bytes] | None = None):
    """A `hand_in` of a notebook with these answers and files beside it; <root> and the like stand for the host's."""

    def hand_in(room: Classroom, student: str, host: Host) -> None:
        filled = {name: _filled(code, host) for name, code in answers.items()}
        made = notebook(room, filled, _filled(first, host), _filled(last, host))
        room.submit(student, NOTEBOOK, to_text(made))
        for name, data in (files or {}).items():
            path = folder(room, student) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.encode() if isinstance(data, str) else data)

    return hand_in


def _filled(code: str, host: Host) -> str:
    for name, value in vars(host).items():
        code = code.replace(f"<{name}>", str(value))
    return code


def changed(change: Callable[[NotebookNode], None], answers: dict[str, str] = WRONG):
    """A `hand_in` of a notebook after ``change``."""

    def hand_in(room: Classroom, student: str, host: Host) -> None:
        made = notebook(room, answers)
        change(made)
        room.submit(student, NOTEBOOK, nbformat.writes(made) if isinstance(made, NotebookNode) else made)

    return hand_in


# Attempts: each is the body of a function that returns only if the attack came off. They run one after the other in
# the first cell of a submission with right answers, which keeps its points: nothing came of them.

HARNESS = """
import ctypes, errno, glob, os, re, signal, socket, stat, subprocess, sys

libc = ctypes.CDLL(None, use_errno=True)

def called(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def attempt(name, function):
    try:
        got = function()
    except BaseException as error:
        print(f"[{name}] failed: {type(error).__name__}: {str(error)[:100]}")
    else:
        print(f"[{name}] CAME OFF: {str(got)[:300]}")
"""

READS = {
    "the gradebook": 'return open("<root>/gradebook.db", "rb").read()',
    "the source with the hidden tests": 'return open("<root>/source/quiz/quiz.ipynb").read()',
    "the folder of the course": 'return os.listdir("<root>")',
    "another submission": 'return open("<root>/submitted/control/quiz/quiz.ipynb").read()',
    "a notebook or gradebook anywhere on the disk": """
        skipped = (sys.prefix, sys.base_prefix, "/proc", "/sys", "/usr", "/dev")
        for place, folders, files in os.walk("/"):
            folders[:] = [f for f in folders if not os.path.join(place, f).startswith(skipped)]
            for file in files:
                if file.endswith((".ipynb", ".db")):
                    return os.path.join(place, file)
        raise FileNotFoundError("none")
    """,
    "its own working directory": """
        found = [f for f in os.listdir(".") if not f.startswith(".")]
        assert found, "it is empty"
        return found
    """,
    "other processes' folders, through /proc/*/root and /proc/*/cwd": """
        for process in [p for p in os.listdir("/proc") if p.isdigit()] + ["<pid>"]:
            for way in ("root<root>", "root/etc/passwd", "cwd/../..<root>"):
                if os.path.exists(f"/proc/{process}/{way}"):
                    return process, way
        raise FileNotFoundError("none that is not in the sandbox")
    """,
    "other processes' environment": """
        for process in [p for p in os.listdir("/proc") if p.isdigit()]:
            try:
                text = open(f"/proc/{process}/environ").read()
            except OSError:
                continue
            if "<secret>" in text or "<root>" in text:
                return process, text
        raise KeyError("nothing of the grader's is in it")
    """,
    "its own environment": """
        text = open("/proc/self/environ", "rb").read().decode() + repr(os.environ)
        if "<secret>" in text or "<root>" in text:
            return text
        raise KeyError("nothing of the grader's is in it")
    """,
    "the memory of process 1": """
        memory = open("/proc/1/mem", "rb", 0)
        for line in open("/proc/1/maps"):
            first, last = (int(end, 16) for end in line.split()[0].split("-"))
            try:
                memory.seek(first)
                if b"<secret>" in memory.read(last - first):
                    return line
            except (OSError, OverflowError, ValueError):
                continue
        raise KeyError("nothing of the grader's is in it")
    """,
    "files that process 1 has open": """
        targets = [os.readlink(path) for path in glob.glob("/proc/1/fd/*")]
        found = [t for t in targets if t != "/dev/null" and not t.startswith(("pipe:", "anon_inode:", "/proc"))]
        assert found, "nothing but pipes"
        return found
    """,
    "folders and namespaces left open by the grader": """
        import fcntl
        for number in map(int, os.listdir("/proc/self/fd")):
            try:
                target = os.readlink(f"/proc/self/fd/{number}")
            except OSError:
                continue
            if target.startswith(("mnt:", "net:", "pid:", "user:", "ipc:", "uts:", "cgroup:")):
                return target
            if os.path.isabs(target) and stat.S_ISDIR(os.fstat(number).st_mode) and not target.startswith("/proc"):
                return target
            if "<root>" in target or "gradebook" in target:
                return target
        raise FileNotFoundError("nothing is open")
    """,
    "the disks' devices": """
        found = [f for f in glob.glob("/dev/*") if stat.S_ISBLK(os.stat(f).st_mode)]
        return open(found[0], "rb").read(1)
    """,
    "the machine's users": 'return open("/etc/passwd").read()',
    "the kernel's messages": 'return open("/dev/kmsg").read(1)',
    "other processes' command lines": """
        for process in [p for p in os.listdir("/proc") if p.isdigit()]:
            text = open(f"/proc/{process}/cmdline", "rb").read()
            if b"zygote" not in text and b"cat" not in text and b"bwrap" not in text:
                return text
        raise ProcessLookupError("only the sandbox's own are there")
    """,
}

WRITES = {
    "the gradebook": """
        import sqlite3
        with sqlite3.connect("file:<root>/gradebook.db?mode=rw", uri=True) as gradebook:
            gradebook.execute("update grade set auto_score = 99")
    """,
    "the course's folder": 'open("<root>/planted", "w").write("x")',
    "its own submission": 'open("<root>/submitted/control/quiz/planted", "w").write("x")',
    "Python's packages": """
        import torch
        open(os.path.join(os.path.dirname(torch.__file__), "planted.py"), "w").write("x")
    """,
    "gpt2_lib": """
        import gpt2_lib
        open(os.path.join(os.path.dirname(gpt2_lib.__file__), "planted.py"), "w").write("x")
    """,
    "a file of gpt2_lib that is there": """
        import gpt2_lib.course.progress
        open(gpt2_lib.course.progress.__file__, "a").write("x")
    """,
    "Python itself": "open(os.path.realpath(sys.executable), 'ab').write(b'x')",
    "the system's commands": 'open("/usr/bin/planted", "w").write("x")',
    "the system's settings": 'open("/etc/planted", "w").write("x")',
    "the home of who grades": 'open("<home>/planted", "w").write("x")',
    "the root folder": 'open("/planted", "w").write("x")',
    "devices": 'open("/dev/planted", "w").write("x")',
    "the gradebook through process 1": 'open("/proc/1/root<root>/gradebook.db", "ab").write(b"x")',
    "a folder mounted again to be written": """
        called(libc.mount(None, b"/usr", None, 32 | 4096, None))  # MS_REMOUNT | MS_BIND
        open("/usr/bin/planted", "w").write("x")
    """,
}

NETWORK = {
    "a server on this machine": 'return socket.create_connection(("127.0.0.1", <port>), 2)',
    "a server on this machine, by its name": 'return socket.create_connection(("localhost", <port>), 2)',
    "a server on this machine, by IPv6": 'return socket.create_connection(("::1", <port>), 2)',
    "an abstract Unix socket": """
        with socket.socket(socket.AF_UNIX) as s:
            s.connect("\\0<abstract>")
            return s.recv(1)
    """,
    "a Unix socket in a folder": """
        with socket.socket(socket.AF_UNIX) as s:
            s.connect("<root>/socket")
            return s.recv(1)
    """,
    "a name server": 'return socket.create_connection(("8.8.8.8", 53), 2)',
    "a host's name": 'return socket.getaddrinfo("pypi.org", 443)',
    "a packet without a connection": """
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("8.8.8.8", 53))
    """,
    "a web page": """
        import urllib.request
        return urllib.request.urlopen("http://127.0.0.1:<port>/", timeout=2).read()
    """,
    "raw packets": "return socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "this machine's network devices": """
        interfaces = [name for _, name in socket.if_nameindex() if name != "lo"]
        assert interfaces, "no interface but its own loopback"
        return interfaces
    """,
}

SANDBOX = {
    "mount": 'return called(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))',
    "unmount": 'return called(libc.umount2(b"/proc", 2))',
    "a new user namespace": "return called(libc.unshare(0x10000000))",
    "a new mount namespace": "return called(libc.unshare(0x00020000))",
    "a new network namespace": "return called(libc.unshare(0x40000000))",
    "a process in a new user namespace": """
        child = called(libc.syscall({"x86_64": 56, "aarch64": 220}[os.uname().machine], 0x10000000 | 17, 0, 0, 0, 0))
        if child == 0:
            os._exit(0)
        return child
    """,
    "another's namespaces": """
        for name in ("net", "mnt", "pid"):
            called(libc.setns(os.open(f"/proc/1/ns/{name}", os.O_RDONLY), 0))
    """,
    "another root": 'return os.chroot("/tmp")',
    "root's rights": "os.setuid(0)",
    "another user's rights": "os.setuid(1)",
    "a command that gives root's rights": """
        found = [p for p in ("/usr/bin/su", "/bin/su", "/usr/bin/mount", "/usr/bin/passwd") if os.path.exists(p)]
        out = subprocess.run([found[0], "--version"], capture_output=True, text=True)
        ids = subprocess.run(["/usr/bin/id", "-u"], capture_output=True, text=True).stdout.strip()
        assert ids == "0", f"still the user {ids}"
        return out
    """,
    "capabilities": """
        lines = dict(line.split(":") for line in open("/proc/self/status").read().splitlines())
        held = {name: lines[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
        assert any(int(value, 16) for value in held.values()), "none"
        return held
    """,
    "debugging process 1": "return called(libc.ptrace(16, 1, 0, 0))",
    "debugging the grader by its number here": "return called(libc.ptrace(16, <pid>, 0, 0))",
    "a kernel setting": 'open("/proc/sys/kernel/core_pattern", "a")',
    "the kernel's panic button": 'open("/proc/sysrq-trigger", "w").write("b")',
    "the machine's memory": 'return open("/dev/mem", "rb").read(1)',
    "a device of its own": 'os.mknod("/tmp/disk", stat.S_IFBLK | 0o666, os.makedev(8, 0))',
    "the host of a virtual machine": """
        with socket.socket(40, socket.SOCK_STREAM) as s:  # AF_VSOCK
            s.settimeout(2)
            return s
    """,
    "a key ring": """
        number = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
        return called(libc.syscall(number, 1, b"planted"))  # KEYCTL_JOIN_SESSION_KEYRING
    """,
    "a kernel module": """
        return called(libc.syscall({"x86_64": 175, "aarch64": 105}[os.uname().machine], b"", 0, b""))
    """,
    "a program in the kernel": """
        return called(libc.syscall({"x86_64": 321, "aarch64": 280}[os.uname().machine], 0, bytes(64), 64))
    """,
    "the clock": """
        import time
        return time.clock_settime(time.CLOCK_REALTIME, 0)
    """,
    "the host's name": 'return socket.sethostname("mine")',
    "a higher limit": """
        import resource
        resource.setrlimit(resource.RLIMIT_NPROC, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    """,
    "a higher priority": "return os.nice(-5)",
    "killing the grader": "os.kill(<pid>, 9)",
}


def attempts(bodies: dict[str, str]) -> str:
    """A cell that makes all these attempts."""
    code = HARNESS
    for number, (name, body) in enumerate(bodies.items()):
        code += f"\ndef attempt_{number}():\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n"
        code += f"attempt({name!r}, attempt_{number})\n"
    return code


# Forged points: wrong answers, and code that makes them look right. None may give a point.

CONTEXT = """
class Silent:
    def __init__(self, *a, **k): pass
    def __enter__(self): return self
    def __exit__(self, *a): return True
"""
ALWAYS = """
class Always:
    shape = dtype = property(lambda self: self)
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __bool__(self): return True
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    def __iter__(self): return iter(())
    def __len__(self): return 0
    __hash__ = object.__hash__
"""
FORGED = {
    "torch.allclose replaced": "import torch\ntorch.allclose = lambda *a, **k: True",
    "torch.equal replaced": "import torch\ntorch.equal = lambda *a, **k: True",
    "Tensor.__eq__ and more replaced": """
        import torch
        torch.Tensor.__eq__ = torch.Tensor.equal = torch.Tensor.allclose = lambda *a, **k: True
        torch.Tensor.__bool__ = lambda self: True
    """,
    "assert taken out by an AST transformer": """
        import ast
        class NoAssert(ast.NodeTransformer):
            def visit_Assert(self, node):
                return ast.Pass()
        get_ipython().ast_transformers.append(NoAssert())
    """,
    "assert taken out by an input transformer": """
        def no_assert(lines):
            text = "".join(lines)
            return ["pass\\n"] if "assert" in text else lines
        get_ipython().input_transformers_cleanup.append(no_assert)
    """,
    "run_cell replaced": """
        import types
        shell, real = get_ipython(), type(get_ipython()).run_cell
        shell.run_cell = types.MethodType(lambda self, code, *a, **k: real(self, "pass", *a, **k), shell)
    """,
    "run_cell replaced in its class": """
        real = type(get_ipython()).run_cell_async
        type(get_ipython()).run_cell_async = lambda self, code, *a, **k: real(self, "pass", *a, **k)
    """,
    "run_code replaced in the object": """
        async def run_code(*a, **k):
            return False
        get_ipython().__dict__["run_code"] = run_code
    """,
    "the compiler replaced": """
        shell = get_ipython()
        real = shell.compile.ast_parse
        shell.compile.__dict__["ast_parse"] = lambda source, *a, **k: real("pass", *a, **k)
    """,
    "a number displayed as the points of a check": """
        def scale(*a): get_ipython().displayhook(5); raise ValueError
        def zero_small(*a): get_ipython().displayhook(5); raise ValueError
        get_ipython().events.register("post_run_cell", lambda *a: get_ipython().displayhook(5))
    """,
    "errors not shown": "get_ipython().showtraceback = get_ipython()._showtraceback = lambda *a, **k: None",
    "errors not shown, by their class": "type(get_ipython())._showtraceback = lambda *a, **k: None",
    "errors handled by a handler of its own": """
        get_ipython().set_custom_exc((BaseException,), lambda shell, kind, error, traceback, **k: None)
    """,
    "the checks' lines traced and skipped": """
        import sys
        def trace(frame, event, arg):
            frame.f_trace_lines = True
            if event == "line" and "wanted" in frame.f_globals:
                frame.f_globals["wanted"] = frame.f_globals.get("got")
            return trace
        sys.settrace(trace)
    """,
    "the checks' functions profiled": "import sys\nsys.setprofile(lambda *a: None)",
    "all, any, len, isinstance and abs replaced": """
        import builtins
        builtins.all = builtins.any = builtins.isinstance = lambda *a: True
        builtins.sorted, builtins.abs = (lambda *a, **k: []), (lambda x: 0)
    """,
    "AssertionError replaced": """
        import builtins
        class Quiet(Exception): pass
        builtins.AssertionError = Quiet
    """,
    "the class statement replaced": "import builtins\nbuiltins.__build_class__ = lambda *a, **k: None",
    "the import statement replaced": """
        import builtins, types
        real = builtins.__import__
        def fake(name, *a, **k):
            fake = types.SimpleNamespace(progress=None, show=str)
            return fake if name.startswith("gpt2_lib") else real(name, *a, **k)
        builtins.__import__ = fake
    """,
    "the notebook's builtins replaced": """
        import builtins
        mine = dict(vars(builtins)) | {"isinstance": lambda *a: True, "abs": lambda x: 0, "len": lambda x: 0}
        globals()["__builtins__"] = mine
    """,
    "progress.check replaced": CONTEXT
    + "import gpt2_lib.course.progress\ngpt2_lib.course.progress.Progress.check = Silent",
    "progress.check replaced in the object": CONTEXT
    + "from gpt2_lib.course.progress import progress\nprogress.__dict__['check'] = Silent",
    "the object progress replaced": CONTEXT
    + "import gpt2_lib.course.progress\nclass P:\n    check = Silent\n    def given(self, text): pass\n"
    + "gpt2_lib.course.progress.progress = P()",
    "gpt2_lib.course.progress replaced in sys.modules": CONTEXT
    + "import sys, types\nfake = types.ModuleType('fake')\n"
    + "class P:\n    check = Silent\n    def given(self, text): pass\n"
    + "fake.progress = P()\nsys.modules['gpt2_lib.course.progress'] = fake",
    "time_limit replaced": CONTEXT + "import gpt2_lib.course.lesson\ngpt2_lib.course.lesson.time_limit = Silent",
    "time_limit's code replaced": """
        import gpt2_lib.course.lesson
        def quiet(self, kind, error, traceback): return True
        gpt2_lib.course.lesson.time_limit.__exit__.__code__ = quiet.__code__
    """,
    "contextlib's code replaced": """
        import contextlib
        def quiet(self, *a): return True
        contextlib._GeneratorContextManager.__exit__.__code__ = quiet.__code__
    """,
    "a default value of time_limit replaced": """
        import gpt2_lib.course.lesson
        gpt2_lib.course.lesson.time_limit.__init__.__defaults__ = (1e9, True)
    """,
    "signal.setitimer and the clocks replaced": """
        import signal, time
        signal.setitimer = lambda *a: (0.0, 0.0)
        time.thread_time = time.monotonic = lambda: 0.0
    """,
    "random replaced": "import random\nrandom.SystemRandom.randrange = lambda *a: 4\nrandom.sample = lambda *a: []",
    "torch.where replaced": "import torch\ntorch.where = lambda c, a, b: b",
    "torch.nn.Linear replaced": "import torch\nclass L(torch.nn.Linear): pass\ntorch.nn.Linear = L",
    "torch replaced in the notebook": """
        import torch as real
        class torch:
            Tensor = object
            def __getattr__(self, name): return getattr(real, name)
            equal = allclose = staticmethod(lambda *a, **k: True)
        torch = torch()
    """,
    "the instructor's own function replaced": """
        def small_model(seed):
            return torch.nn.Sequential()
        get_ipython().events.register("pre_run_cell", lambda *a: get_ipython().user_ns.update(small_model=small_model))
    """,
    "builtins hidden by the notebook's own names": """
        isinstance = lambda *a: True
        abs = lambda x: torch.zeros(())
        def int(x): return 0
        def dict(*a): return {}
    """,
    "the kernel's handler of execute_request replaced": """
        kernel = get_ipython().kernel
        def handler(stream, ident, parent):
            content = {"status": "ok", "execution_count": 9, "payload": [], "user_expressions": {}}
            kernel.session.send(stream, "execute_reply", content, parent, ident=ident)
        kernel.shell_handlers["execute_request"] = handler
    """,
    "the kernel's do_execute replaced": """
        async def do_execute(*a, **k):
            return {"status": "ok", "execution_count": 9, "payload": [], "user_expressions": {}}
        get_ipython().kernel.do_execute = do_execute
    """,
    "session.send replaced, so that each reply says ok": """
        session = get_ipython().kernel.session
        real = session.send
        def send(stream, kind, content=None, *a, **k):
            if kind == "error":
                return None
            if isinstance(content, dict) and "status" in content:
                content = {**content, "status": "ok"}
            return real(stream, kind, content, *a, **k)
        session.send = send
    """,
    "the look at its functions forged": """
        kernel = get_ipython().kernel
        real = kernel.shell_handlers["look_request"]
        def look(stream, ident, parent):
            names = ["torch", "isinstance", "progress", "time_limit", "all", "sorted", "random", "got"]
            found = dict.fromkeys(names + parent["content"]["names"], {"type": "function", "callable": True})
            kernel.session.send(stream, "look_reply", {"found": found}, parent, ident=ident)
        kernel.shell_handlers["look_request"] = look
        torch = isinstance = progress = time_limit = all = sorted = random = lambda *a, **k: True
    """,
    "its functions said to be no functions": ALWAYS
    + """
kernel = get_ipython().kernel
def look(stream, ident, parent):
    found = {n: {"type": "int", "callable": False} for n in parent["content"]["names"]}
    kernel.session.send(stream, "look_reply", {"found": found}, parent, ident=ident)
kernel.shell_handlers["look_request"] = look
""",
    "the answer of a call forged": """
        kernel = get_ipython().kernel
        def call(stream, ident, parent):
            reply = {"result": ["plain", True], "after": {"0": ["value", ["plain", 3]]}}
            kernel.session.send(stream, "call_reply", reply, parent, ident=ident)
        kernel.shell_handlers["call_request"] = call
    """,
}


def forgery(code: str, answers: dict[str, str] = WRONG) -> dict[str, str]:
    """Wrong answers; the code runs right after all of them were defined, before the first check."""
    return answers | {"scale": "\n\n".join([*answers.values(), textwrap.dedent(code).strip()])}


# What a function gives back, and does while it is called: nothing of it makes a wrong answer right.

RETURNED = {
    "objects that are equal to everything": ALWAYS
    + "def scale(*a): return Always()\ndef largest(*a): return Always()\ndef zero_small(*a): return Always()\n"
    + "def total(*a): return Always()",
    "a subclass of Tensor whose functions say True": """
        import torch
        class Yes(torch.Tensor):
            @classmethod
            def __torch_function__(cls, function, kinds, arguments=(), named=None):
                return True
        def scale(weight, factor): return weight.as_subclass(Yes)
    """,
    "subclasses of list, dict and int that are always equal": """
        class L(list):
            __eq__ = lambda self, other: True
            __len__ = lambda self: 2
        class D(dict):
            __eq__ = lambda self, other: True
        class I(int):
            __eq__ = lambda self, other: True
        def largest(numbers, k): return L()
        def zero_small(model, limit): return D()
        def total(numbers): return I(-1)
    """,
    "the argument, changed so that the expected result agrees": """
        def scale(weight, factor):
            weight.zero_()
            return weight
        def largest(numbers, k):
            numbers.clear()
            return []
        def zero_small(model, limit):
            for p in model.parameters():
                p.data.zero_()
            return {name: p.numel() for name, p in model.named_parameters()}
    """,
    "the check's own variables, changed by the function": """
        import sys
        def cheat(result):
            for depth in range(1, 9):
                try:
                    there = sys._getframe(depth).f_globals
                except ValueError:
                    break
                there.update(weight=None, wanted=result, got=result, before={}, numbers=[], progress=None)
            return result
        def scale(weight, factor): return cheat(weight)
        def zero_small(model, limit): return cheat({})
        def largest(numbers, k): return cheat([])
    """,
    "the model, its classes and methods changed": """
        def zero_small(model, limit):
            class Fake(type(model)):
                def named_parameters(self, *a, **k): return iter(())
            model.__class__ = Fake
            model.named_parameters = lambda *a, **k: iter(())
            model._parameters.clear()
            model._modules.clear()
            return {}
    """,
    "a list nested 10 000 deep": """
        def nest():
            inner = []
            for _ in range(10_000):
                inner = [inner]
            return inner
        def scale(*a): return nest()
        def largest(*a): return nest()
        def zero_small(*a): return {"0.weight": nest()}
    """,
    "a list that holds itself": """
        def largest(*a):
            mine = []
            mine.append(mine)
            return mine
    """,
    "hundreds of megabytes of tensor, of text and of lists": """
        import torch
        def scale(weight, factor): return torch.zeros(1 << 26)
        def largest(numbers, k): return "x" * (1 << 27)
        def zero_small(model, limit): return dict.fromkeys(range(3_000_000))
    """,
    "a few bytes that look like terabytes": """
        import torch
        def scale(weight, factor): return torch.zeros(1).expand(10**12)
        def zero_small(model, limit):
            for p in model.parameters():
                p.data = torch.zeros(1).expand(10**6, 10**6)
            return {}
    """,
    "numbers of a million digits, infinite and not numbers": """
        import torch
        def scale(weight, factor): return weight * float("nan")
        def largest(numbers, k): return [10**1_000_000, float("inf")]
        def zero_small(model, limit): return {name: float("nan") for name, _ in model.named_parameters()}
        def total(numbers): return 10**1_000_000
    """,
    "errors of all kinds": """
        class Odd(AssertionError, KeyError, SystemExit):
            def __str__(self): raise ValueError
        def scale(*a): raise Odd
        def largest(*a): raise BaseException("mine")
        def zero_small(*a): raise GeneratorExit
        def total(*a): raise StopIteration
    """,
    "a function that only says it is one": """
        class F:
            def __call__(self): pass
            def __getattr__(self, name): raise RuntimeError("hands off")
            @property
            def __class__(self): raise RuntimeError("hands off")
        scale = largest = zero_small = total = F()
    """,
    "forged replies before the true one": """
        def forge(result):
            kernel = get_ipython().kernel
            parent = kernel.get_parent()
            ident = kernel._shell_parent_ident.get() if hasattr(kernel, "_shell_parent_ident") else None
            ok = {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}
            for channel in (kernel.iopub_socket, kernel.shell_stream):
                for kind, content in (("execute_reply", ok), ("status", {"execution_state": "idle"})):
                    try:
                        kernel.session.send(channel, kind, content, parent, ident=ident)
                    except Exception:
                        pass
            return result
        def scale(weight, factor): return forge(None)
        def zero_small(model, limit): return forge({})
        def largest(numbers, k): return forge([])
    """,
    "messages without a signature": """
        def noise(result):
            kernel = get_ipython().kernel
            for socket in (kernel.iopub_socket, kernel.shell_stream):
                try:
                    socket.send_multipart([b"a", b"<IDS|MSG>", b"bad", b"{}", b"{}", b"{}", b"{}"])
                except Exception:
                    pass
            return result
        def scale(weight, factor): return noise(None)
    """,
}
READING = """
import gc, re, sys
import linecache

spied = []

def spy():
    word = re.compile("glocken" + "[s]piel|hidden_word_of_[s]cale")
    for depth in range(50):
        try:
            frame = sys._getframe(depth)
        except ValueError:
            break
        spied.extend(("frame", str(v)[:80]) for v in frame.f_code.co_consts if word.search(str(v)))
        spied.extend(("variable", name) for name in {**frame.f_globals, **frame.f_locals} if word.search(name))
    spied.extend(("history", source[:80]) for source in get_ipython().user_ns["In"] if word.search(source))
    spied.extend(("linecache", name) for name, entry in linecache.cache.items() if word.search(str(entry)))
    kept = [o for o in gc.get_objects() if type(o) is dict]
    spied.extend(("gc", name) for o in kept for name in list(o) if type(name) is str and word.search(name))
    pattern = re.compile(b"glocken" + b"[s]piel")
    try:
        memory = open("/proc/self/mem", "rb", 0)
        for line in open("/proc/self/maps"):
            place, rights = line.split()[:2]
            first, last = (int(end, 16) for end in place.split("-"))
            if rights.startswith("rw") and last - first < 1 << 28:
                memory.seek(first)
                if pattern.search(memory.read(last - first)):
                    spied.append(("memory", place))
    except OSError:
        pass

calls = 0

def scale(weight, factor):
    global calls
    calls += 1
    if calls == 3:
        spy()
    return weight * factor
"""


# What uses up too much, or ends the kernel: only the points of what it breaks are lost. {0}: the code of `scale`, run
# when it is called; {1}: run when it is defined.

CALLED = {
    "an endless loop": "while True: pass",
    "an endless loop that swallows every interruption": """
        while True:
            try:
                while True: pass
            except BaseException:
                pass
    """,
    "a loop with the interrupt's signal ignored": """
        import signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
        while True: pass
    """,
    "an endless loop under a name that is no text": """
        import ctypes
        ctypes.CDLL(None).prctl(15, b"\\xff\\xfe", 0, 0, 0)  # PR_SET_NAME
        while True: pass
    """,
    "an endless loop after messages without a header": """
        kernel, parts = get_ipython().kernel, [b"{}"] * 4
        for n in range(3):
            parts[3] = b'{"n": %d}' % n
            signed = [b"x", b"<IDS|MSG>", kernel.session.sign(parts), *parts]
            kernel.iopub_socket.send_multipart(signed)
        while True: pass
    """,
    "endless waiting": "import time; time.sleep(1e6)",
    "a process that stops itself": "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
    "sys.exit()": "import sys; sys.exit(0)",
    "exit()": "exit()",
    "os._exit()": "import os; os._exit(0)",
    "killing itself": "import os; os.kill(os.getpid(), 9)",
    "killing its parent": "import os; os.kill(os.getppid(), 9); os.abort()",
    "killing process 1": "import os; os.kill(1, 9); os.abort()",
    "killing everything it may": "import os; os.kill(-1, 9)",
    "a crash of the interpreter": "import ctypes; ctypes.string_at(1)",
    "closing all its files": "import os; os.closerange(0, 4096)",
    "endless recursion": """
        import sys
        sys.setrecursionlimit(10**9)
        def again(): again()
        again()
    """,
    "more memory than it may have": """
        kept = []
        while True:
            kept.append(bytearray(50_000_000))
    """,
    "more shared memory than it may have": """
        import mmap
        kept = []
        while True:
            kept.append(mmap.mmap(-1, 1 << 28))
            for place in range(0, 1 << 28, 4096):
                kept[-1][place] = 1
    """,
    "memory files without a name": """
        import os
        files = [os.memfd_create("hog") for _ in range(100)]
        while True:
            for file in files:
                os.write(file, bytes(1 << 20))
    """,
}
USED_UP = {
    "a bomb of threads": """
        import threading, time
        try:
            for number in range(100_000):
                threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()
        except RuntimeError as error:
            print(f"[threads] failed after {number}: {error}")
    """,
    "a bomb of zombies": """
        import os
        try:
            for number in range(100_000):
                if os.fork() == 0:
                    os._exit(0)
        except OSError as error:
            print(f"[zombies] failed after {number}: {error}")
        for _ in range(number):
            os.waitpid(-1, 0)
    """,
    "every folder filled up": """
        import os
        for folder in ("/tmp", "/dev/shm", "/home/learner", "/run/kernel", "/dev", "/var/tmp", "/"):
            written = 0
            try:
                with open(os.path.join(folder, "fill"), "wb") as file:
                    while True:
                        written += file.write(bytes(1 << 20))
                        assert written < 1 << 30
            except OSError as error:
                print(f"[{folder}] failed after {written >> 20} MB: {error.strerror}")
            else:
                print(f"[{folder}] CAME OFF")
            try:
                os.remove(os.path.join(folder, "fill"))
            except OSError:
                pass
    """,
    "a file with room for terabytes": """
        try:
            open("/tmp/huge", "wb").truncate(1 << 42)
            print("[huge] CAME OFF")
        except OSError as error:
            print(f"[huge] failed: {error.strerror}")
    """,
    "20,000 folders": """
        import os
        try:
            for number in range(20_000):
                os.mkdir(f"/tmp/{number}")
        except OSError as error:
            print(error)
        print("[files] failed: nothing is left of them")
    """,
    "a daemon left running": """
        import os, sys, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                try:
                    import ctypes
                    ctypes.CDLL(None).prctl(15, b"left-<pid>", 0, 0, 0)
                    os.closerange(0, 4096)
                    time.sleep(1e6)
                finally:
                    os._exit(0)
            os._exit(0)
        print("[daemon] failed: it ends with the sandbox")
    """,
    "processes left computing": """
        import os
        for _ in range(2):
            if os.fork() == 0:
                while True: pass
        print("[computing] failed: it ends with the sandbox")
    """,
    "a thread left running": """
        import threading, time
        threading.Thread(target=lambda: time.sleep(1e6)).start()
        print("[thread] failed: it ends with the sandbox")
    """,
    "descriptors under way in a socket": """
        import array, os, socket, time
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        file = array.array("i", [os.open("/dev/null", os.O_RDONLY)] * 250)
        try:
            while True: ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, file)])
        except OSError:
            pass
        until = time.process_time() + 4
        while time.process_time() < until: pass
        print("[descriptors] failed: Linux counts them for each user, and the grader may have more of them under way")
    """,
    "half a megabyte shown in 800 outputs at once": """
        from IPython.display import display, update_display
        for _ in range(800):
            display("", display_id="x")
        update_display({"text/plain": "A" * 500_000}, raw=True, display_id="x")
        print("[display] failed: an update counts for each output that it changes")
    """,
}
QUIET = {  # accidents: they stop like any error, and nobody needs to look at them
    *("an endless loop", "an endless loop that swallows every interruption", "sys.exit()", "exit()"),
    *("an endless loop under a name that is no text", "an endless loop after messages without a header"),
    *("killing process 1", "killing everything it may", "more memory than it may have"),
    *("more shared memory than it may have", "memory files without a name"),
}
EITHER = {"endless recursion"}  # out of memory or out of time, whichever comes first
FATAL = {  # they use up what the whole submission has
    "a fork bomb": """
        import os, time
        while True:
            try:
                if os.fork() == 0:
                    time.sleep(1e6)
            except OSError:
                time.sleep(1)
    """,
    "memory of many processes together": """
        import os, time
        for _ in range(40):
            if os.fork() == 0:
                kept = b"x" * 300_000_000
                time.sleep(1e6)
        time.sleep(1e6)
    """,
    "sockets filled with what nobody reads": """
        import socket, time
        pairs = []
        for _ in range(400):
            pairs += socket.socketpair()
            pairs[-1].setblocking(False)
            try:
                while True: pairs[-1].send(bytes(1 << 16))
            except BlockingIOError:
                pass
        time.sleep(1e6)
    """,
    "connections to itself, filled with what nobody reads": """
        import socket, time
        door, pairs = socket.create_server(("127.0.0.1", 0), backlog=1000), []
        for _ in range(400):
            pairs += [socket.create_connection(door.getsockname()), door.accept()[0]]
            pairs[-2].setblocking(False)
            try:
                while True: pairs[-2].send(bytes(1 << 16))
            except BlockingIOError:
                pass
        time.sleep(1e6)
    """,
    "files without content, and without end": """
        import os, time
        try:
            for number in range(1_000_000):
                os.symlink("x" * 1000, f"/dev/shm/{number}")
        finally:
            time.sleep(1e6)
    """,
    "100 MB printed in one line": "print('x' * 100_000_000)",
    "100 MB printed in many lines": "for _ in range(1_000_000): print('x' * 100)",
    "pictures without end": """
        from IPython.display import display, HTML
        for _ in range(200): display(HTML("x" * 500_000))
    """,
}


def in_scale(called: str = "return weight * factor", defined: str = "") -> dict[str, str]:
    """Right answers, but for `scale`, which does ``called``."""
    body = textwrap.indent(textwrap.dedent(called).strip(), "    ")
    return RIGHT | {"scale": f"{textwrap.dedent(defined).strip()}\n\ndef scale(weight, factor):\n{body}\n"}


# Notebooks and folders that are not what was handed out

HEAVY = "x" * 60_000_000


def _of_checks(made: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in made.cells if cell.metadata.get("nbgrader", {}).get("grade")]


def tag(name: str):
    def change(made: NotebookNode) -> None:
        for cell in made.cells:
            cell.metadata.tags = [name]

    return change


def mark(**values: object):
    def change(made: NotebookNode) -> None:
        for cell in _of_checks(made):
            cell.metadata.nbgrader.update(values)

    return change


def without_checks(made: NotebookNode) -> None:
    for cell in _of_checks(made):
        made.cells.remove(cell)


def with_checks_twice(made: NotebookNode) -> None:
    for cell in _of_checks(made):
        twin = cell.copy() | {"source": "pass", "id": f"{cell.id}-twin"}
        made.cells.insert(0, nbformat.from_dict(twin))


def backwards(made: NotebookNode) -> None:
    made.cells.reverse()


def passing_checks(made: NotebookNode) -> None:
    for cell in _of_checks(made):
        cell.source = "pass"


def as_markdown(made: NotebookNode) -> None:
    for cell in _of_checks(made):
        cell.cell_type = "markdown"
        del cell["outputs"], cell["execution_count"]


def without_marks(made: NotebookNode) -> None:
    for cell in made.cells:
        cell.metadata = {}


def answers_in_setup(made: NotebookNode) -> None:
    next(c for c in made.cells if c.id == "setup").source += "\nimport torch\ntorch.equal = lambda *a: True"


def another_kernel(made: NotebookNode) -> None:
    made.metadata.kernelspec = {"name": "bash", "display_name": "Bash", "language": "bash"}


def finished_outputs(made: NotebookNode) -> None:
    for cell in _of_checks(made):
        cell.execution_count = 1
        cell.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "5"}, execution_count=1)]


def points_of_its_own(made: NotebookNode) -> None:
    for number in range(3):
        role = {"grade": True, "grade_id": f"bonus{number}", "points": 100, "locked": True, "schema_version": 3}
        role |= {"solution": False, "task": False, "cell_type": "code", "checksum": "0"}
        made.cells.append(new_code_cell("pass", id=f"bonus{number}", metadata={"nbgrader": role}))


CHANGED = {
    "the tag skip-execution on every cell": tag("skip-execution"),
    "the tag raises-exception on every cell": tag("raises-exception"),
    "grade: false": mark(grade=False),
    "100 points for each check": mark(points=100),
    "checks marked as answers": mark(solution=True, locked=False),
    "checks as markdown": as_markdown,
    "checks deleted": without_checks,
    "checks twice, the first ones empty": with_checks_twice,
    "all cells backwards": backwards,
    "checks that only say pass": passing_checks,
    "all marks of nbgrader's deleted": without_marks,
    "the instructor's setup changed": answers_in_setup,
    "another kernel": another_kernel,
    "outputs of checks as if they had passed": finished_outputs,
    "checks of its own with points of its own": points_of_its_own,
}


def text(made: str | bytes):
    """A `hand_in` of these bytes as the notebook."""

    def hand_in(room: Classroom, student: str, host: Host) -> None:
        room.submit(student, NOTEBOOK, "")
        (folder(room, student) / f"{NOTEBOOK}.ipynb").write_bytes(made if isinstance(made, bytes) else made.encode())

    return hand_in


def placed(place: Callable[[Path, Host], None]):
    """A `hand_in` of a folder into which ``place`` puts what it wants; ``place`` gets the notebook's path."""

    def hand_in(room: Classroom, student: str, host: Host) -> None:
        made = folder(room, student)
        made.mkdir(parents=True)
        place(made / f"{NOTEBOOK}.ipynb", host)

    return hand_in


def a_link_as_folder(room: Classroom, student: str, host: Host) -> None:
    made = folder(room, student)
    made.parent.mkdir(parents=True)
    made.symlink_to(host.root / "source" / PHASE, target_is_directory=True)


def old_format(room: Classroom, student: str, host: Host) -> None:
    """nbformat 3 keeps no marks of nbgrader's; answers are known by what they define, and that is a guess."""
    made = nbformat.v3.new_notebook(
        worksheets=[
            nbformat.v3.new_worksheet(
                cells=[nbformat.v3.new_code_cell(input=code) for code in (*RIGHT.values(), "1 +", "x = 1")]
            )
        ]
    )
    room.submit(student, NOTEBOOK, nbformat.v3.writes_json(made))


def a_cell_of_60_mb(room: Classroom, student: str, host: Host) -> None:
    made = notebook(room, RIGHT, first=f"# {HEAVY}")
    room.submit(student, NOTEBOOK, to_text(made))


MODULE = "equal = allclose = Tensor = progress = time_limit = lambda *a, **k: True\n"
BESIDE = ("torch.py", "gpt2_lib.py", "sitecustomize.py", "torch/__init__.py", "gpt2_lib/__init__.py")
UNREADABLE = {
    "a link to the source as notebook": (
        placed(lambda path, host: path.symlink_to(host.root / "source" / PHASE / path.name)),
        "is a link",
        True,
    ),
    "a link to another submission as notebook": (
        placed(lambda path, host: path.symlink_to(host.root / "submitted" / "control" / PHASE / path.name)),
        "is a link",
        True,
    ),
    "a link as folder": (a_link_as_folder, "a link", True),
    "a hard link to the source": (
        placed(lambda path, host: os.link(host.root / "source" / PHASE / path.name, path)),
        "is a hard link",
        True,
    ),
    "a pipe as notebook": (placed(lambda path, host: os.mkfifo(path)), "is a pipe", True),
    "a folder as notebook": (placed(lambda path, host: path.mkdir()), "is a folder", False),
    "no notebook": (placed(lambda path, host: None), "is not there", False),
    "broken JSON": (text('{"cells": ['), "is not a valid notebook", False),
    "JSON nested 100 000 deep": (text("[" * 100_000), "nested too deeply", False),
    "no JSON but bytes": (text(bytes(range(256))), "is not UTF-8 text", False),
    "another program's JSON": (text('{"a": 1}'), "is not a notebook", False),
    "a cell of 60 MB": (a_cell_of_60_mb, "is larger than", False),
}


# Honest work, some of it unusual: all points, and nothing for a person to look at.

NUMPY = """
import numpy as np

def scale(weight, factor):
    return torch.from_numpy(np.asarray(np.multiply(weight.numpy(), np.float32(factor)))).reshape(weight.shape)
"""
A_CLASS = """
class Largest:
    def __call__(self, numbers, k):
        return sorted(range(len(numbers)), key=lambda i: -numbers[i])[:k]

largest = Largest()
"""
DECORATED = """
import functools

def noted(f):
    @functools.wraps(f)
    def g(*a, **k):
        return f(*a, **k)
    return g

@noted
def total(numbers):
    return sum(numbers)
"""
TYPED = '''
def scale(weight: torch.Tensor, factor: float) -> torch.Tensor:
    """The product."""
    return weight * factor
'''
CACHED = """
key = (weight.shape, tuple(weight.flatten().tolist()), factor)
if key not in known:
    known[key] = weight * factor
return known[key].clone()
"""
THREADED = """
if not weight.numel():
    return weight
with ThreadPoolExecutor(4) as pool:
    return torch.stack([*pool.map(lambda w: w * factor, weight.flatten())]).reshape(weight.shape)
"""
TRAINED = """
import torch
net = torch.nn.Linear(2, 1)
way = torch.optim.AdamW(net.parameters())
for _ in range(3):
    way.zero_grad()
    net(torch.ones(1, 2)).sum().backward()
    way.step()
"""


def split_answer(made: NotebookNode) -> None:
    """JupyterLab's "split cell" copies the metadata, so that there are two cells of one name."""
    place = next(i for i, cell in enumerate(made.cells) if cell.id == "scale")
    half = new_code_cell("scale(torch.ones(1), 2)", id="split", metadata=made.cells[place].metadata.copy())
    made.cells.insert(place + 1, half)


HONEST: dict[str, Callable[[Classroom, str, Host], None]] = {
    "another right answer": written(RIGHT),
    "warnings": written(RIGHT, "import warnings, sys\nwarnings.warn('careful')\nprint('careful', file=sys.stderr)"),
    "a warning from the answer": written(in_scale("import warnings; warnings.warn('slow'); return weight * factor")),
    "slow but right": written(
        in_scale(defined="import time\nbegun = time.process_time()\nwhile time.process_time() < begun + 5: pass")
    ),
    "cells of its own, before and after": written(RIGHT, "weight = 3\nweight", "scale(torch.ones(2), 3)"),
    "a cell of its own with an error": written(RIGHT, "1 / 0", "undefined"),
    "a cell of its own that is no Python": written(RIGHT, "this is a note, not code"),
    "notes in Markdown between the cells": changed(
        lambda made: made.cells.insert(3, new_markdown_cell("## my notes\n$x^2$", id="notes")), RIGHT
    ),
    "an answer that reads a file beside the notebook": written(
        in_scale("import csv; return weight * factor * float(next(csv.reader(open('data/ones.csv')))[0])"),
        files={"data/ones.csv": "1.0,2.0\n", "picture.png": b"\x89PNG", "notes.txt": "mine"},
    ),
    "a module of its own beside the notebook": written(
        in_scale("return my_helpers.times(weight, factor)", "import my_helpers"),
        files={"my_helpers.py": "def times(a, b):\n    return a * b\n"},
    ),
    "NumPy": written(RIGHT | {"scale": NUMPY}),
    "a list comprehension": written(
        in_scale("return torch.tensor([w * factor for w in weight.flatten().tolist()]).reshape(weight.shape)")
    ),
    "a class": written(RIGHT | {"largest": A_CLASS}),
    "a lambda": written(RIGHT | {"scale": "scale = lambda weight, factor: weight.mul(factor)"}),
    "functools.partial": written(
        in_scale(defined="from functools import partial\ndef f(way, weight, factor): return way(weight, factor)")
        | {"largest": RIGHT["largest"] + "\n\nscale = partial(f, torch.mul)"}
    ),
    "a decorator": written(RIGHT | {"total": DECORATED}),
    "recursion": written(
        RIGHT | {"total": "def total(numbers):\n    for n in numbers:\n        return n + total(numbers)\n    return 0"}
    ),
    "a higher limit on recursion": written(RIGHT, "import sys\nsys.setrecursionlimit(5000)"),
    "parameters of other names": written(RIGHT | {"scale": "def scale(w, f, *more, **named):\n    return f * w"}),
    "type hints and docstrings": written(RIGHT | {"scale": TYPED}),
    "names in other scripts": written(in_scale("größe, π = weight, factor; return größe * π")),
    "del of an argument": written(in_scale("product = weight * factor; del weight; return product")),
    "a plot": written(RIGHT, last="import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"),
    "%matplotlib inline": written(RIGHT, "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1])"),
    "%timeit, %%time and !ls": written(RIGHT, "%timeit -n 1 -r 1 sum([1])\n!ls", "%%time\n!echo hello"),
    "torch.set_printoptions": written(RIGHT, "import torch\ntorch.set_printoptions(precision=2, sci_mode=False)"),
    "gradients switched off": written(RIGHT, "import torch\ntorch.set_grad_enabled(False)"),
    "the number of threads set": written(RIGHT, "import torch\ntorch.set_num_threads(2)"),
    "seeds set": written(
        RIGHT, "import random, numpy as np, torch\nrandom.seed(0); np.random.seed(0); torch.manual_seed(0)"
    ),
    "warnings filtered": written(RIGHT, "import warnings\nwarnings.filterwarnings('ignore')"),
    "logging configured": written(RIGHT, "import logging\nlogging.basicConfig(level=10)\nlogging.debug('on')"),
    "10 000 lines printed": written(RIGHT, "for i in range(10_000): print(i)"),
    "a progress bar": written(RIGHT, "from tqdm.auto import tqdm\nfor _ in tqdm(range(100)): pass"),
    "a widget": written(RIGHT, "import ipywidgets\nipywidgets.interact(lambda x: x, x=3)"),
    "input() that nobody answers": written(RIGHT, last="input('ready?')"),
    "from torch import *": written(RIGHT, "from torch import *\nfrom builtins import *"),
    "from numpy import *": written(
        RIGHT, "from numpy import array, linspace\nfrom numpy.linalg import *\nimport torch"
    ),
    "a helper in a cell of its own": written(in_scale("return times(weight, factor)"), "def times(a, b): return a * b"),
    "names that the checks use": written(
        RIGHT, "weight = given = got = wanted = numbers = model = before = generator = 'mine'"
    ),
    "the instructor's function defined again": written(RIGHT, last="def small_model(seed):\n    return None"),
    "the demonstration deleted": changed(lambda made: made.cells.pop(1), RIGHT),
    "the demonstration changed": changed(lambda made: made.cells[1].update(source="small_model(5)"), RIGHT),
    "an answer's cell split in two": changed(split_answer, RIGHT),
    "threads": written(in_scale(THREADED, "from concurrent.futures import ThreadPoolExecutor")),
    "another process": written(RIGHT, "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'print(6 * 7)'])"),
    "a DataLoader": written(
        RIGHT, "import torch\nfor batch in torch.utils.data.DataLoader(torch.arange(8), batch_size=2): print(batch)"
    ),
    "a model trained": written(RIGHT, TRAINED),
    "files written and read again": written(
        RIGHT,
        "import torch\ntorch.save(torch.ones(3), 'mine.pt')\nopen('/tmp/x', 'w').write('x')\ntorch.load('mine.pt')",
    ),
    "results kept for the next call": written(in_scale(CACHED, "known = {}")),
    "a copy changed in place": written(in_scale("mine = weight.clone(); mine *= factor; return mine")),
    "a result that is part of something larger": written(in_scale("return torch.stack([weight * factor, weight])[0]")),
    "a parameter as result": written(in_scale("return torch.nn.Parameter(weight * factor)")),
    "assertions of its own": written(RIGHT, last="assert scale(torch.ones(1), 2) == 2"),
    "the library's functions, to compare": written(
        RIGHT, last="from gpt2_lib.pruning.selection import layer_masks\nlayer_masks({'a': torch.ones(4)}, 0.5)"
    ),
    "a pool of twelve processes": written(
        RIGHT, "import multiprocessing\nwith multiprocessing.get_context('fork').Pool(12) as p: print(p.map(abs, [-1]))"
    ),
    "a clock and a timer": written(RIGHT, "import time, signal\ntime.sleep(0.1)\nsignal.alarm(0)"),
}


def impatient() -> None:
    """In a worker of the tests: what hangs is given up sooner."""
    work.start()
    checks.CALL_SECONDS, watch.STUBBORN = 3.0, 2.0


LIMITS = Limits(cell_seconds=8.0, seconds=60.0, idle=5.0, total=300.0)


# The catalogue

ATTEMPTS = {"reading": READS, "writing": WRITES, "the network": NETWORK, "getting out of the sandbox": SANDBOX}
WORKING = "honest work"
# What most of them change matters to no check: wrong answers stay wrong, and nobody needs to look at them.
NOTICED = {"forged replies before the true one", "messages without a signature", "the answer of a call forged"}
NOTICED |= {"all, any, len, isinstance and abs replaced"}  # the kernel itself can't go on
# A value that can't be transferred to a check is reported.
NOTICED |= {"objects that are equal to everything", "a list nested 10 000 deep", "a few bytes that look like terabytes"}
NOTICED |= {"hundreds of megabytes of tensor, of text and of lists"}
SPIED = "print('[spy] failed' if calls > 2 and not spied else f'[spy] CAME OFF: {spied}')"


def catalogue() -> dict[str, Entry]:
    """Student -> what that student hands in."""
    entries = [
        Entry(group, "", written(RIGHT, attempts(bodies)), ALL, evidence=True) for group, bodies in ATTEMPTS.items()
    ]
    spy = written(RIGHT | {"scale": READING}, last=SPIED)
    entries.append(Entry("reading", "the hidden tests, from inside of a call", spy, ALL, evidence=True))
    entries += [
        Entry("forged checks", what, written(forgery(code)), flagged=what in NOTICED) for what, code in FORGED.items()
    ]
    entries += [
        Entry("forged results", what, written(forgery(code)), flagged=what in NOTICED)
        for what, code in RETURNED.items()
    ]
    entries += [
        Entry(
            "ending or hanging the kernel",
            what,
            written(in_scale(code)),
            ALL - SCALE,
            flagged=None if what in EITHER else what not in QUIET,
        )
        for what, code in CALLED.items()
    ]
    entries += [
        Entry("using up resources", what, written(in_scale(defined=code)), ALL, evidence=True)
        for what, code in USED_UP.items()
    ]
    entries += [
        Entry("using up resources", what, written(in_scale(defined=code)), flagged=True) for what, code in FATAL.items()
    ]
    entries += [Entry("changed notebooks", what, changed(change)) for what, change in CHANGED.items()]
    entries += [
        Entry("strange files", f"{name} beside the notebook", written(WRONG, files={name: MODULE}), flagged=True)
        for name in BESIDE
    ]
    entries += [
        Entry("strange files", what, hand_in, flagged=flagged, fails=fails)
        for what, (hand_in, fails, flagged) in UNREADABLE.items()
    ]
    entries.append(Entry("strange files", "the notebook format of 2013", old_format, ALL, flagged=True))
    entries += [Entry(WORKING, what, hand_in, ALL) for what, hand_in in HONEST.items()]
    return {f"s{number:03}": entry for number, entry in enumerate(entries)}
