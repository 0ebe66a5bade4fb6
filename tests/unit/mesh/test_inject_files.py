"""Workloads of files get the pods that the webhook would make of them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from rollout.mesh.inject.config import InjectionConfig
from rollout.mesh.inject.files import injected, pod_of
from rollout.mesh.inject.inject import inject

CONFIG = InjectionConfig(image="rollout:1", discovery_address="mesh:15012")
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "catalog"}},
    "spec": {"containers": [{"name": "app", "image": "catalog:1"}]},
}


def workload(kind: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"template": TEMPLATE}
    if kind == "CronJob":
        spec = {"jobTemplate": {"spec": spec}}
    elif kind == "Pod":
        return {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {"name": "catalog"},
            "spec": TEMPLATE["spec"],
        }
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "catalog"}, "spec": spec}


@pytest.mark.parametrize(
    "kind", ["Pod", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"]
)
def test_each_kind_gets_a_proxy_that_knows_its_workload(kind: str) -> None:
    obj = workload(kind)
    before = copy.deepcopy(obj)
    pod = pod_of(obj, "shop")
    assert pod is not None
    done = injected(obj, inject(pod, "shop", CONFIG))
    assert obj == before, "what was given stays as it was"
    again = pod_of(done, "shop")
    assert again is not None
    [_, proxy] = again["spec"]["initContainers"]
    assert proxy["name"] == "istio-proxy"
    owner = next(each["value"] for each in proxy["env"] if each["name"] == "ISTIO_META_OWNER")
    assert owner.endswith("/catalog")
    assert inject(again, "shop", CONFIG) == [], "a second time changes nothing"
    assert "ownerReferences" not in str(done)


@pytest.mark.parametrize("kind", ["Service", "ConfigMap"])
def test_other_objects_make_no_pods(kind: str) -> None:
    assert pod_of({"kind": kind, "metadata": {"name": "x"}}, "shop") is None
