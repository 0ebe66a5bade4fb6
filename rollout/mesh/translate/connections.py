"""Routes for connections: which rule takes one, and where its bytes go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rollout.mesh.model.routing import (
    Caller,
    ConnectionMatch,
    ConnectionRoute,
    WeightedDestination,
)
from rollout.mesh.model.traffic import Lasting
from rollout.mesh.translate.connection import Teller, tcp_shares
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


def shares_of(
    shares: tuple[WeightedDestination, ...], cluster_of: ClusterOf, client: str
) -> tuple[tuple[tuple[str, int], ...], Lasting]:
    """The clusters that get something, with their weights; and how long connections last, as the first of them says."""
    taken = [share for share in shares if share.weight] or list(shares[:1])
    clusters = tuple((cluster_of(share.destination), share.weight or 100) for share in taken)
    return clusters, cluster_of.lasting(taken[0].destination, client)


def forward(
    shares: tuple[WeightedDestination, ...], cluster_of: ClusterOf, client: str, teller: Teller
) -> Any:
    """The filter that passes bytes of a namespace's proxies on: to one cluster, or to several by weight."""
    clusters, lasting = shares_of(shares, cluster_of, client)
    return tcp_shares(clusters, teller, lasting)
