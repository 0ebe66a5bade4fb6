"""Conditions of a VirtualService's rule to the model's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rollout.api.istio.match import HTTPMatchRequest, StringMatch
from rollout.api.re2 import regex_fault
from rollout.mesh.ingest.hosts import gateway_key
from rollout.mesh.model import routing as ir


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a condition cannot be used; `field` is relative to it."""

    field: str
    reason: str
    remedy: str


def match_of(request: HTTPMatchRequest, namespace: str) -> ir.Match | Fault:
    """The conditions, or the first that cannot be used."""
    single = {name: _single(request, name) for name in ("uri", "method", "authority", "scheme")}
    many = {
        name: _many(getattr(request, name))
        for name in ("headers", "without_headers", "query_params")
    }
    for name, value in (*single.items(), *many.items()):
        if isinstance(value, Fault):
            return Fault(f".{_CAMEL.get(name, name)}{value.field}", value.reason, value.remedy)
    return ir.Match(
        uri=_case(_ok(single["uri"]), ignore=bool(request.ignore_uri_case)),
        method=_ok(single["method"]),
        authority=_ok(single["authority"]),
        scheme=_ok(single["scheme"]),
        headers=_pairs(many["headers"]),
        without_headers=_pairs(many["without_headers"]),
        query=_pairs(many["query_params"]),
        port=request.port,
        gateways=tuple(gateway_key(name, namespace) for name in request.gateways),
        caller=_caller(request),
        stat_prefix=request.stat_prefix or "",
        name=request.name or "",
    )


def _caller(request: HTTPMatchRequest) -> ir.Caller:
    namespace = request.source_namespace
    return frozenset((*request.source_labels.items(), *([("", namespace)] if namespace else ())))


_CAMEL = {"without_headers": "withoutHeaders", "query_params": "queryParams"}


def exact_or(match: StringMatch, empty: ir.MatchKind) -> ir.StringMatch | Fault:
    """The comparison; `empty` is what none at all means."""
    if match.regex is not None:
        fault = regex_fault(match.regex)
        if fault:
            return Fault(".regex", fault, "write an RE2 expression")
        return ir.StringMatch(ir.MatchKind.REGEX, match.regex)
    if match.exact is not None:
        return ir.StringMatch(ir.MatchKind.EXACT, match.exact)
    if match.prefix:
        return ir.StringMatch(ir.MatchKind.PREFIX, match.prefix)
    return ir.StringMatch(empty)


def _single(request: HTTPMatchRequest, name: str) -> ir.StringMatch | Fault | None:
    given: StringMatch | None = getattr(request, name)
    return None if given is None else exact_or(given, ir.MatchKind.PRESENT)


def _many(given: Mapping[str, StringMatch]) -> dict[str, ir.StringMatch] | Fault:
    found = {}
    for name, match in sorted(given.items()):
        value = exact_or(match, ir.MatchKind.PRESENT)
        if isinstance(value, Fault):
            return Fault(f'["{name}"]{value.field}', value.reason, value.remedy)
        found[name] = value
    return found


def _ok(value: ir.StringMatch | Fault | None) -> ir.StringMatch | None:
    return value if isinstance(value, ir.StringMatch) else None


def _pairs(found: dict[str, ir.StringMatch] | Fault) -> tuple[tuple[str, ir.StringMatch], ...]:
    return tuple(found.items()) if isinstance(found, dict) else ()


def _case(uri: ir.StringMatch | None, *, ignore: bool) -> ir.StringMatch | None:
    if uri is None or not ignore or uri.kind is ir.MatchKind.REGEX:
        return uri
    return ir.StringMatch(uri.kind, uri.value, ignore_case=True)
