"""One Lease: who holds it, as seen from here, and how it is taken, kept and given back.

The rules are client-go's: a lease counts as abandoned once its record has not changed for its duration by the local
clock, so that no two clocks are ever compared; and a holder that could not renew stops before another may begin. Knows
neither what is done by whoever holds it, nor why one would want several.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import structlog

from rollout.api.kinds import LEASE
from rollout.kube.client import Client
from rollout.kube.errors import AlreadyExists, Conflict, Forbidden, KubeError, NotFound
from rollout.kube.objects import Key, Object
from rollout.kube.store import Store

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """In seconds. A record that does not change for `duration` is abandoned; a holder renews every `retry` and stops
    `renew_deadline` after the last renewal that it began and that was taken."""

    duration: int = 10
    renew_deadline: float = 7.0
    retry: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a Lease says; `renewed` is the holder's own clock, and is only ever compared with itself."""

    holder: str
    renewed: str
    duration: int
    transitions: int

    @classmethod
    def parse(cls, lease: Object) -> Record:
        """Read a Lease as served."""
        spec = lease.get("spec") or {}
        return cls(
            holder=str(spec.get("holderIdentity") or ""),
            renewed=str(spec.get("renewTime") or ""),
            duration=int(spec.get("leaseDurationSeconds") or 0),
            transitions=int(spec.get("leaseTransitions") or 0),
        )


@dataclass(frozen=True, slots=True)
class Sighting:
    """A record, and when it was first seen to be so, by the local monotonic clock."""

    record: Record
    since: float

    @property
    def abandoned(self) -> float:
        """When it counts as abandoned, unless it changes before."""
        return self.since + self.record.duration


@dataclass(frozen=True, slots=True)
class Acquire:
    """Nobody holds it."""


@dataclass(frozen=True, slots=True)
class Renew:
    """It is in our name."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody holds it, at least until then."""

    until: float


def identity() -> str:
    """This process, among all that ever competed: its pod, and something of its own."""
    return f"{os.environ.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4().hex[:8]}"


def decide(seen: Sighting | None, me: str, now: float) -> Acquire | Renew | Wait:
    """What may be done about a lease; `seen` is None where there is none. `now` is the sightings' clock."""
    if seen is None or not seen.record.holder:
        return Acquire()
    if seen.record.holder == me:
        return Renew()
    return Acquire() if now >= seen.abandoned else Wait(seen.abandoned)


Clock: TypeAlias = Callable[[], float]

_NOT_HELD = float("-inf")


