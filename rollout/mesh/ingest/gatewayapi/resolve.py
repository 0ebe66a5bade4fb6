"""All of Gateway API's objects, and the registry's Services and certificates, to what comes of them together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from rollout.api.gatewayapi.gateway import Gateway, GatewayClass
from rollout.api.gatewayapi.grpcroute import GRPCRoute
from rollout.api.gatewayapi.httproute import HTTPRoute
from rollout.api.gatewayapi.referencegrant import ReferenceGrant
from rollout.api.gatewayapi.references import ParentReference
from rollout.mesh.ingest.gatewayapi import exposure
from rollout.mesh.ingest.gatewayapi.attachment import Attachments, Labels
from rollout.mesh.ingest.gatewayapi.conditions import (
    ACCEPTED,
    PROGRAMMED,
    Condition,
    not_accepted,
    not_programmed,
)
from rollout.mesh.ingest.gatewayapi.grants import NEEDLESS, Grants
from rollout.mesh.ingest.gatewayapi.httproutes import http_route
from rollout.mesh.ingest.gatewayapi.listeners import ListenerReading, listeners_of
from rollout.mesh.ingest.gatewayapi.mesh import SERVICE, MeshAttachments
from rollout.mesh.ingest.gatewayapi.outcome import (
    CONTROLLER,
    ClassStatus,
    GatewayStatus,
    ListenerStatus,
    Outcome,
    ParentStatus,
)
from rollout.mesh.ingest.gatewayapi.reading import RouteReading
from rollout.mesh.model import gateway as ir
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.service import service_host


@dataclass(slots=True, kw_only=True)
class Objects:
    """The objects as parsed; `namespaces` are the labels of each, `addresses` those of Gateways' Services by host.

    `readings` are those of routes that nothing has changed about since, by whether their backends need grants.
    """

    classes: dict[Ref, GatewayClass] = field(default_factory=dict)
    gateways: dict[Ref, Gateway] = field(default_factory=dict)
    http_routes: dict[Ref, HTTPRoute] = field(default_factory=dict)
    grpc_routes: dict[Ref, GRPCRoute] = field(default_factory=dict)
    grants: dict[Ref, ReferenceGrant] = field(default_factory=dict)
    namespaces: dict[str, Labels] = field(default_factory=dict)
    addresses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    readings: dict[tuple[Ref, bool], RouteReading] = field(default_factory=dict)

    def forget(self, ref: Ref) -> None:
        """A route, or something that it refers to, has changed."""
        for needing in (True, False):
            self.readings.pop((ref, needing), None)

    @property
    def routes(self) -> list[HTTPRoute | GRPCRoute]:
        """The routes of all kinds."""
        return [*self.http_routes.values(), *self.grpc_routes.values()]


def resolve(objects: Objects, registry: Registry) -> Outcome:
    """What comes of all objects together."""
    outcome = Outcome()
    ours = _classes(objects.classes, outcome)
    grants = Grants(objects.grants.values())
    open_gateways = {
        ref: Attachments(parsed, listeners_of(parsed, registry, grants))
        for ref, parsed in objects.gateways.items()
        if parsed.spec.gateway_class_name in ours
    }
    for reading in _readings(objects, registry, grants, lambda parent: parent in open_gateways):
        labels = objects.namespaces.get(reading.ref.namespace, {})
        for parent in reading.parents:
            attachments = open_gateways[_parent(parent, reading.ref.namespace)]
            _tell(outcome, reading, parent, attachments.attach(reading, parent, labels))
    mesh = MeshAttachments(registry)
    for reading in _readings(objects, registry, NEEDLESS, lambda parent: parent.kind == SERVICE):
        for parent in reading.parents:
            _tell(outcome, reading, parent, mesh.attach(reading, parent))
    outcome.tables = mesh.tables()
    for ref, attachments in open_gateways.items():
        _Gateway(objects.gateways[ref], attachments, objects, registry).tell(ref, outcome)
    return outcome


def _readings(
    objects: Objects, registry: Registry, grants: Grants, wanted: Callable[[Ref], bool]
) -> list[RouteReading]:
    """The routes that have wanted parents, with those alone, the oldest first."""
    found = []
    for each in objects.routes:
        parents = tuple(
            parent for parent in each.spec.parent_refs if wanted(_parent(parent, each.namespace))
        )
        if not parents:
            continue
        key = (Ref(each.kind, each.namespace, each.name), grants is not NEEDLESS)
        if key not in objects.readings:
            objects.readings[key] = http_route(each, registry.services, grants)
        found.append(replace(objects.readings[key], parents=parents))
    return sorted(found, key=lambda reading: reading.age)


def _tell(
    outcome: Outcome, reading: RouteReading, parent: ParentReference, accepted: Condition
) -> None:
    """Notes what is said of a route at one of its parents."""
    conditions = (accepted, *reading.conditions[1:])
    status = ParentStatus(reading.generation, parent, conditions)
    told = outcome.route_statuses.get(reading.ref, ())
    outcome.route_statuses[reading.ref] = (*told, status)


def _classes(classes: Mapping[Ref, GatewayClass], outcome: Outcome) -> set[str]:
    """The classes that are this mesh's and can be served."""
    ours = {ref: c for ref, c in classes.items() if c.spec.controller_name == CONTROLLER}
    for ref, each in ours.items():
        accepted = ACCEPTED
        if each.spec.parameters_ref is not None:
            reason = "spec.parametersRef is not acted upon by this version: remove it"
            accepted = not_accepted("InvalidParameters", reason)
        outcome.class_statuses[ref] = ClassStatus(each.metadata.generation, (accepted,))
    return {ref.name for ref in ours if outcome.class_statuses[ref].conditions[0].holds}


