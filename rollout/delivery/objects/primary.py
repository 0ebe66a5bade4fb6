"""The primary's pods: the target's template with labels, selectors and configs of their own.

Names, labels, annotations and what is copied when are Flagger's contract. Knows no kind of workload.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rollout.delivery.objects.configs import ConfigRef, with_primary_configs
from rollout.delivery.objects.metadata import FLAGGER_ID, primary_name, without_flux
from rollout.kube.objects import Object, annotations_of

# Neither tells anything of the target: who copied the template, and that the primary's pods were restarted by hand.
_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_PRIMARYS_OWN = (FLAGGER_ID, _RESTARTED_AT)


def selector_label(target: Object, candidates: Iterable[str]) -> tuple[str, str] | None:
    """The label that tells the target's pods from the primary's: the first candidate that its selector uses."""
    labels = (target["spec"].get("selector") or {}).get("matchLabels") or {}
    return next(((name, labels[name]) for name in candidates if name in labels), None)


def primary_template(
    template: Object, label: tuple[str, str], configs: Iterable[ConfigRef], flagger_id: str
) -> Object:
    """The template of the primary's pods."""
    name, value = label
    result = with_primary_configs(template, configs)
    metadata: Object = result.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), name: primary_name(value)}
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    metadata["annotations"] = {**without_flux(annotations), FLAGGER_ID: flagger_id}
    for selector in pod_selectors(result.get("spec") or {}):
        select_primary(selector, label)
    return result


def flagger_id_of(template: Object) -> str:
    """Which promotion a template came from; empty where it does not say."""
    metadata = template.get("metadata") or {}
    return str((metadata.get("annotations") or {}).get(FLAGGER_ID, ""))


def same_template(copied: Object, served: Object, source: Object) -> bool:
    """Whether a primary's template is what is copied of a source, whoever copied it."""
    wanted = annotations_of(source)
    own = [name for name in _PRIMARYS_OWN if name not in wanted]
    return _without_annotations(copied, own) == _without_annotations(served, own)


def _without_annotations(template: Object, names: Iterable[str]) -> Object:
    metadata = {k: v for k, v in (template.get("metadata") or {}).items() if v}
    annotations = dict(metadata.pop("annotations", {}))
    for name in names:
        annotations.pop(name, None)
    return {**template, "metadata": {**metadata, "annotations": annotations}}


def pod_selectors(spec: Object) -> list[Object]:
    """The LabelSelectors in a pod's spec that keep pods of its kind apart."""
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


def select_primary(selector: Object, label: tuple[str, str]) -> None:
    """Make a LabelSelector that is about the target's pods be about the primary's, in place."""
    name, value = label
    select(selector, name, value, primary_name(value))


def select(selector: Object, label: str, old: str, new: str) -> None:
    """Make a LabelSelector that is about pods whose `label` is `old` be about those where it is `new`, in place."""
    labels = selector.get("matchLabels") or {}
    if labels.get(label) == old:
        labels[label] = new
    for expression in selector.get("matchExpressions") or ():
        if expression.get("key") == label and expression.get("values"):
            expression["values"] = [new if each == old else each for each in expression["values"]]
