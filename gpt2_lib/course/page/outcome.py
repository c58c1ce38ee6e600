"""The outcome of a check in a notebook: a short message beside a coloured bar, instead of a traceback."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Literal

Kind = Literal["passed", "failed", "not begun"]
MARKS: dict[Kind, str] = {"passed": "✔", "failed": "✘", "not begun": "☐"}
# The bar's colour: on a white page and on a black one its contrast is at least 3 (WCAG 2.2, 1.4.11).
BARS: dict[Kind, str] = {"passed": "#1a7f37", "failed": "#cf3a30", "not begun": "#768390"}

# The bar of the cells that are the learner's to write, and of demonstrations that may be changed.
YOURS, OPEN = "#2a78d0", "#768390"
# The page around the cells: a column that is easy to read, and these bars. What stands above a learner's cell has the
# class; JupyterLab's cells don't say what they are. Markdown and code cells are siblings in the page.
STYLE = f"""<style>
.jp-Notebook .jp-RenderedMarkdown :is(p, li, h1, h2, h3, details) {{ max-width: 46em }}
.jp-Notebook .jp-RenderedHTMLCommon table {{ margin-left: 0 }}
.jp-Notebook .jp-RenderedMarkdown p:has(.gpt2-yours) {{ margin-top: 12px }}
.jp-Notebook .jp-CodeCell:has(.cm-content:not([aria-readonly=true])) .jp-InputArea-editor {{
  border-left: 4px dotted {OPEN} }}
.jp-Notebook .jp-MarkdownCell:has(.gpt2-yours) + .jp-CodeCell .jp-InputArea-editor {{
  border-left: 4px solid {YOURS} }}
</style>"""


@dataclass(frozen=True)
class Outcome:
    """``head``, a line, and ``body``, the lines below it, whose tables keep their spaces."""

    kind: Kind
    head: str
    body: str = ""

    def __repr__(self) -> str:
        return "\n".join([f"{MARKS[self.kind]} {self.head}", *self.body.splitlines()])

    def _repr_html_(self) -> str:
        body = self.body and (
            "<pre style='margin: 0; padding: 0; background: none; color: inherit; white-space: pre-wrap; "
            "word-break: normal; overflow-wrap: anywhere; "
            f"line-height: 1.4'>{html.escape(self.body)}</pre>"
        )
        return (
            f"<div role='status' style='border-left: 4px solid {BARS[self.kind]}; padding: 2px 14px; margin: 2px 0; "
            f"line-height: 1.5'><b>{MARKS[self.kind]} {html.escape(self.head)}</b>{body}</div>"
        )
