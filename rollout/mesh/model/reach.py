"""What of the mesh a sidecar is told: which hosts on which ports, and where all else goes.

What Sidecar resources say, without their spelling. Proxies of equal `Reach` share everything that follows from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rollout.mesh.model.hosts import wildcards
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.selected import Labels, Selected
from rollout.mesh.model.service import Protocol

EVERYWHERE = ("*", "*")
OWN_NAMESPACE = "."


@dataclass(frozen=True, slots=True)
class Egress:
    """Hosts (`(namespace, host)`, either perhaps a wildcard) that are reached on a port, without one on all others."""

    hosts: frozenset[tuple[str, str]]
    port: int | None = None

    def takes(self, namespace: str, host: str) -> bool:
        """Whether a host that a namespace declares is among them."""
        if EVERYWHERE in self.hosts:
            return True
        return any(
            (owner, pattern) in self.hosts
            for pattern in (host, *wildcards(host))
            for owner in (namespace, "*")
        )


@dataclass(frozen=True, slots=True)
class Reach:
    """All that a sidecar is told; without `allow_any`, requests to other hosts go nowhere.

    With `on_demand`, it is told clusters when it first needs them.
    """

    egress: tuple[Egress, ...] = (Egress(frozenset({EVERYWHERE})),)
    allow_any: bool = True
    on_demand: bool = False
    unlimited: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        found = any(each.port is None and EVERYWHERE in each.hosts for each in self.egress)
        object.__setattr__(self, "unlimited", found and len(self.egress) == 1)

    def takes(self, namespace: str, host: str, port: int | None = None) -> bool:
        """Whether a host that a namespace declares is reached: on this port, or (None) on any."""
        if self.unlimited:
            return True
        listeners = self.egress
        if port is not None:
            # A listener of the port's own hides the one for all others.
            own = tuple(each for each in self.egress if each.port == port)
            listeners = own or tuple(each for each in self.egress if each.port is None)
        return any(each.takes(namespace, host) for each in listeners)


EVERYTHING = Reach()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingress:
    """A port on which the workload is called; `to` is where its application listens, empty for where it was sent.

    `to` is `address:port`, `:port` for the pod's own address, or a path.
    """

    port: int
    protocol: Protocol
    to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarScope:
    """A Sidecar; None is what it says nothing of. The namespace `.` is the workload's."""

    ref: Ref
    created: str
    selector: Labels = frozenset()
    egress: tuple[Egress, ...] | None = None
    ingress: tuple[Ingress, ...] | None = None
    allow_any: bool | None = None

    @property
    def age(self) -> tuple[str, str, str]:
        """Sorts the oldest first, which is in force."""
        return (self.created, self.ref.namespace, self.ref.name)

    def reach(self, namespace: str, usual: Reach) -> Reach:
        """What a workload of a namespace is told, where this is usual. What a Sidecar names, it is told unasked."""
        allowed = usual.allow_any if self.allow_any is None else self.allow_any
        if self.egress is None:
            return replace(usual, allow_any=allowed)
        return Reach(tuple(_at_home(each, namespace) for each in self.egress), allowed)


class SidecarScopes(Selected[SidecarScope]):
    """All Sidecars. The workload's own counts, else its namespace's, else the mesh's; they are not put together."""

    def of(self, namespace: str, labels: Labels) -> SidecarScope | None:
        """The one for the workloads with these labels."""
        own = self.of_labels(namespace, labels)
        return own or self.of_namespace(namespace) or self.of_mesh()


def _at_home(egress: Egress, namespace: str) -> Egress:
    return Egress(
        frozenset(
            (namespace if owner == OWN_NAMESPACE else owner, host) for owner, host in egress.hosts
        ),
        egress.port,
    )
