"""A revision whose pods fail, on a real API server: people are told which pod, and why."""

from __future__ import annotations

import pytest

from rollout.api.kinds import CANARY, DEPLOYMENT, POD, SERVICE_ACCOUNT
from tests.integration.delivery.support import Lab
from tests.unit.delivery.world import canary, deployment
from tests.waiting import until


@pytest.fixture
def metrics_server() -> str:
    """None: what is shown here happens before anything is measured."""
    return "http://127.0.0.1:9"


async def failing_pod(lab: Lab) -> None:
    account = {"metadata": {"name": "default", "namespace": lab.namespace}}
    await lab.client.create(SERVICE_ACCOUNT, account)
    pod = {
        "metadata": {"name": "catalog-x", "namespace": lab.namespace, "labels": {"app": "catalog"}},
        "spec": {"containers": [{"name": "catalog", "image": "catalog:2"}]},
    }
    await lab.client.create(POD, pod)
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    container = {
        "name": "catalog",
        "ready": False,
        "restartCount": 0,
        "image": "",
        "imageID": "",
        "state": waiting,
    }
    status = {"status": {"phase": "Pending", "containerStatuses": [container]}}
    await lab.patch(POD, "catalog-x", status, subresource="status")


async def test_the_failing_pod_is_named(lab: Lab) -> None:
    release = canary(progressDeadlineSeconds=12, analysis={"interval": "1s"})
    for kind, obj in ((DEPLOYMENT, deployment()), (CANARY, release)):
        obj["metadata"]["namespace"] = lab.namespace
        await lab.client.create(kind, obj)
    async with lab.controller():
        await lab.phase("Initialized")
        lab.stuck.add("catalog")
        await failing_pod(lab)
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
