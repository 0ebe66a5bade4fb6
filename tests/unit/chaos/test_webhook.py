"""What the admission webhook says to experiments."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.chaos.webhook import validate
from rollout.kube.objects import Object
from tests.unit.chaos.world import experiment

SYSTEM = "chaos-home"


def changed(**spec: Any) -> Object:
    return experiment(**spec)


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (changed(duration=None), ["spec.duration: is required"]),
        (changed(duration="25h"), ["spec.duration: 25h is not between 1s and 24h"]),
        (changed(duration="500ms"), ["spec.duration: 500ms is not between 1s and 24h"]),
        (changed(fault={"abort": {"httpStatus": 503, "percentage": {"value": 200}}}), ["spec.fault.abort.percentage.value: 200"]),
        (changed(fault={"abort": {"httpStatus": 503}, "reset": {}}), ["spec.fault.reset: cannot be together with abort"]),
        (changed(fault={"reset": {"percentage": {"value": 0}}}), ["spec.fault.reset.percentage.value: is 0"]),
        (changed(fault={"abort": {}}), ["exactly one of httpStatus and grpcStatus"]),
        (changed(fault={"abort": {"grpcStatus": "SAD"}}), ["'SAD' is not a gRPC status"]),
        (changed(fault={}), ["spec.fault: breaks nothing"]),
        (changed(fault=None), ["spec.fault: is missing"]),
        (changed(fault={"delay": {"fixedDelay": "11s"}}), ["longer than duration, which it would outlive"]),
        (changed(fault={"podKill": {"mode": "fixed"}}), ["spec.fault.podKill.value: is required with mode fixed"]),
        (changed(fault={"podKill": {"mode": "fixed-percent", "value": "101"}}), ["spec.fault.podKill.value"]),
        (changed(fault={"podKill": {}, "match": [{"method": {"exact": "GET"}}]}), ["means nothing for pods"]),
        (changed(fault={"certificateOutage": True}, target={"service": "api", "from": {"namespaces": ["shop"]}}), ["spec.target.from", "certificates"]),
        (changed(fault={"certificateOutage": False}), ["breaks nothing"]),
        (changed(blastRadius={"maxTrafficPercent": 10}), ["up to 50 % of the requests, blastRadius.maxTrafficPercent is 10"]),
        (changed(schedule={"cron": "* * *"}), ["spec.schedule.cron", "five fields"]),
        (changed(schedule={"cron": "61 * * * *"}), ["spec.schedule.cron"]),
        (changed(schedule={"cron": "* * * * *", "windows": [{"from": "10:00", "to": "9:00"}]}), ["'9:00' is not a time of day"]),
        (changed(load={"fortio": {"qps": 6000}}), ["spec.load.fortio.qps: 6000 cannot be sent"]),
        (changed(load={"fortio": {"headers": {"a": "b\r\nc"}}}), ["'a' cannot be a header"]),
        (changed(steadyState={"probes": []}), ["spec.steadyState.probes: is empty"]),
        (changed(steadyState={"probes": [{"name": "x", "type": "http", "comparator": {"criteria": "==", "value": 1}}]}), ["url: is required for a http probe"]),
        (changed(steadyState={"probes": [{"name": "x", "type": "fortio", "mode": "EOT", "field": "p99", "comparator": {"criteria": "<", "value": 1}}]}), ["needs load, and there is none"]),
        (changed(steadyState={"method": "sequential"}), ["spec.steadyState.slo: is required"]),
        (changed(durration="5s"), ["spec.durration: unknown field (did you mean duration?)"]),
        (changed(target={"service": "api", "namespace": "kube-system"}), ["kube-system belongs to the system"]),
        (changed(target={"service": "api", "namespace": SYSTEM}), ["belongs to the system"]),
    ],
)  # fmt: skip
async def test_what_is_refused_is_named(obj: Object, words: list[str]) -> None:
    answer = await validate({"object": obj}, SYSTEM)
    assert not answer.allowed
    for each in words:
        assert each in answer.message


async def test_what_is_stored_may_be_labelled_and_let_go() -> None:
    broken = changed(duration=None)
    assert (await validate({"object": broken, "oldObject": broken}, SYSTEM)).allowed
    broken["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert (await validate({"object": broken}, SYSTEM)).allowed


async def test_what_can_work_is_allowed() -> None:
    assert (await validate({"object": experiment()}, SYSTEM)).allowed
