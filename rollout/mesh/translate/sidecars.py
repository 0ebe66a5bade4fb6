"""The virtual hosts of sidecars: one for each service and port, and for hosts that only route tables know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rollout.mesh.model.reach import Reach
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.routing import MESH, Caller, Destination, RouteTable
from rollout.mesh.model.service import Service
from rollout.mesh.translate import names
from rollout.mesh.translate.balancers import hash_policy
from rollout.mesh.translate.routes import (
    default_route,
    framed,
    http_routes,
    virtual_host,
    with_domains,
)
from rollout.mesh.translate.tracing import decorate
from rollout.mesh.translate.weights import ClusterOf

_IN_MESH = frozenset({MESH})
_UNKNOWN_HOSTS_PORT = 80
"""Istio serves hosts that are no services on this port alone."""


@dataclass(frozen=True, slots=True)
class SharedHost:
    """A virtual host as proxies of other namespaces see it, and as those of its own do, by its short name too; framed."""

    everywhere: bytes
    at_home: bytes


def service_host(
    service: Service,
    port: int,
    table: RouteTable | None,
    cluster_of: ClusterOf,
    callers: frozenset[Caller],
) -> SharedHost:
    """The virtual host of a service's port, for callers of whom these conditions hold."""
    # Addresses of declared hosts may be shared, and a domain may not.
    domains = [*service.domains, *(() if service.hostname else service.addresses)]
    if table is None or (not table.routes and (table.tcp or table.tls)):
        route = default_route(names.outbound(service.host, port))
        key = cluster_of.hash_of(Destination(host=service.host, port=port))
        if key is not None:
            route.route.hash_policy.append(hash_policy(key))
        if cluster_of.traced:
            decorate(route, service.host, port)
        routes = [route]
    else:
        routes = _routes(table, cluster_of, port, callers)
    host = virtual_host(names.virtual_host(service.host, port), domains, routes)
    home = host if service.hostname else with_domains(host, [service.name])
    return SharedHost(framed(host), framed(home))


def _routes(
    table: RouteTable, cluster_of: ClusterOf, port: int, callers: frozenset[Caller]
) -> list[Any]:
    """What a table says to callers in the mesh."""
    return http_routes(
        table.routes,
        cluster_of,
        port=port,
        gateways=_IN_MESH,
        callers=callers,
        owner=table.ref.name,
    )


def other_hosts(
    registry: Registry,
    port: int,
    cluster_of: ClusterOf,
    callers: frozenset[Caller],
    reach: Reach,
) -> Iterator[tuple[str, bytes]]:
    """Virtual hosts of names that no service has, by these; each name once, by the oldest table."""
    if port != _UNKNOWN_HOSTS_PORT:
        return
    for host in registry.tables.mesh_hosts():
        if registry.canonical(host) in registry.services or _is_address(registry, host):
            continue
        table = first_seen(told(registry, host, reach), callers, port)
        if table is None:
            continue
        routes = _routes(table, cluster_of, port, callers)
        if host != "*" and routes:
            yield host, virtual_host(names.virtual_host(host, port), [host], routes)


def told(registry: Registry, host: str, reach: Reach) -> list[RouteTable]:
    """The tables for a host that proxies of that reach are told of."""
    return [table for table in registry.mesh_tables(host) if registry.imports(reach, table)]


def first_seen(
    tables: Iterable[RouteTable], callers: frozenset[Caller], port: int | None = None
) -> RouteTable | None:
    """The table in force on a port (None: on any) for callers of whom these conditions hold."""
    return next(
        (table for table in tables if (port is None or table.on(port)) and table.seen_by(callers)),
        None,
    )


def _is_address(registry: Registry, host: str) -> bool:
    return host.replace(".", "").isdigit() and any(
        host in service.addresses for service in registry.services.values()
    )
