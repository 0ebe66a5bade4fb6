"""Istio's single annotations of a pod: what of the proxy they change, and what is said of those that change nothing."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.mesh.inject.annotations import tailored, warnings
from rollout.mesh.inject.config import InjectionConfig
from rollout.mesh.inject.inject import inject

CONFIG = InjectionConfig(image="rollout:1", discovery_address="mesh:15012")


def containers(annotations: dict[str, str]) -> dict[str, Any]:
    """The containers that a pod gets, by name."""
    pod = {
        "metadata": {"name": "a", "annotations": annotations},
        "spec": {"containers": [{"name": "app"}]},
    }
    patch = {each["path"]: each["value"] for each in inject(pod, "shop", CONFIG)}
    return {each["name"]: each for each in patch["/spec/initContainers"]}


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


def test_resources_and_level() -> None:
    proxy = containers({
        "sidecar.istio.io/proxyCPU": "250m", "sidecar.istio.io/proxyMemory": "64Mi",
        "sidecar.istio.io/proxyCPULimit": "1", "sidecar.istio.io/proxyMemoryLimit": "0.5Gi",
        "sidecar.istio.io/logLevel": "debug",
    })["istio-proxy"]  # fmt: skip
    assert proxy["resources"] == {
        "requests": {"cpu": "250m", "memory": "64Mi"},
        "limits": {"cpu": "1", "memory": "0.5Gi"},
    }
    assert variables(proxy)["PROXY_LOG_LEVEL"] == "debug"


@pytest.mark.parametrize(
    ("annotations", "told"),
    [
        ({}, {}),
        ({"includeInboundPorts": "*", "includeOutboundIPRanges": "*"}, {}),
        ({"includeInboundPorts": "80,90"}, {"INCLUDE_INBOUND_PORTS": "80,90"}),
        ({"includeInboundPorts": ""}, {"INCLUDE_INBOUND_PORTS": ""}),
        ({"includeOutboundIPRanges": "10.0.0.0/8"}, {"INCLUDE_OUTBOUND_IP_RANGES": "10.0.0.0/8"}),
        ({"includeOutboundPorts": "5432"}, {"INCLUDE_OUTBOUND_PORTS": "5432"}),
    ],
)
def test_what_is_intercepted(annotations: dict[str, str], told: dict[str, str]) -> None:
    given = {f"traffic.sidecar.istio.io/{name}": value for name, value in annotations.items()}
    found = variables(containers(given)["istio-init"])
    assert {name: value for name, value in found.items() if name.startswith("INCLUDE")} == told
    assert warnings(given) == ()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("sidecar.istio.io/proxyCPU", "much", "sidecar.istio.io/proxyCPU: 'much' makes no sense"),
        ("sidecar.istio.io/logLevel", "loud", "sidecar.istio.io/logLevel: 'loud' makes no sense"),
        ("sidecar.istio.io/bootstrapOverride", "x", "is not followed by this mesh"),
        ("traffic.sidecar.istio.io/kubevirtInterfaces", "x", "is not followed by this mesh"),
    ],
)
def test_what_is_not_followed_is_told(name: str, value: str, said: str) -> None:
    (warning,) = warnings({name: value, "prometheus.io/scrape": "true"})
    assert said in warning
    assert tailored(CONFIG, {name: value}) == CONFIG
