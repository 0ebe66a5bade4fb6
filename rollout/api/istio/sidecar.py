"""Sidecar: what of the mesh a workload's proxy is told, and on which ports it is called."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from rollout.api import kinds
from rollout.api.fields import Name, Port
from rollout.api.istio.virtualservice import ISTIO_VERSIONS, is_host
from rollout.api.model import Model, Problem, Resource, Str, StrMap

_PROTOCOLS = ("HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS")


class SidecarPort(Model):
    """A port of a listener."""

    number: Port
    """Its number."""
    protocol: Str | None = None
    """HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS; by the name where unset."""
    name: Name | None = None
    """Its name."""

    def problems(self) -> Iterator[Problem]:
        """A protocol that nobody speaks."""
        if self.protocol and self.protocol.upper() not in _PROTOCOLS:
            yield Problem(
                "protocol", f"{self.protocol!r} is unknown", f"use {', '.join(_PROTOCOLS)}"
            )


class EgressListener(Model):
    """Hosts that the workload may call, on one port or on all others."""

    port: SidecarPort | None = None
    """The port; unset in the last listener, which is for all ports that no other is for."""
    bind: Str | None = None
    """An address to listen on."""
    capture_mode: Literal["DEFAULT", "IPTABLES", "NONE"] | None = None
    """How connections come to it."""
    hosts: tuple[Str, ...] = ()
    """`namespace/host` each: `.` is the workload's own namespace, `*` any, `~` none; hosts may be wildcards."""

    def problems(self) -> Iterator[Problem]:
        """No hosts, or what is not one."""
        if not self.hosts:
            yield Problem("hosts", "is empty", "name namespace/host, such as ./*, or ~/* for none")
        for index, host in enumerate(self.hosts):
            namespace, slash, name = host.partition("/")
            if not slash or not namespace or not is_host(name):
                reason = f"{host!r} is not namespace/host"
                yield Problem(f"hosts[{index}]", reason, "write such as ./*, prod/* or */x.example")


class IngressListener(Model):
    """A port on which the workload is called."""

    port: SidecarPort
    """The port."""
    bind: Str | None = None
    """An address to listen on."""
    capture_mode: Literal["DEFAULT", "IPTABLES", "NONE"] | None = None
    """How connections come to it."""
    default_endpoint: Str | None = None
    """Where the application listens: 127.0.0.1:PORT, 0.0.0.0:PORT (the pod's own address) or unix:///path."""

    def problems(self) -> Iterator[Problem]:
        """What is not such an endpoint."""
        if self.default_endpoint and not _is_endpoint(self.default_endpoint):
            yield Problem(
                "defaultEndpoint",
                f"{self.default_endpoint!r} is not the application's",
                "use 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///path",
            )


def _is_endpoint(text: str) -> bool:
    if text.startswith("unix://"):
        return len(text) > len("unix://")
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    own = address.is_loopback or address.is_unspecified
    return own and port.isdecimal() and 0 < int(port) < 65536


class OutboundTrafficPolicy(Model):
    """What becomes of requests to hosts that are not told."""

    mode: Literal["ALLOW_ANY", "REGISTRY_ONLY"] | None = None
    """They go where they were sent, or nowhere."""


class WorkloadSelector(Model):
    """Which pods."""

    labels: StrMap = Field(default_factory=dict)
    """Labels that they have."""


class SidecarSpec(Model):
    """What of the mesh the selected workloads' proxies are told."""

    workload_selector: WorkloadSelector | None = None
    """The workloads; without it all of the namespace, or of the mesh in its root namespace."""
    egress: tuple[EgressListener, ...] = ()
    """What they may call; unset: everything."""
    ingress: tuple[IngressListener, ...] = ()
    """Where they are called; unset: on the ports of the services that select them."""
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    """What becomes of requests to other hosts; as the mesh says where unset."""

    def problems(self) -> Iterator[Problem]:
        """Ports given twice, or a listener for all ports that is not the last."""
        for field in ("egress", "ingress"):
            ports = [each.port.number if each.port else 0 for each in getattr(self, field)]
            for index, port in enumerate(ports):
                path = f"{field}[{index}].port"
                if port in ports[:index]:
                    yield Problem(path, f"{port or 'none'} is given twice", "put both into one")
                elif not port and index < len(ports) - 1:
                    yield Problem(path, "is unset before the last listener", "put it last")


class Sidecar(Resource):
    """What of the mesh a workload's proxy is told, and on which ports it is called."""

    KIND = kinds.SIDECAR
    SERVED_VERSIONS: ClassVar = ISTIO_VERSIONS
    REFUSES_UNKNOWN = False

    spec: SidecarSpec
    """What the user wants."""
