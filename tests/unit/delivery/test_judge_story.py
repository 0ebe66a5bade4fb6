"""Playbooks of canaries that are judged sequentially: decided when the evidence is there, and not before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rollout.api.kinds import CANARY
from rollout.delivery.hooks.call import Refused
from rollout.judge.checks import Value
from rollout.judge.sequential import Arm, Evidence, Reading, Tick
from rollout.judge.trials import FAILED, SLOW, Observation, Source
from tests.unit.delivery.world import INTERVAL, KEY, World, canary, deployment, initialized, shown

SECOND = timedelta(seconds=1)
MINIMUM = timedelta(seconds=10)


def judged(**judge: Any) -> dict[str, Any]:
    metrics = [{"name": FAILED, "thresholdRange": {"min": 90}, "interval": "1m"}]
    return {"judge": {"method": "sequential", **judge}, "metrics": metrics}


async def analysing(**judge: Any) -> World:
    """A canary with a tenth of the traffic, and a minute of the primary's past known."""
    world = await initialized(deployment(), canary(analysis=judged(**judge)))
    world.settings = world.settings.__class__(minimum_interval=MINIMUM)
    world.restart()
    world.new_image("catalog:2")
    await world.settle()
    await seconds(world, 45, canary=(0, 0))
    assert world.weight == 10
    return world


async def seconds(
    world: World, count: int, canary: tuple[int, int] = (0, 10), primary: tuple[int, int] = (0, 90)
) -> None:
    """So many seconds of (bad, all) requests of each arm, with a look after each, as long as the phase lasts."""
    phase = world.phase
    for _ in range(count):
        world.now += SECOND
        see(world, Tick.of(canary, primary))
        await world.settle()
        if world.phase != phase:
            return


def see(world: World, evidence: Evidence, metric: str = FAILED) -> None:
    world.looks.append(Observation(world.now, Source.PROXIES, {metric: (evidence,)}))


async def test_a_bad_canary_is_rolled_back_within_the_interval_with_the_reason() -> None:
    world = await analysing()
    began = world.now
    await seconds(world, 60, canary=(1, 10))
    assert world.phase == "Failed"
    assert world.now - began < timedelta(seconds=15) < INTERVAL
    assert world.served == (100, 0)
    rolled = next(event for event in world.events if "Rolling back" in event)
    assert "judged worse: request-success-rate: worse: failed requests: canary " in rolled
    assert "(10 %), primary 0 of " in rolled
    assert "evidence " in rolled
    judge = world.status["judge"]
    assert judge["verdict"] == "Worse"
    assert judge["source"] == "proxies"
    (metric,) = judge["metrics"]
    assert metric["canary"].startswith(f"{metric['canary'].split()[0]} of ")
    assert "state" not in metric, "nothing is gone on from"
    assert (world.condition("Judged") or {})["status"] == "False"
    assert world.status["history"][-1]["reason"].startswith("Rolling back")
    assert "Judged worse" in world.alerts[-1]
    assert world.trial is None, "nobody watches any more"


async def test_a_good_canary_steps_before_the_interval_is_over_but_not_at_once() -> None:
    world = await analysing(tolerance=0.05)
    began, steps = world.now, len(world.columns)
    await seconds(world, 9)
    assert world.weight == 10, "the proxies need a moment"
    await seconds(world, 9)
    assert world.now - began < INTERVAL
    assert world.weight == 20
    assert any("Judged not worse" in event for event in world.events)
    assert list(shown(world))[steps:] == ["Progressing 20"]


async def test_each_step_needs_evidence_of_its_own() -> None:
    world = await analysing(tolerance=0.05)
    await seconds(world, 15)
    assert world.weight == 20
    since = world.now
    await seconds(world, 60, canary=(0, 0))
    assert world.weight == 20, "no request says anything of the new step"
    assert world.now - since == timedelta(seconds=60)
    await seconds(world, 15, canary=(0, 20), primary=(0, 80))
    assert world.weight > 20


async def test_too_little_traffic_is_said_to_be_too_little() -> None:
    world = await analysing()
    await seconds(world, 50, canary=(0, 0))
    judged = world.condition("Judged") or {}
    assert (judged["status"], judged["reason"]) == ("Unknown", "TooLittleTraffic")
    assert "no request reached the canary in this step" in judged["message"]
    halts = [event for event in world.events if "undecided" in event]
    assert len(halts) == 1, "once an interval"
    assert world.status["failedChecks"] == 0