class Lease:
    """One Lease as this process, `me`, sees and holds it; its owner watches leases into `store` and calls `see`."""

    def __init__(
        self,
        client: Client,
        store: Store,
        key: Key,
        me: str,
        *,
        timing: Timing | None = None,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.key, self.me = key, me
        self.held_until = _NOT_HELD
        self.term = 0
        """How often it has begun to be held: another number than before means that there was a gap, however short."""
        self._client, self._store, self._clock = client, store, clock
        self._timing = timing or Timing()
        self._labels, self._annotations = dict(labels or {}), dict(annotations or {})
        self._seen: Sighting | None = None
        self._said = ""
        self._asking = asyncio.Lock()
        self.see()

    @property
    def held(self) -> bool:
        """Whether we may act: nobody else can have begun."""
        return self._clock() < self.held_until

    @property
    def seen(self) -> Sighting | None:
        """The lease as last seen; None where there is none."""
        return self._seen

    @property
    def renewal(self) -> float:
        """When the next renewal is due, for one that is held."""
        return self.held_until - self._timing.renew_deadline + self._timing.retry

    def see(self) -> None:
        """Note what the store says now."""
        lease = self._store.get(*self.key)
        if lease is None:  # whoever creates it next may begin at once
            self._seen, self.held_until = None, _NOT_HELD
            return
        record = Record.parse(lease)
        if self._seen is None or self._seen.record != record:
            self._seen = Sighting(record, self._clock())
        if record.holder != self.me:
            self.held_until = _NOT_HELD

    def may(self) -> Acquire | Renew | Wait:
        """What may be done about it now."""
        return decide(self._seen, self.me, self._clock())

    async def acquire(self) -> bool:
        """Take it if nobody holds it; whether it was taken. What came of a lost answer is seen at the next renewal."""
        async with self._asking:
            return isinstance(self.may(), Acquire) and await self._take()

    async def renew(self) -> bool:
        """Keep it if it is in our name; whether it was kept."""
        async with self._asking:
            return isinstance(self.may(), Renew) and await self._take()

    async def give_back(self) -> None:
        """Let another have it at once; without an answer it is abandoned in time all the same."""
        async with self._asking:
            self.held_until = _NOT_HELD
            lease = self._store.get(*self.key)
            if lease is None or Record.parse(lease).holder != self.me:
                return
            spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
            try:
                async with asyncio.timeout(self._timing.retry):
                    self._keep(await self._client.replace(LEASE, {**lease, "spec": spec}))
            except (KubeError, TimeoutError) as error:
                log.info("a lease was not given back", lease=str(self.key), error=str(error))

    async def _take(self) -> bool:
        began, lease = self._clock(), self._store.get(*self.key)
        try:
            async with asyncio.timeout(self._timing.renew_deadline - self._timing.retry):
                if lease is None:
                    answer = await self._client.create(LEASE, self._made())
                else:
                    answer = await self._client.replace(LEASE, self._mine(lease))
        except (AlreadyExists, Conflict, NotFound):
            await self._look()
            return False
        except (KubeError, TimeoutError) as error:
            self._say(error)
            return False
        self._said = ""
        self._keep(answer)
        if not self.held:
            self.term += 1
        self.held_until = began + self._timing.renew_deadline
        return True

    def _made(self) -> Object:
        now = _micro_time()
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {
                "namespace": self.key.namespace,
                "name": self.key.name,
                "labels": self._labels,
                "annotations": self._annotations,
            },
            "spec": {
                "holderIdentity": self.me,
                "leaseDurationSeconds": self._timing.duration,
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": 0,
            },
        }

    def _mine(self, lease: Object) -> Object:
        """The lease in our name; its resource version lets the write fail where anything changed meanwhile."""
        spec, fresh = lease.get("spec") or {}, self._made()
        if spec.get("holderIdentity") == self.me:
            fresh["spec"]["acquireTime"] = spec.get("acquireTime")
            fresh["spec"]["leaseTransitions"] = spec.get("leaseTransitions") or 0
        else:
            fresh["spec"]["leaseTransitions"] = (spec.get("leaseTransitions") or 0) + 1
        old = lease["metadata"]
        metadata = {
            **old,
            "labels": {**(old.get("labels") or {}), **self._labels},
            "annotations": {**(old.get("annotations") or {}), **self._annotations},
        }
        return {**fresh, "metadata": metadata}

    async def _look(self) -> None:
        """What we knew was not the last: the watch is behind, or another was quicker."""
        try:
            async with asyncio.timeout(self._timing.retry):
                self._keep(await self._client.get(LEASE, *self.key))
        except NotFound:
            self.held_until = _NOT_HELD
        except (KubeError, TimeoutError) as error:
            self._say(error)

    def _keep(self, answer: Object) -> None:
        self._store.put(answer)
        self.see()

    def _say(self, error: Exception) -> None:
        """Once per kind of trouble: it is tried again every few seconds."""
        reason = type(error).__name__
        if self._said == reason:
            return
        self._said = reason
        remedy = (
            "let the service account create, get and update leases of this namespace"
            if isinstance(error, Forbidden)
            else "it is tried again"
        )
        log.warning(
            "lease not taken", lease=str(self.key), error=str(error) or reason, remedy=remedy
        )


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
