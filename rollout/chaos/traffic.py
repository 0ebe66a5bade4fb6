"""How many requests to a target proxies say that they have faulted, from the counters that every proxy keeps.

A counter that begins with its first fault has no rate yet, so sums are compared with those at the injection.
"""

from __future__ import annotations

from datetime import datetime

from rollout.api.chaos import ChaosExperiment
from rollout.chaos.plan.snapshot import Traffic
from rollout.judge.checks import Answer, Check, NoData, QueryFailed, Value
from rollout.judge.evidence.prometheus import Prometheus
from rollout.judge.thresholds import Bounds, Measure

FAULTED = 'response_flags=~".*(DI|FI).*"'
"""Envoy's flags of requests that were delayed or aborted on purpose."""


class TrafficCounter:
    """Asks the Prometheus at `metrics_server`."""

    def __init__(self, prometheus: Prometheus, metrics_server: str) -> None:
        self._prometheus, self._address = prometheus, metrics_server

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

    async def _sum(self, experiment: ChaosExperiment, selector: str, since: datetime) -> Answer:
        check = Check(
            metric="istio_requests_total",
            measure=Measure.CUSTOM,
            query=query(experiment, selector, since),
            bounds=Bounds(),
            address=self._address,
            field="spec.fault",
        )
        return await self._prometheus.answer(check)


def query(experiment: ChaosExperiment, selector: str, since: datetime) -> str:
    """The requests to the target since then that `selector` selects, as one number."""
    target = experiment.spec.target
    names = target.services
    if target.arm == "all":
        names = (target.service, f"{target.service}-primary", f"{target.service}-canary")
    series = (
        f'istio_requests_total{{destination_service_name=~"{"|".join(names)}",'
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
