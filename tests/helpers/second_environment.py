"""A second virtual environment, with other programs that open this library's files, such as transformers 4.

It is made once, in .venv/second, and holds only the packages of second_environment.txt: all else, PyTorch too, it finds
in the first one, whose path it looks at after its own.
"""

from __future__ import annotations

import hashlib
import os
import site
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = Path(__file__).with_suffix(".txt")
FOLDER = Path(sys.prefix, "second")


def python() -> Path:
    """Its Python. The environment is made when it is first asked for, and again when its packages change."""
    wanted = hashlib.sha256(PACKAGES.read_bytes()).hexdigest()
    stamp = FOLDER / "packages"
    if not stamp.is_file() or stamp.read_text() != wanted:
        with tempfile.TemporaryDirectory(dir=FOLDER.parent, prefix="second.") as aside:
            _make(Path(aside, "new"), wanted)
            if FOLDER.exists():
                FOLDER.rename(Path(aside, "old"))
            try:
                Path(aside, "new").rename(FOLDER)
            except OSError:  # another process was faster
                assert stamp.read_text() == wanted
    return FOLDER / "bin" / "python"


def _make(folder: Path, wanted: str) -> None:
    run = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
    subprocess.run(run, check=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "first.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(folder / "bin" / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "-r", str(PACKAGES)], check=True)
    (folder / "packages").write_text(wanted)


def installed() -> Path:
    """Return the folder of its packages."""
    return next(python().parents[1].glob("lib/python*/site-packages"))


def run(script: str, *arguments: object, timeout: float = 600) -> str:
    """The last line that ``script`` prints there. It has no network, and does not see this library."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [python(), "-W", "ignore", "-c", script, *map(str, arguments)],
        stdin=subprocess.DEVNULL,  # transformers asks whether it may run a folder's code
        capture_output=True,
        text=True,
        env=environment,
        cwd=tempfile.gettempdir(),
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]
