"""Nothing under way: keep what is there, and begin when the target has a new revision."""

from __future__ import annotations

from dataclasses import replace

from rollout.delivery.actions import Decision
from rollout.delivery.hooks.call import HookType
from rollout.delivery.hooks.consult import Asking, consult
from rollout.delivery.phases.decide_after import decide_after, is_pending
from rollout.delivery.phases.gates import asking, begin, halted_rollout
from rollout.delivery.phases.pods import asleep, create_primary, guards, scaler_problem
from rollout.delivery.readiness import Ready, Stuck
from rollout.delivery.refusals import Refusal
from rollout.delivery.situation import Situation


def decide_settled(here: Situation) -> Decision:
    """The next move of a canary that is initialized, promoted or rolled back."""
    share = here.status.canary_weight
    if here.primary is None:
        return _restore_primary(here)
    if is_pending(here.status):
        return decide_after(here)
    if not here.changed:
        status = here.fresh_status
        if here.revision != status.last_applied_spec:
            # Back at the promoted template by hand: what failed before is a change again if it returns.
            status = replace(status, last_applied_spec=here.revision)
        # While the canary has the traffic after all, its scaler has to go on.
        sleeping = asleep(here) if not share else ()
        promoted = here.revision == status.last_promoted_spec
        kept = guards(here) if promoted else ()
        return Decision(actions=(*here.kept(share), *kept, *sleeping), status=status)
    if problem := scaler_problem(here):
        return here.refuse(Refusal.SCALER_UNUSABLE, problem, share=share)
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
    approval = consult(here, HookType.CONFIRM_ROLLOUT)
    if isinstance(approval, Asking):
        return asking(here, approval, share)
    return begin(here) if approval.refused is None else halted_rollout(here, approval.refused)


def _restore_primary(here: Situation) -> Decision:
    """Somebody deleted the primary. Only the promoted revision may take its place."""
    if here.revision == here.status.last_promoted_spec:
        return Decision(actions=create_primary(here), status=here.fresh_status)
    return here.refuse(
        Refusal.PRIMARY_MISSING,
        f"{here.kind} {here.primary_name} is gone and {here.target_name} is not at the"
        " revision that was promoted last; set it back to that revision, or recreate the Canary",
    )
