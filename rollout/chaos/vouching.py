"""The lease by which this process says, each second, which faults it stands behind: what is not named ends by itself.

One Lease per process, there only while something is broken. A fault is named no longer than until its end, only while its
namespace is this process', and never again once the API server has not taken a renewal for a while. Knows nothing else
of experiments, nor how proxies learn of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from rollout.api.chaos import ACTIVE_ANNOTATION, LEASE_LABEL
from rollout.api.kinds import LEASE
from rollout.kube.client import Client
from rollout.kube.errors import KubeError, NotFound
from rollout.kube.fence import Territory
from rollout.kube.objects import Key, Object

log = structlog.get_logger(__name__)

RENEW_SECONDS = 1.0
_REQUEST_SECONDS = 2.0
_GIVEN_UP = timedelta(seconds=4)
"""Without a renewal for so long, what was vouched for has ended: naming it again would break things anew."""
_ABANDONED = timedelta(seconds=60)


@dataclass(slots=True)
class _Vouched:
    name: str
    expires: datetime
    renewed: datetime


class Voucher:
    """Vouches for runs by a Lease in `namespace`, named after `identity`, while `run` runs."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        identity: str,
        territory: Territory,
        clock: Callable[[], datetime],
    ) -> None:
        name = "".join(each if each.isalnum() else "-" for each in identity.lower())
        self.key = Key(namespace, f"rollout-chaos-{name[-48:].strip('-')}")
        self._client, self._identity, self._territory = client, identity, territory
        self._clock = clock
        self._active: dict[Key, _Vouched] = {}
        self._changed = asyncio.Event()
        self._written = False
        self._tidied = False

    def vouch(self, experiment: Key, name: str, expires: datetime) -> None:
        """Name a run (`namespace/name/runID`) from now until `drop`, or `expires`."""
        known = self._active.get(experiment)
        if known is not None and known.name == name:
            known.expires = expires
            return
        self._active[experiment] = _Vouched(name, expires, self._clock())
        self._changed.set()

    def drop(self, experiment: Key) -> None:
        """Name it no more, and say so at once."""
        if self._active.pop(experiment, None) is not None:
            self._changed.set()

    def renewed(self, experiment: Key) -> datetime | None:
        """When the last renewal that names it, and that was taken, began; None where it is not vouched for."""
        known = self._active.get(experiment)
        return None if known is None else known.renewed

    async def run(self) -> None:
        """Renew until cancelled; then nothing is vouched for any more."""
        try:
            while True:
                self._changed.clear()
                await self._renew()
                pause = RENEW_SECONDS if self._active or self._written else None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
        finally:
            self._active.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REQUEST_SECONDS):
                    await self._renew()

    async def _renew(self) -> None:
        now = self._clock()
        named = {key: each for key, each in self._active.items() if self._stands(key, each, now)}
        if not named and not self._written:
            return
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                await self._write(sorted(each.name for each in named.values()), now)
        except (KubeError, TimeoutError) as error:
            log.warning("chaos lease not renewed", error=str(error) or "no answer in time")
            return
        for each in named.values():
            each.renewed = now

    def _stands(self, key: Key, vouched: _Vouched, now: datetime) -> bool:
        return (
            now < vouched.expires
            and now - vouched.renewed < _GIVEN_UP
            and self._territory.holds(key.namespace)
        )

    async def _write(self, names: list[str], now: datetime) -> None:
        if not names:
            with contextlib.suppress(NotFound):
                await self._client.delete(LEASE, *self.key)
            self._written = False
            return
        if not self._tidied:
            await self._tidy(now)
        lease = self._lease(names, now)
        try:
            await self._client.patch(LEASE, *self.key, lease)
        except NotFound:
            await self._client.create(LEASE, lease)
        self._written = True

    def _lease(self, names: list[str], now: datetime) -> Object:
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {
                "namespace": self.key.namespace,
                "name": self.key.name,
                "labels": {LEASE_LABEL: "true"},
                "annotations": {ACTIVE_ANNOTATION: json.dumps(names)},
            },
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": 3,
                "renewTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            },
        }

    async def _tidy(self, now: datetime) -> None:
        """Delete what processes that were killed have left; it vouches for nothing, being old."""
        for lease in await self._client.list(
            LEASE, self.key.namespace, label_selector=f"{LEASE_LABEL}=true"
        ):
            renewed = datetime.fromisoformat(lease["spec"]["renewTime"])
            if now - renewed > _ABANDONED:
                with contextlib.suppress(NotFound):
                    await self._client.delete(
                        LEASE, self.key.namespace, str(lease["metadata"]["name"])
                    )
        self._tidied = True
