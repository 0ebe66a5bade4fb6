"""Rules of HTTPRoutes by themselves: where they lead, what is refused, how paths are replaced."""

from __future__ import annotations

import re
from typing import Any

import pytest

from rollout.api.gatewayapi.filters import HTTPPathModifier
from rollout.mesh.ingest.gatewayapi.outcome import GATEWAY
from rollout.mesh.ingest.gatewayapi.paths import substitution
from rollout.mesh.model.problem import Ref
from rollout.mesh.model.routing import DirectResponse, Redirect, WeightedDestination
from tests.unit.mesh.gatewayapi.objects import (
    gateway,
    grant,
    listener,
    resolved,
    route,
    route_said,
    service,
    to,
)

Json = dict[str, Any]
ELSEWHERE = to("web", namespace="other")
SERVICES = {"kind": "Service"}


def action_of(*objects: Json) -> Any:
    world = resolved(gateway(listener()), service("other", "web"), *objects)
    (server,) = world.registry.gateways[Ref(GATEWAY, "shop", "front")].servers
    routes = [each for host in server.attached or () for each in host.routes]
    return routes[0].action if routes else None


def shares(action: Any) -> list[tuple[str, int]]:
    assert isinstance(action, tuple)
    assert all(isinstance(share, WeightedDestination) for share in action)
    return [(share.destination.host.split(".svc")[0], share.weight) for share in action]


BACKENDS: dict[str, tuple[list[Json], list[Json], str, list[tuple[str, int]] | int]] = {
    "weights": (
        [to("web", weight=9), to("web", weight=1)], [], "ResolvedRefs", [("web.shop", 9), ("web.shop", 1)],
    ),
    "one missing": (
        [to("web"), to("gone")], [], "!BackendNotFound", [("web.shop", 1), ("", 1)],
    ),
    "all missing": ([to("gone")], [], "!BackendNotFound", 500),
    "no weight": ([to("web", weight=0)], [], "ResolvedRefs", 500),
    "none": ([], [], "ResolvedRefs", 500),
    "no such port": ([to("web", 81)], [], "!BackendNotFound", 500),
    "another kind": ([to("web", kind="Bucket", group="x.io")], [], "!InvalidKind", 500),
    "another namespace": ([ELSEWHERE], [], "!RefNotPermitted", 500),
    "granted": ([ELSEWHERE], [grant("shop", "other", target=SERVICES)], "ResolvedRefs", [("web.other", 1)]),
    "granted by name": (
        [ELSEWHERE], [grant("shop", "other", target={**SERVICES, "name": "web"})],
        "ResolvedRefs", [("web.other", 1)],
    ),
    "granted for another": (
        [ELSEWHERE], [grant("shop", "other", target={**SERVICES, "name": "db"})], "!RefNotPermitted", 500,
    ),
    "granted to another namespace": (
        [ELSEWHERE], [grant("apps", "other", target=SERVICES)], "!RefNotPermitted", 500,
    ),
    "granted from another namespace": (
        [ELSEWHERE], [grant("shop", "shop", target=SERVICES)], "!RefNotPermitted", 500,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("refs", "grants", "said", "expected"), BACKENDS.values(), ids=BACKENDS)
def test_backends(refs: list[Json], grants: list[Json], said: str, expected: Any) -> None:
    objects = [*grants, route({"backendRefs": refs})]
    found = action_of(*objects)
    if isinstance(expected, int):
        assert found == DirectResponse(status=expected)
    else:
        assert shares(found) == expected
    (conditions,) = route_said(resolved(gateway(listener()), service("other", "web"), *objects))
    assert conditions == {"Accepted": "Accepted", "ResolvedRefs": said}


def with_filter(kind: str, **body: Any) -> Json:
    return {"backendRefs": [to("web")], "filters": [{"type": kind, **body}]}


REFUSED = {
    "another filter": with_filter("CORS", cors={}),
    "an extension": with_filter("ExtensionRef", extensionRef={"name": "x"}),
    "no expression": {"matches": [{"path": {"type": "RegularExpression", "value": "("}}]},
    "a redirect for one backend": {
        "backendRefs": [to("web", filters=[{"type": "RequestRedirect", "requestRedirect": {}}])]
    },
    "retries": {"backendRefs": [to("web")], "retry": {"attempts": 3}},
    "a header that HTTP cannot carry": with_filter(
        "RequestHeaderModifier", requestHeaderModifier={"set": [{"name": "x", "value": "a\nb"}]}
    ),
    "a path that HTTP cannot carry": with_filter(
        "URLRewrite",
        urlRewrite={"path": {"type": "ReplaceFullPath", "replaceFullPath": "/a\nb"}},
    ),
    "no duration": {"backendRefs": [to("web")], "timeouts": {"request": "soon"}},
}


@pytest.mark.parametrize("rule", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_left_out_and_said(rule: Json) -> None:
    alone = resolved(gateway(listener()), route(rule))
    assert route_said(alone)[0]["Accepted"] == "!UnsupportedValue"
    beside = route({"backendRefs": [to("web")]}, rule)
    world = resolved(gateway(listener()), beside)
    assert route_said(world) == [
        {
            "Accepted": "Accepted",
            "ResolvedRefs": "ResolvedRefs",
            "PartiallyInvalid": "UnsupportedValue",
        }
    ]
    (status,) = world.feed.gateway_api.outcome.route_statuses.values()
    message = status[0].conditions[-1].message
    assert message.startswith("Dropped Rule: spec.rules[1].")
    assert shares(action_of(beside)) == [("web.shop", 1)]


@pytest.mark.parametrize(
    ("written", "port", "same_port"),
    [
        ({}, None, True),
        ({"port": 8080}, 8080, False),
        ({"scheme": "https"}, None, False),
        ({"scheme": "https", "port": 443}, None, False),
        ({"scheme": "https", "port": 80}, 80, False),
        ({"scheme": "http", "port": 80}, None, False),
    ],
)
def test_ports_of_redirects(written: Json, port: int | None, same_port: bool) -> None:
    rule = {"filters": [{"type": "RequestRedirect", "requestRedirect": written}]}
    found = action_of(route(rule))
    assert isinstance(found, Redirect)
    assert (found.port, found.same_port, found.code) == (port, same_port, 302)


@pytest.mark.parametrize(
    ("path", "prefix", "replacement", "expected"),
    [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/bar", "/foo", "/", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/bar", "/", "/xyz", "/xyz/bar"),
        ("/a.b/c", "/a.b", "/\\1", "/\\1/c"),
    ],
)
def test_prefixes_are_replaced_as_the_specification_s_table_says(
    path: str, prefix: str, replacement: str, expected: str
) -> None:
    modifier = HTTPPathModifier(type="ReplacePrefixMatch", replace_prefix_match=replacement)
    pattern, new = substitution(modifier, prefix)
    assert re.sub(pattern, new, path) == expected
