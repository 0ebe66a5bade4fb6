"""How a canary gets its traffic, one class per strategy. Pure; knows neither routes nor checks."""

from __future__ import annotations

from rollout.api.canary import KUBERNETES, Canary
from rollout.delivery.strategies.counted import ABTest, Beside, BlueGreen
from rollout.delivery.strategies.step import Strategy
from rollout.delivery.strategies.weighted import Weighted

_WEIGHTED, _AB_TEST, _BLUE_GREEN, _BESIDE = Weighted(), ABTest(), BlueGreen(), Beside()


def strategy_of(canary: Canary) -> Strategy:
    """The strategy that the canary's analysis describes, as its provider can carry it out (`effective`)."""
    analysis = canary.spec.analysis
    if not analysis.iterations:
        return _WEIGHTED
    if canary.spec.provider == KUBERNETES:
        return _BESIDE
    return _AB_TEST if analysis.match else _BLUE_GREEN
