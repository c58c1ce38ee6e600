"""``python tests/helpers/artifacts.py DIR``: write the files that the solutions of the challenges hand in."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "course")]

from classroom import lay_artifacts  # noqa: E402

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Name a folder: python tests/helpers/artifacts.py ../files")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    lay_artifacts(folder)
    print(f"Written: {', '.join(sorted(path.name for path in folder.iterdir()))} in {folder}")
