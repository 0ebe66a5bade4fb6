"""Whatever is written against the schemas is read or refused, and what is read survives being written back."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from rollout.api.alertprovider import AlertProvider
from rollout.api.canary import Canary, notices, unsupported
from rollout.api.crdgen import schema_of
from rollout.api.errors import InvalidObject
from rollout.api.istio import DestinationRule, Gateway, VirtualService
from rollout.api.metrictemplate import MetricTemplate
from rollout.api.model import Resource
from tests.unit.api.samples import BOOK, FULL

MODELS: list[type[Resource]] = [
    Canary,
    MetricTemplate,
    AlertProvider,
    VirtualService,
    DestinationRule,
    Gateway,
]
TEXTS = [
    "",
    "a",
    "web",
    "10s",
    "1m",
    "0",
    "1h30m",
    "http://a.example/",
    "*",
    "HTTP",
    "{{ target }}",
    "{{",
]
JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1.5, "", "yes", [], {}, [None], {"a": {"b": []}}]
)
TEXT = st.sampled_from(TEXTS) | st.text(max_size=8)


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of this schema's types and bounds; what rules and validators say is left to chance."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("x-kubernetes-int-or-string"):
        return st.integers(1, 65535) | TEXT
    match schema.get("type"):
        case "object" if "properties" in schema:
            properties = {name: fitting(inner) for name, inner in schema["properties"].items()}
            required = {name: properties.pop(name) for name in schema.get("required", ())}
            return st.fixed_dictionaries(required, optional=properties)
        case "object":
            inner = schema.get("additionalProperties")
            values = fitting(inner) if isinstance(inner, dict) else JUNK
            return st.dictionaries(TEXT.filter(bool), values, max_size=2)
        case "array":
            return st.lists(fitting(schema["items"]), max_size=2)
        case "integer":
            return st.integers(schema.get("minimum", -2), schema.get("maximum", 200))
        case "number":
            return st.floats(-1, 200)
        case "boolean":
            return st.booleans()
        case _:
            return TEXT if schema.get("format") is None else st.just("2021-01-20T22:58:41Z")


def spoilt(value: Any, data: st.DataObject) -> Any:
    """The value with one part of it replaced by something else, or with a key more."""
    if isinstance(value, dict) and value and data.draw(st.integers(0, 3)):
        key = data.draw(st.sampled_from(sorted(value)))
        return {**value, key: spoilt(value[key], data)}
    if isinstance(value, dict) and data.draw(st.booleans()):
        return {**value, data.draw(TEXT): data.draw(JUNK)}
    if isinstance(value, list) and value:
        return [spoilt(value[0], data), *value[1:]]
    return data.draw(JUNK)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.KIND.kind)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_is_read_or_refused(model: type[Resource], data: st.DataObject) -> None:
    spec = data.draw(fitting(schema_of(model)["properties"]["spec"]))
    if data.draw(st.booleans()):
        spec = spoilt(spec, data)
    obj = {
        "apiVersion": model.KIND.api_version,
        "kind": model.KIND.kind,
        "metadata": {"name": "a", "namespace": "b"},
        "spec": spec,
    }
    read_or_refused(model, obj)


def thinned(value: Any, draw: Callable[[], bool]) -> Any:
    """The value without some of its parts."""
    if isinstance(value, dict):
        return {key: thinned(inner, draw) for key, inner in value.items() if draw()}
    if isinstance(value, list):
        return [thinned(inner, draw) for inner in value if draw()]
    return value


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([BOOK, FULL]), st.randoms(use_true_random=False), st.floats(0.9, 1))
def test_parts_of_a_whole_canary_are_read_or_refused(
    canary: dict[str, Any], random: Random, kept: float
) -> None:
    thin = thinned(canary["spec"], lambda: random.random() < kept)
    read_or_refused(Canary, {**canary, "spec": thin})


def read_or_refused(model: type[Resource], obj: dict[str, Any]) -> None:
    try:
        parsed = model.parse(obj)
    except InvalidObject as refused:
        event("refused")
        well_said = [error for error in refused.errors if error.reason]
        assert well_said
        return
    event("read")
    assert model.parse(parsed.dump()) == parsed
    if isinstance(parsed, Canary):
        unsupported(parsed)
        notices(parsed)
        assert all(0 < step <= 100 for step in parsed.steps)
        assert list(parsed.steps) == sorted(set(parsed.steps))
