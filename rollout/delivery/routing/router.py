"""What every router answers: which objects hold the routes, what they should be for given weights, and what they say.

Routers are pure: they see objects and answer objects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from rollout.api.kinds import Kind
from rollout.delivery.actions import Apply, Delete
from rollout.delivery.affinity import Affinity
from rollout.kube.objects import Object

Lookup: TypeAlias = Callable[[Kind, str], Object | None]
"""An object of the canary's namespace as last seen, by kind and name."""

TOTAL = 100


@dataclass(frozen=True, slots=True)
class Weights:
    """Percent of the traffic to each side, and to the baseline where there is one; always `TOTAL` together."""

    primary: int
    canary: int
    baseline: int = 0

    def __post_init__(self) -> None:
        shares = (self.primary, self.canary, self.baseline)
        if sum(shares) != TOTAL or min(shares) < 0:
            raise ValueError(f"weights {shares} are not shares of {TOTAL}")

    @classmethod
    def of_canary(cls, canary: int) -> Weights:
        """The weights that give the canary this many percent."""
        return cls(TOTAL - canary, canary)

    @classmethod
    def beside_baseline(cls, canary: int) -> Weights:
        """The weights that give the canary this many percent and the baseline as many, or what is left."""
        baseline = min(canary, TOTAL - canary)
        return cls(TOTAL - canary - baseline, canary, baseline)

    @classmethod
    def read(cls, primary: int, canary: int, baseline: int = 0) -> Weights | None:
        """Weights as served; None where they are no percentages."""
        shares = (primary, canary, baseline)
        return cls(*shares) if sum(shares) == TOTAL and min(shares) >= 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How requests are to be shared out. Where the canary's analysis has a `match`, it is about matching requests alone:
    all others are the primary's.
    """

    weights: Weights
    mirroring: bool = False
    """Whether the canary gets copies of the primary's requests (`mirrorWeight` of them, all where unset)."""
    affinity: Affinity = field(default_factory=Affinity)
    """Who stays where whatever the weights say."""


class Router(Protocol):
    """One way of splitting traffic between the primary's, the canary's and the baseline's service."""

    def kinds(self) -> tuple[Kind, ...]:
        """The kinds that must be watched for it."""
        ...

    def routes(self, canary: Object, seen: Lookup, split: Split) -> tuple[Apply, ...]:
        """The writes that bring the routes to this split; each is nothing where it is so already."""
        ...

    def weights(self, canary: Object, seen: Lookup) -> Weights | None:
        """What the served routes say, of matching requests where there is a `match`; None where there are no routes of this
        canary (or they add up to nothing).
        """
        ...

    def obstacle(self, canary: Object, seen: Lookup) -> str:
        """Why the served routes are not in force, or cannot be written, with the remedy; empty where nothing is wrong."""
        ...

    def original(self, canary: Object, seen: Lookup) -> tuple[Apply | Delete, ...]:
        """The writes that end the canary's hold on the traffic: a route that was there before is given back as it was,
        one that the canary brought goes.
        """
        ...
