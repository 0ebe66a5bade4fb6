"""Who gets configuration by a certificate of the mesh's, by real handshakes and on a real Envoy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import ClientSession
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from envoy.service.discovery.v3 import discovery_pb2

from rollout.api.kinds import SECRET, VIRTUAL_SERVICE
from rollout.kube.client import Client
from rollout.mesh.agent.settings import IDENTITY, IDENTITY_FILE
from rollout.mesh.identity import authority as ca
from rollout.mesh.identity import identities as identities_room
from rollout.mesh.identity.wire import METHOD, SERVICE
from rollout.mesh.translate import names
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.mesh import identities
from tests.integration.mesh.identities import Place, Scene, bearer, put, roots, token
from tests.integration.mesh.support import (
    backend,
    create,
    envoy,
    free_port,
    open_gateway,
    serve_backend,
)
from tests.waiting import until

_XDS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
_DENIED, _UNKNOWN = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED
_NO_HANDSHAKE = grpc.StatusCode.UNAVAILABLE
_DAY = timedelta(days=1)


@pytest.fixture
async def scene(
    apiserver: ApiServer, client: Client, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    async with identities.trusted_plane(apiserver, client, namespace, monkeypatch) as made:
        yield made


@dataclass(slots=True)
class Shown:
    """A key and what is shown with it."""

    key: bytes
    chain: bytes

    def channel(self, scene: Scene) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(
            scene.trusted, self.key or None, self.chain or None
        )
        return grpc.aio.secure_channel(f"localhost:{scene.plane.certificate_port}", credentials)


def uri(namespace: str, account: str) -> str:
    return f"spiffe://cluster.local/ns/{namespace}/sa/{account}"


def made(by: ca.Authority, name: str, lifetime: timedelta = _DAY) -> Shown:
    """A certificate of an authority for a name, as the control plane would issue it."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    signed = ca.sign(by, request.decode(), name, lifetime, datetime.now(UTC))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Shown(private, "".join(ca.chain_of(by, signed)[:-1]).encode())


async def authority(scene: Scene) -> ca.Authority:
    """The mesh's own, whose key only its Secret has."""
    secret = await scene.client.get(SECRET, scene.namespace, "istio-ca-secret")
    return ca.read(identities.decoded(secret), datetime.now(UTC))


def first(kind: Any, namespace: str, account: str) -> bytes:
    request = kind(type_url=names.CLUSTER)
    request.node.id = f"sidecar~10.0.0.1~catalog-1.{namespace}~{namespace}.svc.cluster.local"
    request.node.metadata.update({"NAMESPACE": namespace, "SERVICE_ACCOUNT": account})
    return bytes(request.SerializeToString())


_VARIANTS = {
    "DeltaAggregatedResources": (
        discovery_pb2.DeltaDiscoveryRequest,
        discovery_pb2.DeltaDiscoveryResponse,
    ),
    "StreamAggregatedResources": (
        discovery_pb2.DiscoveryRequest,
        discovery_pb2.DiscoveryResponse,
    ),
}


async def asked(
    channel: grpc.aio.Channel,
    namespace: str,
    account: str,
    method: str = "DeltaAggregatedResources",
    text: str = "",
) -> grpc.StatusCode:
    """What becomes of a proxy's first request; OK where it is answered with clusters."""
    request, response = _VARIANTS[method]
    stream: Any = channel.stream_stream(_XDS + method)
    call = stream(metadata=bearer(text) if text else None, timeout=20)
    try:
        await call.write(first(request, namespace, account))
        answer = await call.read()
        if answer is not grpc.aio.EOF:
            assert response.FromString(answer).type_url == names.CLUSTER
            return grpc.StatusCode.OK
        found: grpc.StatusCode = await call.code()
    except grpc.aio.AioRpcError as error:
        return error.code()
    finally:
        call.cancel()
    return found


@pytest.mark.parametrize("method", _VARIANTS)
async def test_a_certificate_gets_its_owners_configuration_and_no_other(
    scene: Scene, method: str
) -> None:
    mine, namespace = await authority(scene), scene.namespace
    async with made(mine, uri(namespace, "catalog")).channel(scene) as channel:
        assert await asked(channel, namespace, "catalog", method) is grpc.StatusCode.OK
        assert await asked(channel, namespace, "other", method) is _DENIED
        assert await asked(channel, "default", "catalog", method) is _DENIED
        issuing: Any = channel.unary_unary(f"/{SERVICE}/{METHOD}")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await issuing(b"", timeout=20)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED, "certificates are for tokens"


