"""Each kind of target lives through what a Deployment does, by its own means."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rollout.api.kinds import CANARY, DAEMON_SET, DEPLOYMENT, SERVICE, STATEFUL_SET
from rollout.delivery.targets.daemonset import SCALED_TO_ZERO
from rollout.judge.checks import Value
from rollout.kube.objects import Object
from tests.unit.delivery.world import (
    KEY,
    World,
    canary,
    initialized,
    merged,
    shown,
    target,
    target_ref,
)

WORKLOADS = ("Deployment", "DaemonSet", "StatefulSet")


async def begun(kind: str, change: Object | None = None, **spec: Any) -> World:
    made = merged(target(kind), change or {})
    return await initialized(made, canary(targetRef=target_ref(kind), **spec))


@pytest.mark.parametrize("kind", [*WORKLOADS, "Service"])
async def test_a_good_revision_is_promoted(kind: str) -> None:
    world = await begun(kind)
    assert world.image("catalog-primary") == "catalog:1"
    world.new_image("catalog:2")
    await world.settle()
    assert world.phase == "Progressing"
    assert world.image("catalog-primary") == "catalog:1"
    await world.tick(9)
    assert list(shown(world))[-3:] == ["Promoting 0", "Finalising 0", "Succeeded 0"]
    assert world.shares[1:] == [(100 - w, w) for w in (10, 20, 30, 40, 50, 0)]
    assert world.image("catalog-primary") == "catalog:2"
    promoted = world.condition("Promoted")
    assert promoted is not None
    assert promoted["status"] == "True"


@pytest.mark.parametrize("kind", [*WORKLOADS, "Service"])
async def test_a_bad_revision_is_rolled_back(kind: str) -> None:
    world = await begun(kind)
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    world.success_rate = Value(12)
    await world.tick(6)
    assert world.phase == "Failed"
    assert world.image("catalog-primary") == "catalog:1"
    assert world.served == (100, 0)
    promoted = world.condition("Promoted")
    assert promoted is not None
    assert promoted["message"] == f"Canary analysis failed, {kind} scaled to zero."


@pytest.mark.parametrize("kind", WORKLOADS)
async def test_the_target_has_pods_only_while_it_is_analysed(kind: str) -> None:
    world = await begun(kind)
    assert (world.replicas(), world.replicas("catalog-primary") > 0) == (0, True)
    world.new_image("catalog:2")
    await world.settle()
    assert world.replicas() > 0
    await world.tick(9)
    assert (world.replicas(), world.phase) == (0, "Succeeded")


async def test_a_daemon_set_keeps_its_own_node_selector() -> None:
    own = {"spec": {"template": {"spec": {"nodeSelector": {"disk": "ssd"}}}}}
    world = await begun("DaemonSet", own)

    def selector(name: str) -> Object:
        spec: Object = world.need(DAEMON_SET, name)["spec"]["template"]["spec"]
        return dict(spec["nodeSelector"])

    assert selector("catalog") == {"disk": "ssd", SCALED_TO_ZERO: "true"}
    assert selector("catalog-primary") == {"disk": "ssd"}
    await world.tick(3)
    assert world.phase == "Initialized", "scaling is no revision"
    world.new_image("catalog:2")
    await world.settle()
    assert selector("catalog") == {"disk": "ssd"}
    await world.tick(9)
    assert selector("catalog-primary") == {"disk": "ssd"}


async def test_the_primary_of_a_stateful_set_has_names_of_its_own() -> None:
    governing = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "peers", "namespace": KEY.namespace},
        "spec": {
            "clusterIP": "None",
            "selector": {"app": "catalog"},
            "ports": [{"name": "peer", "port": 7000, "protocol": "TCP"}],
        },
    }
    change = {"spec": {"serviceName": "peers", "podManagementPolicy": "Parallel"}}
    made = merged(target("StatefulSet"), change)
    release = canary(targetRef=target_ref("StatefulSet"))
    world = await initialized(made, governing, release)
    primary = world.need(STATEFUL_SET, "catalog-primary")["spec"]
    assert (primary["serviceName"], primary["podManagementPolicy"]) == ("peers-primary", "Parallel")
    peers = world.need(SERVICE, "peers-primary")["spec"]
    assert peers["selector"] == {"app": "catalog-primary"}
    assert (peers["clusterIP"], peers["ports"]) == ("None", governing["spec"]["ports"])  # type: ignore[index]
    assert world.need(SERVICE, "peers")["spec"]["selector"] == {"app": "catalog"}


async def test_the_apex_may_give_the_names() -> None:
    world = await begun("StatefulSet")
    assert world.need(STATEFUL_SET, "catalog-primary")["spec"]["serviceName"] == "catalog-primary"
    assert {each["metadata"]["name"] for each in world.stores[SERVICE].list()} == {
        *("catalog", "catalog-primary", "catalog-canary")
    }


async def test_a_service_is_never_written_and_its_copies_follow() -> None:
    change = {"spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.7"}, "metadata": {"labels": {}}}
    world = await begun("Service", change, service={"port": 80, "canary": {"labels": {"a": "b"}}})
    before = world.need(SERVICE, "catalog")
    world.new_image("catalog:2")
    await world.settle()
    copies = {side: world.need(SERVICE, f"catalog-{side}") for side in ("primary", "canary")}
    images = {side: copies[side]["spec"]["selector"]["image"] for side in copies}
    assert images == {"primary": "catalog-1", "canary": "catalog-2"}
    assert copies["canary"]["metadata"]["labels"]["a"] == "b"
    for each in copies.values():
        assert each["spec"]["type"] == "ClusterIP"
        assert "clusterIP" not in each["spec"]
    await world.tick(9)
    assert world.phase == "Succeeded"
    assert "Service/catalog" not in world.writes
    assert world.need(SERVICE, "catalog")["metadata"]["uid"] == before["metadata"]["uid"]
    assert not world.stores[DEPLOYMENT].list()


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("Deployment", "catalog-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)"),
        ("DaemonSet", "catalog-[0-9a-zA-Z]+"),
        ("StatefulSet", "catalog-[0-9a-zA-Z]+"),
    ],
)
async def test_the_primarys_requests_are_not_the_canarys(kind: str, named: str) -> None:
    world = await begun(kind, provider="kubernetes", analysis={"iterations": 2, "stepWeight": None})
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    assert world.queries
    for query in world.queries:
        assert f'kubernetes_pod_name=~"{named}"' in query
        suffix = "5d8f-x7k2p" if kind == "Deployment" else "x7k2p"
        assert re.fullmatch(named, f"catalog-{suffix}")
        assert not re.fullmatch(named, f"catalog-primary-{suffix}")


PORT = {"containers": [{"name": "catalog", "image": "a", "ports": [{"hostPort": 9000}]}]}
UNUSABLE = {
    "rolls by hand": ("DaemonSet", {"updateStrategy": {"type": "OnDelete"}}, "use RollingUpdate"),
    "a port of the node": ("DaemonSet", {"template": {"spec": PORT}}, "have port 9000 of their"),
    "by hand": ("StatefulSet", {"updateStrategy": {"type": "OnDelete"}}, "use RollingUpdate"),
    "a partition": (
        "StatefulSet",
        {"updateStrategy": {"rollingUpdate": {"partition": 2}}},
        "partition 2 keeps pods at an old revision (remove it",
    ),
    "volumes": (
        "StatefulSet",
        {"volumeClaimTemplates": [{"metadata": {"name": "data"}}]},
        "set the annotation rollout.dev/primary-volumes: empty",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
async def test_what_cannot_be_done_is_refused_by_name(name: str) -> None:
    kind, spec, said = UNUSABLE[name]
    world = World(merged(target(kind), {"spec": spec}), canary(targetRef=target_ref(kind)))
    await world.settle()
    blocked = world.condition("Blocked")
    assert blocked is not None
    assert blocked["reason"] == "TargetUnusable"
    assert f"spec.targetRef.name: {kind} 'catalog': " in blocked["message"]
    assert said in blocked["message"]
    assert world.replicas() > 0


async def test_volumes_may_be_empty_where_the_target_says_so() -> None:
    claims = [{"metadata": {"name": "data"}}]
    change = {
        "metadata": {"annotations": {"rollout.dev/primary-volumes": "empty"}},
        "spec": {"volumeClaimTemplates": claims},
    }
    world = await begun("StatefulSet", change)
    assert world.need(STATEFUL_SET, "catalog-primary")["spec"]["volumeClaimTemplates"] == claims


@pytest.mark.parametrize(
    ("kind", "spec", "path"),
    [
        pytest.param("Service", {"provider": "kubernetes"}, "spec.targetRef.kind", id="no routes"),
        pytest.param(
            "Service", {"service": {"name": "shop", "port": 80}}, "spec.service.name", id="name"
        ),
        pytest.param(
            "Service",
            {"analysis": {"judge": {"method": "sequential"}}},
            "spec.analysis.judge",
            id="no workloads to compare",
        ),
        pytest.param(
            "DaemonSet",
            {"provider": "kubernetes", "analysis": {"replicaRatio": True}},
            "spec.analysis.replicaRatio",
            id="shares of pods",
        ),
    ],
)
async def test_what_a_kind_has_no_means_for_is_refused(
    kind: str, spec: dict[str, Any], path: str
) -> None:
    world = World(target(kind), canary(targetRef=target_ref(kind), **spec))
    await world.settle()
    blocked = world.condition("Blocked")
    assert blocked is not None
    assert blocked["reason"] == "NotSupported"
    assert path in blocked["message"]


@pytest.mark.parametrize("kind", [*WORKLOADS, "Service"])
async def test_all_is_given_back(kind: str) -> None:
    world = await begun(kind, revertOnDeletion=True)
    world.change(CANARY, KEY.name, metadata={"deletionTimestamp": "2026-01-20T23:00:00Z"})
    await world.settle()
    assert world.need(CANARY, KEY.name)["metadata"]["finalizers"] == []
    assert kind == "Service" or world.replicas() > 0
    selector = world.need(SERVICE, "catalog")["spec"]["selector"]
    assert selector["app"] == "catalog"
