"""Which hosts and ports a gateway's proxies serve."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.model.hosts import narrower
from tests.certificates import Authority, secret_data
from tests.meshworld import World, messages

Json = dict[str, Any]
AUTHORITY = Authority()


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        ("a.example.com", "a.example.com", "a.example.com"),
        ("a.example.com", "*", "a.example.com"),
        ("*", "a.example.com", "a.example.com"),
        ("*.example.com", "a.example.com", "a.example.com"),
        ("*.b.example.com", "*.example.com", "*.b.example.com"),
        ("example.com", "*.example.com", ""),
        ("a.example.com", "b.example.com", ""),
        ("*.example.com", "*.example.org", ""),
        ("*", "*", "*"),
    ],
)
def test_narrower(first: str, second: str, common: str) -> None:
    assert narrower(first, second) == common
    assert narrower(second, first) == common


@pytest.mark.parametrize(
    ("service_port", "target", "number", "listeners"),
    [
        (80, 8080, 80, ["0.0.0.0_8080"]),
        (80, 8080, 81, []),
        (80, 8080, 8443, ["0.0.0.0_8443"]),
        (15021, 15021, 15021, []),
    ],
    ids=["by the Service", "nobody may have it", "its own port", "the agent's"],
)
def test_ports(service_port: int, target: int, number: int, listeners: list[str]) -> None:
    world = World([
        {"kind": "Service", "metadata": {"namespace": "edge", "name": "gw"},
         "spec": {"selector": {"istio": "gw"}, "ports": [{"name": "http", "port": service_port, "targetPort": target}]}},
        {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"namespace": "shop", "name": "g"},
         "spec": {"selector": {"istio": "gw"}, "servers": [
             {"port": {"number": number, "name": "h", "protocol": "HTTP"}, "hosts": ["*"]}]}},
    ])  # fmt: skip
    view = world.view(world.proxy("router", "edge", "gw", {"istio": "gw"}))
    assert list(messages(view, "listeners")) == listeners


def test_sidecars_leave_the_agents_ports_alone() -> None:
    ports = [{"name": f"http-{n}", "port": n} for n in (15001, 15006, 15020, 15021, 15090, 8000)]
    world = World(
        [{"kind": "Service", "metadata": {"namespace": "a", "name": "b"}, "spec": {"ports": ports}}]
    )
    view = world.view(world.proxy("sidecar", "a", "web"))
    assert list(messages(view, "listeners")) == [
        "0.0.0.0_8000",
        "virtualInbound",
        "virtualOutbound",
    ]


def gateway(name: str, *servers: Json, created: str = "2026-01-02T00:00:00Z") -> Json:
    return {
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"namespace": "shop", "name": name, "creationTimestamp": created},
        "spec": {"selector": {"istio": "gw"}, "servers": list(servers)},
    }  # fmt: skip


def server(protocol: str, *hosts: str, **tls: object) -> Json:
    found: Json = {
        "port": {"number": 9000, "name": "p", "protocol": protocol},
        "hosts": list(hosts) or ["*"],
    }
    return found | ({"tls": tls} if tls else {})


SIMPLE: Any = {"mode": "SIMPLE", "credentialName": "key"}
PAIR = AUTHORITY.issue("a.example.com")
KEY = {"kind": "Secret", "metadata": {"namespace": "edge", "name": "key"},
       "data": secret_data(tls_crt=PAIR[0], tls_key=PAIR[1])}  # fmt: skip
YOUNGER = "2026-01-03T00:00:00Z"


@pytest.mark.parametrize(
    ("objects", "field", "reason"),
    [
        ([gateway("a", server("HTTP")), gateway("b", server("TCP"), created=YOUNGER)],
         "spec.servers[0].port.protocol", "port 9000 speaks HTTP for Gateway shop/a"),
        ([gateway("a", server("TCP")), gateway("b", server("TCP"), created=YOUNGER)],
         "spec.servers[0].port.number", "TCP has no hosts"),
        ([KEY, gateway("a", server("HTTPS", "a.b", **SIMPLE)), gateway("b", server("HTTPS", "a.b", **SIMPLE), created=YOUNGER)],
         "spec.servers[0].hosts", "a.b is taken on port 9000 by Gateway shop/a, which is older"),
        ([KEY, gateway("a", server("HTTPS", "a.b", **SIMPLE), server("HTTPS", "a.b", "c.d", **SIMPLE))],
         "spec.servers[1].hosts", "a.b is taken on port 9000 by an earlier rule"),
        ([KEY, gateway("a", server("HTTPS", mode="SIMPLE", credentialName="nosuch"))],
         "spec.servers[0].tls.credentialName", "Secret edge/nosuch does not exist"),
        ([KEY, gateway("a", server("HTTPS", mode="MUTUAL", credentialName="key"))],
         "spec.servers[0].tls.credentialName", "Secret edge/key has no ca.crt, nor is there key-cacert"),
        ([gateway("a", server("HTTPS", **SIMPLE))],
         "spec.servers[0].tls.credentialName", "Secrets of namespace edge are not read"),
    ],
    ids=["protocols", "two of TCP", "hosts of two", "hosts of one", "no Secret", "no authorities", "not read"],
)  # fmt: skip
def test_what_cannot_be_served_is_said(objects: list[Json], field: str, reason: str) -> None:
    world = World(objects)
    view = world.view(world.proxy("router", "edge", "gw", {"istio": "gw"}))
    (problem,) = view.problems
    assert problem.field == field
    assert reason in problem.reason
    chains = [
        chain for found in messages(view, "listeners").values() for chain in found.filter_chains
    ]
    matches = [str(chain.filter_chain_match) for chain in chains]
    assert len(matches) == len(set(matches)), "Envoy refuses a listener with two equal matches"


def test_keys_go_to_gateways_of_their_namespace_that_name_them() -> None:
    world = World([KEY, gateway("a", server("HTTPS", **SIMPLE))])
    given = [
        list(messages(world.view(world.proxy(kind, namespace, "gw", labels)), "secrets"))
        for kind, namespace, labels in (
            ("router", "edge", {"istio": "gw"}),
            ("router", "edge", {"istio": "other"}),
            ("router", "elsewhere", {"istio": "gw"}),
            ("sidecar", "edge", {"istio": "gw"}),
        )
    ]
    assert given == [["kubernetes://key"], [], [], []]


def test_a_key_that_is_gone_or_broken_stays_in_use() -> None:
    world = World([KEY, gateway("a", server("HTTPS", **SIMPLE))])
    who = world.proxy("router", "edge", "gw", {"istio": "gw"})
    before = messages(world.view(who), "secrets")
    for data in (None, {"tls.crt": "eA==", "tls.key": "eA=="}):
        world.feed.secret("edge", "key", {"data": data} if data else None)
        view = world.view(who)
        assert messages(view, "secrets") == before
        (problem,) = view.problems
        assert "its last good contents stay in use" in problem.reason


def test_keys_of_rules_go_to_gateways_alone() -> None:
    tls = {"mode": "MUTUAL", "credentialName": "key"}
    rule = {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
            "metadata": {"namespace": "edge", "name": "r"},
            "spec": {"host": "web", "trafficPolicy": {"tls": tls}}}  # fmt: skip
    service = {"kind": "Service", "metadata": {"namespace": "edge", "name": "web"},
               "spec": {"ports": [{"name": "http", "port": 80}]}}  # fmt: skip
    world = World([service, rule])
    edge, sidecar = world.proxy("router", "edge", "gw"), world.proxy("sidecar", "edge", "gw")
    (problem,) = world.view(edge).problems
    assert "Secrets of namespace edge are not read" in problem.reason
    world.put({**KEY, "data": secret_data(tls_crt=PAIR[0], tls_key=PAIR[1], ca_crt=PAIR[0])})
    assert set(messages(world.view(edge), "secrets")) == {
        "kubernetes://key",
        "kubernetes://key-cacert",
    }
    assert world.view(edge).problems == ()
    assert messages(world.view(sidecar), "secrets") == {}
    name = "outbound|80||web.edge.svc.cluster.local"
    assert "kubernetes://key" in str(messages(world.view(edge), "clusters")[name])
    assert "kubernetes://" not in str(messages(world.view(sidecar), "clusters")[name])
