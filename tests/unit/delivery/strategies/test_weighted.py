"""The weights of a progressive canary, one after the other, as Flagger takes them."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.api.canary import Canary
from rollout.delivery.strategies.weighted import last_weight, next_promotion_weight, next_weight
from tests.unit.delivery.world import canary


@pytest.mark.parametrize(
    ("analysis", "weights"),
    [
        ({}, [10, 20, 30, 40, 50]),
        ({"stepWeight": 30}, [30, 60]),
        ({"stepWeight": 30, "maxWeight": None}, [30, 60, 90, 100]),
        ({"stepWeight": 100}, [100]),
        ({"stepWeight": None, "stepWeights": [1, 5, 40]}, [1, 5, 40]),
        ({"stepWeight": None, "stepWeights": [50, 100]}, [50, 100]),
    ],
)
def test_steps(analysis: dict[str, Any], weights: list[int]) -> None:
    parsed = Canary.parse(canary(analysis=analysis))
    steps, weight = [], 0
    while (following := next_weight(parsed, weight)) is not None:
        weight = following
        steps.append(weight)
    assert steps == weights
    assert last_weight(parsed) == weights[-1]


def test_a_weight_that_the_list_does_not_name() -> None:
    analysis = {"stepWeight": None, "stepWeights": [1, 5, 40]}
    assert next_weight(Canary.parse(canary(analysis=analysis)), 7) == 100


@pytest.mark.parametrize(("step", "weights"), [(0, [0]), (20, [30, 10, 0]), (50, [0])])
def test_steps_back(step: int, weights: list[int]) -> None:
    parsed = Canary.parse(canary(analysis={"stepWeightPromotion": step}))
    steps, weight = [], 50
    while weight:
        weight = next_promotion_weight(parsed, weight)
        steps.append(weight)
    assert steps == weights
