"""Every step of every strategy: what the next is when checks pass, when they fail from there on, and when the target moves."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.judge.checks import Value
from tests.unit.delivery.world import World, canary, deployment, initialized, shown

_COUNTED = {"stepWeight": None, "maxWeight": None, "iterations": 2}
_MATCH = [{"headers": {"x": {"exact": "y"}}}]
_ENDS = ["Promoting 0", "Finalising 0", "Succeeded 0"]
WALKS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "weighted": (
        {"stepWeight": 20, "maxWeight": 40},
        ["Progressing 0", "Progressing 20", "Progressing 40", *_ENDS],
    ),
    "beyond the maximum": (
        {"stepWeight": 30, "maxWeight": 50},
        ["Progressing 0", "Progressing 30", "Progressing 60", *_ENDS],
    ),
    "listed": (
        {"stepWeight": None, "maxWeight": None, "stepWeights": [5, 50]},
        ["Progressing 0", "Progressing 5", "Progressing 50", *_ENDS],
    ),
    "and back in steps": (
        {"stepWeight": 50, "maxWeight": 50, "stepWeightPromotion": 25},
        ["Progressing 0", "Progressing 50", "Promoting 0", "Promoting 25", *_ENDS[1:]],
    ),
    "copies first": (
        {"stepWeight": 40, "maxWeight": 40, "mirror": True},
        ["Progressing 0", "Progressing 0", "Progressing 40", *_ENDS],
    ),
    "A/B": (
        _COUNTED | {"match": _MATCH},
        ["Progressing 0", "Progressing 100", "Progressing 100", *_ENDS],
    ),
    "blue/green": (
        _COUNTED,
        ["Progressing 0", "Progressing 0", "Progressing 0", "Progressing 100", *_ENDS],
    ),
}
STEPS = [
    pytest.param(analysis, step, id=f"{name}, step {step}")
    for name, (analysis, walk) in WALKS.items()
    for step in range(len(walk))
]


async def walked(analysis: dict[str, Any], steps: int) -> World:
    world = await initialized(deployment(), canary(analysis={"threshold": 1, **analysis}))
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(steps)
    return world


@pytest.mark.parametrize("name", WALKS)
async def test_a_tick_is_a_step(name: str) -> None:
    analysis, walk = WALKS[name]
    for steps, seen in enumerate(walk):
        world = await walked(analysis, steps)
        assert f"{world.phase} {world.weight}" == seen, f"after {steps} ticks"


@pytest.mark.parametrize(("analysis", "step"), STEPS)
async def test_checks_fail_from_a_step_on(analysis: dict[str, Any], step: int) -> None:
    world = await walked(analysis, step)
    was_promoted = world.image("catalog-primary") == "catalog:2"
    world.success_rate = Value(0)
    await world.tick(8)
    assert world.phase == ("Succeeded" if was_promoted else "Failed")
    assert world.image("catalog-primary") == ("catalog:2" if was_promoted else "catalog:1")
    assert (world.served, world.replicas()) == ((100, 0), 0)
    if not was_promoted:
        assert world.events[-2:] == [
            "W Rolling back catalog-release.shop failed checks threshold reached 1",
            "W Canary failed! Scaling down catalog-release.shop",
        ]


@pytest.mark.parametrize(("analysis", "step"), STEPS)
async def test_the_target_moves_at_a_step(analysis: dict[str, Any], step: int) -> None:
    world = await walked(analysis, step)
    promoting = world.image("catalog-primary") == "catalog:2"
    world.columns.clear()
    world.new_image("catalog:3")
    await world.look()
    if promoting and world.phase != "Progressing":
        assert world.phase in {"Promoting", "Finalising"}, "what has begun is finished first"
    else:
        assert (world.phase, world.served) == ("Progressing", (100, 0))
    await world.settle()
    await world.tick(16)
    assert (world.phase, world.image("catalog-primary")) == ("Succeeded", "catalog:3")
    assert list(shown(world)).count("Succeeded 0") == (
        2 if promoting and step < last(analysis) else 1
    )


def last(analysis: dict[str, Any]) -> int:
    """The step at which a walk has ended."""
    return next(len(walk) - 1 for given, walk in WALKS.values() if given == analysis)
