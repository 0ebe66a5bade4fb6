"""Backends of routes: Services that exist and may be referred to, or why a reference leads nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rollout.api.gatewayapi.references import ObjectReference
from rollout.mesh.ingest.gatewayapi.grants import Grants, Referrer
from rollout.mesh.model.routing import Destination
from rollout.mesh.model.service import Service, service_host


@dataclass(frozen=True, slots=True)
class Unresolved:
    """Why a reference cannot be followed, by the reason of a condition `ResolvedRefs`."""

    reason: str
    message: str


class Backends:
    """Finds the backends that an object refers to."""

    def __init__(self, referrer: Referrer, services: Mapping[str, Service], grants: Grants) -> None:
        self._referrer, self._services, self._grants = referrer, services, grants

    def find(self, reference: ObjectReference) -> Destination | Unresolved:
        """The Service's port that is meant."""
        namespace = reference.namespace or self._referrer.namespace
        name = f"{namespace}/{reference.name}"
        if (reference.group, reference.kind) != ("", "Service"):
            kind = f"{reference.kind}.{reference.group}" if reference.group else reference.kind
            return Unresolved("InvalidKind", f"{kind} {name}: only Services are backends")
        if not self._grants.allow(self._referrer, reference):
            who = f"{self._referrer.kind}s of namespace {self._referrer.namespace}"
            reason = f"no ReferenceGrant in {namespace} lets {who} refer to Service {name}"
            return Unresolved("RefNotPermitted", reason)
        host = service_host(namespace, reference.name)
        service = self._services.get(host)
        if service is None or service.hostname:
            return Unresolved("BackendNotFound", f"Service {name} does not exist")
        if reference.port is None or service.port(reference.port) is None:
            ports = ", ".join(str(port.number) for port in service.ports) or "none"
            written = "no port is named" if reference.port is None else f"no port {reference.port}"
            return Unresolved("BackendNotFound", f"Service {name}: {written}; its ports: {ports}")
        return Destination(host=host, port=reference.port)
