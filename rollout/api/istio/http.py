"""HTTP routes of a VirtualService: what is matched, where it goes, and what happens on the way.

Refuses what Istio's own validation refuses (istio/istio pkg/config/validation/virtualservice.go).
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from rollout.api.fields import (
    Count,
    Name,
    Percent,
    PercentFraction,
    Port,
    PositiveDuration,
    Timeout,
)
from rollout.api.istio.match import CorsPolicy, Headers, HTTPMatchRequest, StringMatch
from rollout.api.model import Bool, Int, Model, Problem, Str

__all__ = ["HTTPMatchRequest", "HTTPRoute", "StringMatch"]


class PortSelector(Model):
    """A port by number."""

    number: Port
    """The port's number."""


class Destination(Model):
    """A service, perhaps one of its subsets and one of its ports."""

    host: Name
    """The service's name: short, which means in the resource's namespace, or fully qualified."""
    subset: Str | None = None
    """A subset that a DestinationRule of the host declares."""
    port: PortSelector | None = None
    """Its port; needed where the service has several."""


class HTTPRouteDestination(Model):
    """A destination with its share of the requests."""

    destination: Destination
    """Where the requests go."""
    weight: Count | None = None
    """Its share, relative to the sum of all; where there is one destination it takes everything."""
    headers: Headers | None = None
    """Changes to headers of this share."""


class HTTPRedirect(Model):
    """An answer that sends the caller elsewhere."""

    uri: Str | None = None
    """The new path."""
    authority: Str | None = None
    """The new host."""
    port: Port | None = None
    """The new port."""
    derive_port: Str | None = None
    """FROM_PROTOCOL_DEFAULT or FROM_REQUEST_PORT."""
    scheme: Str | None = None
    """http or https."""
    redirect_code: Int | None = None
    """301 where unset; 302, 303, 307 and 308 are the others."""

    def problems(self) -> Iterator[Problem]:
        """Nothing to change, two ports, or a code that is not a redirect's."""
        if not any((self.uri, self.authority, self.port, self.derive_port, self.scheme)):
            yield Problem("", "changes nothing", "set uri, authority, scheme or port")
        if self.port is not None and self.derive_port is not None:
            yield Problem("", "sets port and derivePort", "keep one of them")
        if self.redirect_code not in {None, 301, 302, 303, 307, 308}:
            yield Problem(
                "redirectCode",
                f"{self.redirect_code} is not a redirect",
                "use 301, 302, 303, 307 or 308",
            )
        if self.scheme not in {None, "http", "https"}:
            yield Problem("scheme", f"{self.scheme!r} is unknown", "use http or https")


class HTTPBody(Model):
    """The body of a direct answer."""

    string: Str | None = None
    """As text."""
    bytes: Str | None = None
    """As base64."""


class HTTPDirectResponse(Model):
    """An answer that the proxy gives itself."""

    status: Int
    """Its status."""
    body: HTTPBody | None = None
    """Its body; at most 1 MiB."""

    def problems(self) -> Iterator[Problem]:
        """A status outside HTTP's."""
        if not 200 <= self.status <= 599:
            yield Problem("status", f"{self.status} is not a status", "use 200 to 599")


class RegexRewrite(Model):
    """A rewrite of the path by an RE2 expression."""

    match: Str
    """What is replaced."""
    rewrite: Str
    """With what; \\1 is the first group."""


class HTTPRewrite(Model):
    """What the destination sees instead."""

    uri: Str | None = None
    """The path, or the part of it that a prefix match named."""
    authority: Str | None = None
    """The host."""
    uri_regex_rewrite: RegexRewrite | None = None
    """The path, by an expression."""
    type: Str | None = None
    """Gateway API only, in a Canary: ReplaceFullPath or ReplacePrefixMatch."""

    def problems(self) -> Iterator[Problem]:
        """Nothing to rewrite, or two rewrites of the path."""
        if not (self.uri or self.authority or self.uri_regex_rewrite):
            yield Problem("", "rewrites nothing", "set uri, authority or uriRegexRewrite")
        if self.uri and self.uri_regex_rewrite:
            yield Problem("", "sets uri and uriRegexRewrite", "keep one of them")


class HTTPRetry(Model):
    """What is tried again, and how often."""

    attempts: Count = 0
    """Retries after the first try; 0 turns retries off."""
    per_try_timeout: Timeout | None = None
    """Time for one try; that of the route where unset."""
    retry_on: Str | None = None
    """Envoy's conditions, separated by commas."""
    retry_remote_localities: Bool | None = None
    """Whether other localities may be tried."""
    retry_ignore_previous_hosts: Bool | None = None
    """Whether a host that failed may be tried again."""
    backoff: PositiveDuration | None = None
    """The least wait between tries."""

    def problems(self) -> Iterator[Problem]:
        """A policy for retries that are turned off."""
        if not self.attempts and (self.per_try_timeout or self.retry_on):
            yield Problem("attempts", "is 0, which turns retries off", "give 1 or more")


