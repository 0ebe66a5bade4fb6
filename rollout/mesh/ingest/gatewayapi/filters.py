"""Filters of rules and backends to edits, redirects, rewrites and mirrors; one that is not known refuses its rule."""

from __future__ import annotations

from collections.abc import Iterable

from rollout.api.gatewayapi.filters import (
    HTTPHeader,
    HTTPHeaderFilter,
    HTTPPathModifier,
    HTTPRequestMirrorFilter,
    HTTPRequestRedirectFilter,
    HTTPRouteFilter,
    HTTPURLRewriteFilter,
)
from rollout.mesh.ingest.envoyable import header_value
from rollout.mesh.ingest.gatewayapi.matches import Unusable
from rollout.mesh.ingest.gatewayapi.paths import substitution
from rollout.mesh.model.routing import HeaderEdits, Match, Redirect, Rewrite

_NO_EDITS = HTTPHeaderFilter()
_PORTS = {"http": 80, "https": 443}


class Filters:
    """The filters of one rule or backend, by what they do; Unusable for any other than `known`, or a second of one type.

    Mirrors alone may be several.
    """

    def __init__(
        self, written: Iterable[HTTPRouteFilter], field: str, known: Iterable[str]
    ) -> None:
        self.mirrors: list[tuple[str, HTTPRequestMirrorFilter]] = []
        self.headers = HeaderEdits()
        self.redirect: HTTPRequestRedirectFilter | None = None
        self.rewrite: HTTPURLRewriteFilter | None = None
        known = tuple(known)
        request = response = _NO_EDITS
        seen: set[str] = set()
        for index, each in enumerate(written):
            path = f"{field}[{index}]"
            if each.type not in known:
                raise Unusable(f"{path}.type", f"{each.type} is not acted upon here: use {known}")
            if each.type in seen and each.type != MIRROR:
                raise Unusable(f"{path}.type", f"{each.type} is there twice: put both into one")
            seen.add(each.type)
            request = each.request_header_modifier or request
            response = each.response_header_modifier or response
            self.redirect = each.request_redirect or self.redirect
            self.rewrite = each.url_rewrite or self.rewrite
            if each.request_mirror is not None:
                self.mirrors.append((path, each.request_mirror))
        if seen:
            self.headers = _edits(request, response, field)
        for part in (self.redirect, self.rewrite):
            if part is not None and part.path is not None:
                _check_path(part.path, field)

    def redirection(self, match: Match) -> Redirect | None:
        """The redirect of what a match takes."""
        written = self.redirect
        if written is None:
            return None
        uri, pattern = "", None
        if written.path is not None and written.path.type == "ReplaceFullPath":
            uri = written.path.replace_full_path or "/"
        elif written.path is not None:
            pattern = substitution(written.path, _prefix(match))
        return Redirect(
            uri=uri,
            pattern=pattern,
            authority=written.hostname or "",
            scheme=written.scheme or "",
            port=_redirect_port(written),
            same_port=written.port is None and written.scheme is None,
            code=written.status_code,
        )

    def rewriting(self, match: Match) -> Rewrite | None:
        """The rewrite of what a match takes."""
        written = self.rewrite
        if written is None:
            return None
        pattern = substitution(written.path, _prefix(match)) if written.path is not None else None
        return Rewrite(authority=written.hostname or "", pattern=pattern)


MIRROR = "RequestMirror"
HEADERS = ("RequestHeaderModifier", "ResponseHeaderModifier")
EVERY = (*HEADERS, MIRROR, "RequestRedirect", "URLRewrite")


def share_of(mirror: HTTPRequestMirrorFilter) -> float:
    """The percentage of requests that are copied."""
    if mirror.fraction is not None:
        return 100.0 * mirror.fraction.numerator / mirror.fraction.denominator
    return 100.0 if mirror.percent is None else float(mirror.percent)


def _redirect_port(written: HTTPRequestRedirectFilter) -> int | None:
    """The port to be written out; none where it is the scheme's own."""
    if written.port is None or written.scheme is None:
        return written.port
    return None if _PORTS.get(written.scheme) == written.port else written.port


def _check_path(modifier: HTTPPathModifier, field: str) -> None:
    """The schema lets any text be a path; one that Envoy does not take would hold up everybody's routes."""
    for text in (modifier.replace_full_path, modifier.replace_prefix_match):
        if text is not None and header_value(text) is None:
            raise Unusable(field, "the path has characters that HTTP cannot carry: use plain ASCII")


def _prefix(match: Match) -> str:
    return match.uri.value if match.uri is not None else "/"


def _edits(request: HTTPHeaderFilter, response: HTTPHeaderFilter, field: str) -> HeaderEdits:
    def pairs(headers: Iterable[HTTPHeader]) -> tuple[tuple[str, str], ...]:
        return tuple((each.name, _value(each, field)) for each in headers)

    return HeaderEdits(
        request_set=pairs(request.set),
        request_add=pairs(request.add),
        request_remove=request.remove,
        response_set=pairs(response.set),
        response_add=pairs(response.add),
        response_remove=response.remove,
    )


def _value(header: HTTPHeader, field: str) -> str:
    found = header_value(header.value)
    if found is None:
        reason = f"the value of {header.name!r} has characters that a header cannot carry"
        raise Unusable(field, f"{reason}: use printable ASCII")
    return found
