"""Envoy's bootstrap: who this proxy is, where its control plane is, and the few listeners that never change.

Pure: settings and labels in, the JSON document out. Must not know what the control plane serves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout.mesh.agent.settings import (
    ADMIN_PORT,
    AGENT_PORT,
    ASKS,
    PROMETHEUS_PORT,
    READINESS_PORT,
    ROOTS,
    ROOTS_FILE,
    TAKES_HOSTS,
    TOKEN,
    TOKEN_FILE,
    Settings,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"

XDS_CLUSTER = "xds-grpc"

MAX_CONNECTIONS = 50_000

ACTIVE = "downstream_rq_active"
MOVED = ("downstream_cx_rx_bytes_total", "downstream_cx_tx_bytes_total")
TRAFFIC = (ACTIVE, *MOVED)
"""How statistics end that tell whether anybody still uses a proxy."""

# The series that Prometheus keeps; all others are never created, which also keeps Envoy small.
KEPT_STATS: tuple[Json, ...] = (
    {"contains": "istio_"},
    {"prefix": "server."},
    {"prefix": "cluster_manager"},
    {"prefix": "listener_manager"},
    {"prefix": f"cluster.{XDS_CLUSTER}."},
    {"suffix": "downstream_cx_active"},
    *({"suffix": name} for name in TRAFFIC),
    {"suffix": "control_plane.connected_state"},
)

# Milliseconds; Istio's buckets up to a minute.
DURATION_BUCKETS = (
    0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000,
)  # fmt: skip

# Bytes.
SIZE_BUCKETS = (1, 64, 512, 4096, 32768, 262144, 2097152, 16777216, 134217728, 1073741824)
BUCKETS = {
    "istio_request_duration_milliseconds": DURATION_BUCKETS,
    "istio_request_bytes": SIZE_BUCKETS,
    "istio_response_bytes": SIZE_BUCKETS,
}


def _kept(settings: Settings) -> list[Json]:
    return [*KEPT_STATS, *({"prefix": prefix} for prefix in settings.stats_prefixes)]


def render(settings: Settings, labels: Mapping[str, str]) -> Json:
    """The whole bootstrap document of one proxy."""
    return {
        "node": node(settings, labels),
        "admin": {"address": _address("127.0.0.1", ADMIN_PORT), "ignore_global_conn_limit": True},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [
                    {
                        "envoy_grpc": {
                            "cluster_name": XDS_CLUSTER,
                            "retry_policy": {
                                "retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"}
                            },
                        }
                    }
                ],
            },
            "cds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
            "lds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
        },
        "static_resources": {
            "clusters": [
                _control_plane(settings),
                _local_cluster("agent", AGENT_PORT),
                _local_cluster("prometheus_stats", ADMIN_PORT),
            ],
            "listeners": [
                _page(READINESS_PORT, "/healthz/ready", "agent"),
                _page(PROMETHEUS_PORT, "/stats/prometheus", "prometheus_stats"),
            ],
        },
        "stats_config": {
            "use_all_default_tags": True,
            "stats_matcher": {"inclusion_list": {"patterns": _kept(settings)}},
            "histogram_bucket_settings": [
                {"match": {"contains": name}, "buckets": list(buckets)}
                for name, buckets in BUCKETS.items()
            ],
        },
        # Histograms appear after a flush, and the judge reads them within seconds.
        "stats_flush_interval": "1s",
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.resource_monitors."
                        "downstream_connections.v3.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": MAX_CONNECTIONS,
                    },
                }
            ]
        },
        "layered_runtime": {
            "layers": [
                {
                    "name": "static",
                    "static_layer": {"re2.max_program_size.error_level": 32768},
                },
                {"name": "admin", "admin_layer": {}},
            ]
        },
    }


def node(settings: Settings, labels: Mapping[str, str]) -> Json:
    """How the proxy introduces itself; the control plane decides its scope by this."""
    ip, namespace = settings.instance_ips[0], settings.namespace
    app = labels.get("app") or settings.workload_name or settings.pod_name
    metadata = {
        "NAME": settings.pod_name,
        "NAMESPACE": namespace,
        "LABELS": dict(sorted(labels.items())),
        "SERVICE_ACCOUNT": settings.service_account,
        "WORKLOAD_NAME": settings.workload_name,
        "OWNER": settings.owner,
        "INSTANCE_IPS": ",".join(settings.instance_ips),
        "APP_CONTAINERS": settings.app_containers,
        ASKS: "true",
        TAKES_HOSTS: "true",
        "CLUSTER_ID": settings.cluster_id,
        "MESH_ID": settings.mesh_id,
        "NODE_NAME": settings.node_name,
        "ROLLOUT_VERSION": settings.version,
    }
    return {
        "id": f"{settings.proxy_type}~{ip}~{settings.pod_name}.{namespace}"
        f"~{namespace}.svc.{settings.domain}",
        "cluster": f"{app}.{namespace}",
        "metadata": {key: value for key, value in metadata.items() if value},
    }


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _http2(keepalive: Json, filters: list[Json]) -> Json:
    options: Json = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {"connection_keepalive": keepalive}},
    }
    if filters:
        options["http_filters"] = filters
    return {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}


def _control_plane(settings: Settings) -> Json:
    host, _, port = settings.discovery_address.rpartition(":")
    secured = {"transport_socket": _verified(host)} if settings.secured else {}
    unlimited = {"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}
    return {
        "name": XDS_CLUSTER,
        "type": "STRICT_DNS",
        "dns_lookup_family": "ALL",
        # With TLS, which a control plane that is busy takes its time for.
        "connect_timeout": "2s",
        "circuit_breakers": {
            "thresholds": [unlimited, {"priority": "HIGH", **unlimited}],
        },
        # A control plane that vanished without a word is noticed within 10 s.
        "typed_extension_protocol_options": _http2(
            {"interval": "5s", "timeout": "5s"}, _authorized() if settings.secured else []
        ),
        "load_assignment": _endpoints(XDS_CLUSTER, host, int(port)),
        **secured,
    }


def _verified(host: str) -> Json:
    """TLS to nobody but the control plane."""
    name = {"san_type": "DNS", "matcher": {"exact": host}}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TLS}.UpstreamTlsContext",
            "sni": host,
            "common_tls_context": {
                "alpn_protocols": ["h2"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "combined_validation_context": {
                    "default_validation_context": {"match_typed_subject_alt_names": [name]},
                    "validation_context_sds_secret_config": _file(ROOTS, ROOTS_FILE),
                },
            },
        },
    }


def _authorized() -> list[Json]:
    """The service account's token on every call, read again when kubelet renews it."""
    generic = {
        "@type": "type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic",
        "credential": _file(TOKEN, TOKEN_FILE),
        "header": "authorization",
        "header_value_prefix": "Bearer ",
    }
    injector = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http."
        "credential_injector.v3.CredentialInjector",
        "overwrite": True,
        "credential": {"name": "envoy.http.injected_credentials.generic", "typed_config": generic},
    }
    codec = {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
    }
    return [
        {"name": "envoy.filters.http.credential_injector", "typed_config": injector},
        {"name": "envoy.filters.http.upstream_codec", "typed_config": codec},
    ]


def _file(name: str, path: str) -> Json:
    source = {"path_config_source": {"path": path}, "resource_api_version": "V3"}
    return {"name": name, "sds_config": source}


def _local_cluster(name: str, port: int) -> Json:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "0.25s",
        "load_assignment": _endpoints(name, "127.0.0.1", port),
    }


def _endpoints(cluster: str, host: str, port: int) -> Json:
    endpoint = {"endpoint": {"address": _address(host, port)}}
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": [endpoint]}]}


def _page(port: int, path: str, cluster: str) -> Json:
    """A listener that serves one path for the kubelet or Prometheus and nothing else."""
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network."
        "http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": cluster,
        "normalize_path": True,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": cluster,
                    "domains": ["*"],
                    "routes": [{"match": {"path": path}, "route": {"cluster": cluster}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }
    filters = [
        {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager},
    ]
    return {
        "name": f"static-{port}",
        "address": _address("0.0.0.0", port),  # noqa: S104 - the kubelet reaches it by the pod's address
        "filter_chains": [{"filters": filters}],
    }
