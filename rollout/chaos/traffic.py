"""What a fault has hit, from the counters that every proxy keeps, and those of the authority.

A counter that begins with its first fault has no rate yet, so sums are compared with those at the injection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from rollout.api.chaos import ChaosExperiment
from rollout.chaos.plan.snapshot import Traffic
from rollout.chaos.selecting import own_services, selected, selectors
from rollout.judge.checks import Answer, Check, NoData, QueryFailed, Value
from rollout.judge.evidence.prometheus import Prometheus
from rollout.judge.thresholds import Bounds, Measure
from rollout.kube.objects import Object

FAULTED = 'response_flags=~".*(DI|FI).*"'
"""Envoy's flags of requests that were delayed, or aborted or broken off, on purpose."""


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
        """What was hit since the injection; never raises."""
        since, numbers = experiment.status.injected_at or now, []
        for series in self._series(experiment):
            answer = await self._sum(series, since) if series else Value(0.0)
            if isinstance(answer, QueryFailed):
                return Traffic(at=now, problem=f"cannot be counted: {answer.reason}")
            numbers.append(_number(answer))
        faulted, total, refused = numbers
        return Traffic(at=now, faulted=faulted, total=total, refused=refused)

    def _series(self, experiment: ChaosExperiment) -> tuple[str, str, str]:
        """Of faulted requests, of all of them, and of refused certificates; empty where the fault is of another kind."""
        fault = experiment.spec.fault
        if fault is None:
            return "", "", ""
        faulted = total = ""
        if fault.in_mesh:
            services = names(experiment, self._services_of(experiment.target_namespace))
            reporter = "destination" if fault.layer == "upstream" else "source"
            total = requests(experiment, services, f'reporter="{reporter}"')
            # Responses that are slowed down carry no flag: there, each of the share counts as hit.
            flagged = fault.delay or fault.abort or fault.reset
            faulted = requests(experiment, services, FAULTED) if flagged else total
        return faulted, total, certificates(experiment) if fault.certificate_outage else ""

    async def _sum(self, series: str, since: datetime) -> Answer:
        check = Check(
            metric=series.partition("{")[0],
            measure=Measure.CUSTOM,
            query=query(series, since),
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
    own = own_services(target.service, target.arm)
    known = selectors(services)
    mine = tuple(selected(own, known))
    shared = {name for name, each in known.items() if any(each <= one for one in mine)}
    return tuple(sorted(own | shared))


def requests(experiment: ChaosExperiment, services: Iterable[str], selector: str) -> str:
    """The series of requests to the target that `selector` selects."""
    return (
        f'istio_requests_total{{destination_service_name=~"{"|".join(services)}",'
        f'destination_service_namespace="{experiment.target_namespace}",{selector}}}'
    )


def certificates(experiment: ChaosExperiment) -> str:
    """The series of certificates that control planes refused on the experiment's behalf."""
    name = f"{experiment.namespace}/{experiment.name}"
    return f'rollout_certificates_withheld_total{{experiment="{name}"}}'


def query(series: str, since: datetime) -> str:
    """By how much these counters grew since then, as one number."""
    # What restarted counts from zero: no less than nothing was hit.
    return f"clamp_min(sum({series}) - (sum({series} @ {since.timestamp():.3f}) or vector(0)), 0)"


def _number(answer: Answer) -> float:
    match answer:
        case Value(value):
            return value
        case NoData() | QueryFailed():
            return 0.0
