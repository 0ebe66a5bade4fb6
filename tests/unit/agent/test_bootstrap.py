from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from rollout.mesh.agent.bootstrap import node, render
from rollout.mesh.agent.identity import write_sources
from rollout.mesh.agent.settings import Settings
from tests.integration.envoy import envoy_binary

SETTINGS = Settings(
    proxy_type="sidecar",
    pod_name="catalog-1",
    namespace="shop",
    instance_ips=("10.0.0.7",),
    service_account="catalog",
    discovery_address="rollout-mesh.rollout-system.svc:15010",
    workload_name="catalog",
)


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        SETTINGS._replace(proxy_type="router"),
        SETTINGS._replace(instance_ips=("fd00::7", "10.0.0.7")),
        SETTINGS._replace(secured=True),
    ],
    ids=["sidecar", "router", "IPv6", "secured"],
)
def test_envoy_accepts_it(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "envoy.json"
    path.write_text(json.dumps(render(settings, {"app": "catalog"})))
    write_sources(settings._replace(config_dir=str(tmp_path)))
    done = subprocess.run(
        [envoy_binary(), "--mode", "validate", "-c", path, "--log-level", "warning"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower()


def test_the_node_says_who_it_is() -> None:
    introduced = node(SETTINGS, {"version": "v1", "app": "catalog"})
    assert introduced["id"] == "sidecar~10.0.0.7~catalog-1.shop~shop.svc.cluster.local"
    assert introduced["cluster"] == "catalog.shop"
    assert introduced["metadata"]["LABELS"] == {"app": "catalog", "version": "v1"}
    assert introduced["metadata"]["WORKLOAD_NAME"] == "catalog"
    assert "OWNER" not in introduced["metadata"]


def test_a_pod_without_an_app_label_goes_by_its_workload() -> None:
    assert node(SETTINGS, {})["cluster"] == "catalog.shop"


def test_the_same_settings_give_the_same_bytes() -> None:
    one = json.dumps(render(SETTINGS, {"a": "1", "b": "2"}))
    assert one == json.dumps(render(SETTINGS, {"b": "2", "a": "1"}))
