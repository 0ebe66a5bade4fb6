"""Whole rollouts with every router but Istio's, as stories."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.api.kinds import CANARY, DEPLOYMENT, HTTP_ROUTE, SERVICE, VIRTUAL_SERVICE
from rollout.delivery.routing.kubernetes import REPLICAS
from rollout.judge.checks import Value
from rollout.kube.errors import NotFound
from rollout.kube.objects import Object, annotations_of
from tests.unit.delivery.routing.support import backend, gatewayed, http_route
from tests.unit.delivery.world import KEY, World, canary, deployment, initialized, shown

UP = [(100 - w, w) for w in (0, 10, 20, 30, 40, 50, 0)]


def routed(**spec: Any) -> Object:
    return {**(made := gatewayed()), "spec": {**made["spec"], **spec}}


async def roll_out(world: World, ticks: int = 9) -> None:
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(ticks)


async def test_an_http_route_promoted() -> None:
    world = await initialized(deployment(), routed())
    await roll_out(world)
    assert world.phase == "Succeeded"
    assert world.shares == UP
    assert world.image("catalog-primary") == "catalog:2"
    assert not world.stores[VIRTUAL_SERVICE].list()


async def test_an_http_route_rolled_back() -> None:
    world = await initialized(deployment(), routed())
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    world.success_rate = Value(12)
    await world.tick(6)
    assert world.phase == "Failed"
    assert world.shares == [(100, 0), (90, 10), (80, 20), (100, 0)]
    assert world.image("catalog-primary") == "catalog:1"


async def test_no_step_before_gateways_follow() -> None:
    world = await initialized(deployment(), routed())
    world.new_image("catalog:2")
    await world.settle()
    await world.tick()
    assert world.weight == 10
    world.accepting = False
    route = world.need(HTTP_ROUTE, "catalog")
    world.accept(HTTP_ROUTE, route, status="False", reason="BackendNotFound")
    await world.tick(3)
    assert world.weight == 10
    blocked = world.condition("Blocked")
    assert blocked is not None
    assert blocked["reason"] == "RouteRefused"
    assert "Gateway gateway does not accept it: BackendNotFound" in blocked["message"]
    assert world.status["failedChecks"] == 0
    world.accepting = True
    await world.settle()
    assert world.weight == 20
    assert world.condition("Blocked") is None


async def test_a_rollback_waits_for_no_gateway() -> None:
    world = await initialized(deployment(), routed())
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    world.success_rate = Value(12)
    await world.tick(4)
    world.accepting = False
    await world.tick(2)
    assert world.phase == "Failed"
    assert world.served == (100, 0)


async def test_a_cluster_without_gateway_api() -> None:
    world = World(deployment(), routed())
    gone = NotFound("the server could not find the requested resource", status=404)
    world.refusing[HTTP_ROUTE, "catalog"] = gone
    for _ in range(5):
        await world.look()
        world.roll()
    blocked = world.condition("Blocked")
    assert blocked is not None
    assert blocked["reason"] == "RouteRefused"
    assert "install the CRDs of gateway.networking.k8s.io" in blocked["message"]
    assert world.replicas() == 2, "the target serves until the primary can"
    world.refusing.clear()
    await world.settle()
    assert world.phase == "Initialized"


async def test_weights_alone_of_a_route_that_exists() -> None:
    filters = [{"type": "ExtensionRef", "extensionRef": {"group": "x", "kind": "A", "name": "a"}}]
    pair = [backend("catalog-primary", 100), backend("catalog-canary", 0)]
    theirs = http_route({"filters": filters, "backendRefs": pair}, name="theirs")
    ref = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "name": "theirs"}
    world = await initialized(deployment(), canary(routeRef=ref), theirs)
    await roll_out(world)
    assert world.phase == "Succeeded"
    assert world.shares == UP
    (rule,) = world.need(HTTP_ROUTE, "theirs")["spec"]["rules"]
    assert rule == {"filters": filters, "backendRefs": pair}
    assert not world.stores[VIRTUAL_SERVICE].list()
    assert len(world.stores[HTTP_ROUTE].list()) == 1


async def test_services_that_somebodys_route_names_outlive_the_canary() -> None:
    pair = [backend("catalog-primary", 100), backend("catalog-canary", 0)]
    ref = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "name": "theirs"}
    theirs = http_route({"backendRefs": pair}, name="theirs")
    release = canary(routeRef=ref, revertOnDeletion=True)
    world = await initialized(deployment(), release, theirs)
    world.change(CANARY, KEY.name, metadata={"deletionTimestamp": "2026-01-20T23:00:00Z"})
    await world.settle()
    assert not world.need(CANARY, KEY.name)["metadata"]["finalizers"]
    for name in ("catalog-primary", "catalog-canary"):
        left = world.need(SERVICE, name)
        assert left["spec"]["selector"] == {"app": "catalog"}
        assert not left["metadata"].get("ownerReferences")
    assert world.need(HTTP_ROUTE, "theirs")["spec"]["rules"] == [{"backendRefs": pair}]


async def test_a_route_that_is_missing_keeps_the_target_serving() -> None:
    ref = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "name": "theirs"}
    world = World(deployment(), canary(routeRef=ref))
    await world.settle()
    assert world.phase == "Initializing"
    assert world.replicas() == 2
    blocked = world.condition("Blocked")
    assert blocked is not None
    assert blocked["message"].startswith("spec.routeRef.name: there is no VirtualService 'theirs'")


def plain(**analysis: Any) -> Object:
    made = canary(provider="kubernetes", analysis=analysis)
    made["spec"]["service"] = {"name": "catalog", "port": 80}
    return made


async def test_blue_green_on_plain_kubernetes() -> None:
    match = [{"headers": {"x": {"exact": "1"}}}]
    world = World(deployment(), plain(match=match))
    await world.settle()
    assert world.phase == "Initialized"
    told = [
        "W A/B testing is not supported when using the kubernetes provider",
        "W Progressive traffic is not supported when using the kubernetes provider",
        "W Setting canaryAnalysis.iterations: 10",
    ]
    assert [event for event in world.events if event in told] == told
    world.columns.clear()
    world.events.clear()
    await roll_out(world, 13)
    assert world.phase == "Succeeded"
    assert list(shown(world)) == [
        "Progressing 0",
        "Promoting 0",
        "Finalising 0",
        "Succeeded 0",
    ]
    assert not set(told) & set(world.events), "once is enough"
    counted = [event for event in world.events if "iteration" in event]
    assert counted == [
        f"Advance catalog-release.shop canary iteration {i}/10" for i in range(1, 11)
    ]
    assert not any("Routing all traffic" in event for event in world.events)
    assert world.image("catalog-primary") == "catalog:2"
    assert world.need(SERVICE, "catalog")["spec"]["selector"] == {"app": "catalog-primary"}
    assert 'kubernetes_pod_name=~"catalog-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"' in world.queries[0]


def workers() -> Object:
    made = canary(provider="kubernetes", analysis={"replicaRatio": True})
    del made["spec"]["service"]
    return made


def counts(world: World) -> tuple[int, int]:
    return world.replicas("catalog-primary"), world.replicas()


async def test_shares_of_pods() -> None:
    world = await initialized(deployment(replicas=10), workers())
    assert not world.stores[SERVICE].list()
    assert counts(world) == (10, 0)
    world.new_image("catalog:2")
    await world.settle()
    assert counts(world) == (10, 1)
    seen = []
    for _ in range(5):
        await world.tick()
        seen.append(counts(world))
    assert seen == [(9, 1), (8, 2), (7, 3), (6, 4), (5, 5)]
    await world.tick(4)
    assert world.phase == "Succeeded"
    assert counts(world) == (10, 0)
    assert world.image("catalog-primary") == "catalog:2"
    assert REPLICAS not in annotations_of(world.need(DEPLOYMENT, "catalog-primary"))


async def test_the_primary_keeps_its_pods_until_the_canarys_are_there() -> None:
    world = await initialized(deployment(replicas=4), workers())
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    assert counts(world) == (3, 1)
    world.stuck = {"catalog"}
    await world.tick(2)
    assert counts(world) == (3, 2)
    assert world.weight == 40
    world.stuck = set()
    await world.settle()
    assert counts(world) == (2, 2)


async def test_bad_work_is_given_back_to_the_primary() -> None:
    world = await initialized(deployment(replicas=10), workers())
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(3)
    assert counts(world) == (7, 3)
    world.success_rate = Value(12)
    await world.tick(6)
    assert world.phase == "Failed"
    assert counts(world) == (10, 0)


@pytest.mark.parametrize("share", [0, 3])
async def test_deleted_while_pods_are_shared(share: int) -> None:
    made = workers()
    made["spec"]["revertOnDeletion"] = True
    world = await initialized(deployment(replicas=10), made)
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(share)
    world.change(CANARY, KEY.name, metadata={"deletionTimestamp": "2026-01-20T23:00:00Z"})
    await world.settle()
    assert world.replicas() == 10
    assert not world.need(CANARY, KEY.name)["metadata"]["finalizers"]
