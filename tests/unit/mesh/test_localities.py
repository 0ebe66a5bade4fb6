"""Who is near to whom: priorities and shares, by caller."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.ingest.proxies import proxy
from rollout.mesh.model.balancing import LoadBalancer, LocalityRules
from rollout.mesh.model.service import Endpoint
from rollout.mesh.model.traffic import OutlierDetection, TrafficPolicy
from rollout.mesh.translate.localities import Standpoint, groups
from tests.meshworld import World

PLACES = ("a/1/x", "a/1/y", "a/2/x", "b/1/x", "c/1/x", "")
READY = tuple(Endpoint(address=f"10.0.0.{i}", port=80, locality=p) for i, p in enumerate(PLACES))
OUT = OutlierDetection()


def traffic(*, outlier: OutlierDetection | None = OUT, **rules: Any) -> TrafficPolicy:
    return TrafficPolicy(balancer=LoadBalancer(locality=LocalityRules(**rules)), outlier=outlier)


ALL = {"": (0, 6)}
TABLE: dict[str, tuple[TrafficPolicy, str, dict[str, tuple[int, int]]]] = {
    "no rule": (TrafficPolicy(), "a/1/x", ALL),
    "no outlier detection": (traffic(outlier=None), "a/1/x", ALL),
    "a caller nowhere": (traffic(), "", ALL),
    "switched off": (traffic(enabled=False), "a/1/x", ALL),
    "nearest first": (
        traffic(), "a/1/x",
        {"a/1/x": (0, 1), "a/1/y": (1, 1), "a/2/x": (2, 1), "": (3, 1), "b/1/x": (3, 1), "c/1/x": (3, 1)},
    ),
    "priorities have no gaps": (
        traffic(), "c/9/x",
        {"c/1/x": (0, 1), "": (1, 1), "a/1/x": (1, 1), "a/1/y": (1, 1), "a/2/x": (1, 1), "b/1/x": (1, 1)},
    ),
    "a region that takes over": (
        traffic(failover=(("c", "b"),)), "c/1/x",
        {"c/1/x": (0, 1), "b/1/x": (1, 1), "": (2, 1), "a/1/x": (2, 1), "a/1/y": (2, 1), "a/2/x": (2, 1)},
    ),
    "shares": (
        traffic(distribute=(("a/1/*", (("a/1/*", 80), ("b/*", 20))),)), "a/1/x",
        {"a/1/x": (0, 4000), "a/1/y": (0, 4000), "b/1/x": (0, 2000)},
    ),
    "shares without outlier detection": (
        traffic(outlier=None, distribute=(("*", (("c/1/x", 100),)),)), "a/1/x", {"c/1/x": (0, 10000)},
    ),
    "shares for other callers": (
        traffic(outlier=None, distribute=(("b/*", (("c/*", 100),)),)), "a/1/x", ALL,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_groups(case: str) -> None:
    policy, caller, wanted = TABLE[case]
    found = groups(READY, policy, Standpoint(caller))
    assert {each.locality: (each.priority, each.weight) for each in found} == wanted
    assert [each.priority for each in found] == sorted(each.priority for each in found)


def test_nothing_is_ready() -> None:
    assert groups((), traffic(), Standpoint("a/1/x")) == []


REGION, ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
LABELS: tuple[dict[str, str], ...] = (
    {"v": "1", "tier": "a"},
    {"v": "1"},
    {"v": "2", "tier": "a"},
    {},
)
LABELLED = tuple(
    Endpoint(address=f"10.0.0.{i}", port=80, locality="a/1/x", labels=frozenset(labels.items()))
    for i, labels in enumerate(LABELS)
)
COMPARED: dict[str, tuple[tuple[tuple[str, str | None], ...], dict[str, str], list[int]]] = {
    "the caller's value": ((("v", None),), {"v": "1"}, [0, 0, 1, 1]),
    "a value that is named": ((("v", "2"),), {"v": "1"}, [1, 1, 0, 1]),
    "only from the first on": ((("v", None), ("tier", None)), {"v": "1", "tier": "a"}, [0, 1, 2, 2]),
    "nothing on both sides": ((("none", None), ("v", None)), {"v": "2"}, [1, 1, 0, 1]),
    "the caller has nothing": ((("v", None),), {}, [1, 1, 1, 0]),
    "the place first": (((REGION, None), (ZONE, "2"), ("v", None)), {"v": "1"}, [0, 0, 0, 0]),
}  # fmt: skip


@pytest.mark.parametrize("case", COMPARED)
def test_the_more_labels_are_alike_the_nearer(case: str) -> None:
    priority, labels, wanted = COMPARED[case]
    caller = Standpoint("a/9", frozenset(labels.items()))
    found = groups(LABELLED, traffic(priority=priority), caller)
    places = {e.address: group.priority for group in found for e in group.endpoints}
    assert [places[each.address] for each in LABELLED] == wanted
    assert [each.priority for each in found] == sorted(each.priority for each in found)
    (all_alike,) = groups(LABELLED, traffic(priority=priority, outlier=None), caller)
    assert all_alike.priority == 0


def test_proxies_are_told_apart_by_the_labels_that_rules_compare() -> None:
    rule = {
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"namespace": "shop", "name": "db"},
        "spec": {"host": "db", "trafficPolicy": {
            "outlierDetection": {},
            "loadBalancer": {"localityLbSetting": {"failoverPriority": [REGION, "tier", "v=2"]}},
        }},
    }  # fmt: skip
    world = World()

    def near() -> frozenset[tuple[str, str]]:
        labels = {"tier": "a", "v": "1", "app": "web"}
        return world.proxy("sidecar", "shop", "web", labels).near

    assert not near()
    world.registry.drain()
    world.put(rule)
    assert world.problems() == []
    assert world.registry.drain().places
    assert near() == {("tier", "a")}
    world.put({**rule, "metadata": {"namespace": "shop", "name": "other"}})
    assert not world.registry.drain().places
    world.remove(rule)
    assert near() == {("tier", "a")}
    world.feed.routing("DestinationRule", "shop", "other", None)
    assert world.registry.drain().places
    assert not near()


def node(name: str, zone: str) -> dict[str, Any]:
    labels = {"topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": zone}
    return {"kind": "Node", "metadata": {"name": name, "labels": labels}}


def test_nodes_say_where_pods_are_and_pods_may_say_otherwise() -> None:
    def ready(address: str, pod: str, on: str) -> dict[str, Any]:
        target = {"kind": "Pod", "name": pod}
        return {"addresses": [address], "nodeName": on, "targetRef": target}

    world = World([
        {"kind": "Service", "metadata": {"namespace": "shop", "name": "web"},
         "spec": {"ports": [{"name": "http", "port": 80}]}},
        {"kind": "Pod", "metadata": {"namespace": "shop", "name": "a", "labels": {}}},
        {"kind": "Pod", "metadata": {"namespace": "shop", "name": "b",
                                     "labels": {"istio-locality": "us.us-1.r1"}}},
        {"kind": "EndpointSlice", "metadata": {"namespace": "shop", "name": "web-1",
                                               "labels": {"kubernetes.io/service-name": "web"}},
         "ports": [{"name": "http", "port": 8080}],
         "endpoints": [ready("10.0.0.1", "a", "one"), ready("10.0.0.2", "b", "one")]},
    ])  # fmt: skip

    def places() -> list[str]:
        world.feed.flush()
        found = world.registry.endpoints["web.shop.svc.cluster.local"][80]
        return [each.locality for each in found]

    assert places() == ["", "us/us-1/r1"]
    world.put(node("one", "eu-1"))
    assert places() == ["eu/eu-1", "us/us-1/r1"]
    world.registry.drain()
    world.put(node("one", "eu-1"))
    assert not world.registry.drain()
    world.put(node("one", "eu-2"))
    assert world.registry.drain().places
    assert places() == ["eu/eu-2", "us/us-1/r1"]
    metadata = {"NODE_NAME": "one"}
    who = {"id": "sidecar~10.0.0.3~web-1.shop~shop.svc.cluster.local", "metadata": metadata}
    assert proxy(who, None, world.registry).locality == "eu/eu-2"