class Percentage(Model):
    """A percentage with a fraction."""

    value: PercentFraction = Field(default=0.0)
    """From 0.0 to 100.0."""


class HTTPMirrorPolicy(Model):
    """A copy of the requests sent elsewhere, whose answers nobody sees."""

    destination: Destination
    """Where the copies go."""
    percentage: Percentage | None = None
    """How many are copied; all where unset."""


class FaultDelay(Model):
    """Requests made to wait."""

    fixed_delay: PositiveDuration | None = None
    """For how long."""
    percentage: Percentage | None = None
    """How many of them."""
    percent: Percent | None = None
    """Deprecated: how many of them, as a whole number."""


class FaultAbort(Model):
    """Requests answered with an error."""

    http_status: Int | None = None
    """The status they get."""
    grpc_status: Str | None = None
    """The gRPC status they get."""
    percentage: Percentage | None = None
    """How many of them."""
    percent: Percent | None = None
    """Deprecated: how many of them, as a whole number."""


class HTTPFaultInjection(Model):
    """Faults made on purpose."""

    delay: FaultDelay | None = None
    """Requests made to wait."""
    abort: FaultAbort | None = None
    """Requests answered with an error."""


class Delegate(Model):
    """Another VirtualService that decides."""

    name: Str | None = None
    """Its name."""
    namespace: Str | None = None
    """Its namespace; that of the resource where unset."""


class HTTPRoute(Model):
    """One rule: the first whose match applies takes the request."""

    name: Str | None = None
    """Its name, for logs."""
    match: tuple[HTTPMatchRequest, ...] = ()
    """Any of these; none means every request."""
    route: tuple[HTTPRouteDestination, ...] = ()
    """Where the requests go, by weight."""
    redirect: HTTPRedirect | None = None
    """Instead of a route: send the caller elsewhere."""
    direct_response: HTTPDirectResponse | None = None
    """Instead of a route: answer at once."""
    delegate: Delegate | None = None
    """Instead of a route: ask another VirtualService."""
    rewrite: HTTPRewrite | None = None
    """What the destination sees."""
    timeout: Timeout | None = None
    """Time for the whole request, retries included; 0s or unset means none."""
    retries: HTTPRetry | None = None
    """What is tried again."""
    fault: HTTPFaultInjection | None = None
    """Faults made on purpose."""
    mirror: Destination | None = None
    """Where copies of the requests go."""
    mirrors: tuple[HTTPMirrorPolicy, ...] = ()
    """Where copies of the requests go, several."""
    mirror_percentage: Percentage | None = None
    """How many are copied to `mirror`; all where unset."""
    mirror_percent: Percent | None = None
    """Deprecated: the same as a whole number."""
    cors_policy: CorsPolicy | None = None
    """Cross-origin resource sharing."""
    headers: Headers | None = None
    """Changes to headers."""

    def problems(self) -> Iterator[Problem]:
        """A rule that does two things, or none; weights that sum to nothing; the host set twice."""
        acts = [
            name
            for name, given in (
                ("route", self.route),
                ("redirect", self.redirect),
                ("directResponse", self.direct_response),
                ("delegate", self.delegate),
            )
            if given
        ]
        if len(acts) > 1:
            yield Problem("", f"has {' and '.join(acts)}", "keep one of them")
        if not acts:
            yield Problem("", "does nothing", "add route, redirect, directResponse or delegate")
        for act in ("redirect", "directResponse"):
            if act in acts and self.rewrite:
                yield Problem("", f"has rewrite and {act}", "keep one of them")
            if act in acts and self.fault:
                yield Problem("", f"has fault and {act}", "keep one of them")
        if len(self.route) > 1 and not sum(route.weight or 0 for route in self.route):
            yield Problem("route", "its weights sum to 0", "give weights that sum to 100")
        if self.mirror and self.mirrors:
            yield Problem("", "has mirror and mirrors", "keep one of them")
        yield from self._host_set_twice()

    def _host_set_twice(self) -> Iterator[Problem]:
        request = self.headers.request if self.headers else None
        names = [*request.set, *request.add] if request else []
        sets_host = [name for name in names if name.lower() in {"host", ":authority"}]
        if len(sets_host) + bool(self.rewrite and self.rewrite.authority) > 1:
            yield Problem(
                "", "sets the host more than once", "keep rewrite.authority or the header"
            )
