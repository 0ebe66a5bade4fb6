"""Checks on a real Prometheus that scrapes what the test serves; and on servers that are none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from rollout.judge.checks import Answer, Check, NoData, QueryFailed, Value
from rollout.judge.evidence.prometheus import Prometheus
from rollout.judge.queries import BUILTIN, Variables, render_query
from rollout.judge.thresholds import Bounds, Measure
from tests.integration.prometheus import prometheus, served

_LABELS = (
    'reporter="destination",destination_workload_namespace="shop",destination_workload="catalog"'
)


class Target:
    """What is scraped: 3 good requests and 1 bad one more each time, all of them within 250 ms."""

    def __init__(self) -> None:
        self.scrapes = 0

    def page(self) -> str:
        self.scrapes += 1
        n, le = self.scrapes, "istio_request_duration_milliseconds_bucket"
        return "".join(
            f"{line}\n"
            for line in (
                f'istio_requests_total{{{_LABELS},response_code="200"}} {3 * n}',
                f'istio_requests_total{{{_LABELS},response_code="503"}} {n}',
                f'{le}{{{_LABELS},le="100"}} 0',
                f'{le}{{{_LABELS},le="250"}} {4 * n}',
                f'{le}{{{_LABELS},le="+Inf"}} {4 * n}',
            )
        )


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served(Target().page) as target, prometheus(target) as found:
        yield found


@pytest.fixture
async def evidence() -> AsyncIterator[Prometheus]:
    client = Prometheus(timeout=1.0)
    yield client
    client.close()


def check(address: str, query: str) -> Check:
    return Check(
        metric="mine",
        measure=Measure.CUSTOM,
        query=query,
        bounds=Bounds(),
        address=address,
        field="spec.analysis.metrics[0].query",
    )


async def ask(evidence: Prometheus, address: str, query: str) -> Answer:
    return await evidence.answer(check(address, query))


async def test_the_builtin_queries(evidence: Prometheus, address: str) -> None:
    variables = Variables(
        name="catalog-release",
        namespace="shop",
        target="catalog",
        service="catalog",
        ingress="catalog",
        route="catalog",
        interval="30s",
    )
    expected = {Measure.SUCCESS_RATE: 75.0, Measure.DURATION: 248.5}
    for measure, template in BUILTIN["istio"].items():
        query = render_query(template, variables)
        async with asyncio.timeout(20):
            while isinstance(  # noqa: ASYNC110 - nothing tells when it has scraped
                answer := await ask(evidence, address, query), NoData
            ):
                await asyncio.sleep(0.1)  # until the second scrape
        assert isinstance(answer, Value)
        assert answer.value == pytest.approx(expected[measure], rel=0.01)


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("vector(7)", Value(7.0)),
        ("7", Value(7.0)),
        ("vector(1) / 0", Value(float("inf"))),
        ("nothing_here", NoData("the result is empty")),
        ("vector(0) / 0", NoData("the value is NaN")),
    ],
)
async def test_answers(evidence: Prometheus, address: str, query: str, answer: Answer) -> None:
    assert await ask(evidence, address, query) == answer


async def test_asked_together_each_query_has_the_answer_that_it_has_alone(
    evidence: Prometheus, address: str
) -> None:
    one = "sum(vector(1))"  # the same at every moment, whatever has been scraped by then
    queries = [one, "sum(absent_here)", "vector(0) / 0", f"{one} / 0 * 100", "vector(7)"]
    together = [replace(check(address, q), measure=Measure.SUCCESS_RATE) for q in queries]
    found = await asyncio.gather(*map(evidence.answer, together))
    assert found == [await ask(evidence, address, query) for query in queries]
    assert found[1:3] == [NoData("the result is empty"), NoData("the value is NaN")]
    broken = replace(together[0], query="sum(rate(")
    failed, fine = await asyncio.gather(*map(evidence.answer, (broken, together[0])))
    assert isinstance(failed, QueryFailed)
    assert "parse error" in failed.reason
    assert fine == Value(1.0), "one that is at fault takes nobody along"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        pytest.param("sum(rate(", "parse error", id="does not parse"),
        pytest.param("rate(up)", "expected type range vector", id="wrong type"),
        pytest.param("vector(1)[1m:1s]", "yields a range", id="range"),
    ],
)
async def test_a_query_at_fault(
    evidence: Prometheus, address: str, query: str, reason: str
) -> None:
    answer = await ask(evidence, address, query)
    assert isinstance(answer, QueryFailed)
    assert not answer.retriable
    assert reason in answer.reason


@pytest.mark.parametrize(
    ("page", "status", "wait", "reason"),
    [
        pytest.param(b"no", 503, 0, "answers 503", id="503"),
        pytest.param(b"no", 401, 0, "answers 401", id="401"),
        pytest.param(b"<html>", 200, 0, "does not answer as Prometheus does", id="another server"),
        pytest.param(b'{"data": {}}', 200, 0, "does not answer as Prometheus", id="no result"),
        pytest.param(b"x" * (2 << 20), 200, 0, "larger than 1048576 bytes", id="too large"),
        pytest.param(b"late", 200, 5, "does not answer", id="silent"),
    ],
)
async def test_a_server_at_fault(
    evidence: Prometheus, page: bytes, status: int, wait: float, reason: str
) -> None:
    with served(page, status, wait) as address:
        answer = await ask(evidence, f"http://{address}", "up")
        assert isinstance(answer, QueryFailed)
        assert answer.retriable
        assert reason in answer.reason
        assert address in answer.reason


async def test_nobody_there(evidence: Prometheus) -> None:
    first = await ask(evidence, "http://127.0.0.1:9", "up")
    assert isinstance(first, QueryFailed)
    assert first.retriable
    assert "refused" in first.reason
    again = await ask(evidence, "http://127.0.0.1:9", "up")
    assert again == first, "the same trouble has the same words, so that it is one event"
    assert await evidence.online("http://127.0.0.1:9") == first


async def test_online(evidence: Prometheus, address: str) -> None:
    assert await evidence.online(address) is None
