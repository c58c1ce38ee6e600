"""The programs that tests/system needs: a Chromium and bubblewrap. Run by `make test-all`.

As root on Debian or Ubuntu it installs what is missing, and says so; elsewhere it stops with the command to type.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def missing() -> list[str]:
    """The packages, as Debian calls them, whose programs are not there."""
    programs = {"bubblewrap": ("bwrap",), "chromium": CHROMIUM}
    return [package for package, names in programs.items() if not any(map(shutil.which, names))]


def main() -> str | None:
    """Why the tests can't run, or None."""
    if not sys.platform.startswith("linux"):
        return "make test-all needs Linux: the sandbox is bubblewrap. `make test` runs everything else."
    packages = missing()
    if not packages:
        return None
    command = f"apt-get update && apt-get install --yes --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        them = "it" if len(packages) == 1 else "them"
        return f"make test-all needs {' and '.join(packages)}: install {them} with your system's package manager."
    if os.geteuid() != 0:
        return f"make test-all needs {' and '.join(packages)}. Type: sudo sh -c '{command}'"
    print(f"Installing {' and '.join(packages)} with apt-get.", flush=True)
    subprocess.run(command, shell=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
    return (
        f"apt-get has not installed {' and '.join(left)}: look above for the reason." if (left := missing()) else None
    )


if __name__ == "__main__":
    sys.exit(main())
