"""Zips of feedback pages; equal pages give equal bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

from ..files import write_whole
from .summary import GRADED, REFUSED, Row

EPOCH = (1980, 1, 1, 0, 0, 0)


def pages_of(root: Path, row: Row) -> list[Path]:
    """Return a learner's pages that a platform may have: none of a submission that is to be graded."""
    folder = root / "feedback" / row.student / row.assignment
    return sorted(folder.glob("*.html")) if row.status in (GRADED, REFUSED) else []


def write_zip(path: Path, pages: Iterable[tuple[str, Path]]) -> list[Path]:
    """Write a zip with each file under its name, whole or not at all; none without files. Returns what was written."""
    pages = sorted(pages)
    if not pages:
        path.unlink(missing_ok=True)  # an earlier archive is out of date
        return []
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, page in pages:
            archive.writestr(zipfile.ZipInfo(name, EPOCH), page.read_bytes(), zipfile.ZIP_DEFLATED)
    write_whole(path, memory.getvalue())
    return [path]
