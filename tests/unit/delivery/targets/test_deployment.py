"""Readiness of a Deployment, as a table of what its status may say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollout.delivery.readiness import Readiness, Ready, Stuck, Waiting
from rollout.delivery.targets import DEPLOYMENTS
from rollout.delivery.targets.target import Patience

NOW = datetime(2026, 1, 20, 23, 0, tzinfo=UTC)
DEADLINE = timedelta(seconds=60)


def judged(
    *,
    threshold: int = 100,
    since: int = 10,
    replicas: int = 4,
    existing: int | None = None,
    generation: int = 2,
    **status: Any,
) -> Readiness:
    status = {
        "observedGeneration": 2,
        "replicas": replicas if existing is None else existing,
        "updatedReplicas": replicas,
        "availableReplicas": replicas,
        **status,
    }
    workload = {
        "metadata": {"name": "catalog", "generation": generation},
        "spec": {"replicas": replicas},
        "status": status,
    }
    began = NOW - timedelta(seconds=since)
    patience = Patience(threshold=threshold, deadline=DEADLINE, since=began, now=NOW)
    return DEPLOYMENTS.readiness(workload, patience)


def condition(type_: str, status: str, reason: str, age: int = 0) -> dict[str, str]:
    when = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": type_, "status": status, "reason": reason, "lastUpdateTime": when}


PREFIX = "waiting for rollout to finish: "
LOST = condition("Available", "False", "MinimumReplicasUnavailable", 59)


@pytest.mark.parametrize(
    ("seen", "state", "message"),
    [
        pytest.param({}, Ready, "", id="all there"),
        pytest.param({"replicas": 0}, Ready, "", id="nothing asked for"),
        pytest.param(
            {"generation": 3},
            Waiting,
            "observed deployment generation less than desired generation",
            id="not observed",
        ),
        pytest.param(
            {"generation": 3, "since": 600},
            Waiting,
            "observed deployment generation less than desired generation",
            id="not observed though long ago",
        ),
        pytest.param(
            {"updatedReplicas": 1},
            Waiting,
            "1 out of 4 new replicas have been updated",
            id="updating",
        ),
        pytest.param(
            {"replicas": 4, "updatedReplicas": 4, "availableReplicas": 3},
            Waiting,
            "3 of 4 (readyThreshold 100%) updated replicas are available",
            id="one missing",
        ),
        pytest.param(
            {"availableReplicas": 3, "threshold": 75}, Ready, "", id="one missing is allowed"
        ),
        pytest.param(
            {"availableReplicas": 2, "threshold": 75},
            Waiting,
            "2 of 3 (readyThreshold 75%) updated replicas are available",
            id="two are not",
        ),
        pytest.param(
            {"availableReplicas": 0, "since": 600, "conditions": [LOST]},
            Waiting,
            "0 of 4 (readyThreshold 100%) updated replicas are available",
            id="unavailable for less than the deadline",
        ),
        pytest.param(
            {"availableReplicas": 0, "since": 60},
            Stuck,
            "0 of 4 (readyThreshold 100%) updated replicas are available",
            id="deadline passed",
        ),
        pytest.param(
            {"updatedReplicas": 1, "since": 600},
            Stuck,
            "1 out of 4 new replicas have been updated",
            id="never finishes although some old pod serves",
        ),
    ],
)
def test_readiness(seen: dict[str, Any], state: type[Readiness], message: str) -> None:
    found = judged(**seen)
    assert isinstance(found, state)
    if not isinstance(found, Ready):
        assert found.message == PREFIX + message


def test_old_pods_are_waited_for() -> None:
    found = judged(replicas=2, existing=3, since=0)
    assert found == Waiting(PREFIX + "1 old replicas are pending termination", NOW + DEADLINE)


def test_the_deployment_gave_up_itself() -> None:
    gave_up = condition("Progressing", "False", "ProgressDeadlineExceeded")
    found = judged(availableReplicas=0, conditions=[gave_up])
    assert found == Stuck('deployment "catalog" exceeded its progress deadline')


def test_what_it_waits_for_ends_at_a_known_moment() -> None:
    found = judged(availableReplicas=0, since=600, conditions=[LOST])
    assert isinstance(found, Waiting)
    assert found.until == NOW + timedelta(seconds=1)
