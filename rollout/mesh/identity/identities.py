"""All that gives proxies their identities, wired: the authority, the roots, the tokens, the service.

Knows nothing of what proxies are configured with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
from cryptography import x509

from rollout.kube.cache import Cache
from rollout.kube.certificates import KeyPair
from rollout.kube.client import Client
from rollout.kube.fence import FencedWriter, Territory
from rollout.kube.writer import Writer
from rollout.mesh.identity.authority import Lifetimes
from rollout.mesh.identity.caller import Caller
from rollout.mesh.identity.keeper import SETTLE, Keeper
from rollout.mesh.identity.roots import RootPublisher
from rollout.mesh.identity.service import CertificateService
from rollout.mesh.identity.tokens import Reviewer
from rollout.mesh.metrics import Metrics
from rollout.mesh.xds.server import Door

_CONNECTION_AGE = (
    ("grpc.max_connection_age_ms", 30 * 60_000),
    ("grpc.max_connection_age_grace_ms", 5_000),
)
"""istiod's half an hour: then proxies spread over the replicas anew, and what a connection was made with is looked at again."""


class Identities:
    """Create it before the cache runs; `ready` is set once certificates can be issued.

    What is not in the `territory` is another's to write; call `look` when that changes.
    """

    def __init__(
        self,
        client: Client,
        cache: Cache,
        namespace: str,
        dns_names: tuple[str, ...],
        metrics: Metrics,
        territory: Territory,
        *,
        settle: timedelta = SETTLE,
        lifetimes: Lifetimes | None = None,
        withheld: Callable[[Caller], str] = lambda _caller: "",
    ) -> None:
        self._publisher = RootPublisher(cache, FencedWriter(Writer(client, cache), territory))
        self._keeper = Keeper(
            client,
            cache,
            namespace,
            dns_names,
            publish=self._publisher.publish,
            territory=territory,
            settle=settle,
            lifetimes=lifetimes,
        )
        self.ready = self._keeper.ready
        reviewer = Reviewer(client)
        self._service = CertificateService(
            reviewer,
            lambda: self._keeper.authority,
            metrics,
            lifetimes=lifetimes,
            withheld=withheld,
        )
        metrics.root_expiry.set_function(self._root_expiry)

    def look(self) -> None:
        """Something may be ours to mend now."""
        self._keeper.look()
        self._publisher.look()

    def door(self) -> Door:
        """How a gRPC server lets callers in who have a token; certificates are issued there too."""
        return Door(
            credentials=_Shown(lambda: (self._keeper.serving, b"")).credentials(),
            authenticate=self._service.authenticate,
            handlers=(self._service.handler(),),
            options=_CONNECTION_AGE,
        )

    def certificate_door(self) -> Door:
        """How it lets in who has a certificate, and nobody else."""
        return Door(
            credentials=_Shown(lambda: (self._keeper.serving, self._keeper.trusted)).credentials(),
            authenticate=self._service.recognize,
            options=_CONNECTION_AGE,
        )

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keeper.run())
            group.create_task(self._publisher.run())

    def _root_expiry(self) -> float:
        if not self.ready.is_set():
            return 0.0
        (root, *_) = self._keeper.authority.roots
        return x509.load_pem_x509_certificate(root).not_valid_after_utc.timestamp()


class _Shown:
    """What a port shows, and by which roots it looks at what is shown to it (none: it asks for nothing).

    What has changed is in force from the next connection on.
    """

    def __init__(self, now: Callable[[], tuple[KeyPair, bytes]]) -> None:
        self._now = now
        self._last = now()

    def credentials(self) -> Any:
        """For a gRPC server."""
        asks = bool(self._last[1])
        return grpc.dynamic_ssl_server_credentials(_configuration(*self._last), self._renewed, asks)

    def _renewed(self) -> Any:
        now = self._now()
        if now == self._last:
            return None
        self._last = now
        return _configuration(*now)


def _configuration(pair: KeyPair, roots: bytes) -> Any:
    pairs = [(pair.key, pair.certificate)]
    return grpc.ssl_server_certificate_configuration(pairs, roots or None)
