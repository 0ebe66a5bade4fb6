"""What is seen of a canary under way: from its pods' proxies over HTTP, and from a real Prometheus where there are none."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from rollout.http.client import HttpClient
from rollout.judge.checks import Answer, Check, Value
from rollout.judge.evidence.counters import CounterSource
from rollout.judge.evidence.live import NoEvidence, Watch
from rollout.judge.evidence.proxies import ProxyReader
from rollout.judge.evidence.proxypages import Pod
from rollout.judge.sequential import Evidence, Reading, Tick
from rollout.judge.thresholds import Bounds, Measure
from rollout.judge.trials import FAILED, SLOW, Number, Source, Trial
from tests.integration.prometheus import prometheus, served
from tests.waiting import until

EDGES = (100.0,)
CANARY, PRIMARY = Pod("c", "127.0.0.2", canary=True), Pod("p", "127.0.0.3", canary=False)


def trial(address: str = "http://127.0.0.1:9", *numbers: Number) -> Trial:
    return Trial(
        namespace="shop",
        label="app",
        canary="cart",
        reference="cart-primary",
        workloads=("cart", "cart-primary"),
        address=address,
        edges=EDGES,
        numbers=numbers,
    )


class Proxies:
    """The pages of both pods, at one port of two addresses; each read adds to the counters."""

    def __init__(self) -> None:
        self.reads = 0
        self.delay = 0.0
        self.queries: set[str] = set()

    async def answer(self, request: web.Request) -> web.Response:
        self.reads += 1
        self.queries.add(request.query_string)
        await asyncio.sleep(self.delay)
        canary = request.host.startswith(CANARY.address)
        return web.Response(text=page(self.reads, canary=canary))


def page(number: int, *, canary: bool) -> str:
    """After so many reads: 6 good, 4 bad and 6 slow requests a read of the canary, 90 good ones of the primary."""
    name = "cart" if canary else "cart-primary"
    good, bad, slow = (6, 4, 6) if canary else (90, 0, 0)
    labels = f'reporter="destination",destination_workload_namespace="shop",destination_workload="{name}"'
    bucket = "istio_request_duration_milliseconds_bucket"
    total = good + bad
    return (
        f'istio_requests_total{{{labels},response_code="200"}} {good * number}\n'
        f'istio_requests_total{{{labels},response_code="503"}} {bad * number}\n'
        f'{bucket}{{{labels},le="100"}} {(total - slow) * number}\n'
        f'{bucket}{{{labels},le="+Inf"}} {total * number}\n'
    )


@asynccontextmanager
async def proxies(pages: Proxies) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_get("/stats/prometheus", pages.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    first = web.TCPSite(runner, CANARY.address, 0)
    await first.start()
    port = int(runner.addresses[0][1])
    await web.TCPSite(runner, PRIMARY.address, port).start()
    try:
        yield port
    finally:
        await runner.cleanup()


@asynccontextmanager
async def watching(given: Trial, port: int, *pods: Pod) -> AsyncIterator[Watch]:
    async def of(_: Trial) -> tuple[Pod, ...]:
        return pods

    counters = CounterSource(timeout=2.0)
    async with HttpClient() as http:
        yield Watch(given, of, ProxyReader(http, port), counters, Answers(), datetime.now(UTC))
    counters.close()


class Answers:
    """Numbers: 2 for the canary, 1 for the primary."""

    async def answer(self, check: Check) -> Answer:
        return Value(2.0 if check.query == "canary" else 1.0)


async def looks(watch: Watch, count: int) -> list[dict[str, tuple[Evidence, ...]]]:
    return [await watch.look(datetime.now(UTC)) for _ in range(count)]


async def test_each_look_counts_what_the_proxies_added() -> None:
    pages = Proxies()
    async with proxies(pages) as port, watching(trial(), port, CANARY, PRIMARY) as watch:
        first, *others = await looks(watch, 4)
    assert first == {}, "nobody knows what came before"
    assert watch.source is Source.PROXIES
    for found in others:
        (failed,), (slow,) = found[FAILED], found[SLOW]
        assert isinstance(failed, Tick)
        assert isinstance(slow, Tick)
        reads = failed.canary.total // 10
        assert failed.canary.bad == (4 * reads,)
        assert failed.primary.bad == (0,)
        assert failed.primary.total in {90 * (reads + more) for more in (-1, 0, 1)}
        assert slow.canary.bad == (6 * reads,)
    (query,) = pages.queries
    assert "filter=istio_request" in query, "the page of a large proxy is not read whole"


async def test_a_proxy_that_does_not_answer_in_time_holds_up_nobody_for_long() -> None:
    pages = Proxies()
    pages.delay = 5.0
    async with proxies(pages) as port, watching(trial(), port, CANARY, PRIMARY) as watch:
        began = asyncio.get_running_loop().time()
        with pytest.raises(NoEvidence, match="no proxy of 1 pods of cart-primary answers at port"):
            await watch.look(datetime.now(UTC))
        assert asyncio.get_running_loop().time() - began < 4.0


async def test_numbers_are_read_of_both_arms() -> None:
    checks = [
        Check(
            metric="cpu", measure=Measure.CUSTOM, query=arm, bounds=Bounds(), address="", field=""
        )
        for arm in ("canary", "primary")
    ]
    number = Number(metric="cpu", canary=checks[0], reference=checks[1])
    pages = Proxies()
    async with (
        proxies(pages) as port,
        watching(trial("http://127.0.0.1:9", number), port, CANARY, PRIMARY) as watch,
    ):
        first, second = await looks(watch, 2)
    assert first["cpu"] == (Reading(2.0, 1.0),)
    assert "cpu" not in second, "overlapping windows would say the same again"


@pytest.fixture(scope="module")
def scraped() -> Iterator[str]:
    """A Prometheus that scrapes pages of both workloads."""
    scrapes = itertools.count(1)

    def pages() -> str:
        scrape = next(scrapes)
        return "".join(page(scrape, canary=canary) for canary in (True, False))

    with served(pages) as target, prometheus(target) as found:
        yield found


async def test_without_proxies_prometheus_is_asked(scraped: str) -> None:
    async with watching(trial(scraped), 9, CANARY, PRIMARY) as watch:
        for _ in range(5):
            with pytest.raises(NoEvidence, match="no proxy"):
                await watch.look(datetime.now(UTC))
        assert watch.source is Source.PROMETHEUS
        found: list[Tick] = []

        async def counted() -> bool:
            seen = await watch.look(datetime.now(UTC))
            found.extend(each for each in seen.get(FAILED, ()) if isinstance(each, Tick))
            return sum(tick.canary.total for tick in found) >= 100

        await until(counted, "ticks of five seconds")
    for tick in found[1:]:
        assert tick.canary.total == 10 * (tick.primary.total // 90)
        assert tick.canary.bad == (4 * (tick.canary.total // 10),)


async def test_a_prometheus_that_does_not_answer_is_named() -> None:
    async with watching(trial(), 9, PRIMARY) as watch:
        for _ in range(5):
            with pytest.raises(NoEvidence, match="no proxy"):
                await watch.look(datetime.now(UTC))
        with pytest.raises(NoEvidence, match=r"http://127\.0\.0\.1:9"):
            await watch.look(datetime.now(UTC) + timedelta(seconds=6))
