"""Gateway API's objects as they come and go, and what comes of them together: put into the registry, told to a keeper.

What a change is about is resolved again when everything is read, and only that. Knows neither stores nor watches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rollout.api.errors import InvalidObject
from rollout.api.gatewayapi.gateway import Gateway, GatewayClass
from rollout.api.gatewayapi.grpcroute import GRPCRoute
from rollout.api.gatewayapi.httproute import HTTPRoute
from rollout.api.gatewayapi.referencegrant import ReferenceGrant
from rollout.api.model import Resource
from rollout.mesh.ingest.gatewayapi import exposure
from rollout.mesh.ingest.gatewayapi.described import exposing
from rollout.mesh.ingest.gatewayapi.mesh import SERVICE
from rollout.mesh.ingest.gatewayapi.objects import Objects
from rollout.mesh.ingest.gatewayapi.outcome import GATEWAY, Outcome
from rollout.mesh.ingest.gatewayapi.resolve import Resolver
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.service import service_host

Json = Mapping[str, Any]
_MODELS: dict[str, type[Resource]] = {
    "GatewayClass": GatewayClass,
    GATEWAY: Gateway,
    "HTTPRoute": HTTPRoute,
    "GRPCRoute": GRPCRoute,
    "ReferenceGrant": ReferenceGrant,
}


class GatewayFeed:
    """The way of Gateway API's objects into a registry; `unreadable` is why some are not read.

    `told` is called when there may be another outcome.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._objects = Objects()
        self._resolver = Resolver(self._objects, registry)
        self._exposed: dict[str, Ref] = {}
        self.unreadable: dict[Ref, str] = {}
        self.told: Callable[[], None] = lambda: None

    @property
    def outcome(self) -> Outcome:
        """What comes of the objects."""
        return self._resolver.outcome

    def put(self, ref: Ref, obj: Json | None) -> None:
        """An object came, changed or (None) went; one that cannot be read counts as gone."""
        self.unreadable.pop(ref, None)
        self._registry.note(ref)
        parsed: Any = None
        try:
            parsed = _MODELS[ref.kind].parse(obj) if obj is not None else None
        except InvalidObject as invalid:
            self.unreadable[ref] = str(invalid)
        match ref.kind:
            case "HTTPRoute" | "GRPCRoute":
                self._objects.put_route(ref, parsed)
                self._resolver.route(ref)
            case kind if kind == GATEWAY:
                _put(self._objects.gateways, ref, parsed)
                host = exposing(self._registry, ref.namespace, ref.name)
                _put(self._exposed, host, ref if parsed else None)
                self._resolver.gateway(ref)
            case "GatewayClass":
                _put(self._objects.classes, ref, parsed)
                self._resolver.everything()
            case _:
                _put(self._objects.grants, ref, parsed)
                self._resolver.everything()

    def routes_to(self, host: str) -> frozenset[Ref]:
        """The routes that have the Service of a host as parent."""
        service = self._registry.services.get(host)
        if service is None:
            return frozenset()
        return self._objects.children(Ref(SERVICE, service.namespace, service.name))

    def namespace(self, name: str, labels: Mapping[str, str] | None) -> None:
        """A namespace came, its labels changed, or (None) it went."""
        if labels == self._objects.namespaces.get(name):
            return
        _put(self._objects.namespaces, name, labels)
        self._resolver.namespace(name)

    def service(self, ref: Ref, obj: Json | None) -> None:
        """A Service came, changed or (None) went."""
        self._resolver.service(ref)
        host = service_host(ref.namespace, ref.name)
        found = exposure.addresses_of(obj) if obj is not None and exposure.exposed_by(obj) else ()
        if found != self._objects.addresses.get(host, ()):
            _put(self._objects.addresses, host, found or None)
        self.touch(host)

    def touch(self, host: str) -> None:
        """The endpoints of a Service changed; those of Gateways' Services alone say anything here."""
        if (gateway := self._exposed.get(host)) is not None:
            self._resolver.gateway(gateway)

    def credential(self) -> None:
        """A Secret changed."""
        self._resolver.gateways()

    def flush(self) -> None:
        """Resolves what has changed, if anything has."""
        self._resolver.rerouted(self._registry.pending.routes)
        touched = self._resolver.resolve()
        if touched is None:
            return
        for ref in sorted(touched):
            if ref.kind == GATEWAY:
                self._registry.set_gateway(ref, self.outcome.gateways.get(ref))
            else:
                self._registry.set_table(ref, self.outcome.tables.get(ref))
        self.told()


def _put(held: dict[Any, Any], key: object, value: object) -> None:
    """Puts, replaces or (None) removes."""
    if value is None:
        held.pop(key, None)
    else:
        held[key] = value
