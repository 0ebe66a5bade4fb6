"""The gRPC side of ADS, delta and state of the world: one coroutine pair for each proxy around the pure protocol.

Bytes go in and out as they are. A proxy that does not answer, or does not take what is written, is dropped; it comes
back and is sent what it lacks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

import grpc
import structlog

from rollout.mesh.xds import inquiring
from rollout.mesh.xds.connection import Connection
from rollout.mesh.xds.inquiring import Inquirer, Inquiries
from rollout.mesh.xds.protocol import Rejection
from rollout.mesh.xds.sotw import StateOfTheWorld
from rollout.mesh.xds.wire import Codec, Encoder, Response

log = structlog.get_logger(__name__)

_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
_DELTA, _STATE = "DeltaAggregatedResources", "StreamAggregatedResources"
_CHANNEL = (
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Proxies ask every 5 s whether it is still there.
    ("grpc.http2.min_ping_interval_without_data_ms", 2_000),
    ("grpc.keepalive_permit_without_calls", 1),
)
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one proxy may cost; seconds."""

    connections: int = 5_000
    answer: float = 30.0
    write: float = 10.0
    warming: float = 5.0
    renewal: float = 0.5

    @property
    def least(self) -> float:
        """The shortest time after which a proxy can be given up."""
        return min(self.answer, self.write, self.warming)


class Source(Protocol):
    """What the server needs to know of the mesh."""

    def connect(self, node: Mapping[str, Any], codec: Codec) -> Connection:
        """Admits a proxy; ValueError where it does not say who it is."""
        ...

    def disconnect(self, connection: Connection) -> None:
        """The proxy is gone."""
        ...

    def sent(self, response: Response) -> None:
        """A response was written."""
        ...

    def answered(self, connection: Connection, rejections: list[Rejection]) -> None:
        """The proxy answered something, and refused this."""
        ...


