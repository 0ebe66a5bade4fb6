"""Kills pods of a target through the Eviction API, so that disruption budgets are kept. Knows not which, nor why."""

from __future__ import annotations

from rollout.api.chaos import ChaosExperiment, PodKill
from rollout.api.kinds import POD, SERVICE
from rollout.chaos.plan.pods import chosen
from rollout.chaos.plan.snapshot import Killed
from rollout.kube.client import Client
from rollout.kube.errors import KubeError, NotFound
from rollout.kube.objects import Object, selector_string


class PodKiller:
    """Evicts what an experiment's `podKill` asks for."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def kill(self, experiment: ChaosExperiment, kill: PodKill) -> Killed:
        """Evict them, one after the other; never raises."""
        namespace = experiment.target_namespace
        done: list[str] = []
        problem = ""
        try:
            pods = await self._pods(namespace, experiment.spec.target.services)
            victims = chosen(kill, pods, experiment.status.run_id or "")
            if not victims:
                return Killed(problem="no pod of the target is running")
            for pod in victims:
                name = str(pod["metadata"]["name"])
                try:
                    await self._evict(namespace, name, kill)
                    done.append(name)
                except NotFound:
                    continue
                except KubeError as error:
                    problem = f"eviction of {name} was refused: {error.message}"
        except KubeError as error:
            problem = f"its pods cannot be read: {error.message}"
        return Killed(pods=tuple(done), problem=problem)

    async def _pods(self, namespace: str, services: tuple[str, ...]) -> list[Object]:
        found: dict[str, Object] = {}
        for name in services:
            service = await self._client.get(SERVICE, namespace, name)
            selector = (service.get("spec") or {}).get("selector")
            if not selector:
                continue  # an empty selector would be every pod of the namespace
            text = selector_string({"matchLabels": selector})
            for pod in await self._client.list(POD, namespace, label_selector=text):
                found[str(pod["metadata"]["name"])] = pod
        return list(found.values())

    async def _evict(self, namespace: str, name: str, kill: PodKill) -> None:
        body: Object = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"namespace": namespace, "name": name},
        }
        if kill.grace_period_seconds is not None:
            body["deleteOptions"] = {"gracePeriodSeconds": kill.grace_period_seconds}
        await self._client.request("POST", POD.path(namespace, name, "eviction"), body=body)
