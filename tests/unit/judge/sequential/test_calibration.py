"""False alarms under peeking at every tick, and speed: small fixed-seed runs of what bench/judge.py measures at length."""

from __future__ import annotations

import pytest

from bench.judging.runs import Outcome, judged
from bench.judging.traffic import Traffic, failures, latencies
from rollout.judge.sequential import latency, success_rate
from rollout.judge.thresholds import Bounds

RUNS = 150


def outcomes(case: Traffic, **kind: bool) -> list[Outcome]:
    if kind.get("slow"):
        return [judged(latencies, case, latency(Bounds()), seed) for seed in range(RUNS // 5)]
    return [judged(failures, case, success_rate(Bounds()), seed) for seed in range(RUNS)]


def alarms(outcome: list[Outcome]) -> float:
    return sum(each.worse is not None for each in outcome) / len(outcome)


@pytest.mark.parametrize("cluster", [1, 3, 5, 10])
@pytest.mark.parametrize("weight", [0.1, 0.5])
def test_false_alarms_of_equal_versions(cluster: int, weight: float) -> None:
    case = Traffic(error=0.005, canary_error=0.005, cluster=cluster, weight=weight, tide=0.8)
    assert alarms(outcomes(case)) <= 0.02


def test_false_alarms_before_anything_is_known_of_clusters() -> None:
    case = Traffic(error=0.0001, canary_error=0.0001, cluster=10, history=0)
    assert alarms(outcomes(case)) <= 0.02


def test_false_alarms_of_latency() -> None:
    assert alarms(outcomes(Traffic(length=300), slow=True)) == 0


def test_a_bad_version_is_found_in_seconds() -> None:
    times = sorted(each.worse or 1e9 for each in outcomes(Traffic(canary_error=0.05)))
    assert times[round(0.9 * RUNS)] <= 20


def test_a_slow_version_is_found_in_seconds() -> None:
    times = sorted(each.worse or 1e9 for each in outcomes(Traffic(slowdown=1.5), slow=True))
    assert times[round(0.9 * len(times))] <= 30
