"""Reports as runs leave them: one that failed, with load and probes, and what others have that it has not."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from rollout.api.chaos import ChaosReport

SECONDS = (1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 24)
BROKEN = range(6, 20)


def at(second: float) -> str:
    return f"2026-01-20T22:50:{second:06.3f}Z"


def report(**changes: Any) -> ChaosReport:
    return ChaosReport.parse(raw(**changes))


def raw(**changes: Any) -> dict[str, Any]:
    """The report as served; `changes` are of its spec."""
    return {
        "apiVersion": "chaos.rollout.dev/v1alpha1",
        "kind": "ChaosReport",
        "metadata": {"namespace": "shop", "name": "slow-payments-x7k2p", "labels": LABELS},
        "spec": {**SPEC, **changes},
    }


LABELS = {"chaos.rollout.dev/experiment": "slow-payments"}


def fortio() -> dict[str, Any]:
    """Two heaps: 30 % of the requests waited for 300 ms more."""
    edges = [i / 1000 for i in (*range(3, 12), 14, 16, 20, 25, 300, 304, 306, 308, 310, 312, 330)]
    counts = [2, 14, 40, 71, 66, 40, 22, 14, 20, 8, 6, 1, 0, 12, 60, 41, 16, 8, 5]
    total = sum(counts)
    running, data = 0, []
    for (start, end), count in zip(pairwise(edges), counts, strict=True):
        running += count
        if count:
            data.append(
                {"Start": start, "End": end, "Percent": running / total * 100, "Count": count}
            )
    return {
        "RunType": "HTTP",
        "RequestedQPS": "30",
        "RequestedDuration": "15s",
        "ActualQPS": 29.71,
        "ActualDuration": 15_010_000_000,
        "NumThreads": 4,
        "DurationHistogram": {
            "Count": total,
            "Min": 0.0031,
            "Max": 0.3287,
            "Sum": 45.1,
            "Avg": 0.1011,
            "StdDev": 0.13,
            "Data": data,
            "Percentiles": [
                {"Percentile": 50, "Value": 0.0073},
                {"Percentile": 75, "Value": 0.3041},
                {"Percentile": 90, "Value": 0.3067},
                {"Percentile": 99, "Value": 0.3176},
                {"Percentile": 99.9, "Value": 0.3276},
            ],
        },
        "RetCodes": {"200": total - 22, "503": 19, "-1": 3},
    }


def samples(kind: str) -> list[dict[str, Any]]:
    found = []
    for second in SECONDS:
        broken = second in BROKEN
        if kind == "ratio":
            value = round(0.002 + 0.001 * math.sin(second) + (0.046 if broken else 0), 4)
            verdict = "Failed" if value > 0.01 else "Passed"
            found.append({"time": at(second), "value": value, "verdict": verdict})
        else:
            verdict = "NoData" if second == 11 else "Passed"
            found.append({"time": at(second), "verdict": verdict})
    return found


SPEC: dict[str, Any] = {
    "experiment": "slow-payments",
    "runID": "x7k2p",
    "hypothesis": "The shop answers 99 % of its requests well while payments take 300 ms longer.",
    "status": "aborted",
    "verdict": "Fail",
    "reason": "steady state lost 5.1 s after the injection: errors is 0.047, and has to be <= 0.01",
    "deviated": True,
    "start": at(0),
    "end": at(25),
    "duration": 25.0,
    "injectedAt": at(5.9),
    "recoveringAt": at(19.6),
    "target": "shop/payments (all)",
    "fault": "delay 300ms 30%, abort 503 5%",
    "spec": {
        "hypothesis": "The shop answers 99 % of its requests well while payments take 300 ms longer.",
        "target": {"service": "payments"},
        "fault": {
            "delay": {"fixedDelay": "300ms", "percentage": {"value": 30}},
            "abort": {"httpStatus": 503, "percentage": {"value": 5}},
        },
        "duration": "15s",
        "load": {"fortio": {"qps": 30, "headers": {"x-note": "<b>5 > 3 & 2</b>"}}},
    },
    "steadyStates": {"before": True, "during": False, "after": True},
    "blast": {"requestsFaulted": 152, "trafficPercent": 34.1},
    "run": [
        {"name": "Steady state checked", "time": at(1), "output": "2 of 2 probes passed"},
        {"name": "FaultInjected", "time": at(5.9), "output": "delay 300ms 30%, abort 503 5%"},
        {
            "name": "SteadyStateBreached",
            "time": at(11),
            "status": "failed",
            "output": "errors is 0.047",
        },
    ],
    "rollbacks": [{"name": "FaultRemoved", "time": at(19.6), "output": "lease dropped"}],
    "probes": [
        {
            "name": "errors",
            "mode": "Continuous",
            "verdict": "Failed",
            "description": "errors is 0.047, and has to be <= 0.01",
            "criteria": "<= 0.01",
            "samples": samples("ratio"),
        },
        {
            "name": "shop-available",
            "mode": "Continuous",
            "verdict": "Passed",
            "description": "shop-available is True (== True)",
            "criteria": "== True",
            "samples": samples("words"),
        },
    ],
    "probeSuccessPercentage": 50,
    "load": fortio(),
}
