"""The fresh baseline: a copy of the primary as it serves, with as many pods as the canary, begun when the canary was.

The primary's caches are warm, its connections old and its pods many; fresh pods of its version differ from the canary by the
version alone. Pure; knows nothing of when there is to be one, nor of routes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

from rollout.api.kinds import DEPLOYMENT
from rollout.delivery.objects.metadata import (
    baseline_name,
    labels_with_prefix,
    owned_metadata,
    primary_name,
)
from rollout.delivery.objects.primary import pod_selectors, select
from rollout.delivery.targets.deployment import DeploymentTarget
from rollout.kube.objects import Object, labels_of

JUDGES = "rollout.dev/judges"
"""The annotation of the baseline's pods that says which revision they are compared with: another one needs fresh pods."""
EXACT = ("spec.template", "spec.strategy")
"""Where a baseline must be just as desired, removals included."""


def baseline(
    owner: Object,
    primary: Object,
    target: str,
    label: tuple[str, str],
    *,
    judged: str,
    pods: int,
    prefixes: Iterable[str] = (),
) -> Object:
    """The baseline's Deployment; `target` is the target's name, `label` its pods', and `judged` the id of what is judged."""
    name, value = label
    own = {name: baseline_name(value)}
    labels = labels_with_prefix(labels_of(primary), prefixes)
    spec = primary["spec"]
    kept = {field: spec[field] for field in DeploymentTarget.promoted_fields if field in spec}
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "metadata": owned_metadata(owner, baseline_name(target), {**labels, **own}, {}),
        "spec": {
            **kept,
            "replicas": pods,
            "selector": {"matchLabels": own},
            "template": _template(spec["template"], label, judged),
        },
    }


def _template(template: Object, label: tuple[str, str], judged: str) -> Object:
    name, value = label
    found = copy.deepcopy(template)
    metadata: Object = found.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), name: baseline_name(value)}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), JUDGES: judged}
    for selector in pod_selectors(found.get("spec") or {}):
        select(selector, name, primary_name(value), baseline_name(value))
    return found


def can_serve(baseline: Object | None) -> bool:
    """Whether a pod of it is available; requests go to it only as long as one is."""
    return baseline is not None and bool((baseline.get("status") or {}).get("availableReplicas"))
