"""The difference that is written: nothing where the server's object covers what is desired, and never too much."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.kube.diff import exact_patch, merge_patch

CASES: dict[str, tuple[Any, Any, tuple[str, ...], Any]] = {
    "equal": ({"a": 1}, {"a": 1}, (), {}),
    "defaults of the server stay": ({"a": 1}, {"a": 1, "b": 2}, (), {}),
    "changed scalar": ({"a": {"b": 1}}, {"a": {"b": 2, "c": 3}}, (), {"a": {"b": 1}}),
    "true is not one": ({"a": True}, {"a": 1}, (), {"a": True}),
    "one is 1.0": ({"a": 1}, {"a": 1.0}, (), {}),
    "missing map": ({"a": {"b": 1}}, {}, (), {"a": {"b": 1}}),
    "map instead of a scalar": ({"a": {"b": 1}}, {"a": "x"}, (), {"a": {"b": 1}}),
    "none removes": ({"a": None}, {"a": 1}, (), {"a": None}),
    "none and absent": ({"a": None}, {}, (), {}),
    "nulls are not sent inside": ({"a": {"b": 1, "c": None}}, {}, (), {"a": {"b": 1}}),
    "an empty map that the server dropped": (
        {"metadata": {"labels": {}}},
        {"metadata": {}},
        (),
        {},
    ),
    "an empty list that the server dropped": ({"a": []}, {}, (), {}),
    "an empty list empties": ({"a": []}, {"a": [1]}, (), {"a": []}),
    "defaults inside list elements": (
        {"ports": [{"port": 80}]},
        {"ports": [{"port": 80, "protocol": "TCP"}]},
        (),
        {},
    ),
    "a list that differs is replaced whole": (
        {"ports": [{"port": 80}, {"port": 81}]},
        {"ports": [{"port": 80, "protocol": "TCP"}]},
        (),
        {"ports": [{"port": 80}, {"port": 81}]},
    ),
    "order counts": ({"a": [1, 2]}, {"a": [2, 1]}, (), {"a": [1, 2]}),
    "an empty map in an element says something": (
        {"volumes": [{"name": "v", "emptyDir": {}}]},
        {"volumes": [{"name": "v", "configMap": {"name": "c"}}]},
        (),
        {"volumes": [{"name": "v", "emptyDir": {}}]},
    ),
    "exact removes what is not desired": (
        {"spec": {"selector": {"app": "x"}}},
        {"spec": {"selector": {"app": "x", "old": "y"}, "type": "ClusterIP"}},
        ("spec.selector",),
        {"spec": {"selector": {"old": None}}},
    ),
    "exact below a key with dots": (
        {"metadata": {"annotations": {"a.io/b": {"c": 1}}}},
        {"metadata": {"annotations": {"a.io/b": {"c": 1, "d": 2}}}},
        ("metadata.annotations.a.io/b",),
        {"metadata": {"annotations": {"a.io/b": {"d": None}}}},
    ),
    "exact list": (
        {"spec": {"http": [{"route": 1}]}},
        {"spec": {"http": [{"route": 1, "fault": 2}], "hosts": ["h"]}},
        ("spec.http",),
        {"spec": {"http": [{"route": 1}]}},
    ),
    "exact and equal": ({"spec": {"a": {"b": 1}}}, {"spec": {"a": {"b": 1}}}, ("spec.a",), {}),
    "exact has no say where nothing is desired": ({}, {"a": 1}, ("a",), {}),
    "exact none": ({"a": None}, {"a": {"b": 1}}, ("a",), {"a": None}),
}


@pytest.mark.parametrize(
    ("desired", "observed", "exact", "patch"), CASES.values(), ids=CASES.keys()
)
def test_patch(desired: Any, observed: Any, exact: tuple[str, ...], patch: Any) -> None:
    assert merge_patch(desired, observed, exact) == patch


def test_a_status_is_replaced_exactly() -> None:
    have = {"status": {"phase": "Progressing", "canaryWeight": 10, "iterations": 3}}
    want = {"status": {"phase": "Failed", "canaryWeight": 0}}
    assert exact_patch(want, have) == {
        "status": {"phase": "Failed", "canaryWeight": 0, "iterations": None}
    }


scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "x"])
names = st.sampled_from(["a", "b", "c"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(names, values, max_size=3)
served = objects.map(lambda obj: dict(stripped(obj)))
paths = st.sets(st.sampled_from(["a", "b", "a.a", "a.b", "b.c", "a.b.c"]))


def stripped(value: Any) -> Any:
    """As a server would show it: no null members."""
    if isinstance(value, dict):
        return {n: stripped(v) for n, v in value.items() if v is not None}
    return [stripped(v) for v in value] if isinstance(value, list) else value


def patched(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2, word for word."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = patched(result.get(name), value)
    return result


def at(obj: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(obj, dict) or obj.get(name) is None:
            return None
        obj = obj[name]
    return obj


@given(objects, served, paths)
def test_what_was_patched_needs_no_second_patch(
    desired: Any, observed: Any, exact: set[str]
) -> None:
    result = patched(observed, merge_patch(desired, observed, exact))
    assert merge_patch(desired, result, exact) == {}


@given(objects, served, paths)
def test_exact_paths_are_equal_afterwards(desired: Any, observed: Any, exact: set[str]) -> None:
    result = patched(observed, merge_patch(desired, observed, exact))
    for path in exact:
        if at(desired, path) is not None:
            assert at(result, path) == at(stripped(desired), path)


@given(objects, served)
def test_fields_that_nobody_desired_stay(desired: Any, observed: Any) -> None:
    result = patched(observed, merge_patch(desired, observed))
    for name in set(observed) - set(desired):
        assert result[name] == observed[name]


@given(served, served)
def test_an_exact_patch_turns_one_into_the_other(desired: Any, observed: Any) -> None:
    patch = exact_patch(desired, observed)
    assert patched(observed, patch) == desired
    assert (patch == {}) == (desired == observed)
