"""The series that dashboards made for Flagger read, through a promotion and a rollback."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.api.kinds import CANARY
from rollout.judge.checks import Value
from tests.unit.delivery.world import KEY, World, canary, deployment, initialized

TARGET = {"name": "catalog", "namespace": "shop"}


def value(world: World, series: str, /, **labels: str) -> float | None:
    return world.registry.get_sample_value(series, labels)


async def test_flaggers_series() -> None:
    world = await initialized()
    assert value(world, "flagger_canary_total", namespace="shop") == 1
    assert value(world, "flagger_canary_status", **TARGET) == 1
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    assert value(world, "flagger_canary_status", **TARGET) == 0
    assert value(world, "flagger_canary_weight", workload="catalog", namespace="shop") == 20
    primary = {"workload": "catalog-primary", "namespace": "shop"}
    assert value(world, "flagger_canary_weight", **primary) == 80
    metric = {"metric": "request-success-rate", **TARGET}
    assert value(world, "flagger_canary_metric_analysis", **metric) == 100
    await world.tick(6)
    outcome = {"deployment_strategy": "canary", "analysis_status": "completed", **TARGET}
    assert value(world, "flagger_canary_successes_total", **outcome) == 1
    world.new_image("catalog:3")
    world.success_rate = Value(1)
    await world.settle()
    await world.tick(6)
    assert value(world, "flagger_canary_status", **TARGET) == 2
    assert value(world, "flagger_canary_failures_total", **outcome) == 1
    looks = value(world, "flagger_canary_duration_seconds_count", **TARGET)
    assert looks is not None
    assert looks > 10


async def test_the_series_of_a_canary_end_with_it() -> None:
    world = await initialized()
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    metric = {"metric": "request-duration", **TARGET}
    assert value(world, "flagger_canary_metric_analysis", **metric) == 12
    world.remove(CANARY, KEY.name)
    await world.look()
    assert value(world, "flagger_canary_metric_analysis", **metric) is None
    assert value(world, "flagger_canary_total", namespace="shop") == 0
    assert value(world, "flagger_canary_status", **TARGET) is None
    assert value(world, "flagger_canary_weight", workload="catalog", namespace="shop") is None


@pytest.mark.parametrize(
    ("analysis", "label"),
    [({}, "ab-testing"), ({"match": None}, "blue-green"), ({"skip": True}, "blue-green")],
)
async def test_successes_by_strategy(analysis: dict[str, Any], label: str) -> None:
    skipped = analysis.pop("skip", False)
    match = [{"headers": {"x": {"exact": "y"}}}] if not skipped else None
    counted = {"stepWeight": None, "iterations": 1, "match": match, **analysis}
    world = await initialized(deployment(), canary(analysis=counted, skipAnalysis=skipped))
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(6)
    how = "skipped" if skipped else "completed"
    outcome = {"deployment_strategy": label, "analysis_status": how, **TARGET}
    assert value(world, "flagger_canary_successes_total", **outcome) == 1
