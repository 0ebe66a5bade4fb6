"""HTTPRoute: what is matched, what happens to it on the way, and where it goes."""

from __future__ import annotations

from typing import Any, ClassVar

from rollout.api import kinds
from rollout.api.gatewayapi.filters import HTTPRouteFilter
from rollout.api.gatewayapi.references import BackendRef, ParentReference
from rollout.api.model import Model, Resource, Str


class HTTPPathMatch(Model):
    """A comparison with a request's path."""

    type: Str = "PathPrefix"
    """Exact, PathPrefix (whole elements of the path) or RegularExpression."""
    value: Str = "/"
    """What it is compared with."""


class NamedMatch(Model):
    """A comparison with a header or a parameter of the query."""

    type: Str = "Exact"
    """Exact or RegularExpression."""
    name: Str
    """Its name."""
    value: Str
    """What it is compared with."""


class HTTPRouteMatch(Model):
    """All of what it names must hold."""

    path: HTTPPathMatch = HTTPPathMatch()
    """The path."""
    headers: tuple[NamedMatch, ...] = ()
    """Headers."""
    query_params: tuple[NamedMatch, ...] = ()
    """Parameters of the query."""
    method: Str | None = None
    """The method."""


class HTTPBackendRef(BackendRef):
    """A share of a rule's requests, and what happens to it alone."""

    filters: tuple[HTTPRouteFilter, ...] = ()
    """What happens to it on the way."""


class HTTPRouteTimeouts(Model):
    """How long things may take; Gateway API's durations, `0s` for ever."""

    request: Str | None = None
    """The whole request."""
    backend_request: Str | None = None
    """Each attempt at a backend."""


class HTTPRouteRule(Model):
    """Any of `matches` (none: everything) goes to the backends, by weight."""

    name: Str | None = None
    """Its name."""
    matches: tuple[HTTPRouteMatch, ...] = ()
    """What it is for."""
    filters: tuple[HTTPRouteFilter, ...] = ()
    """What happens on the way."""
    backend_refs: tuple[HTTPBackendRef, ...] = ()
    """Where it goes."""
    timeouts: HTTPRouteTimeouts = HTTPRouteTimeouts()
    """How long it may take."""
    retry: Any = None
    """Attempts; of the experimental channel, not acted upon."""
    session_persistence: Any = None
    """Affinity; of the experimental channel, not acted upon."""


class HTTPRouteSpec(Model):
    """Rules for hosts, attached to parents."""

    parent_refs: tuple[ParentReference, ...] = ()
    """What it attaches to."""
    hostnames: tuple[Str, ...] = ()
    """The hosts that it is for; all that its parents take where there are none."""
    rules: tuple[HTTPRouteRule, ...] = ()
    """The rules."""


class HTTPRoute(Resource):
    """Rules for HTTP requests."""

    KIND = kinds.HTTP_ROUTE
    SERVED_VERSIONS: ClassVar = ("v1", "v1beta1")
    REFUSES_UNKNOWN = False

    spec: HTTPRouteSpec
    """What the user wants."""
