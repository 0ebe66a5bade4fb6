"""What is said of objects that refer to what does not exist, and of those that Istio takes and this version does not."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.ingest.references import dangling
from rollout.mesh.model.problem import Problem
from tests.meshworld import World

Json = dict[str, Any]
SERVICE = {
    "kind": "Service",
    "metadata": {"namespace": "shop", "name": "catalog"},
    "spec": {"ports": [{"name": "http", "port": 80}, {"name": "grpc", "port": 81}]},
}


def istio(kind: str, name: str, spec: Json, created: str = "2026-01-01T00:00:00Z") -> Json:
    return {
        "apiVersion": "networking.istio.io/v1beta1",
        "kind": kind,
        "metadata": {"namespace": "shop", "name": name, "creationTimestamp": created},
        "spec": spec,
    }


def to(**destination: Any) -> Json:
    return {"route": [{"destination": {"host": "catalog", **destination}}]}


def problems(*objects: Json) -> list[Problem]:
    world = World([SERVICE, *objects])
    return world.problems() + [
        each for found in dangling(world.registry).values() for each in found
    ]


def virtual_service(*http: Json, **spec: Any) -> Json:
    return istio("VirtualService", "v", {"hosts": ["catalog"], "http": list(http)} | spec)


PARTNER = istio("ServiceEntry", "partner", {"hosts": ["partner.example.com"], "resolution": "DNS",
                                            "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}]})  # fmt: skip
YOUNGER = istio(
    "VirtualService", "w", {"hosts": ["catalog"], "http": [to()]}, "2026-02-01T00:00:00Z"
)
TABLE: dict[str, tuple[list[Json], str, str]] = {
    "missing service": (
        [virtual_service(to(), to(host="nosuch"))],
        "spec.http[1].route[0].destination.host",
        "no service nosuch.shop.svc.cluster.local: requests are answered with 503",
    ),
    "missing port": (
        [virtual_service(to(port={"number": 90}))],
        "spec.http[0].route[0].destination.port.number",
        "catalog.shop.svc.cluster.local has no port 90",
    ),
    "missing subset": (
        [virtual_service(to(subset="v2"))],
        "spec.http[0].route[0].destination.subset",
        "no DestinationRule of catalog.shop.svc.cluster.local has subset v2",
    ),
    "missing gateway": (
        [virtual_service(to(), gateways=["nosuch"])],
        "spec.gateways[0]",
        "Gateway shop/nosuch does not exist",
    ),
    "missing mirror": (
        [virtual_service({**to(), "mirror": {"host": "gone"}})],
        "spec.http[0].mirror.host",
        "no service gone",
    ),
    "host taken": ([virtual_service(to()), YOUNGER], "spec.hosts[0]", "VirtualService shop/v already"),
    "rule without service": (
        [istio("DestinationRule", "d", {"host": "nosuch"})],
        "spec.host",
        "the rule has no effect",
    ),
    "labels compared where the DNS says the endpoints": (
        [PARTNER, istio("DestinationRule", "d", {"host": "partner.example.com", "trafficPolicy": {
            "outlierDetection": {}, "loadBalancer": {"localityLbSetting": {"failoverPriority": ["v"]}}}})],
        "spec.trafficPolicy.loadBalancer.localityLbSetting.failoverPriority",
        "does not know the endpoints",
    ),
    "a header where there are none": (
        [PARTNER, istio("DestinationRule", "d", {"host": "partner.example.com", "trafficPolicy": {
            "loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}}})],
        "spec.trafficPolicy.loadBalancer.consistentHash",
        "carry connections",
    ),
    "preferences without outlier detection": (
        [istio("DestinationRule", "d", {"host": "catalog", "trafficPolicy": {
            "loadBalancer": {"localityLbSetting": {"failover": [{"from": "eu", "to": "us"}]}}}})],
        "spec.trafficPolicy.loadBalancer.localityLbSetting",
        "without outlierDetection",
    ),
    "preferences of two kinds": (
        [istio("DestinationRule", "d", {"host": "catalog", "trafficPolicy": {
            "outlierDetection": {}, "loadBalancer": {"localityLbSetting": {
                "failover": [{"from": "eu", "to": "us"}], "failoverPriority": ["v"]}}}})],
        "spec.trafficPolicy.loadBalancer.localityLbSetting.failover",
        "has no effect with failoverPriority",
    ),
    "shares and preferences": (
        [istio("DestinationRule", "d", {"host": "catalog", "trafficPolicy": {
            "loadBalancer": {"localityLbSetting": {
                "distribute": [{"from": "eu", "to": {"eu": 100}}], "failoverPriority": ["v"]}}}})],
        "spec.trafficPolicy.loadBalancer.localityLbSetting",
        "sets distribute and failoverPriority",
    ),
    "a label that nobody has": (
        [istio("DestinationRule", "d", {"host": "catalog", "trafficPolicy": {
            "outlierDetection": {}, "loadBalancer": {"localityLbSetting": {
                "failoverPriority": ["kubernetes.io/hostname", "v"]}}}})],
        "spec.trafficPolicy.loadBalancer.localityLbSetting.failoverPriority[0]",
        "does not tell nodes apart",
    ),
    "a rule for some callers": (
        [istio("DestinationRule", "d", {"host": "catalog", "workloadSelector": {"matchLabels": {"app": "a"}}})],
        "spec.workloadSelector",
        "for all callers",
    ),
    "weights that are none": (
        [virtual_service({"route": [{"destination": {"host": "catalog"}, "weight": 0}] * 2})],
        "spec.http[0].route",
        "sum to 0",
    ),
    "lookahead": (
        [virtual_service({**to(), "match": [{"uri": {"regex": "(?=a)"}}]})],
        "spec.http[0].match[0].uri.regex",
        "RE2",
    ),
    "fault without a status": (
        [virtual_service({**to(), "fault": {"abort": {"percentage": {"value": 1}}}})],
        "spec.http[0].fault.abort.httpStatus",
        "is missing",
    ),
    "fault with an odd status": (
        [virtual_service({**to(), "fault": {"abort": {"httpStatus": 99}}})],
        "spec.http[0].fault.abort.httpStatus",
        "99 is not a status",
    ),
    "fault with an odd gRPC status": (
        [virtual_service({**to(), "fault": {"abort": {"grpcStatus": "BROKEN"}}})],
        "spec.http[0].fault.abort.grpcStatus",
        "'BROKEN' is not a gRPC status",
    ),
    "delay of no length": (
        [virtual_service({**to(), "fault": {"delay": {"percentage": {"value": 1}}}})],
        "spec.http[0].fault.delay.fixedDelay",
        "is missing",
    ),
    "TLS without a certificate": (
        [istio("DestinationRule", "d", {"host": "catalog", "trafficPolicy": {"tls": {"mode": "MUTUAL"}}})],
        "spec.trafficPolicy.tls",
        "needs a certificate",
    ),
    "hash without a key": (
        [istio("DestinationRule", "d", {"host": "catalog", "trafficPolicy": {"loadBalancer": {"consistentHash": {}}}})],
        "spec.trafficPolicy.loadBalancer.consistentHash",
        "names no key",
    ),
    "table that is not prime": (
        [istio("DestinationRule", "d", {"host": "catalog", "trafficPolicy": {"loadBalancer": {"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": 1000}}}}})],
        "spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize",
        "1000 is not a prime number",
    ),
    "warm-up of a random choice": (
        [istio("DestinationRule", "d", {"host": "catalog", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM", "warmupDurationSecs": "10s"}}})],
        "spec.trafficPolicy.loadBalancer.warmupDurationSecs",
        "ROUND_ROBIN and LEAST_REQUEST only",
    ),
    "shares of localities": (
        [istio("DestinationRule", "d", {"host": "catalog", "subsets": [{"name": "v1", "labels": {}, "trafficPolicy": {"loadBalancer": {"localityLbSetting": {"distribute": [{"from": "a/*", "to": {"a/*": 70}}]}}}}]})],
        "spec.subsets[0].trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to",
        "sum up to 70",
    ),
    "tls server": (
        [istio("Gateway", "g", {"servers": [{"port": {"number": 443, "name": "s", "protocol": "HTTPS"}, "tls": {"mode": "SIMPLE"}, "hosts": ["*"]}]})],
        "spec.servers[0].tls.credentialName",
        "is missing",
    ),
    "unknown field": (
        [virtual_service({**to(), "timeOut": "1s"})],
        "spec.http[0].timeOut",
        "unknown field",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_problem(case: str) -> None:
    objects, field, reason = TABLE[case]
    (found,) = problems(*objects)
    assert found.field == field
    assert reason in found.reason
    assert found.remedy


def test_a_mesh_without_faults() -> None:
    rule = istio(
        "DestinationRule", "d", {"host": "catalog", "subsets": [{"name": "v2", "labels": {}}]}
    )
    edge = istio("Gateway", "g", {"servers": [{"port": {"number": 80, "name": "h", "protocol": "HTTP"}, "hosts": ["*"]}]})  # fmt: skip
    service = virtual_service(to(subset="v2", port={"number": 80}), gateways=["g", "mesh"])
    assert problems(rule, edge, service) == []


def test_a_bad_edit_leaves_the_last_good_one_in_force() -> None:
    world = World([SERVICE, virtual_service(to())])
    before = dict(world.registry.tables)
    world.put(virtual_service({"route": []}))
    assert world.registry.tables == before
    assert [each.field for each in world.problems()] == ["spec.http[0]"]
    world.put(virtual_service(to()))
    assert world.problems() == []
