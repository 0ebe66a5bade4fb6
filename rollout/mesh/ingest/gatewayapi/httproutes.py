"""HTTPRoutes, and GRPCRoutes as such, to readings. A rule that cannot be acted upon as written is left out as a whole, and said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from rollout.api.durations import parse_go_duration
from rollout.api.gatewayapi.grpcroute import GRPCRoute
from rollout.api.gatewayapi.httproute import (
    HTTPBackendRef,
    HTTPRoute,
    HTTPRouteMatch,
    HTTPRouteRule,
    HTTPRouteSpec,
)
from rollout.api.model import Metadata
from rollout.mesh.ingest.gatewayapi.filters import EVERY, HEADERS, Filters, share_of
from rollout.mesh.ingest.gatewayapi.grants import Grants
from rollout.mesh.ingest.gatewayapi.grpc import as_http, grpc_rank
from rollout.mesh.ingest.gatewayapi.matches import Rank, Unusable, match_of, rank
from rollout.mesh.ingest.gatewayapi.reading import (
    Notes,
    Ranked,
    RouteReading,
    forwarded,
    notes_of,
    precedence,
)
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.routing import (
    NOWHERE,
    Destination,
    Match,
    Mirror,
    Retries,
    Route,
    WeightedDestination,
)
from rollout.mesh.model.service import Service
from rollout.mesh.translate.retries import DEFAULT

_EVERYTHING = (HTTPRouteMatch(),)


def http_route(
    parsed: HTTPRoute | GRPCRoute, services: Mapping[str, Service], grants: Grants
) -> RouteReading:
    """The reading of a route, in a cluster of these services and grants."""
    if isinstance(parsed, GRPCRoute):
        return _reading(parsed, as_http(parsed.spec), grpc_rank, services, grants)
    return _reading(parsed, parsed.spec, rank, services, grants)


def _reading(
    parsed: HTTPRoute | GRPCRoute,
    spec: HTTPRouteSpec,
    ranks: Callable[[Match], Rank],
    services: Mapping[str, Service],
    grants: Grants,
) -> RouteReading:
    kind, metadata = parsed.KIND.kind, parsed.metadata
    notes = notes_of(kind, metadata, services, grants)
    ranked: list[Ranked] = []
    for index, rule in enumerate(spec.rules):
        try:
            ranked += _Rule(metadata, index, rule, notes).ranked(ranks)
        except Unusable as fault:
            notes.drop(index, fault)
    return RouteReading(
        ref=Ref(kind, metadata.namespace, metadata.name),
        generation=metadata.generation,
        created=metadata.creation_timestamp,
        parents=spec.parent_refs,
        hostnames=tuple(host.lower() for host in spec.hostnames),
        ranked=tuple(ranked),
        conditions=notes.conditions(rules=bool(ranked), unknown=parsed.unknown_fields),
    )


class _Rule:
    """One rule on its way into the model."""

    def __init__(self, metadata: Metadata, index: int, rule: HTTPRouteRule, notes: Notes) -> None:
        self._metadata, self._index, self._rule, self._notes = metadata, index, rule, notes
        self._path = f"spec.rules[{index}]"

    def ranked(self, ranks: Callable[[Match], Rank]) -> list[Ranked]:
        """One for each match; Unusable before anything of it is noted as unresolved."""
        rule, metadata = self._rule, self._metadata
        for name, value in (
            ("retry", rule.retry),
            ("sessionPersistence", rule.session_persistence),
        ):
            if value is not None:
                raise Unusable(name, "is not acted upon by this version: remove it")
        filters = Filters(rule.filters, "filters", EVERY)
        matches = [
            match_of(index, written) for index, written in enumerate(rule.matches or _EVERYTHING)
        ]
        timeout, retries = self._timeouts()
        shares = tuple(self._shares())
        mirrors = tuple(self._mirrors(filters))
        return [
            Ranked(
                precedence=precedence(ranks(match), metadata, self._index, index),
                route=Route(
                    index=self._index,
                    name=rule.name or f"{metadata.namespace}.{metadata.name}.{self._index}",
                    matches=(match,),
                    action=filters.redirection(match) or forwarded(shares),
                    rewrite=filters.rewriting(match),
                    headers=filters.headers,
                    timeout=timeout,
                    retries=retries,
                    mirrors=mirrors,
                ),
            )
            for index, match in enumerate(matches)
        ]

    def _timeouts(self) -> tuple[float | None, Retries | None]:
        """Of the whole, and the retries that bound each attempt."""
        written = self._rule.timeouts
        whole = _seconds(written.request, "timeouts.request")
        each = _seconds(written.backend_request, "timeouts.backendRequest")
        if not each:
            return whole, None
        retries = Retries(
            attempts=DEFAULT.attempts,
            on=DEFAULT.on,
            status_codes=DEFAULT.status_codes,
            per_try_timeout=each,
        )
        return whole, retries

    def _shares(self) -> Iterator[WeightedDestination]:
        edits = [
            Filters(each.filters, f"backendRefs[{index}].filters", HEADERS).headers
            for index, each in enumerate(self._rule.backend_refs)
        ]
        for index, each in enumerate(self._rule.backend_refs):
            yield WeightedDestination(
                destination=self._destination(index, each),
                weight=each.weight,
                headers=edits[index],
            )

    def _destination(self, index: int, reference: HTTPBackendRef) -> Destination:
        path = f"{self._path}.backendRefs[{index}]"
        return self._notes.find(reference, path) or NOWHERE

    def _mirrors(self, filters: Filters) -> Iterator[Mirror]:
        for path, mirror in filters.mirrors:
            found = self._notes.find(mirror.backend_ref, f"{self._path}.{path}.requestMirror")
            if found is not None:
                yield Mirror(destination=found, percent=share_of(mirror))


def _seconds(text: str | None, field: str) -> float | None:
    try:
        return parse_go_duration(text).total_seconds() if text else None
    except ValueError:
        raise Unusable(field, f"{text!r} is not a duration: write it as 1m30s") from None
