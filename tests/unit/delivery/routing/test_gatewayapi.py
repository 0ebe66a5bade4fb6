"""Routes of Gateway API: what the canary says becomes rules, and what others wrote stays."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from rollout.api.kinds import GRPC_ROUTE, HTTP_ROUTE
from rollout.delivery.actions import Apply, Delete
from rollout.delivery.affinity import Affinity, Cookie
from rollout.delivery.routing.gatewayapi import APPLIED, GatewayApiRouter
from rollout.delivery.routing.router import Split, Weights
from rollout.kube.diff import merge_patch
from rollout.kube.objects import Object, owner_reference
from tests.unit.delivery.routing.support import backend, gatewayed, http_route, served
from tests.unit.delivery.world import merged

ROUTER = GatewayApiRouter()
PATH: Object = {"path": {"type": "PathPrefix", "value": "/"}}


def split(share: int, **more: Any) -> Split:
    return Split(weights=Weights.of_canary(share), **more)


def apply_of(owner: Object, route: Object | None, wanted: Split) -> Apply:
    (found,) = ROUTER.routes(owner, served(route), wanted)
    return found


def written(owner: Object, route: Object | None, wanted: Split) -> Object:
    """The route after the router's write."""
    found = apply_of(owner, route, wanted)
    if route is None:
        made = copy.deepcopy(found.desired)
        made["metadata"] |= {"resourceVersion": "1", "generation": 1}
        return made
    return merged(copy.deepcopy(route), merge_patch(found.desired, route, found.exact))


def rules(owner: Object, wanted: Split, route: Object | None = None) -> list[Object]:
    found: list[Object] = written(owner, route, wanted)["spec"]["rules"]
    return found


def test_a_new_route() -> None:
    owner = gatewayed(timeout="5s", backendTimeout="2s")
    made = written(owner, None, split(10))
    assert made["spec"] == {
        "parentRefs": [{"name": "public", "namespace": "gateways"}],
        "hostnames": ["shop.example"],
        "rules": [
            {
                "matches": [PATH],
                "timeouts": {"request": "5s", "backendRequest": "2s"},
                "backendRefs": [backend("catalog-primary", 90), backend("catalog-canary", 10)],
            }
        ],
    }
    assert made["metadata"]["ownerReferences"][0]["uid"] == "uid-canary"
    assert ROUTER.weights(owner, served(made)) == Weights(90, 10)


MATCHES: dict[str, tuple[Object, Object]] = {
    "prefix": ({"uri": {"prefix": "/a"}}, {"path": {"type": "PathPrefix", "value": "/a"}}),
    "exact": ({"uri": {"exact": "/a"}}, {"path": {"type": "Exact", "value": "/a"}}),
    "regex": ({"uri": {"regex": "/a.*"}}, {"path": {"type": "RegularExpression", "value": "/a.*"}}),
    "method": ({"method": {"exact": "GET"}}, {"method": "GET"}),
    "header": (
        {"headers": {"x-b": {"regex": "b+"}, "x-a": {"exact": "1"}}},
        {
            "headers": [
                {"type": "Exact", "name": "x-a", "value": "1"},
                {"type": "RegularExpression", "name": "x-b", "value": "b+"},
            ]
        },
    ),
    "prefix of a header": (
        {"headers": {"x-a": {"prefix": "v1."}}},
        {"headers": [{"type": "RegularExpression", "name": "x-a", "value": r"v1\..*"}]},
    ),
    "presence of a header": (
        {"headers": {"x-a": {}}},
        {"headers": [{"type": "RegularExpression", "name": "x-a", "value": ".*"}]},
    ),
    "query": (
        {"queryParams": {"q": {"exact": "1"}}},
        {"queryParams": [{"type": "Exact", "name": "q", "value": "1"}]},
    ),
}


@pytest.mark.parametrize("name", MATCHES)
def test_conditions(name: str) -> None:
    said, expected = MATCHES[name]
    assert rules(gatewayed(match=[said]), split(0))[0]["matches"] == [expected]


FILTERS: dict[str, tuple[Object, Object]] = {
    "request headers": (
        {"headers": {"request": {"add": {"b": "2", "a": "1"}, "remove": ["c"]}}},
        {
            "type": "RequestHeaderModifier",
            "requestHeaderModifier": {
                "add": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}],
                "remove": ["c"],
            },
        },
    ),
    "response headers": (
        {"headers": {"response": {"set": {"a": "1"}}}},
        {
            "type": "ResponseHeaderModifier",
            "responseHeaderModifier": {"set": [{"name": "a", "value": "1"}]},
        },
    ),
    "a rewrite of the prefix": (
        {"rewrite": {"uri": "/x", "authority": "other.example"}},
        {
            "type": "URLRewrite",
            "urlRewrite": {
                "hostname": "other.example",
                "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x"},
            },
        },
    ),
    "a rewrite of all": (
        {"rewrite": {"uri": "/x", "type": "ReplaceFullPath"}},
        {
            "type": "URLRewrite",
            "urlRewrite": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/x"}},
        },
    ),
    "a static mirror": (
        {"mirror": [{"backendRef": {"name": "audit", "port": 80}}]},
        {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "audit", "port": 80}}},
    ),
}


