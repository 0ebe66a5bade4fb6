"""Mutual TLS between real Envoys: a gateway on this machine, and a sidecar in a network namespace of its own."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession, ClientTimeout
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from rollout.api.kinds import (
    DESTINATION_RULE,
    ENDPOINT_SLICE,
    GATEWAY,
    PEER_AUTHENTICATION,
    POD,
    SECRET,
    SERVICE,
    VIRTUAL_SERVICE,
    Kind,
)
from rollout.kube.client import Client
from rollout.kube.objects import Object
from rollout.mesh.agent.settings import IDENTITY_FILE
from rollout.mesh.controlplane import ControlPlane
from rollout.mesh.identity.authority import Authority, self_signed
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh import identities
from tests.integration.mesh import pod as pods
from tests.integration.mesh.identities import Place, put, roots
from tests.integration.mesh.support import (
    Envoy,
    Load,
    create,
    endpoint_slice,
    envoy,
    free_port,
    service,
    steady,
)
from tests.waiting import until

pytestmark = pods.requires


@dataclass(slots=True)
class Scene:
    client: Client
    namespace: str
    plane: ControlPlane
    pod: pods.Pod
    gateway: Envoy
    port: int
    places: tuple[Place, Place]
    stop: Callable[[], Awaitable[None]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def inside(self) -> str:
        """The sidecar's certificates, as Envoy tells them."""
        return (await self.pod.curl("http://127.0.0.1:15000/certs"))[1]

    async def outside(self) -> str:
        """The gateway's."""
        return await self.gateway.get("/certs")

    async def handshakes(self) -> int:
        """How often the gateway has begun mutual TLS with the service."""
        page = await self.gateway.get("/stats?filter=ssl.handshake$")
        return sum(int(line.rsplit(" ", 1)[1]) for line in page.splitlines() if "|app." in line)

    async def demand(self, mode: str) -> None:
        spec = {"mtls": {"mode": mode}}
        policy = {"metadata": {"name": mode.lower()}, "spec": spec}
        await create(self.client, PEER_AUTHENTICATION, self.namespace, policy)

    async def policies(self) -> dict[str, int]:
        """Requests by how they came, and who was proved to have sent and got them."""
        _, page = await self.pod.curl(
            "http://127.0.0.1:15000/stats/prometheus?filter=requests_total"
        )
        found: dict[str, int] = {}
        for line in page.splitlines():
            if 'reporter="destination"' in line:
                labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
                who = (labels["connection_security_policy"], labels["source_principal"],
                       labels["destination_principal"], labels["source_workload_namespace"])  # fmt: skip
                # Several lines tell of the same peers: one for each code that was answered.
                key = " ".join(who)
                found[key] = found.get(key, 0) + int(line.rsplit(" ", 1)[1])
        return found


async def plain(scene: Scene) -> int:
    """What somebody without an identity is answered; 0 where the connection is closed."""
    async with ClientSession(timeout=ClientTimeout(total=5)) as session:
        try:
            async with session.get(f"http://{scene.pod.address}:8080/") as answer:
                return answer.status
        except ClientError:
            return 0


def running_pod(namespace: str, name: str, address: str) -> list[tuple[Kind, Object]]:
    labels = {"app": "app", "security.istio.io/tlsMode": "istio"}
    container = {"name": "app", "image": "app:1"}
    spec = {"serviceAccountName": name, "containers": [container]}
    piece = endpoint_slice("app", 8080)
    target = {"kind": "Pod", "namespace": namespace, "name": f"{name}-1"}
    piece["endpoints"] = [
        {"addresses": [address], "conditions": {"ready": True}, "targetRef": target}
    ]
    return [
        (POD, {"metadata": {"name": f"{name}-1", "labels": labels}, "spec": spec}),
        (ENDPOINT_SLICE, piece),
    ]


