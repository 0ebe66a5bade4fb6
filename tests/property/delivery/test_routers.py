"""Whatever befalls a canary with another router than Istio's, weights are shares, and pods are never given away early."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.api.kinds import CANARY, DEPLOYMENT, HTTP_ROUTE, Kind
from rollout.delivery.routing.kubernetes import REPLICAS, full_replicas
from rollout.judge.checks import Value
from rollout.kube.objects import Object, annotations_of
from tests.property.delivery.test_invariants import (
    ANSWERS,
    Befalls,
    answers,
    kills,
    passes,
    pods_fail,
    revision,
    sticks,
)
from tests.unit.delivery.routing.support import backend, gatewayed, http_route
from tests.unit.delivery.world import SETTLED, World, canary, deployment

PODS = 7
REF = {"apiVersion": HTTP_ROUTE.api_version, "kind": "HTTPRoute", "name": "theirs"}
THEIRS = {"filters": [{"type": "ExtensionRef"}], "backendRefs": [backend("other", 3)]}


def weighted(analysis: Object) -> Object:
    return {"stepWeight": 20, "maxWeight": 60, **analysis}


def by_gateway(analysis: Object) -> tuple[Object, ...]:
    made = gatewayed()
    made["spec"]["analysis"] |= weighted(analysis)
    return (made,)


def in_a_route(analysis: Object) -> tuple[Object, ...]:
    pair = [backend("catalog-primary", 100), backend("catalog-canary", 0)]
    route = http_route(THEIRS, {"backendRefs": pair}, name="theirs")
    return canary(routeRef=REF, analysis=weighted(analysis)), route


def by_pods(analysis: Object) -> tuple[Object, ...]:
    made = canary(provider="kubernetes", analysis=weighted({"replicaRatio": True, **analysis}))
    del made["spec"]["service"]
    return (made,)


def beside(analysis: Object) -> tuple[Object, ...]:
    way = {"stepWeight": None, "maxWeight": None, "iterations": 3}
    return (canary(provider="kubernetes", analysis={**way, **analysis}),)


def gateways(accepting: bool) -> Befalls:
    return lambda world: setattr(world, "accepting", accepting)


befalls = st.one_of(
    st.sampled_from((20, 45, 45, 46)).map(passes),
    st.just(passes(45)),
    st.sampled_from(ANSWERS).map(answers),
    st.integers(2, 4).map(revision),
    st.sampled_from(((), ("catalog",), ("catalog-primary",))).map(lambda names: sticks(*names)),
    st.sampled_from(("catalog", "catalog-primary")).map(pods_fail),
    st.integers(0, 6).map(kills),
    st.booleans().map(gateways),
)


class Watchdog:
    """Looks at each write of the controller."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.witnesses.append(self.saw)

    def saw(self, kind: Kind, old: Object, new: Object) -> None:
        """A write that changes an object."""
        if kind == HTTP_ROUTE:
            for rule in new["spec"]["rules"]:
                refs = {ref["name"]: ref["weight"] for ref in rule["backendRefs"]}
                if "catalog-canary" in refs:
                    assert refs["catalog-primary"] + refs["catalog-canary"] == 100
                else:
                    assert rule == THEIRS
        if kind == DEPLOYMENT and new["metadata"]["name"] == "catalog-primary":
            self.primary(old, new)

    def primary(self, old: Object, new: Object) -> None:
        replicas = new["spec"]["replicas"]
        assert replicas >= 1
        assert full_replicas(new) == full_replicas(old) == PODS
        if replicas < old["spec"]["replicas"]:
            target = self.world.need(DEPLOYMENT, "catalog")
            assert target["status"]["availableReplicas"] >= target["spec"]["replicas"]
            assert replicas + target["spec"]["replicas"] >= PODS

    def at_rest(self) -> None:
        """What holds whenever the controller has nothing more to do."""
        world = self.world
        if world.phase in {"Initialized", "Succeeded"}:
            primary = world.need(DEPLOYMENT, "catalog-primary")
            assert primary["spec"]["replicas"] == PODS
            assert REPLICAS not in annotations_of(primary)
            assert world.replicas() == 0
            assert world.served == (100, 0)
        if world.phase == "Failed" and not world.weight:
            assert world.served == (100, 0)


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Thousands of looks are taken; nobody reads what they log."""
    with structlog.testing.capture_logs():
        yield


Made = Callable[[Object], tuple[Object, ...]]


@pytest.mark.parametrize("made", [by_gateway, in_a_route, by_pods, beside])
@settings(max_examples=40)
@given(
    threshold=st.integers(1, 3),
    back=st.sampled_from((0, 30)),
    events=st.lists(befalls, max_size=20),
)
def test_some_things_never_happen(
    made: Made, threshold: int, back: int, events: list[Befalls]
) -> None:
    async def play() -> None:
        objects = made({"threshold": threshold, "stepWeightPromotion": back})
        world = World(deployment(replicas=PODS), *objects)
        watchdog = Watchdog(world)
        for event in (*events, sticks(), kills(None), gateways(accepting=True)):
            event(world)
            await world.settle()
            watchdog.at_rest()
        # Once everything works again, it comes to an end by itself.
        world.success_rate = Value(100)
        await world.until_settled()
        watchdog.at_rest()
        assert world.phase in SETTLED
        assert world.get(CANARY, "catalog-release") is not None

    asyncio.run(play())
