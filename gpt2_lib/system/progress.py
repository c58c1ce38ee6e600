"""Progress bars for work that may take minutes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from tqdm.auto import tqdm

Step = TypeVar("Step")
DELAY = 1.0  # seconds after which a bar appears: shorter work needs none


def progress_bar(steps: Iterable[Step], title: str, unit: str, total: int | None = None) -> Iterable[Step]:
    """Yield ``steps`` behind a progress bar, on stderr or in the notebook, that disappears at the end.

    Set the environment variable ``TQDM_DISABLE`` to 1 for a library without bars.
    """
    return tqdm(steps, title, total, unit=unit, leave=False, delay=DELAY)
