"""The seeds of hidden tests: a fixed one for each submission and check, unknown to anybody without the course's key.

Another submission of the same learner draws other inputs: what its code recorded of the last ones is worth nothing.

The key is the course's secret, ``gradebook.key``: created at the first grading, and kept beside the gradebook, where
no sandbox shows it. Only a judge gets a seed, in its environment, just before the check runs.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import secrets
from pathlib import Path

from .course import CourseError

FILE = "gradebook.key"
SEEDS = 10**6
KEY = re.compile(r"[0-9a-f]{64}")


def key_of(root: Path) -> bytes:
    """Return the course's key; create it if there is none. Raises CourseError for an invalid file, and OSError."""
    path = root / FILE
    if not path.exists():
        part = path.with_name(f".{FILE}.{os.getpid()}.part")
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32) + "\n")
            with contextlib.suppress(FileExistsError):  # another grader wrote the file first: its content counts
                os.link(part, path)
        finally:
            part.unlink(missing_ok=True)
    text = path.read_text(encoding="ascii", errors="replace").strip()
    if not KEY.fullmatch(text):
        raise CourseError(
            f"{FILE} holds no key: bring it back from a backup, or delete it; then hidden tests draw new inputs for "
            "everybody, and all is graded again."
        )
    return bytes.fromhex(text)


def secret_of(key: bytes, assignment: str, student: str, work: str) -> str:
    """Return the secret from which a submission's seeds are derived; ``work`` is the digest of what was submitted."""
    return hmac.digest(key, f"{assignment}\0{student}\0{work}".encode("utf-8", "replace"), "sha256").hex()


def seed_of(secret: str, notebook: str, check: str) -> int:
    """Return the seed of one check of a submission."""
    made = hmac.digest(bytes.fromhex(secret), f"{notebook}\0{check}".encode("utf-8", "replace"), "sha256")
    return int.from_bytes(made[:8], "big") % SEEDS