@pytest.fixture
async def scene(
    apiserver: ApiServer,
    client: Client,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Scene]:
    await install_crds(client)
    async with AsyncExitStack() as stack:
        planes = await stack.enter_async_context(AsyncExitStack())
        plane = await planes.enter_async_context(
            identities.control_plane(apiserver.kubeconfig, namespace, monkeypatch)
        )
        port = free_port()
        server = {"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
        selector = {"istio": f"gateway-{namespace}"}
        spec: Object = {"selector": selector, "servers": [server]}
        await create(client, GATEWAY, namespace, {"metadata": {"name": "edge"}, "spec": spec})
        rule = {"route": [{"destination": {"host": "app"}}], "retries": {"attempts": 0}}
        spec = {"hosts": ["*"], "gateways": ["edge"], "http": [rule]}
        await create(client, VIRTUAL_SERVICE, namespace, {"metadata": {"name": "a"}, "spec": spec})
        await create(client, SERVICE, namespace, service("app", 80, 8080, app="app"))
        places = (
            Place(tmp_path, plane, namespace, "app"),
            Place(tmp_path, plane, namespace, "edge"),
        )
        for place in places:
            await place.fill(client)
        pod = await stack.enter_async_context(
            pods.pod(tmp_path, plane.secure_port, namespace=namespace, name="app",
                     labels={"app": "app"}, identity=places[0].directory)
        )  # fmt: skip
        for kind, obj in running_pod(namespace, "app", pod.address):
            await create(client, kind, namespace, obj)
        gateway = await stack.enter_async_context(
            envoy(tmp_path, plane.secure_port, namespace=namespace, name="edge",
                  identity=places[1].directory)
        )  # fmt: skip
        found = Scene(client, namespace, plane, pod, gateway, port, places, planes.aclose)
        await until(lambda: answered(found), "the gateway leads to the sidecar")
        yield found


async def answered(scene: Scene) -> bool:
    async with ClientSession(timeout=ClientTimeout(total=5)) as session:
        try:
            async with session.get(scene.url) as answer:
                return answer.status == 200
        except ClientError:
            return False


def lost(load: Load) -> dict[object, int]:
    others: dict[object, int] = {status: n for status, n in load.statuses.items() if status != 200}
    return others | ({"errors": len(load.errors)} if load.errors else {})


async def test_from_both_to_strict_no_request_of_the_mesh_is_lost(scene: Scene) -> None:
    edge, app = (
        f"spiffe://cluster.local/ns/{scene.namespace}/sa/{name}" for name in ("edge", "app")
    )
    assert await plain(scene) == 200
    async with steady(scene.url, "any") as load:
        await until(lambda: load.total > 100, "a hundred requests")
        await scene.demand("STRICT")

        async def closed() -> bool:
            return await plain(scene) == 0

        await until(closed, "plain text is refused")
        await further(load, 300)
    assert not lost(load)

    async def proved() -> bool:
        found = await scene.policies()
        return found.get(f"mutual_tls {edge} {app} {scene.namespace}", 0) >= load.total

    await until(proved, f"all requests are counted as mutual TLS: {await scene.policies()}")
    assert "none unknown unknown unknown" in await scene.policies()


async def test_a_disabled_port_is_called_in_plain_text(scene: Scene) -> None:
    await scene.demand("DISABLE")

    async def in_plain_text() -> bool:
        assert await answered(scene)
        return any(key.startswith("none") for key in await scene.policies())

    await until(in_plain_text, "the gateway speaks plain text")


async def test_mutual_tls_passes_a_gateway_unbroken(scene: Scene, tmp_path: Path) -> None:
    """As proxies of another cluster come: by the name of one of this mesh's clusters."""
    port = free_port()
    tls = {"port": {"number": port, "name": "tls", "protocol": "TLS"}, "hosts": ["*.local"]}
    server = tls | {"tls": {"mode": "AUTO_PASSTHROUGH"}}
    spec = {"selector": {"istio": f"gateway-{scene.namespace}"}, "servers": [server]}
    obj = {"metadata": {"name": "across"}, "spec": spec}
    await create(scene.client, GATEWAY, scene.namespace, obj)
    name = f"outbound_.80_._.app.{scene.namespace}.svc.cluster.local"
    edge, app = (
        f"spiffe://cluster.local/ns/{scene.namespace}/sa/{account}" for account in ("edge", "app")
    )

    async def unbroken() -> bool:
        return await crossed(scene, tmp_path, port, name) == ("HTTP/1.1 200 OK", app)

    await until(unbroken, "the service's own proxy answers")
    assert f"mutual_tls {edge} {app} {scene.namespace}" in await scene.policies()
    closed = ("", "")
    assert await crossed(scene, tmp_path, port, name.replace("_.80_.", "_.81_.")) == closed
    assert await crossed(scene, tmp_path, port, name, "h2") == closed, "no proxy's TLS"
    await scene.demand("DISABLE")

    async def nobody() -> bool:
        return await crossed(scene, tmp_path, port, name) == closed

    await until(nobody, "what takes no mutual TLS is not led to")


async def crossed(
    scene: Scene, directory: Path, port: int, name: str, protocol: str = "istio"
) -> tuple[str, str]:
    """The status line that the gateway's identity gets by a name, and who has proved to answer; empty where closed."""
    found = json.loads((scene.places[1].directory / IDENTITY_FILE).read_text())
    pair = found["resources"][0]["tls_certificate"]
    pem = directory / "crossing.pem"
    pem.write_text(
        pair["private_key"]["inline_string"] + pair["certificate_chain"]["inline_string"]
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_cert_chain(pem)
    context.load_verify_locations(cadata=(await roots(scene.client, scene.namespace)).decode())
    context.set_alpn_protocols([protocol])
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=name
        )
    except OSError:
        return "", ""
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n")
        line = await asyncio.wait_for(reader.readline(), 30)
        shown = x509.load_der_x509_certificate(
            writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        )
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        return line.decode().strip(), uri
    except OSError:
        return "", ""
    finally:
        writer.close()


async def test_an_authority_that_is_stopped_costs_no_request(scene: Scene) -> None:
    before = scene.places[0].leaf()
    async with steady(scene.url, "any") as load:
        await scene.stop()
        await further(load, 100)
        assert await scene.places[0].ask() == 1, "nobody renews it"
        await further(load, 100)
    assert not lost(load)
    assert scene.places[0].leaf() == before


async def test_roots_are_changed_without_a_lost_request(scene: Scene) -> None:
    old = await roots(scene.client, scene.namespace)
    authority = self_signed(datetime.now(UTC))
    data = {key: identities.encoded(value) for key, value in authority.data().items()}
    # Connections are made again and again, so that none lives on what was before.
    pool = {"connectionPool": {"http": {"maxRequestsPerConnection": 3}}}
    rule = {"metadata": {"name": "app"}, "spec": {"host": "app", "trafficPolicy": pool}}
    await create(scene.client, DESTINATION_RULE, scene.namespace, rule)
    await until(partial(reconnecting, scene), "connections are made again and again")
    async with steady(scene.url, "any") as load:
        metadata = {"namespace": scene.namespace, "name": "cacerts"}
        await scene.client.create(SECRET, {"metadata": metadata, "data": data})

        async def both() -> bytes:
            bundle = await roots(scene.client, scene.namespace)
            return bundle if bundle != old else b""

        bundle = await until(both, "both roots are published")
        for place in scene.places:
            put(Path(place.settings.roots_file), bundle)
        for place, certificates in zip(scene.places, (scene.inside, scene.outside), strict=True):
            await until(partial(renewed, place, authority), "the new authority signs")
            await until(partial(shown, place, certificates), "Envoy has read it")
            await further(load, 100)
        before = await scene.handshakes()
        await further(load, 300)
        assert await scene.handshakes() > before + 50
    assert not lost(load)


async def test_a_certificate_that_has_ended_is_refused_until_it_is_renewed(scene: Scene) -> None:
    pool = {"connectionPool": {"http": {"maxRequestsPerConnection": 1}}}
    rule = {"metadata": {"name": "app"}, "spec": {"host": "app", "trafficPolicy": pool}}
    await create(scene.client, DESTINATION_RULE, scene.namespace, rule)
    await until(partial(reconnecting, scene), "connections are made again and again")
    place = scene.places[0]
    assert await place.ask("10s") == 0
    await until(partial(shown, place, scene.inside), "Envoy has read it")

    async def refused() -> bool:
        return not await answered(scene)

    await until(refused, "the service's certificate has ended")
    assert place.leaf().not_valid_after_utc <= datetime.now(UTC)
    await place.renew()
    await until(lambda: answered(scene), "the new one is taken")


async def further(load: Load, count: int) -> None:
    before = load.total
    await until(lambda: load.total > before + count, f"{count} requests more")


async def reconnecting(scene: Scene) -> bool:
    before = await scene.handshakes()
    for _ in range(20):
        assert await answered(scene)
    return await scene.handshakes() > before + 4


async def renewed(place: Place, authority: Authority) -> bool:
    await place.renew()
    try:
        place.leaf().verify_directly_issued_by(authority.parsed)
    except (InvalidSignature, ValueError):
        return False
    return True


async def shown(place: Place, certificates: Callable[[], Awaitable[str]]) -> bool:
    return f"{place.leaf().serial_number:x}" in await certificates()
