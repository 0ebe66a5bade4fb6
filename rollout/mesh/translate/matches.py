"""Which requests a route takes."""

from __future__ import annotations

from typing import Any, assert_never

from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.type.matcher.v3 import regex_pb2, string_pb2
from google.protobuf import wrappers_pb2

from rollout.mesh.model.routing import Match, MatchKind, StringMatch


def route_match(match: Match | None) -> Any:
    """Envoy's match; everything where there is none."""
    found = rc.RouteMatch()
    if match is None or match.uri is None:
        found.prefix = "/"
    else:
        _path(found, match.uri)
    if match is None:
        return found
    pseudo = ((":method", match.method), (":authority", match.authority), (":scheme", match.scheme))
    for name, value in (*((n, v) for n, v in pseudo if v is not None), *match.headers):
        found.headers.append(_header(name, value))
    for name, value in match.without_headers:
        found.headers.append(_without(name, value))
    for name, value in match.query:
        found.query_parameters.append(_query(name, value))
    return found


def string_matcher(match: StringMatch) -> Any:
    """Envoy's comparison of a string; presence is not a string's matter."""
    found = string_pb2.StringMatcher()
    match match.kind:
        case MatchKind.EXACT:
            found.exact = match.value
            found.ignore_case = match.ignore_case
        case MatchKind.PREFIX | MatchKind.PATH_PREFIX:
            found.prefix = match.value
            found.ignore_case = match.ignore_case
        case MatchKind.REGEX | MatchKind.PRESENT:
            found.safe_regex.CopyFrom(regex_pb2.RegexMatcher(regex=match.value or ".*"))
        case _ as never:
            assert_never(never)
    return found


def _path(found: Any, uri: StringMatch) -> None:
    match uri.kind:
        case MatchKind.EXACT:
            found.path = uri.value
        case MatchKind.PREFIX:
            found.prefix = uri.value
        case MatchKind.PATH_PREFIX if uri.value == "/":
            found.prefix = "/"
        case MatchKind.PATH_PREFIX:
            found.path_separated_prefix = uri.value
        case MatchKind.REGEX:
            found.safe_regex.CopyFrom(regex_pb2.RegexMatcher(regex=uri.value))
        case MatchKind.PRESENT:
            found.prefix = "/"
        case _ as never:
            assert_never(never)
    if uri.ignore_case:
        found.case_sensitive.CopyFrom(wrappers_pb2.BoolValue(value=False))


def _header(name: str, value: StringMatch) -> Any:
    if value.kind is MatchKind.PRESENT:
        return rc.HeaderMatcher(name=name, present_match=True)
    return rc.HeaderMatcher(name=name, string_match=string_matcher(value))


def _without(name: str, value: StringMatch) -> Any:
    found = _header(name, value)
    found.invert_match = True
    # Without this a request that lacks the header altogether would not match either.
    found.treat_missing_header_as_empty = value.kind is not MatchKind.PRESENT
    return found


def _query(name: str, value: StringMatch) -> Any:
    if value.kind is MatchKind.PRESENT:
        return rc.QueryParameterMatcher(name=name, present_match=True)
    return rc.QueryParameterMatcher(name=name, string_match=string_matcher(value))
