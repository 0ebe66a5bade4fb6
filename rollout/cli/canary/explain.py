"""Why a canary is where it is, what would move it on, and what may be asked of it: in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rollout.api.canary.status import Phase
from rollout.cli.canary.outcome import sentence
from rollout.cli.canary.view import CanaryView
from rollout.cli.canary.words import age, span
from rollout.delivery.judging.record import Ruled
from rollout.delivery.phases.commands import possible
from rollout.delivery.records import Verdict


def explain(view: CanaryView, now: datetime) -> list[str]:
    """One sentence per fact, the most important first."""
    if view.invalid:
        return [sentence(view)]
    return [
        *_state(view, now),
        *_judged(view, now),
        *_evidence(view, now),
        *_pods(view),
        *_what_next(view),
    ]


def _state(view: CanaryView, now: datetime) -> Iterator[str]:
    yield sentence(view) + (f" (for {age(view.moved, now)})" if view.moved else "")
    match view.phase:
        case "New" | "Initializing":
            yield "The primary is being made; the target keeps serving until it is ready."
        case "Waiting":
            yield "A new revision waits for a confirm-rollout hook; nothing of it runs yet."
        case "WaitingPromotion":
            yield "All steps are made; a confirm-promotion hook has not agreed yet. Checks go on meanwhile."
        case "Progressing":
            yield from _progress(view, now)
        case "Promoting":
            yield "The primary is being brought to the new revision; traffic goes back to it once it is ready."
        case "Finalising":
            yield "All traffic is with the primary; the canary's pods go next."
        case "Failed":
            yield "All traffic is with the primary, at the revision promoted before. A new revision, or a retry, starts again."
        case _:
            pass


def _progress(view: CanaryView, now: datetime) -> Iterator[str]:
    if view.iterations_wanted:
        yield f"Checks made: {view.iterations} of {view.iterations_wanted}; {view.weight}% of the requests are the canary's."
    elif view.steps:
        yield f"The canary gets {view.weight}% of the requests: step {view.step} of {len(view.steps)}, up to {max(view.steps)}%."
    if view.baseline:
        yield f"It is compared with fresh pods of the primary's version, {view.target}-baseline, which get {view.baseline}%."
    if view.failed_checks:
        more = max(0, view.threshold - view.failed_checks)
        yield f"Failed checks: {view.failed_checks}; {more} more and it is rolled back."
    if view.judge is not None:
        yield "The next step is made as soon as the judge allows; everything else is checked once an interval."
    elif view.next_step is not None:
        left = view.next_step - now
        yield (
            f"The next step is due in {span(left)}."
            if left.total_seconds() > 0
            else "The next step is due."
        )


_SAYS = {
    Ruled.WORSE: "is worse",
    Ruled.NOT_WORSE: "is not worse",
    Ruled.UNDECIDED: "is not known yet to be worse or not",
    Ruled.INCONCLUSIVE: "was not known to be worse or not when its time was over",
}


def _judged(view: CanaryView, now: datetime) -> Iterator[str]:
    judge = view.judge
    if judge is None or view.phase in {"Initialized", "Waiting"}:
        return
    where = f", by its requests as {judge.source} counted them" if judge.source else ""
    yield f"The judge says that the canary {_SAYS[judge.verdict]}{where}: {judge.message}."
    if view.phase == "Progressing":
        until = age(judge.until, now)
        yield f"It has judged this step for {age(judge.since, now)}, with requests until {until} ago."
    for metric in judge.metrics:
        if metric.message and metric.message not in judge.message:
            yield f"Judged {metric.message}."


def _evidence(view: CanaryView, now: datetime) -> Iterator[str]:
    if not view.checks or view.phase in {"Initialized", "Succeeded"}:
        return
    last = view.checks[-1]
    judged = {metric.name for metric in view.judge.metrics} if view.judge else set()
    for check in last.checks:
        if check.metric in judged:
            continue
        bad = check.verdict is not Verdict.PASSED
        said = check.message or f"{check.value} is within {check.threshold or 'any bounds'}"
        word = {
            Verdict.FAILED: "failed",
            Verdict.NO_DATA: "has no data",
            Verdict.ERROR: "could not be asked",
        }
        state = word[check.verdict] if bad else "passed"
        yield f"Check {check.metric} {state} {age(last.time, now)} ago at {last.weight}%: {said}."


def _pods(view: CanaryView) -> Iterator[str]:
    for workload in view.workloads:
        if not workload.found:
            yield f"{workload.kind} {workload.name} ({workload.role}) is not there."
        for pod in workload.pods:
            if pod.trouble:
                yield f"Pod {pod.name} of the {workload.role}: {pod.trouble}."


def _what_next(view: CanaryView) -> Iterator[str]:
    if view.suspended:
        yield f"It is paused: `rollout resume {view.name}` lets it go on."
        return
    able = possible(Phase(view.phase)) if view.phase in set(Phase) else ()
    if able:
        yield "You may " + ", ".join(f"`rollout {verb} {view.name}`" for verb in able) + "."
