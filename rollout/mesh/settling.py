"""What is written back to the cluster waits until changes have settled, and is tried again until it went well."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

_SETTLE = 0.1
_RETRY = 1.0
_LOOK = 2.0


class Settling:
    """Calls `write` some moments after `trigger`, and again where it answers False.

    Where nothing triggers it, `due` is asked every few seconds. What is not `ours` to write is forgotten.
    """

    def __init__(
        self,
        write: Callable[[], Awaitable[bool]],
        due: Callable[[], bool] | None = None,
        *,
        ours: Callable[[], bool] = lambda: True,
    ) -> None:
        self._write, self._due, self._ours = write, due, ours
        self._pending = asyncio.Event()

    def trigger(self) -> None:
        """Something may have to be written."""
        self._pending.set()

    async def run(self) -> None:
        """Writes until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK if self._due else None):
                    await self._pending.wait()
                    await asyncio.sleep(_SETTLE)
            if not self._pending.is_set() and not (self._due and self._due()):
                continue
            self._pending.clear()
            if self._ours() and not await self._write():
                await asyncio.sleep(_RETRY)
                self._pending.set()
