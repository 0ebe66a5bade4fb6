"""kill -9 between any two writes: whoever goes on brings the canary to the same end, by the same steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from rollout.api.kinds import (
    CANARY,
    DESTINATION_RULE,
    POD_DISRUPTION_BUDGET,
    SCALED_OBJECT,
    SERVICE,
    VIRTUAL_SERVICE,
    Kind,
)
from rollout.delivery.objects.scalers import PAUSED
from rollout.delivery.targets import WORKLOADS
from rollout.judge.checks import Value
from rollout.kube.objects import annotations_of
from tests.unit.delivery.test_guards import budget, scaler
from tests.unit.delivery.world import AFRESH, KEY, World, canary, target, target_ref


async def initialize(world: World) -> None:
    await world.settle()


async def promote(world: World) -> None:
    await world.settle()
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(9)


async def roll_back(world: World) -> None:
    await world.settle()
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    world.success_rate = Value(12)
    await world.tick(6)


async def promote_listed(world: World) -> None:
    await world.settle()
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(6)


async def roll_back_by_query(world: World) -> None:
    await world.settle()
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    world.custom = Value(7)
    await world.tick(6)


async def restart_analysis(world: World) -> None:
    await world.settle()
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    world.new_image("catalog:3")
    await world.settle()
    await world.tick(9)


async def delete(world: World) -> None:
    await world.settle()
    world.change(CANARY, KEY.name, metadata={"deletionTimestamp": "2026-01-20T23:00:00Z"})
    await world.settle()


async def delete_under_way(world: World) -> None:
    await world.settle()
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    await delete(world)


COUNTED: dict[str, object] = {"stepWeight": None, "maxWeight": None, "iterations": 2}
STRATEGIES: dict[str, dict[str, object]] = {
    "A/B": COUNTED | {"match": [{"headers": {"x": {"exact": "y"}}}]},
    "blue/green": COUNTED,
    "blue/green with copies": COUNTED | {"mirror": True},
    "copies first": {"stepWeights": [40], "stepWeight": None, "maxWeight": None, "mirror": True},
    "affinity": {
        "stepWeight": 25,
        "sessionAffinity": {"cookieName": "c", "primaryCookieName": "p"},
    },
}
SCALED = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "load"}
Story = Callable[[World], Awaitable[None]]
STORIES: dict[str, tuple[Story, dict[str, object]]] = {
    "initialized": (initialize, {}),
    "promoted": (promote, {}),
    "promoted in steps": (promote, {"analysis": {"stepWeightPromotion": 30}}),
    "promoted without analysis": (promote, {"skipAnalysis": True}),
    "rolled back": (roll_back, {}),
    "restarted": (restart_analysis, {}),
    **{
        f"{how}, {name}": (story, {"analysis": analysis})
        for name, analysis in STRATEGIES.items()
        for how, story in (("promoted", promote_listed), ("rolled back", roll_back))
    },
    "deleted": (delete, {"revertOnDeletion": True}),
    **{
        f"{how}, with a baseline": (story, {"analysis": AFRESH | changes})
        for how, story, changes in (
            ("promoted", promote, {}),
            ("promoted in steps", promote, {"stepWeightPromotion": 30}),
            ("beyond a half", promote, {"stepWeight": 40, "maxWeight": 80}),
            ("rolled back", roll_back_by_query, {}),
            ("restarted", restart_analysis, {}),
        )
    },
    "deleted, with a baseline": (
        delete_under_way,
        {"analysis": AFRESH, "revertOnDeletion": True},
    ),
    **{
        f"{how}, scaled": (story, {**spec, "autoscalerRef": SCALED})
        for how, story, spec in (
            ("promoted", promote, {}),
            ("rolled back", roll_back, {}),
            ("deleted", delete, {"revertOnDeletion": True}),
        )
    },
    **{
        f"{how}, {kind}": (story, {**spec, "targetRef": target_ref(kind)})
        for kind in ("DaemonSet", "StatefulSet", "Service")
        for how, story, spec in (
            ("promoted", promote, {}),
            ("rolled back", roll_back, {}),
            ("deleted", delete, {"revertOnDeletion": True}),
        )
    },
}


async def told(story: Story, spec: dict[str, object], writes: int | None) -> World:
    release = canary(**spec)
    guards = (scaler("ScaledObject"), budget()) if "autoscalerRef" in spec else ()
    world = World(target(release["spec"]["targetRef"]["kind"]), *guards, release)
    world.writes_left = writes
    await story(world)
    return world


def outcome(world: World) -> dict[str, object]:
    status = world.status
    status.pop("lastTransitionTime", None)
    status.pop("conditions", None)
    for measured in (
        "analysis",
        "judge",
    ):  # what was measured right before it was killed is not known
        status.pop(measured, None)
    kinds: tuple[Kind, ...] = (*WORKLOADS, SERVICE, SCALED_OBJECT, POD_DISRUPTION_BUDGET)
    workloads = {
        (kind.kind, each["metadata"]["name"]): (each["spec"], annotations_of(each).get(PAUSED))
        for kind in kinds
        for each in world.stores[kind].list()
    }
    return {
        "status": status,
        "workloads": workloads,
        "served": world.shares,
        "policies": [each["metadata"]["name"] for each in world.stores[DESTINATION_RULE].list()],
        "rules": world.need(VIRTUAL_SERVICE, "catalog")["spec"]["http"]
        if world.get(VIRTUAL_SERVICE, "catalog")
        else None,
        "shown": world.columns,
        "finalizers": world.need(CANARY, KEY.name)["metadata"].get("finalizers"),
    }


@pytest.mark.parametrize("name", STORIES)
async def test_killed_before_any_write(name: str) -> None:
    story, spec = STORIES[name]
    unharmed = await told(story, spec, None)
    writes = sum(not write.startswith("sleep") for write in unharmed.writes)
    assert writes > 3
    for survived in range(writes):
        world = await told(story, spec, survived)
        assert world.deaths == 1
        assert outcome(world) == outcome(unharmed), f"killed before write {survived}"


async def test_a_promotion_that_had_begun_is_finished_whatever_checks_say() -> None:
    world = World()
    await world.settle()
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(5)
    assert world.served == (50, 50)
    world.writes_left = 1
    world.witnesses.append(lambda kind, _old, _new: setattr(world, "success_rate", Value(0)))
    await world.tick()
    assert world.deaths == 1
    assert world.image("catalog-primary") == "catalog:2"
    assert world.phase == "Promoting"
