"""A small simulated cluster: real stores, the real shell and the real core, a writer that keeps objects in memory, and a
Deployment controller that obeys the test. Tests tell a canary's story in it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry

from rollout.api.canary import Canary
from rollout.api.kinds import (
    ALERT_PROVIDER,
    CANARY,
    CHAOS_EXPERIMENT,
    CONFIG_MAP,
    DAEMON_SET,
    DEPLOYMENT,
    DESTINATION_RULE,
    GRPC_ROUTE,
    HORIZONTAL_POD_AUTOSCALER,
    HTTP_ROUTE,
    METRIC_TEMPLATE,
    POD_DISRUPTION_BUDGET,
    SCALED_OBJECT,
    SECRET,
    SERVICE,
    STATEFUL_SET,
    VIRTUAL_SERVICE,
    Kind,
)
from rollout.delivery.act import Actor
from rollout.delivery.alerts.alert import Alert
from rollout.delivery.hooks.call import Agreed, HookCall, Outcome
from rollout.delivery.metrics import DeliveryMetrics
from rollout.delivery.observe import Observer
from rollout.delivery.reconcile import Reconciler
from rollout.delivery.routing import router_of
from rollout.delivery.routing.istio import IstioRouter
from rollout.delivery.routing.router import Weights
from rollout.delivery.snapshot import Settings, Snapshot
from rollout.delivery.targets import TARGETS, WORKLOADS, target_of
from rollout.delivery.targets.target import Target
from rollout.judge.checks import Answer, Check, QueryFailed, Source, Value
from rollout.judge.thresholds import Measure
from rollout.judge.trials import Observation, Observed, Trial
from rollout.kube.diff import exact_patch, merge_patch
from rollout.kube.errors import Conflict, KubeError, NotFound
from rollout.kube.objects import Key, Object, key_of, version_of
from rollout.kube.store import Store

KINDS = (
    CANARY,
    METRIC_TEMPLATE,
    ALERT_PROVIDER,
    CHAOS_EXPERIMENT,
    DEPLOYMENT,
    DAEMON_SET,
    STATEFUL_SET,
    SERVICE,
    CONFIG_MAP,
    SECRET,
    HORIZONTAL_POD_AUTOSCALER,
    SCALED_OBJECT,
    POD_DISRUPTION_BUDGET,
    VIRTUAL_SERVICE,
    DESTINATION_RULE,
    HTTP_ROUTE,
    GRPC_ROUTE,
)
_GATEWAYS = (HTTP_ROUTE, GRPC_ROUTE)
KEY = Key("shop", "catalog-release")
START = datetime(2026, 1, 20, 22, 50, 16, tzinfo=UTC)
INTERVAL = timedelta(seconds=45)


SETTLED = ("Initialized", "Succeeded", "Failed")
"""Phases in which nothing more happens by itself."""
AFRESH: dict[str, object] = {
    "metrics": [
        {"name": "request-success-rate"},
        {"name": "errors", "query": "x", "thresholdRange": {"max": 1}},
    ],
    "judge": {
        "method": "sequential",
        "baseline": "fresh",
        # Nobody asks for anything here, so that each step is inconclusive.
        "maxDuration": "10s",
        "onInconclusive": "promote",
    },
}
"""An analysis that compares with fresh pods of the primary's version."""


class Killed(BaseException):
    """The process ends, as by kill -9: nothing catches it."""


def canary(**spec: Any) -> Object:
    """The Canary of the book's listing; keywords replace parts of its spec, `analysis` parts of the analysis."""
    analysis = {
        "interval": "45s",
        "threshold": 5,
        "maxWeight": 50,
        "stepWeight": 10,
        "metrics": [
            {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"},
            {"name": "request-duration", "thresholdRange": {"max": 500}, "interval": "30s"},
        ],
    }
    changes = spec.pop("analysis", {})
    merged = {k: v for k, v in {**analysis, **changes}.items() if v is not None}
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": KEY.name, "namespace": KEY.namespace},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "catalog"},
            "progressDeadlineSeconds": 60,
            "service": {
                "name": "catalog",
                "port": 80,
                "targetPort": 3000,
                "gateways": ["mesh"],
                "hosts": ["catalog"],
            },
            "analysis": merged,
            **spec,
        },
    }


