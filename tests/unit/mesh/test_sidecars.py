"""Sidecars: which parts of the mesh a workload's proxy is told, and where its application listens."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.ingest.references import dangling
from rollout.mesh.model.proxy import Proxy
from rollout.mesh.translate import names
from tests.meshworld import World, messages

Json = dict[str, Any]
PORTS = ({"name": "http", "port": 80}, {"name": "tcp", "port": 5432})


def service(namespace: str, name: str, *ports: Json) -> Json:
    return {
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"clusterIP": f"10.0.{ord(namespace[0])}.{len(name)}", "ports": list(ports or PORTS[:1]),
                 "selector": {"app": name}},
    }  # fmt: skip


def istio(kind: str, namespace: str, name: str, spec: Json, created: str = "02") -> Json:
    created = f"2026-01-{created}T00:00:00Z"
    metadata = {"namespace": namespace, "name": name, "creationTimestamp": created}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": spec,
    }


def sidecar(
    spec: Json, namespace: str = "shop", name: str = "default", created: str = "02"
) -> Json:
    return istio("Sidecar", namespace, name, spec, created)


def egress(*hosts: str, port: int | None = None) -> Json:
    found: Json = {"hosts": list(hosts)}
    return found if port is None else found | {"port": {"number": port, "name": "x"}}


SERVICES = [
    service("shop", "web", {"name": "http", "port": 80, "targetPort": 8080}),
    service("shop", "db", PORTS[1]),
    service("prod", "pay", *PORTS),
    service("prod", "bank"),
    service("deep", "ledger"),
]
TO_LEDGER = istio("VirtualService", "prod", "pay", {
    "hosts": ["pay"], "http": [{"route": [{"destination": {"host": "ledger.deep.svc.cluster.local"}}]}]})  # fmt: skip


def reached(world: World, namespace: str = "shop", **labels: str) -> tuple[set[str], set[str]]:
    """The services with a virtual host, and those with clusters, as `name:port`; `+` is whatever else."""
    view = world.view(web(world, namespace, **labels))
    hosts = {
        each.name.replace(".svc.cluster.local", "")
        for configuration in messages(view, "routes").values()
        for each in configuration.virtual_hosts
    }
    parts = [name.split("|") for name in view.resources[names.CLUSTER]]
    clusters = {
        f"{each[3].removesuffix('.svc.cluster.local')}:{each[1]}"
        for each in parts
        if each[0] == "outbound"
    }
    return hosts - {"allow_any", "block_all"}, clusters


def web(world: World, namespace: str = "shop", **labels: str) -> Proxy:
    return world.proxy("sidecar", namespace, "web", labels or {"app": "web"})


EVERYTHING = {"web.shop:80", "pay.prod:80", "bank.prod:80", "ledger.deep:80"}
TCP = {"db.shop:5432", "pay.prod:5432"}


@pytest.mark.parametrize(
    ("listeners", "hosts", "clusters"),
    [
        pytest.param([], EVERYTHING, EVERYTHING | TCP, id="unset is everything"),
        pytest.param([egress("*/*")], EVERYTHING, EVERYTHING | TCP, id="any host of any namespace"),
        pytest.param([egress("~/*")], set(), set(), id="none"),
        pytest.param(
            [egress("./*")], {"web.shop:80"}, {"web.shop:80", "db.shop:5432"}, id="the own namespace"
        ),
        pytest.param(
            [egress("prod/*")],
            {"pay.prod:80", "bank.prod:80"},
            {"pay.prod:80", "pay.prod:5432", "bank.prod:80", "ledger.deep:80"},
            id="another, and where its routes lead",
        ),
        pytest.param(
            [egress("*/bank.prod.svc.cluster.local")], {"bank.prod:80"}, {"bank.prod:80"}, id="one host"
        ),
        pytest.param(
            [egress("prod/*.prod.svc.cluster.local")],
            {"pay.prod:80", "bank.prod:80"},
            {"pay.prod:80", "pay.prod:5432", "bank.prod:80", "ledger.deep:80"},
            id="a wildcard",
        ),
        pytest.param([egress("deep/bank.prod.svc.cluster.local")], set(), set(), id="not that namespace's"),
        pytest.param(
            [egress("prod/*", port=5432), egress("./*")],
            {"web.shop:80"},
            {"web.shop:80", "db.shop:5432", "pay.prod:80", "pay.prod:5432", "bank.prod:80", "ledger.deep:80"},
            id="a port of its own",
        ),
    ],
)  # fmt: skip
def test_what_is_told(listeners: list[Json], hosts: set[str], clusters: set[str]) -> None:
    world = World([*SERVICES, TO_LEDGER, sidecar({"egress": listeners})])
    assert world.problems() == []
    assert reached(world) == (hosts, clusters)


def listeners(world: World) -> set[str]:
    return set(messages(world.view(web(world)), "listeners"))


def test_there_are_listeners_for_what_is_told_only() -> None:
    world = World([*SERVICES, sidecar({"egress": [egress("./*")]})])
    assert listeners(world) == {
        "virtualOutbound",
        "virtualInbound",
        "0.0.0.0_80",
        "10.0.115.2_5432",
    }
    world.put(sidecar({"egress": [egress("prod/*", port=5432)]}))
    assert listeners(world) == {"virtualOutbound", "virtualInbound", "10.0.112.3_5432"}


@pytest.mark.parametrize(
    ("sidecars", "told"),
    [
        pytest.param([], {"web.shop", "pay.prod", "bank.prod", "ledger.deep"}, id="nobody's"),
        pytest.param([("istio-system", "mesh", {}, "./*")], {"web.shop"}, id="the mesh's, seen from here"),
        pytest.param(
            [("istio-system", "mesh", {}, "./*"), ("shop", "all", {}, "deep/*")],
            {"ledger.deep"},
            id="the namespace's before the mesh's",
        ),
        pytest.param(
            [("shop", "all", {}, "deep/*"), ("shop", "own", {"app": "web"}, "*/bank.prod.svc.cluster.local")],
            {"bank.prod"},
            id="the workload's before the namespace's",
        ),
        pytest.param(
            [("shop", "all", {}, "deep/*"), ("shop", "own", {"app": "other"}, "prod/*")],
            {"ledger.deep"},
            id="not another workload's",
        ),
        pytest.param([("prod", "all", {}, "deep/*")],
                     {"web.shop", "pay.prod", "bank.prod", "ledger.deep"}, id="not another namespace's"),
    ],
)  # fmt: skip
def test_the_narrowest_counts(sidecars: list[tuple[str, str, Json, str]], told: set[str]) -> None:
    world = World(SERVICES)
    for namespace, name, labels, host in sidecars:
        spec: Json = {"egress": [egress(host)]}
        if labels:
            spec["workloadSelector"] = {"labels": labels}
        world.put(sidecar(spec, namespace, name))
    assert {host.removesuffix(":80") for host in reached(world)[0]} == told


def test_a_second_for_the_same_workloads_has_no_effect_and_is_told_so() -> None:
    older, younger = egress("./*"), egress("prod/*")
    world = World([*SERVICES, sidecar({"egress": [younger]}, name="b", created="03"),
                   sidecar({"egress": [older]}, name="a")])  # fmt: skip
    assert reached(world)[0] == {"web.shop:80"}
    (problems,) = dangling(world.registry).values()
    assert "Sidecar shop/a is older" in problems[0].reason


@pytest.mark.parametrize(
    ("mesh", "mode", "last"),
    [
        (True, None, "allow_any"),
        (False, None, "block_all"),
        (True, "REGISTRY_ONLY", "block_all"),
        (False, "ALLOW_ANY", "allow_any"),
    ],
)
def test_what_becomes_of_other_hosts(mesh: bool, mode: str | None, last: str) -> None:
    spec: Json = {"egress": [egress("./*")]}
    if mode:
        spec["outboundTrafficPolicy"] = {"mode": mode}
    world = World([*SERVICES, sidecar(spec)], allow_any=mesh)
    view = world.view(web(world))
    (routes,) = messages(view, "routes").values()
    assert routes.virtual_hosts[-1].name == last
    rest = messages(view, "listeners")["virtualOutbound"].default_filter_chain.name
    assert rest == ("PassthroughFilterChain" if last == "allow_any" else "BlackHoleFilterChain")


def test_a_route_that_leads_elsewhere_brings_its_cluster_and_takes_it_away() -> None:
    world = World([*SERVICES, sidecar({"egress": [egress("prod/*")]})])
    assert "ledger.deep:80" not in reached(world)[1]
    world.put(TO_LEDGER)
    assert "ledger.deep:80" in reached(world)[1]
    world.remove(TO_LEDGER)
    assert "ledger.deep:80" not in reached(world)[1]


def test_rules_of_namespaces_that_are_not_told_do_not_count() -> None:
    elsewhere = istio("VirtualService", "other", "steal", {"hosts": ["bank.prod.svc.cluster.local"],
        "http": [{"route": [{"destination": {"host": "web.shop.svc.cluster.local"}}]}]})  # fmt: skip
    world = World([*SERVICES, elsewhere, sidecar({"egress": [egress("prod/*")]})])
    assert "web.shop:80" not in reached(world)[1]
    assert "web.shop:80" in reached(world, "deep")[1]


def test_equal_reaches_share_their_bytes() -> None:
    world = World([*SERVICES, sidecar({"egress": [egress("./*", "prod/*")]})])
    one = world.view(world.proxy("sidecar", "shop", "web", {"app": "web"}))
    two = world.view(world.proxy("sidecar", "shop", "db", {"app": "db"}))
    assert one is not two
    for kind in (names.CLUSTER, names.ROUTES):
        for name, resource in one.resources[kind].items():
            other = two.resources[kind].get(name)
            assert name.startswith("inbound") or name in names_of_own or other is resource, name


names_of_own = {names.PASSTHROUGH, names.INBOUND_PASSTHROUGH, names.BLACK_HOLE}


@pytest.mark.parametrize(
    ("endpoint", "to"),
    [
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("[::1]:8080", "::1:8080"),
        ("0.0.0.0:8080", "override 8080"),
        ("unix:///run/app.sock", "/run/app.sock"),
        (None, "override 0"),
    ],
)
def test_where_the_application_listens(endpoint: str | None, to: str) -> None:
    listener: Json = {"port": {"number": 9080, "protocol": "HTTP", "name": "http"}}
    if endpoint:
        listener["defaultEndpoint"] = endpoint
    world = World([*SERVICES, sidecar({"ingress": [listener]})])
    assert world.problems() == []
    view = world.view(web(world))
    inbound = {n: c for n, c in messages(view, "clusters").items() if n.startswith("inbound")}
    (cluster,) = inbound.values()
    assert cluster.name == "inbound|9080||"
    found = f"override {cluster.original_dst_lb_config.upstream_port_override.value}"
    for group in cluster.load_assignment.endpoints:
        address = group.lb_endpoints[0].endpoint.address
        socket = address.socket_address
        found = address.pipe.path or f"{socket.address}:{socket.port_value}"
    assert found == to
    chains = messages(view, "listeners")["virtualInbound"].filter_chains
    assert 9080 in {each.filter_chain_match.destination_port.value for each in chains}


def test_gateways_are_not_limited() -> None:
    world = World([*SERVICES, sidecar({"egress": [egress("~/*")]})])
    view = world.view(world.proxy("router", "shop", "gw", {"istio": "gw"}))
    assert sum(name.startswith("outbound") for name in view.resources[names.CLUSTER]) == 6


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"egress": [{"hosts": []}]}, "spec.egress[0].hosts: is empty"),
        ({"egress": [egress("reviews")]}, "is not namespace/host"),
        ({"egress": [egress("./*"), egress("prod/*", port=80)]}, "is unset before the last listener"),
        ({"egress": [egress("./*", port=80), egress("prod/*", port=80)]}, "80 is given twice"),
        ({"egress": [egress("./*") | {"captureMode": "NONE"}]}, "NONE is not acted upon"),
        ({"egress": [egress("./*", port=80) | {"bind": "127.0.0.1"}]}, "bind: is not acted upon"),
        ({"ingress": [{"port": {"number": 80, "protocol": "HTTP"}, "defaultEndpoint": "10.0.0.1:80"}]},
         "is not the application's"),
        ({"ingress": [{"port": {"number": 80, "protocol": "SMOKE"}}]}, "'SMOKE' is unknown"),
        ({"outboundTrafficPolicy": {"mode": "ALLOW_ANY", "egressProxy": {"host": "x"}}}, "egressProxy"),
        ({"inboundConnectionPool": {}}, "inboundConnectionPool"),
    ],
)  # fmt: skip
def test_what_is_refused_or_not_acted_upon_is_named(spec: Json, problem: str) -> None:
    world = World([*SERVICES, sidecar(spec)])
    assert problem in "; ".join(map(str, world.problems()))


def test_what_is_refused_leaves_the_last_good_one_in_force() -> None:
    world = World([*SERVICES, sidecar({"egress": [egress("./*")]})])
    world.put(sidecar({"egress": [egress("nonsense")]}))
    assert reached(world)[0] == {"web.shop:80"}
