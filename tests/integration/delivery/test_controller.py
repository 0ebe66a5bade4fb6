"""The controller's main job on a real API server, with a real Prometheus to ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from rollout.api.kinds import CANARY, DEPLOYMENT, SERVICE, VIRTUAL_SERVICE
from rollout.kube.client import Client
from rollout.kube.objects import Object
from tests.integration.apiserver import ApiServer
from tests.integration.delivery.support import Lab, install_crds, options
from tests.integration.prometheus import prometheus
from tests.unit.delivery.world import canary, deployment

GOOD, BAD = "vector(0.5)", "vector(7)"


@pytest.fixture(scope="module")
def metrics_server() -> Iterator[str]:
    with prometheus() as address:
        yield address


@pytest.fixture
async def lab(
    apiserver: ApiServer, client: Client, namespace: str, metrics_server: str
) -> AsyncIterator[Lab]:
    await install_crds(client)
    made = Lab(
        client=client,
        namespace=namespace,
        options=options(apiserver.kubeconfig, namespace, metrics_server),
    )
    async with made.watched():
        yield made


def errors(query: str = GOOD) -> Object:
    return {"name": "errors", "query": query, "thresholdRange": {"max": 1}}


async def apply(lab: Lab, **spec: Any) -> None:
    """The target and the Canary of the book, judged by a query of the test's."""
    target = deployment()
    release = canary(analysis={"interval": "1s", "threshold": 2, "metrics": [errors()]}, **spec)
    for kind, obj in ((DEPLOYMENT, target), (CANARY, release)):
        obj["metadata"]["namespace"] = lab.namespace
        await lab.client.create(kind, obj)


async def test_promoted_then_rolled_back(lab: Lab) -> None:
    await apply(lab)
    async with lab.controller():
        await lab.phase("Initialized")
        assert lab.shown == [("Initializing", 0), ("Initialized", 0)]
        target, primary = [await lab.get(DEPLOYMENT, n) for n in ("catalog", "catalog-primary")]
        assert (target["spec"]["replicas"], primary["spec"]["replicas"]) == (0, 2)
        apex = await lab.get(SERVICE, "catalog")
        assert apex["spec"]["selector"] == {"app": "catalog-primary"}

        await lab.new_image("catalog:2")
        await lab.phase("Progressing", 1.0)
        await lab.phase("Succeeded")
        assert lab.shown[2:] == [
            *(("Progressing", weight) for weight in (0, 10, 20, 30, 40, 50)),
            ("Promoting", 0),
            ("Finalising", 0),
            ("Succeeded", 0),
        ]
        assert lab.weights == [(100 - w, w) for w in (0, 10, 20, 30, 40, 50, 0)]
        primary = await lab.get(DEPLOYMENT, "catalog-primary")
        assert primary["spec"]["template"]["spec"]["containers"][0]["image"] == "catalog:2"

        await lab.patch(
            CANARY, "catalog-release", {"spec": {"analysis": {"metrics": [errors(BAD)]}}}
        )
        shown = len(lab.shown)
        await lab.new_image("catalog:bad")
        await lab.phase("Failed")
        assert lab.shown[shown:] == [("Progressing", 0), ("Progressing", 10), ("Failed", 0)]
        assert (await lab.get(DEPLOYMENT, "catalog-primary"))["spec"] == primary["spec"]
        assert (await lab.get(DEPLOYMENT, "catalog"))["spec"]["replicas"] == 0
        route = (await lab.get(VIRTUAL_SERVICE, "catalog"))["spec"]["http"][0]["route"]
        assert [each["weight"] for each in route] == [100, 0]
        events = await lab.events()
        halted = f"Halt catalog-release.{lab.namespace} advancement errors 7.00 > 1"
        assert halted in events
        assert events[-1] == f"Canary failed! Scaling down catalog-release.{lab.namespace}"
