"""HTML pages that open offline: templates filled in, every value escaped."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..files import write_whole

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)


def points(value: float) -> str:
    """Return points as people write them: 2, not 2.0."""
    return f"{value:.10g}"


def how_late(seconds: float) -> str:
    """Return a time in days, hours and minutes, without those that are 0."""
    minutes = max(1, int(seconds // 60))
    parts = {"d": minutes // 1440, "h": minutes // 60 % 24, "min": minutes % 60}
    return " ".join(f"{number} {unit}" for unit, number in parts.items() if number)


_TEMPLATES.filters["points"] = points


def render(template: str, **values: object) -> str:
    """Return the page of a template in templates/; invalid characters become "?"."""
    page = _TEMPLATES.get_template(template).render(**values)
    return page.encode("utf-8", errors="replace").decode("utf-8")


def write_page(path: Path, template: str, **values: object) -> Path:
    """Write a rendered page, whole or not at all; returns ``path``."""
    write_whole(path, render(template, **values))
    return path
