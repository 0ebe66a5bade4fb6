"""Which hosts and ports a gateway's proxies serve."""

from __future__ import annotations

import pytest

from rollout.mesh.translate.gateways import narrower
from tests.meshworld import World, messages


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
