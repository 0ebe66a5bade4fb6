"""Competes for the leases of the shards, and says at any moment which namespaces are this replica's to act upon.

A shard's work begins after a read of what its last holder wrote; it ends before the lease can be another's, whatever
this process is doing then. Standing by costs no request but the watch. Knows nothing of what the work is.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from rollout.api.kinds import LEASE
from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.errors import KubeError
from rollout.kube.fence import Deposed
from rollout.kube.lease import Acquire, Clock, Lease, Record, Renew, Sighting, Timing, Wait
from rollout.kube.objects import Key
from rollout.kube.shards import GROUP, SHARDS, lease_name, quotas, shard_of
from rollout.kube.standby import Standby
from rollout.kube.store import Change

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """What is competed for: the lease `{group}-leader`, or `{group}-shard-{i}` of several, as `identity`."""

    group: str
    namespace: str
    identity: str
    shards: int = 1
    timing: Timing = field(default_factory=Timing)


class Work(Protocol):
    """What a replica does with the shards that it holds."""

    async def prepare(self, shard: int) -> None:
        """Read what the last holder wrote; a KubeError means that it is tried again."""
        ...

    def begin(self, shard: int) -> None:
        """The shard's namespaces are ours from now on."""
        ...

    def end(self, shard: int) -> None:
        """They are not any more."""
        ...


