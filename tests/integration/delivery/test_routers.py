"""Routers on a real API server, with Gateway API's own CRDs; the test says what its Gateway says."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from rollout.api.kinds import CANARY, DEPLOYMENT, GRPC_ROUTE, HTTP_ROUTE, SERVICE, Kind
from rollout.delivery.affinity import Affinity, Cookie
from rollout.delivery.routing.gatewayapi import GatewayApiRouter
from rollout.delivery.routing.router import Split, Weights
from rollout.kube.client import Client
from rollout.kube.diff import merge_patch
from rollout.kube.errors import KubeError
from rollout.kube.objects import Object
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.delivery.support import Lab, options
from tests.integration.gatewayapi import install_gateway_api
from tests.unit.delivery.routing.support import backend, gatewayed
from tests.unit.delivery.routing.test_gatewayapi import EXPERIMENTAL, FILTERS, MATCHES
from tests.unit.delivery.world import deployment
from tests.waiting import until

METRIC = {"name": "errors", "query": "vector(0)", "thresholdRange": {"max": 1}}
EXTENSION = {"type": "ExtensionRef", "extensionRef": {"group": "x.io", "kind": "A", "name": "a"}}


@pytest.fixture
async def lab(lab: Lab) -> Lab:
    await install_gateway_api(lab.client)
    return lab


async def apply(lab: Lab, release: Object, replicas: int = 2) -> None:
    analysis = release["spec"]["analysis"]
    analysis |= {"interval": "1s", "metrics": [METRIC], "stepWeight": 25}
    for kind, obj in ((DEPLOYMENT, deployment(replicas=replicas)), (CANARY, release)):
        obj["metadata"]["namespace"] = lab.namespace
        await lab.client.create(kind, obj)


@asynccontextmanager
async def gateway(lab: Lab) -> AsyncIterator[list[tuple[int, int]]]:
    """Accepts every HTTPRoute as it is, and notes the weights that it sees."""
    seen: list[tuple[int, int]] = []

    async def accept() -> None:
        while True:
            with suppress(KubeError):
                for route in await lab.client.list(HTTP_ROUTE, lab.namespace):
                    rule = route["spec"]["rules"][-1]
                    weights = tuple(ref["weight"] for ref in rule["backendRefs"])
                    if seen[-1:] != [weights]:
                        seen.append(weights)
                    await lab.patch(
                        HTTP_ROUTE,
                        route["metadata"]["name"],
                        {"status": {"parents": [parent(route)]}},
                        subresource="status",
                    )
            await asyncio.sleep(0.05)

    task = asyncio.ensure_future(accept())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def parent(route: Object) -> Object:
    return {
        "controllerName": "example.com/test",
        "parentRef": {"name": "public"},
        "conditions": [
            {
                "type": "Accepted",
                "status": "True",
                "reason": "Accepted",
                "message": "",
                "observedGeneration": route["metadata"]["generation"],
                "lastTransitionTime": "2026-01-20T22:50:16Z",
            }
        ],
    }


async def test_an_http_route(lab: Lab) -> None:
    await apply(lab, gatewayed())
    async with lab.controller(), gateway(lab) as seen:
        await lab.phase("Initialized")
        route = await lab.get(HTTP_ROUTE, "catalog")
        rules = copy.deepcopy(route["spec"]["rules"])
        rules[0]["filters"] = [EXTENSION]
        theirs = {
            "matches": [{"path": {"type": "Exact", "value": "/health"}}],
            "backendRefs": [backend("health", 1)],
        }
        await lab.patch(HTTP_ROUTE, "catalog", {"spec": {"rules": [theirs, *rules]}})
        await lab.new_image("catalog:2")
        await lab.phase("Succeeded")
        assert seen == [(100, 0), (75, 25), (50, 50), (100, 0)]
        first, mine = (await lab.get(HTTP_ROUTE, "catalog"))["spec"]["rules"]
        assert first == theirs
        assert mine["filters"] == [EXTENSION]


async def test_a_route_that_exists(lab: Lab) -> None:
    release = gatewayed()
    del release["spec"]["provider"]
    release["spec"]["routeRef"] = {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": "HTTPRoute",
        "name": "theirs",
    }
    pair = [backend("catalog-primary", 100), backend("catalog-canary", 0)]
    spec = {
        "parentRefs": [{"name": "public"}],
        "rules": [{"filters": [EXTENSION], "backendRefs": pair}],
    }
    before = await lab.client.create(
        HTTP_ROUTE,
        {
            "apiVersion": HTTP_ROUTE.api_version,
            "kind": "HTTPRoute",
            "metadata": {"name": "theirs", "namespace": lab.namespace},
            "spec": spec,
        },
    )
    await apply(lab, release)
    async with lab.controller(), gateway(lab) as seen:
        await lab.phase("Initialized")
        await lab.new_image("catalog:2")
        await lab.phase("Succeeded")
    assert seen == [(100, 0), (75, 25), (50, 50), (100, 0)]
    assert (await lab.get(HTTP_ROUTE, "theirs"))["spec"] == before["spec"]
    assert len(await lab.client.list(HTTP_ROUTE, lab.namespace)) == 1


async def test_shares_of_pods(lab: Lab) -> None:
    release = gatewayed()
    release["spec"]["provider"] = "kubernetes"
    del release["spec"]["service"]
    release["spec"]["analysis"] |= {"replicaRatio": True}
    await apply(lab, release, replicas=8)
    async with lab.controller():
        await lab.phase("Initialized")
        await lab.new_image("catalog:2")
        counts = []

        async def at_half() -> bool:
            found = [await lab.get(DEPLOYMENT, n) for n in ("catalog-primary", "catalog")]
            counts.append(tuple(each["spec"]["replicas"] for each in found))
            return counts[-1] == (4, 4)

        await until(at_half, "four and four")
        assert all(sum(each) >= 8 for each in counts)
        await lab.phase("Succeeded")
    assert (await lab.get(DEPLOYMENT, "catalog-primary"))["spec"]["replicas"] == 8
    assert (await lab.get(DEPLOYMENT, "catalog"))["spec"]["replicas"] == 0


async def test_ports_of_a_service_that_was_there(lab: Lab) -> None:
    ports = [
        {"name": "web", "port": 80, "targetPort": 3000},
        {"name": "admin", "port": 9000, "targetPort": "admin"},
    ]
    await lab.client.create(
        SERVICE,
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "catalog", "namespace": lab.namespace},
            "spec": {"selector": {"app": "catalog"}, "ports": ports},
        },
    )
    release = gatewayed()
    release["spec"]["provider"] = "kubernetes"
    await apply(lab, release)
    async with lab.controller():
        await lab.phase("Initialized")
    for name in ("catalog", "catalog-primary", "catalog-canary"):
        served = (await lab.get(SERVICE, name))["spec"]["ports"]
        assert [(p["name"], p["port"], p["targetPort"]) for p in served] == [
            ("http", 80, 3000),
            ("admin", 9000, "admin"),
        ]


async def test_a_cluster_that_gets_gateway_api_later(
    own_apiserver: ApiServer, metrics_server: str
) -> None:
    async with await Client.connect(str(own_apiserver.kubeconfig)) as client:
        await install_crds(client)
        made = options(own_apiserver.kubeconfig, "default", metrics_server)
        lab = Lab(
            client=client,
            namespace="default",
            options=replace(made, mesh_provider="kubernetes"),
        )
        await apply(lab, gatewayed())
        async with lab.controller(), lab.watched():

            async def blocked() -> bool:
                found = (await lab.status()).get("conditions") or ()
                return any(
                    c["reason"] == "RouteRefused" and "install the CRDs" in c["message"]
                    for c in found
                )

            await until(blocked, "the missing kind is named")
            await install_gateway_api(client)
            await lab.phase("Initialized", 60)


KEPT = Affinity(canary=Cookie("c=1", "c=1; Max-Age=60"), primary=Cookie("p=1", "p=1; Max-Age=9"))
BACK = Affinity(previous=Cookie("c=1", "c=1; Max-Age=-1"))
WRITTEN: dict[str, tuple[Object, Object, Split]] = {
    **{f"match {name}": ({"match": [said]}, {}, Split(weights=Weights(90, 10))) for name, (said, _) in MATCHES.items()},
    **{name: (said, {}, Split(weights=Weights(90, 10))) for name, (said, _) in FILTERS.items()},
    "time-outs": ({"timeout": "5s", "backendTimeout": "2s"}, {}, Split(weights=Weights(90, 10))),
    "affinity": ({}, {}, Split(weights=Weights(70, 30), affinity=KEPT)),
    "cookies taken back": ({}, {}, Split(weights=Weights(100, 0), affinity=BACK)),
    "copies": ({}, {"mirror": True}, Split(weights=Weights(100, 0), mirroring=True)),
    "an A/B test": ({}, {"match": [{"headers": {"x": {"exact": "1"}}}]}, Split(weights=Weights(0, 100))),
    "a baseline": ({}, {}, Split(weights=Weights(80, 10, 10))),
    "gRPC": ({"appProtocol": "grpc", "match": [{"uri": {"exact": "/a.B/C"}}]}, {}, Split(weights=Weights(90, 10))),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
async def test_what_is_written_is_taken_and_needs_no_second_write(
    client: Client, namespace: str, name: str
) -> None:
    await install_gateway_api(client)
    await taken_once(client, namespace, name, *WRITTEN[name])


@pytest.mark.parametrize("name", EXPERIMENTAL)
async def test_the_experimental_channel(own_apiserver: ApiServer, name: str) -> None:
    async with await Client.connect(str(own_apiserver.kubeconfig)) as client:
        await install_gateway_api(client, "experimental")
        said, _ = EXPERIMENTAL[name]
        await taken_once(client, "default", name, said, {}, Split(weights=Weights(90, 10)))


async def taken_once(
    client: Client, namespace: str, name: str, service: Object, analysis: Object, split: Split
) -> None:
    """The route is taken as it is written, and the next look finds nothing to write."""
    owner: Any = gatewayed(**service)
    owner["metadata"]["namespace"] = namespace
    owner["spec"]["analysis"] |= analysis
    router = GatewayApiRouter()
    found: dict[Kind, Object] = {}

    def seen(kind: Kind, _: str) -> Object | None:
        return found.get(kind)

    (first,) = router.routes(owner, seen, split)
    assert first.kind == (GRPC_ROUTE if name == "gRPC" else HTTP_ROUTE)
    found[first.kind] = await client.create(first.kind, first.desired)
    (again,) = router.routes(owner, seen, split)
    assert not merge_patch(again.desired, found[first.kind], again.exact)
    assert router.weights(owner, seen) == split.weights
