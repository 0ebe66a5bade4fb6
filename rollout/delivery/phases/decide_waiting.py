"""A new revision that waits for approval: asked for once an interval, without a limit. Nothing of it runs yet."""

from __future__ import annotations

from dataclasses import replace

from rollout.api.canary.status import Phase
from rollout.delivery.actions import Decision
from rollout.delivery.hooks.call import HookType
from rollout.delivery.hooks.consult import Asking, consult
from rollout.delivery.phases.gates import asking, begin, passed, resting
from rollout.delivery.revision import has_changed
from rollout.delivery.situation import Situation


def decide_waiting(here: Situation) -> Decision:
    """The next move of a canary that waits to begin."""
    share = here.status.canary_weight
    settled = replace(here.status, phase=Phase.SUCCEEDED)
    if not has_changed(settled, here.revision, here.configs):
        return _withdrawn(here)
    if here.snapshot.rest is not None and here.now < here.snapshot.rest:
        rest = here.snapshot.rest
        return Decision(actions=here.kept(share), status=here.status, wake=rest, rest=rest)
    approval = consult(here, HookType.CONFIRM_ROLLOUT)
    if isinstance(approval, Asking):
        return asking(here, approval, share)
    if approval.refused is not None:
        return resting(here, share)
    return begin(here, *passed(HookType.CONFIRM_ROLLOUT, approval))


def _withdrawn(here: Situation) -> Decision:
    """The target is back at a revision that was dealt with: its verdict stands."""
    status, share = here.fresh_status, here.status.canary_weight
    promoted = here.revision == status.last_promoted_spec
    phase = Phase.SUCCEEDED if promoted else Phase.FAILED
    settled = replace(status, last_applied_spec=here.revision).enter(
        phase, here.now, kind=here.kind
    )
    return Decision(actions=here.kept(share), status=replace(settled, canary_weight=share))
