"""Injection into objects of a file: the pod templates of workloads, by the patches that the webhook would answer. Pure.

Must not know where the patches come from.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

_TEMPLATES: dict[str, tuple[str, ...]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


def pod_of(obj: Json, namespace: str) -> Json | None:
    """The pod that the object would make, as the webhook would see it; None for one that makes none."""
    path = _TEMPLATES.get(str(obj.get("kind")))
    if path is None:
        return None
    template: Any = obj
    for key in path:
        template = template.get(key) or {}
    if not template.get("spec"):
        return None
    metadata = {"namespace": namespace, **(template.get("metadata") or {})}
    if path:
        owner = {"apiVersion": obj.get("apiVersion"), "kind": obj["kind"], "controller": True}
        metadata["ownerReferences"] = [{**owner, "name": obj["metadata"]["name"]}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def injected(obj: Json, patch: Sequence[Json]) -> Json:
    """The object with the patch of its pod applied: additions to the pod's metadata and spec, as `inject` makes them."""
    result = copy.deepcopy(obj)
    template = result
    for key in _TEMPLATES[obj["kind"]]:
        template = template[key]
    for operation in patch:
        part, key = operation["path"].strip("/").split("/")
        template.setdefault(part, {})[key] = operation["value"]
    return result
