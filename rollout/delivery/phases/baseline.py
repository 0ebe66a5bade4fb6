"""The fresh baseline's life: there from the beginning of an analysis to its end, and no longer than that. Pure.

It follows from the phase alone, so whatever ended a run, and whoever died in it, the next look takes away what is left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rollout.api.kinds import SERVICE, Kind
from rollout.delivery.actions import Action, Apply, Decision, Delete, SetRoutes, Settle
from rollout.delivery.objects.baseline import EXACT, baseline
from rollout.delivery.objects.metadata import is_controlled_by
from rollout.delivery.objects.services import Side, service_name
from rollout.delivery.readiness import Ready, Stuck, Waiting
from rollout.delivery.refusals import Refusal
from rollout.delivery.situation import Situation
from rollout.delivery.status import UNDER_ANALYSIS


def with_baseline(here: Situation, decision: Decision) -> Decision:
    """The decision, with the baseline as it should be while the analysis goes on."""
    goes_on = here.compares_afresh and decision.status.phase in UNDER_ANALYSIS
    if not goes_on or here.primary is None or _taken(here):
        return decision
    kind = here.target_kind
    made = baseline(
        here.obj,
        here.primary,
        here.canary.target_name,
        here.label,
        judged=here.promotion,
        pods=max(1, kind.pods(here.target)),
        prefixes=here.snapshot.settings.include_label_prefixes,
    )
    kept = (here.service(Side.BASELINE), Apply(kind.kind, made, exact=EXACT))
    return replace(decision, actions=(*kept, *decision.actions))


def not_ready(here: Situation) -> Decision | None:
    """What to do while the baseline's pods cannot have requests: the canary waits, and does not fail for it."""
    if not here.compares_afresh:
        return None
    share = here.status.canary_weight
    if taken := _taken(here):
        mend = "delete or rename it, or set spec.analysis.judge.baseline to primary"
        message = f"{here.baseline_words} cannot be made: {taken} is somebody else's ({mend})"
        return here.refuse(Refusal.BASELINE_NOT_READY, message, share=share)
    state = here.baseline_ready
    match state:
        case None:
            return Decision(actions=here.kept(share), status=here.fresh_status)
        case Ready():
            return None
        case Waiting():
            message = f"{here.baseline_words} not ready: {state.message}"
            return here.wait(message, share=share, until=state.until)
        case Stuck():
            message = (
                f"Halt {here.name} advancement {here.baseline_words} not ready: {state.message} (its pods are"
                " copies of the primary's: mend what keeps them from starting, or set spec.analysis.judge.baseline"
                " to primary)"
            )
            return here.refuse(Refusal.BASELINE_NOT_READY, message, share=share)


def tidied(here: Situation, decision: Decision) -> Decision:
    """The decision, with what is left of a baseline taken away once no requests go there."""
    if here.compares_afresh or not (left := removed(here)):
        return decision
    served = here.weights
    if served is None or not served.baseline:
        return replace(decision, actions=(*decision.actions, *left))
    if not any(isinstance(action, SetRoutes) for action in decision.actions):
        return decision
    settle = Settle(here.snapshot.settings.settle_seconds)
    return replace(decision, actions=(*decision.actions, settle, *left))


def removed(here: Situation) -> tuple[Action, ...]:
    """The removal of all that is there of a baseline; its pods first."""
    return tuple(
        Delete(kind, name)
        for kind, name in _parts(here)
        if (found := here.snapshot.seen(kind, name)) is not None
        and is_controlled_by(found, here.obj)
    )


def _parts(here: Situation) -> Iterator[tuple[Kind, str]]:
    yield here.target_kind.kind, here.canary.baseline_name
    for kind in (*here.router.kinds(), SERVICE):
        yield kind, service_name(here.obj, Side.BASELINE)


def _taken(here: Situation) -> str:
    """What has the name of a part of the baseline and is not the canary's; empty where nothing has."""
    for kind, name in _parts(here):
        found = here.snapshot.seen(kind, name)
        if found is not None and not is_controlled_by(found, here.obj):
            return f"{kind.kind} {name}"
    return ""
