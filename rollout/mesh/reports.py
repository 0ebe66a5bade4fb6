"""What proxies would not take, told among the replicas of the control plane: each knows its own, one writes statuses.

By a ConfigMap with a key for each replica that has something to tell. Knows nothing of proxies, nor what is made of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple
from typing import Any

import structlog

from rollout.api.kinds import CONFIG_MAP
from rollout.kube.cache import Cache
from rollout.kube.client import Client
from rollout.kube.errors import AlreadyExists, KubeError
from rollout.kube.objects import Key, Object
from rollout.kube.store import Change, Store
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.settling import Settling

NAME = "rollout-mesh-reports"
_MOST = 200
"""Problems of a kind in one report: a ConfigMap holds 1 MiB."""
_LONGEST = 500
"""Characters of a reason, which is the proxy's own error."""
_REFUSED, _UNSERVED = "refused", "unserved"

Problems = Mapping[Ref, tuple[Problem, ...]]
Told = Callable[[], Problems]

log = structlog.get_logger(__name__)


class Reports:
    """The report of this replica's `pod` (empty: it is alone), and those of others as long as their pods are ready.

    `refused` and `unserved` are what it tells, `pods` are as the intake has them, `changed` is called when another's
    report may count for something else now. Create it before the cache runs.
    """

    def __init__(
        self,
        client: Client,
        cache: Cache,
        me: Key,
        refused: Told,
        unserved: Told,
        pods: Store,
        changed: Callable[[], None],
    ) -> None:
        self._client, self._me, self._pods, self._changed = client, me, pods, changed
        self._told: Mapping[str, Told] = {_REFUSED: refused, _UNSERVED: unserved}
        self._key = Key(me.namespace, NAME)
        self._store = cache.watch(CONFIG_MAP, namespace=me.namespace, name=NAME)
        self._store.subscribe(self._on_change)
        pods.subscribe(self._on_pod)
        self._settling = Settling(self._write, ours=lambda: bool(me.name))

    def trigger(self) -> None:
        """This replica may have something else to tell."""
        self._settling.trigger()

    async def run(self) -> None:
        """Tells until cancelled; what was told last stays as long as the pod."""
        self.trigger()
        await self._settling.run()

    def refusals(self) -> dict[Ref, tuple[Problem, ...]]:
        """What the proxies of any replica refuse now."""
        return self._all(_REFUSED)

    def unserved(self) -> dict[Ref, tuple[Problem, ...]]:
        """What cannot be given to the proxies of any replica."""
        return self._all(_UNSERVED)

    def _all(self, what: str) -> dict[Ref, tuple[Problem, ...]]:
        found = {ref: set(problems) for ref, problems in self._told[what]().items()}
        for pod, text in self._there.items():
            known = self._pods.get(self._me.namespace, pod)
            if pod != self._me.name and known is not None and known["ready"]:
                for problem in _read(pod, text, what):
                    found.setdefault(problem.ref, set()).add(problem)
        return {ref: tuple(sorted(problems)) for ref, problems in found.items()}

    @property
    def _there(self) -> Mapping[str, str]:
        known = self._store.get(*self._key)
        return (known or {}).get("data") or {}

    def _on_change(self, _change: Change) -> None:
        self.trigger()
        self._changed()

    def _on_pod(self, change: Change) -> None:
        if change.key.namespace == self._me.namespace and change.key.name in self._there:
            self._changed()

    async def _write(self) -> bool:
        there, mine = self._there, self._report()
        data: dict[str, str | None] = {
            pod: None
            for pod in there
            if pod != self._me.name and self._pods.get(self._me.namespace, pod) is None
        }
        if there.get(self._me.name) != mine:
            data[self._me.name] = mine
        if not data:
            return True
        try:
            if self._store.get(*self._key) is None:
                self._store.put(await self._client.create(CONFIG_MAP, self._made(data)))
            else:
                self._store.put(await self._client.patch(CONFIG_MAP, *self._key, {"data": data}))
        except AlreadyExists:
            return False
        except KubeError as error:
            log.warning("report not written", error=str(error))
            return False
        return True

    def _report(self) -> str | None:
        told = {what: _written(each()) for what, each in self._told.items()}
        return json.dumps(told) if any(told.values()) else None

    def _made(self, data: Mapping[str, str | None]) -> Object:
        return {
            "apiVersion": CONFIG_MAP.api_version,
            "kind": CONFIG_MAP.kind,
            "metadata": {
                "namespace": self._key.namespace,
                "name": self._key.name,
                "labels": {"app.kubernetes.io/managed-by": "rollout"},
            },
            "data": data,
        }


def _written(problems: Problems) -> list[list[str]]:
    every = sorted(problem for each in problems.values() for problem in each)
    if len(every) > _MOST:
        log.warning("not all problems are told to other replicas", told=_MOST, known=len(every))
    return [
        [*astuple(each.ref), each.field, each.reason[:_LONGEST], each.remedy]
        for each in every[:_MOST]
    ]


def _read(pod: str, text: str, what: str) -> Iterable[Problem]:
    try:
        rows: list[list[Any]] = json.loads(text)[what]
        return [
            Problem(Ref(kind, namespace, name), field, reason, remedy)
            for kind, namespace, name, field, reason, remedy in rows
        ]
    except (ValueError, KeyError, TypeError) as error:
        log.warning("another replica's report cannot be read", pod=pod, error=str(error))
        return ()
