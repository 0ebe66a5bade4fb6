"""Tests of one arm's share of bad requests against a fixed one: breaching a limit, and keeping within a tolerance.

Knows neither ticks nor the other arm.
"""

from __future__ import annotations

import math
from functools import lru_cache

BREACH = (1.5, 2.0, 5.0, 20.0)
"""The alternatives to the limit, as multiples of it."""
_MOST_SHARE = 0.99
_BEST = 0.2
_NONE = 0.1
"""The part of the stake that is on "no bad request at all"."""


def breach_gains(limit: float, bad: int, total: int) -> tuple[float, ...]:
    """Log likelihood ratios of larger shares against `limit`; their running sums test `share <= limit`."""
    good = total - bad
    return tuple([bad * each + good * other for each, other in _breach(limit)])


@lru_cache(maxsize=64)
def _breach(limit: float) -> tuple[tuple[float, float], ...]:
    """What a bad and a good request say for each alternative."""
    larger = [min(limit * each, (1 + limit) / 2) for each in BREACH]
    return tuple((math.log(each / limit), math.log((1 - each) / (1 - limit))) for each in larger)


def tolerated(share: float, tolerance: float, odds: float) -> float:
    """The share of bad requests from which a canary is too bad to promote, when the primary has `share`."""
    wider = odds * share / (1 + share * (odds - 1)) if odds > 1 else share
    return min(max(share + tolerance, wider), _MOST_SHARE)


def within(
    share: float, too_bad: float, bad: int, total: int, *, factor: float = 1.0, size: float = 1.0
) -> float:
    """The log of the evidence against `share >= too_bad`: the mean of two stakes.

    One on the primary's `share`, discounted by the dispersion `factor`; one on no bad request at all, which is lost with
    the first, and which clusters discount by no more than their mean `size`.
    """
    counted = kept(share, too_bad, bad, total) / factor + math.log(1 - _NONE)
    if bad:
        return counted
    none = -total * math.log(1 - too_bad) / size + math.log(_NONE)
    most = max(counted, none)
    return most + math.log(math.exp(counted - most) + math.exp(none - most))


def kept(share: float, too_bad: float, bad: int, total: int) -> float:
    """The log of the evidence against `share >= too_bad`, betting on the primary's `share`.

    A bet on less than a fifth of what is tolerated would take a single bad request for ruin.
    """
    return log_ratio(max(share, _BEST * too_bad), too_bad, bad, total)


def log_ratio(share: float, against: float, bad: int, total: int) -> float:
    """The log likelihood ratio of two shares, both between 0 and 1."""
    ratio = (total - bad) * math.log((1 - share) / (1 - against))
    return ratio + bad * math.log(share / against) if bad else ratio


def lower(bad: int, total: int, dispersion: float) -> float:
    """A share one standard error below the observed one, so that an uncertain primary excuses nothing."""
    if not total:
        return 0.0
    share = bad / total
    return max(share - math.sqrt(dispersion * share * (1 - share) / total), 0.0)
