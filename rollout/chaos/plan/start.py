"""Whether a run begins: is one due, and is nothing in its way. Pure."""

from __future__ import annotations

import hashlib
from datetime import datetime

from rollout.api.chaos import (
    RUN_ANNOTATION,
    Blast,
    ChaosExperiment,
    ExperimentStatus,
    Phase,
    Schedule,
    Verdict,
)
from rollout.chaos.plan.draft import Draft
from rollout.chaos.plan.gates import Closed, Gate, closed
from rollout.chaos.plan.schedule import due, problems
from rollout.chaos.plan.snapshot import Snapshot


def start(seen: Snapshot, experiment: ChaosExperiment, draft: Draft) -> None:
    """Begin a run, or say why not."""
    spec, status = experiment.spec, seen.status
    draft.set(
        observed_generation=experiment.metadata.generation,
        fault=spec.fault.summary if spec.fault else "",
    )
    gate = closed(seen, experiment)
    if spec.schedule is None:
        wanted = _is_new(experiment, status, on_request=seen.on_request)
        scheduled = None
    else:
        wrong = next(problems(spec.schedule), None)
        if wrong is not None:
            refuse(draft, Closed(Gate.INVALID, str(wrong)))
            return
        scheduled = _scheduled(experiment, spec.schedule, draft)
        wanted = scheduled is not None
    if not wanted:
        _stand_by(experiment, gate, draft)
    elif gate is not None:
        refuse(draft, gate)
    else:
        _begin(experiment, scheduled, draft)


def _is_new(experiment: ChaosExperiment, status: ExperimentStatus, *, on_request: bool) -> bool:
    """One run for each spec, and one for each new value of the annotation that asks for another."""
    request = experiment.metadata.annotations.get(RUN_ANNOTATION, "")
    if on_request:
        return request not in {"", status.run_request}
    return (
        status.run_id is None
        or status.run_generation != experiment.metadata.generation
        or status.run_request != request
    )


def _scheduled(experiment: ChaosExperiment, schedule: Schedule, draft: Draft) -> datetime | None:
    """The scheduled time that is to be run for now; waits for the next."""
    status = draft.status
    after = status.last_schedule_time or _created(experiment, draft.now)
    if schedule.concurrency_policy == "Forbid" and status.recovered_at is not None:
        after = max(after, status.recovered_at)
    found = due(schedule, after, draft.now)
    draft.set(next_schedule_time=found.next)
    draft.wake(found.next)
    return found.now


def _created(experiment: ChaosExperiment, now: datetime) -> datetime:
    try:
        return datetime.fromisoformat(experiment.metadata.creation_timestamp)
    except ValueError:
        return now


def _stand_by(experiment: ChaosExperiment, gate: Closed | None, draft: Draft) -> None:
    """Nothing is due. An experiment that never ran says what would keep it from running."""
    if draft.status.run_id is not None:
        return
    if gate is not None:
        refuse(draft, gate)
    else:
        scheduled = experiment.spec.schedule is not None
        draft.condition("Selected", "True", "Scheduled" if scheduled else "PartOfAnalysis")
        draft.set(
            reason="waits for its next scheduled time"
            if scheduled
            else "waits for the analysis of the Canary that names it"
        )


def refuse(draft: Draft, gate: Closed) -> None:
    """Say what is in the way, once. One that was stopped goes on showing how its run ended."""
    old = draft.status.condition("Selected")
    if old is None or (old.status, old.reason, old.message) != ("False", gate.gate, gate.message):
        draft.event(gate.gate, gate.message, warning=True)
    draft.condition("Selected", "False", gate.gate, gate.message)
    ended = gate.gate is Gate.STOPPED and draft.status.run_id is not None
    if not draft.status.phase.is_active and not ended:
        draft.set(phase=Phase.PENDING, reason=gate.message)


def _begin(experiment: ChaosExperiment, scheduled: datetime | None, draft: Draft) -> None:
    """The run's record is written, and with it the finalizer, before anything is broken."""
    status, now = draft.status, draft.now
    draft.guard, draft.opens = True, True
    draft.status = ExperimentStatus()
    draft.set(
        phase=Phase.CHECKING,
        verdict=Verdict.AWAITED,
        run_id=run_id(experiment, now),
        run_generation=experiment.metadata.generation,
        run_request=experiment.metadata.annotations.get(RUN_ANNOTATION, ""),
        observed_generation=experiment.metadata.generation,
        started_at=now,
        fault=status.fault,
        history=status.history,
        last_schedule_time=scheduled or status.last_schedule_time,
        next_schedule_time=status.next_schedule_time,
        report=status.report,
        blast=Blast(),
        reason="checks the steady state",
    )
    target = experiment.spec.target
    draft.condition("Selected", "True", "TargetFound", _target(experiment))
    draft.condition("AllInjected", "False", "NotInjected")
    draft.condition("AllRecovered", "False", "NotInjected")
    draft.event("ChaosStarted", f"run {draft.status.run_id} on {target.service} ({target.arm})")
    draft.wake(now)


def _target(experiment: ChaosExperiment) -> str:
    names = ", ".join(experiment.spec.target.services)
    return f"{experiment.target_namespace}/{names}"


def run_id(experiment: ChaosExperiment, now: datetime) -> str:
    """Names a run: one of a kind for this object and this moment."""
    text = f"{experiment.metadata.uid}/{experiment.namespace}/{experiment.name}/{now.isoformat()}"
    return hashlib.sha256(text.encode()).hexdigest()[:10]
