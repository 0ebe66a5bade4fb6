"""What gateways listen for. Knows nothing of the routes that are bound to them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rollout.mesh.model.problem import Ref
from rollout.mesh.model.routing import Route


class ServerProtocol(Enum):
    """What is spoken on a server's port: HTTP in clear or below TLS, any other bytes, or TLS that is not HTTP."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    TCP = "TCP"
    TLS = "TLS"

    @property
    def encrypted(self) -> bool:
        """Whether connections begin with TLS, so that servers can share a port by the name that is asked for."""
        return self in {ServerProtocol.HTTPS, ServerProtocol.TLS}


class TLSMode(Enum):
    """Who ends TLS, and whether clients show a certificate; PASSTHROUGH leaves it to the destination.

    MESH is mutual TLS with the mesh's own certificates; AUTO_PASSTHROUGH leaves that to the proxy of the service whose
    cluster is asked for.
    """

    SIMPLE = "SIMPLE"
    MUTUAL = "MUTUAL"
    OPTIONAL_MUTUAL = "OPTIONAL_MUTUAL"
    MESH = "ISTIO_MUTUAL"
    PASSTHROUGH = "PASSTHROUGH"
    AUTO_PASSTHROUGH = "AUTO_PASSTHROUGH"

    @property
    def terminated(self) -> bool:
        """Whether the gateway ends TLS, for which it needs a certificate."""
        return self not in {TLSMode.PASSTHROUGH, TLSMode.AUTO_PASSTHROUGH}

    @property
    def peers(self) -> bool:
        """Whether both sides are proxies of the mesh."""
        return self in {TLSMode.MESH, TLSMode.AUTO_PASSTHROUGH}

    @property
    def asks_client(self) -> bool:
        """Whether clients are asked for a certificate."""
        return self in {TLSMode.MUTUAL, TLSMode.OPTIONAL_MUTUAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTLS:
    """TLS of a server; `credential` names a Secret of `namespace`, which is that of the gateway's pods where it is empty.

    Versions are 10 to 13, 0 where nothing was said; `names` are those that a client's certificate may carry.
    """

    mode: TLSMode
    credential: str = ""
    namespace: str = ""
    names: tuple[str, ...] = ()
    least: int = 0
    most: int = 0
    ciphers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HostRoutes:
    """The routes of a host, in the order in which they are tried; without any, its requests are answered with 404."""

    host: str
    routes: tuple[Route, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayServer:
    """One port with the hosts that it takes: (namespace or `*`, host) pairs; `redirect` sends plain HTTP to HTTPS.

    `bind` is the one address that is listened on, empty for all. Where `attached` is None, its routes are those of the
    tables that are bound to its gateway. `path` is where it stands in an object of another kind.
    """

    port: int
    hosts: tuple[tuple[str, str], ...]
    index: int = 0
    name: str = ""
    protocol: ServerProtocol = ServerProtocol.HTTP
    redirect: bool = False
    bind: str = ""
    path: str = ""
    tls: ServerTLS | None = None
    attached: tuple[HostRoutes, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A Gateway: servers on the proxies whose labels its selector holds.

    With a `service` (its host), requests come by that alone, whose ports no other gateway has part in; with a
    `namespace`, only proxies of that serve it.
    """

    ref: Ref
    created: str
    selector: frozenset[tuple[str, str]]
    service: str = ""
    namespace: str = ""
    servers: tuple[GatewayServer, ...] = ()

    @property
    def key(self) -> str:
        """The name by which VirtualServices bind to it; to what is made of other kinds they cannot."""
        name = f"{self.ref.namespace}/{self.ref.name}"
        return name if self.ref.kind == "Gateway" else f"{self.ref.kind}:{name}"

    @property
    def age(self) -> tuple[str, str, str]:
        """Sorts the oldest first."""
        return (self.created, self.ref.namespace, self.ref.name)

    def serves(self, namespace: str, labels: frozenset[tuple[str, str]]) -> bool:
        """Whether proxies of a namespace with these labels serve it."""
        return self.namespace in {"", namespace} and self.selector <= labels

    def destinations(self) -> frozenset[str]:
        """The hosts that attached routes lead to."""
        groups = (each.routes for server in self.servers for each in server.attached or ())
        every = (route.destinations() for routes in groups for route in routes)
        return frozenset[str]().union(*every)

    def credentials(self) -> frozenset[str]:
        """The Secrets that its servers name."""
        return frozenset(s.tls.credential for s in self.servers if s.tls and s.tls.credential)
