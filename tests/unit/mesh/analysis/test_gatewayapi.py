"""Routes of Gateway API: each message under its code, and what they lead to."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.analysis.analyze import analyze
from rollout.mesh.analysis.describe import describe_pod, describe_service
from rollout.mesh.analysis.finding import Code
from rollout.mesh.analysis.world import World
from tests.unit.mesh.analysis.test_analyze import edge, obj, pod, routes
from tests.unit.mesh.gatewayapi.objects import gateway, grant, listener, namespace, route, to

Json = dict[str, Any]
LABELS = {"istio-injection": "enabled"}
SPLIT = {"backendRefs": [to("catalog", weight=1), to("catalog-v2", weight=3)]}
AT_SERVICE = {"group": "", "kind": "Service", "name": "catalog"}


def service(name: str, where: str = "shop") -> Json:
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return obj("Service", name, where, spec={"ports": ports, "selector": {"app": name}})


BASE = (
    namespace("shop", **LABELS),
    service("catalog"),
    service("catalog-v2"),
    pod("catalog-1", app="catalog"),
    pod("catalog-2", app="catalog-v2"),
)


def grpc(found: Json) -> Json:
    return {**found, "kind": "GRPCRoute"}


def codes(*objects: Json) -> list[tuple[Code, str, str]]:
    return [
        (each.code, str(each.ref), each.reason)
        for each in analyze([*BASE, *objects], "rollout-system")
    ]


def test_nothing_is_found_where_all_is_well() -> None:
    elsewhere = {"name": "theirs"}
    theirs = gateway(listener(), name="theirs", gatewayClassName="other")
    assert not codes(
        gateway(listener(hostname="*.example.com")),
        route(SPLIT, hostnames=["shop.example.com"]),
        route(SPLIT, name="mesh", parents=[AT_SERVICE]),
        route({"backendRefs": [to("catalog")]}, name="theirs", parents=[elsewhere]),
        theirs,
        # An Istio Gateway of the same name is another object.
        edge("*.example.org") | {"metadata": {"namespace": "shop", "name": "front"}},
    )


FRONT = gateway(listener(hostname="*.example.com"))


@pytest.mark.parametrize(
    ("broken", "code", "reason"),
    [
        (route({"backendRefs": [to("nowhere")]}), Code.MISSING_REFERENCE,
         "at Gateway shop/front: spec.rules[0].backendRefs[0]: Service shop/nowhere does not exist"),
        (grpc(route({"backendRefs": [to("catalog", 81)]})), Code.MISSING_REFERENCE,
         "at Gateway shop/front: spec.rules[0].backendRefs[0]: Service shop/catalog: no port 81; its ports: 80"),
        (route(SPLIT, parents=[{"name": "nowhere"}]), Code.MISSING_REFERENCE,
         "Gateway shop/nowhere does not exist"),
        (route(SPLIT, parents=[{"name": "front", "sectionName": "https"}]), Code.MISSING_REFERENCE,
         "at Gateway shop/front, listener https: the Gateway has no listener https on port any"),
        (route(SPLIT, parents=[{**AT_SERVICE, "name": "nowhere"}]), Code.MISSING_REFERENCE,
         "at Service shop/nowhere: Service shop/nowhere does not exist"),
        (route(SPLIT, hostnames=["shop.example.org"]), Code.HOST_NOT_IN_GATEWAY,
         "at Gateway shop/front: none of its hostnames is among the listeners' (*.example.com)"),
        (route({**SPLIT, "matches": [{"path": {"type": "RegularExpression", "value": "("}}]}),
         Code.INVALID, "at Gateway shop/front: spec.rules[0].matches[0].path.value: "),
    ],
)  # fmt: skip
def test_each_message(broken: Json, code: Code, reason: str) -> None:
    found = codes(FRONT, broken)
    assert [each[:2] for each in found] == [(code, f"{broken['kind']} shop/r")]
    assert found[0][2].startswith(reason)


def test_what_istio_has_no_code_for_is_left_to_the_status() -> None:
    there = (namespace("other", **LABELS), service("catalog", "other"))
    parents = [{"name": "front", "namespace": "shop"}]
    rule = {"backendRefs": [to("catalog")]}
    assert not codes(FRONT, *there, route(rule, namespace="other", parents=parents))
    foreign = {"backendRefs": [to("catalog", namespace="other")]}
    assert not codes(FRONT, *there, route(foreign))


def test_a_grant_is_believed() -> None:
    there = service("abroad", "other")
    leads = route({"backendRefs": [to("abroad", namespace="other")]})
    allowed = grant("shop", "other", target={"group": "", "kind": "Service"})
    assert not codes(FRONT, namespace("other", **LABELS), there, leads, allowed)


def said(name: str, *objects: Json) -> list[str]:
    world = World([*BASE, *objects], "rollout-system")
    lines = describe_service(world, world.registry.services[f"{name}.shop.svc.cluster.local"])
    return lines[2:]


def test_a_service_shows_the_routes_that_lead_to_it() -> None:
    stable = {"matches": [{"path": {"value": "/v1"}}], "backendRefs": [to("catalog")]}
    everything = (FRONT, route(stable, SPLIT, hostnames=["shop.example.com"]))
    assert said("catalog", *everything) == [
        "  HTTPRoute: shop/r through Gateway shop/front for shop.example.com",
        "    Rule 0: weight 100%",
        "    Rule 1: weight 25%",
    ]
    assert said("catalog-v2", *everything)[1:] == [
        "    Rule 0: to catalog.shop.svc.cluster.local 100%",
        "    Rule 1: weight 75%",
    ]


def test_a_parent_shows_where_its_callers_are_led() -> None:
    moved = grpc(route({"backendRefs": [to("catalog-v2")]}, parents=[AT_SERVICE]))
    expected = [
        "  GRPCRoute: shop/r through Service shop/catalog",
        "    Rule 0: to catalog-v2.shop.svc.cluster.local 100%",
    ]
    assert said("catalog", moved) == expected
    world = World([*BASE, moved], "rollout-system")
    pods = {each["metadata"]["name"]: each for each in world.objects["Pod"]}
    assert describe_pod(world, pods["catalog-1"])[-1] == (
        "    WARNING: none of its rules leads to this pod"
    )
    assert describe_pod(world, pods["catalog-2"])[-1] == "    Rule 0: weight 100%"


def test_what_is_wrong_stands_below_the_route() -> None:
    parents = [{"name": "front"}, {"name": "nowhere"}]
    lost = route(SPLIT, hostnames=["shop.example.org"], parents=parents)
    assert said("catalog", FRONT, lost)[2:] == [
        "    WARNING: Gateway shop/front: none of its hostnames is among the listeners' (*.example.com)",
        "    WARNING: Gateway shop/nowhere does not exist",
    ]
    first = routes("catalog", {"route": [{"destination": {"host": "catalog"}}]})
    mesh = route(SPLIT, parents=[AT_SERVICE])
    assert said("catalog", first, mesh)[-1] == (
        "    Note: Service shop/catalog: VirtualService shop/catalog is for the same host and comes first"
    )
