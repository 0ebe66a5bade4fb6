"""Which replica of the control plane writes to the cluster: all of them serve proxies, one says what has become of objects.

Knows neither what is written nor how a lease is won.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.election import Contest, Election
from rollout.kube.fence import Everywhere, Territory


class Leading:
    """Whether this replica writes; without a contest it is alone and always does. A `Territory` that is all or nothing.

    Create it before the cache runs. Those that `follow` are told each time when writing has become this replica's.
    """

    def __init__(self, contest: Contest | None, client: Client, cache: Cache) -> None:
        self._election = Election(contest, client, cache, self) if contest else None
        self._territory: Territory = self._election or Everywhere()
        self._followers: list[Callable[[], None]] = []

    def follow(self, told: Callable[[], None]) -> None:
        """Be told."""
        self._followers.append(told)

    def holds(self, namespace: str) -> bool:
        """Whether this replica writes now."""
        return self._territory.holds(namespace)

    def writing(self, namespace: str) -> AbstractAsyncContextManager[None]:
        """Around one write; see `rollout.kube.fence.Territory`."""
        return self._territory.writing(namespace)

    async def run(self) -> None:
        """Compete until cancelled, and let another write at once then."""
        if self._election is not None:
            await self._election.run()

    async def prepare(self, shard: int) -> None:
        """Nothing: every write is of a difference from what is seen, and refused where that is not the last."""

    def begin(self, shard: int) -> None:  # noqa: ARG002 - there is but one
        """Look at everything that may have to be written."""
        for told in self._followers:
            told()

    def end(self, shard: int) -> None:
        """Nothing: what is written asks first."""
