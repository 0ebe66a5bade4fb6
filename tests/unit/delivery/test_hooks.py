"""Hooks on a canary's way: each type at its point, agreeing and refusing, with Flagger's words."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from rollout.delivery.hooks.call import Agreed, HookType, Refused
from rollout.kube.objects import Object
from tests.unit.delivery.world import (
    INTERVAL,
    World,
    canary,
    deployment,
    initialized,
    shown,
)

_PROMOTED = ["Promoting 0", "Finalising 0", "Succeeded 0"]
_STEPS = [f"Progressing {weight}" for weight in (0, 20, 40)]


def hook(type_: str, name: str = "", **given: Any) -> Object:
    return {"name": name or type_, "type": type_, "url": f"http://tester/{type_}", **given}


async def world_with(*hooks: Object, **analysis: Any) -> World:
    spec = {"stepWeight": 20, "maxWeight": 40, "threshold": 2, "webhooks": list(hooks), **analysis}
    return await initialized(deployment(), canary(analysis=spec))


async def new_revision(world: World, ticks: int = 0) -> None:
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(ticks)


async def never_ready(world: World, image: str) -> None:
    """A revision whose pods never serve, up to its verdict."""
    world.stuck.add("catalog")
    world.new_image(image)
    await world.settle()
    world.report("catalog", available=0)
    world.now += timedelta(seconds=90)
    await world.settle()
    assert world.phase == "Failed"
    world.stuck.clear()


def called(world: World) -> list[str]:
    """The calls made, each as its name and the phase that it was told."""
    return [f"{call.name} {json.loads(call.body)['phase']}" for call in world.calls]


async def test_every_hook_at_its_point() -> None:
    types = [each.value for each in HookType if each is not HookType.EVENT]
    world = await world_with(
        *map(hook, types),
    )
    world.hooks["rollback"] = Refused("no")
    await new_revision(world, 6)
    assert list(shown(world)) == [*_STEPS, *_PROMOTED]
    assert called(world) == [
        "confirm-rollout Initialized",
        "rollback Progressing",
        "pre-rollout Progressing",
        "confirm-traffic-increase Progressing",
        "rollback Progressing",
        "rollout Progressing",
        "confirm-traffic-increase Progressing",
        "rollback Progressing",
        "rollout Progressing",
        "confirm-traffic-increase Progressing",
        "confirm-promotion Progressing",
        "post-rollout Succeeded",
    ]
    assert [event for event in world.events if not event.startswith("W ")] == [
        "New revision detected! Scaling up catalog.shop",
        "Rollback hook rollback not signaling a rollback",
        "Starting canary analysis for catalog.shop",
        "Pre-rollout check pre-rollout passed",
        "Confirm-traffic-increase check confirm-traffic-increase passed",
        "Advance catalog-release.shop canary weight 20",
        "Rollback hook rollback not signaling a rollback",
        "Confirm-traffic-increase check confirm-traffic-increase passed",
        "Advance catalog-release.shop canary weight 40",
        "Rollback hook rollback not signaling a rollback",
        "Confirm-traffic-increase check confirm-traffic-increase passed",
        "Confirm-promotion check confirm-promotion passed",
        "Copying catalog.shop template spec to catalog-primary.shop",
        "Routing all traffic to primary",
        "Promotion completed! Scaling down catalog.shop",
        "Post-rollout check post-rollout passed",
    ]
    assert world.alerts == [
        "info: New Deployment detected, initialization completed.",
        "info: New revision detected, progressing canary analysis.",
        "info: Canary analysis completed successfully, promotion finished.",
    ]


async def test_a_rollout_waits_for_approval_as_long_as_it_takes() -> None:
    world = await world_with(hook("confirm-rollout", "gate"))
    world.hooks["gate"] = Refused("Forbidden")
    await new_revision(world)
    assert list(shown(world)) == ["Waiting 0"]
    assert world.events == ["W Halt catalog-release.shop advancement waiting for approval gate"]
    assert world.alerts[-1] == "warn: Canary is waiting for approval."
    assert world.replicas() == 0
    await world.tick(3)
    assert called(world) == ["gate Initialized", *["gate Waiting"] * 3], "once an interval"
    assert len(world.events) == 1, "told once"
    world.hooks["gate"] = Agreed()
    await world.tick()
    assert world.phase == "Progressing"
    assert world.events[1:3] == [
        "Confirm-rollout check gate passed",
        "New revision detected! Scaling up catalog.shop",
    ]


async def test_looks_in_between_do_not_ask_again() -> None:
    world = await world_with(hook("confirm-rollout", "gate"))
    world.hooks["gate"] = Refused("Forbidden")
    await new_revision(world)
    for _ in range(5):
        world.now += INTERVAL / 10
        await world.settle()
    assert len(world.calls) == 1


@pytest.mark.parametrize(
    ("first", "back", "phase"),
    [("catalog:2", "catalog:1", "Succeeded"), ("catalog:bad", "catalog:bad", "Failed")],
)
async def test_a_revision_withdrawn_while_it_waits(first: str, back: str, phase: str) -> None:
    world = await world_with(hook("confirm-rollout", "gate"))
    if phase == "Failed":
        await never_ready(world, first)
    world.hooks["gate"] = Refused("Forbidden")
    world.new_image("catalog:other")
    await world.settle()
    assert world.phase == "Waiting"
    alerts = list(world.alerts)
    world.new_image(back)
    await world.settle()
    assert (world.phase, world.replicas(), world.alerts) == (phase, 0, alerts)
    await world.tick(2)
    assert world.phase == phase


async def test_a_promotion_waits_and_its_checks_go_on() -> None:
    world = await world_with(hook("confirm-promotion", "gate"), hook("rollout", "load"))
    world.hooks["gate"] = Refused("Forbidden")
    await new_revision(world, 3)
    assert list(shown(world)) == [*_STEPS, "WaitingPromotion 40"]
    assert world.served == (60, 40)
    assert world.alerts[-1] == "warn: Canary promotion is waiting for approval."
    before = len(world.queries)
    await world.tick(2)
    assert len(world.queries) > before
    assert called(world).count("gate Progressing") == 3
    halted = "W Halt catalog-release.shop advancement waiting for promotion approval gate"
    assert world.events.count(halted) == 1
    world.hooks["gate"] = Agreed()
    await world.tick(3)
    assert list(shown(world))[-3:] == _PROMOTED


async def test_a_gate_that_stays_closed_is_not_told_again() -> None:
    world = await world_with(hook("confirm-promotion", "gate"), hook("rollback", "panic"))
    world.hooks |= {"gate": Refused("Forbidden"), "panic": Refused("no")}
    await new_revision(world, 3)
    told = len(world.events)
    await world.tick(5)
    assert (world.phase, len(world.events)) == ("WaitingPromotion", told)


async def test_checks_of_a_promotion_that_waits_look_as_far_back_as_before() -> None:
    world = await world_with(hook("confirm-promotion", "gate"))
    world.hooks["gate"] = Refused("Forbidden")
    await new_revision(world, 3)
    assert "[1m]" in world.queries[-2]
    await world.tick(2)
    assert world.phase == "WaitingPromotion"
    assert "[1m]" in world.queries[-2]


async def test_checks_that_fail_while_a_promotion_waits_roll_it_back() -> None:
    world = await world_with(hook("confirm-promotion", "gate"), hook("rollout", "load"))
    world.hooks["gate"] = Refused("Forbidden")
    await new_revision(world, 3)
    world.hooks["load"] = Refused("connection refused")
    await world.tick(3)
    assert (world.phase, world.served) == ("Failed", (100, 0))
    assert world.alerts[-1] == "error: Failed checks threshold reached 2"


async def test_traffic_grows_only_as_far_as_somebody_lets_it() -> None:
    world = await world_with(hook("confirm-traffic-increase", "gate"))
    await new_revision(world, 1)
    world.hooks["gate"] = Refused("Forbidden")
    await world.tick(3)
    assert list(shown(world)) == _STEPS[:2]
    assert world.status["failedChecks"] == 0
    message = "W Halt catalog-release.shop advancement waiting for traffic increase approval gate"
    assert world.events.count(message) == 3, "told with every refusal, as Flagger does"
    assert world.alerts.count("warn: Canary traffic increase is waiting for approval.") == 3


async def test_checks_beside_gates_are_made_once_a_step() -> None:
    gates = [hook(each) for each in ("rollback", "rollout", "confirm-traffic-increase")]
    world = await world_with(*gates, stepWeight=10)
    world.hooks = {"rollback": Refused("no")}
    await new_revision(world, ticks=2)
    world.queries.clear()
    await world.tick()
    assert world.served == (70, 30)
    assert len(world.queries) == 2
    world.hanging = {"confirm-traffic-increase"}
    await world.tick()
    assert len(world.queries) == 4
    world.hanging.clear()
    await world.tick()
    assert len(world.queries) == 6, "an answer of an interval ago is none"
    assert world.served == (60, 40)


@pytest.mark.parametrize(
    ("type_", "halt", "ticks"),
    [
        ("pre-rollout", "pre-rollout check it failed broken", 3),
        ("rollout", "external check it failed broken", 4),
    ],
)
async def test_checks_by_hooks_count(type_: str, halt: str, ticks: int) -> None:
    world = await world_with(hook(type_, "it"))
    world.hooks["it"] = Refused("broken")
    await new_revision(world, ticks)
    assert (world.phase, world.served) == ("Failed", (100, 0))
    assert world.events.count(f"W Halt catalog-release.shop advancement {halt}") == 2
    assert world.image("catalog-primary") == "catalog:1"
    shares = {share for _, share in world.shares}
    assert shares == ({0} if type_ == "pre-rollout" else {0, 20})


_COUNTED = ("pre-rollout", "rollout")
# Counted from the new revision on: the looks at which a hook of each type is asked.
_ASKED = {
    "confirm-rollout": (0,),
    "pre-rollout": (1,),
    "rollout": (2, 3),
    "confirm-traffic-increase": (1, 2, 3),
    "confirm-promotion": (3,),
    "post-rollout": (6,),
}


@pytest.mark.parametrize(
    ("type_", "tick"), [(type_, tick) for type_ in _ASKED for tick in range(7)]
)
async def test_a_hook_that_fails_at_one_step_only_delays_it(type_: str, tick: int) -> None:
    world = await world_with(hook(type_, "it"))
    world.new_image("catalog:2")
    for now in range(9):
        world.hooks["it"] = Refused("broken") if now == tick else Agreed()
        await (world.tick() if now else world.settle())
    assert (world.phase, world.served) == ("Succeeded", (100, 0))
    hit = tick in _ASKED[type_]
    assert world.status["failedChecks"] == (1 if hit and type_ in _COUNTED else 0)
    order = [phase for phase, _ in world.columns]
    assert ("Waiting" in order) is (hit and type_ == "confirm-rollout")
    assert ("WaitingPromotion" in order) is (hit and type_ == "confirm-promotion")


async def test_a_failing_hook_is_a_condition_until_it_passes() -> None:
    world = await world_with(hook("rollout", "load"))
    await new_revision(world, 1)
    world.hooks["load"] = Refused("broken")
    await world.tick()
    blocked = world.condition("Blocked")
    assert blocked is not None
    assert blocked["reason"] == "HookFailed"
    assert "spec.analysis.webhooks[0]" in blocked["message"]
    world.hooks.clear()
    await world.tick()
    assert world.condition("Blocked") is None


async def test_hooks_that_act_are_called_in_order_up_to_the_first_failure() -> None:
    world = await world_with(
        hook("pre-rollout", "a"), hook("pre-rollout", "b"), hook("pre-rollout", "c")
    )
    world.hooks["b"] = Refused("broken")
    await new_revision(world, 1)
    assert called(world) == ["a Progressing", "b Progressing"]


@pytest.mark.parametrize("weight", [0, 20, 40])
async def test_a_hook_rolls_back_at_any_step(weight: int) -> None:
    world = await world_with(hook("rollback", "panic"))
    world.hooks["panic"] = Refused("no")
    await new_revision(world, weight // 20)
    assert world.weight == weight
    world.hooks["panic"] = Agreed()
    await world.tick()
    assert (world.phase, world.served, world.replicas()) == ("Failed", (100, 0), 0)
    assert world.events[-3:] == [
        "W Rollback check panic passed",
        "W Rolling back catalog-release.shop manual webhook invoked",
        "W Canary failed! Scaling down catalog-release.shop",
    ]
    assert world.alerts[-1] == "warn: Rolling back manual webhook invoked"


async def test_a_hook_rolls_back_a_promotion_that_waits() -> None:
    world = await world_with(hook("confirm-promotion", "gate"), hook("rollback", "panic"))
    world.hooks |= {"gate": Refused("no"), "panic": Refused("no")}
    await new_revision(world, 3)
    assert world.phase == "WaitingPromotion"
    world.hooks["panic"] = Agreed()
    await world.tick()
    assert world.phase == "Failed"


async def test_post_rollout_hooks_are_called_once_after_either_verdict() -> None:
    world = await world_with(hook("post-rollout", "tell"), hook("post-rollout", "too"))
    world.hooks["tell"] = Refused("gone")
    await never_ready(world, "catalog:2")
    await world.tick(2)
    assert called(world) == ["tell Failed"], "none after one that fails"
    assert world.events[-1] == "W Post-rollout hook tell failed gone"
    condition = world.condition("PostRollout")
    assert condition is not None
    assert (condition["status"], condition["reason"]) == ("False", "Failed")
    assert world.alerts[-1].startswith("error: Progress deadline exceeded ")
    world.hooks.clear()
    world.new_image("catalog:3")
    await world.settle()
    assert world.condition("PostRollout") is None
    await world.tick(6)
    assert called(world)[1:] == ["tell Succeeded", "too Succeeded"]


async def test_post_rollout_hooks_are_not_lost_with_the_process() -> None:
    world = await world_with(hook("post-rollout", "tell"))
    world.hanging.add("tell")
    await new_revision(world, 6)
    assert world.phase == "Succeeded"
    world.hanging.clear()
    world.restart()
    await world.settle()
    assert called(world) == ["tell Succeeded"]


async def test_skipping_the_analysis_asks_for_approval_and_tells_of_the_end() -> None:
    hooks = [hook("confirm-rollout"), hook("rollout"), hook("post-rollout")]
    world = await initialized(deployment(), canary(skipAnalysis=True, analysis={"webhooks": hooks}))
    await new_revision(world, 1)
    assert called(world) == ["confirm-rollout Initialized", "post-rollout Succeeded"]
    assert world.alerts[-1] == "info: Canary analysis was skipped, promotion finished."


@pytest.mark.parametrize("type_", [t.value for t in HookType if t is not HookType.EVENT])
async def test_nothing_moves_while_a_hook_hangs(type_: str) -> None:
    world = await world_with(hook(type_, "it"))
    if type_ == "rollback":
        world.hooks["it"] = Refused("no")
    world.hanging.add("it")
    await new_revision(world, 8)
    held = (world.phase, world.served)
    await world.tick(3)
    assert (world.phase, world.served) == held
    world.hanging.clear()
    await world.settle()
    await world.tick(8)
    assert world.phase == "Succeeded"


async def test_a_new_revision_makes_old_answers_void() -> None:
    world = await world_with(hook("rollout", "load"))
    await new_revision(world, 2)
    first = {call.body for call in world.calls}
    world.new_image("catalog:3")
    await world.settle()
    await world.tick(2)
    assert first.isdisjoint({call.body for call in world.calls[len(first) :]})
    checksums = {json.loads(call.body)["checksum"] for call in world.calls}
    assert len(checksums) == 2


async def test_a_muted_hook_alerts_nobody() -> None:
    world = await world_with(hook("confirm-rollout", "gate", muteAlert=True))
    world.hooks["gate"] = Refused("no")
    alerts = list(world.alerts)
    await new_revision(world)
    assert (world.phase, world.alerts) == ("Waiting", alerts)


@pytest.mark.parametrize("writes", range(12))
async def test_a_process_that_dies_goes_on_through_every_hook(writes: int) -> None:
    types = [each.value for each in HookType if each is not HookType.EVENT]
    world = await world_with(*map(hook, types))
    world.hooks["rollback"] = Refused("no")
    world.new_image("catalog:2")
    world.writes_left = writes
    for _ in range(9):
        await world.settle()
        world.now += INTERVAL
    assert world.deaths == 1
    assert world.phase == "Succeeded"
