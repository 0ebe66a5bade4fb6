"""Listeners of sidecars: what leaves the application (15001) and what is meant for it (15006).

Traffic is redirected to the two virtual listeners, which hand it on by its original destination.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from envoy.config.core.v3 import address_pb2
from envoy.config.core.v3 import base_pb2 as core
from envoy.config.listener.v3 import listener_components_pb2 as lc
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from google.protobuf import wrappers_pb2

from rollout.mesh.agent.settings import INBOUND_PORT, OUTBOUND_PORT
from rollout.mesh.model.peers import PeerMode, PeerModes
from rollout.mesh.model.proxy import InboundPort, Proxy
from rollout.mesh.model.reach import Reach
from rollout.mesh.model.service import Protocol
from rollout.mesh.model.telemetry import Mode, Reporter
from rollout.mesh.translate import inbound, names
from rollout.mesh.translate.accesslogs import refused_logs
from rollout.mesh.translate.connection import Teller, http_manager, tcp_proxy
from rollout.mesh.translate.filters import Side
from rollout.mesh.translate.opaque import Chain, filter_chain
from rollout.mesh.translate.resource import Resource, pack, wrap
from rollout.mesh.translate.routes import default_route
from rollout.mesh.translate.timeouts import duration

_ANY = "0.0.0.0"  # noqa: S104 - Envoy's wildcard address, not a socket of this program
_FALSE = wrappers_pb2.BoolValue(value=False)
_BUFFER = wrappers_pb2.UInt32Value(value=1 << 20)


def outbound_any(
    port: int, teller: Teller, chains: Sequence[Chain], reach: Reach, *, http: bool
) -> Resource:
    """What goes to a port, whatever its address: HTTP by the routes of that port, other connections by these chains.

    What is neither goes where it was sent, or nowhere, as the reach says.
    """
    name = f"{_ANY}_{port}"
    listener = _listener(name, _ANY, port, "OUTBOUND")
    listener.bind_to_port.CopyFrom(_FALSE)
    if http:
        match = lc.FilterChainMatch(
            transport_protocol="raw_buffer", application_protocols=inbound.HTTP_INSPECTED
        )
        prefix = f"outbound_{name}"
        manager = http_manager(Side.OUTBOUND, teller, prefix, str(port), on_demand=reach.on_demand)
        listener.filter_chains.append(lc.FilterChain(filter_chain_match=match, filters=[manager]))
        listener.listener_filters.extend((tls_inspector(), _http_inspector()))
    elif any(chain.sni for chain in chains):
        listener.listener_filters.append(tls_inspector())
    # A chain without conditions would hide what HTTP's has; the default comes after all.
    listener.filter_chains.extend(
        filter_chain(chain, teller) for chain in chains if not chain.everything
    )
    rest = next((filter_chain(chain, teller) for chain in chains if chain.everything), None)
    otherwise = rest or _anything_else(teller, allow_any=reach.allow_any)
    listener.default_filter_chain.CopyFrom(otherwise)
    if listener.listener_filters:
        _wait_for_first_bytes(listener)
    return wrap(names.LISTENER, name, listener)


def outbound_to(address: str, port: int, teller: Teller, chains: Sequence[Chain]) -> Resource:
    """Connections to a service's own address."""
    name = f"{address}_{port}"
    listener = _listener(name, address, port, "OUTBOUND")
    listener.bind_to_port.CopyFrom(_FALSE)
    listener.filter_chains.extend(filter_chain(chain, teller) for chain in chains)
    if any(chain.sni for chain in chains):
        listener.listener_filters.append(tls_inspector())
        _wait_for_first_bytes(listener)
    return wrap(names.LISTENER, name, listener)


def virtual_outbound(teller: Teller, *, allow_any: bool = True) -> Resource:
    """Takes everything that leaves; what no other listener is for goes where it was sent, or else nowhere."""
    listener = _listener(names.VIRTUAL_OUTBOUND, _ANY, OUTBOUND_PORT, "OUTBOUND")
    listener.use_original_dst.CopyFrom(wrappers_pb2.BoolValue(value=True))
    black_hole = lc.FilterChain(
        name="virtualOutbound-blackhole",
        filter_chain_match=lc.FilterChainMatch(
            destination_port=wrappers_pb2.UInt32Value(value=OUTBOUND_PORT)
        ),
        filters=[tcp_proxy(names.BLACK_HOLE, names.BLACK_HOLE)],
    )
    listener.filter_chains.append(black_hole)
    listener.default_filter_chain.CopyFrom(_anything_else(teller, allow_any=allow_any))
    listener.access_log.extend(refused_logs(teller.reporting))
    return wrap(names.LISTENER, listener.name, listener)


def virtual_inbound(proxy: Proxy, reporter: Reporter, modes: PeerModes | None = None) -> Resource:
    """Takes everything that is meant for the application, by port; without modes there is no mutual TLS."""
    listener = _listener(names.VIRTUAL_INBOUND, _ANY, INBOUND_PORT, "INBOUND")
    black_hole = lc.FilterChain(
        name="virtualInbound-blackhole",
        filter_chain_match=lc.FilterChainMatch(
            destination_port=wrappers_pb2.UInt32Value(value=INBOUND_PORT)
        ),
        filters=[tcp_proxy(names.BLACK_HOLE, names.BLACK_HOLE)],
    )
    listener.filter_chains.append(black_hole)
    ports = distinct_ports(proxy.inbound)
    for port in ports:
        mode = modes.on(port.port) if modes else PeerMode.DISABLE
        listener.filter_chains.extend(inbound.chains(_inwards(port, reporter), mode))
    listener.listener_filters.append(_original_destination())
    if modes is None:
        (rest,) = inbound.chains(_passed_on(None, reporter), PeerMode.DISABLE)
        listener.default_filter_chain.CopyFrom(rest)
    else:
        known = {port.port for port in ports}
        others = [port for port, _ in modes.ports if port not in known]
        for number in (*others, None):
            mode = modes.on(number) if number else modes.default
            listener.filter_chains.extend(inbound.chains(_passed_on(number, reporter), mode))
        listener.listener_filters.append(_inbound_tls_inspector(modes))
    if sniffed := [p.port for p in ports if p.protocol is Protocol.AUTO]:
        listener.listener_filters.append(_http_inspector(sniffed))
    _wait_for_first_bytes(listener)
    listener.access_log.extend(refused_logs(reporter.server))
    return wrap(names.LISTENER, listener.name, listener)


