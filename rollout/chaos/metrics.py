"""What chaos tells Prometheus. Counts, and decides nothing."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from rollout.api.chaos import ChaosExperiment, Phase
from rollout.chaos.plan.snapshot import Decision, Snapshot
from rollout.kube.objects import Key


class ChaosMetrics:
    """All of chaos' series, in a registry of the caller's."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._injected = Counter(
            "chaos_faults_injected", "Faults begun.", ("namespace", "kind"), registry=registry
        )
        self._runs = Counter(
            "chaos_runs", "Runs ended.", ("namespace", "verdict"), registry=registry
        )
        self._active = Gauge(
            "chaos_active",
            "Experiments that break something now.",
            ("namespace",),
            registry=registry,
        )
        self._faulted: dict[str, set[Key]] = {}

    def looked(self, key: Key, seen: Snapshot, decision: Decision) -> None:
        """A decision was carried out."""
        before, after = seen.status, decision.status
        if after.phase is Phase.INJECTING and before.phase is not Phase.INJECTING:
            for kind in _kinds(seen.experiment):
                self._injected.labels(key.namespace, kind).inc()
        if after.phase.is_over and not before.phase.is_over:
            self._runs.labels(key.namespace, after.verdict.value).inc()
        self._note(key, active=after.phase.is_faulted)

    def gone(self, key: Key) -> None:
        """The experiment is deleted, or another's."""
        self._note(key, active=False)

    def _note(self, key: Key, *, active: bool) -> None:
        faulted = self._faulted.setdefault(key.namespace, set())
        faulted.add(key) if active else faulted.discard(key)
        self._active.labels(key.namespace).set(len(faulted))


def _kinds(experiment: object) -> list[str]:
    fault = experiment.spec.fault if isinstance(experiment, ChaosExperiment) else None
    if fault is None:
        return []
    given = {
        "delay": fault.delay,
        "abort": fault.abort,
        "reset": fault.reset,
        "bandwidth": fault.bandwidth,
        "podKill": fault.pod_kill,
    }
    return [name for name, part in given.items() if part is not None]
