"""The mesh's objects as a real API server serves them: read for analyses, with both kinds of Gateways among them."""

from __future__ import annotations

from typing import Any

from rollout.api.kinds import GATEWAY, HTTP_ROUTE, KUBERNETES_GATEWAY, SERVICE
from rollout.cli import objects
from rollout.kube.client import Client
from rollout.mesh.analysis.analyze import analyze
from rollout.mesh.analysis.describe import describe_service
from rollout.mesh.analysis.world import World
from rollout.mesh.model.problem import Ref
from tests.integration.crds import install_crds
from tests.integration.gatewayapi import GATEWAYS, install_gateway_api
from tests.integration.mesh.support import create, service

EDGE = {
    "selector": {"istio": "edge"},
    "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
}
FRONT = {
    "gatewayClassName": "rollout",
    "listeners": [{"name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.example.com"}],
}


async def test_routes_of_gateway_api_are_read_as_they_are_served(
    client: Client, namespace: str
) -> None:
    await install_crds(client)
    await install_gateway_api(client)
    await install_gateway_api(client, kinds=GATEWAYS)
    await create(client, SERVICE, namespace, service("catalog"))
    rule = {"backendRefs": [{"name": name, "port": 80} for name in ("catalog", "gone")]}
    parents = [{"name": "front"}, {"name": "nowhere"}]
    spec: dict[str, Any] = {
        "hostnames": ["shop.example.com"],
        "parentRefs": parents,
        "rules": [rule],
    }
    for kind, name, what in (
        (GATEWAY, "front", EDGE),
        (KUBERNETES_GATEWAY, "front", FRONT),
        (HTTP_ROUTE, "catalog", spec),
    ):
        await create(client, kind, namespace, {"metadata": {"name": name}, "spec": what})
    served = objects.laid_over([], await objects.of_cluster(client), namespace)

    found = analyze(served, "rollout-system")
    route = Ref("HTTPRoute", namespace, "catalog")
    lost = f"Service {namespace}/gone does not exist"
    at_front = f"Gateway {namespace}/front: spec.rules[0].backendRefs[1]: {lost}"
    nowhere = f"Gateway {namespace}/nowhere"
    assert [(each.code.id, each.reason) for each in found if each.ref == route] == [
        ("IST0101", f"at {at_front}"),
        ("IST0101", f"{nowhere} does not exist"),
    ]
    world = World(served, "rollout-system")
    catalog = world.registry.services[f"catalog.{namespace}.svc.cluster.local"]
    through = f"Gateway {namespace}/front, {nowhere}"
    assert describe_service(world, catalog)[2:] == [
        f"  HTTPRoute: {namespace}/catalog through {through} for shop.example.com",
        "    Rule 0: weight 50%",
        f"    WARNING: {at_front}",
        f"    WARNING: {nowhere} does not exist",
    ]
