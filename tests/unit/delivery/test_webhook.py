"""What the admission webhook says to a resource, and what it must never be in the way of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rollout.delivery.webhook import validate
from rollout.kube.admission import AdmissionResponse
from rollout.kube.objects import Object
from tests.unit.delivery.world import canary


async def reviewed(obj: Object, old: Object | None = None) -> AdmissionResponse:
    request = {"kind": {"kind": obj["kind"]}, "object": obj, "oldObject": old}
    return await validate(request, timedelta(seconds=10))


async def test_a_good_canary_passes_without_a_word() -> None:
    assert await reviewed(canary()) == AdmissionResponse()


@pytest.mark.parametrize(
    ("analysis", "said"),
    [
        ({"stepWieght": 5}, "spec.analysis.stepWieght: unknown field (did you mean stepWeight?)"),
        ({"interval": "soon"}, "spec.analysis.interval"),
        ({"stepWeight": 120}, "spec.analysis.stepWeight"),
        ({"iterations": 3}, "stepWeight"),
    ],
)
async def test_every_reason_is_said_at_once(analysis: dict[str, Any], said: str) -> None:
    broken = canary(analysis=analysis, tragetRef={})
    answer = await reviewed(broken)
    assert not answer.allowed
    assert answer.message.startswith("Canary shop/catalog-release: ")
    assert said in answer.message
    assert "spec.tragetRef" in answer.message


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            {"provider": "nginx"},
            "spec.provider: 'nginx' is not supported yet (use gatewayapi:v1, istio, kubernetes)",
        ),
        (
            {
                "routeRef": {
                    "apiVersion": "apisix.apache.org/v2",
                    "kind": "ApisixRoute",
                    "name": "r",
                }
            },
            "spec.routeRef.kind: 'ApisixRoute' is not supported yet (use VirtualService, HTTPRoute or GRPCRoute)",
        ),
    ],
)
async def test_routes_that_nobody_would_write_are_refused(spec: dict[str, Any], said: str) -> None:
    answer = await reviewed(canary(**spec))
    assert not answer.allowed
    assert answer.message == f"Canary shop/catalog-release: {said}"


async def test_what_is_read_otherwise_is_a_warning() -> None:
    answer = await reviewed(canary(analysis={"interval": "3s"}))
    assert answer.allowed
    assert any("spec.analysis.interval" in warning for warning in answer.warnings)


async def test_what_is_stored_already_may_lose_its_finalizer() -> None:
    broken = canary(analysis={"stepWeight": 120})
    assert (await reviewed(broken, broken)).allowed
    leaving = canary(analysis={"stepWeight": 120})
    leaving["metadata"]["deletionTimestamp"] = "2026-01-20T23:00:00Z"
    assert (await reviewed(leaving, canary())).allowed
