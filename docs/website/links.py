"""Links between pages of the repository, made fit for a site that holds some of its files."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import PurePosixPath

LINK = re.compile(r"(?P<text>!?\[(?:[^\[\]]|\[[^\[\]]*\]\([^)]*\))*\])\((?P<target>[^)\s]+)(?P<title>\s+\"[^\"]*\")?\)")
FENCE = re.compile(r"(^```.*?^```[^\S\n]*$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
OUTSIDE = re.compile(r"[a-z][a-z0-9+.-]*:|#|//", re.IGNORECASE)


def adapted(text: str, page: str, files: Collection[str], repository: str = "") -> str:
    """Markdown of ``page``, whose links lead to ``files`` of the site, else to ``repository``, else are mere text.

    ``page`` and ``files`` are paths from the repository's root; ``repository`` is an address that they are added to.
    """

    def link(found: re.Match[str]) -> str:
        text, target = found["text"], found["target"]
        if text.startswith("[!["):
            text = "[" + LINK.sub(link, text[1:-1]) + "]"
        if OUTSIDE.match(target):
            return f"{text}({target}{found['title'] or ''})"
        path, _, anchor = target.partition("#")
        there = os.path.normpath(PurePosixPath(page).parent / path).replace(os.sep, "/")
        if there in files:
            return f"{text}({target}{found['title'] or ''})"
        if repository:
            return f"{text}({repository}/{there}{'#' * bool(anchor)}{anchor})"
        return text.strip("[]") if not text.startswith("!") else ""

    parts = FENCE.split(text)
    return "".join(part if FENCE.fullmatch(part) else LINK.sub(link, part) for part in parts)
