"""Matches of an HTTPRoute's rules, and which of several takes precedence.

Paths are compared by their elements: `/v1` takes `/v1/a`, not `/v1a`. Of headers and parameters of one name the first
counts, as the specification says.
"""

from __future__ import annotations

from collections.abc import Iterable

from rollout.api.gatewayapi.httproute import HTTPPathMatch, HTTPRouteMatch, NamedMatch
from rollout.api.re2 import regex_fault
from rollout.mesh.model.routing import Match, MatchKind, StringMatch

Rank = tuple[int, int, int, int, int]
"""Sorts matches by precedence, the highest first."""
_REGEX = "RegularExpression"


class Unusable(Exception):  # noqa: N818 - it is not an error of the program
    """A rule cannot be acted upon as written; `field` is relative to it."""

    def __init__(self, field: str, reason: str) -> None:
        self.field, self.reason = field, reason
        super().__init__(f"{field}: {reason}")


def match_of(index: int, written: HTTPRouteMatch) -> Match:
    """The model's match; Unusable where a regular expression is not one."""
    field = f"matches[{index}]"
    method = written.method
    return Match(
        uri=_path(written.path, f"{field}.path.value"),
        method=StringMatch(MatchKind.EXACT, method) if method else None,
        headers=named(written.headers, f"{field}.headers", ignore_case=True),
        query=named(written.query_params, f"{field}.queryParams"),
    )


def rank(match: Match) -> Rank:
    """Exact paths, then expressions, then the longest prefix; a method; most headers; most parameters."""
    path = match.uri or StringMatch(MatchKind.PATH_PREFIX, "/")
    kinds = (MatchKind.EXACT, MatchKind.REGEX, MatchKind.PATH_PREFIX)
    return (
        kinds.index(path.kind),
        -len(path.value),
        int(match.method is None),
        -len(match.headers),
        -len(match.query),
    )


def named(
    written: Iterable[NamedMatch], field: str, *, ignore_case: bool = False
) -> tuple[tuple[str, StringMatch], ...]:
    """Comparisons with headers (whose names differ in case alone from none) or parameters."""
    found: dict[str, StringMatch] = {}
    for index, each in enumerate(written):
        name = each.name.lower() if ignore_case else each.name
        if name not in found:
            found[name] = _string(each.type, each.value, f"{field}[{index}].value")
    return tuple(found.items())


def _path(written: HTTPPathMatch, field: str) -> StringMatch:
    if written.type == "PathPrefix":
        return StringMatch(MatchKind.PATH_PREFIX, written.value.rstrip("/") or "/")
    return _string(written.type, written.value, field)


def _string(kind: str, value: str, field: str) -> StringMatch:
    if kind != _REGEX:
        return StringMatch(MatchKind.EXACT, value)
    if fault := regex_fault(value) if value else "is empty":
        raise Unusable(field, f"{fault}: write an RE2 expression")
    return StringMatch(MatchKind.REGEX, value)
