"""Nothing under way: keep what is there, and begin when the target has a new revision."""

from __future__ import annotations

from dataclasses import replace

from rollout.api.canary.status import Phase
from rollout.delivery.actions import Decision, Event
from rollout.delivery.phases.decide_bootstrap import create_primary
from rollout.delivery.readiness import Ready, Stuck
from rollout.delivery.refusals import Refusal
from rollout.delivery.situation import Situation


def decide_settled(here: Situation) -> Decision:
    """The next move of a canary that is initialized, promoted or rolled back."""
    share = here.status.canary_weight
    if here.primary is None:
        return _restore_primary(here)
    if not here.changed:
        status = here.fresh_status
        if here.revision != status.last_applied_spec:
            # Back at the promoted template by hand: what failed before is a change again if it returns.
            status = replace(status, last_applied_spec=here.revision)
        return Decision(actions=here.upkeep(share), status=status)
    state = here.primary_ready
    if not here.canary.spec.skip_analysis and not isinstance(state, Ready) and state is not None:
        message = f"{here.primary_name} not ready: {state.message}"
        if isinstance(state, Stuck):
            return here.refuse(
                Refusal.PRIMARY_NOT_READY,
                f"{message}; a new revision of {here.target_name} waits until the primary serves",
                share=share,
            )
        return here.wait(message, share=share, until=state.until)
    tracked = here.fresh_status.tracking(here.revision, here.configs)
    return Decision(
        actions=(*here.upkeep(0), here.scale_up()),
        status=tracked.enter(Phase.PROGRESSING, here.now, kind=here.kind),
        events=(Event(f"New revision detected! Scaling up {here.target_name}"),),
    )


def _restore_primary(here: Situation) -> Decision:
    """Somebody deleted the primary. Only the promoted revision may take its place."""
    if here.revision == here.status.last_promoted_spec:
        return Decision(actions=(*here.copies(), create_primary(here)), status=here.fresh_status)
    return here.refuse(
        Refusal.PRIMARY_MISSING,
        f"Deployment {here.primary_name} is gone and spec.template of {here.target_name} is not the"
        " revision that was promoted last; set it back to that revision, or recreate the Canary",
    )
