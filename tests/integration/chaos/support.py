"""Experiments on a real API server: the controller as it is, a service without proxies, and what becomes of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from rollout.api.chaos import ACTIVE_ANNOTATION, ENABLED_LABEL, LEASE_LABEL
from rollout.api.kinds import (
    CHAOS_EXPERIMENT,
    CHAOS_REPORT,
    EVENT,
    LEASE,
    NAMESPACE,
    SERVICE,
    Kind,
)
from rollout.chaos.controller import Options as ChaosOptions
from rollout.chaos.controller import chaos
from rollout.delivery.controller import run
from rollout.delivery.options import Options
from rollout.kube.client import Client
from rollout.kube.errors import NotFound
from rollout.kube.objects import Object
from tests.integration.apiserver import ApiServer
from tests.waiting import PATIENCE, until


@dataclass(slots=True, kw_only=True)
class ChaosLab:
    """One namespace that opted in, with a Service in it, and another that is the controller's own."""

    client: Client
    namespace: str
    system: str
    options: Options
    server: ApiServer | None = None
    processes: int = 0

    async def create(self, name: str = "slow", **spec: Any) -> Object:
        wanted = {
            "target": {"service": "checkout"},
            "duration": "30s",
            "fault": {"abort": {"httpStatus": 503, "percentage": {"value": 50}}},
            **spec,
        }
        return await self.client.create(
            CHAOS_EXPERIMENT,
            {
                "apiVersion": CHAOS_EXPERIMENT.api_version,
                "kind": CHAOS_EXPERIMENT.kind,
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {key: value for key, value in wanted.items() if value is not None},
            },
        )

    async def service(self, name: str = "checkout") -> None:
        await self.client.create(
            SERVICE,
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {"ports": [{"port": 80}], "selector": {"app": name}},
            },
        )

    async def patch(self, name: str, body: Object, kind: Kind = CHAOS_EXPERIMENT) -> Object:
        return await self.client.patch(kind, self.namespace, name, body)

    async def status(self, name: str = "slow") -> Object:
        obj = await self.client.get(CHAOS_EXPERIMENT, self.namespace, name)
        return dict(obj.get("status") or {})

    async def phase(self, *wanted: str, name: str = "slow", seconds: float = PATIENCE) -> Object:
        """Wait for one of these phases, and answer the status."""
        found: Object = {}

        async def there() -> bool:
            nonlocal found
            found = await self.status(name)
            return found.get("phase") in wanted

        try:
            await until(there, f"{name} {wanted}", seconds)
        except AssertionError as error:
            error.add_note(f"its status: {found}")
            raise
        return found

    async def leases(self) -> list[Object]:
        return await self.client.list(LEASE, self.system, f"{LEASE_LABEL}=true")

    async def active(self) -> list[str]:
        """What leases that were renewed in the last three seconds vouch for, as a control plane would read them."""
        found: list[str] = []
        for lease in await self.leases():
            renewed = datetime.fromisoformat(lease["spec"]["renewTime"])
            if (datetime.now(UTC) - renewed).total_seconds() < 3:
                found += json.loads(lease["metadata"]["annotations"][ACTIVE_ANNOTATION])
        return found

    async def faulted(self) -> list[str]:
        """The experiments that proxies would carry out now: vouched for, in a phase with a fault, and not expired."""
        active, found = await self.active(), []
        for obj in await self.client.list(CHAOS_EXPERIMENT, self.namespace):
            status, name = obj.get("status") or {}, obj["metadata"]["name"]
            if (
                status.get("phase") in {"Injecting", "Running"}
                and f"{self.namespace}/{name}/{status['runID']}" in active
                and datetime.fromisoformat(status["expiresAt"]) > datetime.now(UTC)
            ):
                found.append(name)
        return found

    async def events(self, kind: str = "ChaosExperiment") -> list[str]:
        found = await self.client.list(EVENT, self.namespace)
        found.sort(key=lambda each: int(each["metadata"]["resourceVersion"]))
        return [each["reason"] for each in found if each["involvedObject"]["kind"] == kind]

    async def reports(self) -> list[Object]:
        return await self.client.list(CHAOS_REPORT, self.namespace)

    async def gone(self, name: str = "slow") -> None:
        async def gone() -> bool:
            try:
                await self.client.get(CHAOS_EXPERIMENT, self.namespace, name)
            except NotFound:
                return True
            return False

        await until(gone, f"{name} is gone")

    async def enable(self, value: str | None = "true") -> None:
        labels = {"metadata": {"labels": {ENABLED_LABEL: value}}}
        await self.client.patch(NAMESPACE, None, self.namespace, labels)

    @asynccontextmanager
    async def controller(self, **changes: Any) -> AsyncIterator[asyncio.Task[None]]:
        """Run a controller with chaos in it; cancelled at the end, unless it was stopped or killed before."""
        self.processes += 1
        join = chaos(
            ChaosOptions(
                identity=f"{self.system}-{self.processes}",
                system_namespace=self.system,
                metrics_server=self.options.metrics_server,
            )
        )
        task = asyncio.ensure_future(
            run(replace(self.options, **changes), asyncio.Event(), (join,))
        )
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await asyncio.sleep(0.1)
