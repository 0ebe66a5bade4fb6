"""Gathers what a decision about one experiment needs, from the stores alone, and says whom a change concerns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from pydantic import ValidationError

from rollout.api.canary import Phase as CanaryPhase
from rollout.api.chaos import (
    FINALIZER,
    HALT_ANNOTATION,
    REQUEST_FAULTS,
    ChaosExperiment,
    ExperimentStatus,
)
from rollout.api.errors import InvalidObject
from rollout.api.kinds import CANARY, CHAOS_EXPERIMENT, NAMESPACE, SERVICE, Kind
from rollout.chaos.desk import Desk
from rollout.chaos.plan.snapshot import Other, Snapshot
from rollout.chaos.selecting import own_services, selected, selectors, share_pods
from rollout.chaos.vouching import Voucher
from rollout.kube.objects import Key, Object, annotations_of, key_of, labels_of
from rollout.kube.store import Change, Store


class Observer:
    """Reads the stores of the kinds that experiments need."""

    def __init__(
        self, stores: Mapping[Kind, Store], desk: Desk, voucher: Voucher, system_namespace: str
    ) -> None:
        self._stores, self._desk, self._voucher = stores, desk, voucher
        self._system = system_namespace

    def snapshot(self, key: Key) -> Snapshot | None:
        """One experiment as it is now; None where it is gone."""
        obj = self._stores[CHAOS_EXPERIMENT].get(*key)
        if obj is None:
            return None
        status = status_of(obj)
        experiment = experiment_of(obj, status)
        namespace = _target(obj)[0]
        deleted = obj["metadata"].get("deletionTimestamp")
        return Snapshot(
            obj=obj,
            experiment=experiment,
            status=status,
            deleted=datetime.fromisoformat(deleted) if deleted else None,
            guarded=FINALIZER in (obj["metadata"].get("finalizers") or ()),
            halted=self._halted(),
            system_namespace=self._system,
            labels=self._labels(key.namespace, namespace),
            services=frozenset(
                each["metadata"]["name"] for each in self._stores[SERVICE].list(namespace)
            ),
            others=tuple(self._others(key)),
            rolled_back=self._rolled_back(key, *_target(obj)),
            on_request=any(
                key in _named(each) for each in self._stores[CANARY].list(key.namespace)
            ),
            run=self._desk.view(key, status.run_id, self._voucher.renewed(key)),
        )

    def url(self, experiment: ChaosExperiment) -> str:
        """Where the target's load goes, unless the experiment says so."""
        load, target = experiment.spec.load, experiment.spec.target
        if load is not None and load.fortio.url is not None:
            return load.fortio.url
        namespace = experiment.target_namespace
        service = self._stores[SERVICE].get(namespace, target.service) or {}
        ports = (service.get("spec") or {}).get("ports") or [{"port": 80}]
        return f"http://{target.service}.{namespace}:{ports[0]['port']}"

    def target(self, experiment: ChaosExperiment) -> Object | None:
        """The target's Service."""
        name = experiment.spec.target.service
        return self._stores[SERVICE].get(experiment.target_namespace, name)

    def all_keys(self) -> list[Key]:
        """All experiments."""
        return [key_of(each) for each in self._stores[CHAOS_EXPERIMENT].list()]

    def looking_at(self, change: Change) -> Iterator[Key]:
        """The experiments that a change concerns."""
        if change.kind == CHAOS_EXPERIMENT:
            yield change.key
            # What one did may be what another waits for.
            yield from self._waiting()
        elif change.kind == NAMESPACE:
            everywhere = change.key.name == self._system
            for key in self.all_keys():
                if everywhere or change.key.name in (key.namespace, self._namespace(key)):
                    yield key
        elif change.kind in {SERVICE, CANARY}:
            yield from self._towards(change.key.namespace)
            for obj in (change.old, change.new) if change.kind == CANARY else ():
                yield from _named(obj) if obj is not None else ()

    def _towards(self, namespace: str) -> Iterator[Key]:
        for obj in self._stores[CHAOS_EXPERIMENT].list():
            if _target(obj)[0] == namespace:
                yield key_of(obj)

    def _waiting(self) -> Iterator[Key]:
        return (key_of(obj) for obj in self._stores[CHAOS_EXPERIMENT].list() if _waits(obj))

    def _namespace(self, key: Key) -> str:
        return _target(self._stores[CHAOS_EXPERIMENT].get(*key) or {})[0]

    def _halted(self) -> bool:
        system = self._stores[NAMESPACE].get("", self._system)
        return system is not None and annotations_of(system).get(HALT_ANNOTATION) == "true"

    def _labels(self, *names: str) -> dict[str, Mapping[str, str]]:
        found = ((name, self._stores[NAMESPACE].get("", name)) for name in names)
        return {name: labels_of(obj) for name, obj in found if obj is not None}

    def _others(self, key: Key) -> Iterator[Other]:
        own = self._stores[CHAOS_EXPERIMENT].get(*key) or {}
        for obj in self._stores[CHAOS_EXPERIMENT].list():
            status = obj.get("status") or {}
            if key_of(obj) == key or status.get("phase") not in _ACTIVE:
                continue
            namespace, service = _target(obj)
            radius = (obj.get("spec") or {}).get("blastRadius") or {}
            most = radius.get("maxConcurrent")
            parsed = status_of(obj)
            yield Other(
                key=key_of(obj),
                namespace=namespace,
                service=service,
                max_concurrent=most if isinstance(most, int) else 1,
                started_at=parsed.started_at,
                faulted=parsed.phase.is_faulted,
                at_callers=_layer(obj) == "client",
                at_pods=_layer(obj) == "upstream" and self._share_pods(own, obj),
            )

    def _share_pods(self, one: Object, other: Object) -> bool:
        namespace = _target(one)[0]
        if _target(other)[0] != namespace:
            return False
        known = selectors(self._stores[SERVICE].list(namespace))
        mine, theirs = (
            selected(own_services(_target(each)[1], _arm(each)), known) for each in (one, other)
        )
        return share_pods(mine, theirs)

    def _rolled_back(self, key: Key, namespace: str, service: str) -> datetime | None:
        """When a canary of the target, or one that names the experiment, last failed."""
        found = []
        for canary in self._stores[CANARY].list():
            status = canary.get("status") or {}
            since = status.get("lastTransitionTime")
            if status.get("phase") != CanaryPhase.FAILED or not since:
                continue
            if _apex(canary) == (namespace, service) or key in _named(canary):
                found.append(datetime.fromisoformat(since))
        return max(found, default=None)


