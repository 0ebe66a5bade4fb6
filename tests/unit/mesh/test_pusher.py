"""When changes are pushed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from rollout.mesh.pusher import Gather, Pusher

QUICK = Gather(quiet=0.05, most=0.3)


@asynccontextmanager
async def running(push: Callable[[], None]) -> AsyncIterator[Pusher]:
    pusher = Pusher(push, QUICK)
    task = asyncio.ensure_future(pusher.run())
    try:
        yield pusher
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_first_change_goes_out_at_once_and_those_behind_it_together() -> None:
    times: list[float] = []
    clock = asyncio.get_running_loop().time
    second = asyncio.Event()

    def push() -> None:
        times.append(clock())
        if len(times) == 2:
            second.set()

    async with running(push) as pusher:
        started = clock()
        pusher.trigger()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(times) == 1
        for _ in range(5):
            pusher.trigger()
            await asyncio.sleep(0.002)
        assert len(times) == 1
        async with asyncio.timeout(2):
            await second.wait()
        assert times[1] - started >= QUICK.quiet


async def test_a_steady_stream_of_changes_does_not_wait_for_ever() -> None:
    pushes = 0

    def count() -> None:
        nonlocal pushes
        pushes += 1

    async with running(count) as pusher:
        ends = asyncio.get_running_loop().time() + 1.0
        while asyncio.get_running_loop().time() < ends:
            pusher.trigger()
            await asyncio.sleep(0.005)
    # The first, then about one for every 0.3 s.
    assert 3 <= pushes <= 6
