"""Gateway: the ports and hosts that a gateway's proxies listen for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from rollout.api import kinds
from rollout.api.fields import Name, Port
from rollout.api.istio.virtualservice import ISTIO_VERSIONS, is_host
from rollout.api.model import Bool, Model, Problem, Resource, Str, StrMap

_PROTOCOLS = ("HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "MONGO", "TCP", "TLS")
_TLS_PROTOCOLS = ("HTTPS", "TLS")


class ServerPort(Model):
    """A port that is listened on."""

    number: Port
    """Its number, as the gateway's Service has it."""
    protocol: Name
    """HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS."""
    name: Str | None = None
    """Its name."""
    target_port: Port | None = None
    """Deprecated: the number in the pod."""

    def problems(self) -> Iterator[Problem]:
        """A protocol that no listener speaks."""
        if self.protocol.upper() not in _PROTOCOLS:
            yield Problem(
                "protocol", f"{self.protocol!r} is unknown", f"use {', '.join(_PROTOCOLS)}"
            )


class ServerTLSSettings(Model):
    """TLS of a listener."""

    https_redirect: Bool | None = None
    """Whether plain HTTP is answered with a redirect to HTTPS."""
    mode: (
        Literal[
            "PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"
        ]
        | None
    ) = None
    """Which TLS."""
    credential_name: Str | None = None
    """Secret with key and certificates."""
    server_certificate: Str | None = None
    """File of the certificate."""
    private_key: Str | None = None
    """File of the key."""
    ca_certificates: Str | None = None
    """File of the authorities that a client's certificate may come from."""
    subject_alt_names: tuple[Str, ...] = ()
    """Names that a client's certificate may carry."""
    min_protocol_version: Str | None = None
    """Least TLS version."""
    max_protocol_version: Str | None = None
    """Greatest TLS version."""
    cipher_suites: tuple[Str, ...] = ()
    """Ciphers allowed."""


class Server(Model):
    """A port with the hosts that are served on it."""

    port: ServerPort
    """The port."""
    hosts: tuple[Str, ...]
    """Hosts, perhaps with a namespace before them (`namespace/host`); `*` means all."""
    name: Str | None = None
    """Its name."""
    bind: Str | None = None
    """The address that is listened on."""
    tls: ServerTLSSettings | None = None
    """TLS of the listener."""

    def problems(self) -> Iterator[Problem]:
        """No hosts, malformed ones, or a TLS protocol without its settings."""
        if not self.hosts:
            yield Problem("hosts", "is empty", 'name a host, or "*" for all')
        for index, entry in enumerate(self.hosts):
            namespace, slash, host = entry.rpartition("/")
            if not is_host(host) or (slash and not namespace):
                yield Problem(
                    f"hosts[{index}]", f"{entry!r} is not a host", "write host or namespace/host"
                )
        if self.port.protocol.upper() in _TLS_PROTOCOLS and self.tls is None:
            yield Problem("tls", f"is required for {self.port.protocol}", "add it")


class GatewaySpec(Model):
    """The ports and hosts that the selected proxies listen for."""

    selector: StrMap = Field(default_factory=dict)
    """Labels of the gateway's pods, e.g. `istio: ingressgateway`."""
    servers: tuple[Server, ...] = ()
    """Ports and hosts."""

    def problems(self) -> Iterator[Problem]:
        """A gateway that listens for nothing."""
        if not self.servers:
            yield Problem("servers", "is empty", "add a server")


class Gateway(Resource):
    """The ports and hosts that a gateway's proxies listen for."""

    KIND = kinds.GATEWAY
    SERVED_VERSIONS: ClassVar = ISTIO_VERSIONS
    REFUSES_UNKNOWN = False

    spec: GatewaySpec
    """What the user wants."""
