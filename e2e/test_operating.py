"""What an operator looks at when something is wrong in the mesh: each command on the real cluster."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from envoy.service.discovery.v3 import discovery_pb2
from envoy.service.status.v3 import csds_pb2

from e2e.lab import CLUSTER, NAMESPACE, SYSTEM, Lab
from rollout.cli.proxy import reaching
from rollout.kube.client import Client
from rollout.kube.portforward import forward

pytestmark = pytest.mark.alone

HOST = f"catalog.{NAMESPACE}.svc.cluster.local"
MISTAKE = f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: mistaken, namespace: {NAMESPACE}}}
spec:
  hosts: [mistaken]
  http: [{{route: [{{destination: {{host: catalog, subset: nowhere}}}}]}}]
"""


def rollout(*arguments: str, code: int = 0) -> str:
    """What the command prints; its exit code is the one expected."""
    done = subprocess.run(
        [sys.executable, "-m", "rollout.cli.main", *arguments,
         "--kubeconfig", str(CLUSTER / "kubeconfig"), "-n", NAMESPACE],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def rows(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(rollout(*arguments, "-o", "json"))
    return found


def test_proxies_show_what_they_have_and_should_have(lab: Lab, tmp_path: Path) -> None:
    proxies = {each["proxy"]: each for each in rows("proxy", "status")}
    assert all(each["synced"] for each in proxies.values()), proxies
    pod = next(name.split(".")[0] for name in proxies if name.startswith("catalog-primary-"))
    assert "has all that it should have" in rollout("proxy", "status", pod)
    routes = rows("proxy", "config", "routes", pod, "--match", "catalog-primary")
    hosts = [host for each in routes for host in each["virtual_hosts"]]
    assert any("catalog.localhost" in host["domains"] for host in hosts), routes
    [cluster] = rows("proxy", "config", "clusters", pod, "--match", HOST, "--match", "outbound")
    assert cluster["type"] == "EDS"
    endpoints = rows("proxy", "config", "endpoints", pod, "--match", HOST)
    assert {each["health_status"]["eds_health_status"] for each in endpoints} == {"HEALTHY"}
    table = rollout("proxy", "config", "endpoints", pod, "--match", HOST)
    assert table.count("HEALTHY") == len(endpoints)
    assert "certificate" in rollout("proxy", "config", "secrets", pod)
    assert "router: debug" in rollout("proxy", "log", pod, "--level", "router:debug")

    assert "VirtualService: " in rollout("describe", "service", "catalog")
    assert f"Service: {NAMESPACE}/catalog-primary" in rollout("describe", "pod", pod)

    mistake = tmp_path / "mistake.yaml"
    mistake.write_text(MISTAKE)
    [found] = [each for each in json.loads(rollout("analyze", str(mistake), "-o", "json", code=1))
               if each["level"] == "Error"]  # fmt: skip
    assert (found["code"], found["object"]) == ("IST0101", f"VirtualService {NAMESPACE}/mistaken")

    plain = tmp_path / "plain.yaml"
    plain.write_text(
        yaml.safe_dump(lab.kubectl.json("get", "deployment", "catalog", "-n", NAMESPACE))
    )
    proxied = yaml.safe_load(rollout("inject", "-f", str(plain)))
    names = [each["name"] for each in proxied["spec"]["template"]["spec"]["initContainers"]]
    assert "istio-proxy" in names


async def told(lab: Lab) -> dict[str, set[str]]:
    """What each replica of the control plane tells somebody like istioctl of its proxies, over xDS by a token."""
    audience = ("--audience", "istio-ca", "-n", SYSTEM)
    token = lab.kubectl.run("create", "token", "default", *audience).strip()
    roots = lab.kubectl.json("get", "configmap", "istio-ca-root-cert", "-n", SYSTEM)["data"]
    credentials = grpc.ssl_channel_credentials(roots["root-cert.pem"].encode())
    name = (("grpc.ssl_target_name_override", f"rollout-mesh.{SYSTEM}.svc"),)
    request = discovery_pb2.DiscoveryRequest(type_url="istio.io/debug/syncz")
    found = {}
    async with await Client.connect(str(CLUSTER / "kubeconfig")) as client:
        for plane in await reaching.control_planes(client, SYSTEM):
            pod = plane["metadata"]["name"]
            async with forward(client, SYSTEM, pod, 15012) as address:
                target = address.removeprefix("http://")
                async with grpc.aio.secure_channel(target, credentials, name) as channel:
                    call: Any = channel.stream_stream(
                        "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
                    )(metadata=(("authorization", f"Bearer {token}"),), timeout=30)
                    await call.write(request.SerializeToString())
                    answer = discovery_pb2.DiscoveryResponse.FromString(await call.read())
                    call.cancel()
            assert json.loads(answer.control_plane.identifier)["ID"] == pod
            found[pod] = {_node(each) for each in answer.resources}
    return found


def _node(resource: Any) -> str:
    config = csds_pb2.ClientConfig.FromString(resource.value)
    return str(config.node.id)


def test_istioctl_is_told_the_same_over_xds(lab: Lab) -> None:
    every = json.loads(rollout("proxy", "status", "-o", "json"))
    expected: dict[str, set[str]] = {}
    for each in every:
        expected.setdefault(each["controlPlane"], set()).add(each["proxy"])
    found = asyncio.run(told(lab))
    assert {pod: proxies for pod, proxies in found.items() if proxies} == expected
