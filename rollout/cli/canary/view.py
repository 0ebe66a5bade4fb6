"""One canary as people look at it: everything that a renderer shows, taken from objects as served. Pure.

Reads leniently: what is broken in the cluster must be shown all the same. Knows neither the cluster nor colours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rollout.api.canary import Canary
from rollout.api.errors import InvalidObject
from rollout.api.kinds import DAEMON_SET
from rollout.delivery.judging.record import JudgeRecord
from rollout.delivery.objects.baseline import can_serve
from rollout.delivery.objects.metadata import baseline_name, primary_name
from rollout.delivery.podfailure import failure
from rollout.delivery.records import CommandRecord, Run, StepRecord, Verdict
from rollout.delivery.refusals import BLOCKED
from rollout.delivery.routing.router import TOTAL, Weights
from rollout.delivery.status import SETTLED, UNDER_ANALYSIS, Status, parse_time
from rollout.delivery.targets import target_of
from rollout.delivery.targets.target import Target
from rollout.kube.objects import Object, selector_string

NO_PHASE = "New"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """One pod."""

    name: str
    phase: str
    ready: int
    containers: int
    restarts: int
    started: datetime | None
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadView:
    """One side of the canary."""

    role: str
    kind: str
    name: str
    weight: int
    images: tuple[str, ...] = ()
    wanted: int = 0
    updated: int = 0
    available: int = 0
    found: bool = True
    selects: str = ""
    pods: tuple[PodView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryView:
    """The whole of it; `noticed` is whether the controller has dealt with the target's present revision. `baseline` is the share
    of the requests that a fresh baseline gets.
    """

    namespace: str
    name: str
    phase: str
    weight: int
    promoted: str
    baseline: int = 0
    message: str = ""
    blocked: str = ""
    invalid: str = ""
    suspended: bool = False
    noticed: bool = True
    kind: str = "Deployment"
    target: str = ""
    revision: str = ""
    failed_checks: int = 0
    threshold: int = 0
    steps: tuple[int, ...] = ()
    iterations: int = 0
    iterations_wanted: int = 0
    interval: timedelta | None = None
    moved: datetime | None = None
    created: datetime | None = None
    skip_analysis: bool = False
    metrics: tuple[str, ...] = ()
    workloads: tuple[WorkloadView, ...] = ()
    checks: tuple[StepRecord, ...] = ()
    history: tuple[Run, ...] = ()
    command: CommandRecord | None = None
    judge: JudgeRecord | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing is under way, and nothing is about to begin."""
        return self.phase in SETTLED and self.noticed

    @property
    def reason(self) -> str:
        """Why it does not simply go on; empty where it does."""
        if self.invalid or self.blocked:
            return self.invalid or self.blocked
        if self.phase == "Failed" and self.history:
            return self.history[-1].reason
        held = self.checks[-1] if self.failed_checks and self.checks else None
        bad = (
            check for check in (held.checks if held else ()) if check.verdict is not Verdict.PASSED
        )
        return next((check.message or check.metric for check in bad), "")

    @property
    def step(self) -> int:
        """How many of the steps have been made."""
        return sum(weight <= self.weight for weight in self.steps)

    @property
    def next_step(self) -> datetime | None:
        """When the next step may be made, while an analysis is under way."""
        if self.phase not in {"Progressing", "WaitingPromotion"} or self.suspended:
            return None
        return self.moved + self.interval if self.moved and self.interval else None


def view(
    canary: Object,
    workloads: Mapping[str, Object] | None = None,
    pods: Mapping[str, Iterable[Object]] | None = None,
) -> CanaryView:
    """Put it together; `workloads` of the target's kind and the `pods` of each by the workload's name, where they were read."""
    canary = printable(canary)
    metadata, status = canary["metadata"], Status.parse(canary.get("status"))
    parsed, invalid = _parsed(canary)
    spec = canary.get("spec") or {}
    target = str((spec.get("targetRef") or {}).get("name") or "")
    condition, blocked = status.condition("Promoted"), status.condition(BLOCKED)
    found = (workloads or {}).get(target)
    revision = target_of(canary).revision(found) if found else ""
    known = {"", status.last_applied_spec, status.last_promoted_spec}
    weights = _weights(parsed, status, (workloads or {}).get(baseline_name(target)))
    return CanaryView(
        namespace=metadata["namespace"],
        name=metadata["name"],
        phase=str(status.phase) or NO_PHASE,
        weight=status.canary_weight,
        baseline=weights.baseline,
        promoted=condition.status if condition else "Unknown",
        message=condition.message if condition else "",
        blocked=blocked.message if blocked else "",
        invalid=invalid,
        suspended=bool(spec.get("suspend")),
        noticed=status.phase not in SETTLED or revision in known,
        kind=target_of(canary).kind.kind,
        target=target,
        revision=revision or status.last_applied_spec,
        failed_checks=status.failed_checks,
        threshold=parsed.threshold if parsed else 0,
        steps=parsed.steps if parsed else (),
        iterations=status.iterations,
        iterations_wanted=(parsed.spec.analysis.iterations or 0) if parsed else 0,
        interval=parsed.spec.analysis.interval if parsed else None,
        moved=status.last_transition,
        created=parse_time(metadata.get("creationTimestamp")),
        skip_analysis=bool(spec.get("skipAnalysis")),
        metrics=tuple(metric.name for metric in parsed.spec.analysis.metrics) if parsed else (),
        workloads=_workloads(canary, weights, workloads, pods or {}),
        checks=status.analysis,
        history=status.history,
        command=status.command,
        judge=status.judge,
    )


