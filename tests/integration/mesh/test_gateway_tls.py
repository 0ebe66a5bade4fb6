"""A gateway's TLS on the real Envoy: keys from Secrets, by name and changed under load; and TLS that is passed on."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from rollout.api.kinds import (
    DESTINATION_RULE,
    ENDPOINT_SLICE,
    GATEWAY,
    SECRET,
    SERVICE,
    SERVICE_ENTRY,
    VIRTUAL_SERVICE,
)
from rollout.kube.client import Client
from rollout.kube.errors import NotFound
from rollout.kube.objects import Object
from rollout.mesh.controlplane import ControlPlane
from tests.certificates import Authority, secret_data, server_context
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh.support import (
    Envoy,
    backend,
    control_plane,
    create,
    endpoint_slice,
    envoy,
    free_port,
    own_address,
    serve_backend,
)
from tests.waiting import until

WEB, CATALOG, LOST = "web.example.com", "catalog.example.com", "lost.example.com"
IDENTITY = "mesh-client.example.com"


@dataclass(slots=True)
class Scene:
    """A gateway with a port of HTTPS, one of HTTP, one of TCP and one of TLS that it doesn't end."""

    client: Client
    namespace: str
    plane: ControlPlane
    proxy: Envoy
    ports: dict[str, int]
    authority: Authority

    async def put_secret(self, name: str, **pem: bytes) -> None:
        data = secret_data(**pem)
        try:
            await self.client.patch(SECRET, self.namespace, name, {"data": data})
        except NotFound:
            made = {"metadata": {"name": name}, "data": data}
            await create(self.client, SECRET, self.namespace, made)

    async def certify(self, name: str, host: str) -> bytes:
        certificate, key = self.authority.issue(host)
        await self.put_secret(name, tls_crt=certificate, tls_key=key)
        return certificate

    def context(
        self, identity: tuple[bytes, bytes] | None = None, where: Path | None = None
    ) -> ssl.SSLContext:
        found = ssl.create_default_context(cadata=self.authority.certificate.decode())
        if identity is not None and where is not None:
            path = where / "client.pem"
            path.write_bytes(identity[0] + identity[1])
            found.load_cert_chain(path)
        return found

    async def get(self, host: str, context: ssl.SSLContext | None = None) -> tuple[str, bytes]:
        """The status line of `GET /` over a connection of its own, and the certificate that was shown (DER)."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.ports["https"], ssl=context or self.context(), server_hostname=host
        )
        try:
            writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            line = await asyncio.wait_for(reader.readline(), 30)
            # In TLS 1.3 a server that wants a certificate says so after the handshake.
            return line.decode().strip(), writer.get_extra_info("ssl_object").getpeercert(True)
        finally:
            writer.close()

    async def answers(self, host: str) -> bool:
        try:
            return (await self.get(host))[0] == "HTTP/1.1 200 OK"
        except OSError:
            return False

    async def condition(self) -> Object:
        obj = await self.client.get(GATEWAY, self.namespace, "edge")
        return next(iter((obj.get("status") or {}).get("conditions") or ()), {})


def gateway(namespace: str) -> Object:
    def https(name: str, host: str, **tls: str) -> Object:
        port = {"number": 443, "name": name, "protocol": "HTTPS"}
        return {"port": port, "hosts": [host], "tls": {"credentialName": name, **tls}}

    servers = [
        https("web", WEB, mode="SIMPLE"),
        https("catalog", CATALOG, mode="MUTUAL", minProtocolVersion="TLSV1_2"),
        https("lost", LOST, mode="SIMPLE"),
        {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [WEB], "tls": {"httpsRedirect": True}},
        {"port": {"number": 31400, "name": "tcp", "protocol": "TCP"}, "hosts": ["*"]},
        {"port": {"number": 9443, "name": "sni", "protocol": "TLS"}, "hosts": ["*"], "tls": {"mode": "PASSTHROUGH"}},
    ]  # fmt: skip
    return {"selector": {"istio": f"gateway-{namespace}"}, "servers": servers}


def routes(host: str) -> Object:
    rule = {"route": [{"destination": {"host": "one"}}]}
    return {"hosts": [host], "gateways": ["edge"], "http": [rule]}


@pytest.fixture
async def scene(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> AsyncIterator[Scene]:
    await install_crds(client)
    ports = {name: free_port() for name in ("http", "https", "tcp", "sni")}
    numbers = {"http": 80, "https": 443, "tcp": 31400, "sni": 9443}
    ingress = {
        "metadata": {"name": "ingress"},
        "spec": {
            "selector": {"istio": f"gateway-{namespace}"},
            "ports": [
                {"name": name, "port": numbers[name], "targetPort": ports[name]} for name in ports
            ],
        },
    }
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(backend("one"))
        await create(client, SERVICE, namespace, ingress)
        await serve_backend(client, namespace, one)
        await create(
            client, GATEWAY, namespace, {"metadata": {"name": "edge"}, "spec": gateway(namespace)}
        )
        for name, host in (("web", WEB), ("catalog", CATALOG), ("lost", LOST)):
            await create(
                client,
                VIRTUAL_SERVICE,
                namespace,
                {"metadata": {"name": name}, "spec": routes(host)},
            )
        plane = await stack.enter_async_context(
            control_plane(apiserver.kubeconfig, credential_namespaces=(namespace,))
        )
        proxy = await stack.enter_async_context(envoy(tmp_path, plane.port, namespace=namespace))
        found = Scene(client, namespace, plane, proxy, ports, Authority())
        await found.certify("web", WEB)
        await until(lambda: found.answers(WEB), "HTTPS is served")
        yield found


async def test_each_host_shows_its_own_certificate_and_a_missing_one_closes_its_host_alone(
    scene: Scene, tmp_path: Path
) -> None:
    await scene.certify("catalog", CATALOG)
    await scene.put_secret("catalog-cacert", ca_crt=scene.authority.certificate)
    identity = scene.authority.issue(IDENTITY)
    context = scene.context(identity, tmp_path)

    async def mutual() -> bool:
        try:
            return (await scene.get(CATALOG, context))[0] == "HTTP/1.1 200 OK"
        except OSError:
            return False

    await until(mutual, "the host that wants to know its clients answers those that it knows")
    assert not await scene.answers(CATALOG)
    assert not await scene.answers(LOST)
    lost = f"Secret {scene.namespace}/lost does not exist"

    async def told() -> bool:
        message = (await scene.condition()).get("message", "")
        return lost in message and "catalog" not in message

    await until(told, "what is missing is said, and nothing else")
    await scene.certify("lost", LOST)
    await until(lambda: scene.answers(LOST), "the key that came is used")


async def test_a_key_is_changed_under_load_and_no_request_is_lost(scene: Scene) -> None:
    statuses: set[str] = set()
    shown: set[bytes] = set()
    over = asyncio.Event()
    context = scene.context()

    async def ask() -> int:
        count = 0
        while not over.is_set():
            line, certificate = await scene.get(WEB, context)
            statuses.add(line)
            shown.add(certificate)
            count += 1
        return count

    tasks = [asyncio.ensure_future(ask()) for _ in range(3)]
    await until(lambda: shown, "the first answer")
    for turn in range(5):
        before = len(shown)
        await scene.certify("web", WEB)
        await until(partial(_more, shown, before), f"turn {turn}")
    # A broken one is said, and the last good one stays.
    await scene.put_secret("web", tls_key=b"not a key")

    async def told() -> bool:
        return "web tls.key is not an unencrypted PEM key" in (await scene.condition()).get(
            "message", ""
        )

    await until(told, "the broken key is said")
    over.set()
    counts = await asyncio.gather(*tasks)
    assert statuses == {"HTTP/1.1 200 OK"}
    assert len(shown) == 6
    assert sum(counts) > 30


def _more(shown: set[bytes], than: int) -> bool:
    return len(shown) > than


async def test_clear_text_is_sent_to_https(scene: Scene) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.ports["http"])
    writer.write(f"GET /a?b=1 HTTP/1.1\r\nHost: {WEB}\r\nConnection: close\r\n\r\n".encode())
    answer = (await asyncio.wait_for(reader.read(), 30)).decode()
    writer.close()
    assert answer.startswith("HTTP/1.1 301 Moved Permanently")
    assert f"location: https://{WEB}/a?b=1\r\n" in answer


async def test_a_gateway_is_a_client_with_a_key_from_a_secret(scene: Scene) -> None:
    host, known = f"{scene.namespace}.example.com", []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        known.append(writer.get_extra_info("peercert")["subjectAltName"])
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    context = server_context(*scene.authority.issue(host))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=scene.authority.certificate.decode())
    server = await asyncio.start_server(answer, "0.0.0.0", 0, ssl=context)
    async with server:
        port = {"number": 80, "name": "http", "protocol": "HTTP"}
        endpoints = [
            {"address": own_address(), "ports": {"http": server.sockets[0].getsockname()[1]}}
        ]
        entry = {"hosts": [host], "resolution": "STATIC", "ports": [port], "endpoints": endpoints}
        rule = {
            "host": host,
            "trafficPolicy": {"tls": {"mode": "MUTUAL", "credentialName": "client", "sni": host}},
        }
        for kind, spec in ((SERVICE_ENTRY, entry), (DESTINATION_RULE, rule)):
            await create(
                scene.client, kind, scene.namespace, {"metadata": {"name": "partner"}, "spec": spec}
            )
        route = {"http": [{"route": [{"destination": {"host": host}}]}]}
        await scene.client.patch(VIRTUAL_SERVICE, scene.namespace, "web", {"spec": route})

        async def told() -> bool:
            obj = await scene.client.get(DESTINATION_RULE, scene.namespace, "partner")
            return "client does not exist" in str(obj.get("status"))

        await until(told, "the missing key is said")
        certificate, key = scene.authority.issue(IDENTITY)
        trusted = scene.authority.certificate
        await scene.put_secret("client", tls_crt=certificate, tls_key=key, ca_crt=trusted)
        await until(lambda: scene.answers(WEB), "the partner answers")
    assert known[0] == (("DNS", IDENTITY),)


async def test_tcp_is_echoed_and_tls_is_passed_to_whom_it_asks_for(scene: Scene) -> None:
    client, namespace = scene.client, scene.namespace
    async with AsyncExitStack() as stack:
        for name in ("echo", "tls-one", "tls-two"):
            context = None
            if name != "echo":
                context = server_context(*scene.authority.issue(f"{name}.example.com"))
            server = await asyncio.start_server(_greeter(name), "0.0.0.0", 0, ssl=context)
            await stack.enter_async_context(server)
            target = server.sockets[0].getsockname()[1]
            ports = [{"name": "tcp", "port": 2701, "targetPort": target}]
            await create(
                client, SERVICE, namespace, {"metadata": {"name": name}, "spec": {"ports": ports}}
            )
            piece = endpoint_slice(name, target)
            piece["ports"][0]["name"] = "tcp"
            await create(client, ENDPOINT_SLICE, namespace, piece)
        tcp = {
            "match": [{"port": 31400}],
            "route": [{"destination": {"host": "echo", "port": {"number": 2701}}}],
        }
        sni = [
            {"match": [{"port": 9443, "sniHosts": [f"{name}.example.com"]}], "route": [{"destination": {"host": name}}]}
            for name in ("tls-one", "tls-two")
        ]  # fmt: skip
        spec = {"hosts": ["*"], "gateways": ["edge"], "tcp": [tcp], "tls": sni}
        await create(
            client, VIRTUAL_SERVICE, namespace, {"metadata": {"name": "bytes"}, "spec": spec}
        )
        await until(lambda: _greets(scene.ports["tcp"], "echo"), "TCP is passed on")
        for name in ("tls-one", "tls-two"):
            host = f"{name}.example.com"
            await until(partial(_greets, scene.ports["sni"], name, scene.context(), host), name)
        assert not await _greets(scene.ports["sni"], "", scene.context(), "other.example.com")


def _greeter(name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        writer.write(f"{name} {line.decode()}".encode())
        await writer.drain()
        writer.close()

    return greet


async def _greets(
    port: int, name: str, context: ssl.SSLContext | None = None, host: str | None = None
) -> bool:
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=host
        )
        writer.write(b"hello\n")
        line = await asyncio.wait_for(reader.readline(), 10)
        writer.close()
    except OSError:
        return False
    return line.decode() == f"{name} hello\n"
