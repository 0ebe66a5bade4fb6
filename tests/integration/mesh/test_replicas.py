"""Several control planes at once: all serve, one writes, and a proxy whose own is gone has another's news in seconds."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import grpc
import pytest
from aiohttp import ClientSession
from cryptography import x509
from envoy.service.discovery.v3 import discovery_pb2

from rollout.api.kinds import (
    CONFIG_MAP,
    DESTINATION_RULE,
    LEASE,
    POD,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    VIRTUAL_SERVICE,
)
from rollout.kube.client import Client
from rollout.kube.election import Contest
from rollout.kube.lease import Timing
from rollout.kube.metrics import KubeMetrics
from rollout.mesh.controlplane import ControlPlane, Options
from rollout.mesh.model.peers import MutualTLS
from rollout.mesh.reports import NAME
from rollout.mesh.translate import names
from rollout.mesh.xds.wire import Encoder, Request
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh.identities import request, roots, sign, token
from tests.integration.mesh.support import (
    Load,
    ask,
    backend,
    create,
    envoy,
    free_port,
    open_gateway,
    running,
    serve_backend,
    service,
)
from tests.waiting import until

HOST = "shop.example.com"
_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
SHORT = Timing(duration=4, renew_deadline=2.0, retry=0.5)
SILENT = 25.0
"""Seconds within which a proxy has found another: it notices within 10."""


@asynccontextmanager
async def replica(
    kubeconfig: Path,
    namespace: str,
    pod: str,
    mutual_tls: MutualTLS = MutualTLS.NONE,
    counted: KubeMetrics | None = None,
    settle: float = 1.0,
) -> AsyncIterator[ControlPlane]:
    """One of several, leaving as on SIGTERM; what it asks of the API server beside its lease is `counted`."""
    options = Options(
        system_namespace=namespace,
        contest=Contest(group="rollout-mesh", namespace=namespace, identity=pod, timing=SHORT),
        pod=pod,
        mutual_tls=mutual_tls,
        secure_address="127.0.0.1:0",
        xds_address="127.0.0.1:0",
        root_settle=timedelta(seconds=settle),
        health_port=0,
        debug_port=0,
    )
    async with (
        await Client.connect(str(kubeconfig), metrics=counted) as client,
        await Client.connect(str(kubeconfig)) as leases,
        running(ControlPlane(client, options, leases=leases)) as plane,
    ):
        yield plane


async def holder(client: Client, namespace: str) -> str:
    found = await client.list(LEASE, namespace)
    return next((str(each["spec"].get("holderIdentity") or "") for each in found), "")


def written(counted: KubeMetrics) -> int:
    """How many writes were asked for."""
    [requests] = counted.requests.collect()
    return sum(
        int(each.value)
        for each in requests.samples
        if each.name.endswith("_total") and each.labels["method"] != "GET"
    )


async def pod(client: Client, namespace: str, name: str) -> None:
    """A pod that is ready, as far as the API server knows."""
    with suppress(Exception):
        await create(client, SERVICE_ACCOUNT, namespace, {"metadata": {"name": "default"}})
    spec = {"containers": [{"name": "mesh", "image": "mesh"}]}
    await create(client, POD, namespace, {"metadata": {"name": name}, "spec": spec})
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await client.patch(POD, namespace, name, ready, subresource="status")


async def condition(client: Client, namespace: str, name: str) -> dict[str, Any]:
    found = await client.get(VIRTUAL_SERVICE, namespace, name)
    conditions = (found.get("status") or {}).get("conditions") or [{}]
    return dict(conditions[0])


async def astray(client: Client, namespace: str, name: str) -> None:
    """A VirtualService that leads nowhere, which its status is to say."""
    rule = {"route": [{"destination": {"host": "nosuch"}}]}
    spec = {"hosts": [f"{name}.example.com"], "http": [rule]}
    obj = {"metadata": {"name": name}, "spec": spec}
    await create(client, VIRTUAL_SERVICE, namespace, obj)

    async def said() -> bool:
        return "nosuch" in (await condition(client, namespace, name)).get("message", "")

    await until(said, f"the status of {name}")


async def test_one_writes_and_another_goes_on(
    apiserver: ApiServer, client: Client, namespace: str
) -> None:
    await install_crds(client)
    counted = KubeMetrics()
    async with AsyncExitStack() as stack:
        async with replica(apiserver.kubeconfig, namespace, "first"):
            await astray(client, namespace, "one")
            assert await holder(client, namespace) == "first"
            second = replica(apiserver.kubeconfig, namespace, "second", counted=counted)
            await stack.enter_async_context(second)
            await astray(client, namespace, "two")
            assert await holder(client, namespace) == "first"
            assert written(counted) == 0
        await astray(client, namespace, "three")
        assert await holder(client, namespace) == "second"
        assert written(counted) == 1


async def test_what_the_other_ones_proxies_refuse_is_said_too(
    apiserver: ApiServer, client: Client, namespace: str
) -> None:
    await install_crds(client)
    for name in ("first", "second"):
        await pod(client, namespace, name)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(replica(apiserver.kubeconfig, namespace, "first"))
        await until(lambda: holder(client, namespace), "it leads")
        second = await stack.enter_async_context(replica(apiserver.kubeconfig, namespace, "second"))
        await create(client, SERVICE, namespace, service("shop"))
        rule = {"metadata": {"name": "shop"}, "spec": {"host": "shop"}}
        await create(client, DESTINATION_RULE, namespace, rule)
        proxy = Proxy(second, namespace)
        await until(proxy.took, "it has its clusters")

        async def condition() -> dict[str, Any]:
            found = await client.get(DESTINATION_RULE, namespace, "shop")
            return dict(((found.get("status") or {}).get("conditions") or [{}])[0])

        async def refused() -> bool:
            proxy.answer("too odd")
            return "too odd" in (await condition()).get("message", "")

        async def mended() -> bool:
            return (await condition()).get("status") == "True"

        for number in (1, 2):
            pool = {"connectionPool": {"tcp": {"maxConnections": number}}}
            spec = {"spec": {"trafficPolicy": pool}}
            await client.patch(DESTINATION_RULE, namespace, "shop", spec)
            await until(refused, "the status says so")
            assert (await holder(client, namespace)) == "first"
            if number == 1:
                second.hub.disconnect(proxy.connection)
                await until(mended, "the status is mended")
                assert not (await client.get(CONFIG_MAP, namespace, NAME)).get("data")
                proxy = Proxy(second, namespace)
                await until(proxy.took, "it has its clusters")
        await client.delete(POD, namespace, "second")
        await until(mended, "nobody speaks for a replica that is gone")


class Proxy:
    """One that takes clusters, or refuses them, as far as its control plane knows."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        node = {"id": f"sidecar~10.0.0.9~shop-1.{namespace}~{namespace}.svc.cluster.local"}
        self._hub = plane.hub
        self.connection = plane.hub.connect(node, Encoder())
        self.connection.stream.receive(Request(type_url=names.CLUSTER))

    def took(self) -> bool:
        """Whether it was sent something, which it took."""
        return bool(self.answer())

    def answer(self, error: str | None = None) -> list[str]:
        """Answers what has been sent; the names of it."""
        stream = self.connection.stream
        responses = stream.poll()
        for each in responses:
            answer = Request(type_url=each.type_url, nonce=each.nonce, error=error)
            self._hub.answered(self.connection, stream.receive(answer))
        return [resource.name for each in responses for resource in each.resources]


