"""Each key once, by one worker at a time, and again when it was added meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter

import pytest

from rollout.kube.queue import WorkQueue, run_workers


async def taken(queue: WorkQueue[str]) -> str:
    async with asyncio.timeout(1), queue.work() as key:
        return key


async def test_a_waiting_key_is_not_added_twice() -> None:
    queue = WorkQueue[str]()
    for key in ("a", "b", "a"):
        queue.add(key)
    assert len(queue) == 2
    assert [await taken(queue), await taken(queue)] == ["a", "b"]
    assert len(queue) == 0


async def test_a_key_added_while_worked_on_is_worked_on_once_more_afterwards() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    async with queue.work():
        queue.add("a")
        queue.add("a")
        assert len(queue) == 0, "nobody else may get it now"
    assert await taken(queue) == "a"
    assert len(queue) == 0


async def test_of_several_delays_the_earliest_counts() -> None:
    queue = WorkQueue[str]()
    loop = asyncio.get_running_loop()
    queue.add_after("a", 30.0)
    queue.add_after("a", 0.02)
    queue.add_after("a", 10.0)
    started = loop.time()
    assert await taken(queue) == "a"
    assert loop.time() - started < 1.0
    await asyncio.sleep(0.05)
    assert len(queue) == 0


async def test_back_off_grows_is_jittered_and_is_forgotten() -> None:
    queue = WorkQueue[str](base=1.0, cap=20.0, rng=random.Random(1))
    delays = [queue.add_backoff("a") for _ in range(8)]
    for delay, full in zip(delays, [1, 2, 4, 8, 16, 20, 20, 20], strict=True):
        assert full / 2 <= delay <= full
    assert len(set(delays)) == 8
    queue.forget("a")
    assert queue.add_backoff("a") <= 1.0


async def worked(queue: WorkQueue[str], fn: object, until: asyncio.Event, n: int = 3) -> None:
    workers = asyncio.ensure_future(run_workers(queue, fn, n))  # type: ignore[arg-type]
    try:
        async with asyncio.timeout(5):
            await until.wait()
    finally:
        workers.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await workers


async def test_never_two_workers_on_one_key() -> None:
    queue, running, done = WorkQueue[str](), Counter[str](), asyncio.Event()
    seen = Counter[str]()

    async def look(key: str) -> None:
        running[key] += 1
        assert running[key] == 1
        if seen[key] < 20:
            queue.add(key)
        await asyncio.sleep(0)
        running[key] -= 1
        seen[key] += 1
        if all(seen[each] > 20 for each in "abcde"):
            done.set()

    for key in "abcde":
        queue.add(key)
    await worked(queue, look, done)
    assert not +running


async def test_a_look_that_raises_is_repeated_and_ends_no_worker() -> None:
    queue, done = WorkQueue[str](base=0.01), asyncio.Event()
    looks = Counter[str]()

    async def look(key: str) -> None:
        looks[key] += 1
        if key == "bad" and looks[key] < 4:
            raise RuntimeError("not yet")
        if looks["bad"] == 4 and looks["good"]:
            done.set()

    queue.add("bad")
    queue.add("good")
    await worked(queue, look, done, n=1)
    assert looks == {"bad": 4, "good": 1}
    assert queue.failures("bad") == 0


@pytest.mark.parametrize("calls_backoff", [True, False])
async def test_success_forgets_unless_the_look_itself_backed_off(calls_backoff: bool) -> None:
    queue, done = WorkQueue[str](base=10.0), asyncio.Event()

    async def look(key: str) -> None:
        if calls_backoff:
            queue.add_backoff(key)
        done.set()

    queue.add("a")
    await worked(queue, look, done)
    assert queue.failures("a") == int(calls_backoff)
