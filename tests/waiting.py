"""The one way in which tests wait: for something to become true, with a deadline, never for a time to pass."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

PATIENCE = 45.0
"""Seconds: machines that run tests are busy, and a deadline is only there to end what will never come true."""


async def until(check: Callable[[], Any], what: str = "", seconds: float = PATIENCE) -> Any:
    """Wait until a check, which may be a coroutine function, answers something true, and answer that."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = check()
                if asyncio.iscoroutine(found):
                    found = await found
                if found:
                    return found
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {seconds:g} s: {what or 'what was waited for'}") from None