async def test_how_much_is_missing_is_said() -> None:
    world = await analysing()
    await seconds(world, 8)
    message = world.status["judge"]["message"]
    assert "more canary requests to a decision" in message
    assert "at 10 requests a second" in message
    assert world.status["judge"]["metrics"][0]["more"] > 100


@pytest.mark.parametrize(
    ("policy", "phase", "weight"), [("rollback", "Failed", 0), ("promote", "Progressing", 20)]
)
async def test_what_stays_undecided_ends_as_the_canary_says(
    policy: str, phase: str, weight: int
) -> None:
    world = await analysing(maxDuration="2m", onInconclusive=policy)
    await seconds(world, 119, canary=(0, 1))
    assert world.weight == 10
    await seconds(world, 1, canary=(0, 1))
    assert (world.phase, world.weight) == (phase, weight)
    assert any("undecided after maxDuration 2m" in event for event in world.events)


async def test_a_pause_waits_for_evidence() -> None:
    world = await analysing(maxDuration="2m")
    await seconds(world, 200, canary=(0, 1))
    assert (world.phase, world.weight) == ("Progressing", 10)
    blocked = world.condition("Blocked") or {}
    assert blocked["reason"] == "Inconclusive"
    assert "promote or roll back by hand" in blocked["message"]
    assert sum("inconclusive" in each or "undecided" in each for each in world.alerts) == 1
    await seconds(world, 60)
    assert world.weight > 10
    assert world.condition("Blocked") is None


async def test_no_evidence_is_a_condition_and_no_failed_check() -> None:
    world = await analysing()
    world.trouble = "no proxy of 2 pods of catalog-primary answers at port 15090"
    for _ in range(50):
        world.now += SECOND
        await world.settle()
    blocked = world.condition("Blocked") or {}
    assert blocked["reason"] == "NoEvidence"
    assert "answers at port 15090" in blocked["message"]
    assert world.status["failedChecks"] == 0
    assert world.weight == 10


async def test_a_killed_process_loses_at_most_seconds_of_evidence() -> None:
    world = await analysing()
    await seconds(world, 6)
    counted = world.status["judge"]["metrics"][0]["state"]
    world.restart()
    await world.settle()
    assert world.status["judge"]["metrics"][0]["state"] == counted
    assert world.trial is not None, "it is watched again"
    await seconds(world, 60, canary=(1, 10))
    assert world.phase == "Failed"


@pytest.mark.parametrize("baseline", ["primary", "fresh"])
async def test_a_rollback_that_was_killed_is_not_taken_back(baseline: str) -> None:
    for survived in range(12):
        world = await analysing(baseline=baseline)
        before = len(world.shares)
        world.writes_left = survived
        await seconds(world, 60, canary=(1, 10))
        assert world.phase == "Failed"
        assert world.shares[before:] == [(100, 0)], f"killed before write {survived}"


async def test_the_status_is_written_every_few_seconds_only() -> None:
    world = await analysing()
    world.writes.clear()
    await seconds(world, 40)
    assert len(world.writes) <= 40 / 5 + 1


async def test_requests_before_the_first_step_are_not_the_canarys() -> None:
    world = await initialized(deployment(), canary(analysis=judged()))
    world.new_image("catalog:2")
    await world.settle()
    await seconds(world, 40, canary=(10, 10))
    assert world.phase == "Progressing", "a hook may break what it tries"


async def test_thresholds_of_other_metrics_are_checked_once_an_interval() -> None:
    analysis = judged(tolerance=0.05)
    analysis["metrics"].append({"name": "errors", "query": "x", "thresholdRange": {"max": 1}})
    world = await initialized(deployment(), canary(analysis=analysis))
    world.settings = world.settings.__class__(minimum_interval=MINIMUM)
    world.restart()
    world.new_image("catalog:2")
    await world.settle()
    await seconds(world, 45, canary=(0, 0))
    world.custom = Value(7.0)
    await seconds(world, 45 * 3 + 30)
    assert world.status["failedChecks"] == 4, (
        "the first when the judge was sure, then each interval"
    )
    await seconds(world, 45)
    assert world.phase == "Failed"
    assert all("istio_requests_total" not in query for query in world.queries)


