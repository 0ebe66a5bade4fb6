"""Progressive traffic: the canary's share grows step by step up to a maximum, and may go back in steps as well.

The arithmetic is Flagger's, odd corners included: the last step may pass the maximum, and from a share that the list of
steps does not name the next one is everything. With `mirror`, the canary has copies of requests for one step first.
"""

from __future__ import annotations

from rollout.api.canary import Canary
from rollout.delivery.progress import Progress
from rollout.delivery.routing.router import TOTAL
from rollout.delivery.strategies.step import Step


class Weighted:
    """`stepWeight` or `stepWeights`."""

    label = "canary"

    def next_step(self, canary: Canary, at: Progress) -> Step:
        """More traffic, or copies of it before the first; the end once the greatest share was good."""
        weight = next_weight(canary, at.weight)
        if weight is None:
            return Step(after=None, increases=True, promotes=True)
        if canary.spec.analysis.mirror and not at.begun:
            weight, mirroring = 0, True
        else:
            mirroring = False
        told = f"Advance {canary.name}.{canary.namespace} canary weight {weight}"
        return Step(after=Progress(weight=weight, mirroring=mirroring), told=told, increases=True)

    def last_share(self, canary: Canary) -> int:
        """The greatest of the steps."""
        return last_weight(canary)


def next_weight(canary: Canary, current: int) -> int | None:
    """The canary's share after the next step, or None where it is to be promoted."""
    if current >= canary.max_weight:
        return None
    analysis = canary.spec.analysis
    if analysis.step_weight:
        return min(TOTAL, current + analysis.step_weight)
    steps = (0, *(analysis.step_weights or ()))
    if current in steps[:-1]:
        return min(TOTAL, steps[steps.index(current) + 1])
    return TOTAL


def last_weight(canary: Canary) -> int:
    """The share at which the analysis ends."""
    weight = 0
    while (following := next_weight(canary, weight)) is not None:
        weight = following
    return weight


def next_promotion_weight(canary: Canary, current: int) -> int:
    """The canary's share after the next step back to the primary."""
    step = canary.spec.analysis.step_weight_promotion or TOTAL
    return max(0, current - step)
