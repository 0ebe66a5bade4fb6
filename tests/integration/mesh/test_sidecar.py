"""A sidecar's Envoy in a network namespace of its own, intercepting what a real pod's would."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from aiohttp import ClientSession

from rollout.api.kinds import ENDPOINT_SLICE, SERVICE, VIRTUAL_SERVICE
from rollout.kube.client import Client
from rollout.mesh.controlplane import ControlPlane
from rollout.mesh.translate.callers import PEER_HEADER
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh import pod as pods
from tests.integration.mesh.support import (
    Backend,
    backend,
    control_plane,
    create,
    endpoint_slice,
    serve_backend,
    service,
)
from tests.waiting import until

pytestmark = pods.requires


@dataclass(slots=True)
class Scene:
    client: Client
    namespace: str
    plane: ControlPlane
    pod: pods.Pod
    one: Backend
    two: Backend

    async def metrics(self) -> list[dict[str, str]]:
        """The labels of every series of `istio_requests_total`."""
        _, page = await self.pod.curl(
            "http://127.0.0.1:15000/stats/prometheus?filter=requests_total"
        )
        lines = [line for line in page.splitlines() if "istio_requests_total{" in line]
        return [dict(re.findall(r'(\w+)="([^"]*)"', line)) for line in lines]

    async def series(self, reporter: str, **wanted: str) -> dict[str, str]:
        """Waits for a series with these labels."""

        async def found() -> dict[str, str] | None:
            return next(
                (
                    each
                    for each in await self.metrics()
                    if each["reporter"] == reporter and wanted.items() <= each.items()
                ),
                None,
            )

        series: dict[str, str] = await until(found, f"a series of {reporter} with {wanted}")
        return series


@pytest.fixture
async def scene(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> AsyncIterator[Scene]:
    await install_crds(client)
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend("one"))
        two = await stack.enter_async_context(backend("two"))
        await create(client, SERVICE, namespace, service("app", 80, 8080, app="app"))
        for each in (one, two):
            await serve_backend(client, namespace, each)
        plane = await stack.enter_async_context(control_plane(apiserver.kubeconfig, host="0.0.0.0"))
        pod = await stack.enter_async_context(
            pods.pod(tmp_path, plane.port, namespace=namespace, name="app-main",
                     labels={"app": "app", "version": "v7"})
        )  # fmt: skip
        yield Scene(client, namespace, plane, pod, one, two)


async def test_what_comes_in_is_counted_and_the_callers_name_taken_off(scene: Scene) -> None:
    peer = "gateway;edge;gateway;v1;gateway;v1"
    async with ClientSession() as session:
        for headers in ({}, {PEER_HEADER: peer}):
            async with session.get(f"http://{scene.pod.address}:8080/", headers=headers) as answer:
                assert answer.status == 200
                assert PEER_HEADER not in {
                    name.lower() for name in (await answer.json())["headers"]
                }
        async with session.get(f"http://{scene.pod.address}:8080/fail") as answer:
            assert answer.status == 500
    found = await scene.series("destination", source_workload="gateway")
    host = f"app.{scene.namespace}.svc.cluster.local"
    expected = {
        "source_workload_namespace": "edge",
        "source_version": "v1",
        "destination_workload": "app-main",
        "destination_workload_namespace": scene.namespace,
        "destination_app": "app",
        "destination_version": "v7",
        "destination_service": host,
        "destination_service_name": "app",
        "response_code": "200",
        "request_protocol": "http",
        "connection_security_policy": "none",
    }
    assert {key: found[key] for key in expected} == expected
    await scene.series("destination", source_workload="unknown", response_code="500")


async def test_what_leaves_follows_the_routes(scene: Scene) -> None:
    (address,) = (await scene.client.get(SERVICE, scene.namespace, "one"))["spec"]["clusterIPs"]
    url = f"http://{address}/"
    for host in ("one", f"one.{scene.namespace}", f"one.{scene.namespace}.svc.cluster.local:80"):
        status, body = await scene.pod.curl("-H", f"Host: {host}", url)
        assert (status, json.loads(body)["name"]) == (200, "one"), host
    found = await scene.series("source", destination_service_name="one")
    assert found["source_workload"] == "app-main"
    rule = {"route": [{"destination": {"host": "two"}}], "timeout": "3s"}
    routes = {"metadata": {"name": "one"}, "spec": {"hosts": ["one"], "http": [rule]}}
    await create(scene.client, VIRTUAL_SERVICE, scene.namespace, routes)
    await until(partial(_answered_by, scene, url, "two"), "the route applies")


async def _answered_by(scene: Scene, url: str, name: str) -> bool:
    status, body = await scene.pod.curl("-H", "Host: one", url)
    return status == 200 and json.loads(body)["name"] == name


async def test_unknown_hosts_pass_through_without_the_callers_name(scene: Scene) -> None:
    port = scene.one.port
    # Another service has this port: the listener takes it, the route lets it pass.
    await create(scene.client, SERVICE, scene.namespace, service("other", port))
    ports = scene.plane.registry.routed_ports
    await until(lambda: port in ports(), "the port is routed")
    url = f"http://{scene.pod.host}:{port}/"

    async def passes() -> bool:
        status, _ = await scene.pod.curl(url)
        return status == 200 and "X-Request-Id" in {h.title() for h in scene.one.headers}

    await until(passes, "it passes through the new listener")
    assert PEER_HEADER not in {name.lower() for name in scene.one.headers}


async def test_a_pod_calls_itself_through_its_service(scene: Scene) -> None:
    (address,) = (await scene.client.get(SERVICE, scene.namespace, "app"))["spec"]["clusterIPs"]
    own = endpoint_slice("app", 8080)
    own["endpoints"] = [{"addresses": [scene.pod.address], "conditions": {"ready": True}}]
    await create(scene.client, ENDPOINT_SLICE, scene.namespace, own)

    async def answers() -> bool:
        status, body = await scene.pod.curl("-H", "Host: app", f"http://{address}/")
        return status == 200 and json.loads(body)["name"] == "app"

    await until(answers, "it reaches itself")
    await scene.series("destination", source_workload="app-main", response_code="200")
