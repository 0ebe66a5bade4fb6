"""The control plane's process: all of the mesh but the watches, told of changes over its standard input.

Each line is a JSON command, each answer one line of JSON. What the watches would say is put into the feed, so a figure
spans from the moment when a change is known, by way of the push, to what the proxies see.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path
from time import monotonic, process_time
from typing import Any

import structlog

from bench.meshing import world
from rollout.kube.collector import sparing_what_stays
from rollout.mesh.hub import Hub
from rollout.mesh.ingest.feed import Feed
from rollout.mesh.metrics import Metrics
from rollout.mesh.model.registry import Registry
from rollout.mesh.pusher import Pusher
from rollout.mesh.xds.server import Server


class Plane:
    """A mesh of so many services, served."""

    def __init__(self, services: int) -> None:
        self._pods = {
            (world.namespace(i), world.pod_name(i, replica)): world.pod(i, replica)
            for i in range(services)
            for replica in range(2)
        }
        slices = [world.endpoint_slice(i) for i in range(services)]
        self._slices = {(world.namespace(i), world.name(i)): s for i, s in enumerate(slices)}
        registry = Registry(world.ROOT_NAMESPACE)
        self._feed = Feed(
            registry,
            slices_of=lambda ns, name: [self._slices[ns, name]],
            pod_of=lambda ns, name: self._pods.get((ns, name)),
        )
        for i in range(services):
            self._feed.service(world.namespace(i), world.name(i), world.service(i))
            self._route(i, 0)
        metrics = Metrics()
        self.hub = Hub(registry, self._feed, lambda ns, n: self._pods.get((ns, n)), metrics)
        self.pusher = Pusher(self.hub.push)
        self.hub.push()
        self.responses = self.bytes = 0
        self.sent = 0.0
        sent = self.hub.sent

        def counted(response: Any) -> None:
            self.responses += 1
            self.bytes += len(response.body)
            self.sent = monotonic()
            sent(response)

        self.hub.sent = counted  # type: ignore[method-assign]
        self._convergence: list[float] = []
        metrics.convergence.observe = self._convergence.append  # type: ignore[method-assign,assignment]

    def _route(self, index: int, timeout: int) -> None:
        found = world.virtual_service(index, timeout)
        self._feed.routing("VirtualService", world.namespace(index), world.name(index), found)

    def change(self, what: str, index: int, value: int) -> None:
        if what == "route":
            self._route(index, value)
        elif what == "service":
            self._publish(index, value)
        elif what == "scope":
            found = world.sidecar("istio-system/*", "prometheus/*")
            self._put(found if value else None, found)
        else:
            changed = world.endpoint_slice(index, value)
            self._slices[world.namespace(index), world.name(index)] = changed
            self._feed.slice(changed)
        self.pusher.trigger()

    def _publish(self, index: int, step: int) -> None:
        """The book's repetition, one object at a time as they are applied: Service, Gateway, VirtualService."""
        if step == 0:
            place = (world.namespace(index), world.name(index))
            self._slices[place] = world.endpoint_slice(index)
            self._feed.service(*place, world.service(index))
        else:
            found = world.gateway(index) if step == 1 else world.published(index)
            self._put(found, found)

    def _put(self, obj: world.Json | None, named: world.Json) -> None:
        metadata = named["metadata"]
        self._feed.routing(named["kind"], metadata["namespace"], metadata["name"], obj)

    def scoped(self) -> dict[str, float]:
        """What one proxy has, and how long proxies took to have what changed since the last call."""
        times, self._convergence[:] = sorted(self._convergence), []
        stream = next(iter(self.hub.clients)).stream
        sizes = [
            len(resource.encoded)
            for kind in stream.resources.values()
            for resource in kind.values()
        ]
        p99 = times[min(len(times) - 1, int(len(times) * 0.99))] if times else 0.0
        return {
            "config_bytes": sum(sizes),
            "p99_ms": p99 * 1000,
            "converged": len(times),
            **self.figures(),
        }

    def synced(self) -> dict[str, float]:
        """How many proxies have all that they asked for."""
        count = sum(each.stream.synced for each in self.hub.clients)
        return {**self.figures(), "synced": count}

    def figures(self) -> dict[str, float]:
        status = Path("/proc/self/status").read_text()
        resident = int(status.split("VmRSS:")[1].split()[0]) / 1024
        switches = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
        return {
            "resident_mib": resident,
            "responses": self.responses,
            "bytes": self.bytes,
            "sent": self.sent,
            "waits": switches,
            "cpu": process_time(),
        }


async def main(services: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    plane = Plane(services)
    with sparing_what_stays():
        await _serve(plane)


async def _serve(plane: Plane) -> None:
    server = Server(plane.hub)
    port = await server.start("127.0.0.1:0")
    pushing = asyncio.ensure_future(plane.pusher.run())
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"port": port, **plane.figures()}), flush=True)
    async for line in reader:
        command = json.loads(line)
        asked = {"scoped": plane.scoped, "synced": plane.synced}.get(command["do"], plane.figures)
        answer = {**asked(), "at": monotonic()}
        if command["do"] not in {"figures", "scoped", "synced"}:
            plane.change(command["do"], command["index"], command["value"])
        print(json.dumps(answer), flush=True)
    pushing.cancel()
    await server.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
