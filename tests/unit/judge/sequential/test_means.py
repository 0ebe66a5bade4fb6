"""The test of any number: its evidence, its direction, and what it does with readings that repeat each other."""

from __future__ import annotations

import math
import random

import pytest
from scipy import integrate, stats

from rollout.judge.sequential import (
    Direction,
    Mean,
    Reading,
    Verdict,
    explain,
    means,
    start,
    update,
    verdict,
)
from rollout.judge.sequential.state import MeanState

LIMITED = Mean(metric="queue", limit=100.0)
COMPARED = Mean(metric="cpu", tolerance=0.1)


def after(config: Mean, *readings: Reading) -> MeanState:
    state = start(config)
    for reading in readings:
        state = update(state, reading, config)
    assert isinstance(state, MeanState)
    return state


def noisy(mean: float, count: int, seed: int = 1) -> list[float]:
    source = random.Random(seed)
    return [source.gauss(mean, 5) for _ in range(count)]


@pytest.mark.parametrize(
    ("config", "readings", "expected"),
    [
        pytest.param(LIMITED, [Reading(v) for v in noisy(110, 40)], Verdict.WORSE, id="above"),
        pytest.param(LIMITED, [Reading(v) for v in noisy(90, 40)], Verdict.NOT_WORSE, id="below"),
        pytest.param(LIMITED, [Reading(v) for v in noisy(100, 40)], Verdict.UNDECIDED, id="at"),
        pytest.param(LIMITED, [Reading(150.0)] * 19, Verdict.UNDECIDED, id="too few"),
        pytest.param(
            COMPARED,
            [Reading(v, 100.0) for v in noisy(130, 40)],
            Verdict.WORSE,
            id="beyond what is tolerated",
        ),
        pytest.param(
            COMPARED, [Reading(v, 100.0) for v in noisy(102, 40)], Verdict.NOT_WORSE, id="tolerated"
        ),
        pytest.param(
            Mean(metric="hits", direction=Direction.DECREASE),
            [Reading(v, 100.0) for v in noisy(70, 40)],
            Verdict.WORSE,
            id="a decrease is bad",
        ),
        pytest.param(
            COMPARED, [Reading(500.0)] * 40, Verdict.UNDECIDED, id="nothing to compare with"
        ),
        pytest.param(LIMITED, [Reading(math.nan)] * 40, Verdict.UNDECIDED, id="no numbers"),
    ],
)
def test_verdict(config: Mean, readings: list[Reading], expected: Verdict) -> None:
    assert verdict(after(config, *readings), config) is expected


def test_evidence_is_the_mixture_of_noncentral_t_ratios() -> None:
    values = noisy(103, 12)
    state = after(LIMITED, *[Reading(v) for v in values])
    excess = [v - 100 for v in values]
    n, t = len(values), stats.ttest_1samp(excess, 0).statistic

    def weighed(effect: float) -> float:
        ratio = stats.nct.pdf(t, n - 1, effect * math.sqrt(n)) / stats.t.pdf(t, n - 1)
        return float(ratio * stats.norm.pdf(effect, scale=1 / math.sqrt(4.0)))

    mixture, _ = integrate.quad(weighed, -4, 4)
    undiscounted = means.worse_evidence(state) * means.dispersion(state)
    assert undiscounted == pytest.approx(math.log(mixture), rel=1e-3)


def test_readings_that_repeat_each_other_prove_less() -> None:
    values = noisy(104, 30)
    once = after(LIMITED, *[Reading(v) for v in values])
    repeated = after(LIMITED, *[Reading(v) for v in values for _ in range(6)])
    assert means.dispersion(repeated) > 6
    assert means.worse_evidence(repeated) < 3 * means.worse_evidence(once)


def test_explanation_is_marked_as_an_approximation() -> None:
    state = after(COMPARED, *[Reading(v, 100.0) for v in noisy(130, 40)])
    said = explain(state, COMPARED, Verdict.WORSE)
    assert said.asymptotic
    assert said.sentence().startswith("cpu: worse: mean, increase is bad: canary 13")
    assert "an approximation" in said.sentence()


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_false_alarms_stay_below_alpha_under_peeking(correlation: float) -> None:
    alarms = 0
    for seed in range(300):
        state, value = MeanState(), 0.0
        for fresh in noisy(0, 80, seed):
            value = correlation * value + math.sqrt(1 - correlation**2) * fresh
            state = means.update(state, Reading(100 + value), LIMITED)
            if means.verdict(state, LIMITED) is Verdict.WORSE:
                alarms += 1
                break
    assert alarms <= 3
