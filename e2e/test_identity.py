"""Identities: from both to mutual TLS alone under load, who is refused then, and what the metrics tell of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.kubectl import KubectlError, until
from e2e.lab import GATEWAY, GATEWAY_PORT, SYSTEM, Lab
from e2e.load import steady_load

NAMESPACE = "identity"
HOST = f"identity.localhost:{GATEWAY_PORT}"
STRICT = {
    "apiVersion": "security.istio.io/v1",
    "kind": "PeerAuthentication",
    "metadata": {"name": "default", "namespace": NAMESPACE},
    "spec": {"mtls": {"mode": "STRICT"}},
}


@pytest.fixture
def mesh(cluster: Lab) -> Iterator[Lab]:
    image = cluster.kubectl.run(
        "get", "deployment", "rollout-mesh", "-n", SYSTEM,
        "-o", "jsonpath={.spec.template.spec.containers[0].image}",
    )  # fmt: skip
    manifest = (Path(__file__).parent / "identity" / "mesh.yaml").read_text()
    head, rest = manifest.split("---", 1)
    cluster.kubectl.run("apply", "-f", "-", stdin=head)
    cluster.kubectl.run("apply", "-n", NAMESPACE, "-f", "-", stdin=rest.replace("ROLLOUT", image))
    for what in ("deployment/server", "pod/caller", "pod/stranger"):
        condition = "Available" if what.startswith("deployment") else "Ready"
        cluster.kubectl.wait(f"--for=condition={condition}", what, "-n", NAMESPACE)
    yield cluster
    cluster.kubectl.run("delete", "namespace", NAMESPACE, "--timeout=90s", timeout=100)


def inside(lab: Lab, pod: str, *command: str) -> str:
    return lab.kubectl.run("exec", "-n", NAMESPACE, pod, "-c", "app", "--", *command)


def plain(lab: Lab) -> bool:
    """Whether the stranger is answered."""
    try:
        inside(
            lab, "stranger", "fortio", "curl", "-quiet", "-timeout", "2s", "http://server/version"
        )
    except KubectlError:
        return False
    return True


def metrics(lab: Lab) -> set[tuple[str, str, str]]:
    """(security, source, destination) of the requests that the server's proxy has counted, as Prometheus asks for them."""
    pod = lab.kubectl.json("get", "pods", "-n", NAMESPACE, "-l", "app=server")["items"][0]
    url = f"http://{pod['status']['podIP']}:15020/stats/prometheus"
    page = inside(lab, "stranger", "fortio", "curl", "-quiet", url)
    found = set()
    for line in page.splitlines():
        if line.startswith("istio_requests_total{") and 'reporter="destination"' in line:
            labels = dict(re.findall(r'(\w+)="([^"]*)"', line))
            keys = ("connection_security_policy", "source_principal", "destination_principal")
            found.add(tuple(labels[key] for key in keys))
    return found


def test_from_both_to_mutual_tls_alone_no_request_of_the_mesh_is_lost(mesh: Lab) -> None:
    assert plain(mesh), "both are taken unless somebody says otherwise"
    load = ["fortio", "load", "-quiet", "-uniform", "-nocatchup", "-c", "4", "-json", "-"]
    load += ["-qps", "100", "-t", "20s", "-timeout", "5s", "http://server/version"]
    command = [
        str(mesh.kubectl.binary),
        "exec",
        "-n",
        NAMESPACE,
        "caller",
        "-c",
        "app",
        "--",
        *load,
    ]
    environment = {**os.environ, "KUBECONFIG": str(mesh.kubectl.kubeconfig)}
    with (
        steady_load(mesh.fortio, GATEWAY, host=HOST, qps=100, limit_seconds=60) as edge,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as within,
    ):
        time.sleep(4)
        mesh.kubectl.run("apply", "-f", "-", stdin=json.dumps(STRICT))
        until("the stranger to be refused", lambda: not plain(mesh), timeout=30)
        printed, _ = within.communicate(timeout=60)
    codes = json.loads(printed)["RetCodes"]
    assert set(codes) == {"200"}, codes
    assert set(edge.codes) == {"200"}, edge.codes
    server, caller = (f"spiffe://cluster.local/ns/{NAMESPACE}/sa/{n}" for n in ("server", "caller"))
    gateway = f"spiffe://cluster.local/ns/{SYSTEM}/sa/istio-ingressgateway"
    assert metrics(mesh) == {
        ("none", "unknown", "unknown"),
        ("mutual_tls", caller, server),
        ("mutual_tls", gateway, server),
    }
    (pod,) = mesh.kubectl.json("get", "pods", "-n", NAMESPACE, "-l", "app=server")["items"]
    states = [*pod["status"]["containerStatuses"], *pod["status"]["initContainerStatuses"]]
    assert {each["restartCount"] for each in states} == {0}, "probes reach what is strict"
    assert all(each["ready"] for each in pod["status"]["containerStatuses"])
