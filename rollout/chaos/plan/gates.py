"""Why an experiment may not run: one row per reason, each with what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from rollout.api.chaos import ENABLED_LABEL, ChaosExperiment
from rollout.chaos.plan.snapshot import Other, Snapshot
from rollout.kube.objects import Key
from rollout.mesh.model.fault import INBOUND_SLOTS, OUTBOUND_SLOTS

_PROTECTED = frozenset({"istio-system", "rollout-system"})
_LATE = datetime.max.replace(tzinfo=UTC)


class Gate(StrEnum):
    """Why not: the reason of the condition `Selected` and of events."""

    INVALID = "Invalid"
    HALTED = "Halted"
    STOPPED = "EngineStopped"
    PROTECTED = "ProtectedNamespace"
    NOT_OPTED_IN = "NotOptedIn"
    NO_SERVICE = "ServiceNotFound"
    NO_ARM = "ArmNotFound"
    BUSY = "ServiceBusy"
    TOO_MANY = "TooManyExperiments"
    NO_SLOT = "CallersBusy"
    NO_POD_SLOT = "PodsBusy"

    @property
    def opens_by_itself(self) -> bool:
        """Whether it is other experiments' runs that hold it: nobody need do anything."""
        return self in {Gate.BUSY, Gate.TOO_MANY, Gate.NO_SLOT, Gate.NO_POD_SLOT}


@dataclass(frozen=True, slots=True)
class Closed:
    """A gate that is closed, and what to say of it."""

    gate: Gate
    message: str


def closed(seen: Snapshot, experiment: ChaosExperiment) -> Closed | None:
    """The first gate that keeps the experiment from running now; also looked at again while it runs."""
    return next(_closed(seen, experiment), None)


def _closed(seen: Snapshot, experiment: ChaosExperiment) -> Iterator[Closed]:
    namespace, service = experiment.target_namespace, experiment.spec.target.service
    if seen.halted:
        yield Closed(Gate.HALTED, "all chaos is halted (rollout chaos resume lets it go on)")
    if experiment.spec.engine_state == "stop":
        yield Closed(Gate.STOPPED, "spec.engineState is stop (set it to active)")
    for name in dict.fromkeys((experiment.namespace, namespace)):
        if is_protected(name, seen.system_namespace):
            why = f"namespace {name} belongs to the system: nothing is broken there"
            yield Closed(Gate.PROTECTED, why)
        if seen.labels.get(name, {}).get(ENABLED_LABEL) != "true":
            remedy = f"kubectl label namespace {name} {ENABLED_LABEL}=true"
            yield Closed(Gate.NOT_OPTED_IN, f"namespace {name} has not opted in ({remedy})")
    if service not in seen.services:
        why = f"there is no Service {namespace}/{service} (correct spec.target.service)"
        yield Closed(Gate.NO_SERVICE, why)
    for name in experiment.spec.target.services:
        if name not in seen.services:
            arm = experiment.spec.target.arm
            why = f"there is no Service {namespace}/{name}: no Canary has a {arm} of {service}"
            yield Closed(Gate.NO_ARM, f"{why} (set spec.target.arm to all, or wait for one)")
    yield from _crowded(seen, experiment)


def _crowded(seen: Snapshot, experiment: ChaosExperiment) -> Iterator[Closed]:
    """Other experiments that are in a run. Of two that began at once, the one that began first goes on."""
    mine = _order(experiment.status.started_at, Key(experiment.namespace, experiment.name))
    running = experiment.status.phase.is_active
    earlier = [
        each
        for each in seen.others
        if not running or each.faulted or _order(each.started_at, each.key) < mine
    ]
    yield from _no_slot(experiment, earlier)
    before = [each for each in earlier if each.namespace == experiment.target_namespace]
    for each in before:
        if each.service == experiment.spec.target.service:
            yield Closed(Gate.BUSY, f"{each.key} runs on {each.service} (it is waited for)")
    limit = _limit(experiment, before)
    if len(before) >= limit:
        names = ", ".join(sorted(str(each.key) for each in before))
        why = f"{len(before)} of {limit} experiments run in {experiment.target_namespace}: {names}"
        yield Closed(Gate.TOO_MANY, f"{why} (they are waited for, or raise maxConcurrent)")


def _no_slot(experiment: ChaosExperiment, others: list[Other]) -> Iterator[Closed]:
    """A proxy carries so many faults at a time: a caller's whatever the services, counted as if all had the same callers."""
    fault = experiment.spec.fault
    if fault is None or not fault.in_mesh:
        return
    gate, most, whose = Gate.NO_SLOT, OUTBOUND_SLOTS, "proxies of callers"
    in_the_way = [each for each in others if each.at_callers]
    remedy = "they are waited for, or use layer upstream"
    if fault.layer == "upstream":
        gate, most, whose = Gate.NO_POD_SLOT, INBOUND_SLOTS, "proxies of the target's pods"
        in_the_way = [each for each in others if each.at_pods]
        remedy = "they are waited for"
    if len(in_the_way) >= most:
        names = ", ".join(sorted(str(each.key) for each in in_the_way))
        why = f"{whose} carry {most} faults of layer {fault.layer} at most: {names}"
        yield Closed(gate, f"{why} ({remedy})")


def _limit(experiment: ChaosExperiment, others: list[Other]) -> int:
    own = experiment.spec.blast_radius.max_concurrent
    return min([own, *(each.max_concurrent for each in others)])


def _order(started: datetime | None, key: Key) -> tuple[datetime, Key]:
    return started or _LATE, key


def is_protected(namespace: str, system_namespace: str) -> bool:
    """Whether a namespace is the cluster's or this program's own."""
    return namespace.startswith("kube-") or namespace in _PROTECTED or namespace == system_namespace
