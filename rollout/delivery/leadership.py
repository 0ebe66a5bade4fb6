"""Which canaries this replica looks at: all of them, or those of the shards whose leases it holds.

Wires an election to the work queue. Knows neither leases nor what a look does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager

from rollout.api.kinds import CANARY
from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.election import Contest, Election
from rollout.kube.objects import Key, key_of
from rollout.kube.queue import WorkQueue
from rollout.kube.store import Store


class Leadership:
    """The part of the canaries in `store` that is this replica's; `forget` is called with each that no longer is.

    `moved` is called whenever that part has become another.
    """

    def __init__(
        self,
        contest: Contest,
        client: Client,
        cache: Cache,
        namespace: str | None,
        store: Store,
        queue: WorkQueue[Key],
        forget: Callable[[Key], None],
        moved: Callable[[], None],
    ) -> None:
        self._client, self._namespace = client, namespace
        self._store, self._queue, self._forget, self._moved = store, queue, forget, moved
        self._election = Election(contest, client, cache, self)

    async def run(self) -> None:
        """Compete until cancelled; then what is held is given back."""
        await self._election.run()

    def holds(self, namespace: str) -> bool:
        """Whether the canaries of a namespace are ours now."""
        return self._election.holds(namespace)

    def writing(self, namespace: str) -> AbstractAsyncContextManager[None]:
        """Around one write in a namespace; see `rollout.kube.fence.Territory`."""
        return self._election.writing(namespace)

    async def prepare(self, shard: int) -> None:  # noqa: ARG002 - one list serves all
        """Know every status that the last holder wrote: the watch may be behind."""
        for canary in await self._client.list(CANARY, self._namespace):
            self._store.put(canary)

    def begin(self, shard: int) -> None:
        """Look at every canary of the shard."""
        for key in self._of(shard):
            self._queue.add(key)
        self._moved()

    def end(self, shard: int) -> None:
        """Another looks at them."""
        for key in self._of(shard):
            self._forget(key)
        self._moved()

    def _of(self, shard: int) -> Iterator[Key]:
        for canary in self._store.list():
            key = key_of(canary)
            if self._election.shard_of(key.namespace) == shard:
                yield key
