"""Pods that do not become ready are looked at, and what fails of them is told."""

from __future__ import annotations

from datetime import timedelta

from rollout.api.kinds import DEPLOYMENT
from rollout.kube.objects import Object, Objects
from tests.unit.delivery.world import World, canary, deployment, initialized

CRASHING: Object = {
    "metadata": {"name": "catalog-x"},
    "status": {
        "phase": "Running",
        "containerStatuses": [
            {
                "name": "catalog",
                "ready": False,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            }
        ],
    },
}
WHY = "pod catalog-x: CrashLoopBackOff of catalog (OOMKilled, exit code 137)"


class Pods:
    """Counts who looks."""

    def __init__(self, world: World) -> None:
        self.asked: list[str] = []
        world._reconciler._pods = self.of

    async def of(self, deployment: Object) -> Objects:
        self.asked.append(deployment["metadata"]["name"])
        return [CRASHING]


async def stuck_world() -> tuple[World, Pods]:
    world = await initialized(deployment(), canary(progressDeadlineSeconds=60))
    pods = Pods(world)
    world.stuck.add("catalog")
    world.new_image("catalog:2")
    await world.settle()
    world.report("catalog", available=0)
    await world.settle()
    return world, pods


async def test_the_pod_that_fails_is_named_while_waiting_and_in_the_verdict() -> None:
    world, pods = await stuck_world()
    assert pods.asked == [], "pods may take a moment to start"
    assert timedelta(0) < world.wakes[-1] - world.now <= timedelta(seconds=5)
    world.now += timedelta(seconds=6)
    await world.settle()
    assert world.events[-1].endswith(f"updated replicas are available; {WHY}")
    assert world.wakes[-1] - world.now == timedelta(seconds=15)
    writes = len(world.writes)
    await world.settle()
    assert len(world.writes) == writes
    world.now += timedelta(seconds=60)
    await world.settle()
    assert world.phase == "Failed"
    assert WHY in world.status["history"][-1]["reason"]
    assert set(pods.asked) == {"catalog"}


async def test_nobody_looks_at_pods_of_what_is_ready_or_settled() -> None:
    world = await initialized()
    pods = Pods(world)
    world.report("catalog-primary", available=0)
    world.now += timedelta(minutes=5)
    await world.look()
    assert pods.asked == []
    world.report("catalog-primary")
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(8)
    assert world.phase == "Succeeded"
    assert pods.asked == []
    assert world.get(DEPLOYMENT, "catalog") is not None
