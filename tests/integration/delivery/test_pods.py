"""A revision whose pods fail, on a real API server: people are told which pod, and why."""

from __future__ import annotations

import pytest

from rollout.api.kinds import CANARY, DEPLOYMENT
from tests.integration.delivery.support import Lab
from tests.unit.delivery.world import canary, deployment
from tests.waiting import until


@pytest.fixture
def metrics_server() -> str:
    """None: what is shown here happens before anything is measured."""
    return "http://127.0.0.1:9"


async def test_the_failing_pod_is_named(lab: Lab) -> None:
    release = canary(progressDeadlineSeconds=12, analysis={"interval": "1s"})
    for kind, obj in ((DEPLOYMENT, deployment()), (CANARY, release)):
        obj["metadata"]["namespace"] = lab.namespace
        await lab.client.create(kind, obj)
    async with lab.controller():
        await lab.phase("Initialized")
        lab.stuck.add("catalog")
        await lab.failing_pod()
        await lab.new_image("catalog:2")
        await lab.phase("Progressing")
        target = await lab.get(DEPLOYMENT, "catalog")
        seen = {
            "observedGeneration": target["metadata"]["generation"],
            "replicas": 2,
            "updatedReplicas": 2,
        }
        await lab.patch(DEPLOYMENT, "catalog", {"status": seen}, subresource="status")
        why = "; pod catalog-x: ImagePullBackOff of catalog (no such image)"

        async def told() -> bool:
            return any(each.endswith(why) for each in await lab.events())

        await until(told, "an event that names the pod")
        status = await lab.phase("Failed", 30)
    assert why in status["history"][-1]["reason"]
    assert any("progress deadline exceeded" in each and why in each for each in await lab.events())
