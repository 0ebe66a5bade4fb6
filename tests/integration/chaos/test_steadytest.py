"""The sequential steady state over a real Prometheus."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from rollout.api.chaos import ChaosExperiment
from rollout.chaos.probe import ProbePoint, ProbeResult, ProbeVerdict
from rollout.chaos.steadytest import SteadyTests
from rollout.judge.evidence.counters import CounterSource
from tests.integration.prometheus import prometheus
from tests.unit.http.server import Answered, server
from tests.waiting import until

ENOUGH = 3000
"""Requests, scraped over more than one tick: what one tick can prove is bounded."""


def experiment() -> ChaosExperiment:
    now = datetime.now(UTC)
    return ChaosExperiment.parse(
        {
            "apiVersion": "chaos.rollout.dev/v1alpha1",
            "kind": "ChaosExperiment",
            "metadata": {"namespace": "shop", "name": "slow"},
            "spec": {
                "target": {"service": "catalog"},
                "fault": {"abort": {"httpStatus": 503}},
                "duration": "60s",
                "steadyState": {"method": "sequential", "slo": 0.05},
            },
            "status": {
                "runID": "1",
                "startedAt": (now - timedelta(seconds=1)).isoformat(),
                "injectedAt": now.isoformat(),
            },
        }
    )


@pytest.mark.parametrize(
    ("bad", "verdict"), [(20, ProbeVerdict.FAILED), (1, ProbeVerdict.PASSED)], ids=["20 %", "1 %"]
)
async def test_failures_are_weighed_as_they_are_scraped(bad: int, verdict: ProbeVerdict) -> None:
    scrapes = count(1)

    def page(_: object) -> Answered:
        labels = 'reporter="source",destination_service_namespace="shop"'
        name, n = 'destination_service_name="catalog"', next(scrapes)
        lines = (
            f'istio_requests_total{{{labels},{name},response_code="{code}"}} {each * n}'
            for code, each in (("200", 100 - bad), ("503", bad))
        )
        content = {"Content-Type": "text/plain; version=0.0.4"}
        return Answered(200, "".join(f"{line}\n" for line in lines).encode(), content)

    with server(page) as proxies, prometheus(proxies.address.removeprefix("http://")) as address:
        tests, broken = SteadyTests(CounterSource(), address), experiment()

        async def decided() -> ProbeResult | None:
            result = await tests.ask(broken, ProbePoint.DURING)
            known = result.verdict is not ProbeVerdict.NO_DATA and counted(result) > ENOUGH
            return result if known or result.verdict is ProbeVerdict.FAILED else None

        result = await until(decided, "a verdict")
    assert result.verdict is verdict, result.sentence


def counted(result: ProbeResult) -> int:
    """Requests in `7 of 900 requests failed`."""
    return int(result.sentence.split(" of ")[1].split()[0])
