"""Keeps, with every decision, what people will want to know of it: how checks came out, and how rollouts ended. Pure."""

from __future__ import annotations

from dataclasses import replace

from rollout.api.canary.status import Phase
from rollout.delivery.actions import Decision
from rollout.delivery.judging.record import MetricRecord, Ruled
from rollout.delivery.records import (
    CHECKS_KEPT,
    RUNS_KEPT,
    STEPS_KEPT,
    CheckRecord,
    Run,
    StepRecord,
    Verdict,
)
from rollout.delivery.situation import Situation
from rollout.delivery.status import UNDER_ANALYSIS, Status
from rollout.judge.checks import Answer, Check, NoData, QueryFailed
from rollout.judge.thresholds import Bounds, Fail, go_float, judge

_ENDS = frozenset({Phase.INITIALIZED, Phase.SUCCEEDED, Phase.FAILED})
SUPERSEDED = "Superseded"
"""How a rollout ended whose revision was replaced by another before its verdict."""


def recorded(here: Situation, decision: Decision) -> Decision:
    """The decision, with its step and its rollout noted in the status."""
    status = _with_run(here, _with_step(here, decision), decision)
    return decision if status == decision.status else replace(decision, status=status)


def _with_step(here: Situation, decision: Decision) -> Status:
    status, answers = decision.status, here.snapshot.answers or {}
    judged = status.judge.metrics if status.judge and here.status.progress.begun else ()
    ended = not here.changed and status.last_transition != here.status.last_transition
    if not (answers or judged) or not ended:
        return status
    step = StepRecord(
        time=here.now,
        revision=here.revision,
        weight=here.status.canary_weight,
        advanced=status.failed_checks == here.status.failed_checks
        and status.phase is not Phase.FAILED,
        checks=(
            *(_judged_record(metric) for metric in judged),
            *(_check_record(check, answer) for check, answer in answers.items()),
        )[:CHECKS_KEPT],
    )
    return replace(status, analysis=(*status.analysis, step)[-STEPS_KEPT:])


def _judged_record(metric: MetricRecord) -> CheckRecord:
    """What the judge said of one metric; what it could not decide did not speak against the canary."""
    worse = metric.verdict is Ruled.WORSE
    return CheckRecord(
        metric=metric.name,
        verdict=Verdict.FAILED if worse else Verdict.PASSED,
        value=metric.canary,
        threshold=metric.reference,
        message=metric.message,
    )


def _check_record(check: Check, answer: Answer) -> CheckRecord:
    threshold = _bounds(check.bounds)
    match answer:
        case NoData(reason):
            return CheckRecord(
                metric=check.metric, verdict=Verdict.NO_DATA, threshold=threshold, message=reason
            )
        case QueryFailed(reason):
            return CheckRecord(
                metric=check.metric, verdict=Verdict.ERROR, threshold=threshold, message=reason
            )
        case _:
            outcome = judge(check.measure, check.metric, answer.value, check.bounds)
            failed = isinstance(outcome, Fail)
            return CheckRecord(
                metric=check.metric,
                verdict=Verdict.FAILED if failed else Verdict.PASSED,
                value=go_float(round(float(answer.value), 4)),
                threshold=threshold,
                message=outcome.sentence if isinstance(outcome, Fail) else "",
            )


def _bounds(bounds: Bounds) -> str:
    if bounds.min is not None and bounds.max is not None:
        return f"{go_float(bounds.min)} to {go_float(bounds.max)}"
    if bounds.min is not None:
        return f">= {go_float(bounds.min)}"
    return f"<= {go_float(bounds.max)}" if bounds.max is not None else ""


def _with_run(here: Situation, status: Status, decision: Decision) -> Status:
    before, after = here.status.phase, status.phase
    another = status.last_applied_spec != here.status.last_applied_spec
    if after is Phase.PROGRESSING and (before not in UNDER_ANALYSIS or another):
        runs = _closed(status, here, SUPERSEDED, "a newer revision took its place")
        new = Run(revision=status.last_applied_spec, phase=str(after), started=here.now)
        return replace(status, history=(*runs, new)[-RUNS_KEPT:])
    if after not in _ENDS or before is after:
        return status
    if after is Phase.INITIALIZED:
        new = Run(
            revision=status.last_applied_spec, phase=str(after), started=here.now, ended=here.now
        )
        return replace(status, history=(*status.history, new)[-RUNS_KEPT:])
    return replace(status, history=_closed(status, here, str(after), _reason(status, decision)))


def _closed(status: Status, here: Situation, phase: str, reason: str) -> tuple[Run, ...]:
    if not status.history or status.history[-1].ended is not None:
        return status.history
    last = replace(status.history[-1], phase=phase, ended=here.now, reason=reason)
    return (*status.history[:-1], last)


def _reason(status: Status, decision: Decision) -> str:
    """Why a revision failed, in the words of the event that says so, and the check that had the last word."""
    if status.phase is not Phase.FAILED:
        return ""
    reason = next((event.message for event in decision.events if event.warning), "")
    last = status.analysis[-1] if status.analysis else None
    if "failed checks threshold" in reason and last is not None:
        failed = next((check for check in last.checks if check.verdict is not Verdict.PASSED), None)
        if failed is not None:
            reason += f": {failed.message or failed.metric}"
    return reason
