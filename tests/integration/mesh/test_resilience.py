"""What DestinationRules limit and leave out, told by the real Envoy's own numbers."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientSession, TCPConnector

from rollout.api.kinds import DESTINATION_RULE, ENDPOINT_SLICE, SERVICE, VIRTUAL_SERVICE
from rollout.kube.client import Client
from rollout.kube.objects import Object
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh.support import (
    Backend,
    Envoy,
    backend,
    control_plane,
    create,
    endpoint_slice,
    envoy,
    free_port,
    open_gateway,
    service,
)
from tests.waiting import until

HOST = "shop.example.com"


@dataclass(slots=True)
class Scene:
    """A service of two endpoints behind a gateway, with a DestinationRule."""

    client: Client
    namespace: str
    proxy: Envoy
    url: str
    one: Backend
    two: Backend

    async def rule(self, policy: Object) -> None:
        """Sets the rule, and waits until Envoy has it."""
        before = await self.stat("cluster_manager.cluster_modified", whole=True)
        await self.client.patch(
            DESTINATION_RULE, self.namespace, "shop", {"spec": {"trafficPolicy": policy}}
        )
        await until(lambda: self._modified(before), "Envoy has the rule")
        await until(self._answers, "the cluster is warm")

    async def fault(self, fault: Object) -> None:
        """Sets the route's fault, and waits until Envoy makes it."""
        rules = [{"route": [{"destination": {"host": "shop"}}], "fault": fault}]
        await self.client.patch(VIRTUAL_SERVICE, self.namespace, "shop", {"spec": {"http": rules}})

    async def _modified(self, before: int) -> bool:
        return await self.stat("cluster_manager.cluster_modified", whole=True) > before

    async def _answers(self) -> bool:
        return (await self.ask(1))[200] == 1

    async def stat(self, name: str, *, whole: bool = False) -> int:
        """One of Envoy's counters: of the shop's cluster, or of the whole proxy."""
        cluster = f"cluster.outbound|80||shop.{self.namespace}.svc.cluster.local."
        wanted = name if whole else cluster + name
        text = await self.proxy.get("/stats?format=text")
        found = dict(line.rsplit(": ", 1) for line in text.splitlines() if ": " in line)
        return int(found[wanted])

    async def ask(
        self, times: int, at_once: int = 1, query: str = "", user: str = ""
    ) -> Counter[int]:
        found: Counter[int] = Counter()
        async with ClientSession(connector=TCPConnector(limit=0)) as session:

            async def once() -> None:
                for _ in range(times // at_once):
                    headers = {"Host": HOST, "x-user": user}
                    async with session.get(self.url + query, headers=headers) as response:
                        found[response.status] += 1

            await asyncio.gather(*(once() for _ in range(at_once)))
        return found


@pytest.fixture
async def scene(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> AsyncIterator[Scene]:
    await install_crds(client)
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend("one"))
        two = await stack.enter_async_context(backend("two"))
        port, label = free_port(), f"gateway-{namespace}"
        await create(client, SERVICE, namespace, service("ingress", 80, port, istio=label))
        await create(client, SERVICE, namespace, service("shop"))
        for index, app in enumerate((one, two)):
            piece = endpoint_slice("shop", app.port)
            piece["metadata"]["name"] = f"shop-{index}"
            await create(client, ENDPOINT_SLICE, namespace, piece)
        await open_gateway(client, namespace)
        rules = [{"route": [{"destination": {"host": "shop"}}], "retries": {"attempts": 0}}]
        routes = {"hosts": [HOST], "gateways": ["edge"], "http": rules}
        shop: Object = {"metadata": {"name": "shop"}}
        await create(client, VIRTUAL_SERVICE, namespace, shop | {"spec": routes})
        await create(client, DESTINATION_RULE, namespace, shop | {"spec": {"host": "shop"}})
        plane = await stack.enter_async_context(control_plane(apiserver.kubeconfig))
        proxy = await stack.enter_async_context(envoy(tmp_path, plane.port, namespace=namespace))
        found = Scene(client, namespace, proxy, f"http://127.0.0.1:{port}/", one, two)
        await until(found._answers, "the gateway answers")
        yield found


async def test_what_overflows_the_pool_fails_at_once(scene: Scene) -> None:
    await scene.rule({"connectionPool": {
        "tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 1}
    }})  # fmt: skip
    assert await scene.stat("upstream_rq_pending_overflow") == 0
    found = await scene.ask(8, at_once=8, query="?delay=0.5")
    assert set(found) == {200, 503}
    assert await scene.stat("upstream_rq_pending_overflow") == found[503]
    assert found[200] < 8


async def test_an_endpoint_that_fails_is_left_out(scene: Scene) -> None:
    await scene.rule({
        "loadBalancer": {"simple": "ROUND_ROBIN"},
        "outlierDetection": {"consecutive5xxErrors": 1, "interval": "1s", "baseEjectionTime": "60s",
                             "maxEjectionPercent": 100},
    })  # fmt: skip
    scene.one.status = 500
    found = await scene.ask(40)
    assert found == {500: 1, 200: 39}
    assert await scene.stat("outlier_detection.ejections_enforced_consecutive_5xx") == 1
    assert await scene.stat("outlier_detection.ejections_active") == 1


async def test_a_key_stays_with_an_endpoint(scene: Scene) -> None:
    await scene.rule({"loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}})
    used = Counter[int]()
    for user in range(20):
        before = scene.one.hosts.total(), scene.two.hosts.total()
        await scene.ask(4, user=f"user {user}")
        after = scene.one.hosts.total(), scene.two.hosts.total()
        asked = [later - earlier for earlier, later in zip(before, after, strict=True)]
        assert sorted(asked) == [0, 4]
        used[asked.index(4)] += 1
    assert len(used) == 2


async def test_a_share_of_requests_is_aborted(scene: Scene) -> None:
    await scene.fault({"abort": {"httpStatus": 418, "percentage": {"value": 100}}})
    await until(lambda: _only(scene, 418), "all requests are aborted")
    await scene.fault({"abort": {"httpStatus": 418, "percentage": {"value": 30}}})
    await until(lambda: _only(scene, 200), "some requests are not aborted")
    found = await scene.ask(400, at_once=4)
    # Five standard deviations of 400 at 0.3.
    assert 74 <= found[418] <= 166
    assert found.total() == found[418] + found[200]


async def test_requests_are_delayed(scene: Scene) -> None:
    await scene.fault({"delay": {"fixedDelay": "0.3s"}})
    await until(lambda: _slow(scene), "requests are delayed")
    assert await scene.ask(1) == {200: 1}


@contextmanager
def silence() -> Iterator[int]:
    """A port that answers nothing, as an address that a pod has left: its queue of connections is full."""
    with ExitStack() as stack:
        bound = stack.enter_context(socket.create_server(("0.0.0.0", 0), backlog=0))
        port = int(bound.getsockname()[1])
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


async def test_an_endpoint_that_answers_nothing_costs_a_retry_in_time(scene: Scene) -> None:
    rules = [{"route": [{"destination": {"host": "shop"}}]}]
    await scene.client.patch(VIRTUAL_SERVICE, scene.namespace, "shop", {"spec": {"http": rules}})
    await scene.rule({"loadBalancer": {"simple": "ROUND_ROBIN"}})
    with silence() as port:
        ports = [{"name": "http", "port": port, "protocol": "TCP"}]
        await scene.client.patch(ENDPOINT_SLICE, scene.namespace, "shop-0", {"ports": ports})

        async def told() -> bool:
            return f":{port}::" in await scene.proxy.get("/clusters")

        await until(told, "Envoy has the endpoint")
        async with asyncio.timeout(8):
            assert await scene.ask(8, at_once=8) == {200: 8}
        assert await scene.stat("upstream_cx_connect_timeout") > 0


async def _only(scene: Scene, status: int) -> bool:
    return (await scene.ask(1))[status] == 1


async def _slow(scene: Scene) -> bool:
    began = asyncio.get_running_loop().time()
    await scene.ask(1)
    return asyncio.get_running_loop().time() - began >= 0.3
