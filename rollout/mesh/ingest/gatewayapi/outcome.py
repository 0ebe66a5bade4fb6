"""What comes of Gateway API's objects together: gateways for proxies, and what is to be said of each object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rollout.api.gatewayapi.references import ParentReference
from rollout.mesh.ingest.gatewayapi.conditions import Condition, not_accepted, not_programmed
from rollout.mesh.model.gateway import Gateway
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.routing import RouteTable

CONTROLLER = "rollout.dev/gateway-controller"
"""Who GatewayClasses of this mesh name."""
GATEWAY = "Gateway.gateway.networking.k8s.io"
"""The kind of Gateway API's Gateways among references, where Istio's are `Gateway`."""


@dataclass(frozen=True, slots=True)
class ClassStatus:
    """What is said of a GatewayClass, as it was at a generation."""

    generation: int
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerStatus:
    """What is said of a listener; `attached` is how many routes it has."""

    name: str
    kinds: tuple[str, ...]
    attached: int
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayStatus:
    """What is said of a Gateway, as it was at a generation."""

    generation: int
    conditions: tuple[Condition, ...]
    addresses: tuple[str, ...] = ()
    listeners: tuple[ListenerStatus, ...] = ()

    def refused(self, reason: str) -> GatewayStatus:
        """The same while proxies refuse some of it and keep what they had."""
        kept = (each for each in self.conditions if each.type != "Programmed")
        return replace(self, conditions=(*kept, not_programmed("Invalid", reason)))


@dataclass(frozen=True, slots=True)
class ParentStatus:
    """What is said of a route, as it was at a generation, at one of its parents."""

    generation: int
    parent: ParentReference
    conditions: tuple[Condition, ...]

    def refused(self, reason: str) -> ParentStatus:
        """The same while proxies refuse some of it and keep what they had."""
        kept = (each for each in self.conditions if each.type != "Accepted")
        return replace(self, conditions=(not_accepted("UnsupportedValue", reason), *kept))


@dataclass(slots=True, kw_only=True)
class Outcome:
    """By object. `tables` are those of routes with Services as parents, by names of their own. `ports` are those that Gateways (namespace, name) have to be reached at, and whether with TLS."""

    gateways: dict[Ref, Gateway] = field(default_factory=dict)
    tables: dict[Ref, RouteTable] = field(default_factory=dict)
    ports: dict[tuple[str, str], Mapping[int, bool]] = field(default_factory=dict)
    class_statuses: dict[Ref, ClassStatus] = field(default_factory=dict)
    gateway_statuses: dict[Ref, GatewayStatus] = field(default_factory=dict)
    route_statuses: dict[Ref, tuple[ParentStatus, ...]] = field(default_factory=dict)
