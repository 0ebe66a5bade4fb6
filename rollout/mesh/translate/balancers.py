"""How a cluster chooses among its endpoints, and the key by which a route's requests stay with one."""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.type.v3 import percent_pb2

from rollout.mesh.model.balancing import Balancer, ConsistentHash, LoadBalancer, Warmup
from rollout.mesh.translate.timeouts import duration

_RUNTIME = "rollout.warmup.aggression"
_DEFAULT = LoadBalancer()


def apply_balancer(cluster: Any, balancer: LoadBalancer | None) -> None:
    """Least request where nothing was said; passthrough leads to the address that the client asked for."""
    chosen = balancer or _DEFAULT
    if chosen.consistent_hash is not None:
        _apply_hash(cluster, chosen.consistent_hash)
        return
    cluster.lb_policy = chosen.simple.value
    if chosen.simple is Balancer.PASSTHROUGH:
        cluster.type = cluster_pb2.Cluster.ORIGINAL_DST
        cluster.ClearField("eds_cluster_config")
    elif chosen.warmup is not None:
        _warm_up(cluster, chosen.simple, chosen.warmup)


def _apply_hash(cluster: Any, chosen: ConsistentHash) -> None:
    if chosen.maglev is not None:
        cluster.lb_policy = cluster_pb2.Cluster.MAGLEV
        cluster.maglev_lb_config.table_size.value = chosen.maglev
    else:
        cluster.lb_policy = cluster_pb2.Cluster.RING_HASH
        cluster.ring_hash_lb_config.minimum_ring_size.value = chosen.ring


def _warm_up(cluster: Any, simple: Balancer, warmup: Warmup) -> None:
    config = cluster_pb2.Cluster.SlowStartConfig(
        slow_start_window=duration(warmup.duration),
        aggression=base_pb2.RuntimeDouble(default_value=warmup.aggression, runtime_key=_RUNTIME),
        min_weight_percent=percent_pb2.Percent(value=warmup.minimum),
    )
    if simple is Balancer.ROUND_ROBIN:
        cluster.round_robin_lb_config.slow_start_config.CopyFrom(config)
    elif simple is Balancer.LEAST_REQUEST:
        cluster.least_request_lb_config.slow_start_config.CopyFrom(config)


def hash_policy(chosen: ConsistentHash) -> Any:
    """The key, as a route names it."""
    policy, key = rc.RouteAction.HashPolicy(), chosen.key
    if key.header:
        policy.header.header_name = key.header
    elif key.cookie is not None:
        policy.cookie.name, policy.cookie.path = key.cookie.name, key.cookie.path
        if key.cookie.ttl is not None:
            policy.cookie.ttl.CopyFrom(duration(key.cookie.ttl))
    elif key.query:
        policy.query_parameter.name = key.query
    else:
        policy.connection_properties.source_ip = True
    return policy


def apply_locality_weights(cluster: Any, balancer: LoadBalancer | None) -> None:
    """Shares of localities count only where a cluster is told so."""
    if balancer is not None and balancer.locality.enabled and balancer.locality.distribute:
        config = cluster_pb2.Cluster.CommonLbConfig.LocalityWeightedLbConfig()
        cluster.common_lb_config.locality_weighted_lb_config.CopyFrom(config)
