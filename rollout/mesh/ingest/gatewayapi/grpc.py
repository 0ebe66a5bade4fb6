"""GRPCRoutes as the HTTP that gRPC is: a call of a method is a request for `/service/method`."""

from __future__ import annotations

import re

from rollout.api.gatewayapi.grpcroute import GRPCMethodMatch, GRPCRouteMatch, GRPCRouteSpec
from rollout.api.gatewayapi.httproute import (
    HTTPBackendRef,
    HTTPPathMatch,
    HTTPRouteMatch,
    HTTPRouteRule,
    HTTPRouteSpec,
)
from rollout.mesh.ingest.gatewayapi.matches import Rank, rank
from rollout.mesh.model.routing import Match

_ANY_NAME = "[^/]+"
_ANY_SERVICE = (f"/{_ANY_NAME}/", f"/({_ANY_NAME})/")
_METHOD_ALONE, _EVERYTHING = 3, 4


def as_http(spec: GRPCRouteSpec) -> HTTPRouteSpec:
    """The same rules for requests; the indexes of rules, matches, filters and backends stay."""
    return HTTPRouteSpec(
        parent_refs=spec.parent_refs,
        hostnames=spec.hostnames,
        rules=tuple(
            HTTPRouteRule(
                name=rule.name,
                matches=tuple(_match(match) for match in rule.matches),
                filters=rule.filters,
                backend_refs=tuple(
                    HTTPBackendRef.model_validate(dict(backend)) for backend in rule.backend_refs
                ),
            )
            for rule in spec.rules
        ),
    )


def grpc_rank(match: Match) -> Rank:
    """As `rank`, but a service counts before a method: both, patterns, a service, a method, everything."""
    kind, length, method, headers, query = rank(match)
    path = match.uri.value if match.uri is not None else "/"
    if path.startswith(_ANY_SERVICE):
        kind = _METHOD_ALONE
    elif path == "/":
        kind = _EVERYTHING
    return (kind, length, method, headers, query)


def _match(match: GRPCRouteMatch) -> HTTPRouteMatch:
    return HTTPRouteMatch(path=_path(match.method or GRPCMethodMatch()), headers=match.headers)


def _path(wanted: GRPCMethodMatch) -> HTTPPathMatch:
    service, method = wanted.service or "", wanted.method or ""
    if not service and not method:
        return HTTPPathMatch()
    if wanted.type == "RegularExpression":
        pattern = f"/({service or _ANY_NAME})/({method or _ANY_NAME})"
        return HTTPPathMatch(type="RegularExpression", value=pattern)
    if not service:
        pattern = f"/{_ANY_NAME}/{re.escape(method)}"
        return HTTPPathMatch(type="RegularExpression", value=pattern)
    if not method:
        return HTTPPathMatch(type="PathPrefix", value=f"/{service}")
    return HTTPPathMatch(type="Exact", value=f"/{service}/{method}")
