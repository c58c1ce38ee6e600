"""Pictures on a page, taken out of their HTML."""

from __future__ import annotations

import base64
import html
import re

from gpt2_lib.course.page.live import Live


def seen(live: Live) -> tuple[bytes, str]:
    """The picture that a widget shows, a PNG, and its words."""
    picture = re.fullmatch(r"<img .*alt='(.*?)' .*src='data:image/png;base64,(.*)'>", live.image.value)
    assert picture is not None, live.image.value[:300]
    return base64.b64decode(picture[2]), html.unescape(picture[1])
