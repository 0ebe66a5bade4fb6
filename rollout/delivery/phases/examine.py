"""When pods do not become ready, asks for them to be looked at, so that people are told which one fails and why. Pure.

Pods are not watched: those of a canary that waits are read now and then, so that one which is well costs nothing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from rollout.delivery.actions import Decision
from rollout.delivery.readiness import Ready
from rollout.delivery.situation import Situation
from rollout.delivery.status import SETTLED

PATIENCE = timedelta(seconds=5)
"""What pods may take to start before anybody asks why."""
AGAIN = timedelta(seconds=15)
"""What failed is looked at again after this time: a workload's status does not change when a pod fails once more."""


def examined(here: Situation, decision: Decision) -> Decision:
    """The decision; or, where it waits for pods that were not looked at yet, the wish to look at them."""
    late = () if here.status.phase in SETTLED else _late(here)
    if not late or decision.hooks or decision.checks:
        return decision
    begins = (here.status.last_transition or here.now) + PATIENCE
    if here.now < begins:
        return replace(decision, wake=min(decision.wake or begins, begins))
    if here.snapshot.pods is None:
        return replace(decision, examine=late)
    again = here.now + AGAIN
    return replace(decision, wake=min(decision.wake or again, again))


def _late(here: Situation) -> tuple[str, ...]:
    """The workloads that are to have pods and are not ready."""
    sides = [(here.target, here.target_ready), (here.primary, here.primary_ready)]
    if here.compares_afresh:
        sides.append((here.baseline, here.baseline_ready))
    return tuple(
        str(workload["metadata"]["name"])
        for workload, state in sides
        if workload is not None and here.target_kind.pods(workload) and not isinstance(state, Ready)
    )
