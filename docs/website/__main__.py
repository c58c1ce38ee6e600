"""``python -m docs.website [OUT]``: execute the notebooks that changed, and build the site in ``OUT``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .build import ROOT, build
from .executed import executed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m docs.website", description=__doc__)
    parser.add_argument("out", nargs="?", type=Path, default=ROOT / "build" / "site", help="build/site if left out")
    out = parser.parse_args().out
    build(executed(ROOT / "build" / "executed"), out)
    print(f"Wrote {out}: open {out / 'index.html'}")


if __name__ == "__main__":
    main()
