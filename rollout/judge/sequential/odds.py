"""The conditional binomial e-process: does the canary have more than its share of the bad requests?

Given how many of a tick's requests are bad, and how many went to each arm, the canary's share of the bad ones tells
the ratio of the odds, whatever the error rate is just then. Under the hypothesis `odds <= w0` the likelihood ratio of
`w > w0` has a mean of at most 1 in each tick, also for the hypergeometric counts of small ticks, which spread less than
binomial ones (Hoeffding 1963); so the product over ticks is an e-process, and the mean over a grid of `w` as well
(Lindon & Malek, arXiv 2011.03567; Turner & Gruenwald, arXiv 2302.11401).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rollout.judge.sequential.config import Shares
from rollout.judge.sequential.track import MOST_PER_BLOCK


@dataclass(frozen=True, slots=True)
class Grid:
    """Alternatives, as multiples of the odds that count as equal, and their logs."""

    ratios: tuple[float, ...]
    logs: tuple[float, ...]

    @classmethod
    def of(cls, *ratios: float) -> Grid:
        """The grid of these ratios, each more than 1."""
        return cls(ratios, tuple(math.log(each) for each in ratios))


FAILED = Grid.of(1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)
"""The alternatives for failed requests."""
SLOW = Grid.of(1.3, 2.0, 4.0, 15.0)
"""The alternatives for slow requests: a shift of the whole distribution moves shares by less."""


def grid(config: Shares) -> Grid:
    """The alternatives that are weighed for this metric."""
    return SLOW if config.edges else FAILED


def prices(grid: Grid, share: float, odds: float) -> tuple[float, ...]:
    """What each bad request costs an alternative, a log, when the canary has this share of the requests."""
    equal = math.log1p(share * (odds - 1))
    return tuple([math.log1p(share * (odds * each - 1)) - equal for each in grid.ratios])


def gains(grid: Grid, costs: Sequence[float], canary: int, primary: int) -> list[float]:
    """The log likelihood ratios of a tick with so many bad requests in each arm."""
    bad = canary + primary
    return [canary * log - bad * cost for log, cost in zip(grid.logs, costs, strict=True)]


def cap(share: float, odds: float) -> float:
    """The most that one block may add to the steady evidence: what a single bad request could prove, a log."""
    expected = share * odds / (1 + share * (odds - 1))
    return math.log(min(1 / expected, MOST_PER_BLOCK))
