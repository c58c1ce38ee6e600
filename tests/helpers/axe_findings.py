"""What axe-core finds in a page."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

THEMES = ("light", "dark")


def findings(page: Page, theme: Any, context: dict | None = None) -> list[str]:
    """axe's serious and critical findings."""
    page.emulate_media(color_scheme=theme)
    page.wait_for_timeout(1500 if context else 0)  # JupyterLab loads its other style
    found = Axe().run(page, context=context, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{theme}, {rule['id']}: {node['html'][:150]} ({node['failureSummary']})"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
