"""ServiceEntries to services of the mesh: one for each host, with what is behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rollout.api.istio.serviceentry import ServiceEntry, ServiceEntryPort, WorkloadEntrySpec
from rollout.mesh.ingest.hosts import exported
from rollout.mesh.ingest.services import protocol
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.service import Endpoint, Port, Resolution, Service

_UNSUPPORTED = "remove it, or wait for a version that acts upon it"
_RESOLUTIONS = {
    "NONE": Resolution.NONE,
    "STATIC": Resolution.ENDPOINTS,
    "DNS": Resolution.DNS,
    "DNS_ROUND_ROBIN": Resolution.DNS_ROUND_ROBIN,
}
_MOST_WEIGHT = 1_000_000
"""So that the weights of a locality's endpoints never sum up to more than Envoy takes."""
Ports = dict[int, tuple[Endpoint, ...]]


@dataclass(frozen=True, slots=True)
class Declared:
    """A host with the addresses behind it, where the mesh knows them."""

    service: Service
    endpoints: Ports


def declared(parsed: ServiceEntry) -> tuple[list[Declared], list[Problem]]:
    """A service for each host of a ServiceEntry, and what of it is not acted upon."""
    ref = Ref("ServiceEntry", parsed.namespace, parsed.name)
    found = []
    selector = _selector(parsed)
    for host in dict.fromkeys(host.rstrip(".").lower() for host in parsed.spec.hosts):
        if "." not in host:
            continue
        resolution = _RESOLUTIONS[parsed.spec.resolution or "NONE"]
        behind = _behind(parsed, host, resolution)
        service = Service(
            namespace=parsed.namespace,
            name=host,
            hostname=host,
            ports=tuple(_port(port) for port in parsed.spec.ports),
            addresses=tuple(
                dict.fromkeys(each.removesuffix("/32") for each in parsed.spec.addresses)
            ),
            created=parsed.metadata.creation_timestamp,
            external=parsed.spec.location != "MESH_INTERNAL",
            resolution=resolution,
            resolved=() if resolution is Resolution.ENDPOINTS else tuple(behind.items()),
            exported=exported(parsed.spec.export_to, parsed.namespace),
            selector=selector,
            names=parsed.spec.subject_alt_names,
        )
        found.append(Declared(service, behind if resolution is Resolution.ENDPOINTS else {}))
    return found, list(_left_aside(parsed, ref))


def _left_aside(parsed: ServiceEntry, ref: Ref) -> Iterator[Problem]:
    for field in parsed.unknown_fields:
        yield Problem(ref, field.path, field.reason, field.remedy or _UNSUPPORTED)
    for index, host in enumerate(parsed.spec.hosts):
        if "." not in host.rstrip("."):
            why = f"{host!r} has no dot: short names are those of Services"
            yield Problem(ref, f"spec.hosts[{index}]", why, "write a name with a dot")
    chosen = parsed.spec.workload_selector
    if chosen is not None and not chosen.labels:
        why = "has no labels: it selects nothing"
        yield Problem(ref, "spec.workloadSelector.labels", why, "give the pods' labels")
    if chosen is not None and parsed.spec.resolution != "STATIC":
        why = "has an effect with resolution STATIC only"
        yield Problem(ref, "spec.workloadSelector", why, "set resolution: STATIC")
    for index, endpoint in enumerate(parsed.spec.endpoints):
        if endpoint.network:
            why = "is not acted upon by this version: all networks are one"
            yield Problem(ref, f"spec.endpoints[{index}].network", why, _UNSUPPORTED)


def _selector(parsed: ServiceEntry) -> frozenset[tuple[str, str]]:
    """The labels of the pods behind it, where they are endpoints."""
    chosen = parsed.spec.workload_selector
    if chosen is None or parsed.spec.resolution != "STATIC":
        return frozenset()
    return frozenset(chosen.labels.items())


def _port(port: ServiceEntryPort) -> Port:
    written = {"port": port.number, "name": port.name}
    if port.protocol:
        written["appProtocol"] = _SPELLINGS.get(port.protocol.upper(), port.protocol)
    return Port(
        number=port.number,
        name=port.name,
        protocol=protocol(written),
        target=port.target_port or port.number,
    )


_SPELLINGS = {"HTTP2": "http2", "GRPC-WEB": "grpc-web"}


def _behind(parsed: ServiceEntry, host: str, resolution: Resolution) -> Ports:
    """The endpoints of a host by its ports; where the DNS is asked and none are named, the host itself."""
    if resolution is Resolution.NONE:
        return {}
    endpoints = parsed.spec.endpoints
    if not endpoints and resolution is not Resolution.ENDPOINTS:
        endpoints = (WorkloadEntrySpec(address=host),)
    found = {
        port.number: tuple(dict.fromkeys(_endpoint(each, port) for each in endpoints))
        for port in parsed.spec.ports
    }
    return {number: each for number, each in found.items() if each}


def _endpoint(written: WorkloadEntrySpec, port: ServiceEntryPort) -> Endpoint:
    return Endpoint(
        address=(written.address or "").rstrip("."),
        port=written.ports.get(port.name) or port.target_port or port.number,
        labels=frozenset(written.labels.items()),
        locality=written.locality or "",
        weight=min(written.weight or 1, _MOST_WEIGHT),
    )
