"""What people see of canaries, line by line. Written anew by `--update-goldens`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from rollout.cli.canary import render
from rollout.cli.canary.explain import explain
from rollout.cli.canary.view import CanaryView, view
from rollout.delivery.targets import DEPLOYMENTS
from rollout.kube.objects import Object
from tests.unit.delivery.world import canary, deployment, target, target_ref

GOLDEN = Path(__file__).parent / "cli"
NOW = datetime(2026, 1, 20, 22, 50, tzinfo=UTC)


def ago(**span: int) -> str:
    return (NOW - timedelta(**span)).isoformat().replace("+00:00", "Z")


def step(weight: int, *, advanced: bool, value: str, verdict: str, message: str = "") -> Object:
    check = {
        "metric": "request-success-rate",
        "verdict": verdict,
        "value": value,
        "threshold": ">= 99",
        "message": message,
    }
    slow = {
        "metric": "request-duration",
        "verdict": "NoData",
        "threshold": "<= 500",
        "message": "no such series",
    }
    return {
        "time": ago(seconds=4),
        "revision": "v1-2",
        "weight": weight,
        "advanced": advanced,
        "checks": [check, slow] if not advanced else [check],
    }


def pod(
    name: str, *, state: Object, ready: bool, restarts: int = 0, last: Object | None = None
) -> Object:
    container = {
        "name": "catalog",
        "ready": ready,
        "restartCount": restarts,
        "state": state,
        "lastState": last or {},
    }
    return {
        "metadata": {"name": name, "labels": {"app": "catalog"}},
        "spec": {"containers": [{"name": "catalog"}]},
        "status": {
            "phase": "Running",
            "startTime": ago(minutes=3),
            "containerStatuses": [container],
        },
    }


RUNS = [
    {"revision": "v1-0", "phase": "Initialized", "startTime": ago(days=3), "endTime": ago(days=3)},
    {
        "revision": "v1-1",
        "phase": "Succeeded",
        "startTime": ago(hours=5),
        "endTime": ago(hours=4, minutes=40),
    },
    {
        "revision": "v1-bad",
        "phase": "Failed",
        "startTime": ago(hours=1),
        "endTime": ago(minutes=50),
        "reason": "Rolling back catalog-release.shop failed checks threshold reached 5: success rate 69.17% < 99%",
    },
    {"revision": "v1-2", "phase": "Progressing", "startTime": ago(minutes=3)},
]
FINE: Object = {"running": {}}
CRASHED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
LOOPING = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}


def shown(phase: str, weight: int = 0, **more: object) -> Object:
    conditions = [
        {"type": "Promoted", "status": "Unknown", "reason": phase, "message": f"It is {phase}."}
    ]
    return {
        "phase": phase,
        "canaryWeight": weight,
        "failedChecks": 0,
        "lastTransitionTime": ago(seconds=4),
        "conditions": conditions,
        **more,
    }


def made(
    status: Object,
    *,
    suspend: bool = False,
    image: str = "catalog:1",
    pods: bool = True,
    iterations: int = 0,
    afresh: bool = False,
) -> CanaryView:
    target, primary, baseline = deployment(image), deployment(), deployment()
    primary["metadata"] = {**primary["metadata"], "name": "catalog-primary"}
    baseline["metadata"] = {**baseline["metadata"], "name": "catalog-baseline"}
    for each in (target, primary, baseline):
        each["status"] = {"updatedReplicas": 2, "availableReplicas": 2}
    counted = {"stepWeight": None, "maxWeight": None, "iterations": iterations}
    judge = {"judge": {"method": "sequential", "baseline": "fresh"}} if afresh else {}
    release = canary(suspend=suspend, analysis=counted if iterations else judge)
    release["status"] = {"lastAppliedSpec": DEPLOYMENTS.revision(target), **status}
    both = {
        "catalog": [
            pod("catalog-b", state=LOOPING, ready=False, restarts=4, last=CRASHED),
            pod("catalog-a", state=FINE, ready=True),
        ],
        "catalog-primary": [pod("catalog-primary-a", state=FINE, ready=True)],
    }
    workloads = {"catalog": target, "catalog-primary": primary}
    if afresh:
        workloads["catalog-baseline"] = baseline
    return view(release, workloads, both if pods else {})


def of_kind(kind: str, **status: object) -> CanaryView:
    """A canary of this kind of target, progressing, whose target has its new revision on two of three nodes."""
    workload, primary = target(kind), target(kind)
    primary["metadata"] = {**primary["metadata"], "name": "catalog-primary"}
    nodes = {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 2}
    counted = {"updatedReplicas": 2, "availableReplicas": 2}
    for each in (workload, primary):
        each["status"] = nodes if kind == "DaemonSet" else counted
    release = canary(targetRef=target_ref(kind))
    release["status"] = shown("Progressing", 20, **status)
    pods = {"catalog": [pod("catalog-0", state=FINE, ready=True)]}
    return view(release, {"catalog": workload, "catalog-primary": primary}, pods)


HELD = made(
    shown(
        "Progressing",
        20,
        failedChecks=1,
        analysis=[
            step(
                20,
                advanced=False,
                value="69.17",
                verdict="Failed",
                message="success rate 69.17% < 99%",
            )
        ],
        history=RUNS,
    )
)
FAILURES = "request-success-rate: {}: failed requests: canary {}, primary 1 of 1240 (0.0806 %){}; evidence {} of {}"


def judged(verdict: str, message: str, **numbers: object) -> Object:
    """What a status says of the judge; of latency nothing was seen yet."""
    failed = {"name": "request-success-rate", "verdict": verdict, "message": message, **numbers}
    slow = {
        "name": "request-duration",
        "verdict": "Undecided",
        "message": "request-duration: undecided: requests slower than 250 ms: canary no requests",
        "canary": "0 of 0",
        "primary": "0 of 0",
        "evidence": "1",
        "bound": "20",
    }
    return {
        "since": ago(seconds=14),
        "until": ago(seconds=2),
        "source": "proxies",
        "verdict": verdict,
        "message": message,
        "metrics": [failed, slow],
    }


UNDECIDED = judged(
    "Undecided",
    FAILURES.format("undecided", "0 of 138 (0 %)", "", "3.4", "20 that it stays below 1 %")
    + "; about 202 more canary requests to a decision at these rates, 20 s at 9.9 requests a second",
    canary="0 of 138",
    primary="1 of 1240",
    evidence="3.4",
    bound="20",
    more=202,
)
COMPARED = judged(
    "Undecided",
    UNDECIDED["message"].replace("primary", "baseline"),
    canary="0 of 138",
    baseline="1 of 140",
    evidence="3.4",
    bound="20",
    more=202,
)
WORSE = judged(
    "Worse",
    FAILURES.format(
        "worse",
        "9 of 138 (6.52 %)",
        ", 81 times as many",
        "380",
        "200 that it is worse than the primary",
    ),
    canary="9 of 138",
    primary="1 of 1240",
    evidence="380",
    bound="200",
)
VIEWS = {
    "held": HELD,
    "judged": made(shown("Progressing", 10, judge=UNDECIDED), pods=False),
    "judged-afresh": made(shown("Progressing", 10, judge=COMPARED), pods=False, afresh=True),
    "judged-worse": made(shown("Failed", judge=WORSE, history=RUNS[:3]), pods=False),
    "new": made({}, pods=False),
    "paused": made(
        shown(
            "Progressing", 30, analysis=[step(20, advanced=True, value="99.9", verdict="Passed")]
        ),
        suspend=True,
        pods=False,
    ),
    "waiting": made(shown("WaitingPromotion", 50), pods=False),
    "counted": made(shown("Progressing", iterations=3), pods=False, iterations=5),
    "promoting": made(shown("Promoting"), pods=False),
    "succeeded": made(shown("Succeeded"), pods=False),
    "failed": made(shown("Failed", history=RUNS[:3]), pods=False),
    "unnoticed": made(shown("Succeeded", lastAppliedSpec="v1-1"), image="catalog:9", pods=False),
    **{kind.lower(): of_kind(kind) for kind in ("DaemonSet", "StatefulSet", "Service")},
    "broken": view(
        {
            "apiVersion": "flagger.app/v1beta1",
            "kind": "Canary",
            "metadata": {"namespace": "shop", "name": "broken"},
            "spec": {"analysis": {}},
        }
    ),
}


def text(renderable: RenderableType) -> str:
    console = Console(
        width=120,
        no_color=True,
        color_system=None,
        highlight=False,
        markup=False,
        force_terminal=False,
    )
    with console.capture() as capture:
        console.print(renderable)
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


CASES: dict[str, Callable[[], str]] = {
    **{
        f"tree-{name}": lambda each=each: text(render.tree(each, NOW))  # type: ignore[misc]
        for name, each in VIEWS.items()
    },
    **{
        f"explain-{name}": lambda each=each: "".join(f"{line}\n" for line in explain(each, NOW))  # type: ignore[misc]
        for name, each in VIEWS.items()
    },
    "list": lambda: text(render.listing(VIEWS.values(), NOW, namespaces=True)),
    "history": lambda: text(render.history(HELD, NOW)),
}


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, request: pytest.FixtureRequest) -> None:
    path, found = GOLDEN / f"{case}.txt", CASES[case]()
    if request.config.getoption("--update-goldens"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(found)
    assert found == path.read_text(), "run with --update-goldens"


def test_no_golden_is_stale() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)
