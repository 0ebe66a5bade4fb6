"""What rules and entries say of endpoints that are no pods: a real API server, and a gateway that is a real Envoy."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout

from rollout.api.kinds import (
    DESTINATION_RULE,
    GATEWAY,
    SERVICE_ENTRY,
    VIRTUAL_SERVICE,
    WORKLOAD_ENTRY,
    Kind,
)
from rollout.kube.client import Client
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh.support import (
    Backend,
    Load,
    ask,
    backend,
    control_plane,
    create,
    envoy,
    free_port,
    own_address,
)
from tests.waiting import until

HOST, BYTES = "http.destinations.example.com", "bytes.destinations.example.com"


@dataclass(slots=True)
class Scene:
    """A gateway of version v2 that leads HTTP to one host, and connections to another."""

    client: Client
    namespace: str
    http: int
    tcp: int
    one: Backend
    two: Backend

    async def put(self, kind: Kind, name: str, **spec: Any) -> None:
        obj = {"metadata": {"name": name}, "spec": spec}
        await create(self.client, kind, self.namespace, obj)

    async def answered(self, times: int = 20) -> Counter[str]:
        """Who answers so many requests."""
        async with ClientSession(timeout=ClientTimeout(total=10)) as session:
            url = f"http://127.0.0.1:{self.http}/"
            load = await ask(session, url, Load(), {"Host": HOST}, times)
        return load.names if load.statuses == {200: times} else Counter()

    async def only(self, *names: str) -> bool:
        return set(await self.answered()) == set(names)


@pytest.fixture
async def scene(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> AsyncIterator[Scene]:
    await install_crds(client)
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(backend(name)) for name in ("one", "two")]
        found = Scene(client, namespace, free_port(), free_port(), one, two)
        selector = {"istio": f"gateway-{namespace}"}
        servers = [
            {"port": {"number": number, "name": name, "protocol": protocol}, "hosts": ["*"]}
            for number, name, protocol in ((found.http, "http", "HTTP"), (found.tcp, "tcp", "TCP"))
        ]
        await found.put(GATEWAY, "edge", selector=selector, servers=servers)
        http = [{"route": [{"destination": {"host": HOST}}]}]
        await found.put(VIRTUAL_SERVICE, "http", hosts=[HOST], gateways=["edge"], http=http)
        plane = await stack.enter_async_context(control_plane(apiserver.kubeconfig))
        labels = {**selector, "app": "edge", "version": "v2"}
        await stack.enter_async_context(
            envoy(tmp_path, plane.port, namespace=namespace, labels=labels)
        )
        yield found


async def test_workload_entries_are_endpoints_the_nearest_by_labels_first(scene: Scene) -> None:
    port = {"number": 80, "name": "http", "protocol": "HTTP"}
    selector = {"labels": {"app": "db"}}
    await scene.put(SERVICE_ENTRY, "db", hosts=[HOST], ports=[port], location="MESH_INTERNAL",
                    resolution="STATIC", workloadSelector=selector)  # fmt: skip
    for name, version, app in (("first", "v1", scene.one), ("second", "v2", scene.two)):
        await scene.put(WORKLOAD_ENTRY, name, address=own_address(), network="away",
                        labels={"app": "db", "version": version}, ports={"http": app.port})  # fmt: skip
    await until(partial(scene.only, "one", "two"), "both serve")
    traffic = {
        "loadBalancer": {"localityLbSetting": {"failoverPriority": ["version"]}},
        "outlierDetection": {
            "consecutive5xxErrors": 1,
            "interval": "1s",
            "maxEjectionPercent": 100,
        },
    }
    await scene.put(DESTINATION_RULE, "db", host=HOST, trafficPolicy=traffic)
    await until(partial(scene.only, "two"), "that of the caller's version")
    scene.two.status = 503
    await until(partial(scene.only, "one"), "the other takes over")

    async def said() -> str:
        found = await scene.client.get(WORKLOAD_ENTRY, scene.namespace, "second")
        conditions = (found.get("status") or {}).get("conditions") or [{}]
        return str(conditions[0].get("message", ""))

    assert "spec.network: is not acted upon" in await until(said, "what is not acted upon is said")
    await scene.client.delete(DESTINATION_RULE, scene.namespace, "db")
    await scene.client.delete(WORKLOAD_ENTRY, scene.namespace, "first")
    scene.two.status = 200
    await until(partial(scene.only, "two"), "one that is gone gets nothing")


@contextlib.asynccontextmanager
async def listener() -> AsyncIterator[int]:
    """A port where what comes is sent back."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(100):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "0.0.0.0", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def closes(port: int, *, idle: bool) -> bool:
    """Whether a connection is closed that nobody closes, within three seconds; one that is not `idle` is talked on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for _ in range(30):
            if not idle:
                writer.write(b"x")
            await asyncio.sleep(0.1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    if not await reader.read(100):
                        return True
    except ConnectionError:
        return True
    finally:
        writer.close()
    return False


async def serves(port: int) -> bool:
    """Whether what is sent comes back."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.write(b"x")
    try:
        async with asyncio.timeout(5):
            return await reader.read(1) == b"x"
    except (TimeoutError, ConnectionError):
        return False
    finally:
        writer.close()


async def test_connections_last_as_their_destination_s_rule_says(scene: Scene) -> None:
    async with listener() as behind:
        port = {"number": 7000, "name": "tcp", "protocol": "TCP"}
        endpoint = {"address": own_address(), "ports": {"tcp": behind}}
        await scene.put(SERVICE_ENTRY, "bytes", hosts=[BYTES], ports=[port], resolution="STATIC",
                        endpoints=[endpoint])  # fmt: skip
        tcp = [{"route": [{"destination": {"host": BYTES}}]}]
        await scene.put(VIRTUAL_SERVICE, "tcp", hosts=["*"], gateways=["edge"], tcp=tcp)
        await until(partial(serves, scene.tcp), "connections are passed on")
        assert not await closes(scene.tcp, idle=True)

        pool: dict[str, Any] = {"connectionPool": {"tcp": {"idleTimeout": "0.5s"}}}
        await scene.put(DESTINATION_RULE, "bytes", host=BYTES, trafficPolicy=pool)
        await until(partial(closes, scene.tcp, idle=True), "an idle one is closed")
        assert not await closes(scene.tcp, idle=False)

        pool["connectionPool"]["tcp"] = {"idleTimeout": "0s", "maxConnectionDuration": "1s"}
        patch = {"spec": {"trafficPolicy": pool}}
        await scene.client.patch(DESTINATION_RULE, scene.namespace, "bytes", patch)
        await until(partial(closes, scene.tcp, idle=False), "an old one is closed")
