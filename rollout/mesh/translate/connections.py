"""Routes for connections: which rule takes one, and where its bytes go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from envoy.config.listener.v3 import listener_components_pb2 as lc
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from rollout.mesh.model.routing import (
    Caller,
    ConnectionMatch,
    ConnectionRoute,
    WeightedDestination,
)
from rollout.mesh.translate.connection import tcp_proxy
from rollout.mesh.translate.resource import pack
from rollout.mesh.translate.weights import ClusterOf


def applying(
    routes: Iterable[ConnectionRoute],
    *,
    port: int,
    gateways: frozenset[str],
    callers: frozenset[Caller],
) -> Iterator[tuple[ConnectionRoute, ConnectionMatch | None]]:
    """The rules for connections to a port through any of the gateways, with the conditions that are left to look at."""
    for route in routes:
        if not route.matches:
            yield route, None
        for match in route.matches:
            if match.port not in {None, port}:
                continue
            if match.gateways and gateways.isdisjoint(match.gateways):
                continue
            if match.caller and match.caller not in callers:
                continue
            yield route, match


def forward(shares: tuple[WeightedDestination, ...], cluster_of: ClusterOf) -> Any:
    """The filter that passes bytes on: to one cluster, or to several by weight."""
    taken = [share for share in shares if share.weight] or list(shares[:1])
    clusters = [(cluster_of(share.destination), share.weight) for share in taken]
    if len(clusters) == 1:
        return tcp_proxy(clusters[0][0], clusters[0][0])
    proxy = tcp_proxy_pb2.TcpProxy(stat_prefix=clusters[0][0])
    for name, weight in clusters:
        proxy.weighted_clusters.clusters.add(name=name, weight=weight)
    return lc.Filter(name="envoy.filters.network.tcp_proxy", typed_config=pack(proxy))
