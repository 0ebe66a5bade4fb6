"""Fields of routes and rules that few use, each as Envoy gets it."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.model.peers import MutualTLS
from tests.meshworld import World, as_json, messages

Json = dict[str, Any]
SERVICE: Json = {
    "kind": "Service", "metadata": {"namespace": "shop", "name": "one"},
    "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "http", "port": 80}, {"name": "http-alt", "port": 8000}]},
}  # fmt: skip
ROUTE: Json = {"route": [{"destination": {"host": "one"}}]}


def istio(kind: str, spec: Json, **annotations: str) -> Json:
    return {
        "apiVersion": "networking.istio.io/v1", "kind": kind, "spec": spec,
        "metadata": {"namespace": "shop", "name": "one", "annotations": annotations},
    }  # fmt: skip


def world(http: Json, **annotations: str) -> World:
    spec = {"hosts": ["one"], "http": [http]}
    return World([SERVICE, istio("VirtualService", spec, **annotations)])


def route(made: World, port: str = "80") -> Json:
    view = made.view(made.proxy("sidecar", "shop", "web"))
    hosts = messages(view, "routes")[port].virtual_hosts
    (found,) = (host for host in hosts if "one.shop.svc.cluster.local" in host.domains)
    return as_json(found.routes[0])


def test_a_route_is_called_by_its_rule_and_its_match() -> None:
    assert (
        route(world({**ROUTE, "name": "rule", "match": [{"name": "first"}]}))["name"]
        == "rule.first"
    )
    assert route(world({**ROUTE, "match": [{"name": "first"}]}))["name"] == "first"
    assert route(world({**ROUTE, "name": "rule"}))["name"] == "rule"


def test_a_condition_of_retries_that_only_looks_like_a_number_is_none() -> None:
    (problem,) = world({**ROUTE, "retries": {"attempts": 1, "retryOn": "503,²"}}).problems()
    assert problem.field == "spec.http[0].retries.retryOn"


def test_what_a_match_takes_is_counted_apart() -> None:
    assert route(world({**ROUTE, "match": [{"statPrefix": "shop"}]}))["stat_prefix"] == "shop"


@pytest.mark.parametrize(
    ("derive", "port"), [("FROM_REQUEST_PORT", 8000), ("FROM_PROTOCOL_DEFAULT", None)]
)
def test_redirects_keep_the_port_where_they_are_told(derive: str, port: int | None) -> None:
    found = route(world({"redirect": {"scheme": "https", "derivePort": derive}}), "8000")
    assert found["redirect"].get("port_redirect") == port


@pytest.mark.parametrize(
    ("written", "found"), [("FORWARD", True), ("IGNORE", False), ("UNSPECIFIED", None)]
)
def test_preflights_of_others(written: str, found: bool | None) -> None:
    cors = {"allowOrigins": [{"exact": "https://a"}], "unmatchedPreflights": written}
    made = route(world({**ROUTE, "corsPolicy": cors}))
    (policy,) = made["typed_per_filter_config"].values()
    assert policy.get("forward_not_matching_preflights") is found


@pytest.mark.parametrize("asked", [True, False])
def test_hedging(asked: bool) -> None:
    told = {"mesh.rollout.dev/hedge-on-per-try-timeout": "true"} if asked else {}
    made = route(world({**ROUTE, "retries": {"attempts": 2, "perTryTimeout": "1s"}}, **told))
    expected = {"hedge_on_per_try_timeout": True} if asked else None
    assert made["route"].get("hedge_policy") == expected


@pytest.mark.parametrize(
    ("http", "field"),
    [
        ({"redirect": {"derivePort": "x"}}, "spec.http[0].redirect.derivePort"),
        ({**ROUTE, "corsPolicy": {"unmatchedPreflights": "x"}},
         "spec.http[0].corsPolicy.unmatchedPreflights"),
    ],
    ids=["derivePort", "unmatchedPreflights"],
)  # fmt: skip
def test_words_that_nobody_knows_are_said(http: Json, field: str) -> None:
    (problem,) = world(http).problems()
    assert problem.field == field


@pytest.mark.parametrize(("version", "number"), [("V1", None), ("V2", "V2"), (None, None)])
@pytest.mark.parametrize("mesh", [MutualTLS.NONE, MutualTLS.AUTO])
def test_the_proxy_protocol_is_outside_of_all_else(
    version: str | None, number: str | None, mesh: MutualTLS
) -> None:
    policy = {"proxyProtocol": {"version": version} if version else {}}
    rule = istio("DestinationRule", {"host": "one", "trafficPolicy": policy})
    made = World([SERVICE, rule], mutual_tls=mesh)
    view = made.view(made.proxy("sidecar", "shop", "web"))
    found = as_json(messages(view, "clusters")["outbound|80||one.shop.svc.cluster.local"])
    matches = [each["transport_socket"] for each in found.get("transport_socket_matches", ())]
    inner = set()
    for socket in matches or [found["transport_socket"]]:
        assert socket["name"] == "envoy.transport_sockets.upstream_proxy_protocol"
        config = socket["typed_config"]
        assert config["config"].get("version") == number
        inner.add(config["transport_socket"]["name"].rpartition(".")[2])
    assert inner == ({"raw_buffer", "tls"} if mesh is MutualTLS.AUTO else {"raw_buffer"})
