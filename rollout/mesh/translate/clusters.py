"""Clusters: one per service port and per subset of it, found by EDS, and the fixed ones of a sidecar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, base_pb2
from google.protobuf import duration_pb2, struct_pb2

from rollout.mesh.model.peers import MutualTLS
from rollout.mesh.model.proxy import InboundPort
from rollout.mesh.model.service import Port, Protocol, Resolution, Service
from rollout.mesh.model.traffic import DestinationPolicy, Subset, traffic_of
from rollout.mesh.translate import names
from rollout.mesh.translate.balancers import apply_balancer, apply_locality_weights
from rollout.mesh.translate.endpoints import assignment
from rollout.mesh.translate.limits import apply_outlier, apply_pool, circuit_breakers, speak
from rollout.mesh.translate.localities import equally_near
from rollout.mesh.translate.mutual import apply_announcement, apply_tls
from rollout.mesh.translate.resource import Resource, wrap
from rollout.mesh.translate.sources import ADS

_CONNECT_TIMEOUT = duration_pb2.Duration(seconds=10)
_NEAR_CONNECT_TIMEOUT = duration_pb2.Duration(seconds=2)
"""Of endpoints within the mesh: an address that a pod has left may answer nothing, and a retry has to begin in time."""
_INBOUND_SOURCE = "127.0.0.6"
"""Istio's source address of what Envoy hands to the application, by which it is known not to be intercepted again."""

_DNS_REFRESH = duration_pb2.Duration(seconds=60)


def service_clusters(
    service: Service,
    policy: DestinationPolicy | None,
    mesh: MutualTLS = MutualTLS.NONE,
    accounts: Sequence[str] = (),
) -> list[Resource]:
    """The clusters of all of a service's ports, with those of the subsets that its rule names.

    `accounts` are the identities behind it, of which a proxy there must prove one.
    """
    return [
        cluster
        for port in service.ports
        if port.protocol is not Protocol.UDP
        for cluster in _port_clusters(service, port, policy, mesh, accounts)
    ]


def _port_clusters(
    service: Service,
    port: Port,
    policy: DestinationPolicy | None,
    mesh: MutualTLS,
    accounts: Sequence[str],
) -> list[Resource]:
    subsets = ("", *(subset.name for subset in (policy.subsets if policy else ())))
    found = []
    for subset in subsets:
        name = names.outbound(service.host, port.number, subset)
        cluster = bare_cluster(name, service, port, subset, policy)
        given = traffic_of(policy, port.number, subset).tls
        apply_tls(cluster, service, port, subset, given, mesh, accounts)
        apply_announcement(cluster, traffic_of(policy, port.number, subset).announced)
        found.append(wrap(names.CLUSTER, cluster.name, cluster))
    return found


def bare_cluster(
    name: str, service: Service, port: Port, subset: str, policy: DestinationPolicy | None
) -> Any:
    """A cluster as it is before TLS."""
    traffic = traffic_of(policy, port.number, subset)
    cluster = cluster_pb2.Cluster(
        name=name,
        connect_timeout=_NEAR_CONNECT_TIMEOUT if _is_near(service) else _CONNECT_TIMEOUT,
        circuit_breakers=circuit_breakers(traffic.pool, traffic.budget),
        metadata=service_metadata(service.host, service.name, service.namespace, subset),
    )
    if service.resolution is Resolution.NONE:
        cluster.type = cluster_pb2.Cluster.ORIGINAL_DST
        cluster.lb_policy = cluster_pb2.Cluster.CLUSTER_PROVIDED
    else:
        _found(cluster, service, port, policy.subset(subset) if policy and subset else None)
        apply_balancer(cluster, traffic.balancer)
        apply_locality_weights(cluster, traffic.balancer)
    apply_pool(cluster, port.protocol, traffic.pool)
    apply_outlier(cluster, traffic.outlier)
    return cluster


def _is_near(service: Service) -> bool:
    return service.resolution is Resolution.ENDPOINTS and not service.external


