"""What goes on under load: routes that change, control planes and pods that are replaced, killed ones, changed roots."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rollout.api.kinds import DEPLOYMENT, SECRET, VIRTUAL_SERVICE
from rollout.kube.client import Client

NAMESPACE = "loss"


@dataclass(slots=True)
class Disturber:
    """Each method goes on until cancelled; `done` counts what was done. `kill` ends a process of a component by force."""

    client: Client
    system: str
    kill: Callable[[str], int]
    done: Counter[str] = field(default_factory=Counter)

    async def routes(self, period: float = 1.0) -> None:
        """Another answer's header each second."""
        while True:
            number = self.done["route_changes"] + 1
            headers = {"response": {"set": {"x-change": str(number)}}}
            route = {"route": [{"destination": {"host": "meshed"}}], "headers": headers}
            await self.client.patch(
                VIRTUAL_SERVICE, NAMESPACE, "meshed", {"spec": {"http": [route]}}
            )
            self.done["route_changes"] = number
            await asyncio.sleep(period)

    async def pods(self) -> None:
        """The application's pods are replaced, again and again."""
        while True:
            await self._replace(NAMESPACE, "meshed")
            self.done["pods_rolled"] += 2

    async def abrupt(self) -> None:
        """The only pod of an application that ends at once is replaced, again and again."""
        while True:
            await self._replace(NAMESPACE, "abrupt")
            self.done["abrupt_pods_rolled"] += 1

    async def control_plane(self, pause: float = 10.0) -> None:
        """All of the control plane is replaced, then one process of it is killed, again and again."""
        while True:
            await self._replace(self.system, "rollout-mesh")
            self.done["control_plane_restarts"] += 1
            await asyncio.sleep(pause)
            self.kill("mesh")
            self.done["control_planes_killed"] += 1
            await asyncio.sleep(pause)

    async def root(self) -> None:
        """A new root is made, which signs once everybody trusts it; once, since the old one is still in use."""
        await self.client.delete(SECRET, self.system, "istio-ca-secret")
        self.done["roots_changed"] += 1

    async def _replace(self, namespace: str, name: str) -> None:
        stamp = {"bench.rollout.dev/at": datetime.now(UTC).isoformat()}
        patch = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
        written = await self.client.patch(DEPLOYMENT, namespace, name, patch)
        generation = written["metadata"]["generation"]
        while True:
            await asyncio.sleep(0.5)
            found = await self.client.get(DEPLOYMENT, namespace, name)
            status, wanted = found.get("status") or {}, found["spec"]["replicas"]
            parts = ("updatedReplicas", "availableReplicas", "replicas")
            current = status.get("observedGeneration", 0) >= generation
            if current and all(status.get(part) == wanted for part in parts):
                return
