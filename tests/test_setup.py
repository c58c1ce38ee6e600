"""Tests of the set-up by `make`: one .venv, for these files and this folder, with PyTorch's CPU build without a GPU."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the Makefile is for Unix")

# Stands in for Python: of the version $VERSION, without ensurepip if $NO_VENV is set, unable to make .venv if $VENV is
# "broken", with nothing installed if $PIP is "gone". Its installs fail if $PIP is "broken", are killed if it is
# "killed", and wait if it is "slow". With $PIP "real" what is asked of PyTorch's index is really installed, beside
# .venv. What it is asked to do goes to $LOG, and the home that it had to $LOG.home.
FAKE_PYTHON = f"""#!/bin/sh
real={shlex.quote(sys.executable)}
case "$*" in
  --version) echo "Python $VERSION" ;;
  -c*version_info*) exec "$real" -c "import sys; sys.version_info = tuple(map(int, '$VERSION'.split('.'))); $2" ;;
  -c*ensurepip*) test -z "$NO_VENV" ;;
  -c*metadata*) PYTHONPATH=.venv/torch exec "$real" -S -c "$2" ;;
  "-c import pip") test "$PIP" != gone ;;
  "-m venv --clear .venv")
    test "$VENV" != broken || exit 1
    echo venv >> "$LOG"; rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
  "-m pip install "*)
    installs=$(shift 4; echo "$*")
    echo "$installs" >> "$LOG"; echo "$HOME" > "$LOG.home"
    case "$PIP $installs" in
      "real --no-deps --index-url "*) exec "$real" "$@" --target .venv/torch ;;
      broken*) echo "ERROR: something of pip's own" >&2; exit 1 ;;
      killed*) kill -9 $$ ;;
      slow*) exec sleep 600 ;;
    esac ;;
  "-m ruff "*|"-m pyright "*|"-m autograder "*)
    echo "$*" >> "$LOG"; case "$*" in "-m ${{FAILING:-nothing}}"*) exit 1 ;; esac ;;
esac
"""
FRESH = ["venv", "-r requirements.lock", "--no-deps --config-settings editable_mode=compat -e ."]
SETTINGS = Path("gpt2_lib/course/jupyterlab/ipython_kernel_config.json")
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


class Folder:
    """A copy of the Makefile and what it reads, with a fake Python, on a Linux machine without a GPU."""

    def __init__(self, path: Path, repository: Path) -> None:
        self.path = path
        self.log = path.parent / "log"
        self.home = path.parent / "home"
        self.programs = path.parent / "programs"
        for made in (self.path, self.home, self.programs):
            made.mkdir()
        for name in ("Makefile", "setup.mk", "requirements.lock", "requirements-dev.lock", "pyproject.toml"):
            shutil.copy(repository / name, path)
        (path / SETTINGS).parent.mkdir(parents=True)
        shutil.copy(repository / SETTINGS, path / SETTINGS)
        self.program("uname", "echo Linux")
        self.program("nvidia-smi", "exit 9")
        self.disk()
        (path / "fake-python").write_text(FAKE_PYTHON)
        (path / "fake-python").chmod(0o755)

    def program(self, name: str, script: str) -> None:
        (self.programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.programs / name).chmod(0o755)

    def disk(self, here: int = 9999, temporary: int = 9999, venv: int = 0) -> None:
        """How many megabytes are free, and how many .venv takes."""
        self.program("du", f"echo $(({venv} * 1024)) .venv")
        self.program(
            "df",
            f"case $2 in .) free={here} ;; *) free={temporary} ;; esac\n"
            'echo "Filesystem 1024-blocks Used Available Capacity Mounted on"\n'
            'echo "/dev/disk 99999999 9999 $((free * 1024)) 9% /a disk"',
        )

    @property
    def torch(self) -> str:
        [pin] = re.findall(r"^torch==(\S+)", (self.path / "requirements.lock").read_text(), re.MULTILINE)
        return pin

    def start(self, target: str, environment: Mapping[str, str | None], *arguments: str) -> subprocess.Popen:
        self.log.write_text("")
        default = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "LOG": str(self.log),
            "VERSION": "3.12.1",
            "TORCH_INDEX": "",
            "NVIDIA_DRIVER": "./nothing",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_CACHE_DIR": "1",
        }
        return subprocess.Popen(
            ["make", target, *arguments],
            cwd=self.path,
            env={name: value for name, value in {**default, **environment}.items() if value is not None},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=hear_control_c,
        )

    def run(
        self, target: str = ".venv/lab", python: str | None = "./fake-python", **environment: str | None
    ) -> tuple[int, str, list[str]]:
        """make's exit status, all that it printed, and what it installed. An environment's None: not set."""
        process = self.start(target, environment, *([f"PYTHON={python}"] if python else []))
        output, _ = process.communicate(timeout=60)
        return process.returncode, output, self.installed()

    def installed(self) -> list[str]:
        return self.log.read_text().splitlines()

    def change(self, name: str) -> None:
        """As if this one file was written after everything was installed."""
        ages = {path.name: 100 for path in self.path.iterdir()} | {".venv/lab": 50, ".venv/dev": 40, name: 10}
        now = time.time()
        for file, age in ages.items():
            if (self.path / file).exists():
                os.utime(self.path / file, (now - age, now - age))


@pytest.fixture
def folder(tmp_path: Path, repository: Path) -> Folder:
    """Return a folder with a difficult but valid name."""
    return Folder(tmp_path / "größer 课程's $5", repository)


@pytest.fixture
def project(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


def hear_control_c() -> None:
    """Restore SIGINT's default: a shell's background jobs inherit that it is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def said(output: str) -> str:
    """Return the last lines before make's own."""
    *_, ours, makes = output.splitlines()
    assert makes.startswith("make"), output
    return ours


