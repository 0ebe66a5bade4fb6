"""Webhooks that a real API server calls, and whose trust heals by itself."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from rollout.api.kinds import CONFIG_MAP, MUTATING_WEBHOOK, SECRET, VALIDATING_WEBHOOK, Kind
from rollout.kube.admission import AdmissionResponse, AdmissionServer
from rollout.kube.cache import Cache
from rollout.kube.certificates import KeyPair, renew, renewal_time
from rollout.kube.client import Client
from rollout.kube.errors import Invalid, KubeError
from rollout.kube.fence import Everywhere, Territory
from rollout.kube.objects import Key, Object, annotations_of
from rollout.kube.serving import listen
from rollout.kube.webhook_tls import WebhookNames, WebhookTLS, _data
from tests.integration.kube.support import QUICK, background, config_map, running
from tests.waiting import until

DAY = timedelta(days=1)


async def validate(request: Object) -> AdmissionResponse:
    if request["object"]["metadata"]["name"] == "broken":
        raise RuntimeError("a bug")
    if "weight" not in (request["object"].get("data") or {}):
        return AdmissionResponse(allowed=False, message="data.weight is missing (set it)")
    return AdmissionResponse(warnings=["spec.x does nothing yet"])


async def mutate(request: Object) -> AdmissionResponse:
    value = {"path": request["name"]}
    patch = {"op": "add", "path": "/metadata/annotations", "value": value}
    return AdmissionResponse(patch=[patch])


def configuration(kind: Kind, namespace: str, port: int, path: str) -> Object:
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["configmaps"],
    }
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": namespace},
        "webhooks": [
            {
                "name": f"{path}.rollout.dev",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "timeoutSeconds": 5,
                "clientConfig": {"url": f"https://localhost:{port}/{path}"},
                "rules": [rule],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            }
        ],
    }


class Webhook:
    """A running server, its port and its Secret's name."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        lifetime: timedelta = 90 * DAY,
        territory: Territory | None = None,
    ) -> None:
        self.client, self.namespace = client, namespace
        self.sock = listen("127.0.0.1", 0)
        self.port: int = self.sock.getsockname()[1]
        self.names = WebhookNames(
            secret=Key(namespace, "webhook-tls"),
            dns_names=("localhost",),
            mutating=(namespace,),
            validating=(namespace,),
        )
        self.cache = Cache(client, timing=QUICK)
        self.tls = WebhookTLS(
            client, self.cache, self.names, lifetime=lifetime, territory=territory
        )
        routes = {"/validate": validate, "/mutate": mutate}
        self.server = AdmissionServer(self.tls, routes, sock=self.sock)

    async def install(self) -> None:
        for kind, path in ((VALIDATING_WEBHOOK, "validate"), (MUTATING_WEBHOOK, "mutate")):
            body = configuration(kind, self.namespace, self.port, path)
            await self.client.create(kind, body)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with running(self.cache), background(self.server.run()):
            yield

    async def shown(self) -> str:
        """The certificate that a new connection is shown."""
        return await asyncio.to_thread(ssl.get_server_certificate, ("localhost", self.port))

    async def admits(self, name: str) -> Object:
        """Create an object that the webhooks admit, as soon as the API server trusts them."""
        for _ in range(100):
            try:
                return await self.client.create(
                    CONFIG_MAP, config_map(self.namespace, name, weight="1")
                )
            except KubeError as error:
                assert "failed calling webhook" in error.message  # noqa: PT017 - it is repeated
                await asyncio.sleep(0.1)
        raise AssertionError("the webhooks never came to work")


async def test_webhooks_refuse_warn_and_mutate(client: Client, namespace: str) -> None:
    webhook = Webhook(client, namespace)
    await webhook.install()
    async with webhook.serving():
        admitted = await webhook.admits("good")
        assert annotations_of(admitted) == {"path": "good"}
        with pytest.raises(Invalid, match=r"data\.weight is missing \(set it\)"):
            await client.create(CONFIG_MAP, config_map(namespace, "bad"))
        with pytest.raises(KubeError, match="the handler failed"):
            await client.create(CONFIG_MAP, config_map(namespace, "broken", weight="1"))
        assert webhook.server.ready


