"""Where a route's requests go, and in which shares."""

from __future__ import annotations

from typing import Any, Protocol

from envoy.config.route.v3 import route_components_pb2 as rc
from google.protobuf import wrappers_pb2

from rollout.mesh.model.balancing import ConsistentHash
from rollout.mesh.model.routing import Destination, WeightedDestination
from rollout.mesh.model.traffic import Lasting
from rollout.mesh.translate.balancers import hash_policy
from rollout.mesh.translate.headers import authority, edit_headers


class ClusterOf(Protocol):
    """Names the cluster of a destination, and the key by which its requests stay with one endpoint."""

    @property
    def traced(self) -> bool:
        """Whether anybody takes spans."""
        ...

    def __call__(self, destination: Destination) -> str:
        """The cluster."""
        ...

    def hash_of(self, destination: Destination) -> ConsistentHash | None:
        """The key."""
        ...

    def lasting(self, destination: Destination, client: str) -> Lasting:
        """What holds for connections to it of a namespace's proxies."""
        ...


def apply_destinations(
    action: Any, shares: tuple[WeightedDestination, ...], cluster_of: ClusterOf
) -> None:
    """One destination as a plain cluster, several by weight; those without a share are left out."""
    taken = [share for share in shares if share.weight] or list(shares[:1])
    keys = dict.fromkeys(cluster_of.hash_of(share.destination) for share in taken)
    action.hash_policy.extend(hash_policy(key) for key in keys if key is not None)
    if len(taken) == 1 and not _edited(taken[0]):
        action.cluster = cluster_of(taken[0].destination)
        return
    for share in taken:
        weight = rc.WeightedCluster.ClusterWeight(
            name=cluster_of(share.destination),
            weight=wrappers_pb2.UInt32Value(value=share.weight or 100),
        )
        edit_headers(weight, share.headers)
        if host := authority(share.headers):
            weight.host_rewrite_literal = host
        action.weighted_clusters.clusters.append(weight)


def _edited(share: WeightedDestination) -> bool:
    return share.headers != type(share.headers)()