# Once


def test_make_sets_up_once_and_then_reuses_it(folder: Folder) -> None:
    assert folder.run()[2] == FRESH
    code, _, installed = folder.run()
    assert (code, installed) == (0, [])


def test_the_kernels_of_venv_have_the_courses_settings(folder: Folder) -> None:
    folder.run()
    assert (folder.path / ".venv/etc/ipython" / SETTINGS.name).read_text() == (folder.path / SETTINGS).read_text()


def test_the_tests_environment_is_the_learners_and_more(folder: Folder) -> None:
    assert folder.run(".venv/dev")[2] == [*FRESH, "-r requirements-dev.lock"]
    assert folder.run(".venv/dev")[2] == []
    assert folder.run(".venv/lab")[2] == []


INSTRUCTORS = ("release", "version", "handout", "solution", "roster", "collect", "grade", "feedback", "export", "show")
INSTRUCTORS += ("rerun", "drop", "rename", "backup", "restore")
GIVEN = ("TO=x", "FROM=x", "STUDENT=x", "CHECK=x", "OLD=x", "NEW=x", "PHASE=x")


def test_instructors_commands_install_nothing_of_the_developers(folder: Folder) -> None:
    process = folder.start("teach", {}, *INSTRUCTORS, *GIVEN, "PYTHON=./fake-python")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    asked = folder.installed()
    assert asked[: len(FRESH)] == FRESH
    assert [line.split()[:3] for line in asked[len(FRESH) :]] == [["-m", "autograder", name] for name in INSTRUCTORS]


def test_the_needed_disk_space_is_printed_before_the_set_up(folder: Folder) -> None:
    lines = folder.run(".venv/dev")[1].splitlines()
    for lock in ("requirements.lock", "requirements-dev.lock"):
        before = lines[: lines.index(f"pip install -r {lock}")]
        announced = [line for line in before if line.startswith("Setting up")][-1]
        assert re.search(r"GB .*to download and .* GB .*on disk", announced)
    assert len([line for line in lines if line.startswith("Setting up")]) == 2


@pytest.mark.parametrize("file", ["requirements.lock", "pyproject.toml"])
def test_a_changed_lock_is_installed(folder: Folder, file: str) -> None:
    folder.run(".venv/dev")
    folder.change(file)
    assert folder.run(".venv/dev")[2] == [*FRESH[1:], "-r requirements-dev.lock"]
    assert folder.run(".venv/dev")[2] == []


# Anew, where .venv can't be trusted


