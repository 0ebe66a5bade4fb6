"""What happens to requests between a route's match and its backend."""

from __future__ import annotations

from typing import Any

from rollout.api.gatewayapi.references import ObjectReference
from rollout.api.model import Int, Model, Str


class HTTPHeader(Model):
    """A header with its value."""

    name: Str
    """Its name."""
    value: Str
    """Its value."""


class HTTPHeaderFilter(Model):
    """Changes to headers."""

    set: tuple[HTTPHeader, ...] = ()
    """Those that are replaced."""
    add: tuple[HTTPHeader, ...] = ()
    """Those that are added to what is there."""
    remove: tuple[Str, ...] = ()
    """Those that are taken away, by name."""


class HTTPPathModifier(Model):
    """A new path, or a new beginning of it."""

    type: Str
    """ReplaceFullPath or ReplacePrefixMatch."""
    replace_full_path: Str | None = None
    """The whole path."""
    replace_prefix_match: Str | None = None
    """What takes the matched prefix's place."""


class HTTPRequestRedirectFilter(Model):
    """An answer that sends the caller elsewhere."""

    scheme: Str | None = None
    """http or https."""
    hostname: Str | None = None
    """The new host."""
    path: HTTPPathModifier | None = None
    """The new path."""
    port: Int | None = None
    """The new port; by default the scheme's where one is given, else the listener's."""
    status_code: Int = 302
    """The answer's status."""


class HTTPURLRewriteFilter(Model):
    """Another host or path towards the backend."""

    hostname: Str | None = None
    """The new host."""
    path: HTTPPathModifier | None = None
    """The new path."""


class Fraction(Model):
    """A share of requests."""

    numerator: Int
    """How many."""
    denominator: Int = 100
    """Of how many."""


class HTTPRequestMirrorFilter(Model):
    """Copies of requests."""

    backend_ref: ObjectReference
    """Who gets them."""
    percent: Int | None = None
    """How many in a hundred; all by default."""
    fraction: Fraction | None = None
    """The same as a fraction."""


class HTTPRouteFilter(Model):
    """One filter: what its `type` names."""

    type: Str
    """Which of the following it is."""
    request_header_modifier: HTTPHeaderFilter | None = None
    """Changes to the request's headers."""
    response_header_modifier: HTTPHeaderFilter | None = None
    """Changes to the response's headers."""
    request_mirror: HTTPRequestMirrorFilter | None = None
    """Copies."""
    request_redirect: HTTPRequestRedirectFilter | None = None
    """A redirect."""
    url_rewrite: HTTPURLRewriteFilter | None = None
    """Another URL."""
    cors: Any = None
    """Cross-origin requests; of the experimental channel, not acted upon."""
    extension_ref: Any = None
    """Filters of single implementations; this one has none."""
