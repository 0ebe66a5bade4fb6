"""What Ingresses are told: where they are reached, on their status, and what of them is not served, by an event.

An Ingress has no conditions, so an event is the place where its author looks. Must not know how Ingresses are read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import structlog

from rollout.api.kinds import INGRESS
from rollout.kube.errors import KubeError
from rollout.kube.events import EventRecorder
from rollout.kube.fence import FencedWriter
from rollout.kube.objects import Object
from rollout.kube.store import Store
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.settling import Settling

log = structlog.get_logger(__name__)

GATEWAY = "istio-ingressgateway"
"""The Service of the gateway that serves Ingresses."""
Problems = Mapping[Ref, tuple[Problem, ...]]


def addresses(service: Object | None) -> list[dict[str, Any]]:
    """Where the gateway's Service is reached: by its load balancer, by external addresses, else within the cluster."""
    if service is None:
        return []
    spec: Mapping[str, Any] = service.get("spec") or {}
    balancer = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    if balancer:
        return [{key: each[key] for key in ("ip", "hostname") if key in each} for each in balancer]
    found = spec.get("externalIPs") or spec.get("clusterIPs") or ()
    return [{"ip": address} for address in found if address != "None"]


class IngressKeeper:
    """Writes some moments after `trigger`; `mine` and `problems` are asked then."""

    def __init__(
        self,
        writer: FencedWriter,
        events: EventRecorder,
        ingresses: Store,
        services: Store,
        namespace: str,
        mine: Callable[[], Collection[Ref]],
        problems: Callable[[], Problems],
    ) -> None:
        self._writer, self._events = writer, events
        self._ingresses, self._services, self._namespace = ingresses, services, namespace
        self._mine, self._problems = mine, problems
        self._told: dict[str, str] = {}
        self._settling = Settling(self._write_all, ours=lambda: writer.holds(namespace))

    def trigger(self) -> None:
        """Ingresses, their problems or the gateway's address may have changed."""
        self._settling.trigger()

    async def run(self) -> None:
        """Writes until cancelled."""
        await self._settling.run()

    async def _write_all(self) -> bool:
        mine = sorted(self._mine())
        problems = self._problems() if mine else {}
        where = addresses(self._services.get(self._namespace, GATEWAY))
        fine, told = True, {}
        for ref in mine:
            obj = self._ingresses.get(ref.namespace, ref.name)
            if obj is None:
                continue
            uid = str(obj["metadata"].get("uid", ""))
            told[uid] = self._tell(obj, uid, problems.get(ref, ()))
            fine &= await self._publish(obj, where)
        self._told = told
        return fine

    def _tell(self, obj: Object, uid: str, problems: tuple[Problem, ...]) -> str:
        message = "; ".join(f"{p.field}: {p.reason} ({p.remedy})" for p in problems)
        if message and message != self._told.get(uid):
            metadata = obj["metadata"]
            log.warning(
                "problem",
                object=f"Ingress {metadata['namespace']}/{metadata['name']}",
                reason=message,
            )
            head = {"apiVersion": INGRESS.api_version, "kind": INGRESS.kind}
            self._events.emit({**head, **obj}, "Warning", "Refused", message)
        return message

    async def _publish(self, obj: Object, where: list[dict[str, Any]]) -> bool:
        status: Mapping[str, Any] = obj.get("status") or {}
        there = (status.get("loadBalancer") or {}).get("ingress") or []
        if there == where:
            return True
        balancer = {"ingress": where} if where else {}
        try:
            await self._writer.patch_status(INGRESS, obj, {**status, "loadBalancer": balancer})
        except KubeError as error:
            name = f"Ingress {obj['metadata']['namespace']}/{obj['metadata']['name']}"
            log.warning("status not written", object=name, error=str(error))
            return False
        return True
