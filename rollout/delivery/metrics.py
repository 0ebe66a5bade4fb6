"""What delivery tells Prometheus: Flagger's metrics under Flagger's names, and a few that it lacks.

Knows prometheus_client and the nouns of delivery; counts, and decides nothing.
"""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rollout import __version__
from rollout.api.canary import Canary, Phase, effective
from rollout.delivery.actions import Decision, SetRoutes
from rollout.delivery.objects.metadata import baseline_name, primary_name
from rollout.delivery.refusals import NAMES, Refusal
from rollout.delivery.snapshot import Snapshot
from rollout.delivery.status import SETTLED
from rollout.delivery.strategies import strategy_of
from rollout.judge.checks import Answer, Check, QueryFailed, Value
from rollout.kube.objects import Key

_RUNNING, _SUCCEEDED, _FAILED = 0, 1, 2


class DeliveryMetrics:
    """All of delivery's series, in a registry of the caller's."""

    def __init__(self, registry: CollectorRegistry, mesh_provider: str) -> None:
        info = Gauge(
            "flagger_info", "Version and mesh.", ("version", "mesh_provider"), registry=registry
        )
        info.labels(__version__, mesh_provider).set(1)
        self._total = Gauge("flagger_canary_total", "Canaries.", ("namespace",), registry=registry)
        self._status = Gauge(
            "flagger_canary_status",
            "Last known outcome: 0 running, 1 successful, 2 failed.",
            ("name", "namespace"),
            registry=registry,
        )
        self._weight = Gauge(
            "flagger_canary_weight",
            "Share of the traffic in percent.",
            ("workload", "namespace"),
            registry=registry,
        )
        self._duration = Histogram(
            "flagger_canary_duration_seconds",
            "Time of one look.",
            ("name", "namespace"),
            registry=registry,
        )
        self._analysis = Gauge(
            "flagger_canary_metric_analysis",
            "Last value of each check.",
            ("name", "namespace", "metric"),
            registry=registry,
        )
        outcome = ("name", "namespace", "deployment_strategy", "analysis_status")
        self._successes = Counter(
            "flagger_canary_successes", "Promotions.", outcome, registry=registry
        )
        self._failures = Counter(
            "flagger_canary_failures", "Rollbacks.", outcome, registry=registry
        )
        self._lag = Histogram(
            "rollout_tick_lag_seconds",
            "Time between when a look was due and when it was taken.",
            buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=registry,
        )
        self._refusals = Counter(
            "rollout_refusals", "What held a canary back.", ("reason",), registry=registry
        )
        self._query_errors = Counter(
            "rollout_query_errors", "Queries without an answer.", ("retriable",), registry=registry
        )
        self._known: dict[Key, str] = {}
        self._using: Counted[Key] = Counted()
        self._namespaces: Counted[str] = Counted()
        self._metrics_of: dict[Key, set[str]] = {}
        self._baselines: set[Key] = set()

    def looked(self, seen: Snapshot, decision: Decision, seconds: float) -> None:
        """One look was taken and its decision carried out."""
        key, target = Key(seen.namespace, seen.name), seen.target_name
        if key not in self._known:
            self._known[key] = target
            self._using[Key(key.namespace, target)] += 1
            self._count(key.namespace, 1)
        self._duration.labels(target, key.namespace).observe(seconds)
        self._status.labels(target, key.namespace).set(_outcome(decision.status.phase))
        for action in decision.actions:
            if isinstance(action, SetRoutes):
                self._weight.labels(target, key.namespace).set(action.canary)
                self._weight.labels(primary_name(target), key.namespace).set(action.primary)
                self._compared(Key(key.namespace, baseline_name(target)), action.baseline)
        if decision.status.phase is not seen.status.phase:
            self._finished(seen, decision.status.phase)
        if decision.refusal is not None and decision.status != seen.status:
            self.refused(decision.refusal)

    def answered(self, seen: Snapshot, checks: Iterable[Check], answers: Iterable[Answer]) -> None:
        """Checks were made."""
        for check, answer in zip(checks, answers, strict=True):
            if isinstance(answer, Value):
                target = Key(seen.namespace, seen.target_name)
                self._metrics_of.setdefault(target, set()).add(check.metric)
                labels = (target.name, target.namespace, check.metric)
                self._analysis.labels(*labels).set(answer.value)
            elif isinstance(answer, QueryFailed):
                self._query_errors.labels(str(answer.retriable).lower()).inc()

    def refused(self, refusal: Refusal) -> None:
        """Something held a canary back that did not before."""
        self._refusals.labels(NAMES[refusal].metric).inc()

    def lag(self, seconds: float) -> None:
        """A look was taken this long after it was due."""
        self._lag.observe(seconds)

    def gone(self, key: Key) -> None:
        """A canary was deleted: its series end."""
        name = self._known.pop(key, None)
        if name is None:
            return
        self._count(key.namespace, -1)
        target = Key(key.namespace, name)
        self._using[target] -= 1
        if self._using[target]:
            return
        del self._using[target]
        for series in (self._status, self._duration):
            series.remove(target.name, target.namespace)
        for metric in self._metrics_of.pop(target, ()):
            self._analysis.remove(target.name, target.namespace, metric)
        for workload in (target.name, primary_name(target.name)):
            self._weight.remove(workload, target.namespace)
        self._compared(Key(key.namespace, baseline_name(target.name)), 0)

    def _compared(self, baseline: Key, weight: int) -> None:
        """A baseline has this share; there is a series as long as it has one."""
        if weight:
            self._baselines.add(baseline)
            self._weight.labels(baseline.name, baseline.namespace).set(weight)
        elif baseline in self._baselines:
            self._baselines.discard(baseline)
            self._weight.remove(baseline.name, baseline.namespace)

    def _count(self, namespace: str, more: int) -> None:
        self._namespaces[namespace] += more
        self._total.labels(namespace).set(self._namespaces[namespace])

    def _finished(self, seen: Snapshot, phase: Phase) -> None:
        if not isinstance(seen.canary, Canary):
            return
        labels = (
            seen.target_name,
            seen.namespace,
            strategy_of(effective(seen.canary, seen.settings.mesh_provider)[0]).label,
            "skipped" if seen.canary.spec.skip_analysis else "completed",
        )
        if phase is Phase.SUCCEEDED:
            self._successes.labels(*labels).inc()
        elif phase is Phase.FAILED:
            self._failures.labels(*labels).inc()


def _outcome(phase: Phase) -> int:
    if phase is Phase.FAILED:
        return _FAILED
    return _SUCCEEDED if phase in SETTLED else _RUNNING
