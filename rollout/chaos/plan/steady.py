"""Which questions about the steady state are due, and what their answers amount to. Pure.

A question at an edge (before, after) is asked until it has passed once or failed often enough; one that is asked during
the fault is asked again and again, and has failed once it failed so often in a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rollout.api.chaos import ProbeSpec, ProbeStatus, SteadyState
from rollout.chaos.plan.snapshot import Ask
from rollout.chaos.probe import TEST_NAME, ProbePoint, ProbeResult, ProbeVerdict

BEFORE, DURING, AFTER = ProbePoint
_POINTS: Final[dict[str, frozenset[ProbePoint]]] = {
    "SOT": frozenset({BEFORE}),
    "EOT": frozenset({AFTER}),
    "Edge": frozenset({BEFORE, AFTER}),
    "Continuous": frozenset(ProbePoint),
    "OnChaos": frozenset({DURING}),
}
_STRATEGIES: Final[dict[str, frozenset[ProbePoint]]] = {
    "before": frozenset({BEFORE}),
    "during": frozenset({DURING}),
    "after": frozenset({AFTER}),
}
_AGAIN = timedelta(seconds=1)
"""Until a question at an edge that had no answer is asked again."""
_TEST_INTERVAL = timedelta(seconds=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A probe, or the sequential test where `spec` is None, with the points at which it is asked."""

    name: str
    mode: str
    points: frozenset[ProbePoint]
    spec: ProbeSpec | None
    interval: timedelta
    attempt: int = 1
    delay: timedelta = timedelta()
    stops: bool = False

    @property
    def of_load(self) -> bool:
        """Whether it is about the load of the whole run, although it is asked when that is over."""
        return self.spec is not None and self.spec.type == "fortio"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a question stands at one point, with the answer that says so. `verdict` is None while it is open."""

    verdict: ProbeVerdict | None
    last: ProbeResult | None


def questions(steady: SteadyState | None) -> tuple[Question, ...]:
    """All questions of a steady state."""
    if steady is None:
        return ()
    found = [_of_probe(spec, steady.strategy) for spec in steady.probes]
    if steady.method == "sequential":
        points = frozenset({DURING, AFTER}) & _STRATEGIES.get(
            steady.strategy, frozenset(ProbePoint)
        )
        found.append(
            Question(
                name=TEST_NAME, mode="OnChaos", points=points, spec=None, interval=_TEST_INTERVAL
            )
        )
    return tuple(each for each in found if each.points)


def _of_probe(spec: ProbeSpec, strategy: str) -> Question:
    points = _POINTS[spec.mode] & _STRATEGIES.get(strategy, frozenset(ProbePoint))
    if strategy == "continuously" and spec.type != "fortio":
        points = frozenset(ProbePoint)
    how = spec.run_properties
    return Question(
        name=spec.name,
        mode=spec.mode,
        points=points,
        spec=spec,
        interval=how.interval,
        attempt=how.attempt,
        delay=how.initial_delay,
        stops=how.stop_on_failure,
    )


def standing(question: Question, point: ProbePoint, samples: Sequence[ProbeResult]) -> Standing:
    """How a question stands at a point, given all answers, oldest first."""
    mine = [each for each in samples if each.name == question.name and each.point is point]
    last = mine[-1] if mine else None
    failures = 0
    for each in mine:
        if each.verdict is ProbeVerdict.FAILED:
            failures += 1
            if failures >= question.attempt:
                return Standing(ProbeVerdict.FAILED, each)
        elif each.verdict is ProbeVerdict.PASSED:
            failures = 0
            if point is not DURING:
                return Standing(ProbeVerdict.PASSED, each)
    passed = any(each.verdict is ProbeVerdict.PASSED for each in mine)
    return Standing(ProbeVerdict.PASSED if passed else None, last)


def due(
    asked: Iterable[Question],
    point: ProbePoint,
    samples: Sequence[ProbeResult],
    asking: frozenset[str],
    since: datetime,
    now: datetime,
) -> tuple[tuple[Ask, ...], datetime | None]:
    """What is to be asked now at a point that began at `since`, and when the next question is due."""
    asks: list[Ask] = []
    later: list[datetime] = []
    for question in asked:
        if point not in question.points or question.name in asking:
            continue
        when = _when(question, point, samples, since)
        if when is not None and when <= now:
            asks.append(Ask(question.name, point, question.spec))
        elif when is not None:
            later.append(when)
    return tuple(asks), min(later, default=None)


def _when(
    question: Question, point: ProbePoint, samples: Sequence[ProbeResult], since: datetime
) -> datetime | None:
    state = standing(question, point, samples)
    if state.last is None:
        return since + question.delay
    if point is DURING:
        return state.last.at + question.interval
    if state.verdict is not None:
        return None
    failed = state.last.verdict is ProbeVerdict.FAILED
    return state.last.at + (question.interval if failed else _AGAIN)


def open_at(
    asked: Iterable[Question], point: ProbePoint, samples: Sequence[ProbeResult]
) -> tuple[Question, ...]:
    """The questions that have neither passed nor failed at a point where they are to."""
    return tuple(
        each
        for each in asked
        if point in each.points and standing(each, point, samples).verdict is None
    )


def failed_at(
    asked: Iterable[Question], point: ProbePoint, samples: Sequence[ProbeResult]
) -> tuple[tuple[Question, ProbeResult], ...]:
    """The questions that have failed at a point, each with the answer that made it so."""
    states = ((each, standing(each, point, samples)) for each in asked if point in each.points)
    return tuple(
        (question, state.last)
        for question, state in states
        if state.verdict is ProbeVerdict.FAILED and state.last is not None
    )


def statuses(
    asked: Iterable[Question], samples: Sequence[ProbeResult]
) -> tuple[tuple[ProbeStatus, ...], int | None]:
    """The probes for the status, and the share of those with an answer that passed, in percent."""
    found = tuple(_status(each, samples) for each in asked)
    answered = [each for each in found if each.verdict in {"Passed", "Failed"}]
    passed = sum(each.verdict == "Passed" for each in answered)
    return found, round(100 * passed / len(answered)) if answered else None


def _status(question: Question, samples: Sequence[ProbeResult]) -> ProbeStatus:
    states = [standing(question, point, samples) for point in ProbePoint]
    last = next((each for each in reversed(samples) if each.name == question.name), None)
    verdict = last.verdict.value if last is not None else "Awaited"
    for state in states:
        if state.verdict is ProbeVerdict.FAILED:
            last, verdict = state.last, ProbeVerdict.FAILED.value
            break
    return ProbeStatus(
        name=question.name,
        mode=question.mode,
        verdict=verdict,
        value=None if last is None or last.value is None else _text(last.value),
        description=last.sentence if last else "",
    )


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
