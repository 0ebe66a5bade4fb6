"""Connections of sidecars whose contents are nobody's business: which go where, by name, by address or as they come.

A chain is a plain value, so that listeners made of equal ones are one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any

from envoy.config.core.v3 import address_pb2
from envoy.config.listener.v3 import listener_components_pb2 as lc
from google.protobuf import wrappers_pb2

from rollout.mesh.model.routing import MESH, Caller, ConnectionRoute, Destination, RouteTable
from rollout.mesh.model.service import Port, Protocol, Service
from rollout.mesh.model.traffic import AS_USUAL, Lasting
from rollout.mesh.translate import names
from rollout.mesh.translate.connection import Teller, tcp_shares
from rollout.mesh.translate.connections import applying, shares_of
from rollout.mesh.translate.weights import ClusterOf

_IN_MESH = frozenset({MESH})


@dataclass(frozen=True, slots=True)
class Chain:
    """Connections that ask for any of these names by TLS, go to any of these subnets (empty: to any), and where to."""

    sni: tuple[str, ...]
    subnets: tuple[str, ...]
    clusters: tuple[tuple[str, int], ...]
    lasting: Lasting = AS_USUAL

    @property
    def everything(self) -> bool:
        """Whether it takes every connection."""
        return not self.sni and not self.subnets


def service_chains(
    service: Service,
    port: Port,
    table: RouteTable | None,
    cluster_of: ClusterOf,
    callers: frozenset[Caller],
    client: str,
) -> list[Chain]:
    """Where connections to a service's port go from a namespace: by the rules of its table, else to the service itself."""
    found: list[Chain] = []
    if table is not None and port.protocol is Protocol.TLS:
        found += _ruled(table.tls, port.number, cluster_of, callers, client)
    if table is not None:
        found += _ruled(table.tcp, port.number, cluster_of, callers, client)
    if any(chain.everything for chain in found):
        return found
    own = ((names.outbound(service.host, port.number), 100),)
    lasting = cluster_of.lasting(Destination(host=service.host, port=port.number), client)
    # Without an address of its own a service is known by the name that is asked for, where there is one.
    sni = () if service.addresses or port.protocol is not Protocol.TLS else (service.host,)
    return [*found, Chain(sni, (), own, lasting)]


def _ruled(
    rules: Iterable[ConnectionRoute],
    port: int,
    cluster_of: ClusterOf,
    callers: frozenset[Caller],
    client: str,
) -> list[Chain]:
    found = []
    for rule, match in applying(rules, port=port, gateways=_IN_MESH, callers=callers):
        sni, subnets = (match.names, match.subnets) if match else ((), ())
        chain = Chain(sni, subnets, *shares_of(rule.shares, cluster_of, client))
        found.append(chain)
        if chain.everything:
            break
    return found


def distinct(chains: Iterable[Chain]) -> tuple[Chain, ...]:
    """Each name and subnet with the first chain that has it, since Envoy takes each but once; what takes all comes last."""
    taken: set[tuple[str, str]] = set()
    found: list[Chain] = []
    last: Chain | None = None
    for chain in chains:
        if chain.everything:
            last = last or chain
            continue
        for subnet in chain.subnets or ("",):
            free = [sni for sni in chain.sni or ("",) if (sni, subnet) not in taken]
            taken.update((sni, subnet) for sni in free)
            if free:
                sni = tuple(name for name in free if name)
                found.append(replace(chain, sni=sni, subnets=(subnet,) if subnet else ()))
    return (*found, last) if last is not None else tuple(found)


def filter_chain(chain: Chain, teller: Teller) -> Any:
    """Envoy's chain."""
    found = lc.FilterChain(filters=[tcp_shares(chain.clusters, teller, chain.lasting)])
    if not chain.everything:
        found.filter_chain_match.server_names.extend(chain.sni)
    for subnet in chain.subnets:
        network = ip_network(subnet)
        found.filter_chain_match.prefix_ranges.append(
            address_pb2.CidrRange(
                address_prefix=str(network.network_address),
                prefix_len=wrappers_pb2.UInt32Value(value=network.prefixlen),
            )
        )
    return found
