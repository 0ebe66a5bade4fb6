"""Classic thresholds: is one number within its bounds? With the units, the rounding and the sentences that Flagger has.

Pure; knows neither where the number comes from nor what follows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from rollout.api.durations import format_go_duration


class Measure(Enum):
    """What a number stands for, which decides its unit and how it is compared and said."""

    SUCCESS_RATE = "success rate"
    """Percent of requests without a 5xx answer."""
    DURATION = "request duration"
    """Milliseconds; the fraction is cut off before comparing."""
    CUSTOM = "custom"
    """Whatever the query of a user yields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The range in which a value passes; both ends are part of it, None leaves that end open."""

    min: float | None = None
    max: float | None = None

    @classmethod
    def of_threshold(cls, measure: Measure, threshold: float) -> Bounds:
        """The deprecated single `threshold`: the least success rate, the most of everything else."""
        if measure is Measure.SUCCESS_RATE:
            return cls(min=threshold)
        return cls(max=threshold)


@dataclass(frozen=True, slots=True)
class Pass:
    """The value is within its bounds."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The value is not; `sentence` says it, as in `success rate 69.17% < 99%`."""

    sentence: str


def judge(measure: Measure, name: str, value: float, bounds: Bounds) -> Pass | Fail:
    """Compare one value, which is not NaN, with its bounds; `name` is the metric's, for the sentence."""
    value = _comparable(measure, value)
    low = None if bounds.min is None else _comparable(measure, bounds.min)
    high = None if bounds.max is None else _comparable(measure, bounds.max)
    if low is not None and value < low:
        return Fail(_sentence(measure, name, value, "<", low))
    if high is not None and value > high:
        return Fail(_sentence(measure, name, value, ">", high))
    return Pass()


def _comparable(measure: Measure, number: float) -> float:
    whole = measure is Measure.DURATION and math.isfinite(number)
    return float(int(number) if whole else number)


def _sentence(measure: Measure, name: str, value: float, sign: str, bound: float) -> str:
    match measure:
        case Measure.SUCCESS_RATE:
            return f"success rate {_fixed(value)}% {sign} {go_float(bound)}%"
        case Measure.DURATION:
            return f"request duration {_duration(value)} {sign} {_duration(bound)}"
        case Measure.CUSTOM:
            return f"{name} {_fixed(value)} {sign} {go_float(bound)}"


def _fixed(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else go_float(value)


def _duration(milliseconds: float) -> str:
    if not math.isfinite(milliseconds):
        return go_float(milliseconds)
    try:
        return format_go_duration(timedelta(milliseconds=milliseconds))
    except OverflowError:
        return f"{go_float(milliseconds)}ms"


def go_float(value: float) -> str:
    """A float as Go's %v prints it: no fraction where there is none, `+Inf` for infinity."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return repr(value)
