"""What can be said of a rolling update, whatever rolls: finished, under way, or stuck. Read from a status alone.

The sentences are Flagger's (readiness thresholds in percent of updated pods). How each kind is judged: `targets`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from rollout.api.kinds import Kind
from rollout.kube.objects import Object


@dataclass(frozen=True, slots=True)
class Ready:
    """As many updated pods are available as the threshold asks for, and no old ones are left."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not yet; `until` is when it counts as stuck if nothing changes."""

    message: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Stuck:
    """It will not become ready by itself."""

    message: str


Readiness: TypeAlias = Ready | Waiting | Stuck


def unobserved(workload: Object, kind: Kind) -> str:
    """That the status speaks of an earlier generation; empty where it does not."""
    status = workload.get("status") or {}
    if (status.get("observedGeneration") or 0) >= workload["metadata"].get("generation", 0):
        return ""
    return (
        f"waiting for rollout to finish: observed {kind.kind.lower()} generation"
        " less than desired generation"
    )


def unfinished(wanted: int, status: Object, threshold: int) -> str:
    """What is missing of so many replicas at the new revision; empty where nothing is."""
    updated = status.get("updatedReplicas") or 0
    existing = status.get("replicas") or 0
    available = status.get("availableReplicas") or 0
    needed = updated * threshold // 100
    if updated < wanted:
        return (
            f"waiting for rollout to finish: {updated} out of {wanted}"
            " new replicas have been updated"
        )
    if existing > updated:
        return (
            f"waiting for rollout to finish: {existing - updated}"
            " old replicas are pending termination"
        )
    if available < needed:
        return (
            f"waiting for rollout to finish: {available} of {needed}"
            f" (readyThreshold {threshold}%) updated replicas are available"
        )
    return ""
