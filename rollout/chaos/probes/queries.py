"""`prometheus` probes: one number, with the names of the experiment filled in. Knows nothing of what it means."""

from __future__ import annotations

from datetime import timedelta

from rollout.api.chaos import ChaosExperiment, ProbeSpec
from rollout.api.durations import format_go_duration
from rollout.chaos.probes.reading import Reading
from rollout.judge.checks import Check, QueryFailed
from rollout.judge.evidence.prometheus import Prometheus
from rollout.judge.queries import TemplateError, Variables, render_query
from rollout.judge.thresholds import Bounds, Measure

_SHORTEST_WINDOW = timedelta(seconds=10)


async def read_query(
    prometheus: Prometheus, metrics_server: str, experiment: ChaosExperiment, spec: ProbeSpec
) -> Reading:
    """What the query yields at the probe's address, or at `metrics_server`."""
    try:
        query = render_query(str(spec.query), variables(experiment, spec))
    except TemplateError as error:
        return QueryFailed(f"its query cannot be read: {error}", retriable=False)
    check = Check(
        metric=spec.name,
        measure=Measure.CUSTOM,
        query=query,
        bounds=Bounds(),
        address=str(spec.address or metrics_server),
        field=f"spec.steadyState.probes[{spec.name}].query",
    )
    return await prometheus.answer(check)


def variables(experiment: ChaosExperiment, spec: ProbeSpec) -> Variables:
    """What the query may name. `interval` is the probe's, and long enough for a rate to have two scrapes in it."""
    service = experiment.spec.target.service
    interval = max(spec.run_properties.interval, _SHORTEST_WINDOW)
    return Variables(
        name=experiment.name,
        namespace=experiment.target_namespace,
        target=service,
        service=service,
        ingress="",
        route="",
        interval=format_go_duration(interval),
    )
