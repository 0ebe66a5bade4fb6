"""How commands watch: what changes, and the time that passes meanwhile. Knows nothing of what is watched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from rich.console import RenderableType
from rich.live import Live

from rollout.cli.printing import console, quiet

T = TypeVar("T")

_AGAIN_SECONDS = 1.0


async def live(
    views: AsyncIterator[T], line: Callable[[T], str], whole: Callable[[T], RenderableType]
) -> None:
    """A live picture at a terminal; elsewhere a line whenever the state changes."""
    screen = console()
    if not screen.is_terminal:
        said = ""
        async for view in views:
            if (now := line(view)) != said:
                said = now
                print(now, flush=True)
        return
    with Live(console=screen, auto_refresh=False) as picture:
        async for view in ticking(views):
            picture.update(whole(view), refresh=True)


async def live_list(read: Callable[[], Awaitable[RenderableType]]) -> None:
    """A live list, read again and again."""
    quiet()
    with Live(console=console(), auto_refresh=False) as picture:
        while True:
            picture.update(await read(), refresh=True)
            await asyncio.sleep(_AGAIN_SECONDS)


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
