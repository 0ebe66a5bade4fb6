"""Tick by tick: what each strategy does at every step when all is well, and when the check of that step fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from rollout.api.kinds import CANARY, DEPLOYMENT, VIRTUAL_SERVICE
from rollout.delivery.phases.commands import COMMAND
from rollout.judge.checks import Value
from rollout.kube.objects import Object
from tests.unit.delivery.world import KEY, World, canary, deployment, initialized

NAME = "catalog-release.shop"
MATCH = [{"headers": {"cookie": {"regex": "^(.*?;)?(canary=always)(;.*)?$"}}}]
COUNTED = {"stepWeight": None, "maxWeight": None, "iterations": 2, "threshold": 2}


@dataclass(frozen=True)
class Tick:
    """After a tick: phase, weights of the requests that take part, mirrored or not, iterations, and what was told."""

    phase: str
    served: tuple[int, int]
    mirrored: bool
    iterations: int
    told: str
    checked: bool = True

    @property
    def shown(self) -> tuple[str, tuple[int, int], bool, int]:
        return self.phase, self.served, self.mirrored, self.iterations


def go(
    served: tuple[int, int], told: str, *, mirrored: bool = False, iterations: int = 0, **more: Any
) -> Tick:
    return Tick("Progressing", served, mirrored, iterations, told, **more)


BLUE, GREEN = (100, 0), (0, 100)
COPY = Tick(
    "Promoting", GREEN, False, 0, "Copying catalog.shop template spec to catalog-primary.shop"
)
BACK = Tick("Finalising", BLUE, False, 0, "Routing all traffic to primary", checked=False)
DONE = Tick(
    "Succeeded", BLUE, False, 0, "Promotion completed! Scaling down catalog.shop", checked=False
)


def counted(number: int) -> str:
    return f"Advance {NAME} canary iteration {number}/2"


def weight(number: int) -> str:
    return f"Advance {NAME} canary weight {number}"


STORIES: dict[str, tuple[dict[str, Any], list[Tick]]] = {
    "A/B": (
        COUNTED | {"match": MATCH},
        [
            go(GREEN, counted(1), iterations=1, checked=False),
            go(GREEN, counted(2), iterations=2),
            COPY,
            BACK,
            DONE,
        ],
    ),
    "blue/green": (
        dict(COUNTED),
        [
            go(BLUE, counted(1), iterations=1, checked=False),
            go(BLUE, counted(2), iterations=2),
            go(GREEN, "Routing all traffic to canary", iterations=3),
            COPY,
            BACK,
            DONE,
        ],
    ),
    "blue/green with copies": (
        COUNTED | {"mirror": True, "mirrorWeight": 20},
        [
            go(BLUE, counted(1), iterations=1, mirrored=True, checked=False),
            go(BLUE, counted(2), iterations=2, mirrored=True),
            go(GREEN, "Stop traffic mirroring and route all traffic to canary", iterations=3),
            COPY,
            BACK,
            DONE,
        ],
    ),
    "weighted with copies first": (
        {"stepWeight": 25, "mirror": True, "threshold": 2},
        [
            go(BLUE, weight(0), mirrored=True, checked=False),
            go((75, 25), weight(25)),
            go((50, 50), weight(50)),
            Tick("Promoting", (50, 50), False, 0, COPY.told),
            BACK,
            DONE,
        ],
    ),
    "weighted": (
        {"stepWeight": 25, "threshold": 2},
        [
            go((75, 25), weight(25), checked=False),
            go((50, 50), weight(50)),
            Tick("Promoting", (50, 50), False, 0, COPY.told),
            BACK,
            DONE,
        ],
    ),
    "weighted, matching requests only": (
        {
            "stepWeights": [30],
            "stepWeight": None,
            "maxWeight": None,
            "match": MATCH,
            "threshold": 2,
        },
        [
            go((70, 30), weight(30), checked=False),
            Tick("Promoting", (70, 30), False, 0, COPY.told),
            BACK,
            DONE,
        ],
    ),
    "A/B, back in steps": (
        COUNTED | {"match": MATCH, "stepWeightPromotion": 60},
        [
            go(GREEN, counted(1), iterations=1, checked=False),
            go(GREEN, counted(2), iterations=2),
            COPY,
            Tick(
                "Promoting", (60, 40), False, 0, f"Advance {NAME} primary weight 60", checked=False
            ),
            Tick("Finalising", BLUE, False, 0, f"Advance {NAME} primary weight 100", checked=False),
            DONE,
        ],
    ),
}
EVERY_STEP = [
    pytest.param(name, index, id=f"{name}, tick {index + 1}")
    for name, (_, ticks) in STORIES.items()
    for index in range(len(ticks))
]


def mirrored(world: World) -> bool:
    rule = world.need(VIRTUAL_SERVICE, "catalog")["spec"]["http"][0]
    return "mirror" in rule


def shown(world: World) -> tuple[str, tuple[int, int] | None, bool, int]:
    return world.phase, world.served, mirrored(world), int(world.status["iterations"])


async def begun(analysis: dict[str, Any], **spec: Any) -> World:
    world = await initialized(deployment(), canary(analysis=analysis, **spec))
    world.new_image("catalog:2")
    await world.settle()
    assert shown(world) == ("Progressing", BLUE, False, 0)
    world.events.clear()
    return world


@pytest.mark.parametrize("name", STORIES)
async def test_all_goes_well(name: str) -> None:
    analysis, ticks = STORIES[name]
    world = await begun(analysis)
    for number, tick in enumerate(ticks):
        world.events.clear()
        asked = len(world.queries)
        await world.tick()
        assert shown(world) == tick.shown, f"tick {number + 1}"
        assert tick.told in world.events
        assert (len(world.queries) > asked) is tick.checked
        assert ("Starting canary analysis for catalog.shop" in world.events) is (number == 0)
    assert world.image("catalog-primary") == "catalog:2"
    assert world.replicas() == 0
    assert world.weight == 0
    world.writes.clear()
    await world.tick(3)
    assert world.writes == []


@pytest.mark.parametrize(("name", "index"), EVERY_STEP)
async def test_the_check_of_a_step_fails(name: str, index: int) -> None:
    """Nothing moves at the first failure, everything goes back after the second; the primary is not touched."""
    analysis, ticks = STORIES[name]
    world = await begun(analysis)
    primary = world.need(DEPLOYMENT, "catalog-primary")["spec"]
    await world.tick(index)
    before = shown(world)
    world.success_rate = Value(50)
    await world.tick()
    if not ticks[index].checked:
        assert shown(world) == ticks[index].shown, "nothing was there to be judged"
        return
    assert shown(world) == before
    assert world.status["failedChecks"] == 1
    await world.tick(2)
    assert shown(world) == ("Failed", BLUE, False, 0)
    assert world.replicas() == 0
    assert world.need(DEPLOYMENT, "catalog-primary")["spec"] == primary


@pytest.mark.parametrize(("name", "index"), EVERY_STEP)
async def test_a_check_fails_once_and_the_step_is_made_later(name: str, index: int) -> None:
    analysis, ticks = STORIES[name]
    world = await begun(analysis)
    await world.tick(index)
    world.success_rate = Value(50)
    await world.tick()
    world.success_rate = Value(100)
    await world.tick(len(ticks) - index)
    assert world.phase == "Succeeded"


@pytest.mark.parametrize(("name", "index"), EVERY_STEP)
async def test_the_target_changes_at_a_step(name: str, index: int) -> None:
    """Before the verdict the analysis starts again; after it the promotion is finished first."""
    analysis, ticks = STORIES[name]
    world = await begun(analysis)
    await world.tick(index)
    deciding = world.phase == "Progressing"
    world.new_image("catalog:3")
    await world.look()
    if deciding:
        assert shown(world) == ("Progressing", BLUE, False, 0)
        assert world.image("catalog-primary") == "catalog:1"
    await world.settle()
    await world.tick(2 * len(ticks) + 2)
    assert world.phase == "Succeeded"
    assert world.image("catalog-primary") == "catalog:3"
    assert world.served == BLUE


@pytest.mark.parametrize(("name", "index"), EVERY_STEP)
async def test_somebody_meddles_with_the_routes_at_a_step(name: str, index: int) -> None:
    analysis, _ = STORIES[name]
    world = await begun(analysis)
    await world.tick(index)
    right = world.need(VIRTUAL_SERVICE, "catalog")["spec"]
    elsewhere: list[Object] = [{"route": [{"destination": {"host": "elsewhere"}}]}]
    world.change(VIRTUAL_SERVICE, "catalog", spec={"http": elsewhere})
    await world.settle()
    assert world.need(VIRTUAL_SERVICE, "catalog")["spec"] == right


@pytest.mark.parametrize(("name", "index"), EVERY_STEP)
async def test_people_promote_or_abort_at_a_step(name: str, index: int) -> None:
    analysis, _ = STORIES[name]
    for verb, phase, image in (
        ("promote", "Succeeded", "catalog:2"),
        ("abort", "Failed", "catalog:1"),
    ):
        world = await begun(analysis)
        await world.tick(index)
        if world.phase != "Progressing":
            return
        world.change(CANARY, KEY.name, metadata={"annotations": {COMMAND: f"{verb}@1"}})
        await world.settle()
        await world.tick(4)
        assert (world.phase, world.served, mirrored(world)) == (phase, BLUE, False)
        assert world.image("catalog-primary") == image
