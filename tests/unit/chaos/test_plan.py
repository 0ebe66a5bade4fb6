"""The small decisions: which pods, how many samples, what is left."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rollout.api.chaos import PodKill
from rollout.chaos.plan.draft import remaining
from rollout.chaos.plan.journal import thinned
from rollout.chaos.plan.pods import chosen
from rollout.chaos.probe import ProbePoint, ProbeResult, ProbeVerdict
from tests.unit.chaos.world import START


def pods(count: int) -> list[dict[str, Any]]:
    return [
        {"metadata": {"name": f"pod-{index}"}, "status": {"phase": "Running"}}
        for index in range(count)
    ]


@pytest.mark.parametrize(
    ("kill", "of", "number"),
    [
        ({}, 5, 1),
        ({"mode": "all"}, 5, 5),
        ({"mode": "fixed", "value": 3}, 5, 3),
        ({"mode": "fixed", "value": 9}, 5, 5),
        ({"mode": "fixed-percent", "value": "30"}, 5, 2),
        ({"mode": "fixed-percent", "value": "1%"}, 5, 1),
        ({"mode": "one"}, 0, 0),
    ],
)
def test_how_many_pods(kill: dict[str, Any], of: int, number: int) -> None:
    assert len(chosen(PodKill.model_validate(kill), pods(of), "run")) == number


def test_the_choice_is_repeatable_differs_by_run_and_leaves_out_what_goes_anyway() -> None:
    kill, all_pods = PodKill(), pods(20)
    first = chosen(kill, all_pods, "a")
    assert first == chosen(kill, reversed(all_pods), "a")
    assert {chosen(kill, all_pods, run)[0]["metadata"]["name"] for run in "abcdefgh"} != {
        first[0]["metadata"]["name"]
    }
    going = [{**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "x"}} for pod in all_pods]
    assert chosen(PodKill(mode="all"), going, "a") == []


@pytest.mark.parametrize("run", list("abcdefgh"))
def test_a_pod_that_takes_requests_is_killed_before_one_that_does_not_yet(run: str) -> None:
    ready = [{"type": "Ready", "status": "True"}]
    status = {"phase": "Running", "conditions": ready}
    some = [*pods(5), {"metadata": {"name": "serving"}, "status": status}]
    (first,) = chosen(PodKill(), some, run)
    assert first["metadata"]["name"] == "serving"


@pytest.mark.parametrize(
    ("left", "text", "until_change"), [(10.0, "10s", 5.0), (9.9, "10s", 4.9), (0.3, "5s", 0.3)]
)
def test_what_remains_is_coarse(left: float, text: str, until_change: float) -> None:
    said, changes = remaining(START + timedelta(seconds=left), START)
    assert said == text
    assert (changes - START).total_seconds() == pytest.approx(until_change)


def test_a_long_run_keeps_evenly_spaced_samples() -> None:
    samples = [
        ProbeResult(
            name="x",
            point=ProbePoint.DURING,
            at=START + timedelta(seconds=second),
            verdict=ProbeVerdict.PASSED,
        )
        for second in range(1000)
    ]
    kept = thinned(samples, 240)
    assert len(kept) == 240
    assert (kept[0], kept[-1]) == (samples[0], samples[-1])
