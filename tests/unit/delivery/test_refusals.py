"""Bad input: each gives one condition and one event that name object, field and remedy; traffic stays; it heals alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rollout.api.kinds import CANARY, DEPLOYMENT, SERVICE, VIRTUAL_SERVICE
from rollout.delivery.refusals import NAMES, Refusal
from rollout.kube.errors import Forbidden, Invalid, Unavailable
from tests.unit.delivery.world import KEY, World, canary, deployment, initialized


def test_every_refusal_has_names_of_its_own() -> None:
    assert set(NAMES) == set(Refusal)
    for column in ("condition", "metric", "log"):
        words = [getattr(names, column) for names in NAMES.values()]
        assert len(set(words)) == len(words)
    assert all(names.event for names in NAMES.values())


def spec(**change: Any) -> Callable[[World], None]:
    return lambda world: world.change(CANARY, KEY.name, spec=change)


CASES = {
    "impossible weight": (
        spec(analysis={"stepWeight": 120}),
        spec(analysis={"stepWeight": 10}),
        ("InvalidSpec", "Canary shop/catalog-release", "spec.analysis.stepWeight", "1"),
    ),
    "bad duration": (
        spec(analysis={"interval": "soon"}),
        spec(analysis={"interval": "45s"}),
        ("InvalidSpec", "Canary shop/catalog-release", "spec.analysis.interval", "write it like"),
    ),
    "misspelt field": (
        spec(analysis={"stepWieght": 5}),
        spec(analysis={"stepWieght": None}),
        ("InvalidSpec", "spec.analysis.stepWieght", "did you mean stepWeight?"),
    ),
    "missing target": (
        lambda world: world.remove(DEPLOYMENT, "catalog"),
        lambda world: world.put(deployment(replicas=0)),
        ("TargetNotFound", "spec.targetRef.name", "'catalog'", "create it, or correct the name"),
    ),
    "another provider": (
        spec(provider="traefik"),
        spec(provider=None),
        ("NotSupported", "spec.provider", "use gatewayapi:v1, istio, kubernetes"),
    ),
    "an A/B test of connections": (
        spec(
            service={"appProtocol": "tcp"},
            analysis={"stepWeight": None, "iterations": 5, "match": [{"headers": {}}]},
        ),
        spec(
            service={"appProtocol": None},
            analysis={"stepWeight": 10, "iterations": None, "match": None},
        ),
        ("NotSupported", "spec.service.appProtocol", "remove one of them"),
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_refused_and_healed(name: str) -> None:
    spoil, mend, said = CASES[name]
    world = await initialized()
    spoil(world)
    await world.tick(3)
    blocked = world.condition("Blocked")
    assert blocked is not None
    assert blocked["reason"] == said[0]
    for word in said[1:]:
        assert word in blocked["message"]
    assert world.events == [f"W [{said[0]}] {blocked['message']}"]
    assert world.served == (100, 0)
    assert world.phase == "Initialized"
    mend(world)
    await world.settle()
    assert world.condition("Blocked") is None
    promoted = world.condition("Promoted")
    assert promoted is not None
    assert promoted["status"] == "True"


@pytest.mark.parametrize(
    ("kind", "error", "reason"),
    [
        pytest.param(VIRTUAL_SERVICE, Invalid("no", causes=["spec.http: bad"]), "RouteRefused"),
        pytest.param(VIRTUAL_SERVICE, Forbidden("denied by a webhook"), "RouteRefused"),
        pytest.param(SERVICE, Invalid("no", causes=["spec.ports: bad"]), "WriteRefused"),
    ],
)
async def test_a_write_that_is_refused(kind: Any, error: Any, reason: str) -> None:
    world = await initialized()
    world.refusing[kind, "catalog"] = error
    world.change(CANARY, KEY.name, spec={"service": {"hosts": ["catalog", "shop"], "port": 81}})
    await world.tick(3)
    blocked = world.condition("Blocked")
    assert blocked is not None
    assert blocked["reason"] == reason
    assert f"{kind.kind} shop/catalog was refused" in blocked["message"]
    assert len(world.events) == 1
    world.refusing.clear()
    await world.settle()
    assert world.condition("Blocked") is None
    assert world.need(SERVICE, "catalog")["spec"]["ports"][0]["port"] == 81


async def test_an_api_server_that_is_away_is_no_refusal() -> None:
    world = await initialized()
    world.refusing[VIRTUAL_SERVICE, "catalog"] = Unavailable("connection refused")
    world.change(CANARY, KEY.name, spec={"service": {"hosts": ["catalog", "shop"]}})
    await world.tick(3)
    assert world.condition("Blocked") is None
    assert world.events == []
    world.refusing.clear()
    await world.settle()
    assert world.need(VIRTUAL_SERVICE, "catalog")["spec"]["hosts"] == ["catalog", "shop"]


async def test_the_second_canary_of_a_target_is_refused() -> None:
    older = canary()
    older["metadata"] |= {"name": "first", "creationTimestamp": "2026-01-20T22:00:00Z"}
    world = World(deployment(), older, canary())
    await world.settle()
    blocked = world.condition("Blocked")
    assert blocked is not None
    assert blocked["reason"] == "TargetShared"
    assert "'catalog' is the target of Canary first already" in blocked["message"]
    assert world.get(DEPLOYMENT, "catalog-primary") is None


async def test_fields_that_are_not_acted_upon_are_named() -> None:
    upstream = {"apiVersion": "gloo.solo.io/v1", "kind": "Upstream", "name": "catalog"}
    world = await initialized(deployment(), canary(upstreamRef=upstream))
    ignored = world.condition("FieldsIgnored")
    assert ignored is not None
    assert "spec.upstreamRef" in ignored["message"]
    world.change(CANARY, KEY.name, spec={"upstreamRef": None})
    await world.settle()
    assert world.condition("FieldsIgnored") is None


async def test_a_template_that_names_what_is_not_there() -> None:
    metric = {"name": "mine", "query": "sum({{ variables.limit }})", "thresholdRange": {"max": 1}}
    world = await initialized(deployment(), canary(analysis={"metrics": [metric]}))
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    blocked = world.condition("Blocked")
    assert blocked is not None
    assert blocked["reason"] == "QueryRefused"
    assert "spec.analysis.metrics[0].query" in blocked["message"]
    assert "limit" in blocked["message"]
    assert world.served == (90, 10)


async def test_a_primary_that_is_deleted_during_the_analysis_does_not_take_the_canary_along() -> (
    None
):
    world = await initialized()
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    world.remove(DEPLOYMENT, "catalog-primary")
    await world.tick(2)
    blocked = world.condition("Blocked")
    assert blocked is not None
    assert blocked["reason"] == "PrimaryMissing"
    assert world.replicas() == 2
    assert world.served == (80, 20)
