"""Labels of checks for reports, read from the source of the course's checks without running it."""

from __future__ import annotations

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def labels(package: str) -> dict[str, str]:
    """Return {check: its label} for the modules of ``package``; {} for "" and for a package that is not installed.

    A label is the text in a function's decorator ``@check("label")``. A label that is computed is left out.
    """
    top, *rest = package.split(".")
    spec = find_spec(top) if top else None  # of the top alone: that of a part would import the package around it
    if spec is None or spec.origin is None:
        return {}
    found: dict[str, str] = {}
    for path in sorted(Path(spec.origin).parent.joinpath(*rest).glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and (label := "".join(map(_label, node.decorator_list))):
                found[node.name] = label
    return found


def _label(decorator: ast.expr) -> str:
    match decorator:
        case ast.Call(func=ast.Name(id="check"), args=[ast.Constant(value=str(label))]):
            return label
    return ""
