"""Gates of every strategy: which step asks whom, and what a refusal keeps as it is."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.api.kinds import VIRTUAL_SERVICE
from rollout.delivery.hooks.call import Agreed, Refused
from rollout.judge.checks import Value
from rollout.kube.objects import Object
from tests.unit.delivery.strategies.test_ticks import COUNTED, MATCH, STORIES, mirrored, shown
from tests.unit.delivery.world import World, canary, deployment, initialized


def hook(type_: str) -> Object:
    return {"name": type_, "type": type_, "url": "http://gate.test/"}


async def begun(analysis: dict[str, Any], *types: str) -> World:
    hooks = {"webhooks": [hook(type_) for type_ in types]}
    world = await initialized(deployment(), canary(analysis=analysis | hooks))
    world.new_image("catalog:2")
    await world.settle()
    world.calls.clear()
    return world


ASKED = {
    "A/B": [[], [], ["confirm-promotion"]],
    "blue/green": [[], [], ["confirm-promotion"], ["confirm-promotion"]],
    "blue/green with copies": [[], [], ["confirm-promotion"], ["confirm-promotion"]],
    "weighted": [
        ["confirm-traffic-increase"],
        ["confirm-traffic-increase"],
        ["confirm-traffic-increase", "confirm-promotion"],
    ],
    "weighted with copies first": [
        ["confirm-traffic-increase"],
        ["confirm-traffic-increase"],
        ["confirm-traffic-increase"],
        ["confirm-traffic-increase", "confirm-promotion"],
    ],
}


@pytest.mark.parametrize("name", ASKED)
async def test_who_is_asked_before_each_step(name: str) -> None:
    analysis, _ = STORIES[name]
    world = await begun(analysis, "confirm-traffic-increase", "confirm-promotion")
    asked = []
    while world.phase == "Progressing":
        world.calls.clear()
        await world.tick()
        asked.append([str(call.type) for call in world.calls])
    assert asked == ASKED[name]


@pytest.mark.parametrize("name", ASKED)
async def test_a_promotion_that_is_not_approved_keeps_everything_and_goes_on_being_judged(
    name: str,
) -> None:
    analysis, _ = STORIES[name]
    world = await begun(analysis, "confirm-promotion")
    world.hooks["confirm-promotion"] = Refused("not yet")
    before = shown(world)
    while world.phase == "Progressing":
        before = shown(world)
        await world.tick()
    assert shown(world) == ("WaitingPromotion", *before[1:])
    asked = len(world.queries)
    await world.tick(3)
    assert shown(world) == ("WaitingPromotion", *before[1:])
    assert len(world.queries) >= asked + 3 * 2, "both checks at every tick"
    world.hooks["confirm-promotion"] = Agreed()
    await world.tick(4)
    assert world.phase == "Succeeded"
    assert world.image("catalog-primary") == "catalog:2"


@pytest.mark.parametrize(
    "analysis", [COUNTED, COUNTED | {"match": MATCH}, COUNTED | {"mirror": True}]
)
async def test_a_bad_revision_is_rolled_back_while_its_promotion_waits(
    analysis: dict[str, Any],
) -> None:
    world = await begun(analysis, "confirm-promotion")
    world.hooks["confirm-promotion"] = Refused("not yet")
    await world.tick(3)
    assert world.phase == "WaitingPromotion"
    world.success_rate = Value(0)
    await world.tick(3)
    assert world.phase == "Failed"
    assert (world.served, mirrored(world)) == ((100, 0), False)
    assert world.replicas() == 0


@pytest.mark.parametrize(("ready", "goes_on"), [(1, False), (2, True)])
async def test_thresholds_of_readiness(ready: int, goes_on: bool) -> None:
    """Half of four pods are enough where the canary says so, one is not."""
    thresholds = {"canaryReadyThreshold": 50, "primaryReadyThreshold": 50}
    world = await initialized(deployment(replicas=4), canary(analysis=thresholds))
    world.stuck = {"catalog", "catalog-primary"}
    world.new_image("catalog:2")
    await world.look()
    world.report("catalog", available=ready)
    world.report("catalog-primary", available=ready)
    await world.tick()
    rule = world.need(VIRTUAL_SERVICE, "catalog")["spec"]["http"][0]
    assert rule["route"][1]["weight"] == (10 if goes_on else 0)
    if not goes_on:
        assert "(readyThreshold 50%)" in world.events[-1]
