"""Kubernetes Ingresses: whose they are, what the ingress gateway serves of them, and what is said of the rest."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.ingest.ingresses import wanted
from rollout.mesh.ingresskeeper import addresses
from tests.certificates import Authority, secret_data
from tests.meshworld import World, messages

Json = dict[str, Any]
GATEWAY: Json = {
    "kind": "Service", "metadata": {"namespace": "edge", "name": "istio-ingressgateway"},
    "spec": {"selector": {"istio": "ingressgateway"}, "ports": [
        {"name": "http2", "port": 80, "targetPort": 8080}, {"name": "https", "port": 443, "targetPort": 8443}]},
}  # fmt: skip


def service(name: str, *ports: tuple[str, int]) -> Json:
    given = [{"name": port, "port": number} for port, number in ports or (("http", 80),)]
    return {
        "kind": "Service",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"ports": given},
    }


def path(text: str, backend: str, kind: str = "Prefix", port: int | str = 80) -> Json:
    named = {"number": port} if isinstance(port, int) else {"name": port}
    return {
        "path": text,
        "pathType": kind,
        "backend": {"service": {"name": backend, "port": named}},
    }


def ingress(name: str, *rules: tuple[str, list[Json]], day: int = 1, **spec: Any) -> Json:
    written = [
        {**({"host": host} if host else {}), "http": {"paths": paths}} for host, paths in rules
    ]
    created = f"2026-01-{day:02}T00:00:00Z"
    return {
        "kind": "Ingress",
        "metadata": {"namespace": "shop", "name": name, "creationTimestamp": created},
        "spec": {"ingressClassName": "istio", "rules": written, **spec},
    }


def routes(world: World, name: str = "http.8080") -> dict[str, list[tuple[str, str]]]:
    """(path, cluster) pairs by domain."""
    view = world.view(world.proxy("router", "edge", "gw", {"istio": "ingressgateway"}))
    found = {}
    for host in messages(view, "routes")[name].virtual_hosts:
        pairs = []
        for route in host.routes:
            kind = route.match.WhichOneof("path_specifier")
            pairs.append((f"{kind} {getattr(route.match, kind)}", route.route.cluster))
        found[host.domains[0]] = pairs
    return found


def cluster(name: str, port: int = 80) -> str:
    return f"outbound|{port}||{name}.shop.svc.cluster.local"


@pytest.mark.parametrize(
    ("spec", "annotations", "classes", "ours"),
    [
        ({"ingressClassName": "istio"}, {}, {}, True),
        ({"ingressClassName": "rollout"}, {}, {}, True),
        ({"ingressClassName": "nginx"}, {}, {}, False),
        ({"ingressClassName": "edge"}, {}, {"edge": "istio.io/ingress-controller"}, True),
        ({"ingressClassName": "istio"}, {}, {"istio": "somebody.else/controller"}, False),
        ({}, {"kubernetes.io/ingress.class": "istio"}, {}, True),
        ({}, {}, {}, False),
    ],
    ids=["istio", "rollout", "another", "by its controller", "another's", "by annotation", "none"],
)
def test_classes(spec: Json, annotations: Json, classes: dict[str, str], ours: bool) -> None:
    obj = {"metadata": {"namespace": "a", "name": "b", "annotations": annotations}, "spec": spec}
    assert wanted(obj, classes) is ours


def test_the_most_specific_path_wins_whoever_has_it() -> None:
    world = World([
        GATEWAY, service("one"), service("two"), service("three"), service("four"),
        ingress("first", ("a.example.com", [path("/", "one"), path("/items", "two")])),
        ingress("second", ("a.example.com", [path("/items/1", "three", "Exact"), path("/items/old", "four")]), day=2),
        ingress("third", ("a.example.com", [path("/items", "four")]), day=3),
    ])  # fmt: skip
    assert routes(world) == {"a.example.com": [
        ("path /items/1", cluster("three")),
        ("path_separated_prefix /items/old", cluster("four")),
        ("path_separated_prefix /items", cluster("two")),
        ("path_separated_prefix /items", cluster("four")),
        ("prefix /", cluster("one")),
    ]}  # fmt: skip


def test_implementation_specific_paths_are_istios() -> None:
    kinds = ("/exact", "/below/*", "/begins.*", "/")
    paths = [path(text, "one", "ImplementationSpecific") for text in kinds]
    world = World([GATEWAY, service("one"), ingress("first", ("", paths))])
    assert [each for each, _ in routes(world)["*"]] == [
        "path /exact", "prefix /begins", "path_separated_prefix /below", "prefix /"
    ]  # fmt: skip


def test_the_default_is_for_all_that_nobody_else_has() -> None:
    default = {"service": {"name": "two", "port": {"name": "admin"}}}
    world = World([
        GATEWAY, service("one"), service("two", ("http", 80), ("admin", 9090)),
        ingress("first", ("a.example.com", [path("/items", "one")]), defaultBackend=default),
    ])  # fmt: skip
    assert routes(world) == {
        "*": [("prefix /", cluster("two", 9090))],
        "a.example.com": [
            ("path_separated_prefix /items", cluster("one")),
            ("prefix /", cluster("two", 9090)),
        ],
    }
    world.put(service("two", ("http", 80), ("admin", 9191)))
    assert routes(world)["*"] == [("prefix /", cluster("two", 9191))]


def test_tls_by_a_secret_of_the_gateways_namespace() -> None:
    certificate, key = Authority().issue("a.example.com")
    secret = {"kind": "Secret", "metadata": {"namespace": "edge", "name": "a-tls"},
              "data": secret_data(tls_crt=certificate, tls_key=key)}  # fmt: skip
    tls = [
        {"hosts": ["a.example.com"], "secretName": "a-tls"},
        {"hosts": ["b.example.com"], "secretName": "nosuch"},
    ]
    world = World([GATEWAY, secret, service("one"),
                   ingress("first", ("a.example.com", [path("/", "one")]), tls=tls)])  # fmt: skip
    view = world.view(world.proxy("router", "edge", "gw", {"istio": "ingressgateway"}))
    (chain,) = messages(view, "listeners")["0.0.0.0_8443"].filter_chains
    assert list(chain.filter_chain_match.server_names) == ["a.example.com"]
    assert list(messages(view, "secrets")) == ["kubernetes://a-tls"]
    assert routes(world, "https.443.https-0.first.shop") == {
        "a.example.com": [("prefix /", cluster("one"))]
    }
    assert routes(world) == {"a.example.com": [("prefix /", cluster("one"))]}
    (problem,) = view.problems
    assert problem.field == "spec.tls[1].tls.credentialName"
    assert "Secret edge/nosuch does not exist" in problem.reason


def test_what_cannot_be_served_is_said() -> None:
    bucket = {
        "path": "/b",
        "pathType": "Prefix",
        "backend": {"resource": {"kind": "Bucket", "name": "b"}},
    }
    world = World([
        GATEWAY, service("one"),
        ingress("first", ("", [path("/a", "nosuch"), path("/c", "one", port=81), bucket]), tls=[{}]),
    ])  # fmt: skip
    world.feed.flush()
    (problems,) = world.feed.conflicts().values()
    assert {each.field: each.reason for each in problems} == {
        "spec.rules[0].http.paths[0].backend.service.name":
            "no service nosuch: requests are answered with 503",
        "spec.rules[0].http.paths[1].backend.service.port":
            "one.shop.svc.cluster.local has no port 81: requests are answered with 503",
        "spec.rules[0].http.paths[2].backend.resource":
            "is no Service: requests for it are answered with 404",
        "spec.tls[0].secretName": "is missing: its hosts are not served on port 443",
    }  # fmt: skip


def test_what_goes_is_gone() -> None:
    first = ingress("first", ("a.example.com", [path("/", "one")]))
    world = World([GATEWAY, service("one"), first])
    assert list(routes(world)) == ["a.example.com"]
    world.feed.ingresses.put_class("istio", {"spec": {"controller": "somebody.else/controller"}})
    view = world.view(world.proxy("router", "edge", "gw", {"istio": "ingressgateway"}))
    assert messages(view, "listeners") == {}
    world.feed.ingresses.put_class("istio", None)
    assert list(routes(world)) == ["a.example.com"]
    world.feed.ingresses.put("shop", "first", None)
    world.feed.flush()
    assert not world.registry.tables
    assert not world.registry.gateways


@pytest.mark.parametrize(
    ("service", "found"),
    [
        (None, []),
        ({"spec": {"clusterIPs": ["10.96.0.7"]}}, [{"ip": "10.96.0.7"}]),
        ({"spec": {"clusterIPs": ["None"]}}, []),
        ({"spec": {"clusterIPs": ["10.96.0.7"], "externalIPs": ["192.0.2.1"]}}, [{"ip": "192.0.2.1"}]),
        ({"spec": {}, "status": {"loadBalancer": {"ingress": [{"hostname": "lb.example.com", "ports": []}]}}},
         [{"hostname": "lb.example.com"}]),
    ],
    ids=["no gateway", "within the cluster", "headless", "external", "load balancer"],
)  # fmt: skip
def test_addresses(service: Json | None, found: list[Json]) -> None:
    assert addresses(service) == found