def deployment(image: str = "catalog:1", replicas: int = 2, **pod: Any) -> Object:
    """The target."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "catalog", "namespace": KEY.namespace, "labels": {"app": "catalog"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "catalog"}},
            "template": {
                "metadata": {"labels": {"app": "catalog"}},
                "spec": {"containers": [{"name": "catalog", "image": image}], **pod},
            },
        },
    }


NODES = 3


def target(kind: str = "Deployment", **pod: Any) -> Object:
    """A target of this kind, for a canary with `target_ref(kind)`."""
    made = deployment(**pod)
    made["kind"] = kind
    match kind:
        case "DaemonSet":
            del made["spec"]["replicas"]
        case "StatefulSet":
            made["spec"]["serviceName"] = "catalog"
        case "Service":
            ports = [{"name": "http", "port": 80, "targetPort": 3000, "protocol": "TCP"}]
            selector = {"app": "catalog", "image": "catalog-1"}
            made |= {"apiVersion": "v1", "spec": {"selector": selector, "ports": ports}}
    return made


def target_ref(kind: str) -> Object:
    """`spec.targetRef` of a canary for `target(kind)`."""
    return {"apiVersion": target(kind)["apiVersion"], "kind": kind, "name": "catalog"}


def merged(target: Object, patch: Mapping[str, Any]) -> Object:
    """RFC 7386."""
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            inner = result.get(name)
            result[name] = merged(inner if isinstance(inner, dict) else {}, value)
        else:
            result[name] = value
    return result


class Desk:
    """Hooks that answer at once, as `World.hooks` says by their names; the others agree."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._outcomes: dict[HookCall, Outcome] = {}

    def outcomes(self, key: Key) -> Mapping[HookCall, Outcome]:
        assert key == KEY
        return dict(self._outcomes)

    def ask(self, key: Key, calls: Iterable[HookCall]) -> None:
        assert key == KEY
        for call in calls:
            if call.name in self._world.hanging:
                continue
            self._world.calls.append(call)
            self._outcomes[call] = self._world.hooks.get(call.name, Agreed())
            self._world.said[call.name] = self._outcomes[call]
            self._world.hurry()

    def used(self, key: Key) -> None:
        assert key == KEY
        self._outcomes.clear()


