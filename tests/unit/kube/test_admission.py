"""The webhook's HTTP edge: what is not a review, too big or too slow never reaches a handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from io import BytesIO

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter
from starlette.applications import Starlette
from starlette.routing import Route

from rollout.kube import admission
from rollout.kube.admission import AdmissionResponse
from rollout.kube.objects import Object
from rollout.kube.serving import health_app, listen, serve


async def allow(request: Object) -> AdmissionResponse:
    return AdmissionResponse()


@pytest.fixture
async def url() -> AsyncIterator[str]:
    routes = [Route("/validate", admission._endpoint(allow), methods=["POST"])]
    sock = listen("127.0.0.1", 0)
    task = asyncio.ensure_future(serve(Starlette(routes=routes), "", 0, sock=sock))
    yield f"http://127.0.0.1:{sock.getsockname()[1]}/validate"
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


BODIES: dict[str, tuple[bytes, int]] = {
    "a review": (b'{"request": {"uid": "1"}}', 200),
    "not JSON": (b"{", 400),
    "not an object": (b"[]", 400),
    "no request": (b"{}", 400),
    "no uid": (b'{"request": {}}', 400),
    "a request that is no object": (b'{"request": 1}', 400),
    "too big": (b" " * (admission.BODY_LIMIT + 1), 413),
}


@pytest.mark.parametrize(("body", "code"), BODIES.values(), ids=BODIES.keys())
async def test_bodies(url: str, body: bytes, code: int) -> None:
    async with aiohttp.ClientSession() as session, session.post(url, data=BytesIO(body)) as answer:
        assert answer.status == code
        if code == 200:
            review = await answer.json()
            assert review["response"] == {"uid": "1", "allowed": True}


async def test_a_body_that_does_not_come(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "READ_SECONDS", 0.1)

    async def drip() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)

    async with aiohttp.ClientSession() as session, session.post(url, data=drip()) as answer:
        assert answer.status == 408


async def test_health_pages() -> None:
    registry, missing = CollectorRegistry(), ["no list yet of Pod"]
    Counter("looks", "Looks.", registry=registry).inc()
    app = health_app(registry, lambda: "".join(missing))
    sock = listen("127.0.0.1", 0)
    base = f"http://127.0.0.1:{sock.getsockname()[1]}"
    task = asyncio.ensure_future(serve(app, "", 0, sock=sock))
    async with aiohttp.ClientSession(base_url=base) as session:
        assert await (await session.get("/healthz")).text() == "ok\n"
        answer = await session.get("/readyz")
        assert (answer.status, await answer.text()) == (503, "no list yet of Pod\n")
        missing.clear()
        assert await (await session.get("/readyz")).text() == "ok\n"
        assert "looks_total 1.0" in await (await session.get("/metrics")).text()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def test_a_taken_port_is_an_error_of_the_system() -> None:
    with listen("127.0.0.1", 0) as sock, pytest.raises(OSError, match="Address already in use"):
        listen("127.0.0.1", sock.getsockname()[1])
