"""Credentials that are had by asking and hold for a while, so that not every query asks for them anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

_EARLY = timedelta(minutes=1)
_MOST_KEPT = 256


@dataclass(frozen=True, slots=True)
class Token:
    """Some credential as text, and when it ends."""

    text: str = field(repr=False)
    expires: datetime


class Tokens:
    """Tokens by what they are for; renewed a minute before they end, asked for once at a time."""

    def __init__(self) -> None:
        self._kept: dict[str, Token] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def get(self, purpose: str, now: datetime, fetch: Callable[[], Awaitable[Token]]) -> str:
        """The token for a purpose, which must tell apart whatever yields another token."""
        async with self._asking.setdefault(purpose, asyncio.Lock()):
            kept = self._kept.get(purpose)
            if kept is None or now >= kept.expires - _EARLY:
                kept = await fetch()
                if len(self._kept) >= _MOST_KEPT:
                    self._kept.clear()
                    self._asking.clear()
                self._kept[purpose] = kept
            return kept.text
