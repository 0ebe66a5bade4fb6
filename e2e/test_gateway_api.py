"""A canary routed by Gateway API through the bundled mesh: a Gateway of its own address, an HTTPRoute with the weights."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from e2e.cluster.build import module_directory
from e2e.kubectl import until
from e2e.lab import ROOT, Lab
from e2e.load import steady_load

EXAMPLE = ROOT / "e2e" / "gatewayapi" / "canary.yaml"
SPACE, HOST = "gateway-api", "shop.example.com"
OLD, NEW = "6.9.0", "6.9.1"
CRDS = ("gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants")


@pytest.fixture
def lab(cluster: Lab) -> Iterator[Lab]:
    """The example's objects, on a cluster with Gateway API; its class appears with it."""
    install_gateway_api(cluster)
    until("the class to be accepted", lambda: "True" in _class(cluster), timeout=60)
    remove(cluster)
    cluster.kubectl.apply(EXAMPLE)
    yield cluster
    remove(cluster)


def install_gateway_api(lab: Lab) -> None:
    """Its CRDs as they are released, where they are missing."""
    names = [f"{name}.gateway.networking.k8s.io" for name in CRDS]
    there = lab.kubectl.run("get", "crds", "--ignore-not-found", "-o", "name", *names).split()
    if len(there) == len(CRDS):
        return
    directory = module_directory("conformance", "sigs.k8s.io/gateway-api") / "config/crd/standard"
    files = [directory / f"gateway.networking.k8s.io_{name}.yaml" for name in CRDS]
    lab.kubectl.run("apply", "--server-side", *(arg for f in files for arg in ("-f", str(f))))


def remove(lab: Lab) -> None:
    lab.kubectl.run(
        "delete", "namespace", SPACE, "--ignore-not-found", "--timeout=90s", timeout=100
    )


def _class(lab: Lab) -> str:
    path = "jsonpath={.status.conditions[?(@.type=='Accepted')].status}"
    return lab.kubectl.run("get", "gatewayclass", "rollout", "--ignore-not-found", "-o", path)


def address(lab: Lab) -> str:
    """Where the Gateway is reached, once it is programmed."""
    lab.kubectl.wait("--for=condition=Programmed", "gateway/public", "-n", SPACE, timeout=60)
    status = lab.kubectl.json("get", "gateway", "public", "-n", SPACE)["status"]
    return str(status["addresses"][0]["value"])


def versions(where: str, times: int, host: str = HOST) -> Counter[str]:
    """Who answers at the Gateway: versions, or statuses other than 200."""
    found: Counter[str] = Counter()
    connection = HTTPConnection(where, 80, timeout=10)
    try:
        for _ in range(times):
            connection.request("GET", "/version", headers={"Host": host})
            answer = connection.getresponse()
            body = answer.read()
            found[json.loads(body)["version"] if answer.status == 200 else str(answer.status)] += 1
    finally:
        connection.close()
    return found


def test_a_canary_is_promoted_behind_a_gateway(lab: Lab) -> None:
    def status() -> dict[str, object]:
        found: dict[str, object] = lab.kubectl.json("get", "canary", "podinfo", "-n", SPACE).get(
            "status", {}
        )
        return found

    def phase(*wanted: str) -> None:
        until(" or ".join(wanted), lambda: status().get("phase") in wanted, timeout=180)

    phase("Initialized")
    where = address(lab)
    until("the Gateway to answer", lambda: versions(where, 1) == {OLD: 1}, timeout=60)
    assert versions(where, 1, host="other.example.com") == {"404": 1}
    url = f"http://{where}/version"
    with steady_load(lab.fortio, url, host=HOST, qps=20, limit_seconds=300) as load:
        image = f"podinfo=localhost/rollout/podinfo:{NEW}"
        lab.kubectl.run("set", "image", "deployment/podinfo", image, "-n", SPACE)
        until("half of the requests", lambda: status().get("canaryWeight") == 50, timeout=120)
        until("both versions", lambda: set(versions(where, 30)) == {OLD, NEW}, timeout=20)
        phase("Succeeded", "Failed")
    assert status()["phase"] == "Succeeded", lab.kubectl.run(
        "describe", "canary", "podinfo", "-n", SPACE
    )
    assert versions(where, 20) == {NEW: 20}
    assert load.failed == 0, load.codes
