"""Is a Deployment's rolling update finished, under way, or stuck? Read from its status alone.

The rules and sentences are Flagger's (readiness thresholds in percent of updated pods); two are added: a rollout that
keeps some old pod available but never finishes is stuck once the deadline passed since the canary last moved, and the
moment at which waiting turns into being stuck is answered, so that nobody has to poll for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from rollout.delivery.status import parse_time
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


def readiness(
    deployment: Object, *, threshold: int, deadline: timedelta, since: datetime, now: datetime
) -> Readiness:
    """Judge one Deployment; `since` is when the canary last moved, `threshold` is a percentage."""
    spec, status = deployment["spec"], deployment.get("status") or {}
    until = since + deadline
    if (status.get("observedGeneration") or 0) < deployment["metadata"].get("generation", 0):
        # Nothing in the status speaks of this generation yet, a passed deadline included.
        message = "waiting for rollout to finish: observed deployment generation less than desired generation"
        return Waiting(message, max(until, now + deadline))
    if _condition(status, "Progressing").get("reason") == "ProgressDeadlineExceeded":
        return Stuck(
            f'deployment "{deployment["metadata"]["name"]}" exceeded its progress deadline'
        )
    message = _unfinished(spec, status, threshold)
    if not message:
        return Ready()
    available = _condition(status, "Available")
    if (
        available.get("status") == "False"
        and available.get("reason") == "MinimumReplicasUnavailable"
    ):
        lost = parse_time(available.get("lastUpdateTime"))
        until = max(since, lost) + deadline if lost else until
    return Stuck(message) if now >= until else Waiting(message, until)


def replicas_of(deployment: Object) -> int:
    """How many pods the Deployment asks for; an absent number means one."""
    replicas = deployment["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _unfinished(spec: Object, status: Object, threshold: int) -> str:
    wanted = spec.get("replicas", 1)
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


def _condition(status: Object, type_: str) -> Object:
    conditions: list[Object] = status.get("conditions") or []
    return next((c for c in conditions if c.get("type") == type_), {})
