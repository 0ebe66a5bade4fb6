"""Takes the snapshot of one canary from the stores: no request, whatever the canary's phase.

Knows which objects a canary looks at, and finds the canaries that look at an object; not what follows from either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from rollout.api.canary import Canary
from rollout.api.errors import InvalidObject
from rollout.api.kinds import (
    ALERT_PROVIDER,
    CANARY,
    CHAOS_EXPERIMENT,
    CONFIG_MAP,
    METRIC_TEMPLATE,
    POD_DISRUPTION_BUDGET,
    SECRET,
    SERVICE,
    STATEFUL_SET,
    Kind,
)
from rollout.api.metrictemplate import MetricTemplate
from rollout.delivery.experiments import Experiment
from rollout.delivery.experiments import target_of as experiment_target
from rollout.delivery.objects.configs import ConfigRef, is_tracked, referenced_configs
from rollout.delivery.objects.metadata import baseline_name, canary_name, primary_name
from rollout.delivery.objects.scalers import SCALERS, scaler_of
from rollout.delivery.routing import router_of
from rollout.delivery.snapshot import Settings, Snapshot
from rollout.delivery.status import Status
from rollout.delivery.targets import TARGETS, WORKLOADS, target_of
from rollout.judge.checks import Answer, Check
from rollout.kube.objects import Key, Object, key_of, uid_of
from rollout.kube.store import Change, Store

_BY_TARGET = "target"
_BY_APEX = "apex"
_BY_CONFIG = "config"
_BY_SCALER = "scaler"
_BY_GOVERNING = "governing"
_BY_EXPERIMENT = "experiment"
_SUFFIXES = ("", "-primary", "-canary", "-baseline")
_GUARDS = frozenset({*SCALERS.values(), POD_DISRUPTION_BUDGET})


class Observer:
    """Snapshots of canaries, from one store per kind of `kinds`."""

    def __init__(self, stores: Mapping[Kind, Store], settings: Settings) -> None:
        self._stores = stores
        self._settings = settings
        self._parsed: dict[Key, tuple[tuple[str, int], Canary | InvalidObject]] = {}
        stores[CANARY].index(_BY_TARGET, _target_of)
        stores[CANARY].index(_BY_APEX, _apex_of)
        stores[CANARY].index(_BY_SCALER, _scaler_of)
        stores[CANARY].index(_BY_EXPERIMENT, _experiments_of)
        stores[CHAOS_EXPERIMENT].index(_BY_APEX, _broken_by)
        stores[STATEFUL_SET].index(_BY_GOVERNING, _governing_of)
        for kind in WORKLOADS:
            stores[kind].index(_BY_CONFIG, _configs_of(kind))

    def snapshot(self, key: Key, answers: Mapping[Check, Answer] | None = None) -> Snapshot | None:
        """What is known of one canary now, with the answers to checks if there are any; None where it is gone."""
        obj = self._stores[CANARY].get(*key)
        if obj is None:
            self._parsed.pop(key, None)
            return None
        target = next(iter(_target_of(obj)), None)
        return Snapshot(
            obj=obj,
            canary=self._parse(key, obj),
            status=Status.parse(obj.get("status")),
            settings=self._settings,
            objects={(kind, each["metadata"]["name"]): each for kind, each in self._objects(obj)},
            configs=self._configs(obj, target) if target else {},
            rival=self._rival(obj, target) if target else "",
            templates=self._templates(obj),
            answers=answers,
            experiments=tuple(self._experiments(obj)),
        )

    def looking_at(self, change: Change) -> set[Key]:
        """The canaries that look at an object that changed."""
        kind, key = change.kind, change.key
        if kind == CANARY:
            seen = [obj for obj in (change.old, change.new) if obj is not None]
            targets = {target for obj in seen for target in _target_of(obj)}
            return {key}.union(*map(self._by_target, targets))
        if kind in {CONFIG_MAP, SECRET}:
            ref = ConfigRef(kind == SECRET, key.name)
            return {
                each
                for workloads in WORKLOADS
                for user in self._stores[workloads].by_index(_BY_CONFIG, (key.namespace, ref))
                for each in self._by_target(key_of(user))
            }
        if kind in {METRIC_TEMPLATE, ALERT_PROVIDER}:
            return set()  # read with the next check, or the next alert
        if kind == CHAOS_EXPERIMENT:
            return self._tried_by(change)
        if kind in WORKLOADS:
            names = {key.name.removesuffix(suffix) for suffix in ("", "-primary", "-baseline")}
            return {each for name in names for each in self._by_target(Key(key.namespace, name))}
        if kind in _GUARDS:
            return self._guarded_by(change) if _says_otherwise(change) else set()
        apexes = {key.name.removesuffix(suffix) for suffix in _SUFFIXES}
        found = {
            key_of(canary)
            for name in apexes
            for canary in self._stores[CANARY].by_index(_BY_APEX, Key(key.namespace, name))
        }
        return found | self._governed_by(key) if kind == SERVICE else found

    def _guarded_by(self, change: Change) -> set[Key]:
        """The canaries that a scaler or a budget is about; whose pods a budget selects is seen in the snapshot."""
        kind, (namespace, name) = change.kind, change.key
        canaries = self._stores[CANARY]
        if kind == POD_DISRUPTION_BUDGET:
            return {key_of(each) for each in canaries.list(namespace)}
        return {
            key_of(each)
            for source in (name, name.removesuffix("-primary"))
            for each in canaries.by_index(_BY_SCALER, (kind, Key(namespace, source)))
        }

    def _tried_by(self, change: Change) -> set[Key]:
        """The canaries whose service an experiment breaks, and those whose analysis names it."""
        canaries = self._stores[CANARY]
        found = {key_of(each) for each in canaries.by_index(_BY_EXPERIMENT, change.key)}
        for obj in (change.old, change.new):
            for apex in _broken_by(obj) if obj is not None else ():
                found |= {key_of(each) for each in canaries.by_index(_BY_APEX, apex)}
        return found

    def _experiments(self, canary: Object) -> Iterator[Experiment]:
        store = self._stores[CHAOS_EXPERIMENT]
        found = {
            key_of(each): each
            for apex in _apex_of(canary)
            for each in store.by_index(_BY_APEX, apex)
        }
        for key in _experiments_of(canary):
            if (named := store.get(*key)) is not None:
                found[key] = named
        for key in sorted(found):
            yield Experiment.of(found[key])

    def _governed_by(self, service: Key) -> set[Key]:
        names = (service.name, service.name.removesuffix("-primary"))
        return {
            each
            for name in names
            for workload in self._stores[STATEFUL_SET].by_index(
                _BY_GOVERNING, Key(service.namespace, name)
            )
            for each in self._by_target(key_of(workload))
        }

    def _by_target(self, target: Key) -> set[Key]:
        return {key_of(each) for each in self._stores[CANARY].by_index(_BY_TARGET, target)}

    def _parse(self, key: Key, obj: Object) -> Canary | InvalidObject:
        version = (uid_of(obj), int(obj["metadata"].get("generation") or 0))
        known = self._parsed.get(key)
        if known is None or known[0] != version:
            try:
                known = version, Canary.parse({k: v for k, v in obj.items() if k != "status"})
            except InvalidObject as error:
                known = version, error
            self._parsed[key] = known
        return known[1]

    def _objects(self, canary: Object) -> Iterator[tuple[Kind, Object]]:
        namespace = canary["metadata"]["namespace"]
        workloads = target_of(canary).kind
        for target in _target_of(canary):
            for name in (target.name, primary_name(target.name), baseline_name(target.name)):
                if (found := self._stores[workloads].get(namespace, name)) is not None:
                    yield workloads, found
                    yield from self._beside(workloads, found)
        if scaler := scaler_of(canary):
            for name in (scaler[1], primary_name(scaler[1])):
                if (found := self._stores[scaler[0]].get(namespace, name)) is not None:
                    yield scaler[0], found
        for budget in self._stores[POD_DISRUPTION_BUDGET].list(namespace):
            yield POD_DISRUPTION_BUDGET, budget
        router = router_of(canary, self._settings.mesh_provider)
        for apex in _apex_of(canary):
            for kind in (SERVICE, *(router.kinds() if router else ())):
                for name in _sides_of(apex.name):
                    if (found := self._stores[kind].get(namespace, name)) is not None:
                        yield kind, found

    def _beside(self, kind: Kind, workload: Object) -> Iterator[tuple[Kind, Object]]:
        """The Service that gives a StatefulSet's pods their names, and the primary's."""
        for governing in _governing_of(workload) if kind == STATEFUL_SET else ():
            for name in (governing.name, primary_name(governing.name)):
                if (found := self._stores[SERVICE].get(governing.namespace, name)) is not None:
                    yield SERVICE, found

    def _configs(self, canary: Object, key: Key) -> dict[ConfigRef, Object]:
        kind = target_of(canary)
        target = self._stores[kind.kind].get(*key)
        if target is None or not self._settings.config_tracking:
            return {}
        found = (
            (ref, self._stores[ref.kind].get(key.namespace, ref.name))
            for ref in referenced_configs(kind.template(target))
        )
        return {
            ref: config
            for ref, config in found
            if config is not None and is_tracked(config, secret=ref.secret)
        }

    def _templates(self, canary: Object) -> dict[Key, MetricTemplate | InvalidObject]:
        found: dict[Key, MetricTemplate | InvalidObject] = {}
        for key in _templates_of(canary):
            template = self._stores[METRIC_TEMPLATE].get(*key)
            if template is None:
                continue
            try:
                found[key] = MetricTemplate.parse(template)
            except InvalidObject as error:
                found[key] = error
        return found

    def _rival(self, canary: Object, target: Key) -> str:
        """The canary that had the target first, where it was not this one."""
        others: Iterable[Object] = self._stores[CANARY].by_index(_BY_TARGET, target)
        first = min(others, key=_seniority, default=canary)
        return "" if uid_of(first) == uid_of(canary) else str(first["metadata"]["name"])


def _sides_of(apex: str) -> tuple[str, ...]:
    """The services of a canary, and what else is named after them."""
    return apex, primary_name(apex), canary_name(apex), baseline_name(apex)


def _seniority(canary: Object) -> tuple[str, str]:
    return canary["metadata"].get("creationTimestamp") or "", canary["metadata"]["name"]


# Indices read objects that nobody has validated yet.
def _target_of(canary: Object) -> Iterator[Key]:
    name = ((canary.get("spec") or {}).get("targetRef") or {}).get("name")
    if isinstance(name, str) and name:
        yield Key(canary["metadata"]["namespace"], name)


def _apex_of(canary: Object) -> Iterator[Key]:
    spec = canary.get("spec") or {}
    namespace = canary["metadata"]["namespace"]
    name = (spec.get("service") or {}).get("name")
    if isinstance(name, str) and name:
        yield Key(namespace, name)
    else:
        yield from _target_of(canary)
    route = (spec.get("routeRef") or {}).get("name")
    if isinstance(route, str) and route:
        yield Key(namespace, route)


def _experiments_of(canary: Object) -> Iterator[Key]:
    refs = ((canary.get("spec") or {}).get("analysis") or {}).get("chaos") or ()
    for ref in refs if isinstance(refs, list) else ():
        if isinstance(ref, dict) and isinstance(ref.get("name"), str):
            yield Key(canary["metadata"]["namespace"], ref["name"])


def _broken_by(experiment: Object) -> Iterator[Key]:
    namespace, service, _ = experiment_target(experiment)
    yield Key(namespace, service)


def _scaler_of(canary: Object) -> Iterator[tuple[Kind, Key]]:
    if scaler := scaler_of(canary):
        yield scaler[0], Key(canary["metadata"]["namespace"], scaler[1])


def _governing_of(workload: Object) -> Iterator[Key]:
    if name := workload["spec"].get("serviceName"):
        yield Key(workload["metadata"]["namespace"], name)


def _says_otherwise(change: Change) -> bool:
    """Whether more than a status changed: those of scalers and budgets move with every pod."""
    old, new = change.old, change.new
    if old is None or new is None:
        return True
    parts = ("labels", "annotations", "ownerReferences")
    return old.get("spec") != new.get("spec") or any(
        old["metadata"].get(part) != new["metadata"].get(part) for part in parts
    )


def _templates_of(canary: Object) -> Iterator[Key]:
    metrics = ((canary.get("spec") or {}).get("analysis") or {}).get("metrics") or ()
    for metric in metrics if isinstance(metrics, list) else ():
        ref = metric.get("templateRef") if isinstance(metric, dict) else None
        if isinstance(ref, dict) and isinstance(ref.get("name"), str):
            yield Key(str(ref.get("namespace") or canary["metadata"]["namespace"]), ref["name"])


def _configs_of(kind: Kind) -> Callable[[Object], Iterator[tuple[str, ConfigRef]]]:
    def configs(workload: Object) -> Iterator[tuple[str, ConfigRef]]:
        for ref in referenced_configs(TARGETS[kind].template(workload)):
            yield workload["metadata"]["namespace"], ref

    return configs
