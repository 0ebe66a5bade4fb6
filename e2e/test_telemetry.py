"""A Telemetry applied: access logs in JSON by `kubectl logs`, and the spans of a request at a collector."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.kubectl import KubectlError, until
from e2e.lab import SYSTEM, Lab

NAMESPACE = "telemetry"
HERE = Path(__file__).parent / "telemetry"


@pytest.fixture
def told(cluster: Lab) -> Iterator[Lab]:
    image = cluster.kubectl.run(
        "get", "deployment", "rollout-mesh", "-n", SYSTEM,
        "-o", "jsonpath={.spec.template.spec.containers[0].image}",
    )  # fmt: skip
    manifest = (HERE / "app.yaml").read_text().replace("ROLLOUT", image)
    cluster.kubectl.run("apply", "-f", "-", stdin=manifest)
    for pod in ("server", "caller", "zipkin"):
        cluster.kubectl.wait("--for=condition=Ready", f"pod/{pod}", "-n", NAMESPACE)
    yield cluster
    cluster.kubectl.run(
        "delete", "namespace", NAMESPACE, "--wait=false", "--ignore-not-found", timeout=100
    )


def lines(lab: Lab, pod: str, container: str) -> list[Any]:
    """The lines of a container's output that are JSON."""
    found = lab.kubectl.run("logs", pod, "-n", NAMESPACE, "-c", container).splitlines()
    return [json.loads(line) for line in found if line.startswith(("{", "["))]


def call(lab: Lab) -> None:
    """The caller's request. Traces begin at its own proxy: it says nothing of any."""
    try:
        lab.kubectl.run(
            "exec", "-n", NAMESPACE, "caller", "-c", "app", "--",
            "fortio", "curl", "-quiet", "-timeout", "2s", "http://server/version",
        )  # fmt: skip
    except KubectlError:
        return


def logged(lab: Lab) -> list[dict[str, Any]]:
    """What the server's proxy has logged of the caller's requests."""
    found = lines(lab, "server", "istio-proxy")
    return [each for each in found if each.get("path") == "/version"]


def traced(lab: Lab) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Spans of a caller, with those of the servers that they are parents of."""
    spans = [span for post in lines(lab, "zipkin", "collector") for span in post]
    clients = {span["id"]: span for span in spans if span["kind"] == "CLIENT"}
    servers = [span for span in spans if span["kind"] == "SERVER"]
    return [
        (clients[span["parentId"]], span) for span in servers if span.get("parentId") in clients
    ]


def test_what_a_telemetry_asks_for_is_told(told: Lab) -> None:
    call(told)
    assert logged(told) == []
    told.kubectl.apply(HERE / "telemetry.yaml")

    def seen() -> bool:
        call(told)
        return bool(logged(told) and traced(told))

    until("logs and spans of the same requests", seen, timeout=60)
    line = logged(told)[0]
    assert (line["method"], line["response_code"]) == ("GET", 200)
    assert line["authority"] == "server"
    assert line["upstream_cluster"].startswith("inbound|3000|")
    client, server = traced(told)[0]
    assert client["traceId"] == server["traceId"]
    assert client["localEndpoint"]["serviceName"] == f"caller.{NAMESPACE}"
    assert server["localEndpoint"]["serviceName"] == f"server.{NAMESPACE}"
    assert server["name"] == f"server.{NAMESPACE}.svc.cluster.local:80/*"
    expected = {"component": "proxy", "stage": "e2e", "istio.canonical_service": "server"}
    assert expected.items() <= server["tags"].items()
