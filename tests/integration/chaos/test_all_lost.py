"""Controller and control plane killed together, in the middle of experiments, with a real Envoy between: nothing stays."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from time import monotonic

from aiohttp import ClientSession, ClientTimeout

from rollout.api.kinds import GATEWAY, SERVICE, VIRTUAL_SERVICE
from rollout.mesh.model.fault import OUTBOUND_SLOTS
from tests.integration.chaos.support import ChaosLab
from tests.integration.chaos.test_controller import KILLED
from tests.integration.mesh.support import (
    backend,
    create,
    envoy,
    free_port,
    serve_backend,
    service,
)
from tests.integration.mesh.vouching import control_plane_process
from tests.waiting import until

BOUND = 5.0
NAMES = [f"app-{index}" for index in range(OUTBOUND_SLOTS)]


async def _statuses(session: ClientSession, url: str) -> set[int]:
    async def one(name: str) -> int:
        try:
            async with session.get(url, headers={"Host": f"{name}.example.com"}) as response:
                return response.status
        except OSError:
            return 0

    return set(await asyncio.gather(*map(one, NAMES)))


async def _answer(session: ClientSession, url: str, status: int) -> bool:
    return await _statuses(session, url) == {status}


async def _objects(lab: ChaosLab, port: int, stack: AsyncExitStack) -> None:
    gateway = f"gateway-{lab.namespace}"
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    edge = {"selector": {"istio": gateway}, "servers": [server]}
    await create(lab.client, SERVICE, lab.namespace, service("ingress", 80, port, istio=gateway))
    await create(lab.client, GATEWAY, lab.namespace, {"metadata": {"name": "edge"}, "spec": edge})
    for name in NAMES:
        app = await stack.enter_async_context(backend(name))
        await serve_backend(lab.client, lab.namespace, app)
        rule = {"route": [{"destination": {"host": name}}]}
        spec = {"hosts": [f"{name}.example.com"], "gateways": ["edge"], "http": [rule]}
        routes = {"metadata": {"name": name}, "spec": spec}
        await create(lab.client, VIRTUAL_SERVICE, lab.namespace, routes)


async def test_kill_9_of_everything(chaos_lab: ChaosLab, tmp_path: Path) -> None:
    lab, settings = chaos_lab, chaos_lab.options
    port, plane_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}/"
    async with AsyncExitStack() as stack:
        await _objects(lab, port, stack)
        assert lab.server is not None
        planes = control_plane_process(lab.server.kubeconfig, lab.system, plane_port)
        plane = await stack.enter_async_context(planes)
        await stack.enter_async_context(envoy(tmp_path, plane_port, namespace=lab.namespace))
        session = await stack.enter_async_context(ClientSession(timeout=ClientTimeout(total=5)))
        await until(partial(_answer, session, url, 200), "all are served")
        controller = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", KILLED, str(settings.kubeconfig), lab.namespace, lab.system),
            settings.metrics_server,
            cwd=Path(__file__).parents[3],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            for name in NAMES:
                await lab.create(
                    name,
                    target={"service": name},
                    duration="1h",
                    fault={"abort": {"httpStatus": 418}, "layer": "client"},
                    blastRadius={"maxConcurrent": len(NAMES)},
                )
            await until(partial(_answer, session, url, 418), "all are faulted")
        finally:
            controller.kill()
            plane.kill()
            begin = monotonic()
            await controller.wait()
        while 418 in await _statuses(session, url):
            assert monotonic() < begin + BOUND, "a fault outlived whoever had vouched for it"
        async with lab.controller():
            for name in NAMES:
                ended = await lab.phase("Error", name=name)
                assert ended["verdict"] == "Error"
                assert ended["reason"].startswith("controller lost")
        assert await _statuses(session, url) == {200}
