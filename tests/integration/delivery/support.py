"""The controller on a real API server: no kubelet there, so the test says what became of each Deployment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from rollout.api.kinds import (
    CANARY,
    DEPLOYMENT,
    EVENT,
    POD,
    SERVICE_ACCOUNT,
    VIRTUAL_SERVICE,
    Kind,
)
from rollout.delivery.controller import run
from rollout.delivery.options import Options
from rollout.kube.client import Client, Patch
from rollout.kube.errors import KubeError
from rollout.kube.objects import Object
from tests.waiting import PATIENCE, until


@dataclass(slots=True, kw_only=True)
class Lab:
    """One namespace of a real API server with a controller in it."""

    client: Client
    namespace: str
    options: Options
    shown: list[tuple[str, int]] = field(default_factory=list)
    weights: list[tuple[int, ...]] = field(default_factory=list)
    stuck: set[str] = field(default_factory=set)

    async def get(self, kind: Kind, name: str) -> Object:
        return await self.client.get(kind, self.namespace, name)

    async def patch(self, kind: Kind, name: str, body: Any, **more: Any) -> Object:
        return await self.client.patch(kind, self.namespace, name, body, **more)

    async def status(self, name: str = "catalog-release") -> Object:
        found: Object = (await self.get(CANARY, name)).get("status") or {}
        return found

    async def phase(self, wanted: str, seconds: float = PATIENCE) -> Object:
        """Wait for a phase, and answer the status."""
        seen = len(self.shown)

        def there() -> bool:
            return any(phase == wanted for phase, _ in self.shown[max(0, seen - 1) :])

        await until(there, f"{wanted}, shown {self.shown}", seconds)
        return await self.status()

    async def new_image(self, image: str) -> None:
        path = "/spec/template/spec/containers/0/image"
        change = [{"op": "replace", "path": path, "value": image}]
        await self.patch(DEPLOYMENT, "catalog", change, content_type=Patch.JSON)

    async def failing_pod(self, message: str = "no such image") -> None:
        """A pod of the target whose image cannot be had, as kubelet would say it."""
        account = {"metadata": {"name": "default", "namespace": self.namespace}}
        await self.client.create(SERVICE_ACCOUNT, account)
        labels = {"app": "catalog"}
        pod = {
            "metadata": {"name": "catalog-x", "namespace": self.namespace, "labels": labels},
            "spec": {"containers": [{"name": "catalog", "image": "catalog:2"}]},
        }
        await self.client.create(POD, pod)
        container = {
            "name": "catalog",
            "ready": False,
            "restartCount": 0,
            "image": "",
            "imageID": "",
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": message}},
        }
        status = {"status": {"phase": "Pending", "containerStatuses": [container]}}
        await self.patch(POD, "catalog-x", status, subresource="status")

    async def events(self) -> list[str]:
        """The messages of the canary's events, oldest first."""
        found = await self.client.list(EVENT, self.namespace)
        found.sort(key=lambda each: int(each["metadata"]["resourceVersion"]))
        return [each["message"] for each in found if each["involvedObject"]["kind"] == "Canary"]

    @asynccontextmanager
    async def controller(self) -> AsyncIterator[asyncio.Task[None]]:
        """Run a controller; cancelled at the end, as by kill -9, unless it was stopped before."""
        task = asyncio.ensure_future(run(self.options, asyncio.Event()))
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            # A connection that was being made is closed in the loop's next turns.
            await asyncio.sleep(0.1)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Play the Deployment controller, and note what `kubectl get canary -w` would show."""
        tasks = [
            asyncio.ensure_future(each) for each in (self._roll(), self._note(), self._routes())
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _each(self, kind: Kind) -> AsyncIterator[Object]:
        seen: dict[str, str] = {}
        while True:
            with suppress(KubeError):
                for obj in await self.client.list(kind, self.namespace):
                    name, version = obj["metadata"]["name"], obj["metadata"]["resourceVersion"]
                    if seen.get(name) != version:
                        seen[name] = version
                        yield obj
            await asyncio.sleep(0.03)

    async def _roll(self) -> None:
        async for obj in self._each(DEPLOYMENT):
            if obj["metadata"]["name"] in self.stuck:
                continue
            replicas = obj["spec"]["replicas"]
            status = {
                "observedGeneration": obj["metadata"]["generation"],
                "replicas": replicas,
                "updatedReplicas": replicas,
                "readyReplicas": replicas,
                "availableReplicas": replicas,
            }
            with suppress(KubeError):
                name = obj["metadata"]["name"]
                await self.patch(DEPLOYMENT, name, {"status": status}, subresource="status")

    async def _note(self) -> None:
        async for obj in self._each(CANARY):
            status = obj.get("status") or {}
            column = status.get("phase", ""), status.get("canaryWeight", 0)
            if column[0] and self.shown[-1:] != [column]:
                self.shown.append(column)

    async def _routes(self) -> None:
        async for obj in self._each(VIRTUAL_SERVICE):
            weights = tuple(each["weight"] for each in obj["spec"]["http"][0]["route"])
            if self.weights[-1:] != [weights]:
                self.weights.append(weights)


def options(kubeconfig: Path, namespace: str, metrics_server: str) -> Options:
    """A controller of one namespace, without servers, that may take a step each second."""
    return Options(
        kubeconfig=str(kubeconfig),
        namespace=namespace,
        metrics_server=metrics_server,
        minimum_interval=timedelta(seconds=1),
        port=0,
        webhook_port=0,
    )
