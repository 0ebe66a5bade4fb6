"""One connected proxy, between whoever changes what it should have and who writes to it. Knows nothing of gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Mapping
from time import monotonic
from typing import Any

from rollout.mesh.xds.protocol import Resources, Stream
from rollout.mesh.xds.wire import Codec


class Connection:
    """One connected proxy. Whoever changes what it should have calls `notify`."""

    def __init__(
        self,
        node: Mapping[str, Any],
        resources: Resources,
        codec: Codec,
        lazy: Container[str] = frozenset(),
    ) -> None:
        self.node = node
        self.stream = Stream(resources, codec.encode, lazy)
        self.sent = self.heard = monotonic()
        self.writing = float("inf")
        self.writer: asyncio.Future[None] | None = None
        self.closing = False
        self.renewed = float("-inf")
        self.wake = asyncio.Event()
        self.wake.set()

    @property
    def id(self) -> str:
        """The node's id."""
        return str(self.node.get("id", ""))

    def notify(self, changed: Mapping[str, Any]) -> None:
        """These names may differ now."""
        self.stream.changed(changed)
        self.wake.set()

    def switch(self, resources: Resources, lazy: Container[str] = frozenset()) -> None:
        """It has another view now, and everything may differ."""
        self.stream.switch(resources, lazy)
        self.wake.set()

    async def finish(self) -> None:
        """Writes no more. A call can only be ended when what is being written was taken, or the proxy is gone: waits for that."""
        self.closing = True
        if self.writer is None:
            return
        if self.writing == float("inf"):
            self.writer.cancel()
        await asyncio.gather(self.writer, return_exceptions=True)

    def renew(self, type_url: str, name: str, at: float) -> None:
        """A leased resource was vouched for once more, at that time by the monotonic clock."""
        self.stream.renew(type_url, name)
        self.renewed = max(self.renewed, at)
        self.wake.set()