@pytest.mark.parametrize("pip", ["broken", "killed"])
def test_an_install_that_failed_is_redone_from_nothing(folder: Folder, pip: str) -> None:
    assert folder.run()[0] == 0
    folder.change("requirements.lock")
    assert folder.run(PIP=pip)[0] != 0
    code, _, installed = folder.run()
    assert code == 0
    assert installed[:3] == FRESH


@pytest.mark.parametrize("pip", ["broken", "killed"])
def test_the_course_is_unchanged_where_the_tests_tools_cant_be_installed(folder: Folder, pip: str) -> None:
    """Somebody without a network types `make test`, and goes on learning."""
    assert folder.run()[0] == 0
    assert folder.run(".venv/dev", PIP=pip)[0] != 0
    assert folder.run(PIP=pip)[::2] == (0, [])
    assert folder.run(".venv/dev")[2] == ["-r requirements-dev.lock"]


def test_an_install_stopped_with_control_c_is_redone_from_nothing(folder: Folder) -> None:
    process = folder.start(".venv/lab", {"PIP": "slow"}, "PYTHON=./fake-python")
    while folder.installed() != FRESH[:2]:
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert folder.run()[2] == FRESH


def test_a_folder_that_moved_is_set_up_anew(folder: Folder) -> None:
    folder.run()
    folder.path = folder.path.rename(folder.path.with_name("moved"))
    assert folder.run()[2] == FRESH


def test_a_copy_of_the_folder_is_set_up_anew(folder: Folder) -> None:
    folder.run()
    folder.path = shutil.copytree(folder.path, folder.path.with_name("copy"))
    assert folder.run()[2] == FRESH


def test_a_venv_made_by_hand_is_replaced(folder: Folder) -> None:
    (folder.path / ".venv" / "bin").mkdir(parents=True)
    (folder.path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    assert folder.run()[2] == FRESH


def test_a_python_that_went_away_is_replaced(folder: Folder) -> None:
    folder.run()
    (folder.path / ".venv/bin/python").unlink()
    (folder.path / ".venv/bin/python").symlink_to("gone")
    assert folder.run()[2] == FRESH


def test_a_python_that_became_another_version_is_replaced(folder: Folder) -> None:
    """An upgrade of the system puts it where the old one was; what was installed for that one, it doesn't see."""
    folder.run()
    assert folder.run(PIP="gone")[2] == FRESH


# Python


@pytest.mark.parametrize(("version", "fits"), [(f"3.{minor}.1", 11 <= minor <= 13) for minor in range(9, 16)])
def test_make_takes_the_pythons_that_pyproject_names(folder: Folder, project: dict, version: str, fits: bool) -> None:
    assert Requirement(f"python{project['requires-python']}").specifier.contains(version) == fits
    code, output, installed = folder.run(VERSION=version)
    assert (code == 0) == fits
    assert (installed == FRESH) == fits
    if not fits:
        assert "Python 3.11, 3.12 or 3.13 is needed" in output
        assert f"./fake-python is Python {version}" in output
        assert "PYTHON=" in said(output)
        assert not (folder.path / ".venv").exists()


def test_without_any_python_make_says_what_to_install(folder: Folder) -> None:
    code, output, _ = folder.run(python="python3-not-here")
    assert code != 0
    assert len(output.splitlines()) == 3, output
    assert "Python 3.11, 3.12 or 3.13 is needed" in output
    assert "Install one" in said(output)


def test_a_python_without_venv_says_what_to_install(folder: Folder) -> None:
    code, output, installed = folder.run(NO_VENV="yes")
    assert code != 0
    assert installed == []
    assert "apt install python3-venv" in said(output)


def test_python_is_looked_for_by_its_versions_names(folder: Folder) -> None:
    """python3 is too old, python3.12 fits: with no PYTHON=, the second is taken."""
    for name, version in (("python3", "3.9.2"), ("python3.12", "3.12.1"), ("python3.13", "3.10.4")):
        folder.program(name, FAKE_PYTHON.replace("$VERSION", version))
    code, output, installed = folder.run(python=None)
    assert code == 0, output
    assert installed == FRESH
    assert "3.12.1" in (folder.path / ".venv/bin/python").read_text()


# What stops it


@pytest.mark.parametrize("broken", [{"VENV": "broken"}, {"PIP": "broken"}, {"PIP": "killed"}])
@pytest.mark.parametrize("target", [".venv/lab", ".venv/dev"])
def test_a_failure_of_the_set_up_is_followed_by_advice(folder: Folder, target: str, broken: dict[str, str]) -> None:
    code, output, _ = folder.run(target, **broken)
    assert code != 0
    assert "the network" in said(output)
    assert "the same command again" in said(output)
    assert folder.run(target)[0] == 0


@pytest.mark.parametrize(("target", "needed"), [(".venv/lab", 1600), (".venv/dev", 3200)])
def test_a_full_disk_is_named(folder: Folder, target: str, needed: int) -> None:
    folder.run(".venv/lab")
    folder.change("requirements.lock" if target == ".venv/lab" else "requirements-dev.lock")
    folder.disk(here=1000, venv=needed - 1001)
    assert f"needs about {needed} MB and can have {needed - 1} MB" in said(folder.run(target, PIP="broken")[1])
    folder.disk(here=1000, venv=needed - 1000)
    assert "the network" in said(folder.run(target, PIP="broken")[1])


def test_a_full_folder_for_temporary_files_is_named(folder: Folder) -> None:
    folder.disk(temporary=100)
    assert "/tmp is too full" in said(folder.run(PIP="broken")[1])
    message = said(folder.run(PIP="broken", TMPDIR="/a b")[1])
    assert "/a b is too full" in message
    assert "TMPDIR=" in message


@pytest.mark.parametrize("home", [None, "", "/nowhere/at/all"])
def test_without_a_home_that_can_be_written_one_is_made_in_venv(folder: Folder, home: str | None) -> None:
    """Jupyter ends with a traceback otherwise."""
    folder.run(HOME=home)
    assert folder.log.with_name("log.home").read_text().strip() == str(folder.path / ".venv" / "home")
    folder.run(".venv/dev")
    assert folder.log.with_name("log.home").read_text().strip() == str(folder.home)


# PyTorch without CUDA


class Index:
    """A package index with PyTorch's CPU build, in PyPI's simple format. `asked` has the paths that were asked for."""

    def __init__(self, version: str, how: str) -> None:
        self.asked: list[str] = []
        self.how = how
        self.over = threading.Event()
        self.name = f"torch-{version}-py3-none-any.whl"
        self.wheel = wheel(version)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"index": self}))
        self.address = f"http://127.0.0.1:{self.server.server_port}/whl/cpu"


