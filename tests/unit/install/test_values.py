from __future__ import annotations

from typing import Any

import pytest

from rollout.install.errors import InstallError
from rollout.install.values import check, merge, parse_set

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "gateway": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "enabled": {"type": "boolean"},
                "hostPort": {"type": "integer", "minimum": 0, "maximum": 65535},
            },
        },
        "mode": {"type": "string", "enum": ["bundled", "none"]},
        "interval": {"type": "string", "pattern": "^[0-9]+s$", "description": "write it as 10s"},
        "free": {"type": "object"},
    },
}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=b", {"a": "b"}),
        ("a.b=true,a.c=7,d=null", {"a": {"b": True, "c": 7}, "d": None}),
        ("a=007,b=1.5,c=-3", {"a": "007", "b": "1.5", "c": -3}),
        (r"labels=app\,name", {"labels": "app,name"}),
        (r"node.kubernetes\.io/os=linux", {"node": {"kubernetes.io/os": "linux"}}),
        ("url=http://a:9090/?x=y", {"url": "http://a:9090/?x=y"}),
        ("a=", {"a": ""}),
    ],
)
def test_set_reads_as_helms(text: str, values: dict[str, Any]) -> None:
    assert parse_set(text) == values


@pytest.mark.parametrize("text", ["a", "=b", "a=1,a.b=2"])
def test_set_refuses_what_is_no_assignment(text: str) -> None:
    with pytest.raises(InstallError, match="--set"):
        parse_set(text)


def test_maps_are_merged_and_null_removes() -> None:
    base = {"a": {"b": 1, "c": [1]}, "d": 2}
    assert merge(base, {"a": {"b": None, "c": [2]}, "e": 3}) == {"a": {"c": [2]}, "d": 2, "e": 3}
    assert base == {"a": {"b": 1, "c": [1]}, "d": 2}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gatway": {}}, r"gatway: there is no such value \(did you mean gateway\?\)"),
        ({"gateway": {"hostPort": "80"}}, "gateway.hostPort: must be of type integer"),
        ({"gateway": {"hostPort": True}}, "gateway.hostPort: must be of type integer"),
        ({"gateway": {"hostPort": 70000}}, "gateway.hostPort: must be from 0 to 65535"),
        ({"mode": "exsting"}, "mode: must be one of bundled, none"),
        ({"interval": "fast"}, "interval: 'fast' does not look right; write it as 10s"),
    ],
)
def test_a_wrong_value_is_named_with_its_remedy(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InstallError, match=message):
        check(values, SCHEMA)


def test_right_values_pass() -> None:
    values = {"gateway": {"enabled": True, "hostPort": 80}, "interval": "3s", "free": {"x": 1}}
    check(values, SCHEMA)
