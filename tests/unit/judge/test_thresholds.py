"""Thresholds in Flagger's units, roundings and words."""

from __future__ import annotations

import math

import pytest

from rollout.judge.thresholds import Bounds, Fail, Measure, Pass, go_float, judge

RATE, DURATION, CUSTOM = Measure.SUCCESS_RATE, Measure.DURATION, Measure.CUSTOM


@pytest.mark.parametrize(
    ("measure", "value", "bounds", "sentence"),
    [
        (RATE, 99.0, Bounds(min=99), ""),
        (RATE, 69.174, Bounds(min=99), "success rate 69.17% < 99%"),
        (RATE, 98.999, Bounds(min=99.5), "success rate 99.00% < 99.5%"),
        (RATE, 100.0, Bounds(max=99), "success rate 100.00% > 99%"),
        (DURATION, 500.9, Bounds(max=500), ""),
        (DURATION, 501.0, Bounds(max=500), "request duration 501ms > 500ms"),
        (DURATION, 1200.0, Bounds(max=500), "request duration 1.2s > 500ms"),
        (DURATION, 61500.0, Bounds(max=60000), "request duration 1m1.5s > 1m0s"),
        (DURATION, 20.0, Bounds(min=30.9), "request duration 20ms < 30ms"),
        (DURATION, math.inf, Bounds(max=500), "request duration +Inf > 500ms"),
        (CUSTOM, 1.0, Bounds(max=1), ""),
        (CUSTOM, 7.0, Bounds(max=1), "mine 7.00 > 1"),
        (CUSTOM, 0.004, Bounds(min=0.25), "mine 0.00 < 0.25"),
        (CUSTOM, math.inf, Bounds(max=1), "mine +Inf > 1"),
        (CUSTOM, math.inf, Bounds(min=1), ""),
        (CUSTOM, -5.0, Bounds(), ""),
    ],
)
def test_judge(measure: Measure, value: float, bounds: Bounds, sentence: str) -> None:
    outcome = judge(measure, "mine", value, bounds)
    assert outcome == (Fail(sentence) if sentence else Pass())


@pytest.mark.parametrize(
    ("measure", "passes", "fails"),
    [(RATE, 99.0, 98.0), (DURATION, 99.0, 100.0), (CUSTOM, 99.0, 99.5)],
)
def test_the_deprecated_threshold(measure: Measure, passes: float, fails: float) -> None:
    bounds = Bounds.of_threshold(measure, 99)
    assert isinstance(judge(measure, "mine", passes, bounds), Pass)
    assert isinstance(judge(measure, "mine", fails, bounds), Fail)


@pytest.mark.parametrize(
    ("value", "text"), [(99.0, "99"), (0.1, "0.1"), (1e20, "100000000000000000000"), (-3.0, "-3")]
)
def test_go_float(value: float, text: str) -> None:
    assert go_float(value) == text
