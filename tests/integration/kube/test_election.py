"""Replicas compete for leases on a real API server: who holds, who follows, and that nobody acts after it lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from rollout.api.kinds import CONFIG_MAP, LEASE
from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.election import Contest, Election
from rollout.kube.fence import Deposed, FencedWriter
from rollout.kube.lease import Timing
from rollout.kube.writer import Writer
from tests.integration.apiserver import ApiServer
from tests.integration.kube.support import QUICK, config_map, running
from tests.waiting import until

SHORT = Timing(duration=4, renew_deadline=2.0, retry=0.5)


@dataclass(slots=True)
class Replica:
    """One process of several."""

    client: Client
    cache: Cache
    prepared: list[int] = field(default_factory=list)
    began: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    ahead: float = 0.0
    """By how many seconds its clock is ahead: as if it had been busy with something else for so long."""
    election: Election = field(init=False)
    running: asyncio.Future[None] | None = None

    async def prepare(self, shard: int) -> None:
        self.prepared.append(shard)

    def begin(self, shard: int) -> None:
        assert self.prepared[-1:] == [shard] or shard in self.prepared
        self.began.append(shard)

    def end(self, shard: int) -> None:
        self.ended.append(shard)

    def clock(self) -> float:
        return time.monotonic() + self.ahead

    @property
    def count(self) -> int:
        return len(self.election.shards)

    async def stop(self) -> None:
        """As on SIGTERM."""
        if self.running is not None:
            self.running.cancel()
            with suppress(asyncio.CancelledError):
                await self.running

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


@asynccontextmanager
async def replica(
    kubeconfig: Path, namespace: str, identity: str, shards: int = 1
) -> AsyncIterator[Replica]:
    async with await Client.connect(str(kubeconfig)) as client:
        cache = Cache(client, timing=QUICK)
        made = Replica(client, cache)
        contest = Contest(
            group="test", namespace=namespace, identity=identity, shards=shards, timing=SHORT
        )
        made.election = Election(contest, client, cache, made, clock=made.clock)
        async with running(cache), made:
            made.running = asyncio.ensure_future(made.election.run())
            yield made


async def test_one_leads_and_hands_over_at_once(
    apiserver: ApiServer, client: Client, namespace: str
) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(replica(apiserver.kubeconfig, namespace, "first"))
        await until(lambda: first.election.holds("shop"))
        second = await stack.enter_async_context(replica(apiserver.kubeconfig, namespace, "second"))
        await asyncio.sleep(SHORT.duration + SHORT.retry)
        assert first.election.holds("shop"), "renewed"
        assert not second.election.holds("shop")
        lease = await client.get(LEASE, namespace, "test-leader")
        assert lease["spec"]["holderIdentity"] == "first"

        await first.stop()
        assert not first.election.holds("shop")
        assert first.ended == [0]
        await until(lambda: second.election.holds("shop"), seconds=SHORT.duration - 1)
        lease = await client.get(LEASE, namespace, "test-leader")
        assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("second", 1)


async def test_a_holder_that_cannot_renew_stops_before_another_may_begin(
    own_apiserver: ApiServer,
) -> None:
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(replica(own_apiserver.kubeconfig, "default", name))
            for name in ("one", "other")
        ]
        await until(lambda: one.count + other.count == 1)
        holder, follower = (one, other) if one.count else (other, one)
        writer = FencedWriter(Writer(holder.client, holder.cache), holder.election)
        began = asyncio.get_running_loop().time()
        own_apiserver.pause()
        try:
            # a write that hangs is cut off when the lease runs out, long before its own time-out
            with pytest.raises(Deposed):
                await writer.apply(CONFIG_MAP, config_map("default", "late"), None)
            assert asyncio.get_running_loop().time() - began < SHORT.duration
            assert not holder.election.holds("default")
            assert not follower.election.holds("default")
            with pytest.raises(Deposed):
                await writer.delete(CONFIG_MAP, config_map("default", "late"))
            await asyncio.sleep(SHORT.duration)
            assert not follower.election.holds("default"), "nobody can begin without the server"
        finally:
            own_apiserver.resume()
        await until(lambda: one.count + other.count == 1)


async def test_shares_follow_the_replicas(apiserver: ApiServer, namespace: str) -> None:
    async with AsyncExitStack() as stack:
        replicas = [
            await stack.enter_async_context(
                replica(apiserver.kubeconfig, namespace, f"r{number}", shards=6)
            )
            for number in range(3)
        ]

        def shares(*expected: int) -> bool:
            held = [shard for each in replicas for shard in each.election.shards]
            assert len(held) == len(set(held)), "never one shard twice"
            return sorted(each.count for each in replicas) == sorted(expected)

        await until(lambda: shares(2, 2, 2))
        settled = [each.began[:] for each in replicas]
        await asyncio.sleep(2 * SHORT.duration)
        assert [each.began for each in replicas] == settled, "nothing moves without need"

        await replicas[0].stop()
        await until(lambda: shares(0, 3, 3))
        replicas[0] = await stack.enter_async_context(
            replica(apiserver.kubeconfig, namespace, "r9", shards=6)
        )
        await until(lambda: shares(2, 2, 2))


async def test_another_number_of_shards_waits_for_the_present_one(
    apiserver: ApiServer, namespace: str
) -> None:
    async with AsyncExitStack() as stack:
        old = await stack.enter_async_context(replica(apiserver.kubeconfig, namespace, "old"))
        await until(lambda: old.count == 1)
        new = await stack.enter_async_context(replica(apiserver.kubeconfig, namespace, "new", 4))
        await asyncio.sleep(SHORT.duration + 1)
        assert (old.count, new.count) == (1, 0)
        await old.stop()
        await until(lambda: new.count == 4)


async def test_idle_one_lease_is_all_that_is_written(own_apiserver: ApiServer) -> None:
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(replica(own_apiserver.kubeconfig, "default", name))
            for name in ("one", "other")
        ]
        await until(lambda: one.count + other.count == 1)
        await asyncio.sleep(1)
        before = len(own_apiserver.requests())
        await asyncio.sleep(4)
        asked = own_apiserver.requests(skip=before)
        requests = {
            (each["verb"], each["objectRef"]["name"])
            for each in asked
            if "rollout" in each["userAgent"]
        }
        assert requests == {("update", "test-leader")}


async def test_a_lease_that_somebody_annotates_or_deletes_is_held_again(
    apiserver: ApiServer, client: Client, namespace: str
) -> None:
    async with replica(apiserver.kubeconfig, namespace, "only") as only:
        await until(lambda: only.count == 1)
        await client.patch(
            LEASE, namespace, "test-leader", {"metadata": {"annotations": {"a": "b"}}}
        )
        await asyncio.sleep(SHORT.duration)
        assert only.count == 1
        assert only.began == [0]
        await client.delete(LEASE, namespace, "test-leader")
        await until(lambda: only.ended == [0])
        await until(lambda: only.count == 1)


async def test_work_begins_anew_after_a_gap_that_nobody_else_used(
    apiserver: ApiServer, namespace: str
) -> None:
    async with replica(apiserver.kubeconfig, namespace, "only") as only:
        await until(lambda: only.count == 1)
        only.ahead += SHORT.renew_deadline
        # What was to be looked at now was refused, and is not asked for again by anybody else.
        assert not only.election.holds("shop")
        await until(lambda: only.count == 1)
        assert (only.began, only.ended) == ([0, 0], [0])
