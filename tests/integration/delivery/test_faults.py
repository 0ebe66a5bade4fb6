"""What goes wrong around a controller on a real API server: nothing is lost, and it recovers without help."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from rollout.api.kinds import CANARY, CONFIG_MAP, DEPLOYMENT, SERVICE
from rollout.delivery import controller
from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.errors import Conflict
from rollout.kube.objects import Object
from rollout.kube.reflector import Timing
from tests.integration.apiserver import ApiServer
from tests.integration.delivery.support import Lab
from tests.integration.kube.support import Cuttable
from tests.unit.delivery.world import canary, deployment
from tests.unit.http.server import Answered, Seen, Server, reply, server
from tests.waiting import until

GOOD = {"name": "errors", "query": "vector(0.5)", "thresholdRange": {"max": 1}}
STEPS = [(100 - weight, weight) for weight in (0, 25, 50, 0)]


async def apply(lab: Lab, **analysis: Any) -> None:
    given = {"interval": "1s", "threshold": 50, "stepWeight": 25, "metrics": [GOOD]}
    for kind, obj in ((DEPLOYMENT, deployment()), (CANARY, canary(analysis=given | analysis))):
        obj["metadata"]["namespace"] = lab.namespace
        await lab.client.create(kind, obj)


async def promoted(lab: Lab) -> None:
    """A new revision goes its whole way."""
    await lab.new_image("catalog:2")
    await lab.phase("Succeeded", 120)
    assert lab.weights == STEPS
    primary = await lab.get(DEPLOYMENT, "catalog-primary")
    assert primary["spec"]["template"]["spec"]["containers"][0]["image"] == "catalog:2"
    await until(lambda: scaled_down(lab), "the target has no pods")


async def scaled_down(lab: Lab) -> bool:
    return bool((await lab.get(DEPLOYMENT, "catalog"))["spec"]["replicas"] == 0)


class Contested(Client):
    """Every third write comes too late: somebody else was quicker."""

    writes = count(1)

    async def _object(self, method: str, path: str, **more: Any) -> Object:
        if method != "GET" and next(self.writes) % 3 == 0:
            raise Conflict(f"{method} {path}: the object has been modified", status=409)
        return await super()._object(method, path, **more)


async def test_every_third_write_is_refused(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "Client", Contested)
    await apply(lab)
    async with lab.controller():
        await lab.phase("Initialized", 60)
        await promoted(lab)


async def test_connections_that_stay_open_and_say_nothing(
    lab: Lab, apiserver: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timing = Timing(watch_min=20, watch_max=30, silence=2)
    monkeypatch.setattr(controller, "Cache", partial(Cache, timing=timing))
    await apply(lab)
    async with Cuttable(apiserver.port, tmp_path, apiserver.kubeconfig) as proxy:
        lab.options = replace(lab.options, kubeconfig=proxy.kubeconfig)
        async with lab.controller():
            await lab.phase("Initialized")
            proxy.mute()
            await lab.new_image("catalog:2")
            await until(lambda: lab.weights[-1:] == [(75, 25)], "25 %", 120)
            proxy.mute()
            await lab.phase("Succeeded", 180)
    assert lab.weights == STEPS


async def test_two_controllers_that_know_nothing_of_each_other(lab: Lab) -> None:
    await apply(lab)
    async with lab.controller(), lab.controller():
        await lab.phase("Initialized")
        await promoted(lab)
    assert [phase for phase, weight in lab.shown if phase == "Progressing" and not weight] == [
        "Progressing"
    ], "no step was made twice"


async def test_a_flood_of_others_events(lab: Lab) -> None:
    await apply(lab)
    other: Object = {"metadata": {"namespace": lab.namespace, "labels": {}}}
    ports = {"spec": {"ports": [{"port": 80}]}}
    for kind, more in ((CONFIG_MAP, {}), (SERVICE, ports)):
        await lab.client.create(
            kind, {**other, **more, "metadata": {**other["metadata"], "name": "other"}}
        )

    async def flood() -> None:
        for number in count():
            labels = {"metadata": {"labels": {"number": str(number)}}}
            await asyncio.gather(
                *(lab.patch(kind, "other", labels) for kind in (CONFIG_MAP, SERVICE)),
                asyncio.sleep(2 * 60 / 10_000),
            )

    async with lab.controller():
        await lab.phase("Initialized")
        flooding = asyncio.ensure_future(flood())
        try:
            await promoted(lab)
        finally:
            flooding.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await flooding


def vector(*values: str) -> Answered:
    result = [{"metric": {}, "value": [1, value]} for value in values]
    return reply({"status": "success", "data": {"resultType": "vector", "result": result}})


@pytest.fixture
def outside() -> Iterator[Server]:
    """Prometheus and a hook at once, well as long as the test does not say otherwise."""
    with server(lambda _: vector("0.5")) as running:
        yield running


FAULTS: dict[str, tuple[Callable[[Seen], Answered], str]] = {
    "slow": (lambda _: replace(vector("0.5"), slow=12), "MetricsUnreachable"),
    "down": (lambda _: reply("", 503), "MetricsUnreachable"),
    "NaN": (lambda _: vector("NaN"), "NoValues"),
    "empty": (lambda _: vector(), "NoValues"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_prometheus_is_no_help(lab: Lab, outside: Server, fault: str) -> None:
    lab.options = replace(lab.options, metrics_server=outside.address)
    await apply(lab)
    await held_for_a_while(lab, outside, *FAULTS[fault])


async def test_a_hook_that_hangs(lab: Lab, outside: Server) -> None:
    hook = {"name": "smoke", "type": "rollout", "url": outside.address, "timeout": "1s"}
    await apply(lab, webhooks=[hook])
    await held_for_a_while(lab, outside, lambda _: reply({}, slow=15), "HookFailed")


async def held_for_a_while(
    lab: Lab, outside: Server, answer: Callable[[Seen], Answered], reason: str
) -> None:
    """After a good step a fault counts, moves nothing and is named; when it has ended, the rollout ends well."""

    async def named() -> bool:
        status = await lab.status()
        conditions = {c["type"]: c["reason"] for c in status["conditions"]}
        return conditions.get("Blocked") == reason and status["failedChecks"] > 0

    async with lab.controller():
        await lab.phase("Initialized")
        await lab.new_image("catalog:2")
        await until(lambda: lab.weights[-1:] == [(75, 25)], "25 %")
        well, outside.answer = outside.answer, answer
        await until(named, reason, 90)
        served = lab.weights[-1]
        assert served[1] in {25, 50}, "a step may have been under way"
        outside.answer = well
        await lab.phase("Succeeded", 90)
    assert lab.weights == STEPS
