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
from rollout.mesh.identity.authority import Lifetimes
from rollout.mesh.identity.keeper import SETTLE, Keeper
from rollout.mesh.identity.roots import RootPublisher
from rollout.mesh.identity.service import CertificateService
from rollout.mesh.identity.tokens import Caller, Reviewer
from rollout.mesh.metrics import Metrics
from rollout.mesh.xds.server import Door


class Identities:
    """Create it before the cache runs; `ready` is set once certificates can be issued."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        namespace: str,
        dns_names: tuple[str, ...],
        metrics: Metrics,
        *,
        settle: timedelta = SETTLE,
        lifetimes: Lifetimes | None = None,
        withheld: Callable[[Caller], str] = lambda _caller: "",
    ) -> None:
        self._publisher = RootPublisher(client, cache)
        self._keeper = Keeper(
            client,
            cache,
            namespace,
            dns_names,
            publish=self._publisher.publish,
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
        self._shown: KeyPair | None = None
        metrics.root_expiry.set_function(self._root_expiry)

    def door(self) -> Door:
        """How a gRPC server lets callers in; a new certificate is shown from the next connection on."""
        self._shown = self._keeper.serving
        shown = _configuration(self._shown)
        return Door(
            credentials=grpc.dynamic_ssl_server_credentials(shown, self._renewed),
            authenticate=self._service.authenticate,
            handlers=(self._service.handler(),),
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

    def _renewed(self) -> Any:
        serving = self._keeper.serving
        if serving is self._shown:
            return None
        self._shown = serving
        return _configuration(serving)


def _configuration(pair: KeyPair) -> Any:
    return grpc.ssl_server_certificate_configuration([(pair.key, pair.certificate)])
