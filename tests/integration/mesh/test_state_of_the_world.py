"""Real Envoys that ask for the state of the world: all that they are told, and what becomes of what they refuse."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from rollout.api.kinds import DESTINATION_RULE, ENDPOINT_SLICE, SERVICE, VIRTUAL_SERVICE
from rollout.kube.client import Client
from rollout.kube.errors import NotFound
from rollout.mesh.agent.settings import ASKS, TAKES_HOSTS
from rollout.mesh.controlplane import ControlPlane
from rollout.mesh.translate import clusters, names
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh import pod as pods
from tests.integration.mesh.support import (
    Backend,
    Envoy,
    backend,
    control_plane,
    create,
    envoy,
    free_port,
    open_gateway,
    serve_backend,
    steady,
)
from tests.waiting import until

HOST = "shop.example.com"


def of_the_world(document: dict[str, Any]) -> None:
    """A bootstrap as of clients that know no other variant."""
    document["dynamic_resources"]["ads_config"]["api_type"] = "GRPC"
    for only_by_delta in (ASKS, TAKES_HOSTS):
        del document["node"]["metadata"][only_by_delta]


@dataclass(slots=True)
class Scene:
    client: Client
    namespace: str
    kubeconfig: Path
    plane: ControlPlane
    stack: AsyncExitStack
    planes: AsyncExitStack
    proxy: Envoy
    port: int
    one: Backend
    two: Backend

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def answer(self) -> str:
        """Who answers, or the status."""
        async with ClientSession() as session, session.get(self.url, headers={"Host": HOST}) as got:
            return str((await got.json())["name"]) if got.status == 200 else str(got.status)

    async def until_answered(self, wanted: str) -> None:
        async def there() -> bool:
            return await self.answer() == wanted

        await until(there, f"{wanted} answers")

    async def route_to(self, name: str) -> None:
        found = await self.client.get(VIRTUAL_SERVICE, self.namespace, "shop")
        await self.client.replace(VIRTUAL_SERVICE, {**found, "spec": routes(name)})

    def cluster(self, name: str) -> str:
        return names.outbound(f"{name}.{self.namespace}.svc.cluster.local", 80)

    async def clusters(self) -> set[str]:
        """Those that the proxy has."""
        page = json.loads(await self.proxy.get("/clusters?format=json"))
        return {each["name"] for each in page["cluster_statuses"]}

    async def removed(self) -> int:
        """How many clusters have ever been taken away from it."""
        page = await self.proxy.get("/stats?filter=cluster_manager.cluster_removed")
        return int(page.rsplit(" ", 1)[1])

    def refused(self) -> set[str]:
        """What it refuses, as the control plane knows."""
        return {each.name for each in self.plane.hub.rejections()}

    async def restart(self) -> None:
        """The control plane goes, and another that knows nothing of its proxies comes in its place."""
        port = self.plane.port
        await self.planes.aclose()
        self.plane = await self.planes.enter_async_context(control_plane(self.kubeconfig, port))
        await until(lambda: self.plane.hub.clients, "the proxy is back")

    async def synced(self) -> None:
        def every() -> bool:
            clients = self.plane.hub.clients
            return bool(clients) and all(each.stream.synced for each in clients)

        await until(every, "it has all that it takes")


def routes(*backends: str) -> dict[str, Any]:
    shares = [{"destination": {"host": name}} for name in backends]
    return {"hosts": [HOST], "gateways": ["edge"], "http": [{"route": shares}]}


@pytest.fixture
async def scene(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> AsyncIterator[Scene]:
    await install_crds(client)
    port = free_port()
    async with AsyncExitStack() as stack:
        one, two = [await stack.enter_async_context(backend(name)) for name in ("one", "two")]
        for each in (one, two):
            await serve_backend(client, namespace, each)
        await open_gateway(client, namespace, port)
        shop = {"metadata": {"name": "shop"}, "spec": routes("one")}
        await create(client, VIRTUAL_SERVICE, namespace, shop)
        planes = await stack.enter_async_context(AsyncExitStack())
        plane = await planes.enter_async_context(control_plane(apiserver.kubeconfig))
        proxy = await stack.enter_async_context(
            envoy(tmp_path, plane.port, namespace=namespace, changed=of_the_world)
        )
        found = Scene(
            client, namespace, apiserver.kubeconfig, plane, stack, planes, proxy, port, one, two
        )
        await found.until_answered("one")
        yield found


async def test_a_gateway_follows_what_changes(scene: Scene) -> None:
    client, namespace = scene.client, scene.namespace
    assert {scene.cluster("one"), scene.cluster("two")} <= await scene.clusters()
    await scene.route_to("two")
    await scene.until_answered("two")

    async with backend("three") as three:
        piece = await client.get(ENDPOINT_SLICE, namespace, "two-1")
        moved = [{**piece["ports"][0], "port": three.port}]
        await client.replace(ENDPOINT_SLICE, {**piece, "ports": moved})
        await scene.until_answered("three")

    await client.delete(SERVICE, namespace, "one")
    await client.delete(ENDPOINT_SLICE, namespace, "one-1")

    async def gone() -> bool:
        return scene.cluster("one") not in await scene.clusters()

    await until(gone, "a cluster that is gone is taken away")
    await client.delete(VIRTUAL_SERVICE, namespace, "shop")
    await scene.until_answered("404")
    await scene.synced()


async def test_it_comes_back_to_another_control_plane_and_loses_nothing(scene: Scene) -> None:
    async with steady(scene.url, HOST) as load:
        await scene.restart()
        await scene.synced()
        before = load.total
        await until(lambda: load.total > before + 50, "requests go on")
    assert not load.errors
    assert set(load.statuses) == {200}
    await scene.route_to("two")
    await scene.until_answered("two")


def spoilt(scene: Scene, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """From now on the cluster of `two` is one that no Envoy takes."""
    made = clusters.bare_cluster

    def bare_cluster(name: str, *rest: Any) -> Any:
        cluster = made(name, *rest)
        if name == scene.cluster("two"):
            if how == "meaning":
                cluster.type = cluster.ORIGINAL_DST
            else:
                cluster.outlier_detection.max_ejection_percent.value = 300
        return cluster

    monkeypatch.setattr(clusters, "bare_cluster", bare_cluster)


async def make_again(scene: Scene, seconds: int) -> None:
    """A rule by which the cluster of `two` is made anew."""
    pool = {"tcp": {"connectTimeout": f"{seconds}s"}}
    spec = {"host": "two", "trafficPolicy": {"connectionPool": pool}}
    with suppress(NotFound):
        await scene.client.delete(DESTINATION_RULE, scene.namespace, "two")
    rule = {"metadata": {"name": "two"}, "spec": spec}
    await create(scene.client, DESTINATION_RULE, scene.namespace, rule)


@pytest.mark.parametrize("how", ["meaning", "form"])
@pytest.mark.parametrize("knowing", ["on the same stream", "after a restart"])
async def test_one_refused_cluster_holds_up_no_other_and_takes_none_away(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, how: str, knowing: str
) -> None:
    await scene.synced()
    before = await scene.removed()
    # Of what is malformed a whole state cannot say that the older one is to be kept, which is not known after a restart.
    lost = before + (how == "form" and knowing == "after a restart")
    async with steady(scene.url, HOST) as load:
        spoilt(scene, monkeypatch, how)
        if knowing == "after a restart":
            await scene.restart()
        else:
            await make_again(scene, 8)
        await until(scene.refused, "the proxy refuses")
        assert scene.refused() == {scene.cluster("two")}
        await scene.synced()

        async with backend("three") as three:
            await serve_backend(scene.client, scene.namespace, three)

            async def there() -> bool:
                return scene.cluster("three") in await scene.clusters()

            await until(there, "what comes after it is taken")
            await scene.synced()
            assert scene.refused() == {scene.cluster("two")}
            assert await scene.removed() == lost
            monkeypatch.undo()
            await make_again(scene, 9)
            await until(lambda: not scene.refused(), "its correction is taken")
        await scene.synced()
        assert await scene.removed() == lost
    assert not load.errors
    assert set(load.statuses) == {200}
    await scene.route_to("two")
    await scene.until_answered("two")


@pods.requires
async def test_a_sidecar_follows_what_changes(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> None:
    await install_crds(client)
    async with (
        backend("one") as one,
        backend("two") as two,
        control_plane(apiserver.kubeconfig, host="0.0.0.0") as plane,
    ):
        for each in (one, two):
            await serve_backend(client, namespace, each)
        async with pods.pod(
            tmp_path,
            plane.port,
            namespace=namespace,
            name="app-main",
            labels={"app": "app"},
            changed=of_the_world,
        ) as pod:
            (address,) = (await client.get(SERVICE, namespace, "one"))["spec"]["clusterIPs"]

            async def answers(wanted: str) -> bool:
                status, body = await pod.curl("-H", "Host: one", f"http://{address}/")
                return (json.loads(body)["name"] if status == 200 else str(status)) == wanted

            await until(partial(answers, "one"), "it is synced from cold")
            rule = {"route": [{"destination": {"host": "two"}}]}
            led = {"metadata": {"name": "one"}, "spec": {"hosts": ["one"], "http": [rule]}}
            await create(client, VIRTUAL_SERVICE, namespace, led)
            await until(partial(answers, "two"), "a route changes")
            piece = await client.get(ENDPOINT_SLICE, namespace, "two-1")
            none = [{**piece["endpoints"][0], "conditions": {"ready": False}}]
            await client.replace(ENDPOINT_SLICE, {**piece, "endpoints": none})
            await until(partial(answers, "503"), "an endpoint goes")
            await client.delete(VIRTUAL_SERVICE, namespace, "one")
            await until(partial(answers, "one"), "the route is gone")
            [connection] = plane.hub.clients
            await until(lambda: connection.stream.synced, "it has all that it should have")
