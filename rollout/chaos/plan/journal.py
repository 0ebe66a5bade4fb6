"""What a run was, as a ChaosReport. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from rollout.api.chaos import EXPERIMENT_LABEL, ChaosExperiment, ExperimentStatus, Phase, Verdict
from rollout.api.kinds import CHAOS_REPORT
from rollout.chaos.plan import steady
from rollout.chaos.plan.snapshot import LoadPhase, RunView
from rollout.chaos.plan.steady import AFTER, DURING, Question
from rollout.chaos.probe import ProbePoint, ProbeResult
from rollout.chaos.probes.reading import said
from rollout.kube.objects import Object

_MOST_SAMPLES: Final = 240
_LONGEST_NAME: Final = 63


def report(experiment: ChaosExperiment, status: ExperimentStatus, run: RunView) -> Object:
    """The report of a run that is over, by its last status; the same for the same arguments."""
    start = status.started_at or status.recovered_at
    end = status.recovered_at or start
    assert start is not None  # noqa: S101 - a run that is over began
    assert end is not None  # noqa: S101
    target = experiment.spec.target
    asked = steady.questions(experiment.spec.steady_state)
    spec: Object = {
        "experiment": experiment.name,
        "runID": status.run_id,
        "hypothesis": experiment.spec.hypothesis,
        "status": _status(status),
        "verdict": status.verdict.value,
        "reason": status.reason,
        "deviated": any(steady.failed_at(asked, point, run.samples) for point in (DURING, AFTER)),
        "start": _time(start),
        "end": _time(end),
        "duration": round((end - start).total_seconds(), 3),
        "target": f"{experiment.target_namespace}/{target.service} ({target.arm})",
        "fault": status.fault,
        "spec": experiment.spec.dump(),
        "steadyStates": dict(_steady_states(asked, run.samples)),
        "blast": status.blast.model_dump(mode="json", by_alias=True),
        "run": list(_run(status, run)),
        "rollbacks": list(_rollbacks(status)),
        "probes": [_history(each, run.samples) for each in asked],
        "probeSuccessPercentage": status.probe_success_percentage,
        "load": dict(run.load.kept) if run.load.kept is not None else None,
        "injectedAt": _maybe(status.injected_at),
        "recoveringAt": _maybe(status.recovering_at),
    }
    return {
        "apiVersion": CHAOS_REPORT.api_version,
        "kind": CHAOS_REPORT.kind,
        "metadata": {
            "namespace": experiment.namespace,
            "name": f"{experiment.name}-{status.run_id}",
            "labels": {EXPERIMENT_LABEL: label(experiment.name)},
        },
        "spec": {name: value for name, value in spec.items() if value is not None},
    }


def label(name: str) -> str:
    """An experiment's name as the value of a label, which is shorter than a name may be."""
    return name[:_LONGEST_NAME].rstrip("-.")


def _status(status: ExperimentStatus) -> str:
    if status.injected_at is None and status.verdict is Verdict.FAIL:
        return "failed"
    match status.phase:
        case Phase.COMPLETED:
            return "completed"
        case Phase.ERROR:
            return "interrupted"
        case _:
            return "aborted"


def _steady_states(
    asked: Sequence[Question], samples: Sequence[ProbeResult]
) -> Iterator[tuple[str, bool]]:
    for point in ProbePoint:
        mine = [each for each in asked if point in each.points]
        if not mine or not any(each.point is point for each in samples):
            continue
        bad = steady.failed_at(mine, point, samples) or steady.open_at(mine, point, samples)
        yield point.value, not bad


def _run(status: ExperimentStatus, run: RunView) -> Iterator[dict[str, Any]]:
    if status.injected_at is not None and status.fault:
        yield _activity(f"inject {status.fault}", status.injected_at)
    if run.killed is not None and status.injected_at is not None:
        killed = run.killed
        names = ", ".join(killed.pods) + (f"; {killed.problem}" if killed.problem else "")
        yield _activity("kill pods", status.injected_at, names, worked=bool(killed.pods))
    if run.load.phase is not LoadPhase.NONE and status.injected_at is not None:
        load = run.load
        worked = load.phase is not LoadPhase.FAILED
        yield _activity(
            "send load", status.injected_at, load.problem or load.figures, worked=worked
        )


def _rollbacks(status: ExperimentStatus) -> Iterator[dict[str, Any]]:
    if status.recovering_at is not None and status.injected_at is not None:
        why = status.reason if status.outcome is not None else "its time was over"
        yield _activity("remove the fault", status.recovering_at, why)


def _activity(name: str, at: datetime, output: str = "", *, worked: bool = True) -> dict[str, Any]:
    made = {"name": name, "time": _time(at), "status": "succeeded" if worked else "failed"}
    return made | ({"output": output} if output else {})


def _history(question: Question, samples: Sequence[ProbeResult]) -> dict[str, Any]:
    mine = [each for each in samples if each.name == question.name]
    (found,), _ = steady.statuses((question,), samples)
    comparator = question.spec.comparator if question.spec else None
    criteria = f"{comparator.criteria} {said(comparator.value)}" if comparator else ""
    return {
        "name": question.name,
        "mode": question.mode,
        "verdict": found.verdict,
        "description": found.description,
        "criteria": criteria,
        "samples": [_sample(each) for each in thinned(mine, _MOST_SAMPLES)],
    }


def _sample(result: ProbeResult) -> dict[str, Any]:
    made: dict[str, Any] = {"time": _time(result.at), "verdict": result.verdict.value}
    value = result.value
    if isinstance(value, int | float) and abs(value) != float("inf"):
        made["value"] = float(value)
    return made


def thinned(samples: Sequence[ProbeResult], most: int) -> list[ProbeResult]:
    """At most so many of them, evenly, the first and the last among them."""
    if len(samples) <= most:
        return list(samples)
    return [samples[index * (len(samples) - 1) // (most - 1)] for index in range(most)]


def _time(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _maybe(at: datetime | None) -> str | None:
    return None if at is None else _time(at)
