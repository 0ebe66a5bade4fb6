"""Keeps what Gateway API's objects are told, and the Services by which Gateways are reached, as the outcome says.

Level-triggered: everything is compared with what is there, only differences are written. Knows nothing of how the
outcome is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog

from rollout.api.kinds import (
    GATEWAY_CLASS,
    GRPC_ROUTE,
    HTTP_ROUTE,
    KUBERNETES_GATEWAY,
    SERVICE,
    Kind,
)
from rollout.kube.cache import Cache
from rollout.kube.errors import KubeError
from rollout.kube.fence import FencedWriter
from rollout.kube.objects import Object, key_of
from rollout.kube.store import Change, Store
from rollout.mesh.ingest.gatewayapi import exposure, statuses
from rollout.mesh.ingest.gatewayapi.feed import GatewayFeed
from rollout.mesh.ingest.gatewayapi.outcome import CONTROLLER, GATEWAY, GatewayStatus
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.settling import Settling

log = structlog.get_logger(__name__)

CLASS = "rollout"
"""The GatewayClass that is made where Gateway API is installed."""
Problems = Mapping[Ref, tuple[Problem, ...]]
_Write = tuple[Kind, Object, dict[str, Any]]


class GatewayKeeper:
    """Writes some moments after `trigger`.

    `stores` are those of Gateway API's kinds in the `cache`; `namespace` is that of the proxies. `refused` tells what
    proxies refuse of Gateways.
    """

    def __init__(
        self,
        writer: FencedWriter,
        feed: GatewayFeed,
        stores: dict[Kind, Store],
        services: Store,
        namespace: str,
        cache: Cache,
        refused: Callable[[], Problems],
    ) -> None:
        self._cache, self._refused = cache, refused
        self._writer, self._feed = writer, feed
        self._stores, self._services, self._namespace = stores, services, namespace
        self._settling = Settling(
            self._write_all, self._lacks_class, ours=lambda: writer.holds(namespace)
        )
        self._unreadable: dict[Ref, str] = {}
        feed.told = self.trigger
        for store in (*stores.values(), services):
            store.subscribe(self._on_change)

    def _on_change(self, change: Change) -> None:
        """What others have done to statuses and Services is put right again."""
        seen = [each for each in (change.old, change.new) if each is not None]
        if change.kind != SERVICE or any(map(self._concerned, seen)):
            self.trigger()

    def _concerned(self, service: Object) -> bool:
        key = (self._namespace, exposure.PROXIES)
        return bool(exposure.exposed_by(service)) or key_of(service) == key

    def trigger(self) -> None:
        """The outcome, or an object, may have changed."""
        self._settling.trigger()

    async def run(self) -> None:
        """Writes until cancelled."""
        await self._settling.run()

    async def _write_all(self) -> bool:
        self._log_unreadable()
        fine = await self._make_class() and await self._expose()
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for kind, obj, status in list(self._statuses(now)):
            try:
                await self._writer.patch_status(kind, obj, status)
            except KubeError as error:
                metadata = obj["metadata"]
                name = f"{kind.kind} {metadata.get('namespace', '')}/{metadata['name']}"
                log.warning("status not written", object=name, error=str(error))
                fine = False
        return fine

    def _log_unreadable(self) -> None:
        found = dict(self._feed.unreadable)
        for ref, reason in found.items():
            if self._unreadable.get(ref) != reason:
                log.warning("problem", object=str(ref), reason=reason)
        self._unreadable = found

    def _statuses(self, now: str) -> Iterator[_Write]:
        outcome, refused = self._feed.outcome, self._refused()
        for obj in self._stores[GATEWAY_CLASS].list():
            told = outcome.class_statuses.get(Ref("GatewayClass", "", obj["metadata"]["name"]))
            if told and (status := statuses.class_status(obj, told, now)):
                yield GATEWAY_CLASS, obj, status
        for obj in self._stores[KUBERNETES_GATEWAY].list():
            ref = _ref(GATEWAY, obj)
            found: GatewayStatus | None = outcome.gateway_statuses.get(ref)
            if found is not None and ref in refused:
                found = found.refused("; ".join(each.reason for each in refused[ref]))
            if found and (status := statuses.gateway_status(obj, found, now)):
                yield KUBERNETES_GATEWAY, obj, status
        for kind in (HTTP_ROUTE, GRPC_ROUTE):
            for obj in self._stores[kind].list():
                ref = _ref(kind.kind, obj)
                parents = outcome.route_statuses.get(ref, ())
                if ref in refused:
                    reason = "; ".join(each.reason for each in refused[ref])
                    parents = tuple(each.refused(reason) for each in parents)
                if status := statuses.route_status(obj, parents, now):
                    yield kind, obj, status

    def _lacks_class(self) -> bool:
        """Whether Gateway API is installed, but not the class of this mesh's gateways."""
        missing = self._stores[GATEWAY_CLASS].get("", CLASS) is None
        known = self._cache.has_listed(GATEWAY_CLASS) and self._cache.is_installed(GATEWAY_CLASS)
        return missing and known

    async def _make_class(self) -> bool:
        if not self._lacks_class():
            return True
        desired = {"metadata": {"name": CLASS}, "spec": {"controllerName": CONTROLLER}}
        try:
            await self._writer.apply(GATEWAY_CLASS, desired, None)
        except KubeError as error:
            log.warning("the GatewayClass was not made", error=str(error))
            return False
        return True

    async def _expose(self) -> bool:
        """Creates, changes and deletes Gateways' Services; whether all could be done."""
        existing = {
            each["metadata"]["name"]: each
            for each in self._services.list(self._namespace)
            if exposure.exposed_by(each)
        }
        proxies = self._services.get(self._namespace, exposure.PROXIES)
        wanted = self._feed.outcome.ports if proxies is not None else {}
        desired = exposure.services_for(wanted, proxies or {}, existing.values())
        fine = True
        try:
            for each in desired:
                known = existing.pop(each["metadata"]["name"], None)
                await self._writer.apply(SERVICE, each, known, exact=("spec.selector",))
            # An address is not given up for Gateways that have not been read yet.
            for gone in existing.values() if self._cache.has_listed(KUBERNETES_GATEWAY) else ():
                await self._writer.delete(SERVICE, gone)
        except KubeError as error:
            log.warning("a Gateway's Service was not written", error=str(error))
            fine = False
        return fine


def _ref(kind: str, obj: Object) -> Ref:
    return Ref(kind, obj["metadata"]["namespace"], obj["metadata"]["name"])
