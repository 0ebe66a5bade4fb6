"""What a controller does for its experiments as far as the mesh is concerned: their status, and a lease that it renews."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rollout.api.chaos import ACTIVE_ANNOTATION, LEASE_LABEL
from rollout.api.kinds import CHAOS_EXPERIMENT, LEASE
from rollout.kube.client import Client
from rollout.kube.errors import KubeError
from rollout.kube.objects import Object
from tests.integration.mesh.support import create

BEAT = 0.5

PROCESS = """
import asyncio, sys
from rollout.mesh.controlplane import Options, run
kubeconfig, namespace, address = sys.argv[1:]
options = Options(kubeconfig=kubeconfig, system_namespace=namespace, xds_address=address,
                  health_port=0, debug_port=0)
asyncio.run(run(options))
"""


@dataclass(slots=True)
class Voucher:
    """A controller's lease. It stops renewing when `dead`, as a killed controller would."""

    client: Client
    namespace: str
    runs: set[str] = field(default_factory=set)
    dead: bool = False

    async def begin(self) -> None:
        metadata = {
            "name": "chaos-controller-0",
            "labels": {LEASE_LABEL: "true"},
            "annotations": {ACTIVE_ANNOTATION: "[]"},
        }
        await create(self.client, LEASE, self.namespace, {"metadata": metadata})

    async def beat(self) -> None:
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        body = {
            "metadata": {"annotations": {ACTIVE_ANNOTATION: json.dumps(sorted(self.runs))}},
            "spec": {"renewTime": now},
        }
        await self.client.patch(LEASE, self.namespace, "chaos-controller-0", body)

    async def renew(self) -> None:
        while True:
            if not self.dead:
                with suppress(KubeError):
                    await self.beat()
            await asyncio.sleep(BEAT)

    async def start(self, name: str, seconds: float = 3600, **spec: Any) -> None:
        """An experiment that is running, and vouched for."""
        whole = {"duration": "10m", **spec}
        await create(
            self.client,
            CHAOS_EXPERIMENT,
            self.namespace,
            {"metadata": {"name": name}, "spec": whole},
        )
        now = datetime.now(UTC)
        status = {
            "phase": "Running",
            "runID": "1",
            "startedAt": now.isoformat(),
            "expiresAt": (now + timedelta(seconds=seconds)).isoformat(),
        }
        await self.client.patch(
            CHAOS_EXPERIMENT, self.namespace, name, {"status": status}, subresource="status"
        )
        self.runs.add(f"{self.namespace}/{name}/1")
        await self.beat()

    async def stop(self, name: str) -> None:
        """No longer vouched for, and over."""
        self.runs.discard(f"{self.namespace}/{name}/1")
        await self.beat()
        await self.client.patch(
            CHAOS_EXPERIMENT,
            self.namespace,
            name,
            {"status": {"phase": "Completed"}},
            subresource="status",
        )


@asynccontextmanager
async def vouching(client: Client, namespace: str) -> AsyncIterator[Voucher]:
    found = Voucher(client, namespace)
    await found.begin()
    task = asyncio.ensure_future(found.renew())
    try:
        yield found
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def control_plane_process(
    kubeconfig: Path, namespace: str, port: int, host: str = "127.0.0.1"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A control plane that can really be killed; its system namespace is the test's."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, str(kubeconfig), namespace, f"{host}:{port}",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def abort(service: str, status: int = 418, percent: float = 100, **more: Any) -> Object:
    """A spec: requests for a service are answered by the caller's proxy."""
    fault = {
        "abort": {"httpStatus": status, "percentage": {"value": percent}},
        "layer": "client",
        **more,
    }
    return {"target": {"service": service}, "fault": fault}


def reset(service: str, percent: float = 100) -> Object:
    """A spec: requests for a service are broken off by the caller's proxy."""
    fault = {"reset": {"percentage": {"value": percent}}, "layer": "client"}
    return {"target": {"service": service}, "fault": fault}
