"""The controller as a process: what it serves, and how it ends when it is asked to."""

from __future__ import annotations

import asyncio
import socket
import urllib.request
from dataclasses import replace

from rollout.api.kinds import CANARY
from rollout.delivery.controller import run
from rollout.kube.client import Client
from tests.integration.apiserver import ApiServer
from tests.integration.crds import install_crds
from tests.integration.delivery.support import options
from tests.unit.delivery.world import canary
from tests.waiting import until


async def test_it_serves_its_pages_and_ends_when_asked(
    apiserver: ApiServer, client: Client, namespace: str
) -> None:
    await install_crds(client)
    lonely = canary()
    lonely["metadata"]["namespace"] = namespace
    await client.create(CANARY, lonely)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stop = asyncio.Event()
    settings = replace(options(apiserver.kubeconfig, namespace, "http://127.0.0.1:9"), port=port)
    running = asyncio.ensure_future(run(settings, stop))

    def page(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    async def ready() -> bool:
        try:
            return await asyncio.to_thread(page, "/readyz") == "ok\n"
        except OSError:
            return False

    await until(ready, "ready")
    assert await asyncio.to_thread(page, "/healthz") == "ok\n"

    async def looked() -> bool:
        metrics = await asyncio.to_thread(page, "/metrics")
        return f'flagger_canary_total{{namespace="{namespace}"}} 1.0' in metrics

    await until(looked, "the canary is counted")
    assert 'rollout_refusals_total{reason="target_not_found"} 1.0' in await asyncio.to_thread(
        page, "/metrics"
    )
    stop.set()
    async with asyncio.timeout(15):
        await running
