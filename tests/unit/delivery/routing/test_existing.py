"""Routes of somebody else's: nothing but the weights of the two services changes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.api.kinds import HTTP_ROUTE, VIRTUAL_SERVICE, Kind
from rollout.delivery.routing.existing import ExistingRouter
from rollout.delivery.routing.router import Split, Weights
from rollout.kube.diff import merge_patch
from rollout.kube.objects import Object
from tests.unit.delivery.routing.support import backend, http_route, served
from tests.unit.delivery.world import canary, merged


def referring(kind: Kind) -> Object:
    ref = {"apiVersion": kind.api_version, "kind": kind.kind, "name": "theirs"}
    return canary(routeRef=ref)


def destination(host: str, weight: int) -> Object:
    return {"destination": {"host": host}, "weight": weight, "headers": {"x": "y"}}


def virtual_service(*destinations: Object) -> Object:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "theirs", "namespace": "shop", "resourceVersion": "7"},
        "spec": {
            "hosts": ["shop.example"],
            "http": [
                {"route": [{"destination": {"host": "other"}}], "timeout": "3s"},
                {"route": list(destinations), "fault": {"abort": {"httpStatus": 500}}},
            ],
        },
    }


PAIR = (backend("catalog-primary", 100), backend("catalog-canary", 0))


def after(kind: Kind, route: Object, share: int) -> Object:
    owner = referring(kind)
    split = Split(weights=Weights.of_canary(share))
    (found,) = ExistingRouter(kind).routes(owner, served(route, kind), split)
    return merged(route, merge_patch(found.desired, route, found.exact))


HOSTS = ("catalog-{}", "catalog-{}.shop", "catalog-{}.shop.svc.cluster.local")


@pytest.mark.parametrize("host", HOSTS)
def test_a_virtual_service(host: str) -> None:
    first, second = host.format("primary"), host.format("canary")
    before = virtual_service(destination(first, 100), destination(second, 0))
    expected = virtual_service(destination(first, 70), destination(second, 30))
    assert after(VIRTUAL_SERVICE, before, 30) == expected
    router = ExistingRouter(VIRTUAL_SERVICE)
    lookup = served(expected, VIRTUAL_SERVICE)
    assert router.weights(referring(VIRTUAL_SERVICE), lookup) == Weights(70, 30)
    assert router.obstacle(referring(VIRTUAL_SERVICE), lookup) == ""


values = st.recursive(
    st.one_of(st.booleans(), st.integers(0, 9), st.text("ab", max_size=3)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=2), inner),
    max_leaves=5,
)
strangers = st.fixed_dictionaries({"backendRefs": st.just([backend("other", 5)]), "extra": values})
ours = st.fixed_dictionaries(
    {
        "filters": st.lists(st.fixed_dictionaries({"type": st.text("ab")}), max_size=2),
        "backendRefs": st.permutations([*PAIR, backend("third", 4)]).map(list),
    }
)


@given(st.lists(st.one_of(strangers, ours), max_size=4), st.integers(0, 100))
def test_all_but_weights_stays(rules: list[Object], share: int) -> None:
    route = http_route(*rules, name="theirs")
    changed = after(HTTP_ROUTE, route, share)

    def without_weights(route: Object) -> Object:
        return {
            **route,
            "spec": {
                **route["spec"],
                "rules": [
                    {
                        **rule,
                        "backendRefs": [
                            {
                                k: v
                                for k, v in ref.items()
                                if k != "weight" or ref["name"] == "other"
                            }
                            for ref in rule["backendRefs"]
                        ],
                    }
                    for rule in route["spec"]["rules"]
                ],
            },
        }

    assert without_weights(changed) == without_weights(route)
    wanted = {"catalog-primary": 100 - share, "catalog-canary": share, "third": 4, "other": 5}
    for rule in changed["spec"]["rules"]:
        assert all(ref["weight"] == wanted[ref["name"]] for ref in rule["backendRefs"])


OBSTACLES: dict[str, tuple[Any, str]] = {
    "there is none": (
        None,
        "spec.routeRef.name: there is no HTTPRoute 'theirs' in namespace 'shop'",
    ),
    "it names one service": (
        http_route({"backendRefs": [backend("catalog-primary")]}, name="theirs"),
        "spec.routeRef: no rule of HTTPRoute 'theirs' names both catalog-primary and catalog-canary",
    ),
    "it names both": (http_route({"backendRefs": list(PAIR)}, name="theirs"), ""),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_obstacles(name: str) -> None:
    route, expected = OBSTACLES[name]
    said = ExistingRouter(HTTP_ROUTE).obstacle(referring(HTTP_ROUTE), served(route))
    assert said.startswith(expected)
    assert bool(said) == bool(expected)


def test_a_service_elsewhere_is_not_ours() -> None:
    pair = [{**each, "namespace": "elsewhere"} for each in PAIR]
    route = http_route({"backendRefs": pair}, name="theirs")
    assert after(HTTP_ROUTE, route, 30) == route
