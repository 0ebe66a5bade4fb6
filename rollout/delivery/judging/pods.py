"""Where the pods of both arms are, for reading their proxies: one list for both, kept for a few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from rollout.api.kinds import POD
from rollout.judge.evidence.live import NoEvidence
from rollout.judge.evidence.proxypages import Pod
from rollout.judge.trials import Trial
from rollout.kube.client import Client
from rollout.kube.errors import KubeError
from rollout.kube.objects import Object

_FRESH_SECONDS = 3.0
_MOST = "500"


class ArmPods:
    """The pods of one trial's arms, as they were at most a few seconds ago; sooner while an arm has none."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._clock = client, clock
        self._read = float("-inf")
        self._known: tuple[Pod, ...] = ()

    async def of(self, trial: Trial) -> tuple[Pod, ...]:
        """The running pods. Raises NoEvidence where they cannot be listed."""
        whole = len({pod.canary for pod in self._known}) == 2
        if whole and self._clock() - self._read < _FRESH_SECONDS:
            return self._known
        selector = f"{trial.label} in ({trial.canary},{trial.reference})"
        query = {"labelSelector": selector, "limit": _MOST}
        try:
            path = POD.path(trial.namespace)
            found = (await self._client.request("GET", path, query=query))["items"]
        except KubeError as error:
            raise NoEvidence(f"pods with {selector} cannot be listed: {error}") from None
        self._read = self._clock()
        self._known = tuple(pod for each in found if (pod := _pod(each, trial)) is not None)
        return self._known


def _pod(pod: Object, trial: Trial) -> Pod | None:
    status = pod.get("status") or {}
    address = status.get("podIP")
    if status.get("phase") != "Running" or not address:
        return None
    canary = pod["metadata"].get("labels", {}).get(trial.label) == trial.canary
    return Pod(uid=pod["metadata"]["uid"], address=str(address), canary=canary)
