"""GRPCRoutes as requests."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.api.gatewayapi.grpcroute import GRPCRouteSpec
from rollout.api.gatewayapi.httproute import HTTPRouteSpec
from rollout.mesh.ingest.gatewayapi.grpc import as_http


def converted(spec: dict[str, Any]) -> HTTPRouteSpec:
    return as_http(GRPCRouteSpec.model_validate(spec))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (None, ("PathPrefix", "/")),
        ({}, ("PathPrefix", "/")),
        ({"service": "shop.Catalog", "method": "Get"}, ("Exact", "/shop.Catalog/Get")),
        ({"service": "shop.Catalog"}, ("PathPrefix", "/shop.Catalog")),
        ({"method": "Get"}, ("RegularExpression", "/[^/]+/Get")),
        (
            {"type": "RegularExpression", "service": "shop[.].+", "method": "Get|List"},
            ("RegularExpression", "/(shop[.].+)/(Get|List)"),
        ),
        (
            {"type": "RegularExpression", "method": "Get|List"},
            ("RegularExpression", "/([^/]+)/(Get|List)"),
        ),
    ],
    ids=["none", "empty", "both", "service", "method", "patterns", "pattern of a method"],
)
def test_a_method_is_a_path(method: dict[str, Any] | None, path: tuple[str, str]) -> None:
    match = {"headers": [{"name": "version", "value": "two"}], "method": method}
    (found,) = converted({"rules": [{"matches": [match]}]}).rules[0].matches
    assert (found.path.type, found.path.value) == path
    assert [(header.name, header.value) for header in found.headers] == [("version", "two")]


def test_all_else_is_the_same() -> None:
    edit = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}
    spec = {
        "parentRefs": [{"name": "edge", "sectionName": "grpc"}],
        "hostnames": ["shop.example"],
        "rules": [
            {
                "name": "calls",
                "filters": [edit],
                "backendRefs": [
                    {"name": "v1", "port": 80, "weight": 9, "filters": [edit]},
                    {"name": "v2", "port": 80},
                ],
            }
        ],
    }
    assert converted(spec) == HTTPRouteSpec.model_validate(spec)
