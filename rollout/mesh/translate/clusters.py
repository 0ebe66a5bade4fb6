"""Clusters: one per service port and per subset of it, found by EDS, and the fixed ones of a sidecar."""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2
from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2, protocol_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as upstream_pb2
from google.protobuf import duration_pb2, struct_pb2, wrappers_pb2

from rollout.mesh.model.proxy import InboundPort
from rollout.mesh.model.routing import Balancer, DestinationPolicy
from rollout.mesh.model.service import Port, Protocol, Service
from rollout.mesh.translate import names
from rollout.mesh.translate.resource import Resource, pack, wrap

_CONNECT_TIMEOUT = duration_pb2.Duration(seconds=10)
_UPSTREAM = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_UNLIMITED = wrappers_pb2.UInt32Value(value=2**32 - 1)
_INBOUND_SOURCE = "127.0.0.6"
"""Istio's source address of what Envoy hands to the application, by which it is known not to be intercepted again."""

ADS: Any = config_source_pb2.ConfigSource(
    ads=config_source_pb2.AggregatedConfigSource(), resource_api_version="V3"
)


def service_clusters(service: Service, policy: DestinationPolicy | None) -> list[Resource]:
    """The clusters of all of a service's ports, with those of the subsets that its rule names."""
    return [
        cluster
        for port in service.ports
        if port.protocol is not Protocol.UDP
        for cluster in _port_clusters(service, port, policy)
    ]


def _port_clusters(
    service: Service, port: Port, policy: DestinationPolicy | None
) -> list[Resource]:
    common = policy.balancer if policy else None
    found = [_eds(service, port, "", common)]
    found += [
        _eds(service, port, subset.name, subset.balancer or common)
        for subset in (policy.subsets if policy else ())
    ]
    return found


def _eds(service: Service, port: Port, subset: str, balancer: Balancer | None) -> Resource:
    name = names.outbound(service.host, port.number, subset)
    cluster = cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.EDS,
        eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(eds_config=ADS, service_name=name),
        connect_timeout=_CONNECT_TIMEOUT,
        lb_policy=(balancer or Balancer.LEAST_REQUEST).value,
        circuit_breakers=_unlimited(),
        metadata=service_metadata(service.host, service.name, service.namespace, subset),
    )
    if port.protocol.multiplexed:
        _speak_http2(cluster)
    elif port.protocol is Protocol.AUTO:
        _speak_as_asked(cluster)
    return wrap(names.CLUSTER, name, cluster)


def inbound_cluster(port: InboundPort, namespace: str) -> Resource:
    """Leads to the application, at the address and port that the client asked for."""
    cluster = _original_destination(names.inbound(port.port))
    cluster.upstream_bind_config.source_address.CopyFrom(
        address_pb2.SocketAddress(address=_INBOUND_SOURCE, port_value=0)
    )
    cluster.metadata.CopyFrom(service_metadata(port.service, port.service_name, namespace, ""))
    if port.protocol.multiplexed:
        _speak_http2(cluster)
    elif port.protocol is Protocol.AUTO:
        _speak_as_asked(cluster)
    return wrap(names.CLUSTER, cluster.name, cluster)


def sidecar_clusters() -> list[Resource]:
    """The fixed clusters: traffic to unknown addresses, outwards and inwards, and traffic that must go nowhere."""
    inwards = _original_destination(names.INBOUND_PASSTHROUGH)
    inwards.upstream_bind_config.source_address.CopyFrom(
        address_pb2.SocketAddress(address=_INBOUND_SOURCE, port_value=0)
    )
    outwards = _original_destination(names.PASSTHROUGH)
    _speak_as_asked(outwards)
    found = (outwards, inwards, _black_hole())
    return [wrap(names.CLUSTER, cluster.name, cluster) for cluster in found]


def router_clusters() -> list[Resource]:
    """The fixed cluster of a gateway."""
    return [wrap(names.CLUSTER, names.BLACK_HOLE, _black_hole())]


def _black_hole() -> Any:
    return cluster_pb2.Cluster(
        name=names.BLACK_HOLE, type=cluster_pb2.Cluster.STATIC, connect_timeout=_CONNECT_TIMEOUT
    )


def _original_destination(name: str) -> Any:
    return cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.ORIGINAL_DST,
        lb_policy=cluster_pb2.Cluster.CLUSTER_PROVIDED,
        connect_timeout=_CONNECT_TIMEOUT,
        circuit_breakers=_unlimited(),
    )


def _unlimited() -> Any:
    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds(
        max_connections=_UNLIMITED,
        max_pending_requests=_UNLIMITED,
        max_requests=_UNLIMITED,
        max_retries=_UNLIMITED,
        track_remaining=True,
    )
    return circuit_breaker_pb2.CircuitBreakers(thresholds=[thresholds])


def service_metadata(host: str, name: str, namespace: str, subset: str) -> Any:
    """What metrics say of the service behind a cluster."""
    values = {"host": host, "name": name, "namespace": namespace, "subset": subset}
    struct = struct_pb2.Struct(
        fields={key: struct_pb2.Value(string_value=value) for key, value in values.items() if value}
    )
    return base_pb2.Metadata(filter_metadata={"istio": struct})


def _speak_http2(cluster: Any) -> None:
    explicit = upstream_pb2.HttpProtocolOptions.ExplicitHttpConfig(
        http2_protocol_options=protocol_pb2.Http2ProtocolOptions()
    )
    options = upstream_pb2.HttpProtocolOptions(explicit_http_config=explicit)
    cluster.typed_extension_protocol_options[_UPSTREAM].CopyFrom(pack(options))


def _speak_as_asked(cluster: Any) -> None:
    both = upstream_pb2.HttpProtocolOptions.UseDownstreamHttpConfig(
        http_protocol_options=protocol_pb2.Http1ProtocolOptions(),
        http2_protocol_options=protocol_pb2.Http2ProtocolOptions(),
    )
    options = upstream_pb2.HttpProtocolOptions(use_downstream_protocol_config=both)
    cluster.typed_extension_protocol_options[_UPSTREAM].CopyFrom(pack(options))
