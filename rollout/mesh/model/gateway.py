"""What gateways listen for. Knows nothing of the routes that are bound to them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rollout.mesh.model.problem import Ref


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

    MESH is mutual TLS with the mesh's own certificates.
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
    def asks_client(self) -> bool:
        """Whether clients are asked for a certificate."""
        return self in {TLSMode.MUTUAL, TLSMode.OPTIONAL_MUTUAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTLS:
    """TLS of a server; `credential` names a Secret of the gateway's pods' namespace.

    Versions are 10 to 13, 0 where nothing was said; `names` are those that a client's certificate may carry.
    """

    mode: TLSMode
    credential: str = ""
    names: tuple[str, ...] = ()
    least: int = 0
    most: int = 0
    ciphers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayServer:
    """One port with the hosts that it takes: (namespace or `*`, host) pairs; `redirect` sends plain HTTP to HTTPS.

    `bind` is the one address that is listened on, empty for all.
    """

    port: int
    hosts: tuple[tuple[str, str], ...]
    index: int = 0
    name: str = ""
    protocol: ServerProtocol = ServerProtocol.HTTP
    redirect: bool = False
    bind: str = ""
    tls: ServerTLS | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A Gateway: servers on the proxies whose labels its selector holds."""

    ref: Ref
    created: str
    selector: frozenset[tuple[str, str]]
    servers: tuple[GatewayServer, ...] = ()

    @property
    def key(self) -> str:
        """The name by which VirtualServices bind to it."""
        return f"{self.ref.namespace}/{self.ref.name}"

    @property
    def age(self) -> tuple[str, str, str]:
        """Sorts the oldest first."""
        return (self.created, self.ref.namespace, self.ref.name)

    def credentials(self) -> frozenset[str]:
        """The Secrets that its servers name."""
        return frozenset(s.tls.credential for s in self.servers if s.tls and s.tls.credential)
