"""PodDisruptionBudgets: what keeps a drained node from taking too many of the target's pods keeps it from the primary's.

Flagger leaves this to its users. Here a budget that selects the target's pods gets a copy that selects the primary's,
unless some budget does already: two budgets for one pod would let nobody evict it. Pure.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

from rollout.api.kinds import POD_DISRUPTION_BUDGET
from rollout.delivery.actions import Apply, Delete
from rollout.delivery.objects.metadata import (
    is_controlled_by,
    labels_with_prefix,
    owned_metadata,
    primary_name,
)
from rollout.delivery.objects.primary import select_primary
from rollout.kube.objects import Object, Objects, labels_of, selector_matches


def budgets(
    owner: Object,
    pod_labels: dict[str, str],
    label: tuple[str, str],
    served: Objects,
    prefixes: Iterable[str] = (),
) -> tuple[Apply | Delete, ...]:
    """The writes for the budgets of the primary's pods, from all that the namespace has; `pod_labels` are the target's."""
    name, value = label
    primarys = {**pod_labels, name: primary_name(value)}
    others = [each for each in served if not is_controlled_by(each, owner)]
    wanted: dict[str, Object] = {}
    if not any(_selects(each, primarys) for each in others):
        # One is enough for a pod, and all that one may have.
        source = next((each for each in others if _selects(each, pod_labels)), None)
        if source is not None:
            made = _copy(owner, source, label, prefixes)
            if _selects(made, primarys) and not _selects(made, pod_labels):
                wanted[made["metadata"]["name"]] = made
    taken = {each["metadata"]["name"] for each in others}
    ours = [each["metadata"]["name"] for each in served if is_controlled_by(each, owner)]
    return (
        *(Delete(POD_DISRUPTION_BUDGET, each) for each in sorted(ours) if each not in wanted),
        *(
            Apply(POD_DISRUPTION_BUDGET, wanted[each], exact=("spec",))
            for each in sorted(wanted)
            if each not in taken
        ),
    )


def _selects(budget: Object, labels: dict[str, str]) -> bool:
    return selector_matches((budget.get("spec") or {}).get("selector"), labels)


def _copy(owner: Object, source: Object, label: tuple[str, str], prefixes: Iterable[str]) -> Object:
    spec = copy.deepcopy(source["spec"])
    select_primary(spec["selector"], label)
    labels = labels_with_prefix(labels_of(source), prefixes)
    name = primary_name(source["metadata"]["name"])
    return {
        "apiVersion": POD_DISRUPTION_BUDGET.api_version,
        "kind": POD_DISRUPTION_BUDGET.kind,
        "metadata": owned_metadata(owner, name, labels, {}),
        "spec": spec,
    }
