"""What a gateway's proxies get: a listener for each port, and the routes of the tables bound to its Gateways."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from envoy.config.core.v3 import address_pb2
from envoy.config.core.v3 import base_pb2 as core
from envoy.config.listener.v3 import listener_components_pb2 as lc
from envoy.config.listener.v3 import listener_pb2

from rollout.mesh.model.gateway import Gateway
from rollout.mesh.model.proxy import Proxy
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.routing import Caller, RouteTable
from rollout.mesh.model.service import Workload
from rollout.mesh.translate import names
from rollout.mesh.translate.connection import http_manager
from rollout.mesh.translate.filters import Side
from rollout.mesh.translate.resource import Resource, wrap
from rollout.mesh.translate.routes import (
    black_hole,
    framed,
    http_routes,
    route_configuration,
    virtual_host,
)
from rollout.mesh.translate.weights import ClusterOf

_ANY = "0.0.0.0"  # noqa: S104 - Envoy's wildcard address, not a socket of this program
_LEAST_UNPRIVILEGED = 1024


@dataclass(frozen=True, slots=True)
class BoundServer:
    """Servers of several Gateways on one port of the pod."""

    port: int
    service_port: int
    hosts: tuple[tuple[Gateway, tuple[tuple[str, str], ...]], ...]


def selected(gateways: Iterable[Gateway], proxy: Proxy) -> list[Gateway]:
    """The Gateways that a proxy serves, the oldest first."""
    found = [gateway for gateway in gateways if gateway.selector <= proxy.labels]
    return sorted(found, key=lambda gateway: gateway.age)


def pod_port(proxy: Proxy, service_port: int) -> int | None:
    """Where the pod listens for a port of its Service; without a Service that port itself, if anybody may have it."""
    for port in proxy.inbound:
        if port.service_port == service_port:
            return port.port
    return service_port if service_port >= _LEAST_UNPRIVILEGED else None


def bound_servers(gateways: Iterable[Gateway], proxy: Proxy) -> list[BoundServer]:
    """The servers of all Gateways put together by the pod's port."""
    found: dict[int, dict[str, tuple[Gateway, tuple[tuple[str, str], ...]]]] = {}
    service_ports: dict[int, int] = {}
    for gateway in gateways:
        for server in gateway.servers:
            port = pod_port(proxy, server.port)
            if port is None or port in names.RESERVED_PORTS:
                continue
            service_ports.setdefault(port, server.port)
            at_port = found.setdefault(port, {})
            _, hosts = at_port.get(gateway.key, (gateway, ()))
            at_port[gateway.key] = (gateway, hosts + server.hosts)
    return [
        BoundServer(port, service_ports[port], tuple(found[port].values()))
        for port in sorted(found)
    ]


def gateway_listener(port: int, workload: Workload) -> Resource:
    """Takes HTTP on a port."""
    name = f"{_ANY}_{port}"
    routes = names.gateway_routes(port)
    manager = http_manager(Side.GATEWAY, workload, f"outbound_{name}", routes)
    listener = listener_pb2.Listener(
        name=name,
        address=address_pb2.Address(
            socket_address=address_pb2.SocketAddress(address=_ANY, port_value=port)
        ),
        traffic_direction=core.TrafficDirection.OUTBOUND,
        filter_chains=[lc.FilterChain(filters=[manager])],
    )
    listener.per_connection_buffer_limit_bytes.value = 1 << 20
    return wrap(names.LISTENER, name, listener)


def gateway_routes(
    server: BoundServer, registry: Registry, cluster_of: ClusterOf, caller: Caller
) -> Resource:
    """The virtual hosts on a port: those of the tables bound to its Gateways, or 404 for everything."""
    found: dict[str, list[Any]] = {}
    tables = _tables(server, registry)
    for table, gateways, hosts in tables:
        for host in hosts:
            routes = http_routes(
                table.routes,
                cluster_of,
                port=server.service_port,
                gateways=gateways,
                callers=frozenset(each for each in table.callers() if each <= caller),
            )
            found.setdefault(host, []).extend(routes)
    hosts_bytes = [
        virtual_host(
            names.virtual_host(host, server.service_port), [host], _catch_all_last(found[host])
        )
        for host in sorted(found)
        if found[host]
    ]
    taken = hosts_bytes or [black_hole(server.service_port)]
    return route_configuration(names.gateway_routes(server.port), map(framed, taken))


def _tables(
    server: BoundServer, registry: Registry
) -> list[tuple[RouteTable, frozenset[str], list[str]]]:
    """Each table once, with the gateways through which it applies and the hosts that they take from it."""
    found: dict[Any, tuple[RouteTable, set[str], list[str]]] = {}
    for gateway, allowed in server.hosts:
        for table in registry.gateway_tables(gateway.key):
            hosts = served_hosts(table, allowed, gateway)
            if hosts:
                entry = found.setdefault(table.ref, (table, set(), []))
                entry[1].add(gateway.key)
                entry[2].extend(host for host in hosts if host not in entry[2])
    ordered = sorted(found.values(), key=lambda entry: entry[0].age)
    return [(table, frozenset(keys), hosts) for table, keys, hosts in ordered]


def served_hosts(
    table: RouteTable, allowed: Iterable[tuple[str, str]], gateway: Gateway
) -> list[str]:
    """The table's hosts that a gateway's servers take: the narrower of the two where one is a wildcard."""
    found: list[str] = []
    for host in table.hosts:
        for namespace, pattern in allowed:
            here = gateway.ref.namespace if namespace == "." else namespace
            if here not in {"*", table.ref.namespace}:
                continue
            common = narrower(host, pattern)
            if common and common not in found:
                found.append(common)
    return found


def narrower(first: str, second: str) -> str:
    """What two hosts, each perhaps a wildcard, have in common; empty where nothing."""
    if covers(first, second):
        return second
    return first if covers(second, first) else ""


def covers(pattern: str, host: str) -> bool:
    """Whether a pattern (`*`, `*.example.com` or a host) takes in another."""
    if pattern == "*" or pattern == host:
        return True
    return (
        pattern.startswith("*.")
        and host.removeprefix("*").endswith(pattern[1:])
        and (host.removeprefix("*") != pattern[1:])
    )


def _catch_all_last(routes: list[Any]) -> list[Any]:
    """Where several tables share a host, one's catch-all must not hide the other's rules."""
    return sorted(routes, key=_catches_all)


def _catches_all(route: Any) -> bool:
    match = route.match
    return bool(match.prefix == "/" and not match.headers and not match.query_parameters)
