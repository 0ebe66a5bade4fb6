"""How Go sees and prints values: truth, `%v`, and `printf`'s verbs. Contract: Go's fmt and text/template packages."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

NO_VALUE: Final = "<no value>"
_WIDEST = 1_000
_EXPONENT_FROM = 6  # what strconv decides by where the shortest digits are wanted
_VERB = re.compile(
    r"%(?P<flags>[-+# 0]*)(?P<width>\d*)(?:\.(?P<precision>\d*))?(?P<verb>.|\n|$)", re.DOTALL
)
_QUOTED = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


class Missing:
    """The value of a key that a map does not have, where that is no error; it prints as `<no value>`."""

    __slots__ = ()


MISSING: Final = Missing()


def true(value: Any) -> bool:
    """Whether Go's templates take a value for true: not nil, zero, false or empty."""
    return not isinstance(value, Missing) and bool(value)


def kind_of(value: Any) -> str:
    """The name of the value's Go type, as messages give it."""
    match value:
        case None | Missing():
            return "nil"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float64"
        case str():
            return "string"
        case Mapping():
            return "map[string]interface {}"
        case Sequence():
            return "[]interface {}"
        case _:
            return "func"


def text_of(value: Any, *, nil: str = "<nil>") -> str:
    """The value as `%v` prints it."""
    match value:
        case None | Missing():
            return nil
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case float():
            return _float(value)
        case Mapping():
            entries = (f"{text_of(key)}:{text_of(value[key])}" for key in sorted(value, key=str))
            return f"map[{' '.join(entries)}]"
        case Sequence():
            return f"[{' '.join(map(text_of, value))}]"
        case _:
            return str(value)


def quote(text: str) -> str:
    """The text as a Go string constant (`strconv.Quote`)."""
    return '"' + "".join(map(_quoted_character, text)) + '"'


def _quoted_character(character: str) -> str:
    if (known := _QUOTED.get(character)) is not None:
        return known
    if character.isprintable():
        return character
    code = ord(character)
    return (
        f"\\x{code:02x}"
        if code < 0x80
        else f"\\u{code:04x}"
        if code < 0x10000
        else f"\\U{code:08x}"
    )


def _float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    exponent = Decimal(repr(value)).adjusted()
    if -4 <= exponent < _EXPONENT_FROM:
        return _plain(value)
    mantissa = _plain(float(Decimal(repr(value)).scaleb(-exponent)))
    return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _plain(value: float) -> str:
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def printf(form: str, arguments: Sequence[Any]) -> str:
    """Go's `fmt.Sprintf` for the values that templates have; wrong verbs print as Go's `%!d(string=x)`."""
    remaining = iter(arguments)
    pieces, last = [], 0
    for match in _VERB.finditer(form):
        pieces.append(form[last : match.start()])
        pieces.append(_directive(match, remaining))
        last = match.end()
    pieces.append(form[last:])
    if rest := list(remaining):
        extra = ", ".join(f"{kind_of(value)}={text_of(value)}" for value in rest)
        pieces.append(f"%!(EXTRA {extra})")
    return "".join(pieces)


def _directive(match: re.Match[str], remaining: Iterator[Any]) -> str:
    flags, verb = match["flags"], match["verb"]
    if verb == "%":
        return "%"
    if not verb:
        return "%!(NOVERB)"
    width = int(match["width"] or 0)
    precision = None if match["precision"] is None else int(match["precision"] or 0)
    if max(width, precision or 0) > _WIDEST:
        raise ValueError(f"a width or precision above {_WIDEST}")
    try:
        value = next(remaining)
    except StopIteration:
        return f"%!{verb}(MISSING)"
    body = _verb(verb, value, flags, precision)
    if body is None:
        shown = "<nil>" if value is None else f"{kind_of(value)}={text_of(value)}"
        return f"%!{verb}({shown})"
    return _padded(body, flags, width, numeric=not isinstance(value, bool | str | None))


def _padded(body: str, flags: str, width: int, *, numeric: bool) -> str:
    if "-" in flags:
        return body.ljust(width)
    if "0" in flags and numeric:
        sign = body[:1] if body[:1] in {"+", "-", " "} else ""
        return sign + body[len(sign) :].rjust(width - len(sign), "0")
    return body.rjust(width, "0" if "0" in flags else " ")


def _verb(verb: str, value: Any, flags: str, precision: int | None) -> str | None:
    if verb == "v":
        return text_of(value)
    if verb == "T":
        return "<nil>" if value is None else kind_of(value)
    if isinstance(value, bool):
        return text_of(value) if verb == "t" else None
    if isinstance(value, str):
        return _string_verb(verb, value, precision)
    if isinstance(value, int | float):
        body = (
            _int_verb(verb, value)
            if isinstance(value, int)
            else _float_verb(verb, value, precision)
        )
        if body is None or body.startswith("-") or verb in "cq":
            return body
        return ("+" if "+" in flags else " " if " " in flags else "") + body
    if verb in {"s", "q"} and isinstance(value, Sequence):
        items = (_verb(verb, item, flags, precision) for item in value)
        return "[" + " ".join(item or "" for item in items) + "]"
    return None


def _string_verb(verb: str, value: str, precision: int | None) -> str | None:
    cut = value if precision is None else value[:precision]
    match verb:
        case "s":
            return cut
        case "q":
            return quote(cut)
        case "x":
            return cut.encode().hex()
        case "X":
            return cut.encode().hex().upper()
        case _:
            return None


def _int_verb(verb: str, value: int) -> str | None:
    match verb:
        case "d":
            return str(value)
        case "b" | "o" | "x" | "X":
            return format(value, verb)
        case "c":
            return chr(value)
        case "q":
            return f"'{chr(value)}'"
        case _:
            return None


def _float_verb(verb: str, value: float, precision: int | None) -> str | None:
    if verb in {"f", "F", "e", "E"}:
        return format(value, f".{6 if precision is None else precision}{verb}")
    if verb in {"g", "G"}:
        return _float(value) if precision is None else format(value, f".{precision}g")
    return None
