"""Who a proxy is."""

from __future__ import annotations

import pytest

from rollout.mesh.ingest.proxies import pod_key, proxy
from rollout.mesh.model.proxy import ProxyType
from tests.meshworld import World

NODE = {
    "id": "sidecar~10.0.0.1~web-h1-x.shop~shop.svc.cluster.local",
    "metadata": {
        "NAMESPACE": "shop",
        "NAME": "web-h1-x",
        "LABELS": {"app": "web"},
        "WORKLOAD_NAME": "web",
    },
}
SERVICE = {
    "kind": "Service",
    "metadata": {"namespace": "shop", "name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "web"},
                                                   {"name": "grpc", "port": 81, "targetPort": 9000}]},
}  # fmt: skip


@pytest.mark.parametrize("node_id", ["", "x", "sidecar~1~a", "ztunnel~1~a.b~c", "a~b~c~d"])
def test_a_node_that_does_not_say_who_it_is(node_id: str) -> None:
    with pytest.raises(ValueError, match="node id"):
        pod_key({"id": node_id})


def test_named_target_ports_are_the_pods() -> None:
    world = World([SERVICE])
    ports = [{"name": "web", "containerPort": 8080}]
    pod = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"ports": ports}]}}
    found = proxy(NODE, pod, world.registry)
    assert [(each.port, each.service_port) for each in found.inbound] == [(8080, 80), (9000, 81)]
    assert found.type is ProxyType.SIDECAR


def test_pods_of_a_workload_are_equal() -> None:
    world = World([SERVICE])
    other = NODE | {"id": "sidecar~10.0.0.2~web-h1-y.shop~shop.svc.cluster.local"}
    assert proxy(NODE, None, world.registry) == proxy(other, None, world.registry)


def test_the_pods_own_labels_count_where_they_are_known() -> None:
    world = World([SERVICE])
    pod = {"metadata": {"labels": {"app": "elsewhere"}}, "spec": {}}
    assert proxy(NODE, pod, world.registry).inbound == ()
