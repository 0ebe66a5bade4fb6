"""The control plane on a real API server, real Envoys on this machine, and backends that say what they were sent."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout, web

from rollout.api.kinds import ENDPOINT_SLICE, GATEWAY, SERVICE, Kind
from rollout.kube.client import Client
from rollout.kube.objects import Object
from rollout.mesh.agent import bootstrap
from rollout.mesh.agent.settings import Settings
from rollout.mesh.controlplane import ControlPlane, Options
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.routing import Match, MatchKind, StringMatch
from rollout.mesh.model.telemetry import MeshTelemetry
from tests.integration.envoy import envoy_binary
from tests.waiting import until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def own_address() -> str:
    """An address of this machine that is not loopback: the API server takes no loopback endpoints."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


@dataclass(slots=True)
class Backend:
    """An application that answers with its name, and remembers the hosts that it was asked for."""

    name: str
    port: int = 0
    hosts: Counter[str] = field(default_factory=Counter)
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    received: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.received += len(await request.read())
        self.hosts[request.host] += 1
        self.headers = dict(request.headers)
        status = int(request.query.get("status", self.status))
        await asyncio.sleep(float(request.query.get("delay", "0")))
        return web.json_response({"name": self.name, "path": request.path_qs}, status=status)


@asynccontextmanager
async def backend(name: str) -> AsyncIterator[Backend]:
    found = Backend(name)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    bound = socket.create_server(("0.0.0.0", 0))
    found.port = bound.getsockname()[1]
    await web.SockSite(runner, bound).start()
    try:
        yield found
    finally:
        await runner.cleanup()


@asynccontextmanager
async def control_plane(
    kubeconfig: Path,
    port: int = 0,
    host: str = "127.0.0.1",
    *,
    credential_namespaces: tuple[str, ...] = (),
    allow_any: bool = True,
    on_demand: bool = False,
    system_namespace: str = "rollout-system",
    telemetry: MeshTelemetry | None = None,
    discovery_selectors: tuple[Object, ...] = (),
) -> AsyncIterator[ControlPlane]:
    options = Options(
        injection=None,
        xds_address=f"{host}:{port}",
        health_port=0,
        debug_port=0,
        credential_namespaces=credential_namespaces,
        allow_any=allow_any,
        on_demand=on_demand,
        system_namespace=system_namespace,
        telemetry=telemetry,
        discovery_selectors=discovery_selectors,
    )
    async with (
        await Client.connect(str(kubeconfig)) as client,
        running(ControlPlane(client, options)) as plane,
    ):
        yield plane


@asynccontextmanager
async def running(plane: ControlPlane, *, secure: bool = False) -> AsyncIterator[ControlPlane]:
    """The control plane serves, over TLS or without, while the block lasts."""
    task = asyncio.ensure_future(plane.run())
    try:
        await until(
            lambda: (plane.secure_port if secure else plane.port) or task.done(),
            "the control plane serves",
        )
        yield plane
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@dataclass(slots=True)
class Envoy:
    """A running Envoy; `log` grows as it runs."""

    admin: int
    log: Path

    async def get(self, path: str) -> str:
        url = f"http://127.0.0.1:{self.admin}{path}"
        async with (
            ClientSession(timeout=ClientTimeout(total=5)) as session,
            session.get(url) as response,
        ):
            return await response.text()

    async def ready(self) -> bool:
        with suppress(OSError):
            return (await self.get("/ready")).strip() == "LIVE"
        return False


def settings(kind: str, namespace: str, name: str, xds_port: int) -> Settings:
    return Settings(
        proxy_type=kind,
        pod_name=f"{name}-1",
        namespace=namespace,
        instance_ips=("127.0.0.1",),
        service_account=name,
        discovery_address=f"127.0.0.1:{xds_port}",
        workload_name=name,
        stats_prefixes=("cluster.outbound|",),
    )


def document(
    kind: str,
    namespace: str,
    name: str,
    xds_port: int,
    labels: dict[str, str],
    admin: int,
    identity: Path | None = None,
) -> dict[str, Any]:
    """The agent's own bootstrap, without the listeners whose ports only a pod has to itself."""
    told = settings(kind, namespace, name, xds_port)
    if identity is not None:
        told = told._replace(secured=True, discovery_address=f"localhost:{xds_port}")
    found = bootstrap.render(told, labels)
    found["admin"]["address"]["socket_address"]["port_value"] = admin
    found["static_resources"]["listeners"] = []
    return found


