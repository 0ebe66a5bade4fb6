"""What this room measures about itself; each process passes its own registry, tests pass none."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class KubeMetrics:
    """The counters of clients, reflectors and events of one process; labels are bounded by kinds and HTTP codes."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self.requests = Counter(
            "rollout_kube_requests",
            "Requests to the API server, by method and HTTP code (none: no answer).",
            ["method", "code"],
            registry=registry,
        )
        self.lists = Counter(
            "rollout_kube_lists", "Whole lists read by reflectors.", ["kind"], registry=registry
        )
        self.watches = Counter(
            "rollout_kube_watches", "Watches opened by reflectors.", ["kind"], registry=registry
        )
        self.failures = Counter(
            "rollout_kube_watch_failures",
            "Lists and watches that failed, by kind and error.",
            ["kind", "error"],
            registry=registry,
        )
        self.objects = Gauge(
            "rollout_kube_objects", "Objects held in memory.", ["kind"], registry=registry
        )
        self.events_dropped = Counter(
            "rollout_kube_events_dropped", "Events not written, by why.", ["why"], registry=registry
        )
