"""Core Services as targets: two copies of the Service, one as it is and one as it was promoted, between which routes choose.

The target is the service that callers name, and is never written. Nothing is scaled: whatever the Service selects runs
already. That the copies are the target's spec is Flagger's contract.
"""

from __future__ import annotations

from collections.abc import Iterable

from rollout.api.kinds import SERVICE
from rollout.delivery.objects.metadata import (
    FLAGGER_ID,
    canary_name,
    owned_metadata,
    primary_name,
)
from rollout.delivery.readiness import Readiness, Ready
from rollout.delivery.revision import revision_of
from rollout.delivery.targets.target import Label, Lookup, Patience, Source
from rollout.kube.objects import Object, annotations_of, labels_of

# The API server gives these to each Service by itself, or to one Service only.
_ITS_OWN = frozenset(
    {
        *("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"),
        *("externalIPs", "externalTrafficPolicy", "allocateLoadBalancerNodePorts"),
        *("loadBalancerIP", "loadBalancerClass", "loadBalancerSourceRanges"),
    }
)


class ServiceTarget:
    """`v1` Services."""

    kind = SERVICE
    exact = ("spec.selector", "spec.ports")
    makes_pods = False
    names_pods = False

    def unusable(self, target: Object) -> str:  # noqa: ARG002
        """Every one can be delivered."""
        return ""

    def label(self, target: Object, candidates: Iterable[str]) -> Label | None:  # noqa: ARG002
        """No label is needed to tell the copies apart."""
        return "", ""

    def template(self, target: Object) -> Object:  # noqa: ARG002
        """It makes no pods."""
        return {}

    def revision(self, target: Object) -> str:
        """What is copied of it."""
        return revision_of(_copied(target))

    def pods(self, workload: Object) -> int:  # noqa: ARG002
        """None that could be scaled."""
        return 0

    def scaled(self, pods: int) -> Object:  # noqa: ARG002
        """Nothing."""
        return {}

    def readiness(self, workload: Object, patience: Patience) -> Readiness:  # noqa: ARG002
        """What it selects is not its business."""
        return Ready()

    def created(self, source: Source, pods: int) -> Object:  # noqa: ARG002
        """The copy that has been promoted, with the target's labels and annotations."""
        made = _copy(source, primary_name(source.target["metadata"]["name"]), "primary")
        made["metadata"]["annotations"][FLAGGER_ID] = source.promotion
        return made

    def promoted(self, source: Source) -> Object:
        """The target's spec in the copy."""
        metadata = source.target["metadata"]
        return {
            "apiVersion": SERVICE.api_version,
            "kind": SERVICE.kind,
            "metadata": {
                "name": primary_name(metadata["name"]),
                "namespace": metadata["namespace"],
                "annotations": {FLAGGER_ID: source.promotion},
            },
            "spec": _copied(source.target),
        }

    def beside(self, source: Source, seen: Lookup) -> tuple[Object, ...]:  # noqa: ARG002
        """The copy that follows the target."""
        return (_copy(source, canary_name(source.target["metadata"]["name"]), "canary"),)

    def promotion_of(self, primary: Object) -> str:
        """What the copy's annotation says."""
        return annotations_of(primary).get(FLAGGER_ID, "")

    def runs(self, primary: Object, source: Source) -> bool:
        """Whether the copy has the target's spec."""
        return _copied(primary) == _copied(source.target)


def _copied(service: Object) -> Object:
    spec = service["spec"]
    copied = {k: v for k, v in spec.items() if k not in _ITS_OWN}
    copied["ports"] = [
        {k: v for k, v in port.items() if k != "nodePort"} for port in spec.get("ports") or ()
    ]
    headless = spec.get("clusterIP") == "None"
    if copied.get("type") != "ExternalName":
        # Routes reach the copies inside the cluster; an address outside is the target's alone.
        copied["type"] = "ClusterIP"
    return copied | ({"clusterIP": "None"} if headless else {})


def _copy(source: Source, name: str, side: str) -> Object:
    custom = (source.owner["spec"].get("service") or {}).get(side) or {}
    labels = {**labels_of(source.target), **(custom.get("labels") or {})}
    annotations = {**annotations_of(source.target), **(custom.get("annotations") or {})}
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": owned_metadata(source.owner, name, labels, annotations),
        "spec": _copied(source.target),
    }
