"""A way to a pod's port through the API server, as `kubectl port-forward`: also to what listens on its loopback only.

Kubernetes' WebSocket protocol `v4.channel.k8s.io`: the first byte of a message is its channel, 0 for data and 1 for
errors, and the first message of each repeats the port. Knows nothing of what is said through it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from rollout.api.kinds import POD
from rollout.kube.client import Client
from rollout.kube.errors import KubeError, Unavailable

_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1
_CHUNK = 64 * 1024


@asynccontextmanager
async def forward(client: Client, namespace: str, pod: str, port: int) -> AsyncIterator[str]:
    """The address `http://127.0.0.1:…` that reaches the pod's port while the block lasts.

    Raises a KubeError at once where the pod is missing or may not be reached.
    """
    path = POD.path(namespace, pod, "portforward")
    # the first connection is made here: a refusal is told to the caller, not to who connects later
    first = [await _opened(client, path, port)]
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(KubeError, OSError):
            channel = first.pop() if first else await _opened(client, path, port)
            await _carry(channel, reader, writer)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in first:
            await channel.close()


async def _opened(client: Client, path: str, port: int) -> aiohttp.ClientWebSocketResponse:
    channel = await client.websocket(path, {"ports": str(port)}, _PROTOCOL)
    for _ in (_DATA, _ERROR):
        message = await channel.receive(timeout=10)
        if message.type is not aiohttp.WSMsgType.BINARY:
            await channel.close()
            raise Unavailable(f"{path}: the port cannot be forwarded", reason="NotForwarded")
    return channel


async def _carry(
    channel: aiohttp.ClientWebSocketResponse,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Until either side ends."""

    async def out() -> None:
        while data := await reader.read(_CHUNK):
            await channel.send_bytes(bytes((_DATA,)) + data)

    async def back() -> None:
        async for message in channel:
            if message.type is not aiohttp.WSMsgType.BINARY or message.data[:1] != bytes((_DATA,)):
                return
            writer.write(message.data[1:])
            await writer.drain()

    ways = [asyncio.ensure_future(each()) for each in (out, back)]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        await channel.close()
