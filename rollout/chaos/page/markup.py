"""HTML and SVG from Python, escaped wherever it is not markup already: reports quote what came from a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias


class Html(str):
    """Text that is markup."""

    __slots__ = ()


Part: TypeAlias = "str | int | float | Iterable[Part] | None"

_VOID = frozenset({"meta", "br", "line", "rect", "circle", "path", "polyline"})


def tag(name: str, /, *parts: Part, **attributes: str | float | None) -> Html:
    """An element; `class_` and `for_` lose their underscore, other underscores are hyphens. None is left out."""
    given = "".join(
        f' {_name(key)}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{given}>" if name in {"meta", "br"} else f"<{name}{given}/>")
    return Html(f"<{name}{given}>{join(parts)}</{name}>")


def join(parts: Iterable[Part]) -> Html:
    """Several parts as one."""
    return Html("".join(_part(each) for each in parts))


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _part(part: Part) -> str:
    if part is None:
        return ""
    if isinstance(part, Html):
        return part
    if isinstance(part, str | int | float):
        return escape(_text(part))
    return join(part)


def _text(value: str | float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
