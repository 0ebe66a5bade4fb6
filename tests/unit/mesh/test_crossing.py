"""Gateways with AUTO_PASSTHROUGH: what is led to, kept up to date change by change."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.model.peers import MutualTLS
from rollout.mesh.translate import names
from tests.meshworld import World, messages

Json = dict[str, Any]
ISTIO = "networking.istio.io/v1"
NAME = "outbound_.80_._.one.shop.svc.cluster.local"


def obj(kind: str, name: str, namespace: str = "shop", **spec: Any) -> Json:
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": ISTIO, "kind": kind, "metadata": metadata, "spec": spec}


def server(port: int, *hosts: str) -> Json:
    return {"port": {"number": port, "name": f"tls-{port}", "protocol": "TLS"},
            "hosts": list(hosts), "tls": {"mode": "AUTO_PASSTHROUGH"}}  # fmt: skip


def gateway(*servers: Json) -> Json:
    return obj("Gateway", "across", "edge", selector={"istio": "across"}, servers=list(servers))


def service(name: str) -> Json:
    return obj("Service", name, ports=[{"name": "http", "port": 80, "targetPort": 8080}])


def pod(name: str, **labels: str) -> Json:
    return obj("Pod", name, serviceAccountName="one") | {
        "metadata": {"namespace": "shop", "name": name, "labels": labels}
    }


def endpoints(*pods: str) -> Json:
    metadata = {
        "namespace": "shop", "name": "one-1", "labels": {"kubernetes.io/service-name": "one"}
    }  # fmt: skip
    return {
        "kind": "EndpointSlice", "metadata": metadata, "ports": [{"name": "http", "port": 8080}],
        "endpoints": [
            {"addresses": [f"10.0.0.{i}"], "conditions": {"ready": True},
             "targetRef": {"kind": "Pod", "name": name}} for i, name in enumerate(pods)
        ],
    }  # fmt: skip


WITH_PROXY = {"security.istio.io/tlsMode": "istio"}
BASE = [service("one"), service("two"), pod("a", v="1", **WITH_PROXY), pod("b", v="1"),
        pod("c", v="2", **WITH_PROXY), endpoints("a", "b")]  # fmt: skip
RULE = obj("DestinationRule", "one", host="one", subsets=[{"name": "v1", "labels": {"v": "1"}}])
STEPS = {
    "a gateway": gateway(server(15443, "shop/*.local")),
    "more endpoints": endpoints("a", "b", "c"),
    "a subset": RULE,
    "other hosts": gateway(server(15443, "one.shop.svc.cluster.local")),
    "two servers": gateway(server(15443, "*.local"), server(15444, "other/*.local")),
    "a service more": service("three"),
    "no endpoints": endpoints(),
}


def led(world: World) -> tuple[Json, ...]:
    """All that a gateway has for it."""
    view = world.view(world.proxy("router", "edge", "across", {"istio": "across"}))
    return tuple(
        {
            name: each.SerializeToString(deterministic=True)
            for name, each in found.items()
            if not name.startswith("outbound|")
        }
        for found in (messages(view, kind) for kind in ("clusters", "endpoints", "listeners"))
    )


def test_change_by_change_it_is_what_a_new_one_would_have() -> None:
    world, objects = World(BASE, mutual_tls=MutualTLS.AUTO), list(BASE)
    without = led(world)
    assert not any(name.startswith("outbound_") for each in without for name in each)
    for step, change in STEPS.items():
        world.put(change)
        objects.append(change)
        assert led(world) == led(World(objects, mutual_tls=MutualTLS.AUTO)), step
    world.remove(gateway())
    world.remove(RULE)
    world.put(endpoints("a", "b"))
    world.remove(service("three"))
    assert led(world) == without


def test_the_names_that_changed_are_told() -> None:
    world = World(BASE, mutual_tls=MutualTLS.AUTO)
    who = world.proxy("router", "edge", "across", {"istio": "across"})
    sidecar = world.proxy("sidecar", "edge", "web")
    for each in (who, sidecar):
        world.view(each)

    def changed() -> dict[str, set[str]]:
        world.feed.flush()
        found = world.views.refresh(world.registry.drain())
        assert not any(
            n.startswith("outbound_") for each in found.get(sidecar, {}).values() for n in each
        )
        return found.get(who, {})  # fmt: skip

    world.put(gateway(server(15443, "*.local")))
    found = changed()
    assert found[names.CLUSTER] == {NAME, NAME.replace("one", "two")}
    assert found[names.ENDPOINTS] == found[names.CLUSTER]
    assert found[names.LISTENER] == {"0.0.0.0_15443"}
    world.put(endpoints("a", "b", "c"))
    assert NAME in changed()[names.ENDPOINTS]
    world.put(endpoints("a", "b", "c", "b"))
    assert NAME not in changed()[names.ENDPOINTS], "what takes no mutual TLS makes no difference"
    world.remove(gateway())
    assert NAME in changed()[names.CLUSTER]


@pytest.mark.parametrize("mutual_tls", [MutualTLS.AUTO, MutualTLS.NONE])
def test_without_identities_nothing_is_led_to(mutual_tls: MutualTLS) -> None:
    world = World([*BASE, STEPS["a gateway"]], mutual_tls=mutual_tls)
    found = led(world)
    assert any(NAME in each for each in found) is (mutual_tls is MutualTLS.AUTO)
    said = [problem.field for problem in world.views.problems()]
    assert said == ([] if mutual_tls is MutualTLS.AUTO else ["spec.servers[0].tls.mode"])
