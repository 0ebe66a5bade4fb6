"""Faults at the service, below its callers' retries: a real sidecar that intercepts, and a real gateway that calls it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout, ServerDisconnectedError

from rollout.api.kinds import ENDPOINT_SLICE, GATEWAY, SERVICE, VIRTUAL_SERVICE, Kind
from rollout.kube.client import Client
from rollout.kube.objects import Object
from rollout.mesh.translate.callers import PEER_HEADER
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh import pod as pods
from tests.integration.mesh.support import create, endpoint_slice, envoy, free_port, service
from tests.integration.mesh.vouching import Voucher, control_plane_process, vouching
from tests.waiting import until

FAULTED = 503


@dataclass(slots=True)
class Scene:
    """A pod behind the service `app-primary`, as Flagger names it, and a gateway that leads there with three retries."""

    client: Client
    namespace: str
    pod: pods.Pod
    gateway: str
    voucher: Voucher
    session: ClientSession

    async def direct(self, **headers: str) -> int:
        """The status of a request that comes to the pod from outside the mesh, unless it says otherwise."""
        url = f"http://{self.pod.address}:8080/"
        async with self.session.get(url, headers=headers) as response:
            return response.status

    async def through(self, times: int) -> Counter[int]:
        """The statuses of requests through the gateway."""
        found: Counter[int] = Counter()
        for _ in range(times):
            async with self.session.get(
                self.gateway, headers={"Host": "app.example.com"}
            ) as response:
                found[response.status] += 1
        return found

    async def answers(self, status: int, **headers: str) -> bool:
        return await self.direct(**headers) == status

    async def served(self) -> bool:
        try:
            return await self.through(1) == {200: 1}
        except OSError:
            return False

    async def start(
        self, name: str, percent: float, layer: str = "upstream", arm: str = "all", **callers: Any
    ) -> None:
        abort = {"httpStatus": FAULTED, "percentage": {"value": percent}}
        target = {"service": "app", "arm": arm, "from": callers or None}
        await self.voucher.start(name, target=target, fault={"abort": abort, "layer": layer})


async def _objects(client: Client, namespace: str, edge_port: int, address: str) -> None:
    gateway = f"gateway-{namespace}"
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    retries = {"attempts": 3, "retryOn": "5xx"}
    rule = {"route": [{"destination": {"host": "app-primary"}}], "retries": retries}
    routes = {"hosts": ["app.example.com"], "gateways": ["edge"], "http": [rule]}
    piece = endpoint_slice("app-primary", 8080)
    piece["endpoints"] = [{"addresses": [address], "conditions": {"ready": True}}]
    wanted: list[tuple[Kind, str, Object]] = [
        (GATEWAY, "edge", {"selector": {"istio": gateway}, "servers": [server]}),
        (VIRTUAL_SERVICE, "app", routes),
    ]
    await create(client, SERVICE, namespace, service("ingress", 80, edge_port, istio=gateway))
    await create(client, ENDPOINT_SLICE, namespace, piece)
    for kind, name, spec in wanted:
        await create(client, kind, namespace, {"metadata": {"name": name}, "spec": spec})


@pytest.fixture
async def scene(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> AsyncIterator[Scene]:
    await install_crds(client)
    await create(client, SERVICE, namespace, service("app-primary", 80, 8080, app="app"))
    port, edge_port = free_port(), free_port()
    async with AsyncExitStack() as stack:
        plane = control_plane_process(apiserver.kubeconfig, namespace, port, "0.0.0.0")
        await stack.enter_async_context(plane)
        pod = await stack.enter_async_context(
            pods.pod(tmp_path, port, namespace=namespace, name="app-primary", labels={"app": "app"})
        )
        await _objects(client, namespace, edge_port, pod.address)
        await stack.enter_async_context(envoy(tmp_path, port, namespace=namespace))
        voucher = await stack.enter_async_context(vouching(client, namespace))
        session = await stack.enter_async_context(ClientSession(timeout=ClientTimeout(total=20)))
        url = f"http://127.0.0.1:{edge_port}/"
        found = Scene(client, namespace, pod, url, voucher, session)
        await until(partial(found.answers, 200), "the pod answers")
        await until(found.served, "the gateway leads there")
        yield found


async def test_callers_retry_it_and_metrics_name_it(scene: Scene) -> None:
    await scene.start("half", 50)
    await until(partial(scene.answers, FAULTED), "the fault is in force")
    # All four attempts fail in one of sixteen.
    assert (await scene.through(320))[FAULTED] < 80
    _, page = await scene.pod.curl("http://127.0.0.1:15000/stats/prometheus?filter=requests_total")
    series = [dict(re.findall(r'(\w+)="([^"]*)"', line)) for line in page.splitlines()]
    faulted = [each for each in series if each.get("response_flags") == "FI"]
    callers = {each["source_workload"] for each in faulted}
    assert {"istio-ingressgateway", "unknown"} <= callers
    for each in faulted:
        assert each["reporter"] == "destination"
        assert each["response_code"] == str(FAULTED)
        assert each["destination_service_name"] == "app-primary"
        assert each["destination_workload"] == "app-primary"


async def test_callers_retry_what_is_broken_off(scene: Scene) -> None:
    fault = {"reset": {"percentage": {"value": 50}}}
    await scene.voucher.start("half", target={"service": "app"}, fault=fault)

    async def broken_off() -> bool:
        try:
            await scene.direct()
        except ServerDisconnectedError:
            return True
        return False

    await until(broken_off, "the fault is in force")
    found = await scene.through(320)
    assert set(found) <= {200, FAULTED}
    assert found[FAULTED] < 80
    _, page = await scene.pod.curl("http://127.0.0.1:15000/stats/prometheus?filter=requests_total")
    series = [dict(re.findall(r'(\w+)="([^"]*)"', line)) for line in page.splitlines()]
    faulted = [each for each in series if each.get("response_flags") == "FI"]
    assert {each["source_workload"] for each in faulted} >= {"istio-ingressgateway", "unknown"}


async def test_above_the_retries_nobody_retries_it(scene: Scene) -> None:
    await scene.start("half", 50, layer="client")

    async def faulted() -> bool:
        return (await scene.through(4))[FAULTED] > 0

    await until(faulted, "the fault is in force")
    assert 100 <= (await scene.through(320))[FAULTED] <= 220
    assert await scene.direct() == 200


async def test_only_the_callers_that_are_meant(scene: Scene) -> None:
    edge = "gateway;edge;gateway;v1;gateway;v1"
    other = "gateway;elsewhere;gateway;v1;gateway;v1"
    await scene.start("edge", 100, namespaces=["edge"], labelSelectors={"app": "gateway"})
    await until(partial(scene.answers, FAULTED, **{PEER_HEADER: edge}), "the fault is in force")
    assert await scene.direct(**{PEER_HEADER: other}) == 200
    assert await scene.direct() == 200
    assert await scene.through(10) == {200: 10}


@pytest.mark.parametrize(("arm", "hit"), [("primary", True), ("canary", False)])
async def test_only_the_arm_that_is_meant(scene: Scene, arm: str, hit: bool) -> None:
    await scene.start("arm", 100, arm=arm)
    if hit:
        await until(partial(scene.answers, FAULTED), "the fault is in force")
        return
    # One that does hit, vouched for later, shows that the first had its chance.
    await scene.start("other", 100, namespaces=["edge"])
    edge = {PEER_HEADER: "gateway;edge;gateway;v1;gateway;v1"}
    await until(partial(scene.answers, FAULTED, **edge), "the other fault is in force")
    assert await scene.direct() == 200
