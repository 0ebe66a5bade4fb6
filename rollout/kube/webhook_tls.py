"""Keeps the webhooks' trust whole: a certificate in a Secret that all replicas share, and its authority in the configurations.

Level-triggered: whatever was deleted, overwritten or has expired is mended when it is seen, without a restart. Knows
where the material lies; not what is served with it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from rollout.api.kinds import MUTATING_WEBHOOK, SECRET, VALIDATING_WEBHOOK, Kind
from rollout.kube.cache import Cache
from rollout.kube.certificates import Chain, KeyPair, renew, renewal_time
from rollout.kube.client import Client, Patch
from rollout.kube.errors import AlreadyExists, Conflict, Invalid, NotFound
from rollout.kube.fence import Deposed, Everywhere, Territory
from rollout.kube.objects import Key, Object
from rollout.kube.queue import WorkQueue, run_workers

SERVING_LIFETIME = timedelta(days=90)
LOOK_AGAIN = timedelta(hours=12)  # the longest a machine's clock may jump unnoticed

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookNames:
    """Where everything is: the Secret, the names the API server connects to, the configurations to be trusted in."""

    secret: Key
    dns_names: Sequence[str]
    mutating: Sequence[str] = ()
    validating: Sequence[str] = ()

    @property
    def configurations(self) -> list[tuple[Kind, str]]:
        """All webhook configurations, by kind and name."""
        return [(MUTATING_WEBHOOK, name) for name in self.mutating] + [
            (VALIDATING_WEBHOOK, name) for name in self.validating
        ]


class WebhookTLS:
    """The live SSL context of a webhook server; `loaded` is set once it has a certificate.

    Create it before the cache runs: it watches its Secret and its configurations there. Where the Secret's namespace is
    not in the `territory`, it only takes what another writes; call `look` when that changes.
    """

    def __init__(
        self,
        client: Client,
        cache: Cache,
        names: WebhookNames,
        *,
        lifetime: timedelta = SERVING_LIFETIME,
        territory: Territory | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.loaded = asyncio.Event()
        self._client = client
        self._names = names
        self._lifetime = lifetime
        self._territory = territory or Everywhere()
        self._now = now or (lambda: datetime.now(UTC))
        self._shown: KeyPair | None = None
        self._queue: WorkQueue[str] = WorkQueue(cap=10.0)
        self._watch(cache)

    def _watch(self, cache: Cache) -> None:
        secret = self._names.secret
        stores = [cache.watch(SECRET, namespace=secret.namespace, name=secret.name)]
        stores += [cache.watch(kind, name=name) for kind, name in self._names.configurations]
        for store in stores:
            store.subscribe(lambda _change: self.look())

    def look(self) -> None:
        """Something may be amiss, or ours to mend now."""
        self._queue.add("certificate")

    async def run(self) -> None:
        """Mend what is amiss whenever it is seen, until cancelled."""
        self.look()
        await run_workers(self._queue, self._reconcile, 1)

    async def _reconcile(self, key: str) -> None:
        chain = await self._chain()
        if chain is None:
            return  # the one who writes it is not here; when it comes, this runs again
        if chain.serving != self._shown:
            self._load(chain.serving)
        if self._ours:
            for kind, name in self._names.configurations:
                await self._trust(kind, name, chain.ca.certificate)
        until = renewal_time(chain.serving) - self._now()
        self._queue.add_after(key, min(max(until, timedelta(seconds=1)), LOOK_AGAIN))

    @property
    def _ours(self) -> bool:
        return self._territory.holds(self._names.secret.namespace)

    async def _chain(self) -> Chain | None:
        """The Secret's chain, renewed there first where it is due; another replica may win, then its chain counts."""
        namespace, name = self._names.secret
        while True:
            try:
                secret = await self._client.get(SECRET, namespace, name)
            except NotFound:
                secret = None
            chain = _read(secret) if secret is not None else None
            if not self._ours:
                return chain
            renewed = renew(chain, f"{name}-ca", self._names.dns_names, self._now(), self._lifetime)
            if renewed == chain:
                return renewed
            try:
                async with self._territory.writing(namespace):
                    if secret is None:
                        await self._client.create(SECRET, _secret(namespace, name, renewed))
                    else:
                        await self._client.replace(SECRET, {**secret, "data": _data(renewed)})
            except (AlreadyExists, Conflict):
                continue
            log.info("webhook certificate issued", secret=f"{namespace}/{name}")
            return renewed

    def _load(self, serving: KeyPair) -> None:
        # the ssl module reads certificates from files only; this one is in memory, so the key touches no disk
        with os.fdopen(os.memfd_create("serving.pem"), "wb") as file:
            file.write(serving.certificate + serving.key)
            file.flush()
            self.context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
        self._shown = serving
        self.loaded.set()

    async def _trust(self, kind: Kind, name: str, ca: bytes) -> None:
        try:
            configuration = await self._client.get(kind, None, name)
        except NotFound:
            return  # watched: when it comes, this runs again
        bundle = base64.b64encode(ca).decode()
        operations = [
            operation
            for index, webhook in enumerate(configuration.get("webhooks") or ())
            if webhook["clientConfig"].get("caBundle") != bundle
            for operation in (
                # fails where somebody has reordered the webhooks meanwhile
                {"op": "test", "path": f"/webhooks/{index}/name", "value": webhook["name"]},
                {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": bundle},
            )
        ]
        if not operations:
            return
        try:
            async with self._territory.writing(self._names.secret.namespace):
                await self._client.patch(kind, None, name, operations, content_type=Patch.JSON)
        except (NotFound, Invalid, Deposed) as error:
            log.info("webhook configuration changed meanwhile", name=name, error=str(error))
            self._queue.add_backoff("certificate")
        else:
            log.info("webhook configuration trusts the authority", kind=kind.kind, name=name)


def _read(secret: Object) -> Chain | None:
    """The chain in the Secret; None where there is none that can be read."""
    data = secret.get("data") or {}
    try:
        parts = {
            name: base64.b64decode(data[name], validate=True)
            for name in ("ca.crt", "ca.key", "tls.crt", "tls.key")
        }
    except (KeyError, binascii.Error):
        return None
    return Chain(
        ca=KeyPair(certificate=parts["ca.crt"], key=parts["ca.key"]),
        serving=KeyPair(certificate=parts["tls.crt"], key=parts["tls.key"]),
    )


def _data(chain: Chain) -> dict[str, str]:
    parts = {
        "ca.crt": chain.ca.certificate,
        "ca.key": chain.ca.key,
        "tls.crt": chain.serving.certificate,
        "tls.key": chain.serving.key,
    }
    return {name: base64.b64encode(part).decode() for name, part in parts.items()}


def _secret(namespace: str, name: str, chain: Chain) -> Object:
    return {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": "rollout"},
        },
        "type": "kubernetes.io/tls",
        "data": _data(chain),
    }
