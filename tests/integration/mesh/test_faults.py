"""Faults with a life of their own, on the real Envoy: they end soon after whoever vouches for them does."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout, ServerDisconnectedError

from rollout.api.kinds import GATEWAY, SERVICE, VIRTUAL_SERVICE
from rollout.kube.client import Client
from rollout.mesh.translate import resets
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh.support import (
    Backend,
    Envoy,
    backend,
    create,
    envoy,
    free_port,
    open_gateway,
    serve_backend,
    service,
)
from tests.integration.mesh.vouching import (
    Voucher,
    abort,
    control_plane_process,
    reset,
    vouching,
)
from tests.waiting import until

BOUND = 5.0
"""Seconds after which a fault that nobody vouches for must be gone."""
BROKEN_OFF = 0
"""In place of a status, where the connection was closed without an answer."""
KINDS = {418: abort("one"), BROKEN_OFF: reset("one")}
"""Specs by what is seen of them."""
each_kind = pytest.mark.parametrize("seen", KINDS, ids=["abort", "reset"])


@dataclass(slots=True)
class Scene:
    """A gateway that leads `one.example.com` and `two.example.com` to a backend each."""

    client: Client
    namespace: str
    plane: asyncio.subprocess.Process
    plane_port: int
    kubeconfig: Path
    proxy: Envoy
    url: str
    voucher: Voucher
    session: ClientSession

    async def status(
        self, name: str = "one", path: str = "/", *, method: str = "GET", **headers: str
    ) -> int:
        """A lost GET the client sends once more by itself, a POST it does not."""
        host, url = {"Host": f"{name}.example.com"}, self.url + path
        try:
            async with self.session.request(method, url, headers=host | headers) as response:
                return response.status
        except ServerDisconnectedError:
            return BROKEN_OFF

    async def sees(self, status: int, name: str = "one", **headers: str) -> None:
        async def seen() -> bool:
            return await self.status(name, **headers) == status

        await until(seen, f"{name} answers {status}: {self.proxy.log.read_text()[-2000:]}")

    async def gone_within_bound(self, begin: float) -> None:
        """From `begin` on; a single request may be late, so what counts is when it was sent."""
        while True:
            sent = monotonic()
            if await self.status() == 200:
                return
            assert sent < begin + BOUND, f"still faulted {sent - begin:.1f} s later"
            await asyncio.sleep(0.02)

    async def configuration(self) -> Any:
        """All that Envoy has, without the moments at which it got it and what is in the slots."""
        whole = json.loads(await self.proxy.get("/config_dump?include_eds"))
        kept = [
            each
            for each in whole["configs"]
            if not each["@type"].endswith(("EcdsConfigDump", "BootstrapConfigDump"))
        ]
        return _timeless(kept)

    async def counted(self, seen: int) -> None:
        """The caller's metrics say which service's requests were faulted."""
        page = await self.proxy.get("/stats/prometheus?filter=requests_total")
        series = [dict(re.findall(r'(\w+)="([^"]*)"', line)) for line in page.splitlines()]
        faulted = [each for each in series if each.get("response_flags") == "FI"]
        assert faulted
        for each in faulted:
            assert each["reporter"] == "source"
            assert each["response_code"] == str(seen)
            assert each["destination_service_name"] == "one"
            assert each["destination_service_namespace"] == self.namespace

    async def filled(self) -> list[str]:
        """What is in the slots beside the default."""
        whole = json.loads(await self.proxy.get("/config_dump"))
        dumps = [each for each in whole["configs"] if each["@type"].endswith("EcdsConfigDump")]
        return [
            each["ecds_filter"]["name"]
            for dump in dumps
            for each in dump.get("ecds_filters", ())
            if "ExtensionWithMatcher" in json.dumps(each)
        ]


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k != "last_updated"}
    return [_timeless(each) for each in value] if isinstance(value, list) else value


async def _routes(client: Client, namespace: str, *apps: Backend) -> None:
    await open_gateway(client, namespace)
    for app in apps:
        await serve_backend(client, namespace, app)
        rule = {"route": [{"destination": {"host": app.name}}], "retries": {"attempts": 0}}
        spec = {"hosts": [f"{app.name}.example.com"], "gateways": ["edge"], "http": [rule]}
        await create(
            client, VIRTUAL_SERVICE, namespace, {"metadata": {"name": app.name}, "spec": spec}
        )


async def _scene(
    stack: AsyncExitStack, server: ApiServer, client: Client, namespace: str, directory: Path
) -> Scene:
    await install_crds(client)
    one = await stack.enter_async_context(backend("one"))
    two = await stack.enter_async_context(backend("two"))
    port, plane_port = free_port(), free_port()
    await create(
        client, SERVICE, namespace, service("ingress", 80, port, istio=f"gateway-{namespace}")
    )
    await _routes(client, namespace, one, two)
    plane = await stack.enter_async_context(
        control_plane_process(server.kubeconfig, namespace, plane_port)
    )
    proxy = await stack.enter_async_context(envoy(directory, plane_port, namespace=namespace))
    voucher = await stack.enter_async_context(vouching(client, namespace))
    session = await stack.enter_async_context(ClientSession(timeout=ClientTimeout(total=20)))
    url = f"http://127.0.0.1:{port}"
    found = Scene(
        client, namespace, plane, plane_port, server.kubeconfig, proxy, url, voucher, session
    )

    async def served() -> bool:
        try:
            return [await found.status(name) for name in ("one", "two")] == [200, 200]
        except OSError:
            return False

    await until(served, "the gateway serves")
    return found


@pytest.fixture
async def scene(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        yield await _scene(stack, apiserver, client, namespace, tmp_path)


@each_kind
async def test_a_fault_hits_its_service_alone_for_longer_than_its_life_and_leaves_nothing(
    scene: Scene, seen: int
) -> None:
    before = await scene.configuration()
    await scene.voucher.start("one", **KINDS[seen])
    await scene.sees(seen)
    begin = monotonic()
    while monotonic() < begin + 4:
        assert (await scene.status("one"), await scene.status("two")) == (seen, 200)
        await asyncio.sleep(0.02)
    assert len(await scene.filled()) == 1
    assert await scene.configuration() == before
    # What is broken off counts as the answer that nobody saw.
    await scene.counted(seen or resets.STATUS)
    await scene.voucher.stop("one")
    await scene.sees(200)
    assert await scene.filled() == []
    assert await scene.configuration() == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@each_kind
async def test_it_ends_with_its_control_plane(
    scene: Scene, number: signal.Signals, seen: int
) -> None:
    await scene.voucher.start("one", **KINDS[seen])
    await scene.sees(seen)
    scene.plane.send_signal(number)
    await scene.gone_within_bound(monotonic())
    if number is signal.SIGSTOP:
        scene.plane.send_signal(signal.SIGCONT)
        await scene.sees(seen)
        return
    async with control_plane_process(scene.kubeconfig, scene.namespace, scene.plane_port):
        await scene.sees(seen)


async def test_it_ends_with_its_controller(scene: Scene) -> None:
    await scene.voucher.start("one", **abort("one"))
    await scene.sees(418)
    scene.voucher.dead = True
    await scene.gone_within_bound(monotonic())
    assert await scene.filled() == []
    await scene.voucher.beat()
    await scene.sees(418)


async def test_a_control_plane_that_wakes_does_not_revive_what_nobody_vouches_for(
    scene: Scene,
) -> None:
    await scene.voucher.start("one", **abort("one"))
    await scene.sees(418)
    scene.plane.send_signal(signal.SIGSTOP)
    begin = monotonic()
    # Renewals go on for a while, so that they wait in the control plane's sockets when it wakes.
    await asyncio.sleep(2)
    scene.voucher.dead = True
    await scene.gone_within_bound(begin)
    await asyncio.sleep(max(0.0, begin + BOUND - monotonic()))
    scene.plane.send_signal(signal.SIGCONT)
    begin = monotonic()
    while monotonic() < begin + 2:
        assert await scene.status() == 200
        await asyncio.sleep(0.02)
    scene.voucher.dead = False
    await scene.sees(418)


async def test_it_ends_when_its_time_is_over_whoever_vouches_for_it(scene: Scene) -> None:
    await scene.voucher.start("one", seconds=3, **abort("one"))
    await scene.sees(418)
    await scene.gone_within_bound(monotonic())
    begin = monotonic()
    while monotonic() < begin + 2:
        assert await scene.status() == 200
        await asyncio.sleep(0.02)


async def test_requests_on_their_way_are_left_alone(scene: Scene) -> None:
    slow = asyncio.ensure_future(scene.status("one", "/?delay=2"))
    await asyncio.sleep(0.2)
    await scene.voucher.start("one", **abort("one"))
    await scene.sees(418)
    await scene.voucher.stop("one")
    await scene.sees(200)
    assert not slow.done()
    assert await slow == 200


async def test_alternatives_are_one_fault(scene: Scene) -> None:
    """A request that meets both conditions waits once; the query is no part of the path."""
    match = [{"headers": {"X-User": {"prefix": "test-"}}}, {"uri": {"regex": "/p[ae]y"}}]
    fault = {"delay": {"fixedDelay": "1s"}, "match": match, "layer": "client"}
    await scene.voucher.start("one", target={"service": "one"}, fault=fault)

    async def seconds(path: str, **headers: str) -> float:
        begin = monotonic()
        assert await scene.status("one", path, **headers) == 200
        return monotonic() - begin

    async def waits() -> bool:
        return await seconds("/pay?x=1") >= 0.9

    await until(waits, "the delay is in force")
    for _ in range(3):
        both = await seconds("/pay", **{"x-user": "test-1"})
        assert 0.9 <= both < 1.9, "once"
        assert await seconds("/", **{"x-user": "other"}) < 0.9
        assert await seconds("/payment") < 0.9


async def test_a_share_is_broken_off_and_another_delayed(scene: Scene) -> None:
    fault = {
        "reset": {"percentage": {"value": 30}},
        "delay": {"fixedDelay": "100ms", "percentage": {"value": 50}},
        "layer": "client",
    }
    await scene.voucher.start("one", target={"service": "one"}, fault=fault)
    await scene.sees(BROKEN_OFF)
    took: dict[int, list[float]] = {200: [], BROKEN_OFF: []}
    for _ in range(200):
        begin = monotonic()
        took[await scene.status(method="POST")].append(monotonic() - begin)
    assert 30 <= len(took[BROKEN_OFF]) <= 95
    assert 60 <= sum(each >= 0.1 for each in (*took[200], *took[BROKEN_OFF])) <= 150
    assert min(took[BROKEN_OFF]) < 0.9, "Envoy holds what it means to close for a second"


async def test_a_share_of_grpc_calls_fails_with_its_status(scene: Scene) -> None:
    fault = {
        "abort": {"grpcStatus": "UNAVAILABLE", "percentage": {"value": 50}},
        "layer": "client",
    }
    await scene.voucher.start("one", target={"service": "one"}, fault=fault)

    async def grpc() -> str | None:
        headers = {"Host": "one.example.com", "content-type": "application/grpc"}
        async with scene.session.post(scene.url, headers=headers) as response:
            return response.headers.get("grpc-status")

    async def faulted() -> bool:
        return await grpc() == "14"

    await until(faulted, "calls fail")
    found = [await grpc() for _ in range(200)]
    assert 60 <= found.count("14") <= 140
    assert set(found) == {"14", None}


async def test_it_ends_with_the_api_server(own_apiserver: ApiServer, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            await Client.connect(str(own_apiserver.kubeconfig))
        )
        scene = await _scene(stack, own_apiserver, client, "default", tmp_path)
        await scene.voucher.start("one", **abort("one"))
        await scene.sees(418)
        own_apiserver.pause()
        try:
            await scene.gone_within_bound(monotonic())
        finally:
            own_apiserver.resume()
        await scene.sees(418)


async def test_a_hundred_experiments_in_a_row_leave_nothing(scene: Scene) -> None:
    before = await scene.configuration()
    for index, (seen, spec) in zip(range(100), cycle(KINDS.items()), strict=False):
        await scene.voucher.start(f"run-{index}", **spec)
        await scene.sees(seen)
        await scene.voucher.stop(f"run-{index}")
        await scene.sees(200)
    assert await scene.filled() == []
    assert await scene.configuration() == before
    assert "rejected" not in scene.proxy.log.read_text()


async def test_twenty_faults_end_with_their_control_plane(scene: Scene, tmp_path: Path) -> None:
    """Four faults in each of five gateways, told apart by the caller's label and the path."""
    ports = [free_port() for _ in range(5)]
    async with AsyncExitStack() as stack:
        for index, port in enumerate(ports):
            await _other_gateway(scene, index, port)
            labels = {"istio": f"other-{index}", "number": str(index)}
            name = f"edge-{index}"
            proxy = envoy(
                tmp_path, scene.plane_port, namespace=scene.namespace, name=name, labels=labels
            )
            await stack.enter_async_context(proxy)
        for fault in range(20):
            spec = abort("one", match=[{"uri": {"exact": f"/{fault}"}}])
            spec["target"]["from"] = {"labelSelectors": {"number": str(fault % 5)}}
            await scene.voucher.start(f"run-{fault}", **spec)
        urls = [f"http://127.0.0.1:{ports[fault % 5]}/{fault}" for fault in range(20)]
        await until(partial(_all_answer, scene, urls, 418), "all faults are in force")
        scene.plane.kill()
        await until(partial(_all_answer, scene, urls, 200), "all faults are gone", BOUND)


async def _other_gateway(scene: Scene, index: int, port: int) -> None:
    server = {"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    edge = {"selector": {"istio": f"other-{index}"}, "servers": [server]}
    rule = {"route": [{"destination": {"host": "one"}}]}
    routes = {"hosts": ["one.example.com"], "gateways": [f"edge-{index}"], "http": [rule]}
    for kind, spec in ((GATEWAY, edge), (VIRTUAL_SERVICE, routes)):
        obj = {"metadata": {"name": f"edge-{index}"}, "spec": spec}
        await create(scene.client, kind, scene.namespace, obj)


async def _all_answer(scene: Scene, urls: list[str], status: int) -> bool:
    async def one(url: str) -> int:
        try:
            async with scene.session.get(url, headers={"Host": "one.example.com"}) as response:
                return response.status
        except OSError:
            return 0

    return await asyncio.gather(*map(one, urls)) == [status] * len(urls)
