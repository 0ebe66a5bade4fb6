"""What of the mesh proxies are told, on real proxies: by Sidecars, by namespaces' labels; in both variants of ADS."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.json_format import ParseDict

from rollout.api.kinds import NAMESPACE, SERVICE, SIDECAR, VIRTUAL_SERVICE
from rollout.cli.proxy import comparing, dump
from rollout.kube.client import Client
from rollout.mesh.controlplane import ControlPlane
from rollout.mesh.metrics import short
from rollout.mesh.translate import names
from rollout.mesh.translate.resource import MESSAGES
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh import pod as pods
from tests.integration.mesh.support import (
    Backend,
    backend,
    control_plane,
    create,
    serve_backend,
    service,
)
from tests.waiting import until


@dataclass(slots=True)
class Scene:
    client: Client
    namespace: str
    plane: ControlPlane
    pod: pods.Pod
    one: Backend
    two: Backend

    async def call(self, name: str) -> tuple[int, str]:
        (address,) = (await self.client.get(SERVICE, self.namespace, name))["spec"]["clusterIPs"]
        status, body = await self.pod.curl("-H", f"Host: {name}", f"http://{address}/")
        return status, json.loads(body)["name"] if status == 200 else ""

    async def answers(self, name: str, wanted: int) -> bool:
        return (await self.call(name))[0] == wanted

    async def counted(self) -> int:
        """All requests, as the proxy's metrics count them."""
        _, page = await self.pod.curl(
            "http://127.0.0.1:15000/stats/prometheus?filter=requests_total"
        )
        lines = [line for line in page.splitlines() if "istio_requests_total{" in line]
        return sum(int(line.rsplit(" ", 1)[1]) for line in lines)

    async def clusters(self) -> set[str]:
        """The services of its namespace that the real proxy has clusters for."""
        _, page = await self.pod.curl("http://127.0.0.1:15000/clusters")
        found = (line.split("::", 1)[0].split("|") for line in page.splitlines())
        hosts = (each[3].split(".") for each in found if each[0] == "outbound")
        return {host[0] for host in hosts if host[1] == self.namespace}


@pytest.fixture(params=[False], ids=["all at once"])
async def scene(
    request: pytest.FixtureRequest,
    apiserver: ApiServer,
    client: Client,
    namespace: str,
    tmp_path: Path,
) -> AsyncIterator[Scene]:
    await install_crds(client)
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(backend(name)) for name in ("one", "two")]
        for each in (one, two):
            await serve_backend(client, namespace, each)
        plane = await stack.enter_async_context(
            control_plane(apiserver.kubeconfig, host="0.0.0.0", on_demand=request.param)
        )
        labels = {"app": "app"}
        pod = await stack.enter_async_context(
            pods.pod(tmp_path, plane.port, namespace=namespace, name="app-main", labels=labels)
        )
        yield Scene(client, namespace, plane, pod, one, two)


@pods.requires
async def test_a_sidecar_limits_a_real_proxy_and_lets_it_go_again(scene: Scene) -> None:
    for name in ("one", "two"):
        await until(partial(scene.answers, name, 200), f"{name} answers")
    spec: dict[str, Any] = {
        "egress": [{"hosts": [f"./one.{scene.namespace}.svc.cluster.local"]}],
        "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
    }
    limited = {"metadata": {"name": "default"}, "spec": spec}
    await create(scene.client, SIDECAR, scene.namespace, limited)
    await until(partial(scene.answers, "two", 502), "what is not told goes nowhere")
    assert await scene.call("one") == (200, "one")
    await until(partial(_equals, scene.clusters, {"one"}), "no cluster is left of anything else")
    rule = {"route": [{"destination": {"host": "two"}}]}
    routes = {"metadata": {"name": "one"}, "spec": {"hosts": ["one"], "http": [rule]}}
    await create(scene.client, VIRTUAL_SERVICE, scene.namespace, routes)

    async def led() -> bool:
        return await scene.call("one") == (200, "two")

    await until(led, "a route that is told brings what it leads to")
    assert await scene.clusters() == {"one", "two"}
    _, page = await scene.pod.curl("http://127.0.0.1:15000/config_dump")
    host = f"one.{scene.namespace}.svc.cluster.local"
    shown = {row[1]: row[-1] for row in dump.routes(json.loads(page)).rows}
    assert f"80/{host}" in shown
    assert "two" in shown[f"80/{host}"]
    assert not any("two" in name for name in shown)

    async def compared(*missing: str) -> list[tuple[str, str, str]]:
        [connection] = scene.plane.hub.clients
        wanted = {short(kind): versions for kind, versions in connection.stream.wanted.items()}
        _, page = await scene.pod.curl("http://127.0.0.1:15000/config_dump")
        has = comparing.versions(json.loads(page))
        for name in missing:
            del has["vhds"][name]
        return list(comparing.differences(wanted, has))

    async def same() -> bool:
        return not await compared()

    await until(same, "the proxy has all that it should have")
    assert await compared(f"80/{host}") == [("vhds", f"80/{host}", "missing")]
    await scene.client.delete(SIDECAR, scene.namespace, "default")
    await until(partial(scene.answers, "two", 200), "everything is told again")