def printable(value: Any) -> Any:
    """The same JSON without what could steer a terminal: messages come from wherever a pod's image does."""
    if isinstance(value, str):
        return (
            value if value.isprintable() else "".join(c if c.isprintable() else " " for c in value)
        )
    if isinstance(value, dict):
        return {key: printable(each) for key, each in value.items()}
    return [printable(each) for each in value] if isinstance(value, list | tuple) else value


def _parsed(canary: Object) -> tuple[Canary | None, str]:
    try:
        return Canary.parse({key: value for key, value in canary.items() if key != "status"}), ""
    except InvalidObject as error:
        return None, str(error)


def pods_selector(workload: Object) -> Object | None:
    """The LabelSelector of its pods; None where it selects none."""
    selector: Object = workload["spec"].get("selector") or {}
    if not selector or {"matchLabels", "matchExpressions"} & selector.keys():
        return selector or None
    return {"matchLabels": selector}


def _weights(canary: Canary | None, status: Status, baseline: Object | None) -> Weights:
    """Who gets how much, as the controller shares it out."""
    weight = min(max(status.canary_weight, 0), TOTAL)
    judged = canary is not None and canary.spec.fresh_baseline and status.phase in UNDER_ANALYSIS
    compared = judged and can_serve(baseline)
    return Weights.beside_baseline(weight) if compared else Weights.of_canary(weight)


def _workloads(
    canary: Object,
    weights: Weights,
    workloads: Mapping[str, Object] | None,
    pods: Mapping[str, Iterable[Object]],
) -> tuple[WorkloadView, ...]:
    target = str(((canary.get("spec") or {}).get("targetRef") or {}).get("name") or "")
    if workloads is None or not target:
        return ()
    sides = (
        ("primary", primary_name(target), weights.primary),
        ("canary", target, weights.canary),
        *(
            [("baseline", baseline_name(target), weights.baseline)]
            if baseline_name(target) in workloads
            else []
        ),
    )
    return tuple(
        _workload(target_of(canary), role, name, weight, workloads.get(name), pods.get(name, ()))
        for role, name, weight in sides
    )


def _workload(
    target: Target,
    role: str,
    name: str,
    weight: int,
    workload: Object | None,
    pods: Iterable[Object],
) -> WorkloadView:
    kind = target.kind.kind
    if workload is None:
        return WorkloadView(role=role, kind=kind, name=name, weight=weight, found=False)
    status = workload.get("status") or {}
    containers = printable((target.template(workload).get("spec") or {}).get("containers") or ())
    wanted = target.pods(workload)
    if wanted and target.kind == DAEMON_SET:
        wanted = int(status.get("desiredNumberScheduled") or 0)
    selector = pods_selector(workload)
    return WorkloadView(
        role=role,
        kind=kind,
        name=name,
        weight=weight,
        images=tuple(str(each.get("image", "")) for each in containers),
        wanted=wanted,
        updated=_counted(status, "updatedReplicas", "updatedNumberScheduled"),
        available=_counted(status, "availableReplicas", "numberAvailable"),
        selects=(
            printable(selector_string(selector)) if selector and not target.makes_pods else ""
        ),
        pods=tuple(sorted(map(_pod, pods), key=lambda pod: pod.name)),
    )


def _counted(status: Object, *names: str) -> int:
    return next((int(status[name]) for name in names if status.get(name)), 0)


def _pod(pod: Object) -> PodView:
    pod = printable(pod)
    status = pod.get("status") or {}
    containers = status.get("containerStatuses") or ()
    deleting = pod["metadata"].get("deletionTimestamp")
    return PodView(
        name=pod["metadata"]["name"],
        phase="Terminating" if deleting else str(status.get("phase") or "Pending"),
        ready=sum(bool(each.get("ready")) for each in containers),
        containers=len(pod["spec"].get("containers") or ()),
        restarts=sum(int(each.get("restartCount") or 0) for each in containers),
        started=parse_time(status.get("startTime")),
        trouble=failure(pod),
    )
