"""What is kept between two looks at one metric: a few numbers, from which everything else follows.

Only nouns; status.py writes them to `.status` and reads them back. Named tuples, since each tick makes new ones and a
frozen dataclass takes three times as long to make.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from rollout.judge.sequential import limits, odds
from rollout.judge.sequential.config import Config, Mean, Shares
from rollout.judge.sequential.counts import Arm
from rollout.judge.sequential.track import Track


class Edge(NamedTuple):
    """What is kept of one edge. `canary`, `primary`: bad requests since the canary has traffic.

    `history`: the primary's bad requests in completed blocks, those before included; `squares`: the sum of
    bad^2 / total over these blocks; `struck`: how many of them had any; `open`: its bad requests in the open block.
    """

    track: Track
    canary: int = 0
    primary: int = 0
    history: int = 0
    squares: float = 0.0
    struck: int = 0
    open: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """Requests and bad requests of both arms since the canary has traffic."""

    canary: Arm
    primary: Arm


class SharesState(NamedTuple):
    """All that is kept of a metric that counts bad requests.

    `step`: the totals when the step began. `watched`: which edges are compared, chosen when the canary gets traffic.
    `canary`, `primary`: requests since then. `ticks`: all of them, those before included; `blocks`, `history`:
    completed blocks and the primary's requests in them; `open`: its requests in the open block.
    """

    edges: tuple[Edge, ...]
    step: Totals
    limit: Track | None = None
    watched: tuple[int, ...] | None = None
    canary: int = 0
    primary: int = 0
    ticks: int = 0
    blocks: int = 0
    history: int = 0
    open: int = 0

    def totals(self) -> Totals:
        """Everything counted since the canary has traffic."""
        return Totals(
            Arm(self.canary, tuple(edge.canary for edge in self.edges)),
            Arm(self.primary, tuple(edge.primary for edge in self.edges)),
        )


class MeanState(NamedTuple):
    """All that is kept of a metric that is any number: sums over its readings.

    `excess`: the sum of how much worse than tolerated each was; `squares`, `products`: of its squares, and of each with
    the one before; `last`: the last one; `canary`, `primary`: the sums of the readings themselves.
    """

    readings: int = 0
    excess: float = 0.0
    squares: float = 0.0
    products: float = 0.0
    last: float = 0.0
    canary: float = 0.0
    primary: float = 0.0


State: TypeAlias = SharesState | MeanState


def start(config: Config) -> State:
    """Before any evidence."""
    return MeanState() if isinstance(config, Mean) else start_shares(config)


def start_shares(config: Shares) -> SharesState:
    """The same for a metric that counts bad requests."""
    nothing = Arm(0, (0,) * config.width)
    return SharesState(
        edges=(Edge(Track.start(len(odds.grid(config).logs))),) * config.width,
        step=Totals(nothing, nothing),
        limit=Track.start(len(limits.BREACH)) if config.limit else None,
    )
