"""What becomes of the target's pods and the primary's: made, promoted, scaled, and kept. Pure.

Knows the situation; when any of it is to be is the phases' business.
"""

from __future__ import annotations

from rollout.api.kinds import POD_DISRUPTION_BUDGET
from rollout.delivery.actions import Action, Apply, Scale
from rollout.delivery.objects.budgets import budgets
from rollout.delivery.objects.configs import primary_config
from rollout.delivery.objects.metadata import primary_name
from rollout.delivery.objects.scalers import Scaler, scaler_of
from rollout.delivery.situation import Situation
from rollout.kube.objects import labels_of


def create_primary(here: Situation) -> tuple[Action, ...]:
    """The primary as the target is now, and its copies of the tracked configs."""
    kind = here.target_kind
    made = kind.created(here.source, max(1, kind.pods(here.target)))
    return (*_copies(here), Apply(kind.kind, made))


def promote_primary(here: Situation) -> tuple[Action, ...]:
    """The target's revision and configs, copied to the primary, and what keeps its pods."""
    kind = here.target_kind
    promoted = Apply(kind.kind, kind.promoted(here.source), exact=kind.exact)
    return (*_copies(here), promoted, *guards(here))


def guards(here: Situation) -> tuple[Action, ...]:
    """The primary's own scaler and disruption budget, as the target's are."""
    prefixes = here.snapshot.settings.include_label_prefixes
    found: list[Action] = []
    if (scaler := _scaler(here)) is not None and not scaler.problem:
        name = primary_name(scaler.source["metadata"]["name"])
        found.append(scaler.primarys(here.snapshot.seen(scaler.kind, name), prefixes))
    if here.target_kind.makes_pods:
        labels = labels_of(here.target_kind.template(here.target))
        served = here.snapshot.all_seen(POD_DISRUPTION_BUDGET)
        found += budgets(here.obj, labels, here.label, served, prefixes)
    return tuple(found)


def scaler_problem(here: Situation) -> str:
    """Why the target's scaler cannot be acted upon, with the remedy; empty where it can."""
    named = scaler_of(here.obj)
    if named is None:
        return ""
    scaler = _scaler(here)
    if scaler is None:
        problem = f"there is no {named[0].kind} {named[1]!r} (create it, or correct the name)"
    else:
        problem = scaler.problem
    return f"Canary {here.name}: spec.autoscalerRef.name: {problem}" if problem else ""


def scale_up(here: Situation) -> tuple[Action, ...]:
    """As many pods of the target as it asks for; where it asks for none, as its scaler does, else as the primary has;
    where shares of pods are shares of the work, one.
    """
    kind, scaler = here.target_kind, _scaler(here)
    if here.canary.spec.analysis.replica_ratio:
        return scale(here, 1)
    wanted = kind.pods(here.target)
    if not wanted and scaler is not None:
        wanted = scaler.least
    elif not wanted and here.primary is not None:
        wanted = kind.pods(here.primary)
    return scale(here, max(1, wanted))


def scale_to_zero(here: Situation) -> tuple[Action, ...]:
    """No pods of the target; its scaler must not make any."""
    return (*asleep(here), *scale(here, 0))


def scale(here: Situation, pods: int) -> tuple[Action, ...]:
    """So many pods of the target, where it makes any; its scaler may act from one on."""
    kind, scaler = here.target_kind, _scaler(here)
    if not kind.makes_pods:
        return ()
    awake = scaler.paused(paused=False) if scaler and pods else ()
    return (*awake, Scale(kind.kind, here.canary.target_name, pods))


def asleep(here: Situation) -> tuple[Action, ...]:
    """The target's scaler, kept from waking the target."""
    scaler = _scaler(here)
    return scaler.paused(paused=True) if scaler else ()


def _scaler(here: Situation) -> Scaler | None:
    """The target's scaler, where it has one that is there."""
    kind, name = scaler_of(here.obj) or (None, "")
    source = here.snapshot.seen(kind, name) if kind else None
    return Scaler(owner=here.obj, kind=kind, source=source) if kind and source else None


def _copies(here: Situation) -> tuple[Apply, ...]:
    prefixes = here.snapshot.settings.include_label_prefixes
    return tuple(
        Apply(
            ref.kind,
            primary_config(here.obj, here.snapshot.configs[ref], ref.kind, prefixes),
            exact=("data", "binaryData"),
        )
        for ref in sorted(here.snapshot.configs)
    )
