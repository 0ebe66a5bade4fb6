"""The likelihood ratios against scipy's distributions: their mean is at most 1 wherever the hypothesis holds."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from rollout.judge.sequential import limits, odds


@pytest.mark.parametrize("grid", [odds.FAILED, odds.SLOW])
@pytest.mark.parametrize(("canary", "primary"), [(1, 9), (5, 45), (50, 50), (30, 3)])
@pytest.mark.parametrize("bad", [1, 3, 8])
@pytest.mark.parametrize("equal", [1.0, 1.2, 3.0])
@pytest.mark.parametrize("true", [0.3, 0.9, 1.0])
def test_a_tick_proves_nothing_on_average_where_the_canary_is_equal(
    grid: odds.Grid, canary: int, primary: int, bad: int, equal: float, true: float
) -> None:
    share = canary / (canary + primary)
    costs = odds.prices(grid, share, equal)
    # The canary's part of the bad requests, given how many there are: exact for any ratio of the odds.
    given = stats.nchypergeom_fisher(canary + primary, bad, canary, true * equal)
    means = [0.0] * len(grid.logs)
    for count in range(max(0, bad - primary), min(bad, canary) + 1):
        gains = odds.gains(grid, costs, count, bad - count)
        means = [m + given.pmf(count) * math.exp(g) for m, g in zip(means, gains, strict=True)]
    assert max(means) <= 1 + 1e-9


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_gains_are_the_ratio_of_binomial_probabilities(share: float) -> None:
    def tilted(ratio: float) -> float:
        return share * ratio / (share * ratio + 1 - share)

    gains = odds.gains(odds.FAILED, odds.prices(odds.FAILED, share, 1.2), 4, 6)
    for ratio, gain in zip(odds.FAILED.ratios, gains, strict=True):
        expected = stats.binom.logpmf(4, 10, tilted(1.2 * ratio)) - stats.binom.logpmf(
            4, 10, tilted(1.2)
        )
        assert gain == pytest.approx(expected)


@pytest.mark.parametrize("limit", [0.001, 0.01, 0.2, 0.9])
def test_breach_is_the_ratio_of_binomial_probabilities_of_larger_shares(limit: float) -> None:
    for times, gain in zip(limits.BREACH, limits.breach_gains(limit, 3, 50), strict=True):
        share = min(limit * times, (1 + limit) / 2)
        assert limit < share < 1
        expected = stats.binom.logpmf(3, 50, share) - stats.binom.logpmf(3, 50, limit)
        assert gain == pytest.approx(expected)


def test_a_bad_request_costs_a_promotion_less_than_ruin() -> None:
    assert -2 < limits.kept(0.0, 0.01, 1, 1) < 0 < limits.kept(0.0, 0.01, 0, 1)
