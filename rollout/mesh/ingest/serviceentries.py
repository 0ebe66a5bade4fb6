"""ServiceEntries to services of the mesh: one for each host, with what is behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rollout.api.istio.serviceentry import ServiceEntry, ServiceEntryPort
from rollout.api.istio.workloadentry import Endpoint as Written
from rollout.mesh.ingest.hosts import exported
from rollout.mesh.ingest.services import protocol
from rollout.mesh.ingest.workloadentries import endpoint, unknown_network
from rollout.mesh.model.problem import Problem, Ref
from rollout.mesh.model.service import Endpoint, Port, Resolution, Service

_UNSUPPORTED = "remove it, or wait for a version that acts upon it"
_RESOLUTIONS = {
    "NONE": Resolution.NONE,
    "STATIC": Resolution.ENDPOINTS,
    "DNS": Resolution.DNS,
    "DNS_ROUND_ROBIN": Resolution.DNS_ROUND_ROBIN,
}
_INSIDE = ("MESH_INTERNAL", "STATIC")
Ports = dict[int, tuple[Endpoint, ...]]


@dataclass(frozen=True, slots=True)
class Declared:
    """A host with the addresses behind it, where the mesh knows them."""

    service: Service
    endpoints: Ports

    @property
    def depends(self) -> bool:
        """Whether its endpoints follow from other objects: from what it selects, or what takes mutual TLS."""
        every = (each for group in self.endpoints.values() for each in group)
        return bool(self.service.selector) or any(each.workload is not None for each in every)


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
        yield Problem(ref, "spec.workloadSelector.labels", why, "give the workloads' labels")
    if chosen is not None and parsed.spec.resolution != "STATIC":
        why = "has an effect with resolution STATIC only"
        yield Problem(ref, "spec.workloadSelector", why, "set resolution: STATIC")
    for index, each in enumerate(parsed.spec.endpoints):
        path = f"spec.endpoints[{index}]"
        if (fault := unknown_network(ref, path, each)) is not None:
            yield fault
        if each.service_account and (parsed.spec.location, parsed.spec.resolution) != _INSIDE:
            why = "has an effect with location MESH_INTERNAL and resolution STATIC only"
            yield Problem(ref, f"{path}.serviceAccount", why, "set both, or remove it")


def _selector(parsed: ServiceEntry) -> frozenset[tuple[str, str]]:
    """The labels of the workloads behind it, where they are endpoints."""
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
        endpoints = (Written(address=host),)
    found = {
        port.number: tuple(dict.fromkeys(_endpoint(each, port, parsed) for each in endpoints))
        for port in parsed.spec.ports
    }
    return {number: each for number, each in found.items() if each}


def _endpoint(written: Written, port: ServiceEntryPort, parsed: ServiceEntry) -> Endpoint:
    number = written.ports.get(port.name) or port.target_port or port.number
    return endpoint(written, number, parsed.namespace, parsed.name)