def _parent(parent: ParentReference, namespace: str) -> Ref:
    """The object that a route of a namespace means."""
    kind = f"{parent.kind}.{parent.group}" if parent.group else parent.kind
    return Ref(kind, parent.namespace or namespace, parent.name)


class _Gateway:
    """One Gateway with all that is attached to it."""

    def __init__(
        self, parsed: Gateway, attachments: Attachments, objects: Objects, registry: Registry
    ) -> None:
        self._parsed, self._attachments, self._registry = parsed, attachments, registry
        self._service = service_host(
            registry.root_namespace, exposure.service_name(parsed.namespace, parsed.name)
        )
        self._addresses = objects.addresses.get(self._service, ())

    def tell(self, ref: Ref, outcome: Outcome) -> None:
        """Puts in what comes of it."""
        served = self._attachments.served()
        accepted = self._accepted()
        if accepted.holds and served:
            outcome.ports[ref.namespace, ref.name] = {
                listener.port: listener.encrypted for listener, _ in served
            }
            if (found := self._model(ref, served)) is not None:
                outcome.gateways[ref] = found
        outcome.gateway_statuses[ref] = GatewayStatus(
            generation=self._parsed.metadata.generation,
            conditions=(accepted, self._programmed(accepted, any_served=bool(served))),
            addresses=self._addresses,
            listeners=tuple(
                ListenerStatus(
                    name=each.listener.name,
                    kinds=each.listener.kinds,
                    attached=each.count,
                    conditions=each.listener.conditions(),
                )
                for each in self._attachments.listeners
            ),
        )

    def _accepted(self) -> Condition:
        spec = self._parsed.spec
        if any(address.value for address in spec.addresses):
            reason = "spec.addresses: addresses are not chosen in this version: remove them"
            return not_accepted("UnsupportedAddress", reason)
        if isinstance(spec.infrastructure, Mapping) and spec.infrastructure.get("parametersRef"):
            reason = "spec.infrastructure.parametersRef is not acted upon: remove it"
            return not_accepted("InvalidParameters", reason)
        ignored = "; ".join(f"{e.path} is not acted upon" for e in self._parsed.unknown_fields)
        if spec.infrastructure is not None:
            ignored = "; ".join(filter(None, (ignored, "spec.infrastructure is not acted upon")))
        wrong = [
            each.listener.name
            for each in self._attachments.listeners
            if not each.listener.attachable
        ]
        if len(wrong) == len(self._attachments.listeners):
            return not_accepted("ListenersNotValid", "none of its listeners can be served")
        if wrong:
            reason = f"listeners that cannot be served: {', '.join(wrong)}"
            return Condition(ACCEPTED.type, "ListenersNotValid", reason)
        return Condition(ACCEPTED.type, ACCEPTED.reason, ignored)

    def _programmed(self, accepted: Condition, *, any_served: bool) -> Condition:
        if not accepted.holds or not any_served:
            return not_programmed("Invalid", "none of its listeners can be served")
        if self._proxies() is None:
            reason = "there are no gateway proxies: set the chart value gateway.enabled"
            return not_programmed("NoResources", reason)
        if not self._addresses:
            return not_programmed("AddressNotAssigned", "its Service has no address yet")
        if not self._registry.endpoints.get(self._service):
            return not_programmed("Pending", "no gateway proxy is ready")
        return PROGRAMMED

    def _proxies(self) -> frozenset[tuple[str, str]] | None:
        """The labels of the proxies that serve gateways."""
        host = service_host(self._registry.root_namespace, exposure.PROXIES)
        found = self._registry.services.get(host)
        return found.selector if found is not None else None

    def _model(
        self, ref: Ref, served: Iterable[tuple[ListenerReading, tuple[ir.HostRoutes, ...]]]
    ) -> ir.Gateway | None:
        selector = self._proxies()
        if selector is None:
            return None
        return ir.Gateway(
            ref=ref,
            created=self._parsed.metadata.creation_timestamp,
            selector=selector,
            service=self._service,
            namespace=self._registry.root_namespace,
            servers=tuple(_server(listener, hosts) for listener, hosts in served),
        )


def _server(listener: ListenerReading, hosts: tuple[ir.HostRoutes, ...]) -> ir.GatewayServer:
    found = ir.GatewayServer(
        port=listener.port,
        hosts=(("*", listener.host),),
        index=listener.index,
        name=listener.name,
        attached=hosts,
    )
    if listener.certificate is None:
        return found
    namespace, name = listener.certificate
    tls = ir.ServerTLS(mode=ir.TLSMode.SIMPLE, credential=name, namespace=namespace)
    return replace(found, protocol=ir.ServerProtocol.HTTPS, tls=tls)
