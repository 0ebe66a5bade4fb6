"""The chart's values: defaults, files and `--set`, merged as Helm merges them and checked against the schema.

Pure. Must not know what the values are for.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from rollout.install.errors import InstallError

Values = dict[str, Any]

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "object": dict,
    "array": list,
}


def parse_set(text: str) -> Values:
    """Helm's `a.b=c,d=1`: true, false, null and integers are themselves, the rest is text; `\\,` and `\\.` escape."""
    values: Values = {}
    for assignment in _split(text, ","):
        path, equals, value = assignment.partition("=")
        if not equals or not path:
            raise InstallError(f"--set {assignment}: write it as path.to.value=something")
        *parents, last = _split(path.strip(), ".")
        target = values
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise InstallError(f"--set {assignment}: {parent} has a value already")
        target[last] = _scalar(value.replace("\\,", ","))
    return values


def merge(base: Values, override: Mapping[str, Any]) -> Values:
    """Maps are merged, all else is replaced, null removes; neither argument changes."""
    merged = dict(base)
    for key, value in override.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def check(values: Any, schema: Mapping[str, Any], path: str = "") -> None:
    """Refuse what the schema does not allow; `InstallError` names the value and, for an unknown key, the nearest."""
    where = path or "values"
    expected = schema.get("type")
    if expected and not _is(values, expected):
        raise InstallError(f"{where}: must be of type {expected}, not {values!r}")
    if "enum" in schema and values not in schema["enum"]:
        raise InstallError(f"{where}: must be one of {', '.join(schema['enum'])}, not {values!r}")
    if "pattern" in schema and not re.search(schema["pattern"], values):
        raise InstallError(f"{where}: {values!r} does not look right; {schema['description']}")
    low, high = schema.get("minimum"), schema.get("maximum")
    if (low is not None and values < low) or (high is not None and values > high):
        raise InstallError(f"{where}: must be from {low} to {high}, not {values}")
    if isinstance(values, dict):
        _check_keys(values, schema, path)


def _check_keys(values: Values, schema: Mapping[str, Any], path: str) -> None:
    known = schema.get("properties", {})
    for key, value in values.items():
        inner = f"{path}.{key}" if path else key
        if key in known:
            check(value, known[key], inner)
        elif schema.get("additionalProperties") is False:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise InstallError(f"{inner}: there is no such value ({hint})")


def _is(value: Any, expected: str) -> bool:
    if isinstance(value, bool) and expected != "boolean":
        return False
    return isinstance(value, _TYPES[expected])


def _split(text: str, separator: str) -> list[str]:
    pieces = re.split(rf"(?<!\\){re.escape(separator)}", text)
    return [
        piece if separator == "," else piece.replace(f"\\{separator}", separator)
        for piece in pieces
    ]


def _scalar(text: str) -> Any:
    match text:
        case "true":
            return True
        case "false":
            return False
        case "null":
            return None
    return int(text) if re.fullmatch(r"-?(0|[1-9][0-9]*)", text) else text
