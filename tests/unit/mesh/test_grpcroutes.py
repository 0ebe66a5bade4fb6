"""GRPCRoutes as requests."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.api.gatewayapi.grpcroute import GRPCRouteSpec
from rollout.api.gatewayapi.httproute import HTTPRouteSpec
from rollout.mesh.ingest.gatewayapi.grpc import as_http, grpc_rank
from rollout.mesh.ingest.gatewayapi.matches import match_of


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


def test_a_service_counts_before_a_method() -> None:
    wanted: list[dict[str, Any]] = [
        {"service": "shop.Catalog", "method": "Get"},
        {"type": "RegularExpression", "service": "shop[.].+", "method": "Get|List"},
        {"service": "shop.Catalog"},
        {"method": "Get"},
        {},
    ]
    rules = [{"matches": [{"method": each}]} for each in wanted]
    matches = [
        match_of(0, each) for rule in converted({"rules": rules}).rules for each in rule.matches
    ]
    assert sorted(matches[2:] + matches[:2], key=grpc_rank) == matches


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