@asynccontextmanager
async def envoy(
    directory: Path,
    plane_port: int,
    *,
    namespace: str,
    name: str = "istio-ingressgateway",
    kind: str = "router",
    labels: dict[str, str] | None = None,
    identity: Path | None = None,
    changed: Callable[[dict[str, Any]], None] = lambda _document: None,
) -> AsyncIterator[Envoy]:
    """A real Envoy with the agent's own bootstrap; with a directory of an identity, it runs there and comes by TLS.

    `changed` is given the bootstrap to change it before Envoy reads it.
    """
    admin = free_port()
    labels = labels or {"istio": f"gateway-{namespace}", "app": name}
    config = directory / f"{name}.json"
    told = document(kind, namespace, name, plane_port, labels, admin, identity)
    changed(told)
    config.write_text(json.dumps(told))
    log = directory / f"{name}.log"
    command = [str(envoy_binary()), "-c", str(config), "--concurrency", "1", "-l", "warning"]
    command += ["--disable-hot-restart", "--drain-time-s", "1"]
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=out, stderr=out, cwd=identity
        )
    found = Envoy(admin, log)
    try:
        await until(found.ready, f"Envoy is ready: {log.read_text()[-2000:]}")
        yield found
    finally:
        process.terminate()
        await process.wait()


@dataclass(slots=True)
class Load:
    """Requests sent one after another, counted by status and by who answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.statuses.values()) + len(self.errors)


async def ask(
    session: ClientSession, url: str, load: Load, headers: dict[str, str], times: int = 1
) -> Load:
    for _ in range(times):
        try:
            async with session.get(url, headers=headers) as response:
                load.statuses[response.status] += 1
                if response.content_type == "application/json":
                    load.names[(await response.json())["name"]] += 1
        except (OSError, TimeoutError) as error:
            load.errors.append(repr(error))
    return load


@asynccontextmanager
async def steady(url: str, host: str, workers: int = 3) -> AsyncIterator[Load]:
    """Requests without a pause for as long as the block lasts."""
    load, over = Load(), asyncio.Event()

    async def work(session: ClientSession) -> None:
        while not over.is_set():
            await ask(session, url, load, {"Host": host})
            await asyncio.sleep(0.002)

    async with ClientSession(timeout=ClientTimeout(total=10)) as session:
        tasks = [asyncio.ensure_future(work(session)) for _ in range(workers)]
        try:
            yield load
        finally:
            over.set()
            await asyncio.gather(*tasks)


def service(name: str, port: int = 80, target: int = 8080, **selector: str) -> Object:
    ports = [{"name": "http", "port": port, "targetPort": target, "protocol": "TCP"}]
    return {"metadata": {"name": name}, "spec": {"ports": ports, "selector": selector or None}}


def endpoint_slice(name: str, target: int, *, ready: bool = True) -> Object:
    return {
        "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": target, "protocol": "TCP"}],
        "endpoints": [{"addresses": [own_address()], "conditions": {"ready": ready}}],
    }


def in_namespace(obj: Object, namespace: str) -> Object:
    return {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}


async def create(client: Client, kind: Kind, namespace: str, obj: Object) -> Object:
    head = {"apiVersion": kind.api_version, "kind": kind.kind}
    return await client.create(kind, head | in_namespace(obj, namespace))


async def open_gateway(client: Client, namespace: str, port: int = 80) -> None:
    """A Gateway `edge` for every host on the test's own gateway; a port without a Service is the proxy's own."""
    server = {"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    spec = {"selector": {"istio": f"gateway-{namespace}"}, "servers": [server]}
    await create(client, GATEWAY, namespace, {"metadata": {"name": "edge"}, "spec": spec})


async def serve_backend(client: Client, namespace: str, app: Backend) -> None:
    """A Service without a selector and its one endpoint."""
    await create(client, SERVICE, namespace, service(app.name))
    await create(client, ENDPOINT_SLICE, namespace, endpoint_slice(app.name, app.port))


BAD = Match(uri=StringMatch(MatchKind.REGEX, "(?=no-lookahead-in-re2)"))
"""Reading it would have refused it: whoever uses it shows what becomes of what slips through."""


def spoil(plane: ControlPlane, table: Ref, culprit: Ref) -> None:
    """Puts a condition that Envoy refuses into a table, as if it came from an object."""
    good = plane.registry.tables[table]
    bad = replace(good.routes[0], matches=(BAD,))
    plane.registry.set_table(table, replace(good, routes=(bad, *good.routes)))
    plane.registry.note(culprit)
    plane.hub.push()
