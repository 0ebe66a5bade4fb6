"""A canary that is being deleted and has promised to give everything back: the target serves again before it goes."""

from __future__ import annotations

import json

from rollout.api.canary.status import Phase
from rollout.api.kinds import SERVICE
from rollout.delivery.actions import Action, Apply, Decision, Event, SetFinalizers, Settle
from rollout.delivery.objects.metadata import FINALIZER, LAST_APPLIED, is_controlled_by
from rollout.delivery.objects.services import Side, service_name
from rollout.delivery.phases.baseline import removed
from rollout.delivery.phases.pods import scale
from rollout.delivery.readiness import Waiting
from rollout.delivery.routing.kubernetes import full_replicas
from rollout.delivery.situation import Situation
from rollout.delivery.snapshot import Snapshot
from rollout.kube.objects import Object, annotations_of


def has_finalizer(snapshot: Snapshot) -> bool:
    """Whether the canary waits for us before it goes."""
    return FINALIZER in (snapshot.obj["metadata"].get("finalizers") or ())


def let_go(snapshot: Snapshot) -> SetFinalizers:
    """No longer hold the canary back."""
    finalizers = snapshot.obj["metadata"].get("finalizers") or ()
    return SetFinalizers(tuple(each for each in finalizers if each != FINALIZER))


def hold(snapshot: Snapshot) -> SetFinalizers:
    """Make the canary's deletion wait for us."""
    return SetFinalizers((*(snapshot.obj["metadata"].get("finalizers") or ()), FINALIZER))


def decide_deletion(here: Situation) -> Decision:
    """The next move of a canary that is being deleted."""
    if here.status.phase is not Phase.TERMINATING:
        return Decision(
            status=here.fresh_status.enter(Phase.TERMINATING, here.now, kind=here.kind),
            events=(Event(f"Terminating canary {here.name}"),),
        )
    wanted = _wanted(here)
    if here.target_kind.pods(here.target) < wanted:
        return Decision(actions=scale(here, wanted), status=here.status)
    state = here.target_ready
    if isinstance(state, Waiting):
        message = f"{here.canary_words} not ready: {state.message}"
        return here.wait(message, share=None, until=state.until)
    settle = Settle(here.snapshot.settings.settle_seconds)
    return Decision(
        actions=(
            *_apex_given_back(here),
            *_sides_left(here),
            *here.router.original(here.obj, here.snapshot.seen),
            settle,
            *removed(here),
            let_go(here.snapshot),
        ),
        status=here.status,
        events=(Event(f"Terminated canary {here.name}"),),
    )


def _wanted(here: Situation) -> int:
    """How many pods of the target have to serve before the primary's go."""
    if not here.target_kind.makes_pods:
        return 0
    return full_replicas(here.primary) if here.primary is not None else 1


def _apex_given_back(here: Situation) -> tuple[Action, ...]:
    """The apex service selects the target's pods again: as kubectl last applied it, or by the target's label."""
    if not here.has_services:
        return ()
    name = service_name(here.obj, Side.APEX)
    served = here.snapshot.seen(SERVICE, name)
    if served is None:
        return ()
    selector = {here.label[0]: here.label[1]}
    if not is_controlled_by(served, here.obj):
        selector = _applied_selector(served) or selector
    desired = {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": {"name": name, "namespace": here.canary.namespace},
        "spec": {"selector": selector},
    }
    return (Apply(SERVICE, desired, exact=("spec.selector",)),)


def _sides_left(here: Situation) -> tuple[Action, ...]:
    """Where the route is somebody else's it goes on naming both sides' services: they stay, and select the target's pods."""
    if here.canary.spec.route_ref is None:
        return ()
    pods = here.target_kind.makes_pods
    selector = {here.label[0]: here.label[1]} if pods else here.target["spec"].get("selector")
    return tuple(
        Apply(
            SERVICE,
            {
                "metadata": {
                    "name": name,
                    "namespace": here.canary.namespace,
                    "ownerReferences": None,
                },
                "spec": {"selector": selector},
            },
            exact=("spec.selector",),
        )
        for side in (Side.PRIMARY, Side.CANARY)
        if here.snapshot.seen(SERVICE, name := service_name(here.obj, side)) is not None
    )


def _applied_selector(served: Object) -> dict[str, str] | None:
    try:
        applied = json.loads(annotations_of(served)[LAST_APPLIED])
        selector = applied["spec"]["selector"]
    except (KeyError, ValueError, TypeError):
        return None
    return selector if isinstance(selector, dict) else None
