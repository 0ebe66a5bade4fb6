"""What the tests of this room share: small objects, a running cache, a cuttable connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from rollout.kube.cache import Cache
from rollout.kube.objects import Object
from rollout.kube.reflector import Timing

QUICK = Timing(watch_min=60, watch_max=60, silence=30, backoff_min=0.05, backoff_max=0.3)


def config_map(namespace: str, name: str, **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name},
        "data": data,
    }


@asynccontextmanager
async def background(work: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Future[Any]]:
    """Run something while the block lasts."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def running(cache: Cache) -> AsyncIterator[Cache]:
    """Run a cache while the block lasts, synced."""
    async with background(cache.run()):
        await cache.synced(20)
        yield cache


class Cuttable:
    """A TCP proxy before an API server. `mute` keeps connections open and forwards nothing more on them."""

    def __init__(self, port: int, directory: Path, kubeconfig: Path) -> None:
        self._upstream = port
        self._directory, self._original = directory, kubeconfig
        self._tasks: set[asyncio.Future[None]] = set()
        self._muted = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._refuse = False
        self.kubeconfig = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        text = self._original.read_text().replace(f":{self._upstream}", f":{port}")
        path = self._directory / "through-proxy.kubeconfig"
        path.write_text(text)
        self.kubeconfig = str(path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.cut()
        await asyncio.sleep(0)

    def mute(self) -> None:
        """What is connected now hears nothing more; new connections work."""
        self._muted.set()
        self._muted = asyncio.Event()

    def cut(self) -> None:
        """Reset all connections and refuse new ones."""
        self._refuse = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        """Let connections through again."""
        self._refuse = False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuse:
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        if self._refuse:
            writer.transport.abort()
            up_writer.transport.abort()
            return
        muted = self._muted
        for source, target in ((reader, up_writer), (up_reader, writer)):
            task = asyncio.ensure_future(_forward(source, target, muted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def _forward(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, muted: asyncio.Event
) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            if muted.is_set():
                await asyncio.Event().wait()
            target.write(data)
            await target.drain()
        target.close()
