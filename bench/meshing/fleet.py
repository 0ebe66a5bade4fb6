"""A process of proxies: delta ADS as Envoy speaks it, without Envoy's work on what it is sent.

Asks for clusters, listeners and (once it has routes) virtual hosts by wildcard, for the endpoints of the clusters and the routes of the listeners by name,
and acknowledges everything. Says when the last of its proxies has had so many responses of a type.
"""

from __future__ import annotations

import asyncio
import json
import sys
from time import monotonic, process_time
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.json_format import ParseDict

from bench.meshing import world
from rollout.mesh.translate import names

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_OPTIONS = (("grpc.max_receive_message_length", 64 << 20), ("grpc.use_local_subchannel_pool", 1))
_SHORT = {
    names.CLUSTER: "cds",
    names.ENDPOINTS: "eds",
    names.LISTENER: "lds",
    names.ROUTES: "rds",
    names.VIRTUAL_HOST: "vhds",
}


class Fleet:
    """What the proxies of this process have been sent in this round."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._count: dict[str, int] = dict.fromkeys(_SHORT.values(), 0)
        self._last: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._names: dict[str, list[str]] = {}

    def got(self, response: Any) -> None:
        kind = _SHORT[response.type_url]
        self._count[kind] += 1
        self._last[kind] = monotonic()
        if self._count[kind] == self.size:
            self._changed.set()

    async def all_have(self, kind: str) -> float:
        """When the last proxy had its response; begins a new round."""
        while self._count[kind] < self.size:
            self._changed.clear()
            await self._changed.wait()
        self._count = dict.fromkeys(self._count, 0)
        return self._last[kind]

    def follow(self, response: Any) -> tuple[str, list[str]] | None:
        """What a proxy asks for next, the same for all that are sent the same."""
        if response.type_url not in {names.CLUSTER, names.LISTENER}:
            return None
        if response.nonce not in self._names:
            found = (each.name for each in response.resources)
            self._names[response.nonce] = (
                [name for name in found if name.startswith("outbound|")]
                if response.type_url == names.CLUSTER
                else [name.rsplit("_", 1)[1] for name in found if name.startswith("0.0.0.0_")]
            )
        kind = names.ENDPOINTS if response.type_url == names.CLUSTER else names.ROUTES
        return kind, self._names[response.nonce]


async def proxy(fleet: Fleet, port: int, node: world.Json) -> None:
    """One proxy, until its stream ends."""
    edge = node["id"].startswith("router")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS) as channel:
        call = channel.stream_stream(
            _METHOD,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )()
        first = discovery_pb2.DeltaDiscoveryRequest(type_url=names.CLUSTER)
        ParseDict(node, first.node)
        await call.write(first)
        await call.write(discovery_pb2.DeltaDiscoveryRequest(type_url=names.LISTENER))
        opened = False
        asked: dict[str, set[str]] = {names.ENDPOINTS: set(), names.ROUTES: set()}
        async for response in call:
            fleet.got(response)
            await call.write(
                discovery_pb2.DeltaDiscoveryRequest(
                    type_url=response.type_url, response_nonce=response.nonce
                )
            )
            if response.type_url == names.ROUTES and not opened and not edge:
                opened = True
                await call.write(discovery_pb2.DeltaDiscoveryRequest(type_url=names.VIRTUAL_HOST))
            wanted = fleet.follow(response)
            if edge and wanted is not None and wanted[0] == names.ROUTES:
                wanted = (names.ROUTES, [names.gateway_routes(int(each)) for each in wanted[1]])
            if wanted is not None and (new := set(wanted[1]) - asked[wanted[0]]):
                asked[wanted[0]] |= new
                await call.write(
                    discovery_pb2.DeltaDiscoveryRequest(
                        type_url=wanted[0], resource_names_subscribe=sorted(new)
                    )
                )


async def main(port: int, first: int, size: int, gateways: int) -> None:
    fleet = Fleet(size)
    nodes = [world.node(number // 2, number % 2) for number in range(first, first + size)]
    nodes += [world.gateway_node()] * gateways
    tasks = [asyncio.ensure_future(proxy(fleet, port, node)) for node in nodes]
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        last = await fleet.all_have(line.decode().strip())
        print(json.dumps({"last": last, "cpu": process_time()}), flush=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
