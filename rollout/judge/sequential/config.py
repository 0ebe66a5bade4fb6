"""What a user may set about a sequential test, for one metric. Knows no test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import TypeAlias

from rollout.judge.thresholds import Bounds

ISTIO_EDGES = (5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0)
"""The edges of istio_request_duration_milliseconds that are watched, in milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """An absolute limit: at most `share` of the requests may be bad at the edge with this index."""

    share: float
    edge: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How a share of bad requests is judged: failed ones, or those slower than each of some edges.

    `alpha` bounds the probability of ever calling a canary worse that is not, `beta` that of calling one not worse that
    is worse than tolerated. `odds`: the ratio of the odds of a bad request, canary to primary, up to which a canary
    counts as equal. `tolerance`: by how much the share may exceed the primary's for a promotion; it may also reach
    `tolerated_odds` times the primary's odds where that is more. `block`: how many ticks one cause of bad requests may
    span; five to ten seconds' worth. `reference`: what the canary is compared with, in a word. Raises ValueError for values
    that make no test.
    """

    metric: str
    edges: tuple[float, ...] = ()
    alpha: float = 0.01
    beta: float = 0.05
    odds: float = 1.2
    tolerance: float = 0.01
    tolerated_odds: float = 1.0
    block: int = 1
    limit: Limit | None = None
    reference: str = "primary"

    def __post_init__(self) -> None:
        _check_errors(self.alpha, self.beta)
        _check(self.block >= 1, "block", self.block, "1 or more")
        _check(self.odds >= 1, "odds", self.odds, "1 or more")
        _check(0 < self.tolerance < 1, "tolerance", self.tolerance, "between 0 and 1")
        _check(self.tolerated_odds >= 1, "tolerated_odds", self.tolerated_odds, "1 or more")
        ascending = all(low < high for low, high in pairwise(self.edges))
        _check(ascending, "edges", self.edges, "ascending")
        if self.limit is not None:
            _check(0 < self.limit.share < 1, "limit.share", self.limit.share, "between 0 and 1")
            _check(0 <= self.limit.edge < self.width, "limit.edge", self.limit.edge, "an edge's")

    @property
    def width(self) -> int:
        """How many counts of bad requests an arm has."""
        return len(self.edges) or 1


class Direction(Enum):
    """Which way a number is bad, by Kayenta's names."""

    INCREASE = "increase"
    DECREASE = "decrease"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """How any number is judged, by its mean over the ticks: against the primary's, or against `limit` where one is set.

    `tolerance`: by which part of the primary's value the canary's may be worse. Raises ValueError as `Shares` does.
    """

    metric: str
    direction: Direction = Direction.INCREASE
    alpha: float = 0.01
    beta: float = 0.05
    tolerance: float = 0.1
    limit: float | None = None
    reference: str = "primary"

    def __post_init__(self) -> None:
        _check_errors(self.alpha, self.beta)
        _check(self.tolerance >= 0, "tolerance", self.tolerance, "0 or more")
        finite = self.limit is None or math.isfinite(self.limit)
        _check(finite, "limit", self.limit, "finite")


Config: TypeAlias = Shares | Mean


def success_rate(
    bounds: Bounds,
    *,
    metric: str = "request-success-rate",
    alpha: float = 0.01,
    beta: float = 0.05,
    tolerance: float = 0.01,
    block: int = 1,
) -> Shares:
    """The success rate, with the `thresholdRange` in percent as its limit; a range that allows everything sets none."""
    share = None if bounds.min is None else 1 - bounds.min / 100
    limit = Limit(share=share) if share is not None and 0 < share < 1 else None
    return Shares(
        metric=metric, alpha=alpha, beta=beta, tolerance=tolerance, block=block, limit=limit
    )


def latency(
    bounds: Bounds,
    *,
    metric: str = "request-duration",
    edges: Sequence[float] = ISTIO_EDGES,
    quantile: float = 0.99,
    alpha: float = 0.01,
    beta: float = 0.05,
    tolerance: float = 0.02,
    block: int = 1,
) -> Shares:
    """The latency, with the `thresholdRange` of a quantile in milliseconds as its limit.

    A histogram knows only its edges, so that the limit is held at the first edge that is not below it.
    """
    above = [i for i, edge in enumerate(edges) if bounds.max is not None and edge >= bounds.max]
    return Shares(
        metric=metric,
        edges=tuple(edges),
        alpha=alpha,
        beta=beta,
        odds=1.1,
        tolerance=tolerance,
        tolerated_odds=2.0,
        block=block,
        limit=Limit(share=1 - quantile, edge=above[0]) if above else None,
    )


def _check_errors(alpha: float, beta: float) -> None:
    _check(0 < alpha < 1, "alpha", alpha, "between 0 and 1")
    _check(0 < beta < 1, "beta", beta, "between 0 and 1")


def _check(sound: bool, field: str, value: object, wanted: str) -> None:  # noqa: FBT001
    if not sound:
        raise ValueError(f"{field} is {value}; it must be {wanted}")
