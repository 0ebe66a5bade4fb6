"""A second reconciler in the same process: what it is given, and what it answers to. Knows of neither what it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from prometheus_client import CollectorRegistry

from rollout.kube.admission import Handler
from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.fence import Territory


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the reconcilers of one process have in common. Tasks begun in `group` end with the process.

    `leases` is a client whose requests wait behind no other's: by leases others learn that this process lives.
    """

    client: Client
    leases: Client
    cache: Cache
    registry: CollectorRegistry
    territory: Territory
    group: asyncio.TaskGroup


class Companion(Protocol):
    """A reconciler beside the one that the process is named after."""

    @property
    def routes(self) -> Mapping[str, Handler]:
        """Its paths of the admission webhook."""
        ...

    async def work(self) -> None:
        """Look at its objects until cancelled; called once the cache is synced."""
        ...

    def moved(self) -> None:
        """The territory is another than it was."""
        ...


Join: TypeAlias = Callable[[Shared], Companion]
"""Makes a companion, before the cache runs."""
