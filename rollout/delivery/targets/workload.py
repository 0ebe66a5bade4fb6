"""What the kinds that make pods from a template have in common: how such a primary is created and promoted.

Names, labels, annotations and what is copied when are Flagger's contract.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rollout.api.kinds import Kind
from rollout.delivery.objects.metadata import labels_with_prefix, owned_metadata, primary_name
from rollout.delivery.objects.primary import (
    flagger_id_of,
    primary_template,
    same_template,
    selector_label,
)
from rollout.delivery.revision import revision_of
from rollout.delivery.targets.target import Label, Lookup, Source
from rollout.kube.objects import Object, annotations_of, labels_of


class Workload:
    """The common part; `promoted_fields` of the spec go along with every promotion, `created_fields` never change."""

    kind: ClassVar[Kind]
    promoted_fields: ClassVar[tuple[str, ...]] = ()
    created_fields: ClassVar[tuple[str, ...]] = ()
    exact: ClassVar[tuple[str, ...]] = ("spec.template", "spec.strategy", "spec.updateStrategy")
    makes_pods: ClassVar[bool] = True
    names_pods: ClassVar[bool] = True

    def unusable(self, target: Object) -> str:  # noqa: ARG002
        """Every one can be delivered."""
        return ""

    def label(self, target: Object, candidates: Iterable[str]) -> Label | None:
        """The first candidate in the selector's `matchLabels`."""
        return selector_label(target, candidates)

    def template(self, target: Object) -> Object:
        """`spec.template` as it is."""
        found: Object = target["spec"]["template"]
        return found

    def revision(self, target: Object) -> str:
        """The template alone: replicas, labels of the target and the like don't count."""
        return revision_of(self.template(target))

    def pods(self, workload: Object) -> int:
        """`spec.replicas`; absent, it means one."""
        replicas = workload["spec"].get("replicas")
        return 1 if replicas is None else int(replicas)

    def size(self, pods: int) -> Object:
        """What a new spec says of how many pods there are to be."""
        return {"replicas": pods}

    def scaled(self, pods: int) -> Object:
        """So many replicas."""
        return {"spec": self.size(pods)}

    def created(self, source: Source, pods: int) -> Object:
        """A workload of the canary's own, with the target's annotations and the labels that are let through."""
        name, value = source.label
        promoted = self.promoted(source)
        labels = labels_with_prefix(labels_of(source.target), source.prefixes)
        return {
            **promoted,
            "metadata": owned_metadata(
                source.owner,
                promoted["metadata"]["name"],
                {**labels, name: primary_name(value)},
                annotations_of(source.target),
            ),
            "spec": {
                **promoted["spec"],
                **self.size(pods),
                **_fields(source.target, self.created_fields),
                "selector": {"matchLabels": {name: primary_name(value)}},
            },
        }

    def promoted(self, source: Source) -> Object:
        """The target's template and how it rolls; replicas, selector and metadata stay as they are."""
        target = source.target
        template = primary_template(
            self.template(target), source.label, source.configs, source.promotion
        )
        return {
            "apiVersion": self.kind.api_version,
            "kind": self.kind.kind,
            "metadata": {
                "name": primary_name(target["metadata"]["name"]),
                "namespace": target["metadata"]["namespace"],
            },
            "spec": {**_fields(target, self.promoted_fields), "template": template},
        }

    def beside(self, source: Source, seen: Lookup) -> tuple[Object, ...]:  # noqa: ARG002
        """None."""
        return ()

    def promotion_of(self, primary: Object) -> str:
        """What the annotation of the pods says."""
        return flagger_id_of(primary["spec"]["template"])

    def runs(self, primary: Object, source: Source) -> bool:
        """Whether the primary's template is the target's copy."""
        copied = self.promoted(source)["spec"]["template"]
        return same_template(copied, primary["spec"]["template"], self.template(source.target))


def _fields(target: Object, names: Iterable[str]) -> Object:
    spec = target["spec"]
    return {name: spec[name] for name in names if name in spec}
