"""HTTP servers inside this process's own event loop, and the three pages that every process has.

Knows sockets and ASGI; not what is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl as tls
from collections.abc import Callable, Iterator

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

GRACE_SECONDS = 5


class _EmbeddedServer(uvicorn.Server):
    """A server that leaves the process's signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """Bind now, so that a port that is taken is an OSError here; port 0 takes a free one (`getsockname` tells)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.create_server((host, port), family=family, backlog=512)
    bound.settimeout(0)
    return bound


async def serve(
    app: ASGIApp,
    host: str,
    port: int,
    ssl: tls.SSLContext | None = None,
    *,
    sock: socket.socket | None = None,
) -> None:
    """Serve until cancelled, then let open requests end (5 s). Raises OSError where the port is taken.

    `sock`, from `listen`, stands in for host and port. The SSL context stays live: certificates loaded into it later
    count for later connections.
    """
    bound = sock or listen(host, port)
    config = uvicorn.Config(
        app,
        ssl_context_factory=(lambda _config, _default: ssl) if ssl is not None else None,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_SECONDS,
        server_header=False,
    )
    server = _EmbeddedServer(config)
    running = asyncio.ensure_future(server.serve(sockets=[bound]))
    try:
        await asyncio.shield(running)
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await running
        bound.close()


def health_app(registry: CollectorRegistry, not_ready: Callable[[], str]) -> Starlette:
    """`/healthz`, `/readyz` and `/metrics`; `not_ready` says what is still missing, an empty string when nothing is."""

    async def healthz(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        missing = not_ready()
        return PlainTextResponse(f"{missing or 'ok'}\n", 503 if missing else 200)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
        ]
    )
