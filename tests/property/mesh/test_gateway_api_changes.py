"""Whatever comes, changes and goes, in whatever order: what comes of Gateway API's objects is what they say at the end."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.mesh.ingest.gatewayapi.outcome import GATEWAY, Outcome
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.registry import Registry
from tests.meshworld import World
from tests.unit.mesh.gatewayapi.objects import (
    CLASS,
    PROXIES,
    exposing,
    gateway,
    grant,
    listener,
    namespace,
    route,
    service,
    to,
)

Json = dict[str, Any]
Named = tuple[str, str, str]
SPACES = st.sampled_from(["shop", "apps"])
HOSTS = st.sampled_from(["a.example", "b.example", "*.example", "*.a.example"])
FRONT = {"name": "front", "namespace": "shop"}


def one_of(name: str, *choices: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(choices).map(lambda choice: {name: choice} if choice else {})


SELECTING = {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}}
ALLOWED = st.sampled_from([{}, {"namespaces": {"from": "All"}}, SELECTING])


@st.composite
def gateways(draw: st.DrawFn) -> Json:
    names = draw(st.lists(st.sampled_from(["x", "y", "z"]), min_size=1, max_size=3, unique=True))
    found = [
        listener(
            name,
            draw(st.sampled_from([80, 81])),
            allowedRoutes=draw(ALLOWED),
            **draw(one_of("hostname", None, "*.example", "a.example")),
        )
        for name in names
    ]
    more = draw(one_of("gatewayClassName", None, None, "another"))
    return gateway(*found, name=draw(st.sampled_from(["front", "side"])), **more)


@st.composite
def routes(draw: st.DrawFn) -> Json:
    parent = st.one_of(
        st.just(FRONT),
        st.just({"name": "side", "namespace": "shop"}),
        one_of("sectionName", "x", "y").map(lambda more: FRONT | more),
        one_of("port", None, 80, 81).map(
            lambda more: {"group": "", "kind": "Service", "name": "web", "namespace": "shop"} | more
        ),
        st.just({"group": "", "kind": "Service", "name": "other"}),
    )
    rule = {
        "matches": [{"path": {"value": draw(st.sampled_from(["/", "/a"]))}}],
        "backendRefs": [to(draw(st.sampled_from(["web", "other"])), namespace=draw(SPACES))],
    }
    return route(
        rule,
        name=draw(st.sampled_from(["r1", "r2", "r3"])),
        namespace=draw(SPACES),
        parents=draw(st.lists(parent, min_size=1, max_size=3)),
        created=draw(st.sampled_from(["", "2026-01-01T00:00:00Z"])),
        hostnames=draw(st.lists(HOSTS, max_size=2)),
    )


@st.composite
def virtual_services(draw: st.DrawFn) -> Json:
    host = draw(st.sampled_from(["web", "*.shop.svc.cluster.local", "web.shop"]))
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"namespace": "shop", "name": "v"},
        "spec": {"hosts": [host], "http": [{"route": [{"destination": {"host": "web"}}]}]},
    }


OBJECTS = st.one_of(
    gateways(),
    routes(),
    routes(),
    routes(),
    virtual_services(),
    st.builds(service, SPACES, st.sampled_from(["web", "other"]), st.sampled_from([80, 81])),
    st.sampled_from([CLASS, {**CLASS, "spec": {"controllerName": "others"}}]),
    st.just(PROXIES),
    st.sampled_from(exposing()),
    st.builds(lambda team: namespace("apps", team=team), st.sampled_from(["a", "b"])),
    st.just(grant("apps", "shop", target={"kind": "Service"})),
)
AT_FIRST = (
    CLASS,
    PROXIES,
    *exposing(),
    service("shop", "web"),
    namespace("apps", team="a"),
    gateway(listener("x", allowedRoutes=SELECTING)),
    route(namespace="apps", name="r1", parents=[FRONT]),
    route(
        name="r2", parents=[{"group": "", "kind": "Service", "name": "web", "namespace": "shop"}]
    ),
)
STEPS = st.lists(st.tuples(OBJECTS, st.booleans(), st.booleans()), min_size=1, max_size=30)


def named(obj: Json) -> Named:
    metadata = obj["metadata"]
    return obj["kind"], metadata.get("namespace", ""), metadata["name"]


def remove(world: World, obj: Json) -> None:
    kind, where, name = named(obj)
    if obj.get("apiVersion", "").startswith("gateway.networking.k8s.io/"):
        world.feed.gateway_api.put(Ref(GATEWAY if kind == "Gateway" else kind, where, name), None)
    elif kind == "Namespace":
        world.feed.gateway_api.namespace(name, None)
    else:
        world.remove(obj)


def told(world: World) -> tuple[Outcome, Any, Any]:
    """The outcome, and what of it is in force."""
    world.feed.flush()
    registry: Registry = world.registry
    return world.feed.gateway_api.outcome, registry.gateways, dict(registry.tables)


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_what_has_happened_before_never_shows(steps: list[tuple[Json, bool, bool]]) -> None:
    world, there = World(AT_FIRST), {named(obj): obj for obj in AT_FIRST}
    world.feed.flush()
    world.registry.drain()
    for obj, comes, looked_at in steps:
        known = there.pop(named(obj), None)
        if comes:
            there[named(obj)] = obj
            world.put(obj)
        elif known is not None:
            remove(world, known)
        if looked_at:
            world.feed.flush()
            world.registry.drain()
    assert told(world) == told(World(there.values()))
