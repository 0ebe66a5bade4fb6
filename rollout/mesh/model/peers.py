"""What workloads take from each other: mutual TLS, plain text, or both.

What PeerAuthentications say, without their spelling; the narrowest that says something holds, as in Istio.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from rollout.mesh.model.problem import Ref

Labels = frozenset[tuple[str, str]]


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


class PeerPolicies:
    """All PeerAuthentications, by namespace."""

    def __init__(self, root_namespace: str) -> None:
        self._root = root_namespace
        self._by_namespace: dict[str, dict[Ref, PeerPolicy]] = {}

    def get(self, ref: Ref) -> PeerPolicy | None:
        """One of them."""
        return self._by_namespace.get(ref.namespace, {}).get(ref)

    def put(self, ref: Ref, policy: PeerPolicy | None) -> None:
        """Puts, replaces or removes one."""
        found = self._by_namespace.setdefault(ref.namespace, {})
        if policy is None:
            found.pop(ref, None)
        else:
            found[ref] = policy
        if not found:
            del self._by_namespace[ref.namespace]

    def shadowed(self) -> Iterator[tuple[PeerPolicy, PeerPolicy]]:
        """Policies that an older one for the very same workloads keeps from having an effect, with that one."""
        for found in self._by_namespace.values():
            first: dict[Labels, PeerPolicy] = {}
            for policy in sorted(found.values(), key=lambda each: each.age):
                holder = first.setdefault(policy.selector, policy)
                if holder is not policy:
                    yield policy, holder

    def modes(self, namespace: str, labels: Labels) -> PeerModes:
        """What the workloads with these labels take."""
        levels = [self._whole(self._root), self._whole(namespace), self._own(namespace, labels)]
        mode = PeerMode.PERMISSIVE
        for level in levels:
            mode = (level.mode if level else None) or mode
        own = levels[-1]
        ports = own.ports if own else ()
        return PeerModes(mode, tuple((port, each or mode) for port, each in ports))

    def _whole(self, namespace: str) -> PeerPolicy | None:
        return self._oldest(each for each in self._in(namespace) if not each.selector)

    def _own(self, namespace: str, labels: Labels) -> PeerPolicy | None:
        return self._oldest(p for p in self._in(namespace) if p.selector and p.selector <= labels)

    def _in(self, namespace: str) -> Iterator[PeerPolicy]:
        yield from self._by_namespace.get(namespace, {}).values()

    def _oldest(self, policies: Iterator[PeerPolicy]) -> PeerPolicy | None:
        return min(policies, key=lambda each: each.age, default=None)
