"""Go's built-in template functions. Contract: the list in the documentation of text/template."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote_plus

from rollout.api.gotemplate.values import kind_of, printf, text_of, true

Fn = Callable[..., Any]


def _basic(value: Any) -> str:
    match value:
        case None:
            return "nil"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
        case str():
            return "string"
        case _:
            raise ValueError(f"non-comparable type {kind_of(value)}")


def _eq(first: Any, *others: Any) -> bool:
    if not others:
        raise ValueError("missing argument for comparison")
    return any(_same(first, other) for other in others)


def _same(first: Any, other: Any) -> bool:
    kinds = {_basic(first), _basic(other)}
    if "nil" in kinds:
        return first is None and other is None
    if len(kinds) > 1:
        raise ValueError(f"incompatible types for comparison: {kind_of(first)}, {kind_of(other)}")
    return bool(first == other)


def _ordered(compare: Callable[[Any, Any], bool]) -> Fn:
    def function(first: Any, second: Any) -> bool:
        kinds = {_basic(first), _basic(second)}
        if len(kinds) > 1:
            raise ValueError(
                f"incompatible types for comparison: {kind_of(first)}, {kind_of(second)}"
            )
        if kinds & {"bool", "nil"}:
            raise ValueError(f"invalid type for comparison: {kind_of(first)}")
        return compare(first, second)

    return function


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        match value:
            case Mapping():
                value = value.get(key)
            case str():
                value = value.encode()[_position(key, len(value.encode()))]
            case Sequence():
                value = value[_position(key, len(value))]
            case None:
                raise ValueError("index of untyped nil")
            case _:
                raise ValueError(f"can't index item of type {kind_of(value)}")
    return value


def _position(key: Any, length: int, *, most: int | None = None) -> int:
    if isinstance(key, bool) or not isinstance(key, int):
        raise ValueError(f"cannot index slice/array with type {kind_of(key)}")
    if not 0 <= key <= (length - 1 if most is None else most):
        raise ValueError(f"index out of range: {key}")
    return key


def _slice(value: Any, *bounds: Any) -> Any:
    if not isinstance(value, Sequence) or len(bounds) > 2:
        raise ValueError(f"can't slice item of type {kind_of(value)}")
    held: Any = value.encode() if isinstance(value, str) else value
    low, high = 0, len(held)
    if bounds:
        low = _position(bounds[0], len(held), most=len(held))
    if len(bounds) == 2:
        high = _position(bounds[1], len(held), most=len(held))
    if low > high:
        raise ValueError(f"invalid slice index: {low} > {high}")
    return held[low:high].decode(errors="replace") if isinstance(value, str) else held[low:high]


def _len(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Mapping | Sequence):
        return len(value)
    raise ValueError(f"len of type {kind_of(value)}")


def _print(*values: Any) -> str:
    pieces = ""
    for index, value in enumerate(values):
        both_other = index and not isinstance(value, str) and not isinstance(values[index - 1], str)
        pieces += (" " if both_other else "") + text_of(value)
    return pieces


def _println(*values: Any) -> str:
    return " ".join(map(text_of, values)) + "\n"


def _printf(form: str, *values: Any) -> str:
    return printf(form, values)


_HTML = {'"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;", "\0": "\ufffd"}


def _html(*values: Any) -> str:
    return "".join(_HTML.get(character, character) for character in _print(*values))


def _urlquery(*values: Any) -> str:
    return quote_plus(_print(*values))


def _not(value: Any) -> bool:
    return not true(value)


LAZY: Final = frozenset({"and", "or"})
"""Functions whose arguments are evaluated one by one, as far as needed."""

BUILTINS: Final[Mapping[str, Fn]] = {
    "not": _not,
    "eq": _eq,
    "ne": lambda first, second: not _same(first, second),
    "lt": _ordered(operator.lt),
    "le": _ordered(operator.le),
    "gt": _ordered(operator.gt),
    "ge": _ordered(operator.ge),
    "index": _index,
    "slice": _slice,
    "len": _len,
    "print": _print,
    "println": _println,
    "printf": _printf,
    "html": _html,
    "urlquery": _urlquery,
}
