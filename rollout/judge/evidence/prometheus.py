"""Numbers from Prometheus, through the synchronous client in worker threads, each query bounded in time and size.

Whatever goes wrong is an answer, never an exception: a check that cannot be made must hold a canary, not crash it.
Knows PromQL's result types; not what a query means.
"""

from __future__ import annotations

import ast
import asyncio
import json
import math
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import requests
from prometheus_api_client import PrometheusApiClientException, PrometheusConnect
from urllib3.util.retry import Retry

from rollout.judge.checks import Answer, Check, NoData, QueryFailed, Value
from rollout.judge.evidence.batches import LABEL, Batches
from rollout.judge.thresholds import Measure

TIMEOUT_SECONDS = 5.0
_MOST_AT_ONCE = 16
_LARGEST_ANSWER = 1 << 20
_LONGEST_MESSAGE = 300
_STRANGE = "does not answer as Prometheus does"
_SYSTEM_ERROR = re.compile(r"\[Errno -?\d+\] ([^'\")]+)")

T = TypeVar("T")


class Prometheus:
    """All Prometheus servers that checks name, by address; at most 16 requests at once, each of one query or several."""

    def __init__(self, timeout: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout
        self._clients: dict[str, PrometheusConnect] = {}
        self._free = asyncio.Semaphore(_MOST_AT_ONCE)
        self._threads = ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="prometheus")
        self._batches = Batches(self._query, self._queries)

    async def answer(self, check: Check) -> Answer:
        """Run one check's query."""
        if check.measure is Measure.CUSTOM:
            return await self._query(check.address, check.query)
        return await self._batches.answer(check.address, check.query)

    async def online(self, address: str) -> QueryFailed | None:
        """None where a Prometheus answers at this address."""
        answer = await self._query(address, "vector(1)")
        return answer if isinstance(answer, QueryFailed) else None

    def close(self) -> None:
        """Let go of all connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for client in self._clients.values():
            client.close()

    def _client(self, address: str) -> PrometheusConnect:
        if address not in self._clients:
            self._clients[address] = PrometheusConnect(
                url=address.rstrip("/"),
                retry=Retry(0),
                session=_BoundedSession(),
                timeout=self._timeout,
            )
        return self._clients[address]

    async def _query(self, address: str, query: str) -> Answer:
        client = self._client(address)
        return await self._ask(address, lambda: last_value(client.custom_query(query)))

    async def _queries(
        self, address: str, query: str, count: int
    ) -> Sequence[Answer] | QueryFailed:
        client = self._client(address)
        return await self._ask(address, lambda: last_values(client.custom_query(query), count))

    async def _ask(self, address: str, query: Callable[[], T]) -> T | QueryFailed:
        async with self._free:
            try:
                # The client bounds each read; this bounds an answer that trickles in.
                async with asyncio.timeout(2 * self._timeout):
                    loop = asyncio.get_running_loop()
                    return await loop.run_in_executor(self._threads, query)
            except PrometheusApiClientException as error:
                return _refused(address, str(error))
            except (TimeoutError, requests.Timeout):
                return QueryFailed(f"{address} does not answer in time", retriable=True)
            except requests.JSONDecodeError:
                return QueryFailed(f"{address} {_STRANGE}: no JSON", retriable=True)
            except requests.RequestException as error:
                return QueryFailed(f"{address} does not answer: {_brief(error)}", retriable=True)
            except (ValueError, LookupError, TypeError) as error:
                return QueryFailed(f"{address} {_STRANGE}: {_brief(error)}", retriable=True)


class _BoundedSession(requests.Session):
    """A session that reads no more of an answer than a check can need, and follows no redirects."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().request(*args, **{**kwargs, "stream": True, "allow_redirects": False})
        with response:
            body = bytearray()
            for chunk in response.iter_content(64 << 10):
                body += chunk
                if len(body) > _LARGEST_ANSWER:
                    raise requests.RequestException(
                        f"the answer is larger than {_LARGEST_ANSWER} bytes; aggregate with sum()"
                    )
        response._content = bytes(body)  # noqa: SLF001 - requests has no other way to bound a body
        return response


def last_value(result: object) -> Answer:
    """The last sample of a vector, or a scalar; as Flagger, which takes the last one of several."""
    if not isinstance(result, list):
        raise TypeError(f"result is {type(result).__name__}")
    if not result:
        return NoData("the result is empty")
    last = result[-1]
    if isinstance(last, dict) and "value" not in last:
        return QueryFailed(
            "the query yields a range, not an instant vector: wrap it in rate(), or drop the brackets",
            retriable=False,
        )
    # A scalar's result is the sample itself: [time, "value"].
    text = last["value"][1] if isinstance(last, dict) else last
    value = float(text)
    return NoData("the value is NaN") if math.isnan(value) else Value(value)


def last_values(result: object, count: int) -> Sequence[Answer]:
    """The answer of each of the queries that were joined."""
    if not isinstance(result, list):
        raise TypeError(f"result is {type(result).__name__}")
    found: list[list[object]] = [[] for _ in range(count)]
    for element in result:
        found[int(element["metric"][LABEL])].append(element)
    return [last_value(each) for each in found]


def _refused(address: str, message: str) -> QueryFailed:
    """The client says only `HTTP Status Code 400 (b'{...}')`; 4xx is about the query, the rest about the server."""
    words = message.split(maxsplit=4)
    code = int(words[3]) if len(words) > 3 and words[3].isdigit() else 0
    if code in {400, 422}:
        return QueryFailed(_prometheus_error(message), retriable=False)
    return QueryFailed(f"{address} answers {code or message}", retriable=True)


def _prometheus_error(message: str) -> str:
    try:
        body = ast.literal_eval(message[message.index("(") + 1 : message.rindex(")")])
        error = json.loads(body)["error"]
    except (ValueError, SyntaxError, LookupError, TypeError):
        error = message
    return str(error)[:_LONGEST_MESSAGE]


def _brief(error: Exception) -> str:
    """Why, without what differs from one try to the next: the same trouble must be the same event."""
    text = str(error)
    if found := _SYSTEM_ERROR.search(text):
        return found[1].strip()
    return text[:_LONGEST_MESSAGE] or type(error).__name__