def _apex(canary: Object) -> tuple[str, str]:
    spec = canary.get("spec") or {}
    name = (spec.get("service") or {}).get("name") or (spec.get("targetRef") or {}).get("name")
    return str(canary["metadata"]["namespace"]), str(name or "")


def _named(canary: Object) -> Iterator[Key]:
    """The experiments that a canary's analysis names."""
    refs = ((canary.get("spec") or {}).get("analysis") or {}).get("chaos") or ()
    for ref in refs if isinstance(refs, list) else ():
        if isinstance(ref, dict) and isinstance(ref.get("name"), str):
            yield Key(canary["metadata"]["namespace"], ref["name"])


_ACTIVE = frozenset({"CheckingSteadyState", "Injecting", "Running", "Recovering"})


def _waits(obj: Object) -> bool:
    return str((obj.get("status") or {}).get("phase", "Pending")) == "Pending"


def _layer(obj: Object) -> str:
    """Whose proxies carry the fault out; empty where none do, or where it cannot be read."""
    spec = obj.get("spec")
    fault = spec.get("fault") if isinstance(spec, dict) else None
    if not isinstance(fault, dict) or not set(REQUEST_FAULTS) & set(fault):
        return ""
    return str(fault.get("layer") or "upstream")


def _arm(obj: Object) -> str:
    """The target's arm, as written."""
    spec = obj.get("spec")
    target = spec.get("target") if isinstance(spec, dict) else None
    return str(target.get("arm") or "all") if isinstance(target, dict) else "all"


def _target(obj: Object) -> tuple[str, str]:
    """Namespace and name of the target's Service, as written; nothing may be assumed of what is written."""
    spec = obj.get("spec")
    target = spec.get("target") if isinstance(spec, dict) else None
    target = target if isinstance(target, dict) else {}
    own = (obj.get("metadata") or {}).get("namespace", "")
    return str(target.get("namespace") or own), str(target.get("service") or "")


def status_of(obj: Object) -> ExperimentStatus:
    """The status as written; an empty one where somebody else wrote it so that it cannot be read."""
    try:
        return ExperimentStatus.model_validate(obj.get("status") or {})
    except ValidationError:
        return ExperimentStatus()


def experiment_of(obj: Object, status: ExperimentStatus) -> ChaosExperiment | InvalidObject:
    """The experiment, or why it cannot be read."""
    try:
        parsed = ChaosExperiment.parse({k: v for k, v in obj.items() if k != "status"})
    except InvalidObject as error:
        return error
    return parsed.model_copy(update={"status": status})
