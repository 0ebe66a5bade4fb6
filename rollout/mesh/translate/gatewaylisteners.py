"""The listeners of gateways: one for each port of the pod, with a filter chain for each name where TLS comes first.

A server whose key is missing gets no chain: connections to its names are closed, those to others' are not concerned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from envoy.config.core.v3 import address_pb2
from envoy.config.core.v3 import base_pb2 as core
from envoy.config.listener.v3 import listener_components_pb2 as lc
from envoy.config.listener.v3 import listener_pb2

from rollout.mesh.model.gateway import ServerProtocol, ServerTLS, TLSMode
from rollout.mesh.model.hosts import narrower
from rollout.mesh.model.peers import MutualTLS
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.proxy import Proxy
from rollout.mesh.model.registry import Registry
from rollout.mesh.model.routing import ConnectionRoute
from rollout.mesh.model.telemetry import Mode, Reporter
from rollout.mesh.translate import names, tls
from rollout.mesh.translate.accesslogs import refused_logs
from rollout.mesh.translate.connection import Teller, http_manager, tcp_shares
from rollout.mesh.translate.connections import applying, forward
from rollout.mesh.translate.crossing import passages
from rollout.mesh.translate.filters import Side
from rollout.mesh.translate.gateways import BoundPort, BoundServer, bound_tables, conditions
from rollout.mesh.translate.listeners import tls_inspector
from rollout.mesh.translate.mutual import HTTP_PROTOCOLS, PEER_PROTOCOLS, server_socket
from rollout.mesh.translate.resource import Resource, wrap
from rollout.mesh.translate.weights import ClusterOf

_ANY = "0.0.0.0"  # noqa: S104 - Envoy's wildcard address, not a socket of this program


@dataclass(slots=True)
class Listening:
    """What comes of a port: its listener (none where nothing can be served on it), the keys it needs, and problems."""

    listener: Resource | None = None
    secrets: list[Resource] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


class PortListener:
    """Makes the listener of one port for one kind of proxy."""

    def __init__(
        self,
        port: BoundPort,
        proxy: Proxy,
        registry: Registry,
        cluster_of: ClusterOf,
        reporter: Reporter,
    ) -> None:
        self._port, self._proxy = port, proxy
        secured = registry.mutual_tls is not MutualTLS.NONE
        self._teller = Teller(reporter, Mode.CLIENT, secured)
        self._registry, self._cluster_of = registry, cluster_of
        self._found = Listening()
        self._claimed: dict[str, Ref] = {}
        self._crossings: set[str] = set()

    def make(self) -> Listening:
        """The listener with all that belongs to it."""
        address = self._port.bind or _ANY
        name = f"{address}_{self._port.port}"
        chains = list(self._chains(name))
        if not chains:
            return self._found
        listener = listener_pb2.Listener(
            name=name,
            address=address_pb2.Address(
                socket_address=address_pb2.SocketAddress(
                    address=address, port_value=self._port.port
                )
            ),
            traffic_direction=core.TrafficDirection.OUTBOUND,
            filter_chains=chains,
        )
        if self._port.protocol.encrypted:
            listener.listener_filters.append(tls_inspector())
        listener.per_connection_buffer_limit_bytes.value = 1 << 20
        listener.access_log.extend(refused_logs(self._teller.reporting))
        self._found.listener = wrap(names.LISTENER, name, listener)
        return self._found

    def _chains(self, name: str) -> Iterator[Any]:
        port = self._port
        if port.protocol is ServerProtocol.HTTP:
            routes = names.gateway_routes(port.port, port.bind)
            yield lc.FilterChain(filters=[self._http(name, routes)])
        elif port.protocol is ServerProtocol.TCP:
            filters = self._tcp(port.servers[0])
            if filters is not None:
                yield lc.FilterChain(filters=[filters])
        else:
            for bound in port.servers:
                yield from self._encrypted(name, bound)

    def _encrypted(self, name: str, bound: BoundServer) -> Iterator[Any]:
        given = bound.server.tls
        if given is None:
            return
        if given.mode is TLSMode.PASSTHROUGH:
            yield from self._passed_through(bound)
            return
        if given.mode.peers and self._registry.mutual_tls is MutualTLS.NONE:
            reason = "proxies have no identities in this mesh"
            fault = bound.problem("tls.mode", reason, "set mesh.mtls.auto, or use another mode")
            self._found.problems.append(fault)
            return
        if given.mode is TLSMode.AUTO_PASSTHROUGH:
            yield from self._crossed(bound)
            return
        if given.mode is not TLSMode.MESH and not self._keys(bound, given):
            return
        hosts = [host for _, host in bound.server.hosts]
        https = bound.server.protocol is ServerProtocol.HTTPS
        last = self._http(name, bound.name) if https else self._tcp(bound)
        path = f"spec.servers[{bound.server.index}].hosts"
        if last is None or not (taken := self._claim(bound.gateway.ref, path, hosts)):
            return
        yield lc.FilterChain(
            name=bound.name,
            filter_chain_match=_asked_for(taken),
            filters=[last],
            transport_socket=self._socket(given, https=https),
        )

    def _socket(self, given: ServerTLS, *, https: bool) -> Any:
        if given.mode is TLSMode.MESH:
            return server_socket(given.names)
        return tls.downstream(given, tls.HTTP_PROTOCOLS if https else ())

    def _http(self, name: str, routes: str) -> Any:
        return http_manager(Side.GATEWAY, self._teller, f"outbound_{name}", routes)

    def _tcp(self, bound: BoundServer) -> Any | None:
        """Where the oldest table that says anything of this server's connections sends them."""
        for each in bound_tables((bound,), self._registry, self._proxy.namespace):
            found = applying(
                each.table.tcp,
                port=self._port.service_port,
                gateways=each.gateways,
                callers=conditions(each.table, self._proxy.caller),
            )
            for route, _ in found:
                return self._forward(route)
        return None

    def _forward(self, route: ConnectionRoute) -> Any:
        return forward(route.shares, self._cluster_of, self._proxy.namespace, self._teller)

    def _passed_through(self, bound: BoundServer) -> Iterator[Any]:
        allowed = [host for _, host in bound.server.hosts]
        for each in bound_tables((bound,), self._registry, self._proxy.namespace):
            found = applying(
                each.table.tls,
                port=self._port.service_port,
                gateways=each.gateways,
                callers=conditions(each.table, self._proxy.caller),
            )
            for route, match in found:
                wanted = match.names if match else ()
                hosts = [common for sni in wanted for h in allowed if (common := narrower(sni, h))]
                if taken := self._claim(each.table.ref, f"spec.tls[{route.index}].match", hosts):
                    yield lc.FilterChain(
                        filter_chain_match=_asked_for(taken),
                        filters=[self._forward(route)],
                    )

    def _crossed(self, bound: BoundServer) -> Iterator[Any]:
        """A chain for each of the mesh's clusters; mutual TLS of proxies, and no other, is let in."""
        for each in passages(self._registry, self._proxy.namespace, bound.admitted):
            name = each.name.lower()
            if name in self._crossings:
                continue
            self._crossings.add(name)
            yield lc.FilterChain(
                filter_chain_match=lc.FilterChainMatch(
                    server_names=[name], application_protocols=(*PEER_PROTOCOLS, *HTTP_PROTOCOLS)
                ),
                filters=[tcp_shares(((each.name, 100),), self._teller, each.lasting)],
            )

    def _claim(self, ref: Ref, path: str, hosts: Iterable[str]) -> list[str]:
        """Those of the hosts that nothing older has on this port, since Envoy takes each but once."""
        found = []
        for host in dict.fromkeys(hosts):
            owner = self._claimed.get(host)
            if owner is None:
                self._claimed[host] = ref
                found.append(host)
                continue
            older = "an earlier rule" if owner == ref else f"{owner}, which is older"
            reason = f"{host} is taken on port {self._port.service_port} by {older}"
            self._found.problems.append(Problem(ref, path, reason, "remove it from one of them"))
        return found

    def _keys(self, bound: BoundServer, given: ServerTLS) -> bool:
        """Whether the server's key is there, and its clients' authorities where it asks for them; notes both."""
        found = tls.keys(given, self._proxy.namespace, self._registry)
        if isinstance(found, str):
            remedy = "create or correct the Secret"
            problem = bound.problem("tls.credentialName", found, remedy)
        elif found.warning:
            problem = bound.problem("tls.credentialName", found.warning, "correct the Secret")
        else:
            problem = None
        if problem is not None:
            self._found.problems.append(problem)
        if isinstance(found, str):
            return False
        self._found.secrets += found.resources
        return True


def _asked_for(hosts: Iterable[str]) -> Any:
    """The names that clients of a chain ask for; all of them where one is `*`."""
    taken = list(hosts)
    if "*" in taken:
        return lc.FilterChainMatch()
    return lc.FilterChainMatch(server_names=taken)