def _found(cluster: Any, service: Service, port: Port, subset: Subset | None) -> None:
    """By EDS, or by names that the DNS is asked about."""
    if service.resolution is Resolution.ENDPOINTS:
        cluster.type = cluster_pb2.Cluster.EDS
        cluster.eds_cluster_config.eds_config.CopyFrom(ADS)
        cluster.eds_cluster_config.service_name = cluster.name
        return
    behind = dict(service.resolved).get(port.number, ())
    chosen = [each for each in behind if subset is None or subset.labels <= each.labels]
    # A subset may be of nobody, of which Envoy's logical clusters know nothing.
    one = service.resolution is Resolution.DNS_ROUND_ROBIN and len(chosen) == 1
    cluster.type = cluster_pb2.Cluster.LOGICAL_DNS if one else cluster_pb2.Cluster.STRICT_DNS
    cluster.dns_lookup_family = cluster_pb2.Cluster.V4_PREFERRED
    cluster.dns_refresh_rate.CopyFrom(_DNS_REFRESH)
    cluster.respect_dns_ttl = True
    cluster.load_assignment.CopyFrom(assignment(cluster.name, equally_near(chosen)))


def inbound_cluster(port: InboundPort, namespace: str) -> Resource:
    """Leads to the application: at the address and port that the client asked for, or where it says that it listens."""
    cluster = _original_destination(names.inbound(port.port))
    if port.to.startswith(":"):
        cluster.original_dst_lb_config.upstream_port_override.value = int(port.to[1:])
    elif port.to:
        _lead_to(cluster, _application(port.to))
    # What comes by a path has no source address.
    if not port.to.startswith("/"):
        cluster.upstream_bind_config.source_address.CopyFrom(
            address_pb2.SocketAddress(address=_INBOUND_SOURCE, port_value=0)
        )
    cluster.metadata.CopyFrom(service_metadata(port.service, port.service_name, namespace, ""))
    speak(cluster, port.protocol)
    return wrap(names.CLUSTER, cluster.name, cluster)


def _lead_to(cluster: Any, address: Any) -> None:
    cluster.type = cluster_pb2.Cluster.STATIC
    cluster.lb_policy = cluster_pb2.Cluster.ROUND_ROBIN
    cluster.load_assignment.cluster_name = cluster.name
    cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint.address.CopyFrom(address)


def _application(to: str) -> Any:
    if to.startswith("/"):
        return address_pb2.Address(pipe=address_pb2.Pipe(path=to))
    host, _, port = to.rpartition(":")
    socket = address_pb2.SocketAddress(address=host.strip("[]"), port_value=int(port))
    return address_pb2.Address(socket_address=socket)


def sidecar_clusters() -> list[Resource]:
    """The fixed clusters: traffic to unknown addresses, outwards and inwards, and traffic that must go nowhere."""
    inwards = _original_destination(names.INBOUND_PASSTHROUGH)
    inwards.metadata.CopyFrom(service_metadata("", names.INBOUND_PASSTHROUGH, "", ""))
    inwards.upstream_bind_config.source_address.CopyFrom(
        address_pb2.SocketAddress(address=_INBOUND_SOURCE, port_value=0)
    )
    outwards = _original_destination(names.PASSTHROUGH)
    outwards.metadata.CopyFrom(service_metadata("", names.PASSTHROUGH, "", ""))
    speak(outwards, Protocol.AUTO)
    found = (outwards, inwards, _black_hole())
    return [wrap(names.CLUSTER, cluster.name, cluster) for cluster in found]


def router_clusters() -> list[Resource]:
    """The fixed cluster of a gateway."""
    return [wrap(names.CLUSTER, names.BLACK_HOLE, _black_hole())]


def _black_hole() -> Any:
    return cluster_pb2.Cluster(
        name=names.BLACK_HOLE,
        type=cluster_pb2.Cluster.STATIC,
        connect_timeout=_CONNECT_TIMEOUT,
        metadata=service_metadata("", names.BLACK_HOLE, "", ""),
    )


def _original_destination(name: str) -> Any:
    return cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.ORIGINAL_DST,
        lb_policy=cluster_pb2.Cluster.CLUSTER_PROVIDED,
        connect_timeout=_CONNECT_TIMEOUT,
        circuit_breakers=circuit_breakers(None, None),
    )


def service_metadata(host: str, name: str, namespace: str, subset: str) -> Any:
    """What metrics say of the service behind a cluster."""
    values = {"host": host, "name": name, "namespace": namespace, "subset": subset}
    struct = struct_pb2.Struct(
        fields={key: struct_pb2.Value(string_value=value) for key, value in values.items() if value}
    )
    return base_pb2.Metadata(filter_metadata={"istio": struct})
