"""One HTTP client for all addresses that users write down, each exchange bounded in time, in size and in number.

Nothing is followed, kept or trusted: no redirects, no cookies, and what a request carries is in no representation of it.
Knows requests and replies; not what they mean.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Self

import httpx2

TIMEOUT_SECONDS = 5.0
"""Time for one exchange, unless a request says otherwise: Flagger's for metrics and alerts."""
LARGEST_REPLY = 1 << 20
"""Bytes of a reply that are read before it is refused, unless a request says otherwise."""
MOST_AT_ONCE = 64
"""Exchanges that are under way at the same time, unless a client is made for more."""
_LONGEST_REASON = 300
_UNPACKED = (
    "Accept-Encoding",
    "identity",
)  # so that the size that is bounded is the size that is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent. `timeout` is seconds for the whole exchange; `verify` is whether the server's certificate counts,
    `largest` the bytes that an answer may have.

    `form` is sent as `application/x-www-form-urlencoded` in place of `body`.
    """

    url: str = field(repr=False)
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    params: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    form: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    basic: tuple[str, str] | None = field(default=None, repr=False)
    timeout: float = TIMEOUT_SECONDS
    largest: int = LARGEST_REPLY
    verify: bool = True
    proxy: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whole."""

    status: int
    body: bytes = field(repr=False)
    retry_after: float | None = None
    """Seconds that the server wants to be left alone, where it says a number of them."""

    @property
    def text(self) -> str:
        """The body as text, whatever it was meant to be."""
        return self.body.decode("utf-8", "replace")


class NoReplyError(Exception):
    """No whole reply was had; `str()` says why, without the address."""


class HttpClient:
    """Connections to many servers. Of more exchanges than `most_at_once` some wait, which counts against their time."""

    def __init__(self, most_at_once: int = MOST_AT_ONCE) -> None:
        self._most_at_once = most_at_once
        self._free = asyncio.Semaphore(most_at_once)
        self._clients: dict[tuple[bool, str], httpx2.AsyncClient] = {}
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of all connections."""
        self._clients.clear()
        await self._open.aclose()

    async def send(self, request: Request) -> Reply:
        """One exchange. Raises NoReplyError where the server does not answer whole and in time."""
        try:
            async with asyncio.timeout(request.timeout), self._free:
                return await self._exchange(request)
        except TimeoutError:
            raise NoReplyError(f"no answer within {request.timeout:g}s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, OSError) as error:
            raise NoReplyError(_reason(error)) from None

    async def _exchange(self, request: Request) -> Reply:
        client = await self._client(verify=request.verify, proxy=request.proxy)
        async with client.stream(
            request.method,
            request.url,
            headers=[_UNPACKED, *request.headers],
            params=list(request.params) or None,
            data=dict(request.form) or None,
            content=request.body or None,
            auth=request.basic,
        ) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > request.largest:
                    raise NoReplyError(f"the answer is larger than {request.largest} bytes")
            return Reply(response.status_code, bytes(body), _retry_after(response))

    async def _client(self, *, verify: bool, proxy: str) -> httpx2.AsyncClient:
        key = (verify, proxy)
        if key not in self._clients:
            # Each exchange has its own time limit, so the client's own are off; its pool holds what may be under way.
            client = httpx2.AsyncClient(
                verify=verify,
                proxy=proxy or None,
                timeout=None,
                limits=httpx2.Limits(max_connections=self._most_at_once, keepalive_expiry=30),
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            )
            self._clients[key] = await self._open.enter_async_context(client)
        return self._clients[key]


def _retry_after(response: httpx2.Response) -> float | None:
    said = response.headers.get("Retry-After", "")
    return float(said) if said.isascii() and said.isdigit() else None


def _reason(error: Exception) -> str:
    return str(error)[:_LONGEST_REASON] or type(error).__name__
