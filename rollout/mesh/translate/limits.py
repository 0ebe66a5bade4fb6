"""Connection pools and outlier detection: how much an upstream gets, and which of its endpoints get nothing for a while."""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3 import circuit_breaker_pb2, outlier_detection_pb2
from envoy.config.core.v3 import protocol_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as upstream_pb2
from google.protobuf import wrappers_pb2

from rollout.mesh.model.service import Protocol
from rollout.mesh.model.traffic import ConnectionPool, OutlierDetection, RetryBudget
from rollout.mesh.translate.resource import pack
from rollout.mesh.translate.timeouts import duration

_UPSTREAM = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_UNLIMITED = 2**32 - 1
_NOTHING = ConnectionPool()
_LONGEST = 300


def circuit_breakers(pool: ConnectionPool | None, budget: RetryBudget | None) -> Any:
    """Unlimited where nothing was said; a retry budget takes the place of the limit of retries."""
    pool = pool or _NOTHING
    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds(
        max_connections=_uint(pool.connections or _UNLIMITED),
        max_pending_requests=_uint(pool.pending or _UNLIMITED),
        max_requests=_uint(pool.requests or _UNLIMITED),
        max_retries=_uint(pool.retries or _UNLIMITED),
        track_remaining=True,
    )
    if budget is not None:
        thresholds.retry_budget.budget_percent.value = budget.percent
        thresholds.retry_budget.min_retry_concurrency.CopyFrom(_uint(budget.least))
    return circuit_breaker_pb2.CircuitBreakers(thresholds=[thresholds])


def apply_pool(cluster: Any, protocol: Protocol, pool: ConnectionPool | None) -> None:
    """Limits of connections, and the protocol that is spoken on them."""
    pool = pool or _NOTHING
    if pool.connect_timeout is not None:
        cluster.connect_timeout.CopyFrom(duration(pool.connect_timeout))
    if pool.keepalive is not None:
        given = pool.keepalive
        options = cluster.upstream_connection_options.tcp_keepalive
        options.SetInParent()
        for field, value in (
            ("keepalive_probes", given.probes),
            ("keepalive_time", given.time),
            ("keepalive_interval", given.interval),
        ):
            if value is not None:
                getattr(options, field).value = value
    if protocol.routed:
        _apply_http(cluster, protocol, pool)


def _apply_http(cluster: Any, protocol: Protocol, pool: ConnectionPool) -> None:
    common = protocol_pb2.HttpProtocolOptions()
    if pool.requests_per_connection is not None:
        common.max_requests_per_connection.value = pool.requests_per_connection
    if pool.idle_timeout is not None:
        common.idle_timeout.CopyFrom(duration(pool.idle_timeout))
    if pool.duration:
        common.max_connection_duration.CopyFrom(duration(pool.duration))
    options = spoken(protocol, pool)
    if common.ListFields():
        options.common_http_protocol_options.CopyFrom(common)
    if protocol is Protocol.HTTP and not common.ListFields() and not _unusual(pool):
        return
    cluster.typed_extension_protocol_options[_UPSTREAM].CopyFrom(pack(options))


def _unusual(pool: ConnectionPool) -> bool:
    return pool.upgrade or pool.client_protocol


def spoken(protocol: Protocol, pool: ConnectionPool = _NOTHING) -> Any:
    """HTTP/2 where the servers speak it, the client's protocol where that is unknown, else HTTP/1.1."""
    two = protocol_pb2.Http2ProtocolOptions()
    if pool.streams is not None:
        two.max_concurrent_streams.value = min(pool.streams, 2**31 - 1)
    options = upstream_pb2.HttpProtocolOptions()
    if protocol.multiplexed or pool.upgrade:
        options.explicit_http_config.http2_protocol_options.CopyFrom(two)
    elif protocol is Protocol.AUTO or pool.client_protocol:
        options.use_downstream_protocol_config.http_protocol_options.SetInParent()
        options.use_downstream_protocol_config.http2_protocol_options.CopyFrom(two)
    else:
        options.explicit_http_config.http_protocol_options.SetInParent()
    return options


def speak(cluster: Any, protocol: Protocol) -> None:
    """The protocol alone, where there is no pool to be limited."""
    if protocol.multiplexed or protocol is Protocol.AUTO:
        cluster.typed_extension_protocol_options[_UPSTREAM].CopyFrom(pack(spoken(protocol)))


def apply_outlier(cluster: Any, outlier: OutlierDetection | None) -> None:
    """Istio's reading: by failures in a row only, never by rates; no panic unless a least share of health is given."""
    if outlier is None:
        return
    found = outlier_detection_pb2.OutlierDetection(enforcing_success_rate=_uint(0))
    if outlier.server_errors is not None:
        found.consecutive_5xx.CopyFrom(_uint(outlier.server_errors))
        found.enforcing_consecutive_5xx.CopyFrom(_enforced(outlier.server_errors))
    if outlier.gateway_errors is not None:
        found.consecutive_gateway_failure.CopyFrom(_uint(outlier.gateway_errors))
        found.enforcing_consecutive_gateway_failure.CopyFrom(_enforced(outlier.gateway_errors))
    if outlier.interval:
        found.interval.CopyFrom(duration(outlier.interval))
    if outlier.ejection:
        found.base_ejection_time.CopyFrom(duration(outlier.ejection))
        # Envoy refuses a base above its longest ejection, 300 s by default.
        if outlier.ejection > _LONGEST:
            found.max_ejection_time.CopyFrom(duration(outlier.ejection))
    if outlier.most:
        found.max_ejection_percent.CopyFrom(_uint(outlier.most))
    if outlier.split:
        found.split_external_local_origin_errors = True
        found.enforcing_local_origin_success_rate.CopyFrom(_uint(0))
        if outlier.local_errors:
            found.consecutive_local_origin_failure.CopyFrom(_uint(outlier.local_errors))
            found.enforcing_consecutive_local_origin_failure.CopyFrom(_uint(100))
    cluster.outlier_detection.CopyFrom(found)
    cluster.common_lb_config.healthy_panic_threshold.value = outlier.least_healthy


def _enforced(count: int) -> Any:
    return _uint(100 if count else 0)


def _uint(value: int) -> Any:
    return wrappers_pb2.UInt32Value(value=min(value, _UNLIMITED))
