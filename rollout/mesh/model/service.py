"""Services and the endpoints behind them, as the mesh sees them. Knows nothing of routes or proxies."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

DOMAIN = "cluster.local"


class Protocol(Enum):
    """What is spoken on a port; AUTO is found out by looking at the first bytes."""

    HTTP = "http"
    HTTP2 = "http2"
    GRPC = "grpc"
    TCP = "tcp"
    TLS = "tls"
    AUTO = "auto"
    UDP = "udp"

    @property
    def routed(self) -> bool:
        """Whether HTTP routes apply to it."""
        return self in {Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.AUTO}

    @property
    def opaque(self) -> bool:
        """Whether connections are passed on without a look inside."""
        return self in {Protocol.TCP, Protocol.TLS}

    @property
    def multiplexed(self) -> bool:
        """Whether the servers behind it speak HTTP/2 without being asked."""
        return self in {Protocol.HTTP2, Protocol.GRPC}


class Resolution(Enum):
    """Where the addresses behind a service come from: what the mesh knows, the DNS, or the caller itself."""

    ENDPOINTS = "endpoints"
    DNS = "dns"
    DNS_ROUND_ROBIN = "dns-round-robin"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A Service's port; `target` is the container's port, by number or by name."""

    number: int
    name: str = ""
    protocol: Protocol = Protocol.AUTO
    target: int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A Kubernetes Service, or (with a `hostname` of its own) a host that a ServiceEntry declares.

    `addresses` is empty for a headless one, `created` orders it among others (RFC 3339), `exported` names the
    namespaces that see it (none: all). `resolved` are the names behind it, by port, where the DNS says the addresses.
    `names` are those of which a server's certificate must carry one, where a rule says nothing else.
    """

    namespace: str
    name: str
    ports: tuple[Port, ...] = ()
    addresses: tuple[str, ...] = ()
    selector: frozenset[tuple[str, str]] = frozenset()
    created: str = ""
    hostname: str = ""
    external: bool = False
    resolution: Resolution = Resolution.ENDPOINTS
    resolved: tuple[tuple[int, tuple[Endpoint, ...]], ...] = ()
    exported: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """The fully qualified name, by which everything else refers to it."""
        return self.hostname or service_host(self.namespace, self.name)

    @property
    def domains(self) -> tuple[str, ...]:
        """The names by which callers of all namespaces may mean it, its addresses apart."""
        if self.hostname:
            return (self.hostname,)
        short = f"{self.name}.{self.namespace}"
        return (self.host, f"{short}.svc", short)

    def port(self, number: int) -> Port | None:
        """The port of that number."""
        return next((port for port in self.ports if port.number == number), None)

    @property
    def routed_ports(self) -> frozenset[int]:
        """The numbers of the ports that HTTP routes apply to."""
        return frozenset(port.number for port in self.ports if port.protocol.routed)

    def seen_from(self, namespace: str) -> bool:
        """Whether the namespace's proxies know it."""
        return not self.exported or namespace in self.exported

    def selects(self, labels: frozenset[tuple[str, str]]) -> bool:
        """Whether pods with these labels are behind it; a Service without a selector selects none."""
        return bool(self.selector) and self.selector <= labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a pod is counted as in metrics: its Deployment (or other owner) and the labels that name it."""

    namespace: str
    name: str
    app: str = "unknown"
    version: str = "unknown"
    canonical: str = "unknown"
    revision: str = "latest"
    account: str = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address of one port of a service; `locality` is `region/zone/subzone`, as far as known.

    `doubtful` is one that is called unready only because its node has stopped reporting: a last resort. `identity` is
    the URI that its certificate carries, where a proxy takes mutual TLS for it. `weight` is its share among others.
    """

    address: str
    port: int
    labels: frozenset[tuple[str, str]] = field(default=frozenset(), repr=False)
    workload: Workload | None = None
    locality: str = ""
    doubtful: bool = False
    identity: str = ""
    weight: int = 1


def service_host(namespace: str, name: str) -> str:
    """The fully qualified host of a Service."""
    return f"{name}.{namespace}.svc.{DOMAIN}"
