"""After a verdict: the hooks that are told of it, once; a condition keeps them from being forgotten or told twice."""

from __future__ import annotations

from dataclasses import replace

from rollout.delivery.actions import Decision, Event
from rollout.delivery.hooks.call import HookType
from rollout.delivery.hooks.consult import Asking, consult
from rollout.delivery.phases.gates import asking, passed
from rollout.delivery.refusals import POST_ROLLOUT
from rollout.delivery.situation import Situation
from rollout.delivery.status import Status


def is_pending(status: Status) -> bool:
    """Whether post-rollout hooks still have to be called."""
    condition = status.condition(POST_ROLLOUT)
    return condition is not None and condition.status == "Unknown"


def decide_after(here: Situation) -> Decision:
    """Call them, in order and up to the first that fails, and note how it went."""
    share, type_ = here.status.canary_weight, HookType.POST_ROLLOUT
    answered = consult(here, type_)
    if isinstance(answered, Asking):
        return asking(here, answered, share)
    told = passed(type_, answered)
    decision = Decision(actions=here.kept(share), status=here.fresh_status, events=told)
    if answered.refused is not None:
        message = f"Post-rollout hook {answered.refused.name} failed {answered.reason}"
        status = here.fresh_status.with_condition(
            POST_ROLLOUT, "False", "Failed", message, here.now
        )
        return replace(decision, status=status, events=(*told, Event(message, warning=True)))
    if not answered.agreed:
        return replace(decision, status=here.fresh_status.without_condition(POST_ROLLOUT))
    message = "Post-rollout hooks were called."
    status = here.fresh_status.with_condition(POST_ROLLOUT, "True", "Called", message, here.now)
    return replace(decision, status=status)
