"""Pods and namespaces that are not in the mesh, maybe by oversight."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.mesh.analysis.finding import Code, Finding
from rollout.mesh.analysis.world import World
from rollout.mesh.inject.inject import wants_proxy
from rollout.mesh.model.problem import Ref

_LABEL, _REVISION = "istio-injection", "istio.io/rev"


def namespaces(world: World) -> Iterator[Finding]:
    """Those that say neither yes nor no, and have pods."""
    inhabited = {pod["metadata"]["namespace"] for pod in world.objects["Pod"]}
    for obj in world.objects["Namespace"]:
        name, labels = obj["metadata"]["name"], obj["metadata"].get("labels") or {}
        said = _LABEL in labels or _REVISION in labels
        if name in world.system or said or name not in inhabited:
            continue
        yield Finding(
            code=Code.NOT_INJECTED,
            ref=Ref("Namespace", "", name),
            reason="its pods get no proxy",
            remedy=f"kubectl label namespace {name} {_LABEL}=enabled, or =disabled to say it is meant",
        )


def pods(world: World) -> Iterator[Finding]:
    """Those that were made before their namespace was labelled."""
    for obj in world.objects["Pod"]:
        metadata = obj["metadata"]
        done = (obj.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
        if metadata["namespace"] in world.injected and not done and wants_proxy(dict(obj)):
            yield Finding(
                code=Code.NO_PROXY,
                ref=Ref("Pod", metadata["namespace"], metadata["name"]),
                reason="it has no proxy, though its namespace is labelled for one",
                remedy="restart its workload: kubectl rollout restart",
            )