def distinct_ports(ports: Iterable[InboundPort]) -> list[InboundPort]:
    """The first service that leads to each port of the pod, by port."""
    found: dict[int, InboundPort] = {}
    for port in ports:
        found.setdefault(port.port, port)
    return [found[number] for number in sorted(found)]


def _inwards(port: InboundPort, reporter: Reporter) -> inbound.Inwards:
    cluster = names.inbound(port.port)
    route = default_route(cluster)
    if reporter.server.tracing is not None:
        route.decorator.operation = f"{port.service}:{port.service_port}/*"
    routes = route_pb2.RouteConfiguration(
        name=cluster,
        validate_clusters=_FALSE,
        virtual_hosts=[
            rc.VirtualHost(name=f"inbound|http|{port.port}", domains=["*"], routes=[route])
        ],
    )

    def http(came: inbound.Came) -> Any:
        prefix = f"inbound_{_ANY}_{port.port}"
        return http_manager(Side.INBOUND, _server(reporter, came), prefix, routes)

    as_bytes = not port.protocol.routed or port.protocol is Protocol.AUTO
    return inbound.Inwards(
        name=cluster,
        port=port.port,
        http=http if port.protocol.routed else None,
        plain=(lambda came: tcp_proxy(cluster, cluster, _server(reporter, came)))
        if as_bytes
        else None,
    )


def _passed_on(port: int | None, reporter: Reporter) -> inbound.Inwards:
    """A port of no service, or all of them."""
    name = "virtualInbound-passthrough" + (f"-{port}" if port else "")
    cluster = names.INBOUND_PASSTHROUGH
    return inbound.Inwards(
        name, port, None, lambda came: tcp_proxy(cluster, cluster, _server(reporter, came))
    )


def _server(reporter: Reporter, came: inbound.Came) -> Teller:
    return Teller(reporter, Mode.SERVER, came is inbound.Came.PROVED)


def _inbound_tls_inspector(modes: PeerModes) -> Any:
    """Where TLS is taken only: elsewhere a server may speak first."""
    found = tls_inspector()
    off = modes.default is PeerMode.DISABLE
    ports = [port for port, mode in modes.ports if (mode is PeerMode.DISABLE) is not off]
    if ports and off:
        found.filter_disabled.not_match.CopyFrom(_any_port(ports))
    elif ports:
        found.filter_disabled.CopyFrom(_any_port(ports))
    elif off:
        found.filter_disabled.any_match = True
    return found


def _listener(name: str, address: str, port: int, direction: str) -> Any:
    socket = address_pb2.SocketAddress(address=address, port_value=port)
    return listener_pb2.Listener(
        name=name,
        address=address_pb2.Address(socket_address=socket),
        traffic_direction=core.TrafficDirection.Value(direction),
        per_connection_buffer_limit_bytes=_BUFFER,
    )


def _anything_else(teller: Teller, *, allow_any: bool) -> Any:
    if not allow_any:
        return lc.FilterChain(
            name="BlackHoleFilterChain",
            filters=[tcp_proxy(names.BLACK_HOLE, names.BLACK_HOLE, teller)],
        )
    return lc.FilterChain(
        name="PassthroughFilterChain",
        filters=[tcp_proxy(names.PASSTHROUGH, names.PASSTHROUGH, teller)],
    )


def _wait_for_first_bytes(listener: Any) -> None:
    # A client may connect long before it speaks: guessing earlier would take its requests past the routes.
    listener.listener_filters_timeout.CopyFrom(duration(0))
    listener.continue_on_listener_filters_timeout = True


def _original_destination() -> Any:
    return lc.ListenerFilter(
        name="envoy.filters.listener.original_dst",
        typed_config=pack(original_dst_pb2.OriginalDst()),
    )


def tls_inspector() -> Any:
    """Finds out the name that is asked for by TLS, if it is TLS."""
    return lc.ListenerFilter(
        name="envoy.filters.listener.tls_inspector",
        typed_config=pack(tls_inspector_pb2.TlsInspector()),
    )


def _http_inspector(ports: list[int] | None = None) -> Any:
    found = lc.ListenerFilter(
        name="envoy.filters.listener.http_inspector",
        typed_config=pack(http_inspector_pb2.HttpInspector()),
    )
    if ports is not None:
        found.filter_disabled.not_match.CopyFrom(_any_port(ports))
    return found


def _any_port(ports: list[int]) -> Any:
    rules = [_port_rule(port) for port in ports]
    if len(rules) == 1:
        return rules[0]
    return lc.ListenerFilterChainMatchPredicate(
        or_match=lc.ListenerFilterChainMatchPredicate.MatchSet(rules=rules)
    )


def _port_rule(port: int) -> Any:
    found = lc.ListenerFilterChainMatchPredicate()
    found.destination_port_range.start = port
    found.destination_port_range.end = port + 1
    return found