class Handler(BaseHTTPRequestHandler):
    index: Index

    def do_GET(self) -> None:
        self.index.asked.append(unquote(self.path))
        if self.index.how == "hangs":
            self.index.over.wait()
        elif self.path == "/whl/cpu/torch/" and self.index.how != "404":
            self.answer("text/html", f'<a href="{quote(self.index.name)}">{self.index.name}</a>'.encode())
        elif unquote(self.path).endswith(self.index.name):
            self.answer("application/zip", self.index.wheel, parts=7 if self.index.how == "slow" else 1)
        else:
            self.send_error(404)

    def answer(self, kind: str, body: bytes, parts: int = 1) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        step = -(-len(body) // parts)
        for start in range(0, len(body), step):
            if parts > 1:
                time.sleep(0.5)
            self.wfile.write(body[start : start + step])

    def log_message(self, *_: object) -> None:
        pass


def wheel(version: str) -> bytes:
    made = BytesIO()
    info = f"torch-{version}.dist-info"
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("torch/__init__.py", f"__version__ = {version!r}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    return made.getvalue()


@contextmanager
def index(version: str, how: str = "answers") -> Iterator[Index]:
    made = Index(version, how)
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        made.over.set()
        made.server.shutdown()
        thread.join()
        made.server.server_close()


def builds(folder: Folder) -> list[str]:
    """The versions of PyTorch that PyTorch's index gave."""
    return [
        path.name.removeprefix("torch-").removesuffix(".dist-info")
        for path in (folder.path / ".venv" / "torch").glob("torch-*.dist-info")
    ]


def nobody() -> str:
    """Return the address of an index without a server."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}/whl/cpu"


def test_pytorchs_own_index_is_asked_for_the_pinned_versions_cpu_build(folder: Folder) -> None:
    asked = folder.run(TORCH_INDEX=None)[2][1]
    assert asked.startswith(f"--no-deps --index-url {CPU_INDEX} ")
    assert asked.endswith(f" torch=={folder.torch}+cpu")


def test_linux_without_a_gpu_gets_the_cpu_build(folder: Folder) -> None:
    with index(f"{folder.torch}+cpu") as served:
        code, output, installed = folder.run(PIP="real", TORCH_INDEX=served.address)
    assert code == 0, output
    assert builds(folder) == [f"{folder.torch}+cpu"], output
    assert "own index" not in output
    assert installed[2:] == FRESH[1:]


@pytest.mark.parametrize("where", ["the driver", "nvidia-smi", "macOS"])
def test_a_gpu_or_another_system_gets_the_default_build(folder: Folder, where: str) -> None:
    environment = {}
    if where == "the driver":
        environment["NVIDIA_DRIVER"] = "./pyproject.toml"
    elif where == "nvidia-smi":
        folder.program("nvidia-smi", "exit 0")
    else:
        folder.program("uname", "echo Darwin")
    with index(f"{folder.torch}+cpu") as served:
        code, output, installed = folder.run(PIP="real", TORCH_INDEX=served.address, **environment)
    assert (code, installed) == (0, FRESH), output
    assert served.asked == []
    assert ("CUDA" in output) == (where != "macOS")


@pytest.mark.parametrize("how", ["nobody", "404", "hangs", "another version", "another build"])
def test_an_index_that_gives_no_cpu_build_is_passed_over_in_a_sentence(folder: Folder, how: str) -> None:
    version = {"another version": "1.0.0+cpu", "another build": folder.torch}.get(how, f"{folder.torch}+cpu")
    with index(version, how) as served:
        address = nobody() if how == "nobody" else served.address
        code, output, installed = folder.run(PIP="real", TORCH_INDEX=address, TORCH_TIMEOUT="1")
    assert (code, builds(folder)) == (0, []), output
    assert installed[2:] == FRESH[1:]
    assert f"{address} gave no CPU build of PyTorch, so pip's own index is asked" in output
    assert not re.search("error|warning|traceback", output, re.IGNORECASE), output
    assert len(served.asked) == (how != "nobody"), "each further try would take the time limit again"


@pytest.mark.slow
def test_a_slow_download_is_not_cut_off(folder: Folder) -> None:
    """It takes half a second longer than the limit on each wait."""
    with index(f"{folder.torch}+cpu", "slow") as served:
        output = folder.run(PIP="real", TORCH_INDEX=served.address, TORCH_TIMEOUT="3")[1]
    assert builds(folder) == [f"{folder.torch}+cpu"], output


def test_a_cuda_build_that_pip_is_set_to_find_elsewhere_is_not_taken_for_the_cpu_build(folder: Folder) -> None:
    wheels = folder.home / "wheels"
    wheels.mkdir()
    (wheels / f"torch-{folder.torch}-py3-none-any.whl").write_bytes(wheel(folder.torch))
    with index(f"{folder.torch}+cpu") as served:
        output = folder.run(PIP="real", TORCH_INDEX=served.address, PIP_FIND_LINKS=str(wheels))[1]
    assert builds(folder) == [f"{folder.torch}+cpu"], output


def test_pip_settings_for_installing_outside_of_venv_do_not_count(folder: Folder) -> None:
    with index(f"{folder.torch}+cpu") as served:
        output = folder.run(PIP="real", TORCH_INDEX=served.address, PIP_USER="1")[1]
    assert builds(folder) == [f"{folder.torch}+cpu"], output


@pytest.mark.parametrize("build", ["+cpu", "", "+cu130"])
def test_a_pytorch_that_fits_stays_whatever_its_build(folder: Folder, build: str) -> None:
    folder.run()
    (folder.path / ".venv" / "torch").mkdir()
    with zipfile.ZipFile(folder.home / "torch.whl", "w") as file:
        file.writestr("torch-0.dist-info/METADATA", f"Name: torch\nVersion: {folder.torch}{build}\n")
        file.extractall(folder.path / ".venv" / "torch")
    folder.change("requirements.lock")
    code, _, installed = folder.run(TORCH_INDEX=CPU_INDEX)
    assert (code, installed) == (0, FRESH[1:])


def test_a_pytorch_of_another_version_is_replaced(folder: Folder) -> None:
    folder.run()
    info = folder.path / ".venv" / "torch" / "torch-1.0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: torch\nVersion: 1.0.0\n")
    folder.change("requirements.lock")
    assert folder.run(TORCH_INDEX=CPU_INDEX)[2][0].endswith(f" torch=={folder.torch}+cpu")


# The list


WANTED = {
    "handout": "TO=../learners",
    "collect": "FROM=export.zip",
    "roster": "FROM=participants.csv",
    "restore": "FROM=backups/",
    "show": "STUDENT=ada-lovelace",
    "drop": "STUDENT=ada-lovelace",
    "rerun": "STUDENT=ada-lovelace",
    "rename": "OLD=smith NEW=sam-smith",
    "version": "PHASE=phase2_techniques",
}


@pytest.mark.parametrize(("command", "wanted"), WANTED.items())
def test_a_missing_argument_is_reported_before_the_set_up(folder: Folder, command: str, wanted: str) -> None:
    code, output, installed = folder.run(command)
    assert code != 0
    assert f"make {command} {wanted}" in output
    assert len(output.splitlines()) == 1
    assert installed == []


def test_every_command_of_the_autograder_is_one_of_make(repository: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "autograder", "--help"], capture_output=True, text=True, check=True)
    commands = set(re.findall(r"^    ([a-z-]+)(?:  |$)", done.stdout, re.MULTILINE))
    assert {"release", "grade", "show"} <= commands
    made = "".join((repository / file).read_text(encoding="utf-8") for file in ("Makefile", "setup.mk"))
    assert commands - set(re.findall(r"-m autograder ([a-z-]+)", made)) == {"check-release"}  # make lint's


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("handout", "make handout TO=../learners"),
        ("roster", "make roster FROM=participants.csv"),
        ("collect", "make collect FROM=export.zip"),
        ("restore", "make restore FROM=backups/"),
        *((target, f"make {target} STUDENT=ada-lovelace") for target in ("show", "drop", "rerun")),
        ("rename", "make rename OLD=smith NEW=sam-smith"),
        ("version", "make version PHASE=phase2_techniques"),
    ],
)
def test_a_command_without_what_it_works_on_says_what_to_name_before_anything_is_set_up(
    folder: Folder, target: str, told: str
) -> None:
    code, output, done = folder.run(target)
    assert code != 0
    assert told in output
    assert done == []


def test_lint_runs_every_tool_and_fails_at_the_end(folder: Folder) -> None:
    code, output, done = folder.run("lint", FAILING="ruff check")
    tools = ["-m ruff check", "-m ruff format --check", "-m pyright --project .", "-m autograder check-release"]
    assert done[-4:] == tools
    assert code != 0
    assert "Failed: ruff check\n" in output
    assert folder.run("lint")[0] == 0


def test_clean_leaves_what_was_handed_in(folder: Folder) -> None:
    caches = [folder.path / name / "__pycache__" / "a.pyc" for name in ("tests/helpers", "submitted/ada")]
    for path in caches:
        path.parent.mkdir(parents=True)
        path.touch()
    assert folder.run("clean")[0] == 0
    assert [path.exists() for path in caches] == [False, True]


def test_make_alone_lists_every_command(folder: Folder) -> None:
    _, output, installed = folder.run("help")
    commands: set[str] = set()
    for file in ("setup.mk", "Makefile"):
        for targets in re.findall(r"\.PHONY: (.*)", (folder.path / file).read_text()):
            commands |= set(targets.split())
    inner = {"programs", ".venv/lab"}
    commands = {name for name in commands - inner if not name.startswith("given_")}
    assert {line.split()[1] for line in output.splitlines()} == commands
    assert installed == []


def test_make_bench_runs_every_benchmark(repository: Path) -> None:
    """All but the choice of a size for gpt2-mini, which was made once."""
    scripts = {
        path.name for path in (repository / "benchmarks").glob("*.py") if "__main__" in path.read_text(encoding="utf-8")
    }
    named = re.findall(r"^\t-\$\(python\) benchmarks/(\w+\.py)$", (repository / "Makefile").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(scripts - {"model_sweep.py"})
