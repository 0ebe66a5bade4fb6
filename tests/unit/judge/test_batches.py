"""Queries of one moment: which are asked together, and that each gets its own answer whatever becomes of the others."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from urllib.parse import quote

import pytest

from rollout.judge.checks import Answer, QueryFailed, Value
from rollout.judge.evidence.batches import Batches, joined, split

HERE, THERE = "http://here", "http://there"
AWAY = QueryFailed("away", retriable=True)


class Server:
    """Answers `q7` with 7, and notes what it was asked."""

    def __init__(self, *, joint: QueryFailed | Exception | None = None) -> None:
        self.asked: list[str] = []
        self._joint = joint

    async def single(self, address: str, query: str) -> Answer:
        self.asked.append(f"{address} {query}")
        await asyncio.sleep(0)
        return Value(float(query[1:]))

    async def joint(self, address: str, query: str, count: int) -> Sequence[Answer] | QueryFailed:
        self.asked.append(f"{address} {count}")
        if isinstance(self._joint, Exception):
            raise self._joint
        numbers = re.findall(r'label_replace\(q(\d+), "rollout_query", "(\d+)", "", ""\)', query)
        assert [int(index) for _, index in numbers] == list(range(count))
        return self._joint or [Value(float(number)) for number, _ in numbers]


async def answers(batches: Batches, *queries: str, address: str = HERE) -> list[Answer]:
    return await asyncio.gather(*(batches.answer(address, query) for query in queries))


async def test_what_is_asked_at_once_is_asked_together() -> None:
    server = Server()
    batches = Batches(server.single, server.joint)
    here, there, alone = await asyncio.gather(
        answers(batches, "q1", "q2", "q1"),
        answers(batches, "q3", "q4", address=THERE),
        answers(batches, "q5", address="http://alone"),
    )
    assert here == [Value(1), Value(2), Value(1)]
    assert there == [Value(3), Value(4)]
    assert alone == [Value(5)]
    assert server.asked == [f"{HERE} 2", f"{THERE} 2", "http://alone q5"]
    assert await answers(batches, "q1", "q2") == [Value(1), Value(2)], "a later moment's answers"
    assert len(server.asked) == 4


async def test_what_cannot_be_answered_together_is_asked_one_by_one_and_so_for_a_while() -> None:
    server = Server(joint=AWAY)
    batches = Batches(server.single, server.joint)
    for _ in range(2):
        assert await answers(batches, "q1", "q2") == [Value(1), Value(2)]
    assert server.asked == [f"{HERE} 2", *[f"{HERE} q1", f"{HERE} q2"] * 2]


async def test_one_who_no_longer_waits_takes_nobodys_answer() -> None:
    server = Server()
    batches = Batches(server.single, server.joint)
    first, second = (asyncio.ensure_future(batches.answer(HERE, "q1")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == Value(1)


async def test_nobody_waits_for_ever() -> None:
    server = Server(joint=RuntimeError("a mistake"))
    batches = Batches(server.single, server.joint)
    for error in await asyncio.gather(
        *(batches.answer(HERE, query) for query in ("q1", "q2")), return_exceptions=True
    ):
        assert isinstance(error, RuntimeError)


@pytest.mark.parametrize(("count", "length"), [(1, 10), (1, 9_000), (3, 9_000), (200, 400)])
def test_no_batch_is_longer_than_proxies_take(count: int, length: int) -> None:
    queries = [f"{index}{'x' * length}" for index in range(count)]
    batches = list(split(queries))
    assert [query for batch in batches for query in batch] == queries
    assert all(len(batch) == 1 or len(quote(joined(batch))) < 8_000 for batch in batches)
    assert len(batches) <= max(1, count * (length + 100) // 5_000 + 1)
