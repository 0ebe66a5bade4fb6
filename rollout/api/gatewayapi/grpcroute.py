"""GRPCRoute: as HTTPRoute, for calls of services' methods."""

from __future__ import annotations

from typing import ClassVar

from rollout.api import kinds
from rollout.api.gatewayapi.filters import HTTPRouteFilter
from rollout.api.gatewayapi.httproute import NamedMatch
from rollout.api.gatewayapi.references import BackendRef, ParentReference
from rollout.api.model import Model, Resource, Str


class GRPCMethodMatch(Model):
    """Which calls; a name that is empty or left out stands for all."""

    type: Str = "Exact"
    """Exact or RegularExpression, of both names."""
    service: Str | None = None
    """The service, with its package."""
    method: Str | None = None
    """The method."""


class GRPCRouteMatch(Model):
    """All of what it names must hold."""

    method: GRPCMethodMatch | None = None
    """The service and method."""
    headers: tuple[NamedMatch, ...] = ()
    """Headers, which gRPC calls metadata."""


class GRPCBackendRef(BackendRef):
    """A share of a rule's calls, and what happens to it alone."""

    filters: tuple[HTTPRouteFilter, ...] = ()
    """What happens to it on the way."""


class GRPCRouteRule(Model):
    """Any of `matches` (none: everything) goes to the backends, by weight."""

    name: Str | None = None
    """Its name."""
    matches: tuple[GRPCRouteMatch, ...] = ()
    """What it is for."""
    filters: tuple[HTTPRouteFilter, ...] = ()
    """What happens on the way: header modifiers and mirrors."""
    backend_refs: tuple[GRPCBackendRef, ...] = ()
    """Where it goes."""


class GRPCRouteSpec(Model):
    """Rules for hosts, attached to parents."""

    parent_refs: tuple[ParentReference, ...] = ()
    """What it attaches to."""
    hostnames: tuple[Str, ...] = ()
    """The hosts that it is for; all that its parents take where there are none."""
    rules: tuple[GRPCRouteRule, ...] = ()
    """The rules."""


class GRPCRoute(Resource):
    """Rules for gRPC calls."""

    KIND = kinds.GRPC_ROUTE
    SERVED_VERSIONS: ClassVar = ("v1",)
    REFUSES_UNKNOWN = False

    spec: GRPCRouteSpec
    """What the user wants."""