class World:
    """The cluster and the controller in it. `now` moves only when the test says so."""

    def __init__(self, *objects: Object, settings: Settings | None = None) -> None:
        self.settings = settings or Settings(minimum_interval=timedelta(seconds=1))
        self.now = START
        self.stores = {kind: Store(kind) for kind in KINDS}
        self.events: list[str] = []
        self.columns: list[tuple[str, int]] = []
        self.writes: list[str] = []
        self.shares: list[tuple[int, int]] = []
        self.success_rate: Answer = Value(100.0)
        self.duration: Answer = Value(12.0)
        self.custom: Answer = Value(0.0)
        self.queries: list[str] = []
        self.checks: list[Check] = []
        self.refusing: dict[tuple[Kind, str], KubeError] = {}
        self.writes_left: int | None = None
        self.wakes: list[datetime] = []
        self.probed = 0
        self.hooks: dict[str, Outcome] = {}
        self.hanging: set[str] = set()
        self.calls: list[HookCall] = []
        self.said: dict[str, Outcome] = {}
        self.alerts: list[str] = []
        self.trial: Trial | None = None
        self.looks: list[Observation] = []
        self.trouble = ""
        self.deaths = 0
        self.witnesses: list[Callable[[Kind, Object, Object], None]] = []
        self.bereaved: list[Callable[[Kind, Object], None]] = []
        self.stuck: set[str] = set()
        self.accepting = True
        self._version = 0
        self._again = False
        for obj in objects or (deployment(), canary()):
            self.put(obj)
        self.restart()

    # The controller in it.

    def restart(self) -> None:
        """A new process: nothing is remembered but what the cluster has."""
        self.looks.clear()
        self.writes_left = None
        self.registry = CollectorRegistry()
        self._reconciler = Reconciler(
            Observer(self.stores, self.settings),
            Actor(self, self.stores, self, sleep=self._sleep),
            self,
            DeliveryMetrics(self.registry, "istio"),
            again=self._wake,
            probe=self._probe,
            hooks=Desk(self),
            alert=self._alert,
            trials=self,
            clock=lambda: self.now,
        )

    async def look(self) -> int:
        """Look until nothing is written any more; how many looks wrote something."""
        for looks in range(50):
            before, self._again = len(self.writes), False
            try:
                await self._reconciler.reconcile(KEY)
            except Killed:
                self.deaths += 1
                self.restart()
                continue
            if len(self.writes) == before and not self._again:
                return looks
        raise AssertionError(f"it never comes to rest: {self.writes[-12:]}")

    async def settle(self) -> None:
        """Let the workloads' controllers finish their work, and the canary look, until nothing moves."""
        for _ in range(10):
            await self.look()
            if not self.roll():
                return
        raise AssertionError("the deployments never come to rest")

    async def tick(self, times: int = 1) -> None:
        """An interval passes, and everything that follows from it happens."""
        for _ in range(times):
            self.now += INTERVAL
            await self.settle()

    async def until_settled(self) -> None:
        """Intervals pass until it comes to an end by itself, sixty of them at most."""
        for _ in range(60):
            if self.phase in SETTLED:
                return
            await self.tick()

    # What the test looks at.

    @property
    def status(self) -> Object:
        return dict((self.get(CANARY, KEY.name) or {}).get("status") or {})

    @property
    def phase(self) -> str:
        return str(self.status.get("phase", ""))

    @property
    def weight(self) -> int:
        return int(self.status.get("canaryWeight", 0))

    def condition(self, type_: str) -> Object | None:
        found = [c for c in self.status.get("conditions", ()) if c["type"] == type_]
        return found[0] if found else None

    def get(self, kind: Kind, name: str) -> Object | None:
        return self.stores[kind].get(KEY.namespace, name)

    def need(self, kind: Kind, name: str) -> Object:
        found = self.get(kind, name)
        assert found is not None, f"no {kind.kind} {name}"
        return found

    @property
    def served(self) -> tuple[int, int] | None:
        weights = self.split
        return (weights.primary, weights.canary) if weights else None

    @property
    def split(self) -> Weights | None:
        """What the routes say, the baseline's share included."""
        release = self.need(CANARY, KEY.name)
        # Of a provider without a router nothing is known; Istio's routes are what was there before.
        router = router_of(release, self.settings.mesh_provider) or IstioRouter()
        return router.weights(release, self.get)

    @property
    def target_kind(self) -> Target:
        return target_of(self.need(CANARY, KEY.name))

    def replicas(self, name: str = "catalog") -> int:
        return self.target_kind.pods(self.need(self.target_kind.kind, name))

    def image(self, name: str) -> str:
        """The revision that a workload runs, or that a Service selects."""
        spec = self.need(self.target_kind.kind, name)["spec"]
        if not self.target_kind.makes_pods:
            return str(spec["selector"]["image"]).replace("-", ":")
        return str(spec["template"]["spec"]["containers"][0]["image"])

    # What users and the cluster do.

    def put(self, obj: Object, kind: Kind | None = None) -> Object:
        """Create or replace an object as a user would."""
        kind = kind or next(each for each in KINDS if each.kind == obj["kind"])
        key = key_of(obj)
        old = self.stores[kind].get(*key)
        served = old["metadata"] if old else {}
        kept = {k: served[k] for k in ("uid", "creationTimestamp", "generation") if k in served}
        metadata = {**kept, **obj["metadata"]}
        metadata.setdefault("uid", f"uid-{kind.kind}-{key.name}")
        metadata.setdefault("creationTimestamp", "2026-01-20T22:50:00Z")
        changed = old is None or old.get("spec") != obj.get("spec")
        metadata["generation"] = metadata.get("generation", 0) + changed
        self._version += 1
        metadata["resourceVersion"] = str(self._version)
        stored = {**copy.deepcopy(obj), "metadata": metadata}
        if old and "status" in old and "status" not in obj:
            stored["status"] = old["status"]
        self.stores[kind].put(stored, announced=True)
        if (
            kind in {VIRTUAL_SERVICE, *_GATEWAYS}
            and self.served
            and [self.served] != self.shares[-1:]
        ):
            self.shares.append(self.served)
        return stored

    def change(self, kind: Kind, name: str, **patch: Any) -> None:
        """Patch an object as a user would."""
        self.put(merged(copy.deepcopy(self.need(kind, name)), patch), kind)

    def new_image(self, image: str) -> None:
        changed = copy.deepcopy(self.need(self.target_kind.kind, "catalog"))
        if self.target_kind.makes_pods:
            changed["spec"]["template"]["spec"]["containers"][0]["image"] = image
        else:
            changed["spec"]["selector"]["image"] = image.replace(":", "-")
        self.put(changed)

    def remove(self, kind: Kind, name: str) -> None:
        obj = copy.deepcopy(self.need(kind, name))
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        self.stores[kind].remove(obj)

    def roll(self) -> bool:
        """The workloads' controllers finish every rollout that is not stuck; whether anything changed."""
        moved = False
        for kind in WORKLOADS:
            for each in self.stores[kind].list():
                if each["metadata"]["name"] not in self.stuck:
                    moved |= self.report(each["metadata"]["name"], kind)
        for kind in _GATEWAYS if self.accepting else ():
            for each in self.stores[kind].list():
                moved |= self.accept(kind, each)
        return moved

    def accept(self, kind: Kind, route: Object, **condition: Any) -> bool:
        """Set a route's status as its Gateway's controller would."""
        generation = route["metadata"]["generation"]
        accepted = {"type": "Accepted", "status": "True", "observedGeneration": generation}
        parent = {"parentRef": {"name": "gateway"}, "conditions": [{**accepted, **condition}]}
        status = {"parents": [parent]}
        if route.get("status") == status:
            return False
        self.put({**route, "status": status}, kind)
        return True

    def report(
        self, name: str, kind: Kind = DEPLOYMENT, *, available: int | None = None, **status: Any
    ) -> bool:
        """Set a workload's status as its controller would: all pods updated, `available` of them serving."""
        each = self.need(kind, name)
        wanted = TARGETS[kind].pods(each)
        fields = ("replicas", "updatedReplicas", "availableReplicas")
        if kind == DAEMON_SET:
            wanted *= NODES
            fields = ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
        new = {
            "observedGeneration": each["metadata"]["generation"],
            **dict.fromkeys(fields, wanted),
            **({} if available is None else {fields[-1]: available}),
            **status,
        }
        if each.get("status") == new:
            return False
        self.put({**each, "status": new})
        return True

    # What the controller reaches: writer, recorder, evidence.

    async def apply(
        self, kind: Kind, desired: Object, observed: Object | None, exact: Collection[str] = ()
    ) -> Object:
        name = desired["metadata"]["name"]
        current = self.stores[kind].get(*key_of(desired))
        if current is None:
            if "kind" not in desired:
                raise NotFound(f"{kind.kind} {name} not found", status=404)
            self._written(kind, name)
            return self.put(desired, kind)
        assert observed is not None
        patch = merge_patch(desired, observed, exact)
        if not patch:
            return observed
        self._written(kind, name)
        new = merged(copy.deepcopy(current), patch)
        for witness in self.witnesses:
            witness(kind, current, new)
        return self.put(new, kind)

    async def patch_status(self, kind: Kind, obj: Object, status: Object) -> Object:
        current = self.stores[kind].get(*key_of(obj))
        assert current is not None
        if not exact_patch({"status": status}, {"status": obj.get("status") or {}}):
            return obj
        if version_of(current) != version_of(obj):
            raise Conflict("the object has been modified", status=409)
        self._written(kind, "status")
        column = (status.get("phase", ""), status["canaryWeight"])
        if self.columns[-1:] != [column]:
            self.columns.append(column)
        kept = {name: value for name, value in status.items() if value is not None}
        return self.put({**current, "status": kept}, kind)

    async def delete(self, kind: Kind, obj: Object, propagation: str | None = None) -> None:
        self._written(kind, obj["metadata"]["name"])
        for bereaved in self.bereaved:
            bereaved(kind, obj)
        self.remove(kind, obj["metadata"]["name"])

    def emit(self, obj: Object, type: str, reason: str, message: str) -> None:  # noqa: A002
        prefix = "" if reason == "Synced" else f"[{reason}] "
        self.events.append(f"{'W ' if type == 'Warning' else ''}{prefix}{message}")

    async def answer(self, check: Check) -> Answer:
        self.queries.append(check.query)
        self.checks.append(check)
        return {
            Measure.SUCCESS_RATE: self.success_rate,
            Measure.DURATION: self.duration,
            Measure.CUSTOM: self.custom,
        }[check.measure]

    def observed(self, key: Key) -> Observed:
        return Observed(tuple(self.looks), self.trouble, self.trial)

    def follow(self, key: Key, trial: Trial | None, written: datetime | None) -> None:
        if trial is None or trial != self.trial:
            self.looks.clear()
        self.trial = trial
        if trial is None:
            return
        if written is not None:
            self.looks = [look for look in self.looks if look.at > written]

    async def online(self, address: str) -> QueryFailed | None:
        return None

    async def configured(self, source: Source) -> QueryFailed | None:
        return None

    def _written(self, kind: Kind, name: str) -> None:
        if error := self.refusing.get((kind, name)):
            raise error
        if self.writes_left is not None:
            if self.writes_left == 0:
                raise Killed
            self.writes_left -= 1
        self.writes.append(f"{kind.kind}/{name}")

    async def _sleep(self, seconds: float) -> None:
        self.writes.append(f"sleep {seconds:g}")

    def hurry(self) -> None:
        """The canary is to be looked at once more."""
        self._again = True

    def _wake(self, key: Key, delay: timedelta) -> None:
        assert key == KEY
        self._again |= delay <= timedelta(0)
        self.wakes.append(self.now + delay)

    def _alert(self, _: Canary, alerts: tuple[Alert, ...]) -> None:
        self.alerts += [f"{alert.severity.word}: {alert.message}" for alert in alerts]

    def _probe(self, seen: Snapshot) -> None:
        self.probed += 1


def shown(world: World) -> Iterator[str]:
    """What `kubectl get canary -w` showed, a line per change of phase or weight."""
    yield from (f"{phase} {weight}" for phase, weight in world.columns)


async def initialized(*objects: Object, settings: Settings | None = None) -> World:
    """A world whose canary has been initialized, with what was seen until then forgotten."""
    world = World(*objects, settings=settings)
    await world.settle()
    assert world.phase == "Initialized", world.status
    world.events.clear()
    world.columns.clear()
    world.writes.clear()
    world.now += timedelta(minutes=7)
    return world
