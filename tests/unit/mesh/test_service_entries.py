"""ServiceEntries whose endpoints are pods, weighed, or known by the names in their certificates."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.model.peers import MutualTLS
from tests.meshworld import World, messages

Json = dict[str, Any]
CLUSTER = "outbound|80||db.example.com"


def entry(**spec: Any) -> Json:
    ports = [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}]
    given = {"hosts": ["db.example.com"], "ports": ports, "resolution": "STATIC", **spec}
    return {
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"namespace": "shop", "name": "db"}, "spec": given,
    }  # fmt: skip


def pod(name: str, address: str, *, well: bool = True, **labels: str) -> Json:
    """As the control plane keeps them."""
    return {
        "kind": "Pod", "metadata": {"namespace": "shop", "name": name, "labels": labels},
        "spec": {"serviceAccountName": "db"}, "well": well, "addresses": [address], "node": "",
    }  # fmt: skip


def addresses(world: World) -> dict[str, int]:
    """Weight by address and port."""
    view = world.view(world.proxy("sidecar", "shop", "web"))
    groups = messages(view, "endpoints")[CLUSTER].endpoints
    found = {}
    for each in (each for group in groups for each in group.lb_endpoints):
        where = each.endpoint.address.socket_address
        found[f"{where.address}:{where.port_value}"] = each.load_balancing_weight.value
    return found


def test_endpoints_are_the_pods_that_it_selects() -> None:
    world = World([
        entry(workloadSelector={"labels": {"app": "db"}}),
        pod("one", "10.0.0.1", app="db"), pod("other", "10.0.0.2", app="web"),
        pod("ill", "10.0.0.3", well=False, app="db"),
    ])  # fmt: skip
    assert world.problems() == []
    assert addresses(world) == {"10.0.0.1:8080": 1}
    world.put(pod("ill", "10.0.0.3", app="db"))
    assert addresses(world) == {"10.0.0.1:8080": 1, "10.0.0.3:8080": 1}
    world.put(pod("one", "10.0.0.1", well=False, app="db"))
    assert addresses(world) == {"10.0.0.3:8080": 1}


def test_a_selected_pods_proxy_serves_its_port() -> None:
    world = World([entry(workloadSelector={"labels": {"app": "db"}}, location="MESH_INTERNAL")])
    world.feed.flush()
    view = world.view(world.proxy("sidecar", "shop", "db", {"app": "db"}))
    assert "inbound|8080||" in messages(view, "clusters")


def test_endpoints_have_weights() -> None:
    world = World(
        [entry(endpoints=[{"address": "10.0.0.1", "weight": 7}, {"address": "10.0.0.2"}])]
    )
    assert addresses(world) == {"10.0.0.1:8080": 7, "10.0.0.2:8080": 1}


@pytest.mark.parametrize("mode", ["SIMPLE", "ISTIO_MUTUAL"])
def test_certificates_carry_one_of_its_names(mode: str) -> None:
    names = ["spiffe://partner/ns/a/sa/b"]
    rule = {
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"namespace": "shop", "name": "db"},
        "spec": {"host": "db.example.com", "trafficPolicy": {"tls": {"mode": mode}}},
    }  # fmt: skip
    objects = [entry(subjectAltNames=names, endpoints=[{"address": "10.0.0.1"}]), rule]
    world = World(objects, mutual_tls=MutualTLS.AUTO)
    view = world.view(world.proxy("sidecar", "shop", "web"))
    assert names[0] in str(messages(view, "clusters")[CLUSTER].transport_socket)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"workloadSelector": {"labels": {}}}, "spec.workloadSelector.labels"),
        (
            {"workloadSelector": {"labels": {"a": "b"}}, "resolution": "DNS"},
            "spec.workloadSelector",
        ),
        ({"endpoints": [{"address": "10.0.0.1", "network": "n"}]}, "spec.endpoints[0].network"),
    ],
    ids=["no labels", "not STATIC", "another network"],
)
def test_what_is_not_acted_upon_is_said(spec: Json, field: str) -> None:
    (problem,) = World([entry(**spec)]).problems()
    assert problem.field == field
