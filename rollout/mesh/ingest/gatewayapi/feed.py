"""Gateway API's objects as they come and go, and what comes of them together: put into the registry, told to a keeper.

All is resolved again when anything changes that any of it refers to, and only then. Knows neither stores nor watches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rollout.api.errors import InvalidObject
from rollout.api.gatewayapi.gateway import Gateway, GatewayClass
from rollout.api.gatewayapi.grpcroute import GRPCRoute
from rollout.api.gatewayapi.httproute import HTTPRoute
from rollout.api.gatewayapi.referencegrant import ReferenceGrant
from rollout.api.gatewayapi.references import ObjectReference
from rollout.api.model import Resource
from rollout.mesh.ingest.gatewayapi import exposure
from rollout.mesh.ingest.gatewayapi.mesh import hosts_of, overriding
from rollout.mesh.ingest.gatewayapi.outcome import GATEWAY, Outcome
from rollout.mesh.ingest.gatewayapi.resolve import Objects, resolve
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.service import service_host

Json = Mapping[str, Any]


class GatewayFeed:
    """The way of Gateway API's objects into a registry; `outcome` is what comes of them, `unreadable` why some are not.

    `told` is called when there is a new outcome.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._objects = Objects()
        self._stale = False
        self._hosts: frozenset[str] = frozenset()
        self._parents: frozenset[str] = frozenset()
        self._known_first: dict[str, Ref | None] = {}
        self.outcome = Outcome()
        self.unreadable: dict[Ref, str] = {}
        self.told: Callable[[], None] = lambda: None
        self._held: dict[str, tuple[dict[Ref, Any], type[Resource]]] = {
            "GatewayClass": (self._objects.classes, GatewayClass),
            GATEWAY: (self._objects.gateways, Gateway),
            "HTTPRoute": (self._objects.http_routes, HTTPRoute),
            "GRPCRoute": (self._objects.grpc_routes, GRPCRoute),
            "ReferenceGrant": (self._objects.grants, ReferenceGrant),
        }

    def put(self, ref: Ref, obj: Json | None) -> None:
        """An object came, changed or (None) went; one that cannot be read counts as gone."""
        held, model = self._held[ref.kind]
        held.pop(ref, None)
        self._objects.forget(ref)
        if model is ReferenceGrant:
            self._objects.readings.clear()
        self.unreadable.pop(ref, None)
        self._registry.note(ref)
        self._stale = True
        if obj is None:
            return
        try:
            held[ref] = model.parse(obj)
        except InvalidObject as invalid:
            self.unreadable[ref] = str(invalid)

    def routes_to(self, host: str) -> set[Ref]:
        """The routes that have the Service of a host as parent."""
        return {
            Ref(route.KIND.kind, route.namespace, route.name)
            for route in self._objects.routes
            if host in hosts_of(route.namespace, route.spec.parent_refs)
        }

    def namespace(self, name: str, labels: Mapping[str, str] | None) -> None:
        """A namespace came, its labels changed, or (None) it went."""
        if labels == self._objects.namespaces.get(name):
            return
        self._stale = True
        if labels is None:
            self._objects.namespaces.pop(name, None)
        else:
            self._objects.namespaces[name] = dict(labels)

    def service(self, host: str, obj: Json | None) -> None:
        """A Service came, changed or (None) went: one that is referred to, or a Gateway's, which has its address."""
        if host in self._hosts:
            self._stale = True
            self._forget_routes_to(host)
        found = exposure.addresses_of(obj) if obj is not None and exposure.exposed_by(obj) else ()
        if found == self._objects.addresses.get(host, ()):
            return
        self._stale = True
        if found:
            self._objects.addresses[host] = found
        else:
            self._objects.addresses.pop(host, None)

    def _forget_routes_to(self, host: str) -> None:
        for route in self._objects.routes:
            if host in _backends(route):
                self._objects.forget(Ref(route.kind, route.namespace, route.name))

    def touch(self, host: str) -> None:
        """The endpoints of a Service changed; those of Gateways' Services alone say anything here."""
        self._stale |= host in self._objects.addresses

    def credential(self) -> None:
        """A Secret changed."""
        self._stale |= bool(self._objects.gateways)

    def flush(self) -> None:
        """Resolves all objects, if anything has changed."""
        if not self._stale and self._first() == self._known_first:
            return
        self._stale = False
        self._hosts = frozenset(self._referred())
        self._parents = frozenset(self._services_of_routes())
        self._known_first = self._first()
        before, self.outcome = self.outcome, resolve(self._objects, self._registry)
        for ref in before.gateways.keys() | self.outcome.gateways.keys():
            self._registry.set_gateway(ref, self.outcome.gateways.get(ref))
        for ref in before.tables.keys() | self.outcome.tables.keys():
            self._registry.set_table(ref, self.outcome.tables.get(ref))
        self.told()

    def _first(self) -> dict[str, Ref | None]:
        """What comes before routes that have Services as parents, by host."""
        return {host: overriding(self._registry, host) for host in self._parents}

    def _services_of_routes(self) -> Iterable[str]:
        for route in self._objects.routes:
            yield from hosts_of(route.namespace, route.spec.parent_refs)

    def _referred(self) -> Iterable[str]:
        """Hosts whose coming and going makes a difference."""
        root = self._registry.root_namespace
        yield service_host(root, exposure.PROXIES)
        for ref in self._objects.gateways:
            yield service_host(root, exposure.service_name(ref.namespace, ref.name))
        yield from self._services_of_routes()
        for route in self._objects.routes:
            yield from _backends(route)


def _backends(route: HTTPRoute | GRPCRoute) -> Iterable[str]:
    """The hosts that a route leads to."""
    for reference in _references(route):
        yield service_host(reference.namespace or route.namespace, reference.name)


def _references(route: HTTPRoute | GRPCRoute) -> Iterable[ObjectReference]:
    for rule in route.spec.rules:
        yield from rule.backend_refs
        mirrors = (each.request_mirror for each in rule.filters)
        yield from (mirror.backend_ref for mirror in mirrors if mirror is not None)
