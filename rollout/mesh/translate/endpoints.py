"""Endpoints: the ready addresses behind each cluster. A cluster without any still gets its answer, else it never warms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from envoy.config.core.v3 import address_pb2, base_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from google.protobuf import struct_pb2, wrappers_pb2

from rollout.mesh.model.balancing import Balancer
from rollout.mesh.model.service import Endpoint, Protocol, Resolution, Service, Workload
from rollout.mesh.model.traffic import DestinationPolicy, traffic_of
from rollout.mesh.translate import names
from rollout.mesh.translate.localities import NOWHERE, Group, Standpoint, groups, parts
from rollout.mesh.translate.mutual import mark
from rollout.mesh.translate.resource import Resource, wrap

Ports = Mapping[int, Sequence[Endpoint]]
"""Ready endpoints by the service's port number."""


def service_endpoints(
    service: Service, ports: Ports, policy: DestinationPolicy | None, caller: Standpoint = NOWHERE
) -> list[Resource]:
    """An assignment for each of the service's clusters, the subsets' by their labels, as a caller sees them."""
    found: list[Resource] = []
    if service.resolution is not Resolution.ENDPOINTS:
        return found
    for port in service.ports:
        if port.protocol is Protocol.UDP:
            continue
        ready = ports.get(port.number, ())
        for name in ("", *(subset.name for subset in (policy.subsets if policy else ()))):
            traffic = traffic_of(policy, port.number, name)
            if traffic.balancer is not None and traffic.balancer.simple is Balancer.PASSTHROUGH:
                continue
            subset = policy.subset(name) if policy and name else None
            chosen = [e for e in ready if subset is None or subset.labels <= e.labels]
            cluster = names.outbound(service.host, port.number, name)
            made = assignment(cluster, groups(chosen, traffic, caller))
            found.append(wrap(names.ENDPOINTS, cluster, made))
    return found


def assignment(name: str, found: Sequence[Group]) -> Any:
    """Groups of endpoints behind a cluster."""
    made = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    for each in found:
        ordered = sorted(each.endpoints, key=lambda endpoint: (endpoint.address, endpoint.port))
        group = made.endpoints.add(
            load_balancing_weight=wrappers_pb2.UInt32Value(value=each.weight),
            priority=each.priority,
        )
        if each.locality:
            region, zone, subzone = parts(each.locality)
            group.locality.CopyFrom(base_pb2.Locality(region=region, zone=zone, sub_zone=subzone))
        group.lb_endpoints.extend(_endpoint(endpoint) for endpoint in ordered)
    return made


def _endpoint(endpoint: Endpoint) -> Any:
    address = address_pb2.SocketAddress(address=endpoint.address, port_value=endpoint.port)
    found = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(
            address=address_pb2.Address(socket_address=address)
        ),
        load_balancing_weight=wrappers_pb2.UInt32Value(value=endpoint.weight),
    )
    if endpoint.doubtful:
        # Envoy turns to degraded hosts when there are not enough healthy ones.
        found.health_status = health_check_pb2.DEGRADED
    if endpoint.workload is not None:
        found.metadata.CopyFrom(
            base_pb2.Metadata(filter_metadata={"istio": _workload(endpoint.workload)})
        )
    if endpoint.identity:
        mark(found)
    return found


def _workload(workload: Workload) -> Any:
    values = {
        "workload": workload.name,
        "namespace": workload.namespace,
        "app": workload.app,
        "version": workload.version,
        "canonical": workload.canonical,
        "revision": workload.revision,
    }
    return struct_pb2.Struct(
        fields={key: struct_pb2.Value(string_value=value) for key, value in values.items()}
    )
