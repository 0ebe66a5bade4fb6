"""Counters by the very names that istiod gives them, without the suffix `_total` that the client library would add."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector


class Tally(Collector):
    """Counts up, by its labels' values; without labels it begins with 0. Called from one thread."""

    def __init__(
        self, name: str, about: str, labels: Sequence[str] = (), *, registry: CollectorRegistry
    ) -> None:
        self._name, self._about, self._labels = name, about, tuple(labels)
        self._counts: Counter[tuple[str, ...]] = Counter()
        if not labels:
            self._counts[()] = 0
        registry.register(self)

    def inc(self, *values: str) -> None:
        """One more, with a value for each label."""
        self._counts[values] += 1

    def collect(self) -> Iterable[Metric]:
        """For the page; untyped, since a counter's type would bring the suffix with it."""
        found = Metric(self._name, self._about, "unknown")
        for values, count in sorted(self._counts.items()):
            found.add_sample(self._name, dict(zip(self._labels, values, strict=True)), count)
        return [found]