async def test_gates_are_asked_beside_the_judge() -> None:
    analysis = judged(tolerance=0.05)
    gate = {"name": "gate", "type": "confirm-traffic-increase", "url": "http://gate/"}
    world = await initialized(deployment(), canary(analysis={**analysis, "webhooks": [gate]}))
    world.new_image("catalog:2")
    await world.settle()
    await seconds(world, 45, canary=(0, 0))
    assert world.weight == 10
    world.hooks["gate"] = Refused("closed")
    await seconds(world, 40)
    assert world.weight == 10
    assert any("waiting for traffic increase approval gate" in event for event in world.events)


async def test_with_all_requests_there_is_nobody_to_compare_with() -> None:
    world = await initialized(
        deployment(),
        canary(analysis={**judged(tolerance=0.05), "stepWeight": 50, "maxWeight": 100}),
    )
    world.new_image("catalog:2")
    await world.settle()
    await seconds(world, 45, canary=(0, 0))
    await seconds(world, 45, canary=(0, 50), primary=(0, 50))
    assert world.weight == 100
    await seconds(world, 60, canary=(0, 100), primary=(0, 0))
    assert world.phase == "Promoting"


async def test_slow_requests_are_judged_by_edges() -> None:
    analysis = judged()
    analysis["metrics"] = [{"name": SLOW, "thresholdRange": {"max": 500}}]
    world = await initialized(deployment(), canary(analysis=analysis))
    world.new_image("catalog:2")
    await world.settle()
    assert world.trial is not None
    edges = len(world.trial.edges)
    fast, slow = (0,) * edges, tuple(3 if i < 4 else 0 for i in range(edges))
    for second in range(120):
        world.now += SECOND
        canarys = Arm(0, fast) if second < 45 else Arm(10, slow)
        see(world, Tick(canarys, Arm(90, fast)), SLOW)
        await world.settle()
        if world.phase == "Failed":
            break
    assert world.phase == "Failed"
    rolled = next(event for event in world.events if "Rolling back" in event)
    assert "requests slower than " in rolled


async def test_any_number_is_compared_by_its_mean_and_marked_as_an_approximation() -> None:
    analysis = judged()
    query = 'cpu{app="{{ target }}"}'
    analysis["metrics"].append({"name": "cpu", "query": query, "direction": "increase"})
    world = await initialized(deployment(), canary(analysis=analysis))
    world.new_image("catalog:2")
    await world.settle()
    assert world.trial is not None
    (number,) = world.trial.numbers
    assert (number.canary.query, number.reference.query) == (
        'cpu{app="catalog"}',
        'cpu{app="catalog-primary"}',
    )
    for second in range(300):
        world.now += SECOND
        see(world, Tick.of((0, 10 if second > 45 else 0), (0, 90)))
        if second % 5 == 0:
            wobble = (second * 7 % 10) / 100
            see(world, Reading(2.0 + wobble, 1.0 - wobble), "cpu")
        await world.settle()
        if world.phase == "Failed":
            break
    assert world.phase == "Failed"
    rolled = next(event for event in world.events if "Rolling back" in event)
    assert "cpu: worse: mean" in rolled
    assert "an approximation" in rolled


async def test_a_query_that_is_the_same_for_both_arms_is_named() -> None:
    analysis = judged()
    analysis["metrics"].append({"name": "cpu", "query": "cpu", "direction": "increase"})
    world = await initialized(deployment(), canary(analysis=analysis))
    world.new_image("catalog:2")
    await world.settle()
    await seconds(world, 100, canary=(0, 0))
    blocked = world.condition("Blocked") or {}
    assert "spec.analysis.metrics[1].query" in blocked["message"]
    assert "does not name {{ target }}" in blocked["message"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param({"provider": "kubernetes"}, "spec.analysis.judge", id="nothing routes"),
    ],
)
async def test_a_judge_that_cannot_be_had_is_refused_not_ignored(
    spec: dict[str, Any], words: str
) -> None:
    world = World(deployment(), canary(**{"analysis": judged(), **spec}))
    await world.settle()
    assert words in (world.condition("Blocked") or {})["message"]
    assert world.phase == ""


async def test_another_configuration_begins_anew() -> None:
    world = await analysing()
    await seconds(world, 10)
    metrics = [{"name": FAILED}, {"name": SLOW}]
    world.change(CANARY, KEY.name, spec={"analysis": {"metrics": metrics}})
    await world.settle()
    await seconds(world, 6)
    names = [metric["name"] for metric in world.status["judge"]["metrics"]]
    assert names == [FAILED, SLOW]