EXPERIMENTAL: dict[str, tuple[Object, Object]] = {
    "other origins": (
        {
            "corsPolicy": {
                "allowOrigins": [{"exact": "https://a.example"}],
                "allowMethods": ["GET"],
                "maxAge": "24h",
            }
        },
        {
            "type": "CORS",
            "cors": {
                "allowOrigins": ["https://a.example"],
                "allowMethods": ["GET"],
                "maxAge": 86400,
            },
        },
    ),
}
"""What only the experimental channel of Gateway API 1.4 has."""


@pytest.mark.parametrize("name", FILTERS | EXPERIMENTAL)
def test_filters(name: str) -> None:
    said, expected = (FILTERS | EXPERIMENTAL)[name]
    assert rules(gatewayed(**said), split(0))[0]["filters"] == [expected]


def test_an_ab_test_has_a_rule_for_bystanders() -> None:
    owner = gatewayed(match=[{"uri": {"prefix": "/shop"}}])
    owner["spec"]["analysis"]["match"] = [{"headers": {"x-beta": {"exact": "1"}}}]
    tested, bystanders = rules(owner, split(100))
    header = {"type": "Exact", "name": "x-beta", "value": "1"}
    path = {"type": "PathPrefix", "value": "/shop"}
    assert tested["matches"] == [{"path": path, "headers": [header]}]
    assert tested["backendRefs"] == [backend("catalog-primary", 0), backend("catalog-canary", 100)]
    assert bystanders["matches"] == [{"path": path}]
    assert bystanders["backendRefs"] == [backend("catalog-primary", 100)]
    route = written(owner, None, split(100))
    assert ROUTER.weights(owner, served(route)) == Weights(0, 100)


def test_callers_stay_and_cookies_are_taken_back() -> None:
    owner = gatewayed()
    owner["spec"]["analysis"]["sessionAffinity"] = {"cookieName": "c"}
    kept = Affinity(canary=Cookie("c=1", "c=1; Max-Age=60"), primary=Cookie("p=1", "p=1; A"))
    route = written(owner, None, split(30, affinity=kept))
    stays, stays_too, weighted = route["spec"]["rules"]
    assert [r["weight"] for r in stays["backendRefs"]] == [0, 100]
    assert [r["weight"] for r in stays_too["backendRefs"]] == [100, 0]
    assert "c=1" in stays["matches"][0]["headers"][0]["value"]
    added = [ref["filters"][0]["responseHeaderModifier"]["add"] for ref in weighted["backendRefs"]]
    assert added == [
        [{"name": "Set-Cookie", "value": "p=1; A"}],
        [{"name": "Set-Cookie", "value": "c=1; Max-Age=60"}],
    ]
    assert ROUTER.weights(owner, served(route)) == Weights(70, 30)
    back = Affinity(previous=Cookie("c=1", "c=1; Max-Age=-1"))
    taken, weighted = written(owner, route, split(0, affinity=back))["spec"]["rules"]
    (header,) = taken["filters"][0]["responseHeaderModifier"]["add"]
    assert header == {"name": "Set-Cookie", "value": "c=1; Max-Age=-1"}
    assert not any("filters" in ref for ref in weighted["backendRefs"])


def test_copies_of_requests_come_and_go() -> None:
    owner = gatewayed()
    owner["spec"]["analysis"] |= {"mirror": True, "mirrorWeight": 20}
    route = written(owner, None, split(0, mirroring=True))
    mirror = {"backendRef": backend("catalog-canary"), "percent": 20}
    assert route["spec"]["rules"][0]["filters"] == [
        {"type": "RequestMirror", "requestMirror": mirror}
    ]
    assert "filters" not in written(owner, route, split(10))["spec"]["rules"][0]


EXTENSION = {"type": "ExtensionRef", "extensionRef": {"group": "x", "kind": "Auth", "name": "a"}}
THEIRS = {
    "matches": [{"path": {"type": "Exact", "value": "/health"}}],
    "backendRefs": [backend("h", 1)],
}


