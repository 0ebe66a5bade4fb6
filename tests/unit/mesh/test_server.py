"""Proxies that owe something: given up when their time is over, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2

from rollout.mesh.translate import names
from rollout.mesh.translate.resource import Resource, resource
from rollout.mesh.xds.connection import Connection
from rollout.mesh.xds.protocol import Rejection, Resources
from rollout.mesh.xds.server import Limits, Server
from rollout.mesh.xds.wire import Codec, Response
from tests.waiting import until

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
NEVER = 60.0
PATIENCE = 0.3


@dataclass(slots=True)
class Source:
    """A mesh of these resources."""

    resources: Resources
    connections: list[Connection] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    seen: int = 0

    def connect(self, node: Mapping[str, Any], codec: Codec) -> Connection:
        self.seen += 1
        self.connections.append(Connection(node, self.resources, codec))
        return self.connections[-1]

    def disconnect(self, connection: Connection) -> None:
        self.connections.remove(connection)

    def sent(self, response: Response) -> None:
        self.responses.append(response)

    def answered(self, connection: Connection, rejections: list[Rejection]) -> None:
        pass


def made(type_url: str, *called: str, size: int = 1) -> dict[str, Resource]:
    return {name: resource(type_url, name, b"x" * size) for name in called}


class Proxy:
    """A client that does what it is told to, one step after the other."""

    def __init__(self, call: Any, server: Server) -> None:
        self.call, self.server = call, server

    async def ask(self, type_url: str, *called: str, nonce: str = "") -> None:
        request = discovery_pb2.DeltaDiscoveryRequest(
            type_url=type_url, resource_names_subscribe=called, response_nonce=nonce
        )
        request.node.id = "sidecar~10.0.0.1~a.b~b.svc"
        await self.call.write(request)

    async def heard(self, type_url: str) -> Any:
        response = await self.call.read()
        assert response.type_url == type_url
        return response

    async def take(self, type_url: str) -> None:
        response = await self.heard(type_url)
        await self.ask(type_url, nonce=response.nonce)

    async def given_up(self) -> str:
        """What it is told when its stream ends."""
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await self._drain()
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        return str(error.value.details())

    async def _drain(self) -> None:
        while await self.call.read() is not grpc.aio.EOF:
            pass


@asynccontextmanager
async def connected(source: Source, **limits: float) -> AsyncIterator[Proxy]:
    patient = {"answer": NEVER, "write": NEVER, "warming": NEVER} | limits
    server = Server(source, Limits(**patient))  # type: ignore[arg-type]
    port = await server.start("127.0.0.1:0")
    options = (("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0))
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            call = channel.stream_stream(
                METHOD,
                request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
                response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
            )()
            async with asyncio.timeout(NEVER):
                yield Proxy(call, server)
            call.cancel()
    finally:
        await server.stop()


async def test_one_that_answers_nothing_is_given_up() -> None:
    source = Source({names.CLUSTER: made(names.CLUSTER, "a")})
    async with connected(source, answer=PATIENCE) as proxy:
        began = monotonic()
        await proxy.ask(names.CLUSTER)
        await proxy.heard(names.CLUSTER)
        assert await proxy.given_up() == "no answer to Cluster for 0.3 s"
        assert monotonic() - began >= PATIENCE
    assert not source.connections


async def test_one_that_takes_nothing_is_given_up() -> None:
    source = Source({names.CLUSTER: made(names.CLUSTER, "a", size=3 << 20)})
    async with connected(source, write=PATIENCE) as proxy:
        await proxy.ask(names.CLUSTER)
        await until(lambda: source.seen and not source.connections)
        assert not source.responses
        assert await proxy.given_up() == "nothing taken for 0.3 s"


async def test_nothing_is_kept_of_one_that_took_nothing_and_is_gone() -> None:
    source = Source({names.CLUSTER: made(names.CLUSTER, "a", size=3 << 20)})
    async with connected(source, write=PATIENCE) as proxy:
        await proxy.ask(names.CLUSTER)
        await until(lambda: source.seen and not source.connections)
        assert proxy.server._open == 1
        proxy.call.cancel()
        await until(lambda: proxy.server._open == 0)


async def test_one_that_asks_for_no_endpoints_gets_its_listeners_later() -> None:
    source = Source(
        {
            names.CLUSTER: made(names.CLUSTER, "a"),
            names.ENDPOINTS: made(names.ENDPOINTS, "a"),
            names.LISTENER: made(names.LISTENER, "l"),
        }
    )
    async with connected(source, warming=PATIENCE) as proxy:
        await proxy.ask(names.CLUSTER)
        await proxy.ask(names.LISTENER)
        began = monotonic()
        await proxy.take(names.CLUSTER)
        await proxy.heard(names.LISTENER)
        assert monotonic() - began >= PATIENCE


async def test_one_that_answers_is_kept() -> None:
    clusters = made(names.CLUSTER, "a")
    source = Source({names.CLUSTER: clusters})
    async with connected(source, answer=2.0, write=2.0, warming=2.0) as proxy:
        await proxy.ask(names.CLUSTER)
        for number in range(5):
            await proxy.take(names.CLUSTER)
            await asyncio.sleep(0.5)
            name = f"more {number}"
            clusters |= made(names.CLUSTER, name)
            source.connections[0].notify({names.CLUSTER: {name}})
        await proxy.take(names.CLUSTER)
        await until(lambda: len(source.responses) == 6)
