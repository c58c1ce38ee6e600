"""Display of a learner's cell on a page: code and outputs, made harmless and short.

Only text and PNG or JPEG pictures are shown, never a learner's HTML, SVG or JavaScript. Lines of hidden tests are
left out of outputs: code that runs beside the tests can print them. (It could also print them in disguise.)
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import markupsafe
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from pygments.lexers.special import TextLexer

from ..grading.error_words import in_words
from ..text import ANSI

HIGHLIGHTED = 4_000  # characters of a cell: no lexer is quick with all texts
TEXT_LIMIT = 10_000  # characters of one output, message or cell's code
TEXT_TOTAL = 300_000  # of a page
PICTURE_LIMIT = 1_000_000  # bytes
PICTURE_TOTAL = 6_000_000  # of a page
PIXELS, PIXELS_TOTAL = 16_000_000, 64_000_000  # of a picture, of a page: a browser takes four bytes for each
OUTPUTS = 100  # of a cell
SECRET = "[a line of a hidden test]"
SHORTEST_SECRET = 12  # characters; `n = 1` is in every program

HIDDEN = re.compile(r"^[ \t]*### BEGIN HIDDEN TESTS\b.*?(?:^[ \t]*### END HIDDEN TESTS|\Z)", re.MULTILINE | re.DOTALL)
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # with those that turn text around
FRAME = re.compile(r"\bIn ?\[(\d+)\]")
PICTURES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}


@dataclass(frozen=True)
class Output:
    """Either a text or a picture (a data URI)."""

    text: str = ""
    picture: str = ""


@dataclass(frozen=True)
class CellView:
    """``code`` is highlighted HTML; its classes are those of `code_style`."""

    code: markupsafe.Markup
    outputs: tuple[Output, ...]


def code_style() -> markupsafe.Markup:
    """Return the CSS of highlighted code, light and dark."""
    light, dark = (HtmlFormatter(style=style).get_style_defs(".code") for style in ("xcode", "lightbulb"))
    plain = ".code { background: var(--box); color: var(--text); }"
    return markupsafe.Markup(f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{plain}")


def secrets(tests: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return the revealing lines of the hidden part of ``tests``, without those in texts that learners know."""
    hidden = "\n".join(block for test in tests for block in HIDDEN.findall(test))
    public = {line.strip() for text in known for line in text.splitlines()}
    lines = {line.strip() for line in hidden.splitlines()} - public
    telling = {line for line in lines if len(line) >= SHORTEST_SECRET}
    quoted = {line.translate({ord(quote): f"\\{quote}"}) for line in telling for quote in "'\""}
    return sorted(telling | quoted, key=lambda line: (-len(line), line))


class Viewer:
    """A maker of the views of one page's cells, within the page's limits."""

    def __init__(self, secrets: list[str], own: Iterable[NotebookNode]) -> None:
        """Create a viewer. ``own``: the learner's cells; tracebacks show no other cells and no library."""
        self._secrets = secrets
        self._own = {str(cell.get("execution_count")) for cell in own}
        self._text_left, self._picture_left, self._pixels_left = TEXT_TOTAL, PICTURE_TOTAL, PIXELS_TOTAL

    def view(self, cell: NotebookNode) -> CellView:
        code = self._cut(CONTROL.sub("", cell.source))
        code = "\n".join(line.rstrip() for line in code.split("\n"))  # for a run of blank lines a lexer takes seconds
        lexer = PythonLexer(stripnl=False) if len(code) <= HIGHLIGHTED else TextLexer(stripnl=False)
        shown = highlight(code, lexer, HtmlFormatter(nowrap=True))
        return CellView(markupsafe.Markup(shown), tuple(self._outputs(cell.get("outputs", []))))

    def text(self, text: str) -> str:
        """Return text from a learner's code as plain lines."""
        lines = ANSI.sub("", self._cut(text)).split("\n")
        lines = [line.rstrip("\r").rpartition("\r")[2] for line in lines]  # a progress bar's last state
        text = CONTROL.sub("", "\n".join(lines))
        for secret in self._secrets:
            text = text.replace(secret, SECRET)
        return text.rstrip()

    def _cut(self, text: str) -> str:
        limit = min(TEXT_LIMIT, self._text_left)
        self._text_left -= min(limit, len(text))
        if len(text) <= limit:
            return text
        head, tail = limit * 4 // 5, limit // 5
        return f"{text[:head]}\n[{len(text) - head - tail:,} characters left out]\n{text[len(text) - tail :]}"

    def _outputs(self, outputs: list[NotebookNode]) -> Iterator[Output]:
        outputs = _joined(outputs)
        for output in outputs[:OUTPUTS]:
            picture = self._picture(output.get("data", {}))
            if picture:
                yield picture
            elif text := self.text(self._error(output) if output.output_type == "error" else _plain(output)):
                yield Output(text)
        if len(outputs) > OUTPUTS:
            yield Output("[more outputs left out]")

    def _picture(self, data: dict) -> Output | None:
        for mime, magic in PICTURES.items():
            content = _decoded(data.get(mime))
            if content.startswith(magic):
                pixels = _pixels(content)
                if len(content) > min(PICTURE_LIMIT, self._picture_left):
                    return Output(f"[a picture of {len(content):,} bytes left out]")
                if not 0 < pixels <= min(PIXELS, self._pixels_left):
                    return Output(f"[a picture of {pixels:,} pixels left out]")
                self._picture_left -= len(content)
                self._pixels_left -= pixels
                return Output(picture=f"data:{mime};base64,{base64.b64encode(content).decode()}")
        return None

    def _error(self, output: NotebookNode) -> str:
        message = in_words(f"{output.get('ename')}: {output.get('evalue')}")
        frames = [in_words(ANSI.sub("", str(frame))) for frame in output.get("traceback", [])]
        mine = [f.rstrip() for f in frames if FRAME.search(f) and set(FRAME.findall(f)) <= self._own]
        if mine and mine[-1].endswith(message):  # a syntax error's frame does
            return "\n\n".join(mine)
        return "\n\n".join([*mine, message])


def _joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Return outputs with consecutive streams joined: printing in a loop gives many."""
    joined: list[NotebookNode] = []
    texts: list[list[str]] = []
    for output in outputs:
        if output.output_type != "stream":
            joined.append(output)
            texts.append([])
        elif texts and texts[-1]:
            texts[-1].append(str(output.text))
        else:
            joined.append(output)
            texts.append([str(output.text)])
    return [NotebookNode(o, text="".join(t)) if t else o for o, t in zip(joined, texts, strict=True)]


def _plain(output: NotebookNode) -> str:
    return str(output.text if output.output_type == "stream" else output.get("data", {}).get("text/plain", ""))


def _pixels(content: bytes) -> int:
    """Return the pixels that a PNG's or JPEG's header declares; 0 if it has none."""
    if content.startswith(PICTURES["image/png"]):
        return int.from_bytes(content[16:20], "big") * int.from_bytes(content[20:24], "big")
    place = 2
    while place + 9 <= len(content) and content[place] == 0xFF:
        if content[place + 1] == 0xFF:  # a byte to fill up
            place += 1
            continue
        kind, size = content[place + 1], int.from_bytes(content[place + 2 : place + 4], "big")
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # the start of a frame
            height, width = content[place + 5 : place + 7], content[place + 7 : place + 9]
            return int.from_bytes(height, "big") * int.from_bytes(width, "big")
        place += 2 + size
    return 0


def _decoded(content: object) -> bytes:
    try:
        return base64.b64decode(content if isinstance(content, str) else "")
    except ValueError:
        return b""
