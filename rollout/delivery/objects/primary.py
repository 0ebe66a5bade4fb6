"""The primary Deployment: the target's copy that takes the traffic, and what a promotion changes in it.

Names, labels, annotations and what is copied when are Flagger's contract.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rollout.api.kinds import DEPLOYMENT
from rollout.delivery.objects.configs import ConfigRef, with_primary_configs
from rollout.delivery.objects.metadata import (
    FLAGGER_ID,
    labels_with_prefix,
    owned_metadata,
    primary_name,
    without_flux,
)
from rollout.kube.objects import Object, annotations_of, labels_of

_PROMOTED_FIELDS = (
    "progressDeadlineSeconds",
    "minReadySeconds",
    "revisionHistoryLimit",
    "strategy",
)

# Neither tells anything of the target: who copied the template, and that the primary's pods were restarted by hand.
_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_PRIMARYS_OWN = (FLAGGER_ID, _RESTARTED_AT)

PROMOTED_EXACTLY = ("spec.template", "spec.strategy")
"""Where a promoted primary must be just as desired, removals included."""


def selector_label(target: Object, candidates: Iterable[str]) -> tuple[str, str] | None:
    """The label that tells the target's pods from the primary's: the first candidate that its selector uses."""
    labels = (target["spec"].get("selector") or {}).get("matchLabels") or {}
    return next(((name, labels[name]) for name in candidates if name in labels), None)


def new_primary(
    owner: Object,
    target: Object,
    label: tuple[str, str],
    *,
    configs: Iterable[ConfigRef],
    flagger_id: str,
    replicas: int,
    prefixes: Iterable[str],
) -> Object:
    """The primary as it is created, from the target as it is."""
    name, value = label
    labels = {**labels_with_prefix(labels_of(target), prefixes), name: primary_name(value)}
    promoted = promoted_primary(target, label, configs=configs, flagger_id=flagger_id)
    return {
        **promoted,
        "metadata": owned_metadata(
            owner, promoted["metadata"]["name"], labels, annotations_of(target)
        ),
        "spec": {
            **promoted["spec"],
            "replicas": replicas,
            "selector": {"matchLabels": {name: primary_name(value)}},
        },
    }


def promoted_primary(
    target: Object, label: tuple[str, str], *, configs: Iterable[ConfigRef], flagger_id: str
) -> Object:
    """What a promotion makes of the primary; its replicas, selector and metadata stay as they are."""
    spec = target["spec"]
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "metadata": {
            "name": primary_name(target["metadata"]["name"]),
            "namespace": target["metadata"]["namespace"],
        },
        "spec": {
            **{field: spec[field] for field in _PROMOTED_FIELDS if field in spec},
            "template": _template(spec["template"], label, configs, flagger_id),
        },
    }


def _template(
    template: Object, label: tuple[str, str], configs: Iterable[ConfigRef], flagger_id: str
) -> Object:
    name, value = label
    result = with_primary_configs(template, configs)
    metadata: Object = result.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), name: primary_name(value)}
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    metadata["annotations"] = {**without_flux(annotations), FLAGGER_ID: flagger_id}
    for selector in _pod_selectors(result.get("spec") or {}):
        _select_primary(selector, label)
    return result


def flagger_id_of(primary: Object) -> str:
    """Which promotion the primary's template came from; empty where it does not say."""
    metadata = primary["spec"]["template"].get("metadata") or {}
    return str((metadata.get("annotations") or {}).get(FLAGGER_ID, ""))


def runs_target(
    primary: Object, target: Object, label: tuple[str, str], configs: Iterable[ConfigRef]
) -> bool:
    """Whether the primary's template is the copy of the target's, whoever made it."""
    copied = promoted_primary(target, label, configs=configs, flagger_id="")
    ours, theirs = copied["spec"]["template"], primary["spec"]["template"]
    wanted = annotations_of(target["spec"]["template"])
    own = [name for name in _PRIMARYS_OWN if name not in wanted]
    return _without_annotations(ours, own) == _without_annotations(theirs, own)


def _without_annotations(template: Object, names: Iterable[str]) -> Object:
    metadata = {k: v for k, v in (template.get("metadata") or {}).items() if v}
    annotations = dict(metadata.pop("annotations", {}))
    for name in names:
        annotations.pop(name, None)
    return {**template, "metadata": {**metadata, "annotations": annotations}}


def _pod_selectors(spec: Object) -> list[Object]:
    anti = (spec.get("affinity") or {}).get("podAntiAffinity") or {}
    terms = [
        *(anti.get("requiredDuringSchedulingIgnoredDuringExecution") or ()),
        *(
            preferred.get("podAffinityTerm") or {}
            for preferred in anti.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        ),
        *(spec.get("topologySpreadConstraints") or ()),
    ]
    return [term["labelSelector"] for term in terms if term.get("labelSelector")]


def _select_primary(selector: Object, label: tuple[str, str]) -> None:
    name, value = label
    labels = selector.get("matchLabels") or {}
    if labels.get(name) == value:
        labels[name] = primary_name(value)
    for expression in selector.get("matchExpressions") or ():
        if expression.get("key") == name and expression.get("values"):
            expression["values"] = [
                primary_name(value) if each == value else each for each in expression["values"]
            ]
