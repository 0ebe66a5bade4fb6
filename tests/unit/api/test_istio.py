"""Istio's kinds: what Istio accepts is read, what it refuses is refused, what is unknown is kept and said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from rollout.api.errors import InvalidObject
from rollout.api.istio import DestinationRule, Gateway, VirtualService
from rollout.api.model import Resource


def whole(kind: str, spec: Any, version: str = "v1") -> dict[str, Any]:
    return {
        "apiVersion": f"networking.istio.io/{version}",
        "kind": kind,
        "metadata": {"name": "catalog", "namespace": "test"},
        "spec": spec,
    }


def to(host: str, weight: int | None = None, **more: Any) -> dict[str, Any]:
    destination = {"destination": {"host": host, **more}}
    return destination if weight is None else {**destination, "weight": weight}


@pytest.mark.parametrize("version", ["v1", "v1beta1", "v1alpha3"])
def test_a_virtual_service(version: str) -> None:
    spec = {
        "hosts": ["catalog", "*.example.com"],
        "gateways": ["mesh", "istio-system/public"],
        "http": [
            {
                "match": [{"headers": {"x-cohort": {"exact": "internal"}}, "uri": {"prefix": "/api"}}],
                "route": [to("catalog", subset="v2", port={"number": 80})],
                "timeout": "0.5s",
                "retries": {"attempts": 3, "perTryTimeout": "2s", "retryOn": "5xx"},
                "rewrite": {"uri": "/"},
                "mirror": {"host": "catalog", "subset": "v3"},
                "mirrorPercentage": {"value": 12.5},
                "headers": {"request": {"set": {"x-a": "1"}}},
                "fault": {"delay": {"percentage": {"value": 50}, "fixedDelay": "2s"}},
            },
            {"route": [to("catalog-primary", 90), to("catalog-canary", 10)]},
            {"match": [{"uri": {"exact": "/old"}}], "redirect": {"uri": "/new", "redirectCode": 302}},
            {"match": [{"uri": {"exact": "/no"}}], "directResponse": {"status": 403, "body": {"string": "no"}}},
        ],
        "tcp": [{"match": [{"port": 31400}], "route": [to("tcp-echo", port={"number": 2701})]}],
        "tls": [{"match": [{"port": 443, "sniHosts": ["a.example.com"]}], "route": [to("a")]}],
    }  # fmt: skip
    parsed = VirtualService.parse(whole("VirtualService", spec, version))
    first = parsed.spec.http[0]
    assert first.timeout == timedelta(seconds=0.5)
    assert first.match[0].headers["x-cohort"].exact == "internal"
    assert [(r.destination.host, r.weight) for r in parsed.spec.http[1].route] == [
        ("catalog-primary", 90),
        ("catalog-canary", 10),
    ]
    assert parsed.spec.in_mesh
    assert not parsed.unknown_fields
    assert parsed.dump()["spec"] == spec
    assert VirtualService.parse(parsed.dump()) == parsed


def test_unknown_fields_are_kept_and_said() -> None:
    spec = {"hosts": ["a"], "http": [{"route": [to("a")], "timeOut": "1s"}], "future": [1]}
    parsed = VirtualService.parse(whole("VirtualService", spec))
    assert [str(error) for error in parsed.unknown_fields] == [
        "spec.http[0].timeOut: unknown field (did you mean timeout?)",
        "spec.future: unknown field (known here: exportTo, gateways, hosts, http, tcp, tls)",
    ]
    assert parsed.dump()["spec"] == spec


ROUTE = {"route": [to("a")]}


@pytest.mark.parametrize(
    ("model", "spec", "expected"),
    [
        pytest.param(VirtualService, {"hosts": ["a"]}, "spec: has no rule (add http, tls or tcp)", id="no rule"),
        pytest.param(VirtualService, {"gateways": ["g"], "http": [ROUTE]}, "spec.hosts: is empty", id="no hosts"),
        pytest.param(VirtualService, {"hosts": ["a_b c"], "http": [ROUTE]}, "spec.hosts[0]: 'a_b c' is not a host", id="malformed host"),
        pytest.param(VirtualService, {"hosts": ["*"], "http": [ROUTE]}, "spec.hosts[0]: is a wildcard for the whole mesh", id="wildcard in the mesh"),
        pytest.param(VirtualService, {"hosts": ["a", "a"], "http": [ROUTE]}, "spec.hosts[1]: 'a' is named twice", id="host twice"),
        pytest.param(VirtualService, {"hosts": ["a"], "http": [{}]}, "spec.http[0]: does nothing", id="rule does nothing"),
        pytest.param(VirtualService, {"hosts": ["a"], "http": [{**ROUTE, "redirect": {"uri": "/"}}]}, "spec.http[0]: has route and redirect", id="route and redirect"),
        pytest.param(VirtualService, {"hosts": ["a"], "http": [{"redirect": {"uri": "/"}, "rewrite": {"uri": "/"}}]}, "spec.http[0]: has rewrite and redirect", id="rewrite and redirect"),
        pytest.param(VirtualService, {"hosts": ["a"], "http": [{"route": [to("a", 0), to("b", 0)]}]}, "spec.http[0].route: its weights sum to 0", id="weights sum to nothing"),
        pytest.param(VirtualService, {"hosts": ["a"], "http": [{"route": [to("a", -1)]}]}, "spec.http[0].route[0].weight: -1 is negative", id="negative weight"),
        pytest.param(VirtualService, {"hosts": ["a"], "http": [{"route": [to("")]}]}, "spec.http[0].route[0].destination.host: is empty", id="no destination"),
        pytest.param(VirtualService, {"hosts": ["a"], "http": [{"route": [{"weight": 1}]}]}, "spec.http[0].route[0].destination: is required", id="destination missing"),
        pytest.param(VirtualService, {"hosts": ["a"], "http": [{**ROUTE, "timeout": "10"}]}, "spec.http[0].timeout: '10' is not a duration", id="bad time-out"),
        pytest.param(VirtualService, {"hosts": ["a"], "http": [{**ROUTE, "timeout": "1us"}]}, "spec.http[0].timeout: '1us' is neither 0s nor at least 1ms", id="time-out too short"),
        pytest.param(VirtualService, {"hosts": ["a"], "http": [{**ROUTE, "retries": {"retryOn": "5xx"}}]}, "spec.http[0].retries.attempts: is 0", id="retries turned off"),
        pytest.param(VirtualService, {"hosts": ["a"], "http": [{**ROUTE, "match": [{"uri": {"exact": "a", "prefix": "b"}}]}]}, "spec.http[0].match[0].uri: sets exact and prefix", id="two matches"),
        pytest.param(VirtualService, {"hosts": ["a"], "http": [{**ROUTE, "match": [{"headers": {"a b": {"exact": "x"}}}]}]}, "spec.http[0].match[0].headers: 'a b' is not a header's name", id="header's name"),
        pytest.param(VirtualService, {"hosts": ["a"], "http": [{**ROUTE, "match": [{"method": {"exact": True}}]}]}, "spec.http[0].match[0].method.exact: is the boolean true, not a string", id="YAML's boolean"),
        pytest.param(VirtualService, {"hosts": ["a"], "http": [{**ROUTE, "mirrorPercentage": {"value": 101}}]}, "spec.http[0].mirrorPercentage.value: 101.0 is not a percentage", id="mirror above 100"),
        pytest.param(VirtualService, {"hosts": ["a"], "http": [{**ROUTE, "rewrite": {"authority": "b"}, "headers": {"request": {"set": {"Host": "c"}}}}]}, "spec.http[0]: sets the host more than once", id="host set twice"),
        pytest.param(DestinationRule, {}, "spec.host: is required", id="rule without a host"),
        pytest.param(DestinationRule, {"host": "a", "subsets": [{"name": "v1"}, {"name": "v1"}]}, "spec.subsets[1].name: 'v1' is declared twice", id="subset twice"),
        pytest.param(DestinationRule, {"host": "a", "subsets": [{"name": "v1", "labels": {"version": 1}}]}, "spec.subsets[0].labels.version: is the number 1, not a string", id="label is a number"),
        pytest.param(DestinationRule, {"host": "a", "trafficPolicy": {"loadBalancer": {"simple": "FASTEST"}}}, "spec.trafficPolicy.loadBalancer.simple: is not a known value", id="load balancer"),
        pytest.param(Gateway, {"selector": {"istio": "ingressgateway"}}, "spec.servers: is empty", id="gateway without servers"),
        pytest.param(Gateway, {"servers": [{"port": {"number": 80, "protocol": "HTTP"}, "hosts": []}]}, "spec.servers[0].hosts: is empty", id="server without hosts"),
        pytest.param(Gateway, {"servers": [{"port": {"number": 80, "protocol": "SMTP"}, "hosts": ["*"]}]}, "spec.servers[0].port.protocol: 'SMTP' is unknown", id="protocol"),
        pytest.param(Gateway, {"servers": [{"port": {"number": 443, "protocol": "HTTPS"}, "hosts": ["*"]}]}, "spec.servers[0].tls: is required for HTTPS", id="HTTPS without TLS"),
    ],
)  # fmt: skip
def test_is_refused(model: type[Resource], spec: Any, expected: str) -> None:
    with pytest.raises(InvalidObject) as refused:
        model.parse(whole(model.KIND.kind, spec))
    assert any(str(error).startswith(expected) for error in refused.value.errors), refused.value


@pytest.mark.parametrize(
    ("model", "spec", "read", "expected"),
    [
        pytest.param(DestinationRule, {"host": "catalog", "subsets": [{"name": "version-v1", "labels": {"version": "v1"}}], "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 1}}, "outlierDetection": {"consecutive5xxErrors": 1, "interval": "5s"}}}, lambda d: (d.spec.subsets[0].labels, d.spec.traffic_policy.outlier_detection.consecutive_5xx_errors), ({"version": "v1"}, 1), id="destination rule"),
        pytest.param(Gateway, {"selector": {"istio": "ingressgateway"}, "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["webapp.istioinaction.io", "./*.example.com"]}]}, lambda g: g.spec.servers[0].port.number, 80, id="gateway"),
    ],
)  # fmt: skip
def test_is_read(
    model: type[Resource], spec: Any, read: Callable[[Any], Any], expected: Any
) -> None:
    parsed = model.parse(whole(model.KIND.kind, spec))
    assert read(parsed) == expected
    assert parsed.dump()["spec"] == spec


def test_another_kind_or_version_is_refused() -> None:
    with pytest.raises(
        InvalidObject,
        match=r"apiVersion: 'networking.istio.io/v2' is not served .*kind: is 'Gateway'",
    ):
        VirtualService.parse(whole("Gateway", {"hosts": ["a"], "http": [ROUTE]}, "v2"))
