"""Which servers of which Gateways a proxy serves, port by port, and whose hosts they take.

Servers of one port speak one thing: that of the oldest. What is left out for that is a problem of the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from rollout.mesh.model.gateway import Gateway, GatewayServer, ServerProtocol, TLSMode
from rollout.mesh.model.hosts import narrower
from rollout.mesh.model.problem import Problem
from rollout.mesh.model.proxy import Proxy
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.routing import Caller, RouteTable
from rollout.mesh.translate import names

_LEAST_UNPRIVILEGED = 1024


@dataclass(frozen=True, slots=True)
class BoundServer:
    """A server of a Gateway; `name` tells it from the others of its port."""

    gateway: Gateway
    server: GatewayServer
    name: str

    @property
    def admitted(self) -> frozenset[tuple[str, str]]:
        """The hosts that it takes: (namespace or `*`, host) pairs."""
        own = self.gateway.ref.namespace
        return frozenset((own if each == "." else each, host) for each, host in self.server.hosts)

    @property
    def crosses(self) -> bool:
        """Whether it leads to the mesh's clusters by their names."""
        tls = self.server.tls
        return tls is not None and tls.mode is TLSMode.AUTO_PASSTHROUGH

    def problem(self, field: str, reason: str, remedy: str) -> Problem:
        """A problem of this server."""
        path = self.server.path or f"spec.servers[{self.server.index}]"
        return Problem(self.gateway.ref, f"{path}.{field}", reason, remedy)


@dataclass(frozen=True, slots=True)
class BoundPort:
    """Servers of several Gateways on one port of the pod, the oldest first; all speak what the first does.

    `bind` is the one address that they are reached at, empty for all.
    """

    port: int
    service_port: int
    servers: tuple[BoundServer, ...]
    bind: str = ""

    @property
    def protocol(self) -> ServerProtocol:
        """HTTP, TCP, or HTTPS for all that begins with TLS."""
        return _class(self.servers[0].server.protocol)


@dataclass(frozen=True, slots=True)
class BoundTable:
    """A route table with the gateways through which it applies, and the hosts that they take from it."""

    table: RouteTable
    gateways: frozenset[str]
    hosts: tuple[str, ...]


def selected(gateways: Iterable[Gateway], proxy: Proxy) -> list[Gateway]:
    """The Gateways that a proxy serves, the oldest first."""
    found = [each for each in gateways if each.serves(proxy.namespace, proxy.labels)]
    return sorted(found, key=lambda gateway: gateway.age)


def pod_port(
    proxy: Proxy, service_port: int, service: str = "", others: Collection[str] = ()
) -> int | None:
    """Where the pod listens for a port of a Service; without one that port itself, if anybody may have it.

    Without a `service` (its host) it is that of any but `others`.
    """
    for port in proxy.inbound:
        here = port.service == service if service else port.service not in others
        if here and port.service_port == service_port:
            return port.port
    return service_port if service_port >= _LEAST_UNPRIVILEGED and not service else None


def bound_ports(gateways: Iterable[Gateway], proxy: Proxy) -> tuple[list[BoundPort], list[Problem]]:
    """The servers of all Gateways put together by the pod's port, and those that don't fit there."""
    found: dict[tuple[int, str], list[BoundServer]] = {}
    service_ports: dict[tuple[int, str], int] = {}
    problems: list[Problem] = []
    taken: set[tuple[int, str]] = set()
    gateways = tuple(gateways)
    own = {gateway.service for gateway in gateways if gateway.service}
    for gateway in gateways:
        for server in gateway.servers:
            port = pod_port(proxy, server.port, gateway.service, own)
            if port is None or port in names.RESERVED_PORTS:
                continue
            place = (port, server.bind)
            service_ports.setdefault(place, server.port)
            name = _named(gateway, server, port)
            # Names within a Gateway need not differ.
            bound = BoundServer(
                gateway, server, f"{name}.{server.index}" if (port, name) in taken else name
            )
            taken.add((port, bound.name))
            there = found.setdefault(place, [])
            if there and (fault := _misfit(there[0], bound)):
                problems.append(fault)
            else:
                there.append(bound)
    ports = [
        BoundPort(place[0], service_ports[place], tuple(found[place]), place[1])
        for place in sorted(found)
    ]
    return ports, problems


def _named(gateway: Gateway, server: GatewayServer, port: int) -> str:
    name = server.name or str(server.index)
    # Only the pod's port tells a gateway with a Service of its own from another of its name and namespace.
    number = port if gateway.service else server.port
    return names.secure_routes(number, name, gateway.ref.name, gateway.ref.namespace)


def _misfit(first: BoundServer, other: BoundServer) -> Problem | None:
    here, there = _class(first.server.protocol), _class(other.server.protocol)
    port, owner = other.server.port, first.gateway.ref
    if here is not there:
        reason = f"port {port} speaks {first.server.protocol.value} for {owner}, which is older"
        return other.problem("port.protocol", reason, "use another port")
    if here is ServerProtocol.TCP:
        reason = f"port {port} is taken by {owner}, which is older: TCP has no hosts"
        return other.problem("port.number", reason, "use another port")
    return None


def _class(protocol: ServerProtocol) -> ServerProtocol:
    return ServerProtocol.HTTPS if protocol.encrypted else protocol


def bound_tables(
    servers: Iterable[BoundServer], registry: Registry, namespace: str
) -> list[BoundTable]:
    """The tables that apply through any of the servers of a namespace's proxy, each once, the oldest first."""
    found: dict[object, tuple[RouteTable, set[str], list[str]]] = {}
    for bound in servers:
        gateway = bound.gateway
        for table in registry.tables.of_gateway(gateway.key):
            if table.exported and namespace not in table.exported:
                continue
            if hosts := served_hosts(table, bound.server.hosts, gateway):
                entry = found.setdefault(table.ref, (table, set(), []))
                entry[1].add(gateway.key)
                entry[2].extend(host for host in hosts if host not in entry[2])
    ordered = sorted(found.values(), key=lambda entry: entry[0].age)
    return [BoundTable(table, frozenset(keys), tuple(hosts)) for table, keys, hosts in ordered]


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


def conditions(table: RouteTable, caller: Caller) -> frozenset[Caller]:
    """What a table asks of callers, as far as it holds for this one."""
    return frozenset(each for each in table.callers() if each <= caller)
