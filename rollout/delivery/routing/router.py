"""What every router answers: which objects hold the routes, what they should be for given weights, and what they say.

Routers are pure: they see objects and answer objects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from rollout.api.kinds import Kind
from rollout.delivery.actions import Apply, Delete
from rollout.kube.objects import Object

Lookup: TypeAlias = Callable[[Kind, str], Object | None]
"""An object of the canary's namespace as last seen, by kind and name."""

TOTAL = 100


@dataclass(frozen=True, slots=True)
class Weights:
    """Percent of the traffic to each side; always `TOTAL` together."""

    primary: int
    canary: int

    def __post_init__(self) -> None:
        if self.primary + self.canary != TOTAL or min(self.primary, self.canary) < 0:
            raise ValueError(f"weights {self.primary} and {self.canary} are not shares of {TOTAL}")

    @classmethod
    def of_canary(cls, canary: int) -> Weights:
        """The weights that give the canary this many percent."""
        return cls(TOTAL - canary, canary)


class Router(Protocol):
    """One way of splitting traffic between the primary's and the canary's service."""

    def kinds(self) -> tuple[Kind, ...]:
        """The kinds that must be watched for it."""
        ...

    def routes(self, canary: Object, seen: Lookup, weights: Weights) -> tuple[Apply, ...]:
        """The writes that bring the routes to these weights; each is nothing where it is so already."""
        ...

    def weights(self, canary: Object, seen: Lookup) -> Weights | None:
        """What the served routes say; None where there are no routes of this canary (or they add up to nothing)."""
        ...

    def original(self, canary: Object, seen: Lookup) -> tuple[Apply | Delete, ...]:
        """The writes that end the canary's hold on the traffic: a route that was there before is given back as it was,
        one that the canary brought goes.
        """
        ...
