"""What has to be sent so that an object is as desired: the smallest RFC 7386 merge patch, or nothing.

Pure. Knows that servers add defaults, and therefore never takes a field that nobody desired for a difference, except
below paths where the caller says that the desired value is the whole value. Knows no kind.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from rollout.kube.objects import Object


def merge_patch(desired: Object, observed: Object, exact: Collection[str] = ()) -> Object:
    """The merge patch that makes `observed` cover `desired`; empty where it does already.

    Fields that `desired` names must be equal, fields that it does not name are left alone, None means absent. Lists
    are compared element by element with the same leniency, and replaced whole where they differ. At the dotted paths
    in `exact` that `desired` names (`spec.template`), the observed value must equal the desired one, removals included.
    An empty map or list is no different from an absent one, because servers drop them.
    """
    return _lenient(desired, observed, "", frozenset(exact))


def exact_patch(desired: Object, observed: Object) -> Object:
    """The merge patch that turns `observed` into `desired` exactly; empty where they are equal."""
    return _exact(desired, observed)


def _lenient(desired: Object, observed: Object, path: str, exact: frozenset[str]) -> Object:
    patch: Object = {}
    for name, want in desired.items():
        here = f"{path}.{name}" if path else name
        have = observed.get(name)
        if here in exact and want is not None:
            if not _equal(want, have):
                patch[name] = _turned_into(want, have)
        elif isinstance(want, dict) and isinstance(have, dict):
            if inner := _lenient(want, have, here, exact):
                patch[name] = inner
        elif not _covers(want, have):
            patch[name] = _without_nulls(want)
    return patch


def _exact(desired: Object, observed: Object) -> Object:
    patch: Object = {
        name: None
        for name, have in observed.items()
        if desired.get(name) is None and have is not None
    }
    for name, want in desired.items():
        have = observed.get(name)
        if want is None or (name in observed and _equal(want, have)):
            continue
        patch[name] = _turned_into(want, have)
    return patch


def _turned_into(want: Any, have: Any) -> Any:
    if isinstance(want, dict) and isinstance(have, dict):
        return _exact(want, have)
    return _without_nulls(want)


def _covers(want: Any, have: Any) -> bool:
    """Whether a value that is not a map on both sides is as desired."""
    if want is None or want in ({}, []):
        return have is None or _equal(want, have)
    if isinstance(want, list) and isinstance(have, list):
        return len(want) == len(have) and all(map(_element_covers, want, have))
    return _equal(want, have)


def _element_covers(want: Any, have: Any) -> bool:
    """The same within a list, where an empty map says something (`emptyDir: {}`) and so must be there."""
    if not isinstance(want, dict) or not isinstance(have, dict):
        return _covers(want, have)
    return all(
        name in have and _element_covers(value, have[name])
        if isinstance(value, dict)
        else _covers(value, have.get(name))
        for name, value in want.items()
    )


def _equal(left: Any, right: Any) -> bool:
    """JSON equality: true is not 1, and a null member is an absent one."""
    match left, right:
        case dict(), dict():
            names = {n for n, v in left.items() if v is not None}
            return names == {n for n, v in right.items() if v is not None} and all(
                _equal(left[name], right[name]) for name in names
            )
        case list(), list():
            return len(left) == len(right) and all(map(_equal, left, right))
        case _:
            return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {n: _without_nulls(v) for n, v in value.items() if v is not None}
        case list():
            return [_without_nulls(each) for each in value]
        case _:
            return value
