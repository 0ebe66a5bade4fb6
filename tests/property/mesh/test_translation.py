"""What holds for every mesh: the order of objects never shows, and no VirtualService breaks it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rollout.mesh.agent.settings import TAKES_HOSTS
from rollout.mesh.model.peers import MutualTLS
from rollout.mesh.translate import names
from tests.meshworld import TYPES, World, decode, messages

Json = dict[str, Any]


def service(name: str, namespace: str = "shop", port: int = 80) -> Json:
    return {
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"clusterIP": f"10.0.0.{len(name)}", "ports": [{"name": "http", "port": port}],
                 "selector": {"app": name}},
    }  # fmt: skip


def istio(kind: str, name: str, spec: Json, created: str = "2026-01-02T00:00:00Z") -> Json:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"namespace": "shop", "name": name, "creationTimestamp": created},
        "spec": spec,
    }


def slices(name: str, *addresses: str) -> Json:
    return {
        "kind": "EndpointSlice",
        "metadata": {"namespace": "shop", "name": f"{name}-{addresses[0]}",
                     "labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [each], "conditions": {"ready": True}} for each in addresses],
    }  # fmt: skip


OBJECTS = [
    service("one"), service("three"), service("fifth"), service("fifth", "elsewhere", 8000),
    slices("one", "10.1.0.1", "10.1.0.2"), slices("one", "10.1.0.3"), slices("three", "10.1.0.9"),
    istio("DestinationRule", "a", {"host": "one", "subsets": [{"name": "x", "labels": {"v": "1"}}]}),
    istio("DestinationRule", "b", {"host": "one", "subsets": [{"name": "y", "labels": {"v": "2"}}]}),
    istio("DestinationRule", "c", {"host": "three", "trafficPolicy": {"loadBalancer": {"consistentHash": {"useSourceIp": True}}}}),
    istio("DestinationRule", "d", {"host": "*.shop.svc.cluster.local", "trafficPolicy": {
        "loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}, "outlierDetection": {"interval": "1s"}}}),
    istio("VirtualService", "v", {"hosts": ["one"], "http": [{"route": [{"destination": {"host": "three"}}]}]}),
    istio("VirtualService", "w", {"hosts": ["one", "x.example.com"], "http": [{"route": [{"destination": {"host": "fifth"}}]}]}),
    istio("VirtualService", "edge", {"hosts": ["e.example.com"], "gateways": ["g"], "http": [{"route": [{"destination": {"host": "one"}}]}]}),
    istio("Gateway", "g", {"selector": {"istio": "gw"}, "servers": [{"port": {"number": 8080, "name": "h", "protocol": "HTTP"}, "hosts": ["*"]}]}),
    istio("VirtualService", "root", {"hosts": ["three"], "http": [{"delegate": {"name": "leaf"}, "match": [{"uri": {"prefix": "/a"}}]}]}),
    istio("VirtualService", "leaf", {"http": [{"route": [{"destination": {"host": "one"}}], "match": [{"uri": {"prefix": "/a/b"}}]}]}),
    istio("VirtualService", "private", {"hosts": ["three"], "exportTo": ["elsewhere", "."], "http": [{"route": [{"destination": {"host": "one"}}]}]}),
    istio("VirtualService", "bytes", {"hosts": ["out.example.com"], "tls": [{"match": [{"sniHosts": ["out.example.com"]}], "route": [{"destination": {"host": "one"}}]}]}),
    istio("ServiceEntry", "out", {"hosts": ["out.example.com"], "resolution": "DNS", "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}]}),
    istio("ServiceEntry", "again", {"hosts": ["out.example.com", "fifth.shop"], "resolution": "STATIC", "exportTo": ["."], "ports": [
        {"number": 443, "name": "tls", "protocol": "TLS"}, {"number": 80, "name": "http", "protocol": "HTTP"}],
        "endpoints": [{"address": "192.0.2.1"}]}),
    istio("VirtualService", "address", {"hosts": ["10.0.0.5"], "http": [{"route": [{"destination": {"host": "one"}}]}]}),
    istio("Sidecar", "limited", {"workloadSelector": {"labels": {"app": "three"}}, "egress": [
        {"port": {"number": 8000, "name": "http"}, "hosts": ["elsewhere/*"]},
        {"hosts": ["./one.shop.svc.cluster.local", "*/*.example.com"]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}),
    istio("Gateway", "across", {"selector": {"istio": "gw"}, "servers": [
        {"port": {"number": 15443, "name": "tls", "protocol": "TLS"}, "hosts": ["shop/*.local"], "tls": {"mode": "AUTO_PASSTHROUGH"}}]}),
    istio("ServiceEntry", "machines", {"hosts": ["db.example.com"], "resolution": "STATIC", "location": "MESH_INTERNAL",
        "ports": [{"number": 5432, "name": "tcp", "protocol": "TCP"}], "workloadSelector": {"labels": {"app": "one"}}}),
    istio("WorkloadEntry", "vm", {"address": "192.0.2.9", "labels": {"app": "one", "v": "1"}, "locality": "eu/a"}),
    istio("WorkloadEntry", "more", {"address": "192.0.2.10", "labels": {"app": "one", "v": "2"}, "weight": 3}),
    istio("DestinationRule", "lasting", {"host": "out.example.com", "trafficPolicy": {"connectionPool": {"tcp": {"idleTimeout": "1m"}}}}),
    istio("DestinationRule", "near", {"host": "db.example.com", "trafficPolicy": {
        "outlierDetection": {"interval": "1s"},
        "loadBalancer": {"localityLbSetting": {"failoverPriority": ["app", "v=2"]}}}}),
    istio("DestinationRule", "hidden", {"host": "one", "exportTo": ["elsewhere"], "subsets": [{"name": "z", "labels": {"v": "3"}}]}),
]  # fmt: skip
NAMES = [each["metadata"]["name"] for each in OBJECTS]
PROXIES: list[tuple[Any, ...]] = [
    ("sidecar", "shop", "one", {"app": "one"}),
    ("sidecar", "shop", "three", {"app": "three"}),
    ("router", "shop", "gw", {"istio": "gw"}),
    ("sidecar", "shop", "three", {"app": "three"}, {TAKES_HOSTS: "true"}),
    ("sidecar", "shop", "one", {"app": "one"}, {TAKES_HOSTS: "true"}),
]


def meshed(objects: Iterable[Json] = ()) -> World:
    return World(objects, mutual_tls=MutualTLS.AUTO)


def everything(world: World) -> dict[str, bytes]:
    found = {}
    world.feed.flush()
    for each in PROXIES:
        view = world.view(world.proxy(*each))
        for type_url in (*TYPES.values(), names.VIRTUAL_HOST):
            for resource in view.resources[type_url].values():
                found[f"{each[2:]} {type_url} {resource.name}"] = resource.encoded
    return found


@given(st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_the_order_of_objects_never_shows(shuffler: random.Random) -> None:
    shuffled = deepcopy(OBJECTS)
    shuffler.shuffle(shuffled)
    assert everything(meshed(shuffled)) == everything(meshed(OBJECTS))


@given(st.lists(st.tuples(st.sampled_from(range(len(OBJECTS))), st.booleans()), max_size=25))
@example([(0, True), (10, True), (7, True)])
@example([(0, True), (7, True), (10, True), (7, False)])
@example([(NAMES.index("out"), True), (NAMES.index("lasting"), True)])
@example(
    [
        (NAMES.index(name), put)
        for name, put in (("machines", True), ("vm", True), ("near", True), ("vm", False))
    ]
)
@example([(NAMES.index("across"), True), (0, True), (7, True), (NAMES.index("across"), False)])
@settings(max_examples=100)
def test_a_history_ends_where_a_fresh_start_does(history: list[tuple[int, bool]]) -> None:
    """Changes taken up one by one leave the same bytes as reading what is left at once."""
    world, present = meshed(), dict[int, Json]()
    for each in PROXIES:
        world.view(world.proxy(*each))
    for index, put in history:
        if put:
            world.put(OBJECTS[index])
            present[index] = OBJECTS[index]
        elif present.pop(index, None) is not None:
            world.remove(OBJECTS[index])
        everything(world)
    assert everything(world) == everything(meshed(present.values()))


def test_virtual_hosts_are_the_same_one_by_one() -> None:
    world = meshed(OBJECTS)
    whole = messages(world.view(world.proxy(*PROXIES[0])), "routes")
    view = world.view(world.proxy(*PROXIES[-1]))
    single = [
        decode(names.VIRTUAL_HOST, each) for each in view.resources[names.VIRTUAL_HOST].values()
    ]
    for port, configuration in whole.items():
        shell = messages(view, "routes")[port]
        assert shell.HasField("vhds")
        assert not shell.virtual_hosts
        mine = {tuple(host.domains): host for host in single if host.name.startswith(f"{port}/")}
        assert len(mine) == len(configuration.virtual_hosts)
        for host in configuration.virtual_hosts:
            assert mine[tuple(host.domains)].routes == host.routes


TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "/",
        "/a",
        "one",
        "%",
        "%%",
        "%REQ(x)%",
        "a.b",
        "*",
        "(?=x)",
        "[",
        "a{2000}",
        "\\1",
        ".*",
        "x" * 2000,
    ]
)
MATCH = st.fixed_dictionaries({}, optional={"exact": TEXT, "prefix": TEXT, "regex": TEXT})
WEIGHTS = st.lists(st.integers(0, 100), min_size=1, max_size=4)


@st.composite
def rules(draw: st.DrawFn) -> Json:
    weights = draw(WEIGHTS)
    names = [draw(st.sampled_from(["one", "three", "nosuch"])) for _ in weights]
    action: Json = draw(
        st.sampled_from([
            {"route": [{"destination": {"host": n}, "weight": w} for n, w in zip(names, weights, strict=True)]},
            {"redirect": {"uri": draw(TEXT)}},
            {"directResponse": {"status": draw(st.integers(0, 700)), "body": {"string": draw(TEXT)}}},
        ])
    )  # fmt: skip
    extras = {
        "match": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "uri": MATCH, "method": MATCH, "headers": st.dictionaries(TEXT, MATCH, max_size=2),
                    "queryParams": st.dictionaries(TEXT, MATCH, max_size=2), "gateways": st.just(["mesh"]),
                    "port": st.integers(-1, 70000), "sourceLabels": st.just({"a": "b"}),
                },
            ),
            max_size=3,
        ),
        "timeout": st.sampled_from(["1s", "0s", "x", "-1s", "99999h"]),
        "retries": st.fixed_dictionaries({"attempts": st.integers(-1, 9)}, optional={"retryOn": TEXT}),
        "rewrite": st.fixed_dictionaries({}, optional={"uri": TEXT, "authority": TEXT}),
        "mirror": st.just({"host": "three"}),
        "mirrorPercentage": st.fixed_dictionaries({"value": st.floats(0, 120)}),
        "headers": st.fixed_dictionaries({"request": st.fixed_dictionaries(
            {}, optional={"set": st.dictionaries(TEXT, TEXT, max_size=2), "remove": st.lists(TEXT, max_size=2)}
        )}),
        "fault": st.fixed_dictionaries({}, optional={
            "delay": st.fixed_dictionaries({}, optional={
                "fixedDelay": st.sampled_from(["1s", "0s", "x"]), "percent": st.integers(-1, 101)}),
            "abort": st.fixed_dictionaries({}, optional={
                "httpStatus": st.integers(0, 700), "grpcStatus": TEXT,
                "percentage": st.fixed_dictionaries({"value": st.floats(0, 120)})}),
        }),
        "unheardOf": st.just(1),
    }  # fmt: skip
    return action | draw(st.fixed_dictionaries({}, optional=extras))


@given(st.lists(rules(), min_size=1, max_size=3))
@settings(max_examples=300)
def test_no_virtual_service_breaks_the_others(http: list[Json]) -> None:
    world = World(
        [*OBJECTS[:2], istio("VirtualService", "random", {"hosts": ["one"], "http": http})]
    )
    view = world.view(world.proxy(*PROXIES[0]))
    (routes,) = messages(view, "routes").values()
    names = {host.name for host in routes.virtual_hosts}
    assert {"one.shop.svc.cluster.local:80", "three.shop.svc.cluster.local:80"} <= names
    domains = [domain for host in routes.virtual_hosts for domain in host.domains]
    assert len(domains) == len(set(domains))


NUMBER = st.integers(-1, 2**40)
DURATION = st.sampled_from(["1s", "0s", "1ms", "x", "-1s", "99999h"])
POLICY = {
    "loadBalancer": st.fixed_dictionaries({}, optional={
        "simple": st.sampled_from(["RANDOM", "PASSTHROUGH", "LEAST_CONN", "x"]),
        "consistentHash": st.fixed_dictionaries({}, optional={
            "httpHeaderName": TEXT, "httpQueryParameterName": TEXT, "useSourceIp": st.booleans(),
            "httpCookie": st.fixed_dictionaries({"name": TEXT}, optional={"ttl": DURATION}),
            "minimumRingSize": NUMBER, "maglev": st.fixed_dictionaries({"tableSize": NUMBER}),
        }),
        "warmupDurationSecs": DURATION,
        "localityLbSetting": st.fixed_dictionaries({"distribute": st.lists(st.fixed_dictionaries(
            {"from": TEXT, "to": st.dictionaries(TEXT, st.integers(0, 100), max_size=3)}), max_size=2)}),
    }),
    "connectionPool": st.fixed_dictionaries({}, optional={
        "tcp": st.fixed_dictionaries({"maxConnections": NUMBER, "connectTimeout": DURATION}),
        "http": st.fixed_dictionaries({"http2MaxRequests": NUMBER, "maxConcurrentStreams": NUMBER}),
    }),
    "outlierDetection": st.fixed_dictionaries({}, optional={
        "consecutive5xxErrors": NUMBER, "interval": DURATION, "baseEjectionTime": DURATION,
        "maxEjectionPercent": st.integers(-1, 120),
    }),
}  # fmt: skip


@given(st.fixed_dictionaries({}, optional=POLICY), st.fixed_dictionaries({}, optional=POLICY))
@settings(max_examples=300)
def test_no_destination_rule_breaks_the_others(policy: Json, subset: Json) -> None:
    spec = {
        "host": "one",
        "trafficPolicy": policy,
        "subsets": [{"name": "x", "trafficPolicy": subset}],
    }
    world = World([*OBJECTS[:2], istio("DestinationRule", "random", spec)])
    view = world.view(world.proxy(*PROXIES[0]))
    assert {
        "outbound|80||one.shop.svc.cluster.local",
        "outbound|80||three.shop.svc.cluster.local",
    } <= set(messages(view, "clusters"))
    assert messages(view, "routes")


@given(WEIGHTS.filter(sum))
def test_weights_arrive_as_they_were_written(weights: list[int]) -> None:
    shares = [{"destination": {"host": "one"}, "weight": weight} for weight in weights]
    spec = {"hosts": ["three"], "http": [{"route": shares}]}
    world = World([*OBJECTS[:2], istio("VirtualService", "w", spec)])
    (routes,) = messages(world.view(world.proxy(*PROXIES[0])), "routes").values()
    (host,) = [each for each in routes.virtual_hosts if each.name.startswith("three.")]
    (route,) = host.routes
    found = [cluster.weight.value for cluster in route.route.weighted_clusters.clusters]
    wanted = [weight for weight in weights if weight]
    assert found == (wanted if len(wanted) > 1 else [])