async def test_an_expired_certificate_is_replaced_at_once(client: Client, namespace: str) -> None:
    """As after a controller that was off for months: the Secret's certificate and its trust are stale."""
    past = datetime.now(UTC) - 100 * DAY
    expired = renew(None, "old-ca", ["localhost"], past, 90 * DAY)
    await client.create(
        SECRET,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"namespace": namespace, "name": "webhook-tls"},
            "type": "kubernetes.io/tls",
            "data": _data(expired),
        },
    )
    webhook = Webhook(client, namespace)
    await webhook.install()
    async with webhook.serving():
        await webhook.admits("good")
        assert (await webhook.shown()).encode() != expired.serving.certificate


async def test_a_certificate_that_expires_while_serving(client: Client, namespace: str) -> None:
    webhook = Webhook(client, namespace, lifetime=timedelta(seconds=6))
    await webhook.install()
    async with webhook.serving():
        await webhook.admits("first")
        first = await webhook.shown()
        expiry = KeyPair(certificate=first.encode(), key=b"").parsed.not_valid_after_utc
        assert renewal_time(KeyPair(certificate=first.encode(), key=b"")) < expiry
        await asyncio.sleep((expiry - datetime.now(UTC)).total_seconds() + 0.5)
        assert await webhook.shown() != first
        await webhook.admits("second")


async def test_what_is_overwritten_or_deleted_is_mended(client: Client, namespace: str) -> None:
    webhook = Webhook(client, namespace)
    async with webhook.serving():
        await until(lambda: webhook.server.ready)
        await webhook.install()  # after the start: it is trusted when it comes
        await webhook.admits("one")

        stray = renew(None, "stray", ["localhost"], datetime.now(UTC), DAY).ca.certificate
        bundle = base64.b64encode(stray).decode()
        body = configuration(VALIDATING_WEBHOOK, namespace, webhook.port, "validate")
        body["webhooks"][0]["clientConfig"]["caBundle"] = bundle
        await client.patch(VALIDATING_WEBHOOK, None, namespace, body)
        await webhook.admits("two")

        before = await webhook.shown()
        await client.delete(SECRET, namespace, "webhook-tls")
        async with asyncio.timeout(10):
            while await webhook.shown() == before:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.1)
        await webhook.admits("three")


async def test_replicas_that_start_together_share_one_authority(
    client: Client, namespace: str
) -> None:
    replicas = [Webhook(client, namespace) for _ in range(3)]
    async with replicas[0].serving(), replicas[1].serving(), replicas[2].serving():
        await until(lambda: all(each.server.ready for each in replicas))
        assert len({await each.shown() for each in replicas}) == 1


class Elsewhere(Everywhere):
    """The territory of a replica that writes only while it is `ours`."""

    ours = False

    def holds(self, namespace: str) -> bool:
        return self.ours


async def test_a_replica_that_does_not_write_serves_with_what_another_wrote(
    client: Client, namespace: str
) -> None:
    territory = Elsewhere()
    follower = Webhook(client, namespace, territory=territory)
    leader = Webhook(client, namespace)
    async with follower.serving():
        await follower.install()
        assert not follower.server.ready
        async with leader.serving():
            await until(lambda: follower.server.ready and leader.server.ready)
            assert await follower.shown() == await leader.shown()
            await follower.admits("one")

        await client.delete(SECRET, namespace, "webhook-tls")
        before = await follower.shown()
        assert not await client.list(SECRET, namespace)
        territory.ours = True
        follower.tls.look()
        async with asyncio.timeout(30):
            while await follower.shown() == before:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.1)
        await follower.admits("two")
