"""StatefulSets: a canary and a primary of their own, each with its own ordinals, names and volumes.

That suits pods which are independent of each other: nothing is moved between the two sets, and neither knows the other's
pods. What would be lost in silence (volumes that stay behind, pods that keep an old revision) is refused by name.
"""

from __future__ import annotations

import copy

from rollout.api.kinds import SERVICE, STATEFUL_SET
from rollout.delivery.objects.metadata import (
    is_controlled_by,
    labels_with_prefix,
    owned_metadata,
    primary_name,
)
from rollout.delivery.objects.services import apex_name
from rollout.delivery.readiness import Readiness, Ready, Stuck, Waiting, unfinished, unobserved
from rollout.delivery.targets.target import Lookup, Patience, Source
from rollout.delivery.targets.workload import Workload
from rollout.kube.objects import Object, annotations_of, labels_of

VOLUMES = "rollout.dev/primary-volumes"
"""The annotation of a target with volumes: `empty` says that the primary may begin with empty ones."""


class StatefulSetTarget(Workload):
    """`apps/v1` StatefulSets."""

    kind = STATEFUL_SET
    promoted_fields = (
        "minReadySeconds",
        "revisionHistoryLimit",
        "updateStrategy",
        "persistentVolumeClaimRetentionPolicy",
    )
    created_fields = ("podManagementPolicy", "volumeClaimTemplates", "ordinals")

    def unusable(self, target: Object) -> str:
        """That pods would keep an old revision, or that data would stay behind unasked."""
        spec = target["spec"]
        strategy = spec.get("updateStrategy") or {}
        if (type_ := strategy.get("type", "RollingUpdate")) != "RollingUpdate":
            return f"spec.updateStrategy.type is {type_} (use RollingUpdate)"
        if partition := (strategy.get("rollingUpdate") or {}).get("partition"):
            return (
                f"spec.updateStrategy.rollingUpdate.partition {partition} keeps pods at an old revision"
                " (remove it: the canary's steps take its place)"
            )
        if spec.get("volumeClaimTemplates") and annotations_of(target).get(VOLUMES) != "empty":
            return (
                "spec.volumeClaimTemplates: the primary's pods would begin with empty volumes of their own"
                f" (if they may, set the annotation {VOLUMES}: empty on the StatefulSet)"
            )
        return ""

    def created(self, source: Source, pods: int) -> Object:
        """With a governing Service of its own, where the target has one."""
        made = super().created(source, pods)
        if name := _governing(source.target):
            made["spec"]["serviceName"] = primary_name(name)
        return made

    def beside(self, source: Source, seen: Lookup) -> tuple[Object, ...]:
        """The primary's governing Service, which gives its pods their names in DNS; the apex has one already."""
        name = _governing(source.target)
        governing = seen(SERVICE, name) if name and name != apex_name(source.owner) else None
        if governing is None:
            return ()
        served = seen(SERVICE, primary_name(name))
        selector = governing["spec"].get("selector") or {}
        label, value = source.label
        if served is not None and not is_controlled_by(served, source.owner):
            return ()
        if selector.get(label) != value:
            return ()
        labels = labels_with_prefix(labels_of(governing), source.prefixes)
        spec = {
            "clusterIP": "None",
            "selector": {**selector, label: primary_name(value)},
            "ports": copy.deepcopy(governing["spec"].get("ports") or []),
            "publishNotReadyAddresses": governing["spec"].get("publishNotReadyAddresses", False),
        }
        return (
            {
                "apiVersion": SERVICE.api_version,
                "kind": SERVICE.kind,
                "metadata": owned_metadata(source.owner, primary_name(name), labels, {}),
                "spec": spec,
            },
        )

    def readiness(self, workload: Object, patience: Patience) -> Readiness:
        """Read from its status alone: as many updated pods as it asks for, and no others."""
        status, now = workload.get("status") or {}, patience.now
        until = patience.since + patience.deadline
        if message := unobserved(workload, self.kind):
            return Waiting(message, max(until, now + patience.deadline))
        message = unfinished(self.pods(workload), status, patience.threshold)
        if not message:
            return Ready()
        return Stuck(message) if now >= until else Waiting(message, until)


def _governing(target: Object) -> str:
    return str(target["spec"].get("serviceName") or "")
