"""What a change of one of many routes makes anew: what depends on it, and nothing else, told by what stays the very same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rollout.mesh.ingest.gatewayapi.outcome import GATEWAY
from rollout.mesh.model.gateway import HostRoutes
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.routing import RouteTable
from rollout.mesh.translate.shared import Shared
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
MANY = 60


def numbered(number: int, path: str = "/", **more: Any) -> Json:
    """A route of a host of its own, to a Service of its own, at a Gateway and at that Service."""
    name = f"s{number}"
    rule = {"matches": [{"path": {"value": path}}], "backendRefs": [to(name)]}
    parents = [{"name": "front"}, {"group": "", "kind": "Service", "name": name}]
    return route(rule, name=name, parents=parents, **{"hostnames": [f"{name}.example.com"], **more})


def mesh(*more: Json) -> World:
    services = [service("shop", f"s{number}") for number in range(MANY)]
    routes = [numbered(number) for number in range(MANY)]
    world = resolved(*services, *exposing(), gateway(listener()), *routes, *more)
    world.registry.drain()
    return world


class Kept:
    """What was there at a moment, to be counted later what of it is not the same any more."""

    def __init__(self, world: World) -> None:
        self._world, self._shared = world, Shared(world.registry)
        self._before = dict(self._made())

    def _made(self) -> Iterator[tuple[str, HostRoutes | RouteTable | bytes]]:
        gateway = self._world.registry.gateways[Ref(GATEWAY, "shop", "front")]
        for host in gateway.servers[0].attached or ():
            yield f"host {host.host}", host
            yield f"bytes of {host.host}", self._shared.attached_host(host, 80)
        for ref, table in self._world.registry.tables.items():
            yield f"table {ref.name}", table

    def anew(self) -> set[str]:
        """What came or was made again since then."""
        self._world.feed.flush()
        self._shared.forget(self._world.registry.drain())
        found = dict(self._made())
        made = {name for name, each in found.items() if self._before.get(name) is not each}
        self._before = found
        return made


def test_a_changed_route_is_made_again_alone() -> None:
    world = mesh()
    kept = Kept(world)
    world.put(numbered(7, "/new"))
    assert kept.anew() == {
        "host s7.example.com",
        "bytes of s7.example.com",
        "table s7",
    }
    assert kept.anew() == set()


def test_a_route_that_comes_or_goes_is_read_alone() -> None:
    world = mesh()
    kept = Kept(world)
    more = route(name="more", hostnames=["more.example.com"])
    world.put(more)
    assert kept.anew() == {"host more.example.com", "bytes of more.example.com"}
    assert gateway_status(world).listeners[0].attached == MANY + 1
    world.feed.gateway_api.put(Ref("HTTPRoute", "shop", "more"), None)
    assert kept.anew() == set()
    assert gateway_status(world).listeners[0].attached == MANY


def test_a_changed_service_makes_its_routes_again_alone() -> None:
    world = mesh()
    kept = Kept(world)
    world.put(service("shop", "s7", 8080))
    assert kept.anew() == {
        "host s7.example.com",
        "bytes of s7.example.com",
        "table s7",
    }
    assert [each["ResolvedRefs"] for each in route_said(world, "s7")] == ["!BackendNotFound"] * 2
    assert [each["ResolvedRefs"] for each in route_said(world, "s8")] == ["ResolvedRefs"] * 2


def test_what_says_nothing_of_routes_makes_none_again() -> None:
    world = mesh()
    kept = Kept(world)
    world.put(gateway(listener(), infrastructure={"labels": {"a": "b"}}))
    world.put(namespace("shop", team="a"))
    world.put(namespace("elsewhere"))
    world.put(service("shop", "unheard-of"))
    assert kept.anew() == set()
    assert gateway_status(world).listeners[0].attached == MANY


def test_a_wildcards_routes_are_those_of_all_hosts_that_it_takes_in() -> None:
    world = mesh()
    kept = Kept(world)
    world.put(route(name="wild", hostnames=["*.example.com"]))
    made = kept.anew()
    assert {each for each in made if each.startswith("host")} == {
        "host *.example.com",
        *(f"host s{number}.example.com" for number in range(MANY)),
    }
    assert not {each for each in made if each.startswith("table")}


def test_a_rule_for_a_destination_makes_the_bytes_of_its_routes_again() -> None:
    world = mesh()
    kept = Kept(world)
    balancer = {"consistentHash": {"httpHeaderName": "x-user"}}
    world.put(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": {"namespace": "shop", "name": "s7"},
            "spec": {"host": "s7", "trafficPolicy": {"loadBalancer": balancer}},
        }
    )
    assert kept.anew() == {"bytes of s7.example.com"}


def test_a_grant_that_comes_late_is_heard() -> None:
    far = route({"backendRefs": [to("web", namespace="other")]}, name="far")
    world = mesh(service("other", "web"), far)
    assert route_said(world, "far")[0]["ResolvedRefs"] == "!RefNotPermitted"
    world.put(grant("shop", "other", target={"kind": "Service"}))
    world.feed.flush()
    assert route_said(world, "far")[0]["ResolvedRefs"] == "ResolvedRefs"
