"""A canary whose service is broken on purpose: by others, which does not count, and by experiments of its own analysis."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from rollout.api.chaos import RUN_ANNOTATION
from rollout.api.kinds import CHAOS_EXPERIMENT
from rollout.delivery.experiments import Experiment, undisturbed
from rollout.judge.checks import Value
from rollout.judge.trials import Observation, Observed, Source
from rollout.kube.objects import Object, annotations_of
from tests.unit.delivery.world import INTERVAL, KEY, World, canary, deployment, initialized


def chaos(name: str = "slow", arm: str = "all", **status: Any) -> Object:
    return {
        "apiVersion": "chaos.rollout.dev/v1alpha1",
        "kind": "ChaosExperiment",
        "metadata": {"name": name, "namespace": KEY.namespace},
        "spec": {"target": {"service": "catalog", "arm": arm}, "duration": "30s"},
        "status": status,
    }


def show(world: World, **status: Any) -> None:
    """The chaos controller writes a status."""
    current = world.get(CHAOS_EXPERIMENT, "slow") or chaos()
    moments = {
        key: value.isoformat() if isinstance(value, datetime) else value
        for key, value in status.items()
    }
    world.put({**current, "status": {**(current.get("status") or {}), **moments}})


async def under_analysis(*objects: Object) -> World:
    world = await initialized(*objects)
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    assert world.weight == 20
    return world


async def test_checks_do_not_count_while_somebody_breaks_the_service() -> None:
    world = await under_analysis()
    show(world, phase="Running", injectedAt=world.now)
    world.success_rate = Value(40.0)
    asked = len(world.queries)
    await world.tick(10)
    assert world.phase == "Progressing"
    assert world.weight == 20
    assert world.status["failedChecks"] == 0
    assert len(world.queries) == asked
    blocked = world.condition("Blocked")
    assert blocked is not None
    assert (blocked["status"], blocked["reason"]) == ("True", "Chaos")
    halted = [event for event in world.events if "shop/slow breaks its service" in event]
    assert len(halted) == 1


async def test_after_the_fault_only_what_came_since_is_measured() -> None:
    world = await under_analysis()
    show(world, phase="Running", injectedAt=world.now)
    await world.tick()
    world.success_rate = Value(100.0)
    ended = world.now + timedelta(seconds=5)
    show(world, phase="Completed", recoveredAt=ended)
    world.now = ended + INTERVAL - timedelta(seconds=1)
    asked = len(world.queries)
    await world.settle()
    assert len(world.queries) == asked, "less than an interval since it ended"
    world.now = ended + 2 * INTERVAL
    await world.settle()
    assert world.weight == 30
    windows = {query.partition("[")[2].partition("]")[0] for query in world.queries[asked:]}
    assert windows == {"45s", "30s"}, "the minute of one metric would reach back into the fault"


@pytest.mark.parametrize(
    ("verdict", "phase"), [("Pass", "Completed"), ("Fail", "Aborted"), ("Error", "Error")]
)
async def test_the_analysis_runs_its_experiments_once_and_the_revision_must_withstand_them(
    verdict: str, phase: str
) -> None:
    own = canary(analysis={"chaos": [{"name": "slow"}]})
    world = await initialized(deployment(), own, chaos())
    world.new_image("catalog:2")
    await world.settle()
    await world.tick()
    request = annotations_of(world.need(CHAOS_EXPERIMENT, "slow"))[RUN_ANNOTATION]
    assert request.startswith("catalog-release/2026-01-20T")
    show(world, phase="Running", runRequest=request, injectedAt=world.now)
    await world.tick(12)
    assert world.weight == 50, "it advances while the experiment runs, but is not promoted"
    assert world.phase == "Progressing"
    assert world.writes.count("ChaosExperiment/slow") == 1
    show(world, phase=phase, verdict=verdict, reason="so it is", recoveredAt=world.now)
    await world.tick(10)
    assert world.phase == ("Succeeded" if verdict == "Pass" else "Failed")
    if verdict != "Pass":
        said = f"ChaosExperiment shop/slow ended with {verdict}: so it is"
        assert any(said in event for event in world.events)


async def test_an_experiment_that_is_not_there_is_a_failed_check() -> None:
    world = await initialized(deployment(), canary(analysis={"chaos": [{"name": "nope"}]}))
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    assert any("there is no ChaosExperiment nope" in event for event in world.events)
    assert world.status["failedChecks"] == 1


async def test_an_experiment_on_one_version_only_is_no_comparison() -> None:
    own = canary(analysis={"chaos": [{"name": "slow"}]})
    world = await initialized(deployment(), own, chaos(arm="canary"))
    world.new_image("catalog:2")
    await world.settle()
    await world.tick(2)
    assert any("breaks one version only" in event for event in world.events)


def test_what_the_judge_saw_under_a_fault_is_left_out() -> None:
    at = datetime.fromisoformat("2026-01-20T22:00:00+00:00")
    looks = tuple(
        Observation(at + timedelta(seconds=second), source, {})
        for second in range(0, 60, 10)
        for source in (Source.PROXIES, Source.PROMETHEUS)
    )
    over = chaos(
        phase="Completed",
        injectedAt=(at + timedelta(seconds=10)).isoformat(),
        recoveredAt=(at + timedelta(seconds=25)).isoformat(),
    )
    left = undisturbed(Observed(looks), [Experiment.of(over)]).looks
    seconds = {source: [] for source in Source}  # type: dict[Source, list[int]]
    for look in left:
        seconds[look.source].append(int((look.at - at).total_seconds()))
    assert seconds[Source.PROXIES] == [0, 30, 40, 50]
    assert seconds[Source.PROMETHEUS] == [0, 50]
