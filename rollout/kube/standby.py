"""How a replica that holds nothing lets the others know that it is there, so that they leave it a share.

Those that hold a shard are known by its lease. The others renew an annotation of their own on one Lease that nobody
holds: patches of different annotations never conflict. Knows neither shards nor shares.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import suppress

from rollout.api.kinds import LEASE
from rollout.kube.client import Client
from rollout.kube.errors import AlreadyExists, KubeError, NotFound
from rollout.kube.lease import Clock
from rollout.kube.objects import Key, Object, annotations_of
from rollout.kube.store import Store

_PREFIX = "standby.rollout.dev/"


class Standby:
    """The replicas that announce themselves on the Lease `key`, `me` perhaps among them.

    One whose annotation has not changed for `duration` seconds, by the local clock, is gone.
    """

    def __init__(
        self,
        client: Client,
        store: Store,
        key: Key,
        me: str,
        *,
        duration: float,
        labels: Mapping[str, str],
        clock: Clock = time.monotonic,
    ) -> None:
        self.key = key
        self._client, self._store, self._me = client, store, me
        self._duration, self._labels, self._clock = duration, dict(labels), clock
        self._seen: dict[str, tuple[str, float]] = {}
        self._mine = _PREFIX + hashlib.sha256(me.encode()).hexdigest()[:16]
        self._count = 0
        self.see()

    def see(self) -> None:
        """Note what the store says now."""
        lease = self._store.get(*self.key)
        values = annotations_of(lease) if lease else {}
        now = self._clock()
        self._seen = {
            name: known if (known := self._seen.get(name)) and known[0] == value else (value, now)
            for name, value in values.items()
            if name.startswith(_PREFIX)
        }

    def alive(self) -> set[str]:
        """The identities of those that announce themselves."""
        ends = self._clock() - self._duration
        return {value.partition(" ")[0] for value, since in self._seen.values() if since > ends}

    async def announce(self) -> None:
        """Say that we are there, and forget who is gone; raises KubeError."""
        self._count += 1
        ends = self._clock() - self._duration
        gone = {name: None for name, (_, since) in self._seen.items() if since <= ends}
        body = {"metadata": {"annotations": {**gone, self._mine: f"{self._me} {self._count}"}}}
        try:
            answer = await self._client.patch(LEASE, *self.key, body)
        except NotFound:
            with suppress(AlreadyExists):
                await self._client.create(LEASE, self._made(body))
            return
        self._store.put(answer)

    async def withdraw(self) -> None:
        """We hold something now, or leave; without an answer it is seen in time all the same."""
        if self._count:
            with suppress(KubeError):
                body = {"metadata": {"annotations": {self._mine: None}}}
                self._store.put(await self._client.patch(LEASE, *self.key, body))
                self._count = 0

    def _made(self, body: Object) -> Object:
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {
                "namespace": self.key.namespace,
                "name": self.key.name,
                "labels": self._labels,
                **body["metadata"],
            },
            "spec": {},
        }
