"""Who gets which certificate and which configuration, by real tokens of a real API server and on real Envoys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from cryptography import x509
from envoy.service.discovery.v3 import discovery_pb2

from rollout.api.kinds import POD, SECRET, SERVICE, SERVICE_ACCOUNT
from rollout.kube.client import Client
from rollout.mesh.identity.authority import Authority, self_signed
from rollout.mesh.identity.roots import NAME
from rollout.mesh.translate import names
from tests.integration.apiserver import ApiServer
from tests.integration.mesh import identities
from tests.integration.mesh.identities import Scene, bearer, channel, request, roots, sign, token
from tests.integration.mesh.support import create, service
from tests.integration.mesh.vouching import vouching
from tests.waiting import until

_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


@pytest.fixture
async def scene(
    apiserver: ApiServer, client: Client, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    async with identities.trusted_plane(apiserver, client, namespace, monkeypatch) as made:
        yield made


async def test_a_certificate_carries_the_tokens_identity_for_a_day(scene: Scene) -> None:
    uri = f"spiffe://cluster.local/ns/{scene.namespace}/sa/catalog"
    mine = await token(scene.client, scene.namespace, "catalog")
    for csr in (request(), request(uri)):
        leaf, *above = await sign(scene.plane, scene.trusted, mine, csr)
        certificate = x509.load_pem_x509_certificate(leaf.encode())
        (root,) = x509.load_pem_x509_certificates(scene.trusted)
        certificate.verify_directly_issued_by(root)
        assert above == [scene.trusted.decode()]
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert extension.critical, "there is no subject"
        assert list(extension.value) == [x509.UniformResourceIdentifier(uri)]
        life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        assert timedelta(hours=24) <= life <= timedelta(hours=24, minutes=5)


async def test_a_certificate_holds_as_long_as_is_asked_for_and_allowed(scene: Scene) -> None:
    mine = await token(scene.client, scene.namespace, "catalog")
    leaf, *_ = await sign(scene.plane, scene.trusted, mine, request(), 60)
    left = x509.load_pem_x509_certificate(leaf.encode()).not_valid_after_utc - datetime.now(UTC)
    assert timedelta(seconds=20) < left <= timedelta(seconds=60)


async def test_an_experiment_withholds_certificates_from_its_targets_pods_alone(
    scene: Scene,
) -> None:
    client, namespace = scene.client, scene.namespace
    tokens = {}
    for name in ("catalog", "payments"):
        await token(client, namespace, name)
        await create(client, SERVICE, namespace, service(name, 80, app=name))
        spec = {"serviceAccountName": name, "containers": [{"name": "app", "image": "app:1"}]}
        labels = {"app": name}
        await create(
            client, POD, namespace, {"metadata": {"name": name, "labels": labels}, "spec": spec}
        )
        pod = await client.get(POD, namespace, name)
        tokens[name] = await token(client, namespace, name, pod=pod)
    async with vouching(client, namespace) as voucher:
        target = {"service": "catalog"}
        await voucher.start("expiry", target=target, fault={"certificateOutage": True})

        async def answer() -> grpc.StatusCode:
            try:
                await sign(scene.plane, scene.trusted, tokens["catalog"], request())
            except grpc.aio.AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        async def withheld() -> bool:
            return await answer() is grpc.StatusCode.UNAVAILABLE

        async def given() -> bool:
            return await answer() is grpc.StatusCode.OK

        await until(withheld, "certificates are withheld")
        _, details = await refused(scene, tokens["catalog"], request())
        assert details == f"withheld by ChaosExperiment {namespace}/expiry"
        assert await sign(scene.plane, scene.trusted, tokens["payments"], request())
        labels = {"experiment": f"{namespace}/expiry"}
        value = scene.plane.metrics.registry.get_sample_value
        assert value("rollout_certificates_withheld_total", labels) == 2
        voucher.dead = True
        await until(given, "the silence of who vouched ends it")


async def refused(scene: Scene, text: str, csr: str) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await sign(scene.plane, scene.trusted, text, csr)
    return caught.value.code(), caught.value.details() or ""


async def test_nobody_gets_a_certificate_that_is_not_his(scene: Scene) -> None:
    client, namespace = scene.client, scene.namespace
    mine = await token(client, namespace, "catalog")
    for_the_api = await token(client, namespace, "catalog", "https://kubernetes.default.svc")
    gone = await token(client, namespace, "gone")
    await client.delete(SERVICE_ACCOUNT, namespace, "gone")
    other = "spiffe://cluster.local/ns/default/sa/admin"
    denied, unknown = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED
    cases = {
        "no token": ("", request(), unknown, "no bearer token"),
        "no token at all": ("nonsense", request(), unknown, "not valid for audience istio-ca"),
        "another audience": (for_the_api, request(), unknown, "not valid for audience istio-ca"),
        "an account that is gone": (gone, request(), unknown, "not valid for audience istio-ca"),
        "another's name": (mine, request(other), denied, "other names than"),
        "no request": (mine, "nonsense", denied, "not a certificate signing request"),
    }
    for case, (text, csr, code, reason) in cases.items():
        found, details = await refused(scene, text, csr)
        assert found is code, (case, details)
        assert reason in details, case


def node(namespace: str, account: str) -> bytes:
    request = discovery_pb2.DeltaDiscoveryRequest(type_url=names.CLUSTER)
    request.node.id = f"sidecar~10.0.0.1~catalog-1.{namespace}~{namespace}.svc.cluster.local"
    request.node.metadata.update({"NAMESPACE": namespace, "SERVICE_ACCOUNT": account})
    return bytes(request.SerializeToString())


async def test_nobody_gets_anothers_configuration(scene: Scene) -> None:
    mine = bearer(await token(scene.client, scene.namespace, "catalog"))
    other = bearer(await token(scene.client, "default", "admin"))
    first = node(scene.namespace, "catalog")
    denied, unknown = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED
    async with channel(scene.plane, scene.trusted) as connected:
        stream: Any = connected.stream_stream(_METHOD)

        async def code(metadata: tuple[tuple[str, str], ...], first: bytes) -> grpc.StatusCode:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stream(iter([first]), metadata=metadata, timeout=20).read()
            return caught.value.code()

        assert await code((), first) is unknown
        assert await code(bearer("nonsense"), first) is unknown
        assert await code(other, first) is denied
        assert await code(mine, node(scene.namespace, "other")) is denied
        call = stream(metadata=mine, timeout=20)
        await call.write(first)
        answer = discovery_pb2.DeltaDiscoveryResponse.FromString(await call.read())
        assert answer.type_url == names.CLUSTER
        call.cancel()


async def test_the_roots_are_mended_wherever_they_are_needed(scene: Scene) -> None:
    client = scene.client
    path = f"/api/v1/namespaces/{scene.namespace}/configmaps/{NAME}"
    await client.request("DELETE", path)
    assert await roots(client, scene.namespace) == scene.trusted
    secret = await client.get(SECRET, scene.namespace, "istio-ca-secret")
    assert {"ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"} == set(secret["data"])


async def test_what_is_issued_is_counted(scene: Scene) -> None:
    mine = await token(scene.client, scene.namespace, "catalog")
    await sign(scene.plane, scene.trusted, mine, request())
    await refused(scene, "nonsense", request())
    value = scene.plane.metrics.registry.get_sample_value
    assert value("citadel_server_csr_count") == 2
    assert value("citadel_server_success_cert_issuance_count") == 1
    refusals = {"status": "UNAUTHENTICATED"}
    assert value("citadel_server_refused_csr_count_total", refusals) == 1
    (root,) = x509.load_pem_x509_certificates(scene.trusted)
    expiry = value("citadel_server_root_cert_expiry_timestamp")
    assert expiry == root.not_valid_after_utc.timestamp()


async def test_the_own_root_survives_a_restart(
    scene: Scene, apiserver: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with identities.control_plane(
        apiserver.kubeconfig, scene.namespace, monkeypatch
    ) as second:
        mine = await token(scene.client, scene.namespace, "catalog")
        _, root = await sign(second, scene.trusted, mine, request())
        assert root.encode() == scene.trusted


async def test_an_authority_of_ones_own_signs_once_everybody_can_trust_it(
    scene: Scene, plugged: Authority
) -> None:
    mine = await token(scene.client, scene.namespace, "catalog")
    data = {key: identities.encoded(value) for key, value in plugged.data().items()}
    metadata = {"namespace": scene.namespace, "name": "cacerts"}
    await scene.client.create(SECRET, {"metadata": metadata, "data": data})

    async def both() -> bytes:
        bundle = await roots(scene.client, scene.namespace)
        return bundle if bundle.count(b"BEGIN") == 2 else b""

    bundle = await until(both, "both roots are published")
    assert scene.trusted in bundle
    _, first = await sign(scene.plane, bundle, mine, request())
    assert first.encode() == scene.trusted, "proxies may not have the new root yet"

    async def by_the_new_one() -> bool:
        chain = await sign(scene.plane, bundle, mine, request())
        return chain[-1].encode() == plugged.roots[0]

    await until(by_the_new_one, "the new authority signs")
    assert await roots(scene.client, scene.namespace) == bundle, "old certificates are still about"


@pytest.fixture
def plugged() -> Authority:
    return self_signed(datetime.now(UTC))
