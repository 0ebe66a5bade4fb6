"""Who asks for configuration. What a proxy gets depends on its `Proxy` alone, so equal ones share every byte."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rollout.mesh.model.reach import EVERYTHING, Reach
from rollout.mesh.model.routing import Caller
from rollout.mesh.model.service import Protocol, Workload


class ProxyType(Enum):
    """Beside an application, or at the mesh's edge."""

    SIDECAR = "sidecar"
    ROUTER = "router"


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundPort:
    """A port of the pod that a service's port leads to; `service` is its host, which metrics name, `to` as `reach.Ingress`' is."""

    port: int
    service_port: int
    protocol: Protocol
    service: str
    service_name: str
    to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """All that a proxy's configuration depends on; pods of one workload are equal.

    One that `takes_hosts` gets virtual hosts as resources of their own. `near` are its labels that rules compare with
    those of endpoints.
    """

    type: ProxyType
    workload: Workload
    inbound: tuple[InboundPort, ...] = ()
    labels: frozenset[tuple[str, str]] = frozenset()
    locality: str = ""
    near: frozenset[tuple[str, str]] = frozenset()
    reach: Reach = EVERYTHING
    takes_hosts: bool = False

    @property
    def caller(self) -> Caller:
        """What rules may ask of a caller."""
        return self.labels | {("", self.namespace)}

    @property
    def namespace(self) -> str:
        """The namespace that short names are relative to."""
        return self.workload.namespace
