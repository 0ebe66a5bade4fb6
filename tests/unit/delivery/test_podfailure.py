"""Why a pod does not serve, in a clause."""

from __future__ import annotations

import pytest

from rollout.delivery.podfailure import failure, first_failure
from rollout.kube.objects import Object

UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient cpu.",
}


def pod(name: str = "a", *, deleting: bool = False, **status: object) -> Object:
    metadata = {"name": name, **({"deletionTimestamp": "2026-01-20T23:00:00Z"} if deleting else {})}
    return {"metadata": metadata, "status": status}


def container(
    state: Object, *, ready: bool = False, restarts: int = 0, last: Object | None = None
) -> Object:
    return {
        "name": "app",
        "ready": ready,
        "restartCount": restarts,
        "state": state,
        "lastState": last or {},
    }


def waiting(reason: str, message: str = "") -> Object:
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, reason: str = "Error") -> Object:
    return {"terminated": {"exitCode": code, "reason": reason}}


def one(*containers: Object) -> Object:
    return pod(phase="Running", containerStatuses=list(containers))


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        pytest.param(one(container({"running": {}}, ready=True)), "", id="serving"),
        pytest.param(one(container(waiting("ContainerCreating"))), "", id="starting"),
        pytest.param(one(container(waiting(""))), "", id="waiting without a reason"),
        pytest.param(
            one(container(waiting("ImagePullBackOff", 'Back-off pulling\nimage "x"'))),
            'ImagePullBackOff of app (Back-off pulling image "x")',
            id="no image",
        ),
        pytest.param(
            one(container(waiting("CrashLoopBackOff", "back-off 10s"), last=ended(3))),
            "CrashLoopBackOff of app (exit code 3)",
            id="crashing",
        ),
        pytest.param(
            one(container(waiting("CrashLoopBackOff"), last=ended(137, "OOMKilled"))),
            "CrashLoopBackOff of app (OOMKilled, exit code 137)",
            id="out of memory, waiting",
        ),
        pytest.param(
            one(container(ended(137, "OOMKilled"))),
            "OOMKilled of app (OOMKilled, exit code 137)",
            id="out of memory, just now",
        ),
        pytest.param(
            one(container({"running": {}}, restarts=2, last=ended(1))),
            "container app runs but is not ready, after 2 restarts (exit code 1)",
            id="not ready",
        ),
        pytest.param(pod(phase="Pending", conditions=[UNSCHEDULABLE]), "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.", id="no node"),
        pytest.param(pod(phase="Failed", reason="Evicted", message="low on memory"), "Evicted: low on memory", id="evicted"),
        pytest.param(pod(phase="Failed", deleting=True), "", id="going"),
        pytest.param(pod(), "", id="nothing known"),
        pytest.param(
            pod(initContainerStatuses=[container(waiting("CreateContainerConfigError", "no such key"))]),
            "CreateContainerConfigError of app (no such key)",
            id="init container",
        ),
    ],
)  # fmt: skip
def test_failure(subject: Object, expected: str) -> None:
    assert failure(subject) == expected


def test_the_pod_that_tells_most_is_named() -> None:
    slow = {**one(container({"running": {}})), "metadata": {"name": "a"}}
    crashed = {
        **one(container(waiting("CrashLoopBackOff"), last=ended(1))),
        "metadata": {"name": "b"},
    }
    assert first_failure([slow, crashed]) == "pod b: CrashLoopBackOff of app (exit code 1)"
    assert first_failure([slow]) == "pod a: container app runs but is not ready"
    assert first_failure([]) == ""


def test_a_long_message_is_cut() -> None:
    assert len(failure(one(container(waiting("Odd", "x" * 5000))))) < 250
