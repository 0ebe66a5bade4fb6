"""Asks a probe: the one place with a clock and a time limit. What cannot be asked is a verdict, never an exception."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from rollout.api.chaos import ChaosExperiment, ProbeSpec
from rollout.chaos.loadresult import LoadResult
from rollout.chaos.probe import ProbePoint, ProbeResult
from rollout.chaos.probes.figures import read_figure
from rollout.chaos.probes.objects import read_object
from rollout.chaos.probes.pages import read_page
from rollout.chaos.probes.queries import read_query
from rollout.chaos.probes.reading import Reading, find
from rollout.http.client import HttpClient
from rollout.judge.checks import QueryFailed
from rollout.judge.evidence.prometheus import Prometheus
from rollout.kube.client import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Whom probes may ask. `metrics_server` is the Prometheus of those that name none.

    `load_of` answers what an experiment's load of the current run came to, once it has ended.
    """

    client: Client
    prometheus: Prometheus
    http: HttpClient
    metrics_server: str
    load_of: Callable[[ChaosExperiment], LoadResult | None]


_Reader: TypeAlias = Callable[[Sources, ChaosExperiment, ProbeSpec], Awaitable[Reading]]

_READERS: Mapping[str, _Reader] = {
    "prometheus": lambda sources, experiment, spec: read_query(
        sources.prometheus, sources.metrics_server, experiment, spec
    ),
    "http": lambda sources, _, spec: read_page(sources.http, spec),
    "k8s": lambda sources, experiment, spec: read_object(sources.client, experiment, spec),
    "fortio": lambda sources, experiment, spec: read_figure(sources.load_of(experiment), spec),
}


class Probes:
    """Asks probes of all experiments: a `Prober`."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def ask(
        self, experiment: ChaosExperiment, spec: ProbeSpec, point: ProbePoint
    ) -> ProbeResult:
        """One question, within `runProperties.probeTimeout`."""
        limit = spec.run_properties.probe_timeout
        try:
            async with asyncio.timeout(limit.total_seconds()):
                reading = await _READERS[spec.type](self._sources, experiment, spec)
        except TimeoutError:
            reading = QueryFailed(f"no answer within {limit.text}", retriable=True)
        found = find(spec.name, reading, spec.comparator)
        return ProbeResult(
            name=spec.name,
            point=point,
            at=datetime.now(UTC),
            verdict=found.verdict,
            value=found.value,
            sentence=found.sentence,
        )
