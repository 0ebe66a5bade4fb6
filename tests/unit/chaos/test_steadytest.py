"""The sequential test of an experiment: what it counts, what it compares with, and when it calls a breach."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollout.api.chaos import ChaosExperiment
from rollout.chaos.probe import ProbePoint, ProbeResult, ProbeVerdict
from rollout.chaos.steadytest import SteadyTests, sides
from rollout.judge.checks import QueryFailed
from rollout.judge.evidence.counters import CounterSource, Series

SECONDS = 30


class Counters(CounterSource):
    """A Prometheus with a counter of good and bad requests of each Service: requests a second, and the bad share."""

    def __init__(self, now: datetime, rates: dict[str, tuple[float, float]]) -> None:
        super().__init__()
        self._now, self._rates = now.timestamp(), rates
        self.asked: list[tuple[str, float | None]] = []

    async def series(
        self, address: str, query: str, at: float | None = None
    ) -> tuple[Series, ...] | QueryFailed:
        self.asked.append((query, at))
        return tuple(self._series(query, at or self._now))

    def _series(self, query: str, until: float) -> Iterator[Series]:
        times = [until - SECONDS - 10 + second for second in range(SECONDS + 11)]
        past = until < self._now - 1
        for name, (rate, share) in self._rates.items():
            if f'"{name}"' not in query and f"{name}|" not in query and f"|{name}" not in query:
                continue
            bad = 0.0 if past else rate * share
            for code, each in (("200", rate - bad), ("503", bad)):
                samples = tuple((time, 1000 + round(i * each)) for i, time in enumerate(times))
                yield Series({"response_code": code, "destination_service_name": name}, samples)


def experiment(now: datetime, arm: str = "all", **steady: Any) -> ChaosExperiment:
    injected = now - timedelta(seconds=SECONDS)
    return ChaosExperiment.parse(
        {
            "apiVersion": "chaos.rollout.dev/v1alpha1",
            "kind": "ChaosExperiment",
            "metadata": {"namespace": "shop", "name": "slow"},
            "spec": {
                "target": {"service": "catalog", "arm": arm},
                "fault": {"abort": {"httpStatus": 503}},
                "duration": "60s",
                "steadyState": {"method": "sequential", **steady},
            },
            "status": {
                "runID": "1",
                "startedAt": (injected - timedelta(seconds=5)).isoformat(),
                "injectedAt": injected.isoformat(),
            },
        }
    )


async def ask(
    rates: dict[str, tuple[float, float]], arm: str = "all", **steady: Any
) -> tuple[ProbeResult, Counters]:
    now = datetime.now(UTC)
    source = Counters(now, rates)
    tests = SteadyTests(source, "http://prometheus")
    return await tests.ask(experiment(now, arm, **steady), ProbePoint.DURING), source


@pytest.mark.parametrize(
    ("rates", "arm", "steady", "verdict"),
    [
        pytest.param({"catalog": (50, 0.2)}, "all", {"slo": 0.05}, "Failed", id="above its limit"),
        pytest.param({"catalog": (50, 0.01)}, "all", {"slo": 0.05}, "Passed", id="below its limit"),
        pytest.param({}, "all", {"slo": 0.05}, "NoData", id="nobody calls"),
        pytest.param(
            {"catalog-canary": (20, 0.3), "catalog-primary": (20, 0.0)},
            "canary",
            {"compare": "control"},
            "Failed",
            id="worse than the other arm",
        ),
        pytest.param(
            {"catalog-canary": (20, 0.1), "catalog-primary": (20, 0.1)},
            "canary",
            {"compare": "control"},
            "Passed",
            id="as bad as the other arm",
        ),
        pytest.param(
            {"catalog": (50, 0.2)}, "all", {"compare": "control"}, "Failed", id="worse than before"
        ),
        pytest.param(
            {"catalog-canary": (20, 0.3)},
            "canary",
            {"compare": "control"},
            "Error",
            id="nobody to compare with",
        ),
    ],
)
async def test_a_breach_needs_evidence(
    rates: dict[str, tuple[float, float]], arm: str, steady: dict[str, Any], verdict: str
) -> None:
    result, _ = await ask(rates, arm, **steady)
    assert result.verdict == verdict, result.sentence
    assert result.name == "failed-requests"


async def test_it_says_counts_and_evidence() -> None:
    result, source = await ask(
        {"catalog-canary": (20, 0.3), "catalog-primary": (20, 0.0)}, "canary", compare="control"
    )
    assert "requests failed, of the control 0 of" in result.sentence
    assert "worse than it may be (evidence" in result.sentence
    assert result.value == pytest.approx(0.3, abs=0.05)
    assert all('reporter="source"' in query for query, _ in source.asked), "after retries"


async def test_before_the_injection_there_is_nothing_to_say() -> None:
    now = datetime.now(UTC)
    made = experiment(now, slo=0.01)
    status = made.status.model_copy(update={"injected_at": None})
    tests = SteadyTests(Counters(now, {}), "")
    result = await tests.ask(made.model_copy(update={"status": status}), ProbePoint.BEFORE)
    assert result.verdict is ProbeVerdict.NO_DATA


async def test_requests_are_counted_once_and_forgotten_with_the_run() -> None:
    now = datetime.now(UTC)
    tests = SteadyTests(Counters(now, {"catalog": (50, 0.02)}), "")
    made = experiment(now, slo=0.05)
    first = await tests.ask(made, ProbePoint.DURING)
    again = await tests.ask(made, ProbePoint.DURING)
    assert first.sentence == again.sentence
    tests.forget("1")
    assert (await tests.ask(made, ProbePoint.DURING)).sentence == first.sentence


def test_a_service_is_compared_with_itself_before_the_run() -> None:
    made = experiment(datetime.now(UTC), compare="control")
    assert made.spec.steady_state
    faulted, control, ago = sides(made, made.spec.steady_state)
    assert faulted == control
    assert ago == timedelta(seconds=65), "the whole of a run before it began"
