"""Routes with a Service as parent: for which callers and ports they hold, what comes before them, what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.ingest.gatewayapi.outcome import ParentStatus
from rollout.mesh.model.problem import Ref
from tests.meshworld import World, messages
from tests.unit.mesh.gatewayapi.objects import CLASS, gateway, listener, said

Json = dict[str, Any]
ECHO = "echo.shop.svc.cluster.local"


def service(name: str, namespace: str = "shop") -> Json:
    ports = [
        {"name": "http", "port": 80},
        {"name": "http-alt", "port": 8080},
        {"name": "grpc", "port": 7070},
        {"name": "tcp", "port": 9090},
    ]
    return {
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"clusterIP": "10.0.0.1", "ports": ports},
    }


def route(
    name: str,
    backend: str,
    /,
    *,
    namespace: str = "shop",
    created: str = "2026-01-02T00:00:00Z",
    **more: Any,
) -> Json:
    parent = {"group": "", "kind": "Service", "name": "echo", "namespace": "shop"}
    rule: Json = {"backendRefs": [{"name": backend, "namespace": "shop", "port": 80}]}
    if path := more.pop("path", ""):
        rule["matches"] = [{"path": {"type": "PathPrefix", "value": path}}]
    metadata = {"namespace": namespace, "name": name, "creationTimestamp": created, "generation": 3}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": more.pop("kind", "HTTPRoute"),
        "metadata": metadata,
        "spec": {"parentRefs": [parent | more], "rules": [rule]},
    }


def virtual_service(host: str, backend: str) -> Json:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"namespace": "shop", "name": "v", "creationTimestamp": "2026-01-09T00:00:00Z"},
        "spec": {"hosts": [host], "http": [{"route": [{"destination": {"host": backend}}]}]},
    }


def shop(*objects: Json) -> World:
    return World([service("echo"), service("one"), service("two"), *objects])


def clusters(world: World, namespace: str = "shop", port: int = 80) -> list[str]:
    """Where a namespace's requests for the echo go, in the order in which routes are tried; by the destinations' names."""
    view = world.view(world.proxy("sidecar", namespace, "web"))
    routes = messages(view, "routes")[str(port)]
    (host,) = [each for each in routes.virtual_hosts if ECHO in each.domains]
    return [each.route.cluster.split("||")[-1].split(".")[0] for each in host.routes]


def told(world: World, name: str, namespace: str = "shop", kind: str = "HTTPRoute") -> ParentStatus:
    world.feed.flush()
    (status,) = world.feed.gateway_api.outcome.route_statuses[Ref(kind, namespace, name)]
    return status


def accepted(status: ParentStatus) -> tuple[bool, str]:
    (found,) = [each for each in status.conditions if each.type == "Accepted"]
    return found.holds, found.reason


@pytest.mark.parametrize(
    ("parent", "routed"),
    [
        ({}, {80, 8080, 7070}),
        ({"port": 80}, {80}),
        ({"sectionName": "http-alt"}, {8080}),
        ({"sectionName": "http-alt", "port": 8080}, {8080}),
    ],
    ids=["all ports", "a port", "a name", "both"],
)
def test_ports_that_a_route_does_not_mean_stay_as_they_are(parent: Json, routed: set[int]) -> None:
    world = shop(route("r", "one", **parent))
    assert accepted(told(world, "r")) == (True, "Accepted")
    for port in (80, 8080, 7070):
        assert clusters(world, port=port) == ["one" if port in routed else "echo"]


def test_routes_of_one_service_are_tried_by_precedence() -> None:
    world = shop(
        route("a", "one", created="2026-01-01T00:00:00Z"),
        route("b", "two", path="/items"),
        route("c", "one", path="/items/1", port=80),
    )
    assert clusters(world) == ["one", "two", "one"]
    assert clusters(world, port=8080) == ["two", "one"]


def test_a_callers_own_routes_are_for_him_alone_and_hide_the_services() -> None:
    world = shop(
        route("producer", "one"),
        route("consumer", "two", namespace="friend", path="/items"),
    )
    assert clusters(world, "friend") == ["two"]
    assert clusters(world, "stranger") == ["one"]
    assert clusters(world, "shop") == ["one"]
    assert accepted(told(world, "consumer", "friend")) == (True, "Accepted")


def test_a_virtual_service_comes_first_and_that_is_said() -> None:
    world = shop(route("r", "one"))
    assert told(world, "r").conditions[0].message == ""
    world.put(virtual_service("echo", "two"))
    assert clusters(world) == ["two"]
    assert "VirtualService shop/v" in told(world, "r").conditions[0].message
    world.remove(virtual_service("echo", "two"))
    assert clusters(world) == ["one"]
    assert told(world, "r").conditions[0].message == ""


def test_a_wildcard_of_a_virtual_service_does_not() -> None:
    world = shop(route("r", "one"), virtual_service("*.shop.svc.cluster.local", "two"))
    assert clusters(world) == ["one"]
    assert told(world, "r").conditions[0].message == ""


@pytest.mark.parametrize(
    ("parent", "message"),
    [
        ({"name": "nobody"}, "Service shop/nobody does not exist"),
        ({"port": 81}, "no HTTP port any name 81; its ports: http 80, http-alt 8080"),
        ({"port": 9090}, "no HTTP port any name 9090"),
        ({"sectionName": "http", "port": 8080}, "no HTTP port http 8080"),
    ],
    ids=["no service", "no port", "not HTTP", "name and port differ"],
)
def test_a_parent_that_is_not_there(parent: Json, message: str) -> None:
    world = shop(route("r", "one", **parent))
    status = told(world, "r")
    assert accepted(status) == (False, "NoMatchingParent")
    assert message in status.conditions[0].message
    assert clusters(world) == ["echo"]


def test_a_route_that_came_before_its_service_is_attached_when_that_comes() -> None:
    world = World([service("one"), route("r", "one")])
    assert accepted(told(world, "r")) == (False, "NoMatchingParent")
    world.put(service("echo"))
    assert clusters(world) == ["one"]
    world.remove(service("echo"))
    assert accepted(told(world, "r")) == (False, "NoMatchingParent")


def test_a_backend_that_is_not_there_is_answered_with_500() -> None:
    world = shop(route("r", "nobody"))
    view = world.view(world.proxy("sidecar", "shop", "web"))
    (host,) = [e for e in messages(view, "routes")["80"].virtual_hosts if ECHO in e.domains]
    assert [each.direct_response.status for each in host.routes] == [500]
    resolved = told(world, "r").conditions[1]
    assert (resolved.holds, resolved.reason) == (False, "BackendNotFound")


def test_gateways_need_grants_and_callers_do_not() -> None:
    """They could call the Service themselves."""
    both = route("r", "one", namespace="friend")
    both["spec"]["parentRefs"].append({"name": "front", "namespace": "shop"})
    listeners = [listener(allowedRoutes={"namespaces": {"from": "All"}})]
    world = shop(CLASS, gateway(*listeners), both)
    assert clusters(world, "friend") == ["one"]
    statuses = world.feed.gateway_api.outcome.route_statuses[Ref("HTTPRoute", "friend", "r")]
    found = {each.parent.kind: said(each.conditions) for each in statuses}
    assert found == {
        "Gateway": {"Accepted": "Accepted", "ResolvedRefs": "!RefNotPermitted"},
        "Service": {"Accepted": "Accepted", "ResolvedRefs": "ResolvedRefs"},
    }


def test_calls_of_grpc_are_routed_as_requests_are() -> None:
    spec = route("r", "one", kind="GRPCRoute", port=7070)
    spec["spec"]["rules"][0]["matches"] = [{"method": {"service": "shop.Catalog", "method": "Get"}}]
    world = shop(spec)
    assert accepted(told(world, "r", kind="GRPCRoute")) == (True, "Accepted")
    view = world.view(world.proxy("sidecar", "shop", "web"))
    (host,) = [e for e in messages(view, "routes")["7070"].virtual_hosts if ECHO in e.domains]
    assert [each.match.path for each in host.routes] == ["/shop.Catalog/Get"]


def test_of_two_parents_each_is_told() -> None:
    both = route("r", "one")
    both["spec"]["parentRefs"].append({"group": "", "kind": "Service", "name": "nobody"})
    world = shop(both)
    world.feed.flush()
    statuses = world.feed.gateway_api.outcome.route_statuses[Ref("HTTPRoute", "shop", "r")]
    assert [accepted(each)[0] for each in statuses] == [True, False]
    assert {each.generation for each in statuses} == {3}
