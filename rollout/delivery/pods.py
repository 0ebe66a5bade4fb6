"""Reads the pods of workloads that do not become ready: a few of each, and not the same ones again at once."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from rollout.api.kinds import POD
from rollout.kube.client import Client
from rollout.kube.errors import KubeError
from rollout.kube.objects import Key, Object, Objects, key_of, selector_string

log = structlog.get_logger(__name__)

_MOST = "20"
_FRESH_SECONDS = 5.0
_REMEMBERED = 1000


class PodReader:
    """Answers pods as they were at most a few seconds ago."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._clock = client, clock
        self._known: dict[Key, tuple[float, Objects]] = {}

    async def of(self, workload: Object) -> Objects:
        """Some of the pods that the workload selects; none where they cannot be read."""
        key, now = key_of(workload), self._clock()
        known = self._known.get(key)
        if known is not None and now - known[0] < _FRESH_SECONDS:
            return known[1]
        query = {"labelSelector": selector_string(workload["spec"]["selector"]), "limit": _MOST}
        pods: Objects = []
        try:
            pods = (await self._client.request("GET", POD.path(key.namespace), query=query))[
                "items"
            ]
        except KubeError as error:
            log.info("cannot look at pods", workload=str(key), error=str(error))
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[key] = now, pods
        return pods
