"""Equations as MathML, which browsers draw themselves: no script from elsewhere, and none of ours."""

from __future__ import annotations

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

ALIASES = {r"\lVert": "\u2016", r"\rVert": "\u2016"}  # commands that `convert` would write down as they are


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _known(node: nodes.Element) -> str:
    return re.sub(r"\\[A-Za-z]+", lambda found: ALIASES.get(found[0], found[0]), node.astext())


def _inline(translator: HTML5Translator, node: nodes.Element) -> None:
    translator.body.append(convert(_known(node)))
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.Element) -> None:
    translator.body.append(convert(_known(node), display="block"))
    raise nodes.SkipNode
