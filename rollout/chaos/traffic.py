"""How many requests to a target proxies say that they have faulted, from the counters that every proxy keeps.

A counter that begins with its first fault has no rate yet, so sums are compared with those at the injection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from rollout.api.chaos import ChaosExperiment
from rollout.chaos.plan.snapshot import Traffic
from rollout.judge.checks import Answer, Check, NoData, QueryFailed, Value
from rollout.judge.evidence.prometheus import Prometheus
from rollout.judge.thresholds import Bounds, Measure
from rollout.kube.objects import Object

FAULTED = 'response_flags=~".*(DI|FI).*"'
"""Envoy's flags of requests that were delayed or aborted on purpose."""


class TrafficCounter:
    """Asks the Prometheus at `metrics_server`; `services_of` answers the Services of a namespace."""

    def __init__(
        self,
        prometheus: Prometheus,
        metrics_server: str,
        services_of: Callable[[str], Iterable[Object]],
    ) -> None:
        self._prometheus, self._address = prometheus, metrics_server
        self._services_of = services_of

    async def count(self, experiment: ChaosExperiment, now: datetime) -> Traffic:
        """The requests since the injection; never raises."""
        since = experiment.status.injected_at or now
        fault = experiment.spec.fault
        reporter = "destination" if fault is None or fault.layer == "upstream" else "source"
        total = await self._sum(experiment, f'reporter="{reporter}"', since)
        flagged = fault is not None and (fault.delay or fault.abort)
        # Responses that are slowed down carry no flag: there, each of the share counts as hit.
        faulted = await self._sum(experiment, FAULTED, since) if flagged else total
        for answer in (total, faulted):
            if isinstance(answer, QueryFailed):
                return Traffic(at=now, problem=f"cannot be counted: {answer.reason}")
        return Traffic(at=now, faulted=_number(faulted), total=_number(total))

    def _names(self, experiment: ChaosExperiment) -> tuple[str, ...]:
        return names(experiment, self._services_of(experiment.target_namespace))

    async def _sum(self, experiment: ChaosExperiment, selector: str, since: datetime) -> Answer:
        check = Check(
            metric="istio_requests_total",
            measure=Measure.CUSTOM,
            query=query(experiment, self._names(experiment), selector, since),
            bounds=Bounds(),
            address=self._address,
            field="spec.fault",
        )
        return await self._prometheus.answer(check)


def names(experiment: ChaosExperiment, services: Iterable[Object]) -> tuple[str, ...]:
    """The Services under whose names the target's requests are counted.

    A pod behind several Services counts what it receives under one of them, so those that all of the target's pods are
    behind as well belong to it.
    """
    target = experiment.spec.target
    own = set(target.services)
    if target.arm == "all":
        own |= {f"{target.service}-primary", f"{target.service}-canary"}
    selectors = {each["metadata"]["name"]: _selector(each) for each in services}
    mine = [selectors[name] for name in own if selectors.get(name)]
    shared = {
        name
        for name, selector in selectors.items()
        if selector and any(selector <= each for each in mine)
    }
    return tuple(sorted(own | shared))


def _selector(service: Object) -> frozenset[tuple[str, str]]:
    return frozenset(((service.get("spec") or {}).get("selector") or {}).items())


def query(
    experiment: ChaosExperiment, services: Iterable[str], selector: str, since: datetime
) -> str:
    """The requests to the target since then that `selector` selects, as one number."""
    series = (
        f'istio_requests_total{{destination_service_name=~"{"|".join(services)}",'
        f'destination_service_namespace="{experiment.target_namespace}",{selector}}}'
    )
    # A pod that restarted counts from zero: no less than nothing was hit.
    return f"clamp_min(sum({series}) - (sum({series} @ {since.timestamp():.3f}) or vector(0)), 0)"


def _number(answer: Answer) -> float:
    match answer:
        case Value(value):
            return value
        case NoData() | QueryFailed():
            return 0.0
