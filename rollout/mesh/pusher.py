"""When changes are pushed: the first after a quiet moment at once, those that follow gathered, never for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather:
    """Seconds: how long without a change counts as quiet, and the longest that a change waits."""

    quiet: float = 0.02
    most: float = 0.2


class Pusher:
    """Calls `push` after `trigger`, as `Gather` says."""

    def __init__(self, push: Callable[[], None], gather: Gather | None = None) -> None:
        self._push = push
        self._gather = gather or Gather()
        self._pending = asyncio.Event()
        self._last = float("-inf")

    def trigger(self) -> None:
        """Something changed."""
        self._pending.set()

    async def run(self) -> None:
        """Pushes until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._pending.wait()
            if loop.time() - self._last < self._gather.quiet:
                await self._settle(loop.time() + self._gather.most)
            self._pending.clear()
            self._push()
            self._last = loop.time()

    async def _settle(self, deadline: float) -> None:
        """Until nothing has changed for the quiet time, or the deadline."""
        loop = asyncio.get_running_loop()
        while (left := deadline - loop.time()) > 0:
            self._pending.clear()
            try:
                async with asyncio.timeout(min(self._gather.quiet, left)):
                    await self._pending.wait()
            except TimeoutError:
                return
