"""A cluster without nodes: it plays the Deployment controller, and notes when each canary's status was seen to change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bench.delivering.objects import INTERVAL, NAMESPACES, canary, deployment, name, namespace
from rollout.api.kinds import CANARY, DEPLOYMENT, NAMESPACE
from rollout.kube.cache import Cache
from rollout.kube.client import Client, Patch
from rollout.kube.errors import KubeError
from rollout.kube.objects import Key, Object
from rollout.kube.queue import WorkQueue, run_workers
from rollout.kube.store import Change, Store

_AT_ONCE = 16
_STEPS = frozenset({"Progressing", "Promoting", "Finalising"})


class Bench(Client):
    """A client that the audit log tells from the controller's."""

    def __init__(self, api: Any, **more: Any) -> None:
        super().__init__(api, **more)
        self._api.user_agent = "bench"


@dataclass(slots=True)
class Cluster:
    """What the benchmark does to the cluster, and sees of it."""

    client: Client
    canaries: Store
    late: list[float] = field(default_factory=list)
    _seen: dict[Key, tuple[str, float]] = field(default_factory=dict)
    _stepped: dict[Key, float] = field(default_factory=dict)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def apply(self, count: int) -> float:
        """So many targets, then a Canary for each; when the first Canary was applied."""
        await self._all(
            NAMESPACES,
            lambda i: self.client.create(NAMESPACE, {"metadata": {"name": namespace(i)}}),
        )
        await self._all(count, lambda i: self.client.create(DEPLOYMENT, deployment(i)))
        began = datetime.now(UTC).timestamp()
        await self._all(count, lambda i: self.client.create(CANARY, canary(i)))
        return began

    async def revise(self, index: int, image: str) -> float:
        """Give a target another image; when that was."""
        path = "/spec/template/spec/containers/0/image"
        change = [{"op": "replace", "path": path, "value": image}]
        began = datetime.now(UTC).timestamp()
        where = namespace(index), name(index)
        await self.client.patch(DEPLOYMENT, *where, change, content_type=Patch.JSON)
        return began

    async def reached(self, indices: Iterable[int], phase: str, seconds: float) -> float:
        """Wait until all of these are in a phase; when the last of them was seen there."""
        keys = [Key(namespace(index), name(index)) for index in indices]
        left = set(keys)
        async with asyncio.timeout(seconds):
            while left := {key for key in left if self._seen.get(key, ("", 0.0))[0] != phase}:
                self._moved.clear()
                await self._moved.wait()
        return max(self._seen[key][1] for key in keys)

    def changed(self, change: Change) -> None:
        """A Canary was seen to change."""
        now = datetime.now(UTC).timestamp()
        new, old = _status(change.new), _status(change.old)
        phase = new.get("phase", "")
        if phase != self._seen.get(change.key, ("", 0.0))[0]:
            self._seen[change.key] = phase, now
            self._moved.set()
        if old.get("lastTransitionTime") != new.get("lastTransitionTime"):
            last = self._stepped.get(change.key)
            if last is not None and old.get("phase") in _STEPS:
                self.late.append(now - last - INTERVAL)
            self._stepped[change.key] = now

    async def _all(self, count: int, create: Callable[[int], Awaitable[Object]]) -> None:
        free = asyncio.Semaphore(_AT_ONCE)

        async def one(index: int) -> None:
            async with free:
                await create(index)

        await asyncio.gather(*map(one, range(count)))


def _status(obj: Object | None) -> Object:
    return (obj or {}).get("status") or {}


@asynccontextmanager
async def cluster(kubeconfig: str) -> AsyncIterator[Cluster]:
    """Rolls every Deployment at once, for as long as the block lasts."""
    async with await Bench.connect(kubeconfig) as client:
        cache = Cache(client)
        deployments, canaries = cache.watch(DEPLOYMENT), cache.watch(CANARY)
        queue: WorkQueue[Key] = WorkQueue()
        found = Cluster(client, canaries)
        deployments.subscribe(lambda change: queue.add(change.key))
        canaries.subscribe(found.changed)

        async def roll(key: Key) -> None:
            obj = deployments.get(*key)
            if obj is None or (status := _rolled(obj)) == (obj.get("status") or {}):
                return
            with suppress(KubeError):
                await client.patch(DEPLOYMENT, *key, {"status": status}, subresource="status")

        running = [
            asyncio.ensure_future(each)
            for each in (cache.run(), run_workers(queue, roll, _AT_ONCE))
        ]
        try:
            await cache.synced(30)
            yield found
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def _rolled(obj: Object) -> Object:
    replicas = obj["spec"]["replicas"]
    counts = {
        each: replicas
        for each in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        if replicas
    }
    return {"observedGeneration": obj["metadata"]["generation"], **counts}
