"""What people ask of a canary by its annotation, told as they see it; and what the status keeps for them."""

from __future__ import annotations

import pytest

from rollout.api.canary.status import Phase
from rollout.api.kinds import CANARY
from rollout.delivery.hooks.call import Refused
from rollout.delivery.phases.commands import COMMAND, Verb, possible, refusal
from rollout.delivery.status import Status
from rollout.judge.checks import NoData, Value
from rollout.kube.objects import Object
from tests.unit.delivery.world import KEY, World, canary, deployment, initialized


async def command(world: World, text: str) -> Object:
    """Ask, and answer what became of it."""
    world.change(CANARY, KEY.name, metadata={"annotations": {COMMAND: text}})
    await world.settle()
    answer: Object = world.status.get("command") or {}
    return answer


async def progressing(weight: int = 20) -> World:
    world = await initialized()
    world.new_image("catalog:2")
    await world.settle()
    while world.weight < weight:
        await world.tick()
    world.events.clear()
    return world


async def test_abort_rolls_back_once() -> None:
    world = await progressing()
    answer = await command(world, "abort@1")
    assert (answer["id"], answer["done"]) == ("abort@1", True)
    assert world.phase == "Failed"
    assert world.served == (100, 0)
    assert world.replicas() == 0
    assert world.image("catalog-primary") == "catalog:1"
    told = "Rolling back catalog-release.shop aborted by command"
    assert world.events == [
        f"W [Aborted] {told}",
        "W Canary failed! Scaling down catalog-release.shop",
    ]
    assert world.status["history"][-1]["reason"] == told
    world.writes.clear()
    await world.tick(3)
    assert world.writes == [], "the same annotation is answered once"


async def test_promote_skips_the_rest_of_the_analysis() -> None:
    world = await progressing()
    world.success_rate = Value(0.0)
    assert (await command(world, "promote@1"))["done"]
    await world.tick(3)
    assert world.phase == "Succeeded"
    assert world.image("catalog-primary") == "catalog:2"
    assert "[Promoted] Promotion of catalog.shop asked for by command" in world.events


async def test_promote_keeps_the_share_while_the_primary_rolls() -> None:
    world = await progressing()
    world.stuck.add("catalog-primary")
    await command(world, "promote@1")
    assert (world.phase, world.weight, world.served) == ("Promoting", 20, (80, 20))
    world.stuck.clear()
    await world.tick(3)
    assert (world.phase, world.served) == ("Succeeded", (100, 0))


@pytest.mark.parametrize(
    "gate", ["confirm-rollout", "confirm-traffic-increase", "confirm-promotion"]
)
async def test_promote_passes_every_gate(gate: str) -> None:
    hooks = [{"name": gate, "type": gate, "url": "http://tester/gate"}]
    world = await initialized(deployment(), canary(analysis={"webhooks": hooks}))
    world.hooks[gate] = Refused("not yet")
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(8)
    assert world.phase in {"Waiting", "Progressing", "WaitingPromotion"}
    await command(world, "promote@1")
    await world.tick(3)
    assert world.status["command"]["done"]
    assert (world.phase, world.image("catalog-primary")) == ("Succeeded", "catalog:2")


async def test_abort_of_what_waits_to_begin_leaves_everything() -> None:
    hooks = [{"name": "gate", "type": "confirm-rollout", "url": "http://tester/gate"}]
    world = await initialized(deployment(), canary(analysis={"webhooks": hooks}))
    world.hooks["gate"] = Refused("not yet")
    world.new_image("catalog:2")
    await world.settle()
    assert world.phase == "Waiting"
    assert (await command(world, "abort@1"))["done"]
    assert (world.phase, world.served, world.replicas()) == ("Failed", (100, 0), 0)
    await world.tick(3)
    assert world.phase == "Failed"


COUNTED: Object = {"stepWeight": None, "maxWeight": None, "iterations": 4}
MATCH = [{"headers": {"cookie": {"exact": "canary"}}}]


