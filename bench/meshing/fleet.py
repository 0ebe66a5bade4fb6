"""A process of proxies: delta ADS as Envoy speaks it, without Envoy's work on what it is sent.

Asks for clusters, listeners and (once it has routes) virtual hosts by wildcard, for the endpoints of the clusters and
the routes of the listeners by name, and acknowledges everything. Says when the last of its proxies has had so many
responses of a type: when the response's last bytes had been read from the socket.

Proxies are alone on their machines, these share two cores with what is measured: so a response is read once for all
that are sent the same bytes, and answered with bytes that are made once.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from time import process_time

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.json_format import ParseDict

from bench.meshing import world
from bench.meshing.http2 import Call
from rollout.mesh.translate import names

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_SHORT = {
    names.CLUSTER: "cds",
    names.ENDPOINTS: "eds",
    names.LISTENER: "lds",
    names.ROUTES: "rds",
    names.VIRTUAL_HOST: "vhds",
}
_NEXT = {names.CLUSTER: names.ENDPOINTS, names.LISTENER: names.ROUTES}
_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class Reading:
    """A response as read: its acknowledgement, and the names of what is to be asked for next, of another type."""

    type_url: str
    acknowledgement: bytes
    follows: tuple[str, ...]


class Fleet:
    """What the proxies of this process have been sent in this round."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._count: dict[str, int] = dict.fromkeys(_SHORT.values(), 0)
        self._last: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._read: dict[bytes, Reading] = {}

    def got(self, message: bytes, at: float) -> Reading:
        """Counts a response that was here at a time by the monotonic clock."""
        reading = self._read.get(message)
        if reading is None:
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            reading = self._read[message] = _reading(message)
        kind = _SHORT[reading.type_url]
        self._count[kind] += 1
        self._last[kind] = at
        if self._count[kind] == self.size:
            self._changed.set()
        return reading

    async def all_have(self, kind: str) -> float:
        """When the last proxy had its response; begins a new round."""
        while self._count[kind] < self.size:
            self._changed.clear()
            await self._changed.wait()
        self._count = dict.fromkeys(self._count, 0)
        return self._last[kind]


def _reading(message: bytes) -> Reading:
    response = discovery_pb2.DeltaDiscoveryResponse.FromString(message)
    found = [each.name for each in response.resources]
    follows: list[str] = []
    if response.type_url == names.CLUSTER:
        follows = [name for name in found if name.startswith("outbound|")]
    elif response.type_url == names.LISTENER:
        follows = [name.rsplit("_", 1)[1] for name in found if name.startswith("0.0.0.0_")]
    return Reading(response.type_url, _request(response.type_url, response.nonce), tuple(follows))


def _request(type_url: str, nonce: str = "", subscribe: tuple[str, ...] = ()) -> bytes:
    request = discovery_pb2.DeltaDiscoveryRequest(
        type_url=type_url, response_nonce=nonce, resource_names_subscribe=subscribe
    )
    return bytes(request.SerializeToString())


class Proxy:
    """One proxy's side of its stream."""

    def __init__(self, fleet: Fleet, node: world.Json) -> None:
        self._fleet, self._node = fleet, node
        self._edge = node["id"].startswith("router")
        self._opened = self._edge
        self._asked: dict[str, set[str]] = {kind: set() for kind in _NEXT.values()}

    async def run(self, port: int) -> None:
        """Until cancelled; a stream that ends ends the process."""
        loop = asyncio.get_running_loop()
        _, call = await loop.create_connection(
            lambda: Call(_METHOD, self._heard), "127.0.0.1", port
        )
        first = discovery_pb2.DeltaDiscoveryRequest(type_url=names.CLUSTER)
        ParseDict(self._node, first.node)
        call.send(first.SerializeToString())
        call.send(_request(names.LISTENER))
        sys.exit(f"a proxy's stream has {await call.ended}")

    def _heard(self, call: Call, message: bytes, at: float) -> None:
        reading = self._fleet.got(message, at)
        call.send(reading.acknowledgement)
        if reading.type_url == names.ROUTES and not self._opened:
            self._opened = True
            call.send(_request(names.VIRTUAL_HOST))
        if reading.follows:
            self._follow(call, _NEXT[reading.type_url], reading.follows)

    def _follow(self, call: Call, type_url: str, wanted: tuple[str, ...]) -> None:
        if self._edge and type_url == names.ROUTES:
            wanted = tuple(names.gateway_routes(int(each)) for each in wanted)
        if new := set(wanted) - self._asked[type_url]:
            self._asked[type_url] |= new
            call.send(_request(type_url, subscribe=tuple(sorted(new))))


async def main(port: int, first: int, size: int, gateways: int) -> None:
    fleet = Fleet(size)
    nodes = [world.node(number // 2, number % 2) for number in range(first, first + size)]
    nodes += [world.gateway_node()] * gateways
    tasks = [asyncio.ensure_future(Proxy(fleet, node).run(port)) for node in nodes]
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
