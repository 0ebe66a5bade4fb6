"""Which routes are attached to which listeners, and what requests for a host then meet."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.ingest.gatewayapi.outcome import GATEWAY
from rollout.mesh.model.problem import Ref
from tests.meshworld import World
from tests.unit.mesh.gatewayapi.objects import (
    exposing,
    gateway,
    gateway_status,
    grant,
    listener,
    namespace,
    resolved,
    route,
    route_said,
    service,
    to,
)

Json = dict[str, Any]


def allowing(source: str, **more: Any) -> Json:
    return {"allowedRoutes": {"namespaces": {"from": source, **more}}}


TEAM = {"selector": {"matchLabels": {"team": "a"}}}
PARENT = {"name": "front", "namespace": "shop"}
CASES: dict[str, tuple[Json, Json, str, int]] = {
    "same namespace": (listener(), {}, "Accepted", 1),
    "another namespace": (listener(), {"namespace": "apps"}, "!NotAllowedByListeners", 0),
    "from all": (listener(**allowing("All")), {"namespace": "apps"}, "Accepted", 1),
    "selected": (listener(**allowing("Selector", **TEAM)), {"namespace": "apps"}, "Accepted", 1),
    "not selected": (
        listener(**allowing("Selector", **TEAM)), {"namespace": "other"}, "!NotAllowedByListeners", 0,
    ),
    "another kind": (
        listener(allowedRoutes={"kinds": [{"kind": "GRPCRoute"}]}), {}, "!NotAllowedByListeners", 0,
    ),
    "a section": (listener(), {"parents": [{**PARENT, "sectionName": "http"}]}, "Accepted", 1),
    "no such section": (listener(), {"parents": [{**PARENT, "sectionName": "x"}]}, "!NoMatchingParent", 0),
    "no such port": (listener(), {"parents": [{**PARENT, "port": 81}]}, "!NoMatchingParent", 0),
    "a host in common": (listener(hostname="*.example"), {"hostnames": ["a.example"]}, "Accepted", 1),
    "no host in common": (
        listener(hostname="a.example"), {"hostnames": ["b.example"]}, "!NoMatchingListenerHostname", 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("written", "made", "accepted", "count"), CASES.values(), ids=CASES)
def test_attaching(written: Json, made: Json, accepted: str, count: int) -> None:
    others = (namespace("apps", team="a"), namespace("other", team="b"))
    world = resolved(*others, gateway(written), route(**{"parents": [PARENT], **made}))
    (found,) = route_said(world, namespace=made.get("namespace", "shop"))
    assert found["Accepted"] == accepted
    assert [each.attached for each in gateway_status(world).listeners] == [count]


def test_a_route_of_two_parents_is_told_of_each_and_counted_once() -> None:
    parents = [{"name": "front"}, {"name": "front", "sectionName": "http"}, {"name": "absent"}]
    world = resolved(gateway(listener()), route(parents=parents))
    assert [each["Accepted"] for each in route_said(world)] == ["Accepted", "Accepted"]
    assert gateway_status(world).listeners[0].attached == 1


def tried(world: World, port: int, host: str) -> list[str]:
    """The names of the routes that requests for a virtual host are compared with, in order."""
    gateway = world.registry.gateways[Ref(GATEWAY, "shop", "front")]
    (found,) = [
        each.routes
        for server in gateway.servers
        for each in server.attached or ()
        if server.port == port and each.host == host
    ]
    return [route.name for route in found]


def named(name: str, path: str = "/", **match: Any) -> Json:
    matched = [{"path": {"type": "PathPrefix", "value": path}, **match}]
    return {"name": name, "matches": matched, "backendRefs": [{"name": "web", "port": 80}]}


def test_precedence() -> None:
    exact = [{"path": {"type": "Exact", "value": "/a"}}]
    header = {"headers": [{"name": "x", "value": "1"}]}
    query = {"queryParams": [{"name": "q", "value": "1"}]}
    world = resolved(
        gateway(listener()),
        route(
            named("root"), named("short", "/a"), named("long", "/a/b/"), named("get", "/a", method="GET"),
            named("header", "/a", **header), named("query", "/a", **query),
            {**named("exact"), "matches": exact},
            name="younger", created="2026-01-02T00:00:00Z",
        ),
        route(named("older", "/a"), name="z", created="2026-01-01T00:00:00Z"),
    )  # fmt: skip
    assert tried(world, 80, "*") == [
        "exact", "long", "get", "header", "query", "older", "short", "root",
    ]  # fmt: skip


def test_hosts_fall_back_within_their_listener_alone() -> None:
    world = resolved(
        gateway(
            listener("all"),
            listener("wild", hostname="*.example"),
            listener("one", hostname="a.example"),
        ),
        route(named("all"), name="all", parents=[{"name": "front", "sectionName": "all"}]),
        route(named("wild"), name="wild", parents=[{"name": "front", "sectionName": "wild"}]),
        route(
            named("b", "/b"), name="b", hostnames=["b.example", "a.example", "c.test"]
        ),
    )  # fmt: skip
    assert tried(world, 80, "*") == ["all"]
    assert tried(world, 80, "c.test") == ["b", "all"]
    assert tried(world, 80, "*.example") == ["wild"]
    assert tried(world, 80, "b.example") == ["b", "wild"]
    assert tried(world, 80, "a.example") == ["b"]


def test_a_route_follows_what_it_refers_to() -> None:
    world = resolved(
        *exposing(), gateway(listener()), route({"backendRefs": [{"name": "late", "port": 80}]})
    )
    assert route_said(world)[0]["ResolvedRefs"] == "!BackendNotFound"
    late = service("shop", "late")
    world.put(late)
    world.feed.flush()
    assert route_said(world)[0]["ResolvedRefs"] == "ResolvedRefs"
    world.remove(late)
    world.feed.flush()
    assert route_said(world)[0]["ResolvedRefs"] == "!BackendNotFound"


def test_what_is_gone_is_gone() -> None:
    world = resolved(*exposing(), gateway(listener()), route())
    assert tried(world, 80, "*")
    feed = world.feed.gateway_api
    feed.put(Ref("HTTPRoute", "shop", "r"), None)
    feed.flush()
    assert tried(world, 80, "*") == []
    feed.put(Ref(GATEWAY, "shop", "front"), None)
    feed.flush()
    assert not world.registry.gateways
    assert not feed.outcome.ports


def test_endpoints_of_backends_change_nothing_here() -> None:
    world = resolved(*exposing(), gateway(listener()), route())
    told: list[None] = []
    world.feed.gateway_api.told = lambda: told.append(None)
    labels = {"kubernetes.io/service-name": "web"}
    metadata = {"namespace": "shop", "name": "web-1", "labels": labels}
    world.put({"kind": "EndpointSlice", "metadata": metadata, "endpoints": [], "ports": []})
    world.feed.flush()
    assert not told
    world.put(service("shop", "web", 8080))
    world.feed.flush()
    assert len(told) == 1


def test_what_was_read_stays_until_something_about_it_changes() -> None:
    elsewhere = route({"backendRefs": [to("web", namespace="other")]}, name="far")
    world = resolved(service("other", "web"), gateway(listener()), route(), elsewhere)
    assert route_said(world, "far")[0]["ResolvedRefs"] == "!RefNotPermitted"
    world.put(grant("shop", "other", target={"kind": "Service"}))
    world.feed.flush()
    assert route_said(world, "far")[0]["ResolvedRefs"] == "ResolvedRefs"
    world.put(service("other", "web", 81))
    world.feed.flush()
    assert route_said(world, "far")[0]["ResolvedRefs"] == "!BackendNotFound"
    world.put(route({"backendRefs": [to("web", 81, namespace="other")]}, name="far"))
    world.feed.flush()
    assert route_said(world, "far")[0]["ResolvedRefs"] == "ResolvedRefs"
    assert route_said(world)[0]["ResolvedRefs"] == "ResolvedRefs"