@pytest.mark.parametrize(
    "analysis",
    [COUNTED, {**COUNTED, "match": MATCH}, {**COUNTED, "mirror": True}, {"mirror": True}],
    ids=["blue/green", "A/B", "blue/green with mirroring", "weighted with mirroring"],
)
@pytest.mark.parametrize(("verb", "end"), [("promote", "Succeeded"), ("abort", "Failed")])
async def test_every_strategy_can_be_steered(analysis: Object, verb: str, end: str) -> None:
    world = await initialized(deployment(), canary(analysis=analysis))
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    assert world.phase == "Progressing"
    assert (await command(world, f"{verb}@1"))["done"]
    await world.tick(4)
    assert (world.phase, world.replicas()) == (end, 0)
    image = "catalog:2" if verb == "promote" else "catalog:1"
    assert world.image("catalog-primary") == image


async def test_promote_waits_for_the_pods_and_is_then_answered() -> None:
    world = await initialized()
    world.stuck.add("catalog")
    world.new_image("catalog:2")
    await world.settle()
    assert await command(world, "promote@1") == {}
    assert world.phase == "Progressing"
    world.stuck.clear()
    await world.settle()
    assert world.status["command"]["done"]
    assert world.phase in {"Promoting", "Finalising"}


async def test_promote_is_not_for_a_revision_that_nobody_asked_about() -> None:
    world = await progressing()
    world.change(CANARY, KEY.name, metadata={"annotations": {COMMAND: "promote@1"}})
    world.new_image("catalog:3")
    await world.settle()
    answer = world.status["command"]
    assert not answer["done"]
    assert "another revision" in answer["message"]
    assert (world.phase, world.weight) == ("Progressing", 0)


async def test_retry_runs_the_failed_revision_again() -> None:
    world = await progressing()
    await command(world, "abort@1")
    assert (await command(world, "retry@2"))["done"]
    assert world.phase == "Progressing"
    await world.tick(8)
    assert world.phase == "Succeeded"
    assert [run["phase"] for run in world.status["history"]] == [
        "Initialized",
        "Failed",
        "Succeeded",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("abort@1", "cannot abort catalog-release.shop: it is Initialized (nothing is to be asked"),
        ("promote@1", "cannot promote catalog-release.shop: it is Initialized"),
        ("retry@1", "cannot retry catalog-release.shop: it is Initialized"),
        ("dance@1", "'dance@1' is not one of promote, abort, retry"),
        ("abort", "'abort' is not one of"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_reason(text: str, reason: str) -> None:
    world = await initialized()
    answer = await command(world, text)
    assert not answer["done"]
    assert reason in answer["message"]
    assert world.events == [f"W [CommandRefused] {answer['message']}"]
    assert world.phase == "Initialized"


async def test_a_failed_canary_back_at_the_promoted_revision_has_nothing_to_retry() -> None:
    world = await progressing()
    await command(world, "abort@1")
    world.new_image("catalog:1")
    await world.settle()
    answer = await command(world, "retry@2")
    assert not answer["done"]
    assert "promoted last" in answer["message"]


@pytest.mark.parametrize("phase", list(Phase))
def test_a_refusal_says_what_is_possible(phase: Phase) -> None:
    for verb in Verb:
        said = refusal(verb, "a.b", phase)
        assert bool(said) == (verb not in possible(phase))
        assert all(each in said for each in possible(phase)) or not said


async def test_the_status_keeps_the_last_steps_and_rollouts() -> None:
    world = await progressing()
    world.success_rate, world.duration = Value(69.1744), NoData("no such series")
    await world.tick()
    steps = world.status["analysis"]
    assert [(step["weight"], step["advanced"]) for step in steps] == [(10, True), (20, False)]
    assert steps[-1]["checks"] == [
        {
            "metric": "request-success-rate",
            "verdict": "Failed",
            "value": "69.1744",
            "threshold": ">= 99",
            "message": "success rate 69.17% < 99%",
        },
        {
            "metric": "request-duration",
            "verdict": "NoData",
            "threshold": "<= 500",
            "message": "no such series",
        },
    ]
    await world.tick(5)
    assert len(world.status["analysis"]) == 5
    last = world.status["history"][-1]
    assert last["phase"] == "Failed"
    assert last["reason"].endswith("threshold reached 5: success rate 69.17% < 99%")
    written = Status.parse(world.status).dump()
    assert {name: value for name, value in written.items() if value is not None} == world.status

    for number in range(12):
        world.new_image(f"catalog:{number + 10}")
        await world.settle()
    assert len(world.status["history"]) == 10
    assert [run["phase"] for run in world.status["history"][-2:]] == ["Superseded", "Progressing"]
