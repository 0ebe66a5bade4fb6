"""What gateways listen for. Knows nothing of the routes that are bound to them."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.mesh.model.problem import Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayServer:
    """One port with the hosts that it takes: (namespace or `*`, host) pairs."""

    port: int
    hosts: tuple[tuple[str, str], ...]


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
