"""A target's scaler (`spec.autoscalerRef`): the primary's copy of it, and how it is kept from waking the target.

HorizontalPodAutoscalers leave a target of 0 pods alone; KEDA's ScaledObjects do not, so they are paused. Names and what is
copied are Flagger's contract. Pure; knows nothing of phases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.api.kinds import HORIZONTAL_POD_AUTOSCALER, SCALED_OBJECT, Kind
from rollout.delivery.actions import Apply
from rollout.delivery.objects.metadata import (
    is_controlled_by,
    labels_with_prefix,
    owned_metadata,
    primary_name,
)
from rollout.kube.objects import Object, annotations_of, labels_of

PAUSED = "autoscaling.keda.sh/paused-replicas"
"""KEDA's annotation: the target is held at so many pods."""
SCALERS: Mapping[str, Kind] = {
    kind.kind: kind for kind in (HORIZONTAL_POD_AUTOSCALER, SCALED_OBJECT)
}
"""What `spec.autoscalerRef` may name, read and written at these versions."""
_SCALED = frozenset({"Deployment", "StatefulSet"})


def scaler_of(canary: Object) -> tuple[Kind, str] | None:
    """The scaler that a canary, which may not be valid, names for a target that can be scaled."""
    spec = canary.get("spec") or {}
    ref, target = spec.get("autoscalerRef"), spec.get("targetRef")
    if not isinstance(ref, dict) or not isinstance(target, dict) or not ref.get("name"):
        return None
    kind = SCALERS.get(str(ref.get("kind")))
    return (kind, str(ref["name"])) if kind and target.get("kind") in _SCALED else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaler:
    """A canary's scaler as served."""

    owner: Object = field(repr=False)
    kind: Kind
    source: Object = field(repr=False)

    @property
    def problem(self) -> str:
        """Why it cannot be the target's, with the remedy; empty where it can."""
        ref = self.source["spec"].get("scaleTargetRef") or {}
        scaled = ref.get("kind") or "Deployment", ref.get("name")
        target = self.owner["spec"]["targetRef"]
        if scaled == (target["kind"], target["name"]):
            return ""
        what = f"{self.kind.kind} {self.source['metadata']['name']!r}"
        return (
            f"{what} scales {scaled[0]} {scaled[1]!r} (set its spec.scaleTargetRef to the target)"
        )

    @property
    def least(self) -> int:
        """How many pods it keeps at least while something is to be done."""
        spec = self.source["spec"]
        names = ("minReplicas", "minReplicaCount")
        return max(1, *(int(spec.get(name) or 0) for name in names))

    def primarys(self, served: Object | None, prefixes: Iterable[str]) -> Apply:
        """The primary's copy; one that was there before keeps its metadata."""
        name = primary_name(self.source["metadata"]["name"])
        metadata: Object = {"name": name, "namespace": self.owner["metadata"]["namespace"]}
        if served is None or is_controlled_by(served, self.owner):
            labels = labels_with_prefix(labels_of(self.source), prefixes)
            metadata = owned_metadata(self.owner, name, labels, {})
        horizontal = self.kind == HORIZONTAL_POD_AUTOSCALER
        spec = self._horizontal() if horizontal else self._keda()
        desired = {
            "apiVersion": self.kind.api_version,
            "kind": self.kind.kind,
            "metadata": metadata,
            "spec": spec,
        }
        return Apply(self.kind, desired, exact=("spec",))

    def paused(self, *, paused: bool) -> tuple[Apply, ...]:
        """Holding the target at 0 pods, or no longer; nothing where nothing has to."""
        if self.kind != SCALED_OBJECT or (PAUSED in annotations_of(self.source)) == paused:
            return ()
        metadata = {k: self.source["metadata"][k] for k in ("name", "namespace")}
        metadata["annotations"] = {PAUSED: "0" if paused else None}
        return (Apply(self.kind, {"metadata": metadata}),)

    @property
    def _ref(self) -> Object:
        found: Object = self.owner["spec"]["autoscalerRef"]
        return found

    def _scale_target(self) -> Object:
        target = self.owner["spec"]["targetRef"]
        ref = self.source["spec"].get("scaleTargetRef") or {}
        return {**ref, "name": primary_name(target["name"])}

    def _bounds(self, least: str, most: str) -> Object:
        given = self._ref.get("primaryScalerReplicas") or {}
        pairs = ((least, "minReplicas"), (most, "maxReplicas"))
        return {name: given[field] for name, field in pairs if given.get(field)}

    def _horizontal(self) -> Object:
        return {
            **self.source["spec"],
            "scaleTargetRef": self._scale_target(),
            **self._bounds("minReplicas", "maxReplicas"),
        }

    def _keda(self) -> Object:
        spec = {
            **self.source["spec"],
            "scaleTargetRef": self._scale_target(),
            **self._bounds("minReplicaCount", "maxReplicaCount"),
        }
        if "triggers" in spec:
            spec["triggers"] = [self._trigger(each) for each in spec["triggers"]]
        advanced = spec.get("advanced") or {}
        horizontal = advanced.get("horizontalPodAutoscalerConfig") or {}
        if name := horizontal.get("name"):
            config = {**horizontal, "name": primary_name(name)}
            spec["advanced"] = {**advanced, "horizontalPodAutoscalerConfig": config}
        return spec

    def _trigger(self, trigger: Object) -> Object:
        metadata: dict[str, Any] = trigger.get("metadata") or {}
        given = self._ref.get("primaryScalerQueries") or {}
        if given:
            query = given.get(trigger.get("name"))
        else:
            query = self._about_primary(metadata.get("query"))
        return {**trigger, "metadata": {**metadata, "query": query}} if query else trigger

    def _about_primary(self, query: object) -> str | None:
        if not isinstance(query, str):
            return None
        name = self.owner["spec"]["targetRef"]["name"]
        for suffix in ("-canary", "-primary"):
            query = query.replace(f"{name}{suffix}", name)
        return query.replace(name, primary_name(name))
