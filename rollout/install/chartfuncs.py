"""The functions that charts call beside Go's own: Helm's `include`, `required`, `toYaml`, and of Sprig what charts use.

Contract: Helm's documentation of its template functions. Pure; random, dated and cluster-reading functions are left
out, so that a chart renders to the same objects everywhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from rollout.api.gotemplate import Limits, TemplateSet
from rollout.api.gotemplate.values import NO_VALUE, kind_of, quote, text_of, true

Fn = Callable[..., Any]
_WIDEST = 1_000


def render_chart(files: Mapping[str, str], data: Mapping[str, Any]) -> dict[str, str]:
    """A chart's templates (text by path), rendered: text by path, without partials (`_…`) and NOTES.txt.

    `data` is what Helm calls the top-level values: Values, Release, Chart, Capabilities. TemplateError names the file.
    """
    templates = template_set()
    for path, text in sorted(files.items()):
        templates.add(path, text)
    return {
        path: templates.render(path, data).replace(NO_VALUE, "")
        for path in sorted(files)
        if not path.rpartition("/")[2].startswith("_") and not path.endswith("NOTES.txt")
    }


def template_set(limits: Limits | None = None) -> TemplateSet:
    """An empty set of templates that may call Helm's functions; a missing value is nil, as in Helm."""

    def include(name: str, data: Any) -> str:
        if name not in templates:
            raise LookupError(f"template {name!r} is not defined")
        return templates.render(name, data)

    functions = {**FUNCTIONS, "include": include}
    templates = TemplateSet(functions, missing_key="zero", limits=limits)
    return templates


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """YAML as Helm writes it: keys in order, long texts as blocks, nothing wrapped."""


def _represent_text(dumper: Any, text: str) -> Any:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def to_yaml(value: Any) -> str:
    """The value as YAML, without a line feed at the end."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, width=1 << 30
    )
    return text.removesuffix("\n...\n").removesuffix("\n")


def _from_yaml(text: str) -> Any:
    return yaml.safe_load(text)


def _to_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def _to_pretty_json(value: Any) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


def _text(value: Any) -> str:
    return text_of(value, nil="")


def _required(message: str, value: Any) -> Any:
    if value is None or value == "":
        raise ValueError(message)
    return value


def _fail(message: str) -> str:
    raise ValueError(message)


def _default(fallback: Any, value: Any = None) -> Any:
    return value if true(value) else fallback


def _empty(value: Any) -> bool:
    return not true(value)


def _coalesce(*values: Any) -> Any:
    return next(filter(true, values), None)


def _ternary(yes: Any, no: Any, condition: bool) -> Any:  # noqa: FBT001 - Sprig's order
    return yes if condition else no


def _quote(*values: Any) -> str:
    return " ".join(quote(_text(value)) for value in values if value is not None)


def _squote(*values: Any) -> str:
    return " ".join(f"'{_text(value)}'" for value in values if value is not None)


def _indent(width: int, text: str) -> str:
    if not 0 <= width <= _WIDEST:
        raise ValueError(f"an indent of {width}")
    return " " * width + text.replace("\n", "\n" + " " * width)


def _nindent(width: int, text: str) -> str:
    return "\n" + _indent(width, text)


def _trunc(length: int, text: str) -> str:
    return text[length:] if length < 0 else text[:length]


def _trim_suffix(suffix: str, text: str) -> str:
    return text.removesuffix(suffix)


def _trim_prefix(prefix: str, text: str) -> str:
    return text.removeprefix(prefix)


def _replace(old: str, new: str, text: str) -> str:
    return text.replace(old, new)


def _contains(part: str, text: str) -> bool:
    return part in text


def _has_prefix(prefix: str, text: str) -> bool:
    return text.startswith(prefix)


def _has_suffix(suffix: str, text: str) -> bool:
    return text.endswith(suffix)


def _join(separator: str, values: Any) -> str:
    items = values if isinstance(values, Sequence) and not isinstance(values, str) else [values]
    return separator.join(_text(item) for item in items if item is not None)


def _split_list(separator: str, text: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _dict(*pairs: Any) -> dict[str, Any]:
    keys, values = pairs[::2], (*pairs[1::2], *([""] if len(pairs) % 2 else []))
    return {_text(key): value for key, value in zip(keys, values, strict=True)}


def _list(*values: Any) -> list[Any]:
    return list(values)


def _get(values: Mapping[str, Any], key: str) -> Any:
    return values.get(key, "")


def _has_key(values: Mapping[str, Any], key: str) -> bool:
    return key in values


def _keys(*maps: Mapping[str, Any]) -> list[str]:
    return [key for values in maps for key in values]


def _has(wanted: Any, values: Sequence[Any] | None) -> bool:
    return wanted in (values or ())


def _sort_alpha(values: Sequence[Any]) -> list[str]:
    return sorted(map(_text, values))


def _merge(target: Mapping[str, Any], *others: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(target)
    for other in others:
        for key, value in other.items():
            mine = merged.get(key)
            if isinstance(mine, Mapping) and isinstance(value, Mapping):
                merged[key] = _merge(mine, value)
            elif not true(mine):
                merged[key] = value
    return merged


def _int(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def _add(*values: Any) -> int:
    return sum(map(_int, values))


def _sub(first: Any, second: Any) -> int:
    return _int(first) - _int(second)


def _mul(first: Any, *others: Any) -> int:
    product = _int(first)
    for other in others:
        product *= _int(other)
    return product


def _until(count: Any) -> list[int]:
    return list(range(min(_int(count), 10_000)))


def _b64enc(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _b64dec(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode(errors="replace")
    except binascii.Error as error:
        return str(error)


def _sha256sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_KINDS = {
    "map[string]interface {}": "map",
    "[]interface {}": "slice",
    "nil": "invalid",
}


def _kind(value: Any) -> str:
    name = kind_of(value)
    return _KINDS.get(name, name)


def _kind_is(kind: str, value: Any) -> bool:
    return _kind(value) == kind


FUNCTIONS: Mapping[str, Fn] = {
    "add": _add,
    "b64dec": _b64dec,
    "b64enc": _b64enc,
    "coalesce": _coalesce,
    "contains": _contains,
    "default": _default,
    "dict": _dict,
    "empty": _empty,
    "fail": _fail,
    "fromYaml": _from_yaml,
    "get": _get,
    "has": _has,
    "hasKey": _has_key,
    "hasPrefix": _has_prefix,
    "hasSuffix": _has_suffix,
    "indent": _indent,
    "int": _int,
    "join": _join,
    "keys": _keys,
    "kindIs": _kind_is,
    "kindOf": _kind,
    "list": _list,
    "lower": str.lower,
    "merge": _merge,
    "mul": _mul,
    "nindent": _nindent,
    "quote": _quote,
    "replace": _replace,
    "required": _required,
    "sha256sum": _sha256sum,
    "sortAlpha": _sort_alpha,
    "splitList": _split_list,
    "squote": _squote,
    "sub": _sub,
    "ternary": _ternary,
    "toJson": _to_json,
    "toPrettyJson": _to_pretty_json,
    "toString": _text,
    "toYaml": to_yaml,
    "trim": str.strip,
    "trimPrefix": _trim_prefix,
    "trimSuffix": _trim_suffix,
    "trunc": _trunc,
    "until": _until,
    "upper": str.upper,
}
