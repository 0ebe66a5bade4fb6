"""Routes with a Service as parent: tables for the sidecars that call it.

Those of the Service's own namespace are for all callers, those of another for the callers of that one alone, who then
have no part in the former. A VirtualService for the same host comes before both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from rollout.api.gatewayapi.references import ParentReference
from rollout.mesh.ingest.gatewayapi.conditions import ACCEPTED, Condition, not_accepted
from rollout.mesh.ingest.gatewayapi.reading import Ranked, RouteReading, ordered
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.routing import RouteTable
from rollout.mesh.model.service import Service, service_host

SERVICE = "Service"
_CALLERS, _OWN = 1, 2
_NO_PARENT = "NoMatchingParent"


@dataclass(slots=True)
class _Attached:
    """What callers of a namespace (empty: all) find at a Service, with the ports (None: all) of each route."""

    service: Service
    callers: str
    routes: dict[Ref, tuple[RouteReading, set[int | None]]] = field(default_factory=dict)


class MeshAttachments:
    """The Services of the mesh while routes come to them."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._found: dict[tuple[str, str], _Attached] = {}

    def attach(self, reading: RouteReading, parent: ParentReference) -> Condition:
        """Attaches a route to a Service; whether it could."""
        namespace = parent.namespace or reading.ref.namespace
        host = service_host(namespace, parent.name)
        service = self._registry.services.get(host)
        if service is None or service.hostname:
            return not_accepted(_NO_PARENT, f"Service {namespace}/{parent.name} does not exist")
        ports = _ports(service, parent)
        if not ports:
            known = ", ".join(f"{port.name or '-'} {port.number}" for port in service.ports)
            wanted = f"{parent.section_name or 'any name'} {parent.port or ''}".rstrip()
            reason = f"no HTTP port {wanted}; its ports: {known or 'none'}"
            return not_accepted(_NO_PARENT, f"Service {namespace}/{parent.name}: {reason}")
        if not reading.accepted.holds:
            return reading.accepted
        callers = "" if namespace == reading.ref.namespace else reading.ref.namespace
        there = self._found.setdefault((host, callers), _Attached(service, callers))
        there.routes.setdefault(reading.ref, (reading, set()))[1].update(ports)
        return Condition(ACCEPTED.type, ACCEPTED.reason, self._remark(host, reading))

    def _remark(self, host: str, reading: RouteReading) -> str:
        first = overriding(self._registry, host)
        remark = f"{first} is for the same host and comes first" if first else ""
        return "; ".join(filter(None, (reading.accepted.message, remark)))

    def tables(self) -> dict[Ref, RouteTable]:
        """The table of each Service, and of each namespace with routes of its own to it."""
        return {table.ref: table for table in map(_table, self._found.values())}


def overriding(registry: Registry, host: str) -> Ref | None:
    """The VirtualService that comes before routes for a Service's host: one that names it, not a wildcard's."""
    first = next(iter(registry.mesh_tables(host)), None)
    if first is None or first.rank:
        return None
    service = registry.services.get(host)
    exactly = {host, *(service.domains if service is not None else ())}
    return first.ref if not exactly.isdisjoint(first.hosts) else None


def _ports(service: Service, parent: ParentReference) -> set[int | None]:
    """The numbers of the ports that a parent means; None for all."""
    if parent.port is None and parent.section_name is None:
        return {None} if service.routed_ports else set()
    return {
        port.number
        for port in service.ports
        if port.protocol.routed
        and parent.port in {None, port.number}
        and parent.section_name in {None, port.name}
    }


def _table(attached: _Attached) -> RouteTable:
    service, callers = attached.service, attached.callers
    every = {port for _, ports in attached.routes.values() for port in ports}
    name = f"{service.name}/{callers}" if callers else service.name
    return RouteTable(
        ref=Ref(SERVICE, service.namespace, name),
        created=min(reading.created for reading, _ in attached.routes.values()),
        hosts=(service.host,),
        routes=ordered(_at(reading, ports) for reading, ports in attached.routes.values()),
        exported=frozenset({callers}) if callers else frozenset(),
        ports=frozenset() if None in every else frozenset(p for p in every if p is not None),
        rank=_CALLERS if callers else _OWN,
    )


def _at(reading: RouteReading, ports: set[int | None]) -> RouteReading:
    """The same route for some ports alone."""
    if None in ports:
        return reading
    return replace(reading, ranked=tuple(_on(each, ports) for each in reading.ranked))


def _on(ranked: Ranked, ports: Iterable[int | None]) -> Ranked:
    route = ranked.route
    wanted = sorted(port for port in ports if port is not None)
    matches = tuple(replace(match, port=port) for match in route.matches for port in wanted)
    return replace(ranked, route=replace(route, matches=matches))
