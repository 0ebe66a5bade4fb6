"""ServiceEntries whose endpoints are pods, weighed, or known by the names in their certificates."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.model.peers import MutualTLS
from rollout.mesh.model.problem import Ref
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


def machine(name: str = "vm", **spec: Any) -> Json:
    given = {"address": "192.0.2.1", "labels": {"app": "db"}, **spec}
    return {
        "apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
        "metadata": {"namespace": "shop", "name": name}, "spec": given,
    }  # fmt: skip


SELECTING = entry(workloadSelector={"labels": {"app": "db"}}, location="MESH_INTERNAL")


def test_workload_entries_come_and_go_beside_pods() -> None:
    world = World([SELECTING, pod("one", "10.0.0.1", app="db"), machine()])
    assert addresses(world) == {"10.0.0.1:8080": 1, "192.0.2.1:8080": 1}
    world.put(machine(ports={"http": 81}, weight=4))
    assert addresses(world) == {"10.0.0.1:8080": 1, "192.0.2.1:81": 4}
    world.put(machine(labels={"app": "other"}))
    assert addresses(world) == {"10.0.0.1:8080": 1}
    world.put(machine())
    world.remove(machine())
    assert addresses(world) == {"10.0.0.1:8080": 1}
    assert world.problems() == []


def test_a_service_selects_workload_entries_too() -> None:
    spec = {"selector": {"app": "db"}, "ports": [{"name": "http", "port": 80, "targetPort": "web"}]}
    world = World(
        [
            machine(), machine("named", address="192.0.2.2", ports={"web": 81}),
            {"kind": "Service", "metadata": {"namespace": "shop", "name": "db"}, "spec": spec},
        ]
    )  # fmt: skip

    def ready() -> list[str]:
        world.feed.flush()
        known = world.registry.endpoints.get("db.shop.svc.cluster.local", {})
        return [f"{each.address}:{each.port}" for each in known.get(80, ())]

    assert ready() == ["192.0.2.2:81"], "a port's name is resolved by the entry alone"
    world.put(machine(ports={"http": 8080}))
    assert ready() == ["192.0.2.1:8080", "192.0.2.2:81"]
    world.remove(machine("named"))
    assert ready() == ["192.0.2.1:8080"]


UNUSABLE: dict[str, tuple[Json, str]] = {
    "a name": ({"address": "vm.example.com"}, "spec.address"),
    "a socket": ({"address": "unix:///run/vm"}, "spec.address"),
    "a network": ({"network": "away"}, "spec.network"),
    "something new": ({"shoeSize": 44}, "spec.shoeSize"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_of_a_workload_entry_is_not_acted_upon_is_said(case: str) -> None:
    spec, field = UNUSABLE[case]
    (problem,) = World([SELECTING, machine(**spec)]).problems()
    assert (problem.ref.kind, problem.field) == ("WorkloadEntry", field)


def test_a_workload_that_nothing_leads_to_is_said() -> None:
    world = World([machine()])
    (problem,) = world.feed.conflicts()[Ref("WorkloadEntry", "shop", "vm")]
    assert (problem.field, "selects it" in problem.reason) == ("spec.labels", True)
    world.put(SELECTING)
    world.feed.flush()
    assert world.feed.conflicts() == {}


@pytest.mark.parametrize("selected", [True, False], ids=["selected", "the entry's own"])
def test_an_endpoint_with_an_account_takes_mutual_tls_unless_a_policy_says_otherwise(
    selected: bool,
) -> None:
    written = {"address": "192.0.2.1", "serviceAccount": "db"}
    objects = [SELECTING, machine(**written)]
    if not selected:
        objects = [entry(endpoints=[written], location="MESH_INTERNAL")]
    world = World(objects, mutual_tls=MutualTLS.AUTO)

    def identities() -> set[str]:
        world.feed.flush()
        return {each.identity for each in world.registry.endpoints["db.example.com"][80]}

    assert identities() == {"spiffe://cluster.local/ns/shop/sa/db"}
    policy = {
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": {"namespace": "shop", "name": "default"}, "spec": {"mtls": {"mode": "DISABLE"}},
    }  # fmt: skip
    world.put(policy)
    assert identities() == {""}
    world.remove(policy)
    assert identities() == {"spiffe://cluster.local/ns/shop/sa/db"}


def test_an_account_outside_of_the_mesh_is_said_to_have_no_effect() -> None:
    endpoint = {"address": "192.0.2.1", "serviceAccount": "db"}
    (problem,) = World([entry(endpoints=[endpoint])]).problems()
    assert problem.field == "spec.endpoints[0].serviceAccount"
