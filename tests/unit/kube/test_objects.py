"""Label selectors, in memory and as a query."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.kube.objects import selector_matches, selector_string

LABELS = {"app": "podinfo", "tier": "web"}
SELECTORS: dict[str, tuple[Any, str, bool]] = {
    "everything": ({}, "", True),
    "equal": ({"matchLabels": {"app": "podinfo"}}, "app=podinfo", True),
    "one differs": (
        {"matchLabels": {"tier": "db", "app": "podinfo"}},
        "app=podinfo,tier=db",
        False,
    ),
    "in": (
        {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "podinfo"]}]},
        "app in (a,podinfo)",
        True,
    ),
    "not in, absent": (
        {"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["a"]}]},
        "x notin (a)",
        True,
    ),
    "exists": ({"matchExpressions": [{"key": "x", "operator": "Exists"}]}, "x", False),
    "does not exist": (
        {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]},
        "!x",
        True,
    ),
}


@pytest.mark.parametrize(("selector", "query", "selects"), SELECTORS.values(), ids=SELECTORS.keys())
def test_selector(selector: Any, query: str, selects: bool) -> None:
    assert selector_string(selector) == query
    assert selector_matches(selector, LABELS) is selects


def test_no_selector_selects_nothing() -> None:
    assert not selector_matches(None, LABELS)
