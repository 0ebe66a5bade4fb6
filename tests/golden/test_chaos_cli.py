"""What people see of experiments, line by line. Written anew by `--update-goldens`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from rollout.cli.chaos import render
from rollout.cli.chaos.view import ExperimentView, view
from rollout.kube.objects import Object
from tests.unit.chaos.reports import report

GOLDEN = Path(__file__).parent / "chaos-cli"
NOW = datetime(2026, 1, 20, 22, 50, tzinfo=UTC)


def ago(**span: int) -> str:
    return (NOW - timedelta(**span)).isoformat().replace("+00:00", "Z")


def experiment(status: Object, *, name: str = "slow-payments", **spec: Any) -> Object:
    return {
        "apiVersion": "chaos.rollout.dev/v1alpha1",
        "kind": "ChaosExperiment",
        "metadata": {
            "namespace": "shop",
            "name": name,
            "generation": 1,
            "creationTimestamp": ago(minutes=3),
        },
        "spec": {
            "hypothesis": "The shop answers 99 % of its requests well while payments are slow.",
            "target": {"service": "payments"},
            "fault": {"delay": {"fixedDelay": "300ms", "percentage": {"value": 30}}},
            "duration": "60s",
            "load": {"fortio": {"qps": 20}},
            **spec,
        },
        "status": status,
    }


def condition(type_: str, status: str, message: str = "") -> Object:
    return {
        "type": type_,
        "status": status,
        "reason": "Because",
        "message": message,
        "lastTransitionTime": ago(seconds=9),
        "lastUpdateTime": ago(seconds=9),
    }


def probe(verdict: str, description: str) -> Object:
    return {"name": "errors", "mode": "Continuous", "verdict": verdict, "description": description}


RUNNING = {
    "phase": "Running",
    "verdict": "Awaited",
    "runID": "x7k2p",
    "startedAt": ago(seconds=14),
    "injectedAt": ago(seconds=9),
    "expiresAt": ago(seconds=-51),
    "fault": "delay 300ms 30%",
    "blast": {"requestsFaulted": 152, "trafficPercent": 29.6},
    "conditions": [
        condition("Selected", "True"),
        condition("AllInjected", "False", "no faulted request was seen yet"),
    ],
    "probeStatuses": [probe("Passed", "errors is 0.004 (<= 0.01)")],
}
OVER = {
    "phase": "Aborted",
    "verdict": "Fail",
    "runID": "x7k2p",
    "fault": "delay 300ms 30%",
    "startedAt": ago(minutes=2),
    "injectedAt": ago(seconds=110),
    "expiresAt": ago(seconds=50),
    "recoveredAt": ago(seconds=80),
    "reason": "steady state lost: errors is 0.047, and has to be <= 0.01",
    "blast": {"requestsFaulted": 340, "trafficPercent": 30.2, "podsKilled": ["payments-1"]},
    "conditions": [condition("AllRecovered", "True")],
    "probeStatuses": [probe("Failed", "errors is 0.047, and has to be <= 0.01")],
    "history": {"passedRuns": 3, "failedRuns": 1},
    "report": "slow-payments-x7k2p",
}
PENDING = {
    "conditions": [condition("Selected", "False", "namespace shop has not opted in: label it")]
}
EXPERIMENTS = {
    "running": experiment(RUNNING, name="running"),
    "over": experiment(OVER, name="over"),
    "pending": experiment(PENDING, name="pending", dryRun=True),
    "invalid": experiment({}, name="invalid", duration="40h"),
    "scheduled": experiment(
        {"phase": "Completed", "verdict": "Pass", "nextScheduleTime": ago(days=-1)},
        name="scheduled",
        schedule={"cron": "0 10 * * 1-5"},
        target={"service": "payments", "arm": "canary"},
    ),
}


def views() -> list[ExperimentView]:
    return [view(each) for each in EXPERIMENTS.values()]


CASES: dict[str, Callable[[], RenderableType]] = {
    "list": lambda: render.listing(views(), NOW, namespaces=True),
    **{
        f"get-{name}": lambda given=each: render.whole(view(given), NOW)  # type: ignore[misc]
        for name, each in EXPERIMENTS.items()
    },
    "lines": lambda: "\n".join(render.line(each) for each in views()),
    "report": lambda: render.report(report().spec),
    "report-error": lambda: render.report(
        report(verdict="Error", load={"error": "Fortio gave no result"}, probes=[], run=[]).spec
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, request: pytest.FixtureRequest) -> None:
    console = Console(width=150, highlight=False, markup=False, emoji=False, color_system=None)
    with console.capture() as captured:
        console.print(CASES[case]())
    found = "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
    path = GOLDEN / f"{case}.txt"
    if request.config.getoption("--update-goldens"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(found)
    assert found == path.read_text(), "run with --update-goldens"


def test_no_golden_is_stale() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)
