"""HTTP connection managers and TCP proxies: what stands behind a listener's filter chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from envoy.config.core.v3 import protocol_pb2
from envoy.config.listener.v3 import listener_components_pb2 as lc
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from google.protobuf import wrappers_pb2

from rollout.mesh.model.telemetry import Mode, Reporter, Reporting
from rollout.mesh.model.traffic import AS_USUAL, Lasting
from rollout.mesh.translate import accesslogs, metrics, names
from rollout.mesh.translate.filters import Side, http_filters
from rollout.mesh.translate.resource import pack
from rollout.mesh.translate.sources import ADS
from rollout.mesh.translate.timeouts import duration
from rollout.mesh.translate.tracing import apply_tracing

_TRUE = wrappers_pb2.BoolValue(value=True)


@dataclass(frozen=True, slots=True)
class Teller:
    """Who tells of what passes, and which side of it he is on.

    `secured`: what comes in comes in mutual TLS; what goes out may go in it.
    """

    reporter: Reporter
    mode: Mode
    secured: bool = False

    @property
    def reporting(self) -> Reporting:
        """What he tells."""
        return self.reporter.of(self.mode)


def http_manager(
    side: Side,
    teller: Teller,
    stat_prefix: str,
    routes: str | route_pb2.RouteConfiguration,
    *,
    on_demand: bool = False,
) -> Any:
    """A connection manager with routes found by name over ADS, or given; perhaps with clusters found on demand."""
    workload = teller.reporter.workload
    manager = hcm.HttpConnectionManager(
        stat_prefix=stat_prefix,
        http_filters=http_filters(side, workload, secured=teller.secured, on_demand=on_demand),
        server_name=names.SERVER,
        normalize_path=_TRUE,
        stream_idle_timeout=duration(0),
        upgrade_configs=[hcm.HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
    )
    if isinstance(routes, str):
        manager.rds.CopyFrom(hcm.Rds(config_source=ADS, route_config_name=routes))
    else:
        manager.route_config.CopyFrom(routes)
    counted = metrics.http_metrics(teller.reporter, teller.mode, secured=teller.secured)
    manager.access_log.extend((*counted, *accesslogs.http_logs(teller.reporting)))
    apply_tracing(manager, teller.reporting.tracing, workload)
    if side is Side.GATEWAY:
        _edge(manager)
    else:
        manager.use_remote_address.CopyFrom(wrappers_pb2.BoolValue(value=False))
        manager.http_protocol_options.CopyFrom(_http1())
        manager.server_header_transformation = hcm.HttpConnectionManager.PASS_THROUGH
    return lc.Filter(
        name="envoy.filters.network.http_connection_manager", typed_config=pack(manager)
    )


def tcp_proxy(cluster: str, stat_prefix: str, teller: Teller | None = None) -> Any:
    """Bytes passed on as they come; without anybody who tells, none are counted."""
    proxy = tcp_proxy_pb2.TcpProxy(stat_prefix=stat_prefix, cluster=cluster)
    return _told(proxy, teller)


def tcp_shares(
    clusters: Sequence[tuple[str, int]], teller: Teller, lasting: Lasting = AS_USUAL
) -> Any:
    """Bytes passed on to one cluster, or to several by weight."""
    proxy = tcp_proxy_pb2.TcpProxy(stat_prefix=clusters[0][0])
    if len(clusters) == 1:
        proxy.cluster = clusters[0][0]
    else:
        for name, weight in clusters:
            proxy.weighted_clusters.clusters.add(name=name, weight=weight)
    if lasting.idle is not None:
        proxy.idle_timeout.CopyFrom(duration(lasting.idle))
    if lasting.longest is not None:
        proxy.max_downstream_connection_duration.CopyFrom(duration(lasting.longest))
    if lasting.by_source:
        proxy.hash_policy.add().source_ip.SetInParent()
    return _told(proxy, teller)


def _told(proxy: Any, teller: Teller | None) -> Any:
    if teller is not None:
        counted = metrics.tcp_metrics(teller.reporter, teller.mode, secured=teller.secured)
        proxy.access_log.extend((*counted, *accesslogs.tcp_logs(teller.reporting)))
        # Connections are counted when they open, too.
        proxy.access_log_options.flush_access_log_on_connected = True
    return lc.Filter(name="envoy.filters.network.tcp_proxy", typed_config=pack(proxy))


def _edge(manager: Any) -> None:
    """At the mesh's edge the client's address and headers are not taken on trust."""
    manager.use_remote_address.CopyFrom(_TRUE)
    manager.http_protocol_options.CopyFrom(_http1())
    manager.path_with_escaped_slashes_action = hcm.HttpConnectionManager.KEEP_UNCHANGED


def _http1() -> Any:
    return protocol_pb2.Http1ProtocolOptions(accept_http_10=True)
