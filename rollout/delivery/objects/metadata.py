"""Names, labels, annotations and owners of generated objects. Names and filters are Flagger's contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rollout.kube.objects import Object, owner_reference

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
ORIGINAL_CONFIGURATION = "flagger.kubernetes.io/original-configuration"
FLAGGER_ID = "flagger-id"
CONFIG_TRACKING = "flagger.app/config-tracking"
FINALIZER = "finalizer.flagger.app"

# Flux would take back what this program writes to objects that it finds in Git.
_LEAVE_TO_US = {
    "helm.toolkit.fluxcd.io/driftDetection": "disabled",
    "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
}
_FLUX = "toolkit.fluxcd.io"
_NOT_COPIED = frozenset(
    {
        LAST_APPLIED,
        "deployment.kubernetes.io/revision",
        "deprecated.daemonset.template.generation",
    }
)


def primary_name(name: str) -> str:
    """The name of the primary's counterpart of a workload, service or config."""
    return f"{name}-primary"


def canary_name(name: str) -> str:
    """The name of the canary's counterpart of a service."""
    return f"{name}-canary"


def baseline_name(name: str) -> str:
    """The name of the fresh baseline's counterpart of a workload or service."""
    return f"{name}-baseline"


def owned_metadata(
    owner: Object, name: str, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> Object:
    """Metadata of an object that goes when the canary goes."""
    return {
        "name": name,
        "namespace": owner["metadata"]["namespace"],
        "labels": dict(labels),
        "annotations": {**without_flux(annotations), **_LEAVE_TO_US},
        "ownerReferences": [owner_reference(owner)],
    }


def left_alone(canary: Object, metadata: Object, observed: Object | None) -> Object:
    """The metadata without the labels and annotations that `spec.service.unmanagedMetadata` says are others', where others
    gave them a value.
    """
    shape = canary["spec"].get("service") or {}
    unmanaged, found = shape.get("unmanagedMetadata") or {}, dict(metadata)
    served = (observed or {}).get("metadata") or {}
    for part in ("labels", "annotations"):
        if part in found:
            theirs = {*(unmanaged.get(part) or ())} & {*(served.get(part) or ())}
            found[part] = {k: v for k, v in found[part].items() if k not in theirs}
    return found


def without_flux(annotations: Mapping[str, str]) -> dict[str, str]:
    """Annotations that may be copied to a generated object."""
    return {k: v for k, v in annotations.items() if _FLUX not in k and k not in _NOT_COPIED}


def labels_with_prefix(labels: Mapping[str, str], prefixes: Iterable[str]) -> dict[str, str]:
    """The labels that `-include-label-prefix` lets through: none by default, all with `*`."""
    wanted = tuple(prefix for prefix in prefixes if prefix)
    return {
        k: v
        for k, v in labels.items()
        if _FLUX not in k and any(p == "*" or k.startswith(p) for p in wanted)
    }


def is_controlled_by(obj: Object, owner: Object) -> bool:
    """Whether the canary made this object, rather than found it."""
    references = obj["metadata"].get("ownerReferences") or ()
    return any(r.get("controller") and r.get("uid") == owner["metadata"]["uid"] for r in references)
