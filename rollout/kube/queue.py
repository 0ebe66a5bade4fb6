"""Which objects need a look: each key once, by one worker at a time, now, later, or after a failure.

The same rules as client-go's workqueue. Knows neither what a key stands for nor what a look does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Generic, TypeVar

import structlog

from rollout.kube.backoff import Backoff

K = TypeVar("K", bound=Hashable)

log = structlog.get_logger(__name__)


class WorkQueue(Generic[K]):
    """Keys to be worked on, in the order they became due.

    A key added while it waits is not added twice; one added while it is worked on is worked on once more afterwards.
    Failures back off exponentially from `base` to `cap` seconds, with up to half of it taken off at random.
    """

    def __init__(
        self, *, base: float = 0.2, cap: float = 60.0, rng: random.Random | None = None
    ) -> None:
        self._base, self._cap = base, cap
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failing: dict[K, Backoff] = {}

    def __len__(self) -> int:
        """How many keys wait for a worker now (delayed ones are not counted)."""
        return len(self._waiting)

    def add(self, key: K) -> None:
        """Work on the key as soon as a worker is free."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_after(self, key: K, delay: float | timedelta) -> None:
        """Work on the key in `delay` (seconds, or a timedelta); of several delays the one that ends first counts."""
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        when = loop.time() + seconds
        pending = self._timers.get(key)
        if pending is not None:
            if pending.when() <= when:
                return
            pending.cancel()
        self._timers[key] = loop.call_at(when, self._due, key)

    def add_backoff(self, key: K) -> float:
        """Work on the key again after its back-off, which grows with each call; answers the delay in seconds."""
        if (backoff := self._failing.get(key)) is None:
            backoff = self._failing[key] = Backoff(base=self._base, cap=self._cap)
        delay = backoff.after() * self._rng.uniform(0.5, 1.0)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The key went well: its next failure starts again at the shortest back-off."""
        self._failing.pop(key, None)

    def failures(self, key: K) -> int:
        """How often in a row the key has failed."""
        backoff = self._failing.get(key)
        return backoff.failures if backoff else 0

    @asynccontextmanager
    async def work(self) -> AsyncIterator[K]:
        """Wait for a key and hold it: nobody else gets it until the block ends."""
        key = await self._ready.get()
        self._waiting.discard(key)
        self._working.add(key)
        try:
            yield key
        finally:
            self._working.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    def _due(self, key: K) -> None:
        del self._timers[key]
        self.add(key)


async def run_workers(queue: WorkQueue[K], fn: Callable[[K], Awaitable[object]], n: int) -> None:
    """Work with `n` workers until cancelled. A look that raises is logged and repeated after its back-off."""
    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(_worker(queue, fn))


async def _worker(queue: WorkQueue[K], fn: Callable[[K], Awaitable[object]]) -> None:
    while True:
        async with queue.work() as key:
            failures = queue.failures(key)
            try:
                await fn(key)
            except Exception:  # a look that fails must end neither the worker nor the others
                delay = queue.add_backoff(key)
                log.exception("will look again", key=str(key), seconds=round(delay, 2))
            else:
                if queue.failures(key) == failures:
                    queue.forget(key)
