"""Which workload a pod belongs to, and by which names the mesh's metrics know it.

Pure. Must not know what is injected.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

_PLURALS = {
    "Deployment": "deployments",
    "ReplicaSet": "replicasets",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
    "Job": "jobs",
    "Pod": "pods",
}


@dataclass(frozen=True, slots=True)
class Workload:
    """The object that a user would name; `owner` is its path as Istio writes it."""

    name: str
    owner: str


def workload_of(pod: Json, namespace: str) -> Workload:
    """Look through a Deployment's ReplicaSet by the hash that both carry; a bare pod is its own workload."""
    metadata = pod.get("metadata", {})
    owners = metadata.get("ownerReferences") or ()
    controller: Json = next((owner for owner in owners if owner.get("controller")), {})
    kind, name = controller.get("kind", "Pod"), controller.get("name", "")
    api_version = controller.get("apiVersion", "v1")
    template_hash = (metadata.get("labels") or {}).get("pod-template-hash", "")
    if kind == "ReplicaSet" and template_hash and name.endswith(f"-{template_hash}"):
        kind, name = "Deployment", name.removesuffix(f"-{template_hash}")
    name = name or metadata.get("name") or metadata.get("generateName", "").rstrip("-")
    plural = _PLURALS.get(kind, f"{kind.lower()}s")
    return Workload(name, f"kubernetes://apis/{api_version}/namespaces/{namespace}/{plural}/{name}")


def canonical_name(labels: Json, workload: str) -> str:
    """The name that groups a workload's versions."""
    keys = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
    return next((labels[key] for key in keys if labels.get(key)), workload)


def canonical_revision(labels: Json) -> str:
    """The version among those of one canonical name."""
    keys = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")
    return next((labels[key] for key in keys if labels.get(key)), "latest")