def test_what_others_added_to_a_generated_route_stays() -> None:
    owner = gatewayed(headers={"request": {"set": {"a": "1"}}}, timeout="5s")
    route = written(owner, None, split(0))
    route["metadata"]["annotations"]["theirs"] = "yes"
    rule = route["spec"]["rules"][0]
    rule["filters"].append(EXTENSION)
    rule["name"] = "named"
    rule["backendRefs"][0]["filters"] = [EXTENSION]
    route["spec"]["rules"] = [THEIRS, rule]
    assert not merge_patch((same := apply_of(owner, route, split(0))).desired, route, same.exact), (
        "nothing is to be done"
    )
    changed = written(owner, route, split(20))
    theirs, mine = changed["spec"]["rules"]
    assert theirs == THEIRS
    assert mine["filters"][1] == EXTENSION
    assert mine["name"] == "named"
    assert mine["backendRefs"][0]["filters"] == [EXTENSION]
    assert [ref["weight"] for ref in mine["backendRefs"]] == [80, 20]
    assert changed["metadata"]["annotations"]["theirs"] == "yes"
    # What the canary no longer says goes, and nothing else does.
    less = written(gatewayed(), changed, split(20))["spec"]["rules"][1]
    assert less["filters"] == [EXTENSION]
    assert "timeouts" not in less


def test_defaults_of_the_api_server_are_no_difference() -> None:
    owner = gatewayed(match=[{"headers": {"x": {"exact": "1"}}}])
    route = written(owner, None, split(0))
    route["spec"]["rules"][0]["matches"][0]["path"] = PATH["path"]
    route["spec"]["parentRefs"][0] |= {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    found = apply_of(owner, route, split(0))
    assert not merge_patch(found.desired, route, found.exact)


def test_a_route_that_was_there_keeps_all_but_its_backends() -> None:
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/shop"}}],
        "filters": [EXTENSION],
        "backendRefs": [backend("catalog", 3), backend("other", 1)],
    }
    original = http_route(THEIRS, rule)
    owner = gatewayed(hosts=[])
    taken = written(owner, original, split(10))
    theirs, mine = taken["spec"]["rules"]
    assert theirs == THEIRS
    assert mine["backendRefs"] == [
        backend("catalog-primary", 90),
        backend("catalog-canary", 10),
        backend("other", 33),
    ]
    assert {k: mine[k] for k in ("matches", "filters")} == {
        k: rule[k] for k in ("matches", "filters")
    }
    assert [each["name"] for each in taken["spec"]["parentRefs"]] == ["theirs", "public"]
    again = written(owner, taken, split(20))["spec"]["rules"][1]
    assert [ref["weight"] for ref in again["backendRefs"]] == [80, 20, 33]
    (back,) = ROUTER.original(owner, served(taken))
    assert isinstance(back, Apply)
    assert back.desired["spec"] == original["spec"]


def test_what_was_generated_goes() -> None:
    owner = gatewayed()
    route = http_route(THEIRS, ownerReferences=[owner_reference(owner)])
    assert ROUTER.original(owner, served(route)) == (Delete(HTTP_ROUTE, "catalog"),)


def test_a_write_is_about_the_route_as_it_was_seen() -> None:
    desired = apply_of(gatewayed(), http_route(THEIRS), split(0)).desired
    assert desired["metadata"]["resourceVersion"] == "7"
    assert APPLIED not in desired["metadata"].get("annotations", {})


def test_grpc() -> None:
    owner = gatewayed(
        appProtocol="grpc", match=[{"uri": {"prefix": "/shop.Catalog/"}}], timeout="5s"
    )
    (found,) = ROUTER.routes(owner, served(None), split(10))
    assert found.kind == GRPC_ROUTE
    (rule,) = found.desired["spec"]["rules"]
    assert rule == {
        "matches": [{"method": {"type": "Exact", "service": "shop.Catalog"}}],
        "backendRefs": [backend("catalog-primary", 90), backend("catalog-canary", 10)],
    }
    # An HTTPRoute that Flagger made is not joined by another route for the same host.
    (found,) = ROUTER.routes(owner, served(http_route(THEIRS)), split(10))
    assert found.kind == HTTP_ROUTE


OBSTACLES: dict[str, tuple[Object, str]] = {
    "accepted": ({}, ""),
    "refused": (
        {"status": "False", "reason": "NotAllowedByListeners", "message": "wrong namespace"},
        (
            "HTTPRoute shop/catalog: Gateway theirs does not accept it:"
            " NotAllowedByListeners: wrong namespace (mend the route or the Gateway)"
        ),
    ),
    "late": (
        {"observedGeneration": 0},
        (
            "HTTPRoute shop/catalog: Gateway theirs has not seen its present generation yet"
            " (is its controller running?)"
        ),
    ),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_obstacles(name: str) -> None:
    condition, expected = OBSTACLES[name]
    route = http_route(THEIRS)
    route["status"]["parents"][0]["conditions"][0] |= condition
    assert ROUTER.obstacle(gatewayed(), served(route)) == expected


def test_a_route_that_nobody_looked_at_is_an_obstacle() -> None:
    route = http_route(THEIRS)
    del route["status"]
    assert "no Gateway has accepted it" in ROUTER.obstacle(gatewayed(), served(route))
