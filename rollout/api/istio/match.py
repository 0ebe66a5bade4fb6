"""What an HTTP request is matched by, and what is done to its headers: parts that routes and canaries share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pydantic import Field

from rollout.api.fields import AnyDuration, Port
from rollout.api.model import Bool, Model, Problem, Str, StrMap

_HEADER_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")


class StringMatch(Model):
    """A text compared exactly, by prefix, or by an RE2 expression that matches all of it."""

    exact: Str | None = None
    """Equal to this."""
    prefix: Str | None = None
    """Begins with this."""
    regex: Str | None = None
    """Matched as a whole by this RE2 expression."""

    def problems(self) -> Iterator[Problem]:
        """More than one way of matching is refused; none means that the thing is merely present."""
        given = [name for name in ("exact", "prefix", "regex") if getattr(self, name) is not None]
        if len(given) > 1:
            yield Problem("", f"sets {' and '.join(given)}", "keep one of them")
        if self.regex == "":
            yield Problem("regex", "is empty", "give an expression, or remove the match")


class HTTPMatchRequest(Model):
    """Conditions that a request must all meet."""

    name: Str | None = None
    """Its name, for logs."""
    uri: StringMatch | None = None
    """The path, without the query."""
    scheme: StringMatch | None = None
    """`http` or `https`."""
    method: StringMatch | None = None
    """The HTTP method."""
    authority: StringMatch | None = None
    """The Host or :authority header."""
    headers: Mapping[str, StringMatch] = Field(default_factory=dict)
    """Headers by lower-case name; an empty match means that the header is present."""
    without_headers: Mapping[str, StringMatch] = Field(default_factory=dict)
    """Headers that must not match so."""
    query_params: Mapping[str, StringMatch] = Field(default_factory=dict)
    """Query parameters by name."""
    port: Port | None = None
    """The port that the request was sent to."""
    source_labels: StrMap = Field(default_factory=dict)
    """Labels of the calling workload."""
    source_namespace: Str | None = None
    """The calling workload's namespace."""
    gateways: tuple[Str, ...] = ()
    """Gateways where this applies; those of the whole resource where unset."""
    ignore_uri_case: Bool | None = None
    """Whether exact and prefix matches of the path ignore case."""
    stat_prefix: Str | None = None
    """Prefix of the statistics of this route."""

    def problems(self) -> Iterator[Problem]:
        """Header names that HTTP has no room for."""
        for field, names in (("headers", self.headers), ("withoutHeaders", self.without_headers)):
            for name in names:
                if not valid_header_name(name):
                    yield Problem(field, f"{name!r} is not a header's name", "correct the name")


class HeaderOperations(Model):
    """Changes made to headers, in the order set, add, remove."""

    set: StrMap = Field(default_factory=dict)
    """Headers to overwrite."""
    add: StrMap = Field(default_factory=dict)
    """Headers to append."""
    remove: tuple[Str, ...] = ()
    """Headers to remove."""

    def problems(self) -> Iterator[Problem]:
        """Names that HTTP has no room for; `host` and pseudo headers cannot be removed."""
        for field, names in (("set", self.set), ("add", self.add), ("remove", self.remove)):
            for name in names:
                if not valid_header_name(name.removeprefix(":")):
                    yield Problem(field, f"{name!r} is not a header's name", "correct the name")
        for name in self.remove:
            if name.startswith(":") or name.lower() == "host":
                yield Problem("remove", f"{name!r} cannot be removed", "set it instead")


class Headers(Model):
    """Changes made to the headers of requests and responses."""

    request: HeaderOperations | None = None
    """Before the request is passed on."""
    response: HeaderOperations | None = None
    """Before the response is returned."""


class CorsPolicy(Model):
    """Cross-origin resource sharing."""

    allow_origin: tuple[Str, ...] = ()
    """Deprecated: origins allowed, compared exactly."""
    allow_origins: tuple[StringMatch, ...] = ()
    """Origins allowed."""
    allow_methods: tuple[Str, ...] = ()
    """Methods allowed."""
    allow_headers: tuple[Str, ...] = ()
    """Headers that a request may carry."""
    expose_headers: tuple[Str, ...] = ()
    """Headers that a page may read."""
    max_age: AnyDuration | None = None
    """How long a preflight's answer may be kept."""
    allow_credentials: Bool | None = None
    """Whether credentials may be sent."""
    unmatched_preflights: Str | None = None
    """What becomes of preflights that do not match: FORWARD or IGNORE."""


def valid_header_name(name: str) -> bool:
    """Whether HTTP allows a header of this name (RFC 9110, token)."""
    return bool(_HEADER_NAME.fullmatch(name))