async def test_nobody_else_gets_anything(scene: Scene) -> None:
    namespace, mine = scene.namespace, await authority(scene)
    stranger = ca.self_signed(datetime.now(UTC))
    name = uri(namespace, "catalog")
    text = await token(scene.client, namespace, "catalog")
    served = ca.serving(mine, ("localhost",), datetime.now(UTC))
    cases = {
        "no certificate": (Shown(b"", b""), _NO_HANDSHAKE),
        "another root": (made(stranger, name), _NO_HANDSHAKE),
        "over": (made(mine, name, -timedelta(seconds=1)), _NO_HANDSHAKE),
        "another trust domain": (made(mine, name.replace("cluster.local", "other")), _UNKNOWN),
        "a control plane's own": (Shown(served.key, served.certificate), _UNKNOWN),
    }
    for case, (shown, code) in cases.items():
        async with shown.channel(scene) as channel:
            assert await asked(channel, namespace, "catalog", text=text) is code, case


async def test_a_connection_is_worth_no_more_than_its_certificate(scene: Scene) -> None:
    shown = made(await authority(scene), uri(scene.namespace, "catalog"), timedelta(seconds=5))
    async with shown.channel(scene) as channel:
        assert await asked(channel, scene.namespace, "catalog") is grpc.StatusCode.OK

        async def over() -> bool:
            return await asked(channel, scene.namespace, "catalog") is _UNKNOWN

        await until(over, "the certificate ends")


def by_certificate(document: dict[str, Any]) -> None:
    """A bootstrap whose proxy comes with its certificate, and without a token."""
    cluster = document["static_resources"]["clusters"][0]
    [options] = cluster["typed_extension_protocol_options"].values()
    del options["http_filters"]
    source = {"path_config_source": {"path": IDENTITY_FILE}, "resource_api_version": "V3"}
    context = cluster["transport_socket"]["typed_config"]["common_tls_context"]
    context["tls_certificate_sds_secret_configs"] = [{"name": IDENTITY, "sds_config": source}]


async def test_an_envoy_with_a_certificate_is_served_while_roots_change(
    apiserver: ApiServer,
    client: Client,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ages = (("grpc.max_connection_age_ms", 1_000), ("grpc.max_connection_age_grace_ms", 500))
    monkeypatch.setattr(identities_room, "_CONNECTION_AGE", ages)
    await install_crds(client)
    port = free_port()
    await open_gateway(client, namespace, port)

    def routes(host: str) -> dict[str, Any]:
        rule = {"route": [{"destination": {"host": host}}]}
        return {"hosts": ["*"], "gateways": ["edge"], "http": [rule]}

    async with (
        identities.control_plane(apiserver.kubeconfig, namespace, monkeypatch) as plane,
        backend("one") as one,
        backend("two") as two,
        ClientSession() as session,
    ):
        for each in (one, two):
            await serve_backend(client, namespace, each)
        shop = {"metadata": {"name": "shop"}, "spec": routes("one")}
        await create(client, VIRTUAL_SERVICE, namespace, shop)
        place = Place(tmp_path, plane, namespace, "istio-ingressgateway")
        await place.fill(client)

        async def answers() -> str:
            async with session.get(f"http://127.0.0.1:{port}/") as answer:
                found = await answer.json() if answer.status == 200 else {"name": ""}
                return str(found["name"])

        async def lead_to(host: str) -> None:
            found = await client.get(VIRTUAL_SERVICE, namespace, "shop")
            await client.replace(VIRTUAL_SERVICE, {**found, "spec": routes(host)})

            async def there() -> bool:
                return await answers() == host

            await until(there, f"the route to {host} arrives")

        async with envoy(
            tmp_path,
            plane.certificate_port,
            namespace=namespace,
            identity=place.directory,
            changed=by_certificate,
        ) as proxy:

            async def connections() -> int:
                page = await proxy.get("/stats?filter=cluster.xds-grpc.upstream_cx_total")
                return int(page.rsplit(" ", 1)[1])

            await lead_to("two")
            before = await connections()

            async def again() -> bool:
                return await connections() >= before + 2

            await until(again, "its connections age and it comes back")
            await lead_to("one")

            data = ca.self_signed(datetime.now(UTC)).data()
            encoded = {key: identities.encoded(value) for key, value in data.items()}
            metadata = {"namespace": namespace, "name": "cacerts"}
            await client.create(SECRET, {"metadata": metadata, "data": encoded})

            async def by_the_new_one() -> bool:
                put(Path(place.settings.roots_file), await roots(client, namespace))
                await place.renew()
                leaf = place.leaf()
                new = x509.load_pem_x509_certificate(data[ca.CA_CERT])
                return leaf.issuer == new.subject and _signed(leaf, new)

            await lead_to("two")
            await until(by_the_new_one, "its certificate is of the new root")
            before = await connections()
            await until(again, "it comes back with the new one")
            await lead_to("one")


def _signed(leaf: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(by)
    except InvalidSignature:
        return False
    return True
