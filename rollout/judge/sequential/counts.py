"""Evidence about shares: how many requests each arm answered in one tick, and how many of them were bad.

Only nouns; knows neither where counts come from nor how they are judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm's requests of a tick. `bad` has one count per edge of the metric, each at most `total`."""

    total: int
    bad: tuple[int, ...]

    def __add__(self, other: Arm) -> Arm:
        """The requests of both; they must be counted against the same edges."""
        return Arm(
            self.total + other.total,
            tuple(mine + its for mine, its in zip(self.bad, other.bad, strict=True)),
        )


@dataclass(frozen=True, slots=True)
class Tick:
    """The requests of both arms in the same stretch of time, as raw differences of counters.

    A tick without canary requests still tells how the primary's bad requests cluster: feed the primary's last minutes
    first, before the canary gets traffic.
    """

    canary: Arm
    primary: Arm

    @classmethod
    def of(cls, canary: tuple[int, int], primary: tuple[int, int]) -> Tick:
        """A tick of a metric with one edge, from (bad, total) of each arm."""
        return cls(Arm(canary[1], (canary[0],)), Arm(primary[1], (primary[0],)))

    def __add__(self, other: Tick) -> Tick:
        """Two ticks as one."""
        return Tick(self.canary + other.canary, self.primary + other.primary)


def merged(ticks: tuple[Tick, ...]) -> Tick:
    """All of them as one tick; at least one. Their order does not matter."""
    return reduce(Tick.__add__, ticks)


@dataclass(frozen=True, slots=True)
class Reading:
    """One number per arm, read at the same time; `primary` is None for a number that has only a limit."""

    canary: float
    primary: float | None = None


Evidence: TypeAlias = Tick | Reading
