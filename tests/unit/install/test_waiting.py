from __future__ import annotations

from typing import Any

import pytest

from rollout.install.waiting import complete, pod_problem


def deployment(generation: int = 2, **status: int) -> dict[str, Any]:
    full = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    return {
        "metadata": {"generation": generation},
        "spec": {"replicas": 1},
        "status": full | status,
    }


@pytest.mark.parametrize(
    ("candidate", "done"),
    [
        (deployment(), True),
        (deployment(generation=3), False),
        (deployment(replicas=2), False),
        (deployment(updatedReplicas=0), False),
        (deployment(availableReplicas=0), False),
        ({"metadata": {"generation": 1}, "spec": {"replicas": 1}}, False),
    ],
    ids=["all there", "not seen", "an old pod left", "none updated", "none available", "new"],
)
def test_when_a_deployment_is_complete(candidate: dict[str, Any], *, done: bool) -> None:
    assert complete(candidate) == done


def waiting(reason: str) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": "no such image"}}
    return {"status": {"containerStatuses": [{"name": "web", "state": state}]}}


@pytest.mark.parametrize(
    ("pod", "problem"),
    [
        (waiting("ImagePullBackOff"), "web: ImagePullBackOff no such image"),
        (waiting("ContainerCreating"), ""),
        ({"status": {}}, ""),
        (
            {
                "status": {
                    "conditions": [
                        {"type": "PodScheduled", "status": "False", "message": "0/1 nodes fit"}
                    ]
                }
            },
            "0/1 nodes fit",
        ),
    ],
    ids=["cannot pull", "starting", "new", "fits nowhere"],
)
def test_why_a_pod_does_not_run(pod: dict[str, Any], problem: str) -> None:
    assert pod_problem(pod) == problem
