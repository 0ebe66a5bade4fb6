"""What workloads take from each other: mutual TLS, plain text, or both.

What PeerAuthentications say, without their spelling; the narrowest that says something holds, as in Istio.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rollout.mesh.model.problem import Ref
from rollout.mesh.model.selected import Labels, Selected


class PeerMode(Enum):
    """What a port takes."""

    STRICT = "STRICT"
    PERMISSIVE = "PERMISSIVE"
    DISABLE = "DISABLE"


class MutualTLS(Enum):
    """What the mesh does by itself.

    NONE: proxies have no certificates. ON_REQUEST: servers take mutual TLS, clients use it where a DestinationRule
    says so. AUTO: clients use it wherever the endpoint has a sidecar that takes it.
    """

    NONE = "none"
    ON_REQUEST = "on-request"
    AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerPolicy:
    """A PeerAuthentication; without a selector it holds for its namespace, in the root namespace for the mesh."""

    ref: Ref
    created: str
    selector: Labels = frozenset()
    mode: PeerMode | None = None
    ports: tuple[tuple[int, PeerMode | None], ...] = ()

    @property
    def age(self) -> tuple[str, str, str]:
        """Sorts the oldest first, which is in force."""
        return (self.created, self.ref.namespace, self.ref.name)


@dataclass(frozen=True, slots=True)
class PeerModes:
    """What a workload takes: on these ports, and on all others."""

    default: PeerMode = PeerMode.PERMISSIVE
    ports: tuple[tuple[int, PeerMode], ...] = ()

    def on(self, port: int) -> PeerMode:
        """What a port of the pod takes."""
        return dict(self.ports).get(port, self.default)


class PeerPolicies(Selected[PeerPolicy]):
    """All PeerAuthentications."""

    def modes(self, namespace: str, labels: Labels) -> PeerModes:
        """What the workloads with these labels take."""
        own = self.of_labels(namespace, labels)
        mode = PeerMode.PERMISSIVE
        for level in (self.of_mesh(), self.of_namespace(namespace), own):
            mode = (level.mode if level else None) or mode
        ports = own.ports if own else ()
        return PeerModes(mode, tuple((port, each or mode) for port, each in ports))
