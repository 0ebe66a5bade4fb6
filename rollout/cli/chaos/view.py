"""One experiment as people look at it, taken from the object as served. Pure.

Reads leniently: what is broken in the cluster must be shown all the same. Knows neither the cluster nor colours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import ValidationError

from rollout.api.chaos import (
    PAUSE_ANNOTATION,
    Blast,
    ChaosExperiment,
    ExperimentStatus,
    History,
    Phase,
    ProbeStatus,
    Verdict,
)
from rollout.api.durations import parse_go_duration
from rollout.api.errors import InvalidObject
from rollout.cli.canary.view import printable
from rollout.delivery.status import parse_time
from rollout.kube.objects import Object


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionView:
    """One condition."""

    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentView:
    """The whole of it. `run_id` is empty before the first run; `duration` zero where it cannot be read."""

    namespace: str
    name: str
    phase: Phase
    verdict: Verdict
    service: str
    hypothesis: str = ""
    fault: str = ""
    reason: str = ""
    invalid: str = ""
    run_id: str = ""
    report: str = ""
    stopping: bool = False
    paused: bool = False
    dry_run: bool = False
    cron: str = ""
    duration: timedelta = timedelta()
    started: datetime | None = None
    injected: datetime | None = None
    expires: datetime | None = None
    recovered: datetime | None = None
    created: datetime | None = None
    next_run: datetime | None = None
    blast: Blast = field(default_factory=Blast)
    history: History = field(default_factory=History)
    probes: tuple[ProbeStatus, ...] = ()
    conditions: tuple[ConditionView, ...] = ()

    @property
    def why(self) -> str:
        """Why it is where it is: the reason, or what holds it."""
        if self.invalid or self.reason:
            return self.invalid or self.reason
        held = (each.message for each in self.conditions if each.status == "False")
        return "" if self.phase.is_over else next((each for each in held if each), "")

    def remaining(self, now: datetime) -> timedelta | None:
        """Time until the fault ends, while there is one."""
        if self.expires is None or not self.phase.is_faulted:
            return None
        return max(self.expires - now, timedelta())


def view(experiment: Object) -> ExperimentView:
    """Put it together."""
    experiment = printable(experiment)
    metadata, spec = experiment["metadata"], experiment.get("spec") or {}
    status = _status(experiment)
    parsed, invalid = _parsed(experiment)
    target = spec.get("target") or {}
    schedule = spec.get("schedule") or {}
    arm = target.get("arm") or "all"
    service = f"{target.get('service') or '?'}"
    fault = parsed.spec.fault if parsed else None
    return ExperimentView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        phase=status.phase,
        verdict=status.verdict,
        service=service if arm == "all" else f"{service} ({arm})",
        hypothesis=str(spec.get("hypothesis") or ""),
        fault=status.fault or (fault.summary if fault else ""),
        reason=status.reason,
        invalid=invalid,
        run_id=status.run_id or "",
        report=status.report or "",
        stopping=spec.get("engineState") == "stop",
        paused=(metadata.get("annotations") or {}).get(PAUSE_ANNOTATION) == "true",
        dry_run=bool(spec.get("dryRun")),
        cron=str(schedule.get("cron") or ""),
        duration=_duration(spec.get("duration")),
        started=status.started_at,
        injected=status.injected_at,
        expires=status.expires_at,
        recovered=status.recovered_at,
        created=parse_time(metadata.get("creationTimestamp")),
        next_run=status.next_schedule_time,
        blast=status.blast,
        history=status.history,
        probes=status.probe_statuses,
        conditions=tuple(
            ConditionView(
                type=each.type, status=each.status, reason=each.reason, message=each.message
            )
            for each in status.conditions
        ),
    )


def _status(experiment: Object) -> ExperimentStatus:
    try:
        return ExperimentStatus.model_validate(experiment.get("status") or {})
    except ValidationError:
        return ExperimentStatus()


def _parsed(experiment: Object) -> tuple[ChaosExperiment | None, str]:
    try:
        return ChaosExperiment.parse({k: v for k, v in experiment.items() if k != "status"}), ""
    except InvalidObject as error:
        return None, str(error)


def _duration(text: object) -> timedelta:
    try:
        return parse_go_duration(str(text))
    except ValueError:
        return timedelta()
