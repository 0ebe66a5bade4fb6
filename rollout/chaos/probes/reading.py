"""What a probe read, and whether that is what it had to be. Pure; knows no source of readings."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from rollout.api.chaos import Comparator
from rollout.chaos.probe import ProbeVerdict
from rollout.judge.checks import NoData, QueryFailed, Value
from rollout.judge.thresholds import go_float


@dataclass(frozen=True, slots=True)
class Words:
    """A value that is text, the status of a condition for one."""

    text: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, and in words what it was made of, where that says more."""

    number: float
    made_of: str = ""


@dataclass(frozen=True, slots=True)
class Gone:
    """What was to be looked at is not there, which is no steady state whatever it had to be."""

    reason: str


Reading: TypeAlias = Value | Figure | Words | Gone | NoData | QueryFailed
"""QueryFailed stands for every question that could not be asked."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict with what it was made of."""

    verdict: ProbeVerdict
    sentence: str
    value: float | str | None = None


_NUMBERS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def find(name: str, reading: Reading, wanted: Comparator) -> Finding:
    """Compare; a number with a number, anything else as text."""
    match reading:
        case Value(value):
            return _compared(name, value, wanted)
        case Figure(number, made_of):
            return _compared(name, number, wanted, made_of)
        case Words(text):
            parsed = _number(text) if not isinstance(wanted.value, str) else None
            return _compared(name, text if parsed is None else parsed, wanted)
        case Gone(reason):
            return Finding(ProbeVerdict.FAILED, f"{name}: {reason}")
        case NoData(reason):
            return Finding(ProbeVerdict.NO_DATA, f"{name}: no data: {reason}")
        case QueryFailed(reason):
            return Finding(ProbeVerdict.ERROR, f"{name} could not be asked: {reason}")


def _compared(name: str, value: float | str, wanted: Comparator, made_of: str = "") -> Finding:
    limit = wanted.value
    if isinstance(value, float) and not isinstance(limit, str):
        holds = _NUMBERS[wanted.criteria](value, float(limit))
    elif wanted.criteria in {"==", "!="}:
        holds = (said(value) == said(limit)) == (wanted.criteria == "==")
    else:
        reason = f"{said(value)!r} is no number, and has to be {wanted.criteria} {said(limit)}"
        return Finding(ProbeVerdict.ERROR, f"{name} could not be compared: {reason}", value)
    bound = f"{wanted.criteria} {said(limit)}"
    if holds:
        return Finding(ProbeVerdict.PASSED, f"{name} is {said(value)} ({bound})", value)
    parts = f" ({made_of})" if made_of else ""
    sentence = f"{name} is {said(value)}{parts}, and has to be {bound}"
    return Finding(ProbeVerdict.FAILED, sentence, value)


def said(value: float | str) -> str:
    """A value as sentences have it: numbers with four digits that say something."""
    if isinstance(value, str):
        return value
    whole = float(value).is_integer() or not math.isfinite(value)
    return go_float(float(value)) if whole else f"{value:.4g}"


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