@pods.requires
async def test_no_request_is_lost_while_virtual_hosts_and_ports_come_and_go(scene: Scene) -> None:
    await until(partial(scene.answers, "one", 200), "it answers")
    (address,) = (await scene.client.get(SERVICE, scene.namespace, "one"))["spec"]["clusterIPs"]
    over = asyncio.Event()
    statuses: Counter[int] = Counter()

    async def ask() -> None:
        while not over.is_set():
            status, _ = await scene.pod.curl("-H", "Host: one", f"http://{address}/")
            statuses[status] += 1

    asking = [asyncio.ensure_future(ask()) for _ in range(2)]
    rule = {"route": [{"destination": {"host": "two"}}]}
    routes = {"metadata": {"name": "one"}, "spec": {"hosts": ["one"], "http": [rule]}}
    for number in range(15):
        await create(scene.client, VIRTUAL_SERVICE, scene.namespace, routes)
        await create(scene.client, SERVICE, scene.namespace, service("passing", 9000 + number))
        await asyncio.sleep(0.1)
        await scene.client.delete(VIRTUAL_SERVICE, scene.namespace, "one")
        await scene.client.delete(SERVICE, scene.namespace, "passing")
        await asyncio.sleep(0.1)
    over.set()
    await asyncio.gather(*asking)
    assert set(statuses) == {200}
    assert statuses[200] > 50
    assert scene.one.hosts.total() > 0 < scene.two.hosts.total()


on_demand = pytest.mark.parametrize("scene", [True], indirect=True, ids=["on demand"])


@pods.requires
@on_demand
async def test_clusters_come_with_the_first_request_which_is_not_lost(scene: Scene) -> None:
    assert await scene.clusters() == set()
    (address,) = (await scene.client.get(SERVICE, scene.namespace, "one"))["spec"]["clusterIPs"]
    call = partial(scene.pod.curl, "-H", "Host: one", f"http://{address}/")
    found = await asyncio.gather(*(call() for _ in range(5)))
    assert [status for status, _ in found] == [200] * 5
    assert scene.one.hosts.total() == 5
    assert await scene.clusters() == {"one"}
    assert await scene.counted() == 5
    (address,) = (await scene.client.get(SERVICE, scene.namespace, "two"))["spec"]["clusterIPs"]
    body = "x" * 200_000
    (scene.pod.directory / "body").write_text(body)
    posted = await scene.pod.curl(
        "-H", "Host: two", "--data-binary", f"@{scene.pod.directory / 'body'}", f"http://{address}/"
    )
    assert posted[0] == 200
    assert (scene.two.hosts.total(), scene.two.received) == (1, len(body))
    assert await scene.clusters() == {"one", "two"}
    await scene.client.delete(SERVICE, scene.namespace, "two")
    await until(partial(_equals, scene.clusters, {"one"}), "what is gone is given up")


