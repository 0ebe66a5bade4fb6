"""Several controllers at once on a real API server: each step is made once, whoever of them is killed."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from rollout.api.kinds import CANARY, DEPLOYMENT, LEASE
from tests.integration.apiserver import ApiServer
from tests.integration.delivery.support import Lab
from tests.unit.delivery.world import canary, deployment
from tests.waiting import until

HAND_OVER = 15.0


@pytest.fixture
async def lab(lab: Lab) -> Lab:
    metric = {"name": "errors", "query": "vector(0.5)", "thresholdRange": {"max": 1}}
    release = canary(analysis={"interval": "1s", "threshold": 2, "metrics": [metric]})
    for kind, obj in ((DEPLOYMENT, deployment()), (CANARY, release)):
        obj["metadata"]["namespace"] = lab.namespace
        await lab.client.create(kind, obj)
    return lab


@asynccontextmanager
async def controller(
    lab: Lab, kubeconfig: Path, *more: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own, which can really be killed; it competes already."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rollout.cli.main", "controller",
        "--kubeconfig", str(kubeconfig), "--namespace", lab.namespace,
        "--metrics-server", lab.options.metrics_server, "--minimum-interval", "1s",
        "--port", "0", "--webhook-port", "0",
        "--enable-leader-election", "true", "--leader-election-namespace", lab.namespace, *more,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while b"competing" not in await process.stderr.readline():
            assert process.returncode is None
    drained = asyncio.ensure_future(process.stderr.read())
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.gather(process.wait(), drained)


async def holder(lab: Lab) -> str:
    for lease in await lab.client.list(LEASE, lab.namespace):
        if identity := lease["spec"].get("holderIdentity"):
            return str(identity)
    return ""


async def advanced(lab: Lab) -> Counter[str]:
    return Counter(event for event in await lab.events() if "Advance" in event)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP], ids=str)
async def test_the_other_goes_on(lab: Lab, apiserver: ApiServer, how: signal.Signals) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(controller(lab, apiserver.kubeconfig))
        await lab.phase("Initialized")
        leader = await holder(lab)
        await stack.enter_async_context(controller(lab, apiserver.kubeconfig))
        await lab.new_image("catalog:2")
        await until(lambda: lab.shown[-1:] == [("Progressing", 20)], "20 %")
        first.send_signal(how)
        limit = 3.0 if how is signal.SIGTERM else HAND_OVER
        await until(lambda: lab.shown[-1:] == [("Progressing", 30)], "30 %", limit)
        assert await holder(lab) != leader
        if how is signal.SIGSTOP:  # it wakes up as if nothing had happened
            first.send_signal(signal.SIGCONT)
        await lab.phase("Succeeded", 30)
    steps = [("Progressing", weight) for weight in (0, 10, 20, 30, 40, 50)]
    assert [each for each in lab.shown if each[0] == "Progressing"] == steps
    assert lab.weights == [(100 - w, w) for w in (0, 10, 20, 30, 40, 50, 0)]
    assert set((await advanced(lab)).values()) <= {1}


async def test_shards_are_shared_and_each_canary_is_one_replicas(
    lab: Lab, apiserver: ApiServer
) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(controller(lab, apiserver.kubeconfig, "--shards", "6"))

        async def shares() -> bool:
            leases = await lab.client.list(LEASE, lab.namespace)
            held = Counter(each["spec"].get("holderIdentity") for each in leases)
            held.pop(None, None)
            return sorted(held.values()) == [2, 2, 2]

        await until(shares, "2/2/2", 60)
        await lab.phase("Initialized")
        await lab.new_image("catalog:2")
        await lab.phase("Succeeded")
    assert lab.weights == [(100 - w, w) for w in (0, 10, 20, 30, 40, 50, 0)]
    assert set((await advanced(lab)).values()) == {1}
