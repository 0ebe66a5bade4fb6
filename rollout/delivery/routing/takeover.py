"""A route that was there before its canary: what is written onto it at first, and how it is given back at the end.

Knows neither weights nor any kind of route.
"""

from __future__ import annotations

import json

from rollout.api.kinds import Kind
from rollout.delivery.actions import Apply, Delete
from rollout.delivery.objects.metadata import (
    LAST_APPLIED,
    ORIGINAL_CONFIGURATION,
    is_controlled_by,
    left_alone,
    owned_metadata,
)
from rollout.kube.objects import Object, annotations_of


def route_metadata(canary: Object, observed: Object | None, name: str) -> Object:
    """Metadata of a route of the canary's own, or of one that was there before: then its spec is kept in an annotation,
    unless kubectl keeps it already.
    """
    custom = canary["spec"]["service"].get("apex") or {}
    if observed is None or is_controlled_by(observed, canary):
        metadata = owned_metadata(
            canary, name, custom.get("labels") or {}, custom.get("annotations") or {}
        )
        return left_alone(canary, metadata, observed)
    metadata = {"name": name, "namespace": canary["metadata"]["namespace"]}
    annotations = annotations_of(observed)
    if not {LAST_APPLIED, ORIGINAL_CONFIGURATION} & annotations.keys():
        metadata["annotations"] = {
            ORIGINAL_CONFIGURATION: json.dumps(observed.get("spec") or {}, sort_keys=True)
        }
    return metadata


def given_back(kind: Kind, canary: Object, observed: Object | None) -> tuple[Apply | Delete, ...]:
    """The route as kubectl last applied it, or as it was when it was taken over; one that the canary brought goes."""
    if observed is None:
        return ()
    name = observed["metadata"]["name"]
    if is_controlled_by(observed, canary):
        return (Delete(kind, name),)
    spec = _original_spec(observed)
    if spec is None:
        return ()
    metadata = {
        "name": name,
        "namespace": canary["metadata"]["namespace"],
        "annotations": {ORIGINAL_CONFIGURATION: None},
    }
    return (Apply(kind, whole(kind, metadata, spec), exact=("spec",)),)


def whole(kind: Kind, metadata: Object, spec: Object) -> Object:
    """A whole object."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": metadata,
        "spec": spec,
    }


def _original_spec(served: Object) -> Object | None:
    annotations = annotations_of(served)
    try:
        if LAST_APPLIED in annotations:
            spec = json.loads(annotations[LAST_APPLIED])["spec"]
        elif ORIGINAL_CONFIGURATION in annotations:
            spec = json.loads(annotations[ORIGINAL_CONFIGURATION])
        else:
            return None
    except (ValueError, KeyError, TypeError):
        return None
    return spec if isinstance(spec, dict) else None