@pods.requires
@on_demand
async def test_a_sidecar_or_a_copy_of_requests_needs_no_first_request(scene: Scene) -> None:
    rule = {"route": [{"destination": {"host": "one"}}], "mirror": {"host": "two"}}
    routes = {"metadata": {"name": "one"}, "spec": {"hosts": ["one"], "http": [rule]}}
    await create(scene.client, VIRTUAL_SERVICE, scene.namespace, routes)
    await until(partial(_equals, scene.clusters, {"two"}), "copies cannot wait")
    spec: dict[str, Any] = {"egress": [{"hosts": [f"./one.{scene.namespace}.svc.cluster.local"]}]}
    limited = {"metadata": {"name": "default"}, "spec": spec}
    await create(scene.client, SIDECAR, scene.namespace, limited)
    await until(partial(_equals, scene.clusters, {"one", "two"}), "what it names is told")


async def _equals(ask: Any, wanted: set[str]) -> bool:
    return bool(await ask() == wanted)


async def test_namespaces_come_and_go_with_their_labels(
    apiserver: ApiServer, client: Client, namespace: str
) -> None:
    await install_crds(client)
    await create(client, SERVICE, namespace, service("one"))
    rule = {"route": [{"destination": {"host": "one"}}]}
    routes = {"metadata": {"name": "one"}, "spec": {"hosts": ["one"], "http": [rule]}}
    await create(client, VIRTUAL_SERVICE, namespace, routes)
    selectors = ({"matchLabels": {"istio-discovery": "enabled"}},)
    host = f"one.{namespace}.svc.cluster.local"
    async with control_plane(apiserver.kubeconfig, discovery_selectors=selectors) as plane:
        tables = plane.registry.tables
        assert host not in plane.registry.services
        for label, seen in (("enabled", True), (None, False), ("enabled", True)):
            change = {"metadata": {"labels": {"istio-discovery": label}}}
            await client.patch(NAMESPACE, "", namespace, change)
            await until(partial(_seen, plane, host, seen), f"seen: {seen}")
            assert any(ref.namespace == namespace for ref in tables) is seen
        assert not any(s.namespace == "default" for s in plane.registry.services.values())


def _seen(plane: ControlPlane, host: str, wanted: bool) -> bool:
    return (host in plane.registry.services) is wanted


async def test_an_old_client_is_served_the_state_of_the_world(
    apiserver: ApiServer, client: Client, namespace: str
) -> None:
    await install_crds(client)
    await create(client, SERVICE, namespace, service("one"))
    cluster = f"outbound|80||one.{namespace}.svc.cluster.local"
    async with (
        control_plane(apiserver.kubeconfig) as plane,
        grpc.aio.insecure_channel(f"127.0.0.1:{plane.port}") as channel,
    ):
        call: Any = channel.stream_stream(
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
            request_serializer=discovery_pb2.DiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DiscoveryResponse.FromString,
        )()
        first = discovery_pb2.DiscoveryRequest(type_url=names.CLUSTER)
        node = {"id": f"sidecar~10.0.0.1~old-1.{namespace}~{namespace}.svc.cluster.local"}
        ParseDict(node, first.node)
        await call.write(first)
        state = await call.read()
        assert cluster in _names(state)
        await call.write(_taken(state))
        await call.write(discovery_pb2.DiscoveryRequest(type_url=names.ENDPOINTS, resource_names=[cluster]))  # fmt: skip
        endpoints = await call.read()
        assert endpoints.type_url == names.ENDPOINTS
        assert len(endpoints.resources) == 1
        await call.write(_taken(endpoints, cluster))
        await client.delete(SERVICE, namespace, "one")
        state = await call.read()
        assert state.type_url == names.CLUSTER
        assert cluster not in _names(state)
        assert names.PASSTHROUGH in _names(state)
        call.cancel()


def _names(response: Any) -> set[str]:
    message = MESSAGES[response.type_url]
    return {str(message.FromString(each.value).name) for each in response.resources}


def _taken(response: Any, *wanted: str) -> Any:
    return discovery_pb2.DiscoveryRequest(
        type_url=response.type_url,
        resource_names=wanted,
        version_info=response.version_info,
        response_nonce=response.nonce,
    )