class Caller(Protocol):
    """Somebody who has proved who he is."""

    @property
    def namespace(self) -> str:
        """Where he is at home."""
        ...

    def check(self, node: Mapping[str, Any]) -> None:
        """PermissionError where the proxy claims to be another."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """How a port is entered: over TLS, and by whom.

    `authenticate` takes a call and answers who makes it, or aborts it; `handlers` are served beside xDS, `options` are
    gRPC's.
    """

    credentials: grpc.ServerCredentials
    authenticate: Callable[[Any], Awaitable[Caller]]
    handlers: tuple[grpc.GenericRpcHandler, ...] = ()
    options: tuple[tuple[str, int], ...] = ()


class Server:
    """Serves a source on one port: to anybody, or through a door. Inquiries are answered behind doors alone."""

    def __init__(
        self,
        source: Source,
        limits: Limits | None = None,
        door: Door | None = None,
        inquiries: Inquiries | None = None,
    ) -> None:
        self._door, self._inquiries = door, inquiries
        self._source = source
        self._limits = limits or Limits()
        self._encoder = Encoder()
        self._open = 0
        self._stopping = asyncio.Event()
        self._server: grpc.aio.Server | None = None

    async def start(self, address: str) -> int:
        """Listens; answers the port."""
        own = self._door.options if self._door else ()
        self._server = grpc.aio.server(options=(*_CHANNEL, *own))
        methods: dict[str, Any] = {
            _DELTA: grpc.stream_stream_rpc_method_handler(self._handle_delta),
            _STATE: grpc.stream_stream_rpc_method_handler(self._handle_state),
        }
        handlers = grpc.method_handlers_generic_handler(_SERVICE, methods)
        self._server.add_generic_rpc_handlers((handlers,))
        if self._door is None:
            port = self._server.add_insecure_port(address)
        else:
            self._server.add_generic_rpc_handlers(self._door.handlers)
            port = self._server.add_secure_port(address, self._door.credentials)
        await self._server.start()
        return port

    async def stop(self) -> None:
        """Ends all streams; proxies keep what they have."""
        self._stopping.set()
        if self._server is not None:
            await self._server.stop(grace=0.2)

    async def _handle_delta(self, requests: AsyncIterator[bytes], context: Any) -> None:
        await self._handle(requests, context, self._encoder)

    async def _handle_state(self, requests: AsyncIterator[bytes], context: Any) -> None:
        await self._handle(requests, context, StateOfTheWorld())

    async def _handle(self, requests: AsyncIterator[bytes], context: Any, codec: Codec) -> None:
        # grpc cancels a stream whose proxy is gone, and would log the cancellation as an error.
        with contextlib.suppress(asyncio.CancelledError):
            await self._serve(requests, context, codec)

    async def _serve(self, requests: AsyncIterator[bytes], context: Any, codec: Codec) -> None:
        if self._open >= self._limits.connections:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many proxies")
        self._open += 1
        try:
            if refusal := await self._refusal(requests, context, codec):
                await context.abort(*refusal)
        finally:
            self._open -= 1

    async def _refusal(
        self, requests: AsyncIterator[bytes], context: Any, codec: Codec
    ) -> tuple[grpc.StatusCode, str] | None:
        """Serves a proxy; answers with which status, and why, its call is to be ended where that is not its own doing."""
        refusal: tuple[grpc.StatusCode, str] | None = None
        connection: Connection | None = None
        try:
            caller = await self._door.authenticate(context) if self._door else None
            data = await self._first(requests)
            request, node = codec.read(data)
            if request.type_url.startswith(inquiring.TYPES):
                await self._inform(caller, data, requests, context, codec)
                return None
            connection = self._admit(node, caller, codec)
            self._source.answered(connection, connection.stream.receive(request))
            connection.writer = asyncio.ensure_future(self._write(connection, context))
            await self._converse(connection, connection.writer, requests, codec)
        except* PermissionError as errors:
            refusal = (grpc.StatusCode.PERMISSION_DENIED, _told(errors))
            log.warning("proxy refused", reason=refusal[1])
        except* (TimeoutError, ValueError) as errors:
            refusal = (grpc.StatusCode.INVALID_ARGUMENT, _told(errors))
            name = connection.id if connection else ""
            log.warning("proxy dropped", proxy=name, reason=refusal[1])
        finally:
            if connection is not None:
                self._source.disconnect(connection)
                await connection.finish()
        return refusal

    async def _converse(
        self,
        connection: Connection,
        writing: asyncio.Future[None],
        requests: AsyncIterator[bytes],
        codec: Codec,
    ) -> None:
        """Until the proxy has nothing more to say, or the server stops; TimeoutError where it owes something for too long."""
        async with asyncio.TaskGroup() as group:
            tasks = (
                group.create_task(_outcome(writing)),
                group.create_task(self._watch(connection)),
                group.create_task(self._read(connection, requests, codec)),
                group.create_task(self._stopping.wait()),
            )
            await asyncio.wait(tasks[2:], return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()

    async def _first(self, requests: AsyncIterator[bytes]) -> bytes:
        async with asyncio.timeout(self._limits.answer):
            data = await anext(requests, None)
        if data is None:
            raise ValueError("the stream ended before its first request")
        return data

    def _admit(self, node: Any | None, caller: Caller | None, codec: Codec) -> Connection:
        if node is None:
            raise ValueError("the first request has no node")
        if caller is not None:
            caller.check(node)
        return self._source.connect(node, codec)

    async def _inform(
        self,
        caller: Caller | None,
        first: bytes,
        requests: AsyncIterator[bytes],
        context: Any,
        codec: Codec,
    ) -> None:
        if caller is None or self._inquiries is None:
            raise PermissionError(
                "what the control plane knows is told to those alone who prove who they are"
            )
        whole = isinstance(codec, StateOfTheWorld)
        inquirer = Inquirer(self._inquiries, caller.namespace, whole=whole)
        await inquirer.converse(first, requests, context, self._limits.answer)

    async def _read(
        self, connection: Connection, requests: AsyncIterator[bytes], codec: Codec
    ) -> None:
        async for data in requests:
            request, _ = codec.read(data)
            connection.heard = monotonic()
            self._source.answered(connection, connection.stream.receive(request))
            if connection.stream.due:
                connection.wake.set()

    async def _write(self, connection: Connection, context: Any) -> None:
        stream = connection.stream
        while not connection.closing:
            await connection.wake.wait()
            connection.wake.clear()
            if _NEVER < connection.renewed < monotonic() - self._limits.renewal:
                stream.outdate()
                connection.renewed = _NEVER
            for response in stream.poll():
                connection.writing = monotonic()
                await context.write(response.body)
                connection.sent, connection.writing = monotonic(), float("inf")
                self._source.sent(response)
                if connection.closing:
                    break

    async def _watch(self, connection: Connection) -> None:
        """Gives up a proxy that owes something for too long. Pushes set no timers: nothing falls due while this sleeps."""
        while True:
            await asyncio.sleep(max(self._left(connection), 0.0))
            if self._left(connection) <= 0:
                self._lost_patience(connection)

    def _left(self, connection: Connection) -> float:
        """Seconds until the proxy has to have done what it owes; where it owes nothing, as long as it could take at least."""
        stream, limits, now = connection.stream, self._limits, monotonic()
        left = min(limits.least, connection.writing + limits.write - now)
        since = max(connection.sent, connection.heard)
        if stream.outstanding:
            return min(left, since + limits.answer - now)
        return min(left, since + limits.warming - now) if stream.waiting else left

    def _lost_patience(self, connection: Connection) -> None:
        stream, limits = connection.stream, self._limits
        if monotonic() >= connection.writing + limits.write:
            raise TimeoutError(f"nothing taken for {limits.write:g} s")
        if stream.outstanding:
            types = ", ".join(sorted(kind.rsplit(".", 1)[1] for kind in stream.outstanding))
            raise TimeoutError(f"no answer to {types} for {limits.answer:g} s")
        if stream.waiting:
            log.info("proxy does not ask for what it was sent", proxy=connection.id)
            stream.release()
            connection.wake.set()


async def _outcome(writing: asyncio.Future[None]) -> None:
    """What writing comes to, without a part in when it ends."""
    await asyncio.shield(writing)


def _told(errors: BaseExceptionGroup[Exception]) -> str:
    return "; ".join(str(error) for error in errors.exceptions)
