"""How commands watch: what changes, and the time that passes meanwhile. Knows nothing of what is watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def ticking(views: AsyncIterator[T]) -> AsyncIterator[T]:
    """Each view as it comes, and the last one again every second: ages grow."""
    last: T | None = None
    coming = asyncio.ensure_future(anext(views))
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=1)
            if done:
                try:
                    last = coming.result()
                except StopAsyncIteration:
                    return
                coming = asyncio.ensure_future(anext(views))
            if last is not None:
                yield last
    finally:
        coming.cancel()
