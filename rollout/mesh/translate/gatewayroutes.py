"""The HTTP routes of gateways: virtual hosts of the tables bound to them, and what is answered where there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rollout.mesh.model.gateway import HostRoutes, ServerProtocol
from rollout.mesh.model.hosts import covers
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.routing import Caller
from rollout.mesh.translate import names
from rollout.mesh.translate.gateways import BoundPort, BoundServer, bound_tables, conditions
from rollout.mesh.translate.resource import Resource
from rollout.mesh.translate.routes import (
    black_hole,
    framed,
    http_routes,
    redirected,
    route_configuration,
    virtual_host,
)
from rollout.mesh.translate.weights import ClusterOf

AttachedHost = Callable[[HostRoutes, int], bytes]
"""The framed virtual host of routes that a server brings with it, for a Service's port."""


def port_routes(
    port: BoundPort,
    registry: Registry,
    cluster_of: ClusterOf,
    caller: Caller,
    attached: AttachedHost,
) -> list[Resource]:
    """The route configurations that the listener of a port asks for: one for HTTP in clear, one for each HTTPS server."""
    if port.protocol is ServerProtocol.HTTP:
        if any(each.server.attached is not None for each in port.servers):
            name = names.gateway_routes(port.port, port.bind)
            return [_attached(name, port, port.servers, attached)]
        return [
            _routes(
                names.gateway_routes(port.port, port.bind),
                port,
                port.servers,
                registry,
                cluster_of,
                caller,
            )
        ]
    return [
        _routes(each.name, port, (each,), registry, cluster_of, caller)
        if each.server.attached is None
        else _attached(each.name, port, (each,), attached)
        for each in port.servers
        if each.server.protocol is ServerProtocol.HTTPS
    ]


def _attached(
    name: str, port: BoundPort, servers: tuple[BoundServer, ...], attached: AttachedHost
) -> Resource:
    """The routes that servers bring with them; no two servers have one host."""
    found = {each.host: each for bound in servers for each in bound.server.attached or ()}
    hosts = [attached(found[host], port.service_port) for host in sorted(found)]
    return route_configuration(name, hosts or [framed(black_hole(port.service_port))])


def _routes(
    name: str,
    port: BoundPort,
    servers: tuple[BoundServer, ...],
    registry: Registry,
    cluster_of: ClusterOf,
    caller: Caller,
) -> Resource:
    found: dict[str, list[Any]] = {}
    for bound in bound_tables(servers, registry, dict(caller)[""]):
        for host in bound.hosts:
            routes = http_routes(
                bound.table.routes,
                cluster_of,
                port=port.service_port,
                gateways=bound.gateways,
                callers=conditions(bound.table, caller),
                owner=bound.table.ref.name,
            )
            found.setdefault(host, []).extend(routes)
    redirects = {host for each in servers if each.server.redirect for _, host in each.server.hosts}
    for host in redirects:
        found.setdefault(host, [])
    hosts = []
    for host in sorted(found):
        host_name = names.virtual_host(host, port.service_port)
        if any(covers(pattern, host) for pattern in redirects):
            hosts.append(redirected(host_name, host))
        elif found[host]:
            hosts.append(virtual_host(host_name, [host], _catch_all_last(found[host])))
    return route_configuration(name, map(framed, hosts or [black_hole(port.service_port)]))


def _catch_all_last(routes: list[Any]) -> list[Any]:
    """Where several tables share a host, one's catch-all must not hide the other's rules."""
    return sorted(routes, key=_catches_all)


def _catches_all(route: Any) -> bool:
    match = route.match
    return bool(match.prefix == "/" and not match.headers and not match.query_parameters)
