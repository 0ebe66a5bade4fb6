"""Counters of two arms on a real Prometheus: what was served is what is counted, and the judge decides on it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from rollout.judge.checks import QueryFailed
from rollout.judge.evidence.counters import (
    Counted,
    CounterSource,
    Workloads,
    durations_query,
    failed_requests,
    requests_query,
    slow_requests,
)
from rollout.judge.evidence.past import Past
from rollout.judge.sequential import Verdict, success_rate
from rollout.judge.sequential.replay import replay
from rollout.judge.thresholds import Bounds
from tests.integration.prometheus import prometheus, served

ARMS = Workloads.of_target("shop", "cart")
STEP = 1.0


def page(scrape: int) -> str:
    """Each scrape: 10 requests of the canary, of which 4 fail and 6 are slow; 90 of the primary, all fine."""
    lines = []
    for workload, good, bad, slow in (("cart", 6, 4, 6), ("cart-primary", 90, 0, 0)):
        labels = (
            f'reporter="destination",destination_workload_namespace="shop",'
            f'destination_workload="{workload}"'
        )
        buckets = "istio_request_duration_milliseconds_bucket"
        total = good + bad
        lines += [
            f'istio_requests_total{{{labels},response_code="200"}} {good * scrape}',
            f'istio_requests_total{{{labels},response_code="503"}} {bad * scrape}',
            f'{buckets}{{{labels},le="100"}} {(total - slow) * scrape}',
            f'{buckets}{{{labels},le="+Inf"}} {total * scrape}',
        ]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    scrapes = itertools.count(1)
    with served(lambda: page(next(scrapes))) as target, prometheus(target) as found:
        yield found


@pytest.fixture
async def source() -> AsyncIterator[CounterSource]:
    client = CounterSource(timeout=2.0)
    yield client
    client.close()


async def test_what_was_served_is_counted(source: CounterSource, address: str) -> None:
    began = datetime.now(UTC).timestamp()
    window = timedelta(seconds=60)

    async def counted(query: str, edges: tuple[float, ...]) -> Counted:
        found = await source.series(address, query)
        assert not isinstance(found, QueryFailed), found
        if edges:
            return slow_requests(found, ARMS, edges, step=STEP, after=began)
        return failed_requests(found, ARMS, step=STEP, after=began)

    for query, edges, bad in (
        (requests_query(ARMS, window), (), 4),
        (durations_query(ARMS, (100.0,), window), (100.0,), 6),
    ):
        async with asyncio.timeout(20):
            while (  # noqa: ASYNC110 - nothing tells when it has scraped
                len((found := await counted(query, edges)).ticks) < 4
            ):
                await asyncio.sleep(0.2)
        for _, tick in found.ticks[1:]:
            scrapes = tick.canary.total // 10
            assert scrapes >= 1
            assert (tick.canary.total, tick.canary.bad) == (10 * scrapes, (bad * scrapes,))
            assert (tick.primary.total, tick.primary.bad) == (90 * scrapes, (0,))


async def test_the_past_is_judged(source: CounterSource, address: str) -> None:
    config = success_rate(Bounds(min=99))
    async with asyncio.timeout(30):
        while True:
            now = datetime.now(UTC).timestamp()
            past = Past(
                source=source,
                address=address,
                workloads=ARMS,
                config=config,
                begin=now - 300,
                end=now,
                step=STEP,
            )
            decision = replay(await past.ticks(), config)
            if decision is not None and decision.explanation.verdict is Verdict.WORSE:
                break
            await asyncio.sleep(0.2)
    assert decision.explanation.canary[0] * 10 == decision.explanation.canary[1] * 4


async def test_a_query_at_fault_says_why(source: CounterSource, address: str) -> None:
    answer = await source.series(address, "istio_requests_total[")
    assert isinstance(answer, QueryFailed)
    assert "parse error" in answer.reason
    instant = await source.series(address, "vector(1)")
    assert isinstance(instant, QueryFailed)