class Election:
    """This replica's part in a contest, and its territory. Make it before the cache runs.

    `run` competes until cancelled, and gives everything back then.
    """

    def __init__(
        self,
        contest: Contest,
        client: Client,
        cache: Cache,
        work: Work,
        *,
        clock: Clock = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._contest, self._client, self._work, self._clock = contest, client, work, clock
        self._timing = contest.timing
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        label = {GROUP: contest.group}
        self._store = cache.watch(
            LEASE, namespace=contest.namespace, selector={"matchLabels": label}
        )
        self._leases = {
            lease.key: lease
            for lease in (self._lease(shard, label) for shard in range(contest.shards))
        }
        self._by_shard = list(self._leases.values())
        self._standby = Standby(
            client,
            self._store,
            Key(contest.namespace, f"{contest.group}-standby"),
            contest.identity,
            duration=self._timing.duration,
            labels=label,
            clock=clock,
        )
        self._foreign: dict[Key, Sighting] = {}
        self._open: dict[int, int] = {}
        self._writes: Counter[int] = Counter()
        self._quiet = asyncio.Condition()
        self._changes = (asyncio.Event(), asyncio.Event())
        self._store.subscribe(self._changed)

    @property
    def shards(self) -> frozenset[int]:
        """The shards whose work is ours now."""
        return frozenset(filter(self._holds, self._open))

    def shard_of(self, namespace: str) -> int:
        """The shard that a namespace belongs to."""
        return shard_of(namespace, self._contest.shards)

    def holds(self, namespace: str) -> bool:
        """Whether the namespace is ours now."""
        return self._holds(self.shard_of(namespace))

    def _holds(self, shard: int) -> bool:
        """Whether it was held without a gap since its work began: what was refused in a gap has to be begun anew."""
        lease = self._by_shard[shard]
        return lease.held and self._open.get(shard) == lease.term

    @asynccontextmanager
    async def writing(self, namespace: str) -> AsyncIterator[None]:
        """Around one write; it is cut off when the lease may no longer be ours."""
        shard = self.shard_of(namespace)
        lease = self._by_shard[shard]
        if not self.holds(namespace):
            raise Deposed(f"lease {lease.key} is not held", reason="Deposed")
        self._writes[shard] += 1
        try:
            async with asyncio.timeout(lease.held_until - self._clock()):
                yield
        except TimeoutError as error:
            raise Deposed(f"lease {lease.key} ran out", reason="Deposed") from error
        finally:
            self._writes[shard] -= 1
            async with self._quiet:
                self._quiet.notify_all()

    async def run(self) -> None:
        """Compete until cancelled."""
        log.info("competing", identity=self._contest.identity, shards=self._contest.shards)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep())
                group.create_task(self._compete())
        finally:
            await self._leave(range(self._contest.shards))
            if self._contest.shards > 1:
                await self._standby.withdraw()

    async def _keep(self) -> None:
        """Renew what is in our name."""
        while True:
            mine = [lease for lease in self._by_shard if isinstance(lease.may(), Renew)]
            now = self._clock()
            due = [lease for lease in mine if now >= lease.renewal]
            taken = await asyncio.gather(*(lease.renew() for lease in due))
            for shard in self._open.keys() - self.shards:
                self._close(shard)
                self._changes[1].set()
            again = [lease.renewal for lease in mine if lease.held]
            if not all(taken):
                again.append(self._clock() + self._timing.retry / 2)
            await self._pause(self._changes[0], again)

    async def _compete(self) -> None:
        """Take what is missing to our share, and give back what is beyond it."""
        while True:
            await self._begin(self._unopened())
            held = self._held()
            missing = quotas(self._contest.shards, held)[self._me] - held[self._me]
            if missing < 0:
                await self._leave(sorted(self._open)[missing:])
            elif missing and not self._is_contested():
                await self._acquire(missing)
            again = [*self._ends()]
            if self._contest.shards > 1:
                await self._show(held)
            if self._contest.shards > 1 or missing or self._unopened():
                again.append(self._clock() + self._timing.retry * self._rng.uniform(0.5, 1))
            await self._pause(self._changes[1], again)

    def _unopened(self) -> list[int]:
        return [s for s, each in enumerate(self._by_shard) if each.held and s not in self._open]

    @property
    def _me(self) -> str:
        return self._contest.identity

    def _held(self) -> Counter[str]:
        """How many shards each replica that is alive holds."""
        now = self._clock()
        held: Counter[str] = Counter()
        held[self._me] = 0
        if self._contest.shards > 1:
            held.update(dict.fromkeys(self._standby.alive(), 0))
        for lease in self._by_shard:
            seen = lease.seen
            if (
                seen
                and seen.record.holder
                and (now < seen.abandoned or seen.record.holder == self._me)
            ):
                held[seen.record.holder] += 1
        return held

    async def _acquire(self, count: int) -> None:
        free = [
            shard for shard, lease in enumerate(self._by_shard) if isinstance(lease.may(), Acquire)
        ]
        # replicas that look for a free one at the same moment had better not all take the same
        self._rng.shuffle(free)
        tried = free[:count]
        taken = await asyncio.gather(*(self._by_shard[shard].acquire() for shard in tried))
        await self._begin([shard for shard, ok in zip(tried, taken, strict=True) if ok])

    async def _begin(self, shards: list[int]) -> None:
        """Open shards whose leases were just taken, once it is sure that nobody divides the work in another way."""
        if not shards:
            return
        terms = {shard: self._by_shard[shard].term for shard in shards}
        try:
            async with asyncio.timeout(self._timing.renew_deadline - self._timing.retry):
                for lease in await self._client.list(
                    LEASE, self._contest.namespace, f"{GROUP}={self._contest.group}"
                ):
                    self._store.put(lease)
                if self._is_contested():
                    await self._leave(shards)
                    return
                await asyncio.gather(*map(self._work.prepare, shards))
        except (KubeError, TimeoutError) as error:
            log.warning("cannot begin yet", shards=shards, error=str(error))
            return
        for shard, term in terms.items():
            won = self._by_shard[shard]
            if won.held and won.term == term:
                log.info("begins", shard=shard, lease=str(won.key))
                self._open[shard] = term
                self._work.begin(shard)

    async def _leave(self, shards: Iterable[int]) -> None:
        """Stop, let the writes under way end, and give the leases back."""
        await asyncio.gather(*map(self._leave_one, shards))

    async def _leave_one(self, shard: int) -> None:
        if shard in self._open:
            self._close(shard)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.retry), self._quiet:
                await self._quiet.wait_for(lambda: not self._writes[shard])
        if not self._writes[shard]:
            await self._by_shard[shard].give_back()

    def _close(self, shard: int) -> None:
        log.info("ends", shard=shard, lease=str(self._by_shard[shard].key))
        self._open.pop(shard, None)
        self._work.end(shard)

    async def _show(self, held: Counter[str]) -> None:
        try:
            async with asyncio.timeout(self._timing.retry):
                if held[self._me]:
                    await self._standby.withdraw()
                else:
                    await self._standby.announce()
        except (KubeError, TimeoutError) as error:
            log.debug("not announced", error=str(error))

    def _is_contested(self) -> bool:
        """Whether somebody alive divides the work into another number of shards, and so may do what is ours."""
        now = self._clock()
        return any(seen.record.holder and now < seen.abandoned for seen in self._foreign.values())

    def _ends(self) -> Iterable[float]:
        waits = (lease.may() for lease in self._by_shard)
        yield from (each.until for each in waits if isinstance(each, Wait))
        yield from (seen.abandoned for seen in self._foreign.values() if seen.record.holder)

    async def _pause(self, changed: asyncio.Event, until: Iterable[float]) -> None:
        """Until something changes, or the earliest of these moments that is still to come."""
        now = self._clock()
        soonest = min((moment for moment in until if moment > now), default=None)
        with suppress(TimeoutError):
            async with asyncio.timeout(None if soonest is None else soonest - now):
                await changed.wait()
        changed.clear()

    def _changed(self, change: Change) -> None:
        if (lease := self._leases.get(change.key)) is not None:
            lease.see()
        elif change.key == self._standby.key:
            self._standby.see()
        elif change.new is None:
            self._foreign.pop(change.key, None)
        else:
            record, known = Record.parse(change.new), self._foreign.get(change.key)
            if known is None or known.record != record:
                self._foreign[change.key] = Sighting(record, self._clock())
        for event in self._changes:
            event.set()

    def _lease(self, shard: int, label: dict[str, str]) -> Lease:
        contest = self._contest
        name = lease_name(contest.group, shard, contest.shards)
        return Lease(
            self._client,
            self._store,
            Key(contest.namespace, name),
            contest.identity,
            timing=contest.timing,
            labels=label,
            annotations={SHARDS: str(contest.shards)},
            clock=self._clock,
        )