async def test_one_makes_the_authority_and_all_sign(
    apiserver: ApiServer, client: Client, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await install_crds(client)
    monkeypatch.setattr(ControlPlane, "_dns_names", ("localhost",))
    async with AsyncExitStack() as stack:
        first = stack.enter_async_context(
            replica(apiserver.kubeconfig, namespace, "first", MutualTLS.AUTO)
        )
        second = stack.enter_async_context(
            replica(apiserver.kubeconfig, namespace, "second", MutualTLS.AUTO)
        )
        planes = await asyncio.gather(first, second)
        bundle = await roots(client, namespace)
        mine = await token(client, namespace, "catalog")
        for plane in planes:
            *_, root = await sign(plane, bundle, mine, request())
            assert root.encode() == bundle

        await client.delete(SECRET, namespace, "istio-ca-secret")

        async def both() -> bytes:
            found = await roots(client, namespace)
            return found if found.count(b"BEGIN") == 2 else b""

        bundle = await until(both, "the new root is published")

        async def by_the_new_one() -> bool:
            signed = [await sign(plane, bundle, mine, request()) for plane in planes]
            assert len(x509.load_pem_x509_certificates(bundle)) == 2
            ends = {chain[-1] for chain in signed}
            return len(ends) == 1 and bundle.startswith(ends.pop().encode())

        await until(by_the_new_one, "both sign with it")


async def test_one_that_starts_while_a_root_is_new_signs_with_the_old_one(
    apiserver: ApiServer, client: Client, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await install_crds(client)
    monkeypatch.setattr(ControlPlane, "_dns_names", ("localhost",))

    def another(pod: str) -> AbstractAsyncContextManager[ControlPlane]:
        return replica(apiserver.kubeconfig, namespace, pod, MutualTLS.AUTO, settle=20)

    async def both() -> bytes:
        found = await roots(client, namespace)
        return found if found.count(b"BEGIN") == 2 else b""

    async with another("first"):
        old = await roots(client, namespace)
        await client.delete(SECRET, namespace, "istio-ca-secret")
        bundle = await until(both, "the new root is published")
    mine = await token(client, namespace, "catalog")
    async with another("second") as second:
        assert (await sign(second, bundle, mine, request()))[-1].encode() == old

        async def by_the_new_one() -> bool:
            return (await sign(second, bundle, mine, request()))[-1].encode() != old

        await until(by_the_new_one, "everybody trusts it by now")

        async def forgotten() -> bool:
            record = await client.get(SECRET, namespace, "rollout-mesh-roots")
            return set(record["data"]) == {"root-cert.pem", "times.json"}

        await until(forgotten, "the old key is nowhere any more")


class Address:
    """A Service's address: leads to the replica `to`. What is connected when it is muted hears nothing more."""

    def __init__(self, to: int) -> None:
        self.to = to
        self._muted = asyncio.Event()
        self._tasks: set[asyncio.Future[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    def mute(self) -> None:
        self._muted.set()
        self._muted = asyncio.Event()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.to)
        self._writers |= {writer, up_writer}
        for source, target in ((reader, up_writer), (up_reader, writer)):
            task = asyncio.ensure_future(self._forward(source, target, self._muted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, muted: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if muted.is_set():
                    await asyncio.Event().wait()
                target.write(data)
            target.close()


@pytest.mark.parametrize("silently", [False, True], ids=["ends", "falls silent"])
async def test_a_proxy_whose_control_plane_is_gone_has_anothers_news(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path, silently: bool
) -> None:
    await install_crds(client)
    port, gateway = free_port(), f"gateway-{namespace}"
    url = f"http://127.0.0.1:{port}/"
    async with backend("one") as one, backend("two") as two, AsyncExitStack() as stack:
        await create(client, SERVICE, namespace, service("ingress", 80, port, istio=gateway))
        for each in (one, two):
            await serve_backend(client, namespace, each)
        await open_gateway(client, namespace)
        rule = {"route": [{"destination": {"host": "one"}}]}
        routes = {"hosts": [HOST], "gateways": ["edge"], "http": [rule]}
        await create(
            client, VIRTUAL_SERVICE, namespace, {"metadata": {"name": "shop"}, "spec": routes}
        )
        second = await stack.enter_async_context(replica(apiserver.kubeconfig, namespace, "second"))
        dying = AsyncExitStack()
        first = await dying.enter_async_context(replica(apiserver.kubeconfig, namespace, "first"))
        address = await stack.enter_async_context(Address(first.port))
        await stack.enter_async_context(envoy(tmp_path, address.port, namespace=namespace))

        async def led_to(name: str) -> bool:
            async with ClientSession() as session:
                return (await ask(session, url, Load(), {"Host": HOST})).names[name] == 1

        await until(lambda: led_to("one"), "the gateway answers")
        assert len(first.hub.clients) == 1
        address.to = second.port
        if silently:
            address.mute()
        else:
            await dying.aclose()
        rule["route"][0]["destination"]["host"] = "two"
        await client.patch(VIRTUAL_SERVICE, namespace, "shop", {"spec": {"http": [rule]}})
        await until(lambda: led_to("two"), "it has the other's news", SILENT)
        assert len(second.hub.clients) == 1
        await dying.aclose()


DRAIN = 2.0
PROCESS = """
import asyncio, datetime, sys
from rollout.mesh.controlplane import Options, run
kubeconfig, namespace, address, seconds = sys.argv[1:]
options = Options(kubeconfig=kubeconfig, system_namespace=namespace, xds_address=address,
                  drain=datetime.timedelta(seconds=float(seconds)), health_port=0, debug_port=0)
asyncio.run(run(options))
"""


async def test_one_that_is_ended_serves_on_while_others_take_over(
    apiserver: ApiServer, client: Client, namespace: str
) -> None:
    await install_crds(client)
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, str(apiserver.kubeconfig), namespace, address, str(DRAIN)
    )
    asked = discovery_pb2.DeltaDiscoveryRequest(type_url=names.CLUSTER)
    asked.node.id = f"sidecar~10.0.0.9~shop-1.{namespace}~{namespace}.svc.cluster.local"
    try:
        async with (
            grpc.aio.insecure_channel(address) as one,
            grpc.aio.insecure_channel(address) as two,
        ):
            first: Any = one.stream_stream(_METHOD)(wait_for_ready=True)
            await first.write(asked.SerializeToString())
            assert await first.read()
            process.send_signal(signal.SIGTERM)
            began = asyncio.get_running_loop().time()
            late: Any = two.stream_stream(_METHOD)()
            await late.write(asked.SerializeToString())
            assert await late.read(), "who still comes is served"
            while await first.read() is not grpc.aio.EOF:
                pass
            assert asyncio.get_running_loop().time() > began + DRAIN
            assert await first.code() is grpc.StatusCode.OK
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
