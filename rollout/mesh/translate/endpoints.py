"""Endpoints: the ready addresses behind each cluster. A cluster without any still gets its answer, else it never warms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from envoy.config.core.v3 import address_pb2, base_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from google.protobuf import struct_pb2, wrappers_pb2

from rollout.mesh.model.routing import DestinationPolicy
from rollout.mesh.model.service import Endpoint, Protocol, Service, Workload
from rollout.mesh.translate import names
from rollout.mesh.translate.resource import Resource, wrap

Ports = Mapping[int, Sequence[Endpoint]]
"""Ready endpoints by the service's port number."""


def service_endpoints(
    service: Service, ports: Ports, policy: DestinationPolicy | None
) -> list[Resource]:
    """An assignment for each of the service's clusters, the subsets' by their labels."""
    found: list[Resource] = []
    for port in service.ports:
        if port.protocol is Protocol.UDP:
            continue
        ready = ports.get(port.number, ())
        found.append(_assignment(names.outbound(service.host, port.number), ready))
        for subset in policy.subsets if policy else ():
            name = names.outbound(service.host, port.number, subset.name)
            found.append(_assignment(name, [e for e in ready if subset.labels <= e.labels]))
    return found


def _assignment(name: str, ready: Sequence[Endpoint]) -> Resource:
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    if ready:
        ordered = sorted(ready, key=lambda endpoint: (endpoint.address, endpoint.port))
        group = assignment.endpoints.add(
            load_balancing_weight=wrappers_pb2.UInt32Value(value=len(ordered))
        )
        group.lb_endpoints.extend(_endpoint(endpoint) for endpoint in ordered)
    return wrap(names.ENDPOINTS, name, assignment)


def _endpoint(endpoint: Endpoint) -> Any:
    address = address_pb2.SocketAddress(address=endpoint.address, port_value=endpoint.port)
    found = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(
            address=address_pb2.Address(socket_address=address)
        ),
        load_balancing_weight=wrappers_pb2.UInt32Value(value=1),
    )
    if endpoint.workload is not None:
        found.metadata.CopyFrom(
            base_pb2.Metadata(filter_metadata={"istio": _workload(endpoint.workload)})
        )
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
