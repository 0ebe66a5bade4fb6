"""What leaves a pod for hosts that Kubernetes knows nothing of, on a real sidecar."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rollout.api.kinds import ENDPOINT_SLICE, SERVICE, SERVICE_ENTRY, VIRTUAL_SERVICE
from rollout.kube.client import Client
from rollout.kube.objects import Object
from rollout.mesh.controlplane import ControlPlane
from tests.certificates import Authority, server_context
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh import pod as pods
from tests.integration.mesh.support import (
    Backend,
    backend,
    control_plane,
    create,
    endpoint_slice,
    own_address,
)
from tests.waiting import until

pytestmark = pods.requires

SOMEWHERE = "192.0.2.77"
"""An address at which nobody answers: only what the mesh does with a name or a port leads anywhere."""


@dataclass(slots=True)
class Scene:
    client: Client
    namespace: str
    plane: ControlPlane
    pod: pods.Pod
    one: Backend
    two: Backend

    async def declare(self, name: str, **spec: Any) -> None:
        await create(
            self.client, SERVICE_ENTRY, self.namespace, {"metadata": {"name": name}, "spec": spec}
        )

    async def says(self, answer: str, *arguments: str) -> bool:
        """Whether a request by the application is answered so."""
        status, body = await self.pod.curl(*arguments)
        return status == 200 and answer in body


@pytest.fixture
async def scene(
    apiserver: ApiServer,
    client: Client,
    namespace: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> AsyncIterator[Scene]:
    await install_crds(client)
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend("one"))
        two = await stack.enter_async_context(backend("two"))
        plane = await stack.enter_async_context(
            control_plane(
                apiserver.kubeconfig, host="0.0.0.0", allow_any=getattr(request, "param", True)
            )
        )
        pod = await stack.enter_async_context(
            pods.pod(
                tmp_path, plane.port, namespace=namespace, name="app-main", labels={"app": "app"}
            )
        )
        yield Scene(client, namespace, plane, pod, one, two)


def port(number: int, name: str, protocol: str) -> Object:
    return {"number": number, "name": name, "protocol": protocol}


async def test_declared_hosts_are_reached_by_name_address_and_what_tls_asks_for(
    scene: Scene,
) -> None:
    async with await _tls_server("tls.example.com") as tls:
        tls_port = tls.sockets[0].getsockname()[1]
        own = own_address()
        await scene.declare("dns", hosts=["users.example.com"], resolution="DNS", ports=[port(80, "http", "HTTP")],
                            endpoints=[{"address": "localhost", "ports": {"http": 8080}}])  # fmt: skip
        await scene.declare("static", hosts=["fixed.example.com"], resolution="STATIC", ports=[port(80, "http", "HTTP")],
                            endpoints=[{"address": own, "ports": {"http": scene.one.port}}])  # fmt: skip
        await scene.declare("bytes", hosts=["bytes.example.com"], resolution="STATIC", addresses=["192.0.2.50"],
                            ports=[port(7000, "tcp", "TCP")], endpoints=[{"address": own, "ports": {"tcp": scene.two.port}}])  # fmt: skip
        await scene.declare("tls", hosts=["tls.example.com"], resolution="STATIC", ports=[port(9443, "tls", "TLS")],
                            endpoints=[{"address": own, "ports": {"tls": tls_port}}])  # fmt: skip
        await scene.declare(
            "as-sent",
            hosts=["*.sent.example.com"],
            resolution="NONE",
            ports=[port(scene.one.port, "http", "HTTP")],
        )
        asked = {
            "app": ("-H", "Host: users.example.com", f"http://{SOMEWHERE}/"),
            "one": ("-H", "Host: fixed.example.com", f"http://{SOMEWHERE}/"),
            "two": ("http://192.0.2.50:7000/",),
            "tls": (
                "-k",
                "--resolve",
                f"tls.example.com:9443:{SOMEWHERE}",
                "https://tls.example.com:9443/",
            ),
        }
        for answer, arguments in asked.items():
            await until(partial(scene.says, answer, *arguments), answer)
        as_sent = ("-H", "Host: a.sent.example.com", f"http://{scene.pod.host}:{scene.one.port}/")
        await until(partial(scene.says, "one", *as_sent), "where it was sent")


async def test_connections_within_the_mesh_follow_tcp_rules(scene: Scene) -> None:
    for app in (scene.one, scene.two):
        ports = [{"name": "tcp", "port": 5432, "targetPort": app.port}]
        await create(
            scene.client,
            SERVICE,
            scene.namespace,
            {"metadata": {"name": app.name}, "spec": {"ports": ports}},
        )
        piece = endpoint_slice(app.name, app.port)
        piece["ports"][0]["name"] = "tcp"
        await create(scene.client, ENDPOINT_SLICE, scene.namespace, piece)
    (address,) = (await scene.client.get(SERVICE, scene.namespace, "one"))["spec"]["clusterIPs"]
    url = f"http://{address}:5432/"
    await until(partial(scene.says, "one", url), "the service itself")
    rule = {
        "match": [{"sourceLabels": {"app": "app"}}],
        "route": [{"destination": {"host": "two"}}],
    }
    routes = {"metadata": {"name": "one"}, "spec": {"hosts": ["one"], "tcp": [rule]}}
    await create(scene.client, VIRTUAL_SERVICE, scene.namespace, routes)
    await until(partial(scene.says, "two", url), "the rule applies")


@pytest.mark.parametrize("scene", [False], indirect=True, ids=["registry only"])
async def test_nothing_leaves_for_what_nobody_declared(scene: Scene) -> None:
    unknown = ("-H", "Host: unknown.example.com", f"http://{scene.pod.host}:{scene.one.port}/")
    status, _ = await scene.pod.curl(*unknown)
    assert status in {0, 502}
    await scene.declare("users", hosts=["declared.example.com"], resolution="STATIC",
                        ports=[port(scene.one.port, "http", "HTTP")],
                        endpoints=[{"address": own_address(), "ports": {"http": scene.one.port}}])  # fmt: skip
    known = ("-H", "Host: declared.example.com", f"http://{SOMEWHERE}:{scene.one.port}/")
    await until(partial(scene.says, "one", *known), "the declared host")
    assert (await scene.pod.curl(*unknown))[0] == 502
    assert scene.one.hosts["unknown.example.com"] == 0


async def _tls_server(host: str) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\ntls")
        await writer.drain()
        writer.close()

    context: ssl.SSLContext = server_context(*Authority().issue(host))
    return await asyncio.start_server(answer, "0.0.0.0", 0, ssl=context)
