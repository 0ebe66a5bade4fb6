"""A canary that is judged, on a real API server: its pods' proxies are read, and the status is what a killed controller's
heir goes on from.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from rollout.api.kinds import (
    CANARY,
    DEPLOYMENT,
    DESTINATION_RULE,
    POD,
    SERVICE,
    SERVICE_ACCOUNT,
)
from rollout.judge.evidence.proxies import PATH, PORT
from rollout.kube.objects import Object
from tests.integration.delivery.support import Lab
from tests.unit.delivery.world import canary, deployment
from tests.waiting import until

# Loopback addresses of this machine that no other test run on it uses.
SUBNET = f"127.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250 + 1}"
BASELINE = "catalog-baseline"
ADDRESSES = {"catalog": f"{SUBNET}.2", "catalog-primary": f"{SUBNET}.3", BASELINE: f"{SUBNET}.4"}


@pytest.fixture
def metrics_server() -> str:
    """None: requests are counted by the proxies."""
    return "http://127.0.0.1:9"


class Traffic:
    """A hundred requests a second, a tenth of them the canary's once it has a share, and the baseline's; so many of the
    canary's requests fail.
    """

    def __init__(self) -> None:
        self.failing = 0.0
        self.began = time.monotonic()

    async def page(self, request: web.Request) -> web.Response:
        requests = int((time.monotonic() - self.began) * 90)
        bad = 0
        if not request.host.startswith(ADDRESSES["catalog-primary"]):
            requests //= 9
        if request.host.startswith(ADDRESSES["catalog"]):
            bad = int(requests * self.failing)
        name = 'envoy_mesh_istio_requests_total{reporter="destination",response_code'
        return web.Response(text=f'{name}="200"}} {requests - bad}\n{name}="500"}} {bad}\n')


@asynccontextmanager
async def proxies(traffic: Traffic) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_get(PATH, traffic.page)
    runner = web.AppRunner(app)
    await runner.setup()
    for address in ADDRESSES.values():
        await web.TCPSite(runner, address, PORT).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def apply(lab: Lab, **judge: Any) -> None:
    """The target, its Canary, and a running pod of each arm."""
    metrics = [{"name": "request-success-rate", "thresholdRange": {"min": 90}}]
    analysis = {"interval": "3s", "metrics": metrics, "stepWeight": 50, "maxWeight": 50}
    judged = {"judge": {"method": "sequential", "tolerance": 0.1, **judge}}
    release = canary(analysis={**analysis, **judged})
    account: Object = {"metadata": {"name": "default"}}
    for kind, obj in ((DEPLOYMENT, deployment()), (CANARY, release), (SERVICE_ACCOUNT, account)):
        obj["metadata"]["namespace"] = lab.namespace
        await lab.client.create(kind, obj)
    for name, address in ADDRESSES.items():
        metadata = {"name": name, "namespace": lab.namespace, "labels": {"app": name}}
        container = {"name": "catalog", "image": "catalog:1"}
        await lab.client.create(POD, {"metadata": metadata, "spec": {"containers": [container]}})
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
        await lab.patch(POD, name, {"status": status}, subresource="status")


async def judge(lab: Lab) -> Object:
    found: Object = (await lab.status()).get("judge") or {}
    return found


async def counted(lab: Lab) -> int:
    """Canary requests that the status knows of."""
    metrics = (await judge(lab)).get("metrics") or [{}]
    return int(json.loads(metrics[0].get("state") or '{"requests": [0]}')["requests"][0])


async def test_a_bad_version_is_rolled_back_by_its_requests_also_by_the_next_controller(
    lab: Lab,
) -> None:
    traffic = Traffic()
    await apply(lab, maxDuration="1h", beta=0.0001)
    async with proxies(traffic):
        async with lab.controller():
            await lab.phase("Initialized")
            await lab.new_image("catalog:2")
            await until(lambda: counted(lab), "requests of the canary to be written down")
        before = await counted(lab)
        assert (await judge(lab))["source"] == "proxies"
        traffic.failing = 0.5
        async with lab.controller():
            status = await lab.phase("Failed")
    assert status["judge"]["verdict"] == "Worse"
    total = int(status["judge"]["metrics"][0]["canary"].split()[-1])
    assert total > before, "it went on from what was written"
    rolled = [each for each in await lab.events() if each.startswith("Rolling back")]
    assert "judged worse: request-success-rate: worse: failed requests" in rolled[0]
    conditions = {each["type"]: each["status"] for each in status["conditions"]}
    assert conditions["Judged"] == "False"


async def test_a_good_version_is_promoted(lab: Lab) -> None:
    await apply(lab)
    async with proxies(Traffic()), lab.controller():
        await lab.phase("Initialized")
        await lab.new_image("catalog:2")
        status = await lab.phase("Succeeded", 90)
    assert status["judge"]["verdict"] == "NotWorse"
    assert "state" not in status["judge"]["metrics"][0]


async def test_fresh_pods_are_compared_with_whoever_goes_on_and_nothing_is_left(lab: Lab) -> None:
    traffic = Traffic()
    await apply(lab, baseline="fresh", maxDuration="1h", beta=0.0001)

    async def left() -> list[str]:
        found = [
            (kind.kind, each["metadata"]["name"])
            for kind in (DEPLOYMENT, SERVICE, DESTINATION_RULE)
            for each in await lab.client.list(kind, lab.namespace)
        ]
        return [kind for kind, name in found if name == BASELINE]

    async def gone() -> bool:
        return not await left()

    async with proxies(traffic):
        async with lab.controller():
            await lab.phase("Initialized")
            assert await gone()
            await lab.new_image("catalog:2")
            await until(lambda: counted(lab), "requests of the canary to be written down")
        assert lab.weights[-1] == (0, 50, 50)
        assert await left() == ["Deployment", "Service", "DestinationRule"]
        made = await lab.get(DEPLOYMENT, BASELINE)
        primary = await lab.get(DEPLOYMENT, "catalog-primary")
        containers = [each["spec"]["template"]["spec"]["containers"] for each in (made, primary)]
        assert containers[0] == containers[1]
        version = made["metadata"]["generation"]
        traffic.failing = 0.5
        async with lab.controller():
            status = await lab.phase("Failed")
            await until(gone, "the baseline to go")
    assert version == 1, "what the server defaults is no difference"
    assert lab.weights[-1][-2:] == (100, 0)
    metric = status["judge"]["metrics"][0]
    assert metric["verdict"] == "Worse"
    assert int(metric["baseline"].split()[-1]) > 0
    assert ", baseline 0 of " in metric["message"]
