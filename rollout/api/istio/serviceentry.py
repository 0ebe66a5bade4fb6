"""ServiceEntry: hosts that Kubernetes knows nothing of, as services of the mesh."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from rollout.api import kinds
from rollout.api.fields import Name, Port
from rollout.api.istio.virtualservice import ISTIO_VERSIONS, is_host
from rollout.api.istio.workloadentry import Endpoint
from rollout.api.model import Model, Problem, Resource, Str, StrMap

_PROTOCOLS = ("HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS")


class ServiceEntryPort(Model):
    """A port of the hosts."""

    number: Port
    """Its number."""
    name: Name
    """Its name."""
    protocol: Str | None = None
    """HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS; by the name where unset."""
    target_port: Port | None = None
    """The endpoints' port, where it is another."""

    def problems(self) -> Iterator[Problem]:
        """A protocol that nobody speaks."""
        if self.protocol and self.protocol.upper() not in _PROTOCOLS:
            yield Problem(
                "protocol", f"{self.protocol!r} is unknown", f"use {', '.join(_PROTOCOLS)}"
            )


class WorkloadSelector(Model):
    """Pods and WorkloadEntries by their labels."""

    labels: StrMap = Field(default_factory=dict)
    """All of these."""


class ServiceEntrySpec(Model):
    """Hosts, their ports, and where requests for them go."""

    hosts: tuple[Str, ...] = ()
    """Names by which they are called."""
    addresses: tuple[Str, ...] = ()
    """Addresses, or blocks of them, by which connections to them are known."""
    ports: tuple[ServiceEntryPort, ...] = ()
    """Ports."""
    location: Literal["MESH_EXTERNAL", "MESH_INTERNAL"] | None = None
    """Whether they belong to the mesh."""
    resolution: Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN"] | None = None
    """Where their addresses come from: the caller, the endpoints, or the DNS."""
    endpoints: tuple[Endpoint, ...] = ()
    """What is behind them."""
    workload_selector: WorkloadSelector | None = None
    """The namespace's pods and WorkloadEntries behind them, instead of endpoints."""
    export_to: tuple[Str, ...] = ()
    """Namespaces that see it: `.`, `*` or names; all where unset."""
    subject_alt_names: tuple[Str, ...] = ()
    """Names that the servers' certificates may carry."""

    def problems(self) -> Iterator[Problem]:
        """What Istio refuses: no or malformed hosts, ports named twice, endpoints that don't fit the resolution."""
        if not self.hosts:
            yield Problem("hosts", "is empty", "name a host")
        for index, host in enumerate(self.hosts):
            if not is_host(host) or host == "*":
                yield Problem(f"hosts[{index}]", f"{host!r} is not a host", "write a DNS name")
        if not self.ports:
            yield Problem("ports", "is empty", "name a port")
        for name in ("number", "name"):
            seen = [getattr(port, name) for port in self.ports]
            for index, value in enumerate(seen):
                if value in seen[:index]:
                    yield Problem(f"ports[{index}].{name}", f"{value} is given twice", "remove one")
        for index, address in enumerate(self.addresses):
            if not _is_network(address):
                reason = f"{address!r} is neither an address nor a block"
                yield Problem(f"addresses[{index}]", reason, "write address or address/bits")
        yield from self._endpoint_problems()

    def _endpoint_problems(self) -> Iterator[Problem]:
        if self.endpoints and self.workload_selector is not None:
            yield Problem("", "sets endpoints and workloadSelector", "keep one of them")
        names = {port.name for port in self.ports}
        for index, endpoint in enumerate(self.endpoints):
            path = f"endpoints[{index}]"
            for name in endpoint.ports:
                if name not in names:
                    yield Problem(f"{path}.ports", f"{name!r} names no port", "correct the name")
            if self.resolution in {None, "NONE"}:
                yield Problem(path, "has no effect with resolution NONE", "use STATIC or DNS")
            elif self.resolution == "STATIC" and not _is_network(
                endpoint.address or "", block=False
            ):
                reason = f"{endpoint.address!r} is no address"
                yield Problem(f"{path}.address", reason, "use resolution DNS for names")
            elif not endpoint.address or not is_host(endpoint.address) or "*" in endpoint.address:
                reason = f"{endpoint.address!r} is neither an address nor a name"
                yield Problem(f"{path}.address", reason, "correct it")
        if self.resolution in {"DNS", "DNS_ROUND_ROBIN"} and not self.endpoints:
            for index, host in enumerate(self.hosts):
                if host.startswith("*"):
                    reason = "is a wildcard, which the DNS does not resolve"
                    yield Problem(f"hosts[{index}]", reason, "give endpoints, or resolution NONE")
        if self.resolution == "DNS_ROUND_ROBIN" and len(self.endpoints) > 1:
            yield Problem("endpoints", "is more than one", "use resolution DNS")


class ServiceEntry(Resource):
    """Hosts that Kubernetes knows nothing of, as services of the mesh."""

    KIND = kinds.SERVICE_ENTRY
    SERVED_VERSIONS: ClassVar = ISTIO_VERSIONS
    REFUSES_UNKNOWN = False

    spec: ServiceEntrySpec
    """What the user wants."""


def _is_network(text: str, *, block: bool = True) -> bool:
    try:
        if block:
            ipaddress.ip_network(text, strict=False)
        else:
            ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
