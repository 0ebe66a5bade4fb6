"""Readiness of DaemonSets and StatefulSets, as tables of what their status may say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollout.api.kinds import DAEMON_SET, STATEFUL_SET, Kind
from rollout.delivery.readiness import Readiness, Ready, Stuck, Waiting
from rollout.delivery.targets import TARGETS
from rollout.delivery.targets.daemonset import SCALED_TO_ZERO
from rollout.delivery.targets.target import Patience

NOW = datetime(2026, 1, 20, 23, 0, tzinfo=UTC)
FULL = {
    DAEMON_SET: ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"),
    STATEFUL_SET: ("replicas", "updatedReplicas", "availableReplicas"),
}


def judged(
    kind: Kind, *, since: int = 10, threshold: int = 100, scaled: bool = True, **status: Any
) -> Readiness:
    selector = {} if scaled else {SCALED_TO_ZERO: "true"}
    workload = {
        "metadata": {"name": "catalog", "generation": 2},
        "spec": {
            "replicas": 4 if scaled else 0,
            "template": {"spec": {"nodeSelector": selector}},
        },
        "status": {"observedGeneration": 2, **dict.fromkeys(FULL[kind], 4), **status},
    }
    began = NOW - timedelta(seconds=since)
    deadline = timedelta(seconds=60)
    return TARGETS[kind].readiness(
        workload, Patience(threshold=threshold, deadline=deadline, since=began, now=NOW)
    )


UPDATED, NODES_UPDATED = "1 out of 4 new replicas have been", "1 out of 4 new pods have been"


@pytest.mark.parametrize(
    ("kind", "seen", "state", "message"),
    [
        pytest.param(DAEMON_SET, {}, Ready, "", id="on every node"),
        pytest.param(DAEMON_SET, {"observedGeneration": 1}, Waiting, "observed daemonset", id="ds"),
        pytest.param(
            DAEMON_SET, {"updatedNumberScheduled": 1}, Waiting, NODES_UPDATED, id="nodes update"
        ),
        pytest.param(
            DAEMON_SET,
            {"numberAvailable": 2, "threshold": 75},
            Waiting,
            "2 of 3 (readyThreshold 75%) updated pods are available",
            id="too few nodes",
        ),
        pytest.param(DAEMON_SET, {"numberAvailable": 3, "threshold": 75}, Ready, "", id="enough"),
        pytest.param(
            DAEMON_SET, {"numberAvailable": 3, "since": 60}, Stuck, "3 of 4", id="nodes too late"
        ),
        pytest.param(
            DAEMON_SET,
            dict.fromkeys(FULL[DAEMON_SET], 0),
            Waiting,
            "no node takes its pods",
            id="no node",
        ),
        pytest.param(
            DAEMON_SET,
            {**dict.fromkeys(FULL[DAEMON_SET], 0), "scaled": False},
            Ready,
            "",
            id="none wanted",
        ),
        pytest.param(STATEFUL_SET, {}, Ready, "", id="all there"),
        pytest.param(STATEFUL_SET, {"observedGeneration": 1}, Waiting, "observed stateful", id="s"),
        pytest.param(
            STATEFUL_SET, {"replicas": 1, "updatedReplicas": 1}, Waiting, UPDATED, id="one by one"
        ),
        pytest.param(STATEFUL_SET, {"updatedReplicas": 1}, Waiting, UPDATED, id="old ones serve"),
        pytest.param(STATEFUL_SET, {"replicas": 5}, Waiting, "1 old replicas are", id="one more"),
        pytest.param(STATEFUL_SET, {"availableReplicas": 3}, Waiting, "3 of 4", id="one missing"),
        pytest.param(
            STATEFUL_SET, {"availableReplicas": 0, "since": 60}, Stuck, "0 of 4", id="too late"
        ),
        pytest.param(
            STATEFUL_SET,
            {**dict.fromkeys(FULL[STATEFUL_SET], 0), "scaled": False},
            Ready,
            "",
            id="no replicas wanted",
        ),
    ],
)
def test_readiness(kind: Kind, seen: dict[str, Any], state: type[Readiness], message: str) -> None:
    found = judged(kind, **seen)
    assert isinstance(found, state)
    if not isinstance(found, Ready):
        assert found.message.startswith(f"waiting for rollout to finish: {message}")
