"""Whose fault a refused resource may be, by what changed and by what it is called."""

from __future__ import annotations

import pytest

from rollout.mesh.culprits import culprits
from rollout.mesh.model.problem import Ref
from rollout.mesh.translate import names
from tests.meshworld import World

ISTIO = "networking.istio.io/v1"
HOST = "web.shop.svc.cluster.local"
RULE, OTHER_RULE = Ref("DestinationRule", "shop", "web"), Ref("DestinationRule", "shop", "db")
TABLE, OTHER_TABLE = Ref("VirtualService", "shop", "web"), Ref("VirtualService", "shop", "db")
EDGE = Ref("Gateway", "shop", "edge")
HTTP_ROUTE = Ref("HTTPRoute", "shop", "web")
INGRESS = Ref("Ingress", "shop", "web")
EVERYTHING = {RULE, OTHER_RULE, TABLE, OTHER_TABLE, EDGE, HTTP_ROUTE}

CASES: dict[str, tuple[str, str, set[Ref], set[Ref]]] = {
    "the rule of a cluster": (names.CLUSTER, f"outbound|80||{HOST}", EVERYTHING, {RULE}),
    "by the name that is asked for": (names.CLUSTER, f"outbound_.80_.v1_.{HOST}", set(), {RULE}),
    "of endpoints, by a proxy that came": (names.ENDPOINTS, f"outbound|80|v1|{HOST}", set(), {RULE}),
    "a virtual host's table": (names.VIRTUAL_HOST, f"80/{HOST}", {TABLE, OTHER_TABLE}, {TABLE}),
    "by a proxy that came": (names.VIRTUAL_HOST, f"80/{HOST}", set(), {RULE, TABLE, HTTP_ROUTE}),
    "a route of Gateway API": (names.VIRTUAL_HOST, f"80/{HOST}", {HTTP_ROUTE, EDGE}, {HTTP_ROUTE}),
    "routes of many": (names.ROUTES, "http.8080", {TABLE, EDGE, OTHER_RULE}, {TABLE, EDGE, OTHER_RULE}),
    "routes of many, by a proxy that came": (names.ROUTES, "http.8080", set(), set()),
    "nobody of a kind that makes such": (names.SECRET, "kubernetes://a", {TABLE}, set()),
    "an Ingress": (names.ROUTES, "http.8080", {INGRESS}, {INGRESS}),
    "a listener": (names.LISTENER, "0.0.0.0_80", {EDGE, HTTP_ROUTE}, {EDGE}),
}  # fmt: skip


def obj(kind: str, name: str, **spec: object) -> dict[str, object]:
    metadata = {"namespace": "shop", "name": name}
    return {"apiVersion": ISTIO, "kind": kind, "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("case", CASES)
def test_culprits(case: str) -> None:
    type_url, name, suspects, wanted = CASES[case]
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "web"}]},
    }  # fmt: skip
    world = World([
        {"kind": "Service", "metadata": {"namespace": "shop", "name": "web"}, "spec": {"ports": [{"port": 80}]}},
        obj("DestinationRule", "web", host="web"), obj("DestinationRule", "db", host="db"),
        obj("VirtualService", "web", hosts=["web"], http=[{"route": [{"destination": {"host": "web"}}]}]),
        obj("VirtualService", "db", hosts=["db"], http=[{"route": [{"destination": {"host": "db"}}]}]),
        route,
    ])  # fmt: skip
    world.feed.flush()
    found = culprits(type_url, name, suspects, world.registry, world.feed.gateway_api.routes_to)
    assert found == wanted
