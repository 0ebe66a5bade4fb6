"""Queries of one moment, asked together: a hundred canaries whose steps are due at once must not queue for an answer.

Only for queries that yield one element, as the built-in ones do. They are joined by `or`, each with a label that says
which one it is. What cannot be answered together is asked one by one, so that a failure is the query's own. Knows PromQL
that far; neither clients nor what a query means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TypeAlias
from urllib.parse import quote

from rollout.judge.checks import Answer, QueryFailed

LABEL = "rollout_query"
"""The label by which an element of the joint answer is known to be one query's."""
_GATHER_SECONDS = 0.01
_LONGEST = 6_000
"""Characters of a joint query in a URL: proxies take 8 KiB."""
_ALONE_SECONDS = 60.0

Single: TypeAlias = Callable[[str, str], Awaitable[Answer]]
Joint: TypeAlias = Callable[[str, str, int], Awaitable[Sequence[Answer] | QueryFailed]]


class Batches:
    """`single` asks one query at an address; `joint` a joined one, and answers each of its parts in order."""

    def __init__(self, single: Single, joint: Joint) -> None:
        self._single, self._joint = single, joint
        self._waiting: dict[str, dict[str, asyncio.Future[Answer]]] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self._alone: dict[str, float] = {}

    async def answer(self, address: str, query: str) -> Answer:
        """One query's answer, with those of the same moment; the same query twice is asked once."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._alone.get(address, 0.0):
            return await self._single(address, query)
        waiting = self._waiting.setdefault(address, {})
        if not waiting:
            loop.call_later(_GATHER_SECONDS, self._send, address)
        if query not in waiting:
            waiting[query] = loop.create_future()
        return await asyncio.shield(waiting[query])

    def _send(self, address: str) -> None:
        waiting = self._waiting.pop(address)
        for queries in split(waiting):
            batch = {query: waiting[query] for query in queries}
            task = asyncio.ensure_future(self._ask(address, batch))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask(self, address: str, batch: dict[str, asyncio.Future[Answer]]) -> None:
        try:
            answers = await self._answers(address, list(batch))
        except Exception as error:  # noqa: BLE001 - whoever waits has to hear of it
            for waiting in batch.values():
                waiting.set_exception(error)
            return
        for waiting, answer in zip(batch.values(), answers, strict=True):
            waiting.set_result(answer)

    async def _answers(self, address: str, queries: list[str]) -> Sequence[Answer]:
        if len(queries) > 1:
            found = await self._joint(address, joined(queries), len(queries))
            if not isinstance(found, QueryFailed):
                return found
            # It may be too much at once for this server: it is spared for a while.
            self._alone[address] = asyncio.get_running_loop().time() + _ALONE_SECONDS
        return await asyncio.gather(*(self._single(address, query) for query in queries))


def joined(queries: Sequence[str]) -> str:
    """One query whose elements carry the position of the query that each is of."""
    return " or ".join(
        f'label_replace({query}, "{LABEL}", "{index}", "", "")'
        for index, query in enumerate(queries)
    )


def split(queries: Iterable[str]) -> Iterator[list[str]]:
    """Batches, none longer in a URL than proxies take; a query that is longer by itself is alone."""
    batch: list[str] = []
    length = 0
    for query in queries:
        more = len(quote(joined([query])))
        if batch and length + more > _LONGEST:
            yield batch
            batch, length = [], 0
        batch.append(query)
        length += more
    if batch:
        yield batch
