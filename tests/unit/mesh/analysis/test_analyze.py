"""Each message once, on the smallest world that deserves it, and none on one that is well."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from rollout.mesh.analysis.analyze import analyze
from rollout.mesh.analysis.finding import Code

Json = dict[str, Any]
HOST = "catalog.shop.svc.cluster.local"


def obj(kind: str, name: str, namespace: str = "shop", /, **more: Any) -> Json:
    group = {"Service": "v1", "Pod": "v1", "Namespace": "v1"}
    metadata = {"name": name, "namespace": namespace, **more.pop("metadata", {})}
    return {
        "apiVersion": group.get(kind, "networking.istio.io/v1"),
        "kind": kind,
        "metadata": metadata,
        **more,
    }


def namespace(name: str, **labels: str) -> Json:
    return obj("Namespace", name, "", metadata={"labels": labels})


def pod(name: str, namespace: str = "shop", *, proxy: bool = True, **labels: str) -> Json:
    containers = [{"name": "app"}, *([{"name": "istio-proxy"}] if proxy else [])]
    return obj("Pod", name, namespace, metadata={"labels": labels}, spec={"containers": containers})


def service(name: str, port: str = "http", number: int = 80, **selector: str) -> Json:
    ports = [{"name": port, "port": number, "protocol": "TCP"}]
    return obj("Service", name, spec={"ports": ports, "selector": selector})


def routes(name: str, *rules: Json, **more: Any) -> Json:
    spec = {"hosts": ["catalog"], "http": list(rules), **more}
    return obj("VirtualService", name, spec=spec)


def to(host: str = "catalog", subset: str = "") -> Json:
    destination = {"host": host, **({"subset": subset} if subset else {})}
    return {"route": [{"destination": destination}]}


def edge(host: str, number: int = 80) -> Json:
    server = {
        "port": {"number": number, "name": "http", "protocol": "HTTP"},
        "hosts": [host],
    }
    return obj("Gateway", "edge", spec={"selector": {"istio": "edge"}, "servers": [server]})


WELL: tuple[Json, ...] = (
    namespace("shop", **{"istio-injection": "enabled"}),
    namespace("kube-system"),
    pod("dns", "kube-system", proxy=False),
    pod("catalog-1", app="catalog"),
    pod("edge-1", istio="edge"),
    service("catalog", app="catalog"),
    service("edge", istio="edge"),
    edge("*.example.com"),
    routes("catalog", {"match": [{"uri": {"prefix": "/a"}}], **to()}, to()),
    obj("VirtualService", "outside", spec={
        "hosts": ["shop.example.com"], "gateways": ["edge"], "http": [to()],
    }),
    obj("DestinationRule", "catalog", spec={"host": "catalog", "subsets": [{"name": "v1"}]}),
    {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "passed-over"}},
)  # fmt: skip


def codes(*objects: Json) -> list[tuple[Code, str, str]]:
    found = {
        (o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in WELL
    }
    for each in objects:
        key = (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"])
        found[key] = each
    return [
        (each.code, str(each.ref), each.field)
        for each in analyze(copy.deepcopy(list(found.values())), "rollout-system")
    ]


def test_nothing_is_found_where_all_is_well() -> None:
    assert codes() == []


@pytest.mark.parametrize(
    ("broken", "code", "ref", "field"),
    [
        (routes("catalog", to(subset="v9")), Code.MISSING_REFERENCE,
         "VirtualService shop/catalog", "spec.http[0].route[0].destination.subset"),
        (routes("catalog", to("nowhere")), Code.MISSING_REFERENCE,
         "VirtualService shop/catalog", "spec.http[0].route[0].destination.host"),
        (obj("DestinationRule", "other", spec={"host": "nowhere"}), Code.MISSING_REFERENCE,
         "DestinationRule shop/other", "spec.host"),
        (routes("catalog", {"timeout": "soon", **to()}), Code.INVALID,
         "VirtualService shop/catalog", "spec.http[0].timeout"),
        (routes("zatalog", to()), Code.CONFLICTING_HOSTS,
         "VirtualService shop/zatalog", "spec.hosts[0]"),
        (pod("late", proxy=False), Code.NO_PROXY, "Pod shop/late", ""),
        (namespace("shop"), Code.NOT_INJECTED, "Namespace /shop", ""),
        (service("catalog", "web", app="catalog"), Code.PORT_NAME,
         "Service shop/catalog", "spec.ports[web]"),
        (edge("*.example.com", 81), Code.GATEWAY_PORT,
         "Gateway shop/edge", "spec.servers[0].port.number"),
        (edge("*.example.org"), Code.HOST_NOT_IN_GATEWAY,
         "VirtualService shop/outside", "spec.hosts[0]"),
        (routes("catalog", to(), {"match": [{"uri": {"prefix": "/a"}}], **to()}),
         Code.UNREACHABLE_RULE, "VirtualService shop/catalog", "spec.http[1]"),
    ],
)  # fmt: skip
def test_each_message(broken: Json, code: Code, ref: str, field: str) -> None:
    assert (code, ref, field) in codes(broken)
    assert {found for found, _, _ in codes(broken)} == {code}


def test_pods_that_are_done_or_do_not_want_one_need_no_proxy() -> None:
    done = {**pod("job", proxy=False), "status": {"phase": "Succeeded"}}
    refuses = pod("plain", proxy=False, **{"sidecar.istio.io/inject": "false"})
    assert codes(done, refuses) == []


def test_the_worst_is_said_first() -> None:
    found = codes(service("catalog", "web", app="catalog"), routes("catalog", to("nowhere")))
    assert [code for code, _, _ in found] == [Code.MISSING_REFERENCE, Code.PORT_NAME]
