"""The shape of a kernel's output messages. A learner's code can send any: those of another are dropped."""

from __future__ import annotations

from collections.abc import Callable


def _is_text(found: object) -> bool:
    return isinstance(found, str)


def _is_number(found: object) -> bool:
    return found is None or type(found) is int


def _is_bundle(found: object) -> bool:
    """Return whether this is {MIME type: text, its lines, or any JSON where the type says so}."""
    return isinstance(found, dict) and all(
        isinstance(part, str) or _are_texts(part) or kind.endswith("json") for kind, part in found.items()
    )


def _are_texts(found: object) -> bool:
    return isinstance(found, list) and all(map(_is_text, found))


def _is_transient(found: object) -> bool:
    return found is None or (isinstance(found, dict) and isinstance(found.get("display_id", ""), str | None))


Shape = dict[str, Callable[[object], bool]]
_DISPLAY: Shape = {"data": _is_bundle, "metadata": lambda found: isinstance(found, dict), "transient": _is_transient}
_SHAPES: dict[str, Shape] = {
    "status": {"execution_state": _is_text},
    "execute_input": {"execution_count": _is_number},
    "stream": {"name": lambda found: found in ("stdout", "stderr"), "text": _is_text},
    "error": {"ename": _is_text, "evalue": _is_text, "traceback": _are_texts},
    "display_data": _DISPLAY,
    "update_display_data": _DISPLAY,
    "execute_result": {**_DISPLAY, "execution_count": _is_number},
    "clear_output": {"wait": lambda found: found is None or isinstance(found, bool)},
}
KINDS = _SHAPES.keys()


def is_whole(kind: str, content: object) -> bool:
    """Return whether the content of a message, of one of KINDS, is as a kernel makes it."""
    return isinstance(content, dict) and all(fits(content.get(key)) for key, fits in _SHAPES[kind].items())
