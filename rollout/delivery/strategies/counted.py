"""Strategies that count checks instead of growing a share: A/B tests and blue/green.

In an A/B test the requests that match are all the canary's while it is judged. In blue/green nobody gets the canary
before it was judged, by load of its own or by copies of requests; then everybody does, while the primary rolls.
"""

from __future__ import annotations

from rollout.api.canary import Canary
from rollout.delivery.progress import Progress
from rollout.delivery.routing.router import TOTAL
from rollout.delivery.strategies.step import Step


class ABTest:
    """`match` with `iterations`."""

    label = "ab-testing"

    def next_step(self, canary: Canary, at: Progress) -> Step:
        """One check more with all matching requests; the end after the last."""
        done = at.iterations + 1
        if done > iterations(canary):
            return Step(after=None, promotes=True)
        return Step(after=Progress(weight=TOTAL, iterations=done), told=_counted(canary, done))

    def last_share(self, _: Canary) -> int:
        """All of the requests that match."""
        return TOTAL


class BlueGreen:
    """`iterations` without `match`."""

    label = "blue-green"

    def next_step(self, canary: Canary, at: Progress) -> Step:
        """One check more without traffic; then all of it; then the end. The last two need approval."""
        done, wanted = at.iterations + 1, iterations(canary)
        mirror = canary.spec.analysis.mirror
        if done <= wanted:
            after = Progress(iterations=done, mirroring=mirror)
            return Step(after=after, told=_counted(canary, done))
        if at.weight == TOTAL:
            return Step(after=None, promotes=True)
        told = "Routing all traffic to canary"
        if mirror:
            told = "Stop traffic mirroring and route all traffic to canary"
        return Step(after=Progress(weight=TOTAL, iterations=wanted + 1), told=told, promotes=True)

    def last_share(self, _: Canary) -> int:
        """Everything."""
        return TOTAL


class Beside(BlueGreen):
    """Blue/green where nothing routes by weights: nobody but hooks ever gets the canary."""

    def next_step(self, canary: Canary, at: Progress) -> Step:
        """One check more; the end after the last."""
        if at.iterations >= iterations(canary):
            return Step(after=None, promotes=True)
        return super().next_step(canary, at)

    def last_share(self, _: Canary) -> int:
        """Nothing."""
        return 0


def iterations(canary: Canary) -> int:
    """How many checks are to be done."""
    return canary.spec.analysis.iterations or 0


def _counted(canary: Canary, done: int) -> str:
    name = f"{canary.name}.{canary.namespace}"
    return f"Advance {name} canary iteration {done}/{iterations(canary)}"
