"""Finds names in an object that its model does not know, and the known one that was probably meant.

Walks the model's annotations beside the data, before any validation, so that a misspelt key is reported together
with whatever is missing because of it. Knows no particular kind.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from rollout.api.errors import FieldError

# The API server owns these; it refuses or prunes what it does not know in them.
_NOT_OURS = frozenset({"metadata", "status"})
_MOST_REPORTED = 50


def unknown_fields(model: type[BaseModel], data: Mapping[str, Any]) -> list[FieldError]:
    """Every unknown key of a whole object, with the nearest known one; at most 50."""
    found = []
    for path, name, known in _walk_model(model, data, "", top=True):
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6) or [
            key for key in known if key.lower() == name.lower().replace("_", "").replace("-", "")
        ]
        remedy = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
        found.append(FieldError(path, "unknown field", remedy))
        if len(found) == _MOST_REPORTED:
            break
    return found


@cache
def known_fields(model: type[BaseModel]) -> dict[str, Any]:
    """The names that users write in this model, with their annotations."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def child_model(annotation: Any) -> tuple[str, type[BaseModel]] | None:
    """How a field holds a model (`one`, `list` or `map`) and which; None where it holds none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "one", annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, UnionType}:
        return next(filter(None, map(child_model, arguments)), None)
    if origin is tuple and (inner := child_model(arguments[0])):
        return "list", inner[1]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return ("map", inner[1]) if (inner := child_model(arguments[1])) else None
    return child_model(arguments[0]) if arguments and hasattr(annotation, "__metadata__") else None


def _walk_model(
    model: type[BaseModel], data: object, path: str, *, top: bool = False
) -> Iterator[tuple[str, str, list[str]]]:
    if not isinstance(data, Mapping):
        return
    known = known_fields(model)
    for key, value in data.items():
        if top and key in _NOT_OURS:
            continue
        inner = f"{path}.{key}" if path else str(key)
        if key not in known:
            yield inner, str(key), list(known)
        elif held := child_model(known[key]):
            yield from _walk_held(held, value, inner)


def _walk_held(
    held: tuple[str, type[BaseModel]], value: object, path: str
) -> Iterator[tuple[str, str, list[str]]]:
    match held, value:
        case ("one", model), _:
            yield from _walk_model(model, value, path)
        case ("list", model), list():
            for index, item in enumerate(value):
                yield from _walk_model(model, item, f"{path}[{index}]")
        case ("map", model), dict():
            for key, item in value.items():
                yield from _walk_model(model, item, f"{path}.{key}")
