"""What every change of phase entails, whichever way it came about: the alert, and post-rollout hooks at the end. Pure."""

from __future__ import annotations

from dataclasses import replace

from rollout.api.canary.status import Phase
from rollout.delivery.actions import Decision
from rollout.delivery.alerts.alert import Alert, Severity
from rollout.delivery.hooks.call import HookType
from rollout.delivery.refusals import POST_ROLLOUT
from rollout.delivery.situation import Situation

_VERDICTS = frozenset({Phase.SUCCEEDED, Phase.FAILED})


def announced(here: Situation, decision: Decision) -> Decision:
    """The decision, with what follows from its change of phase."""
    before, after = here.status.phase, decision.status.phase
    if before is after or before is Phase.TERMINATING:
        return decision
    # From Waiting back to a verdict nothing was rolled out: the revision was withdrawn.
    if after in _VERDICTS and before is not Phase.WAITING:
        decision = _with_pending_hooks(here, decision)
    elif after not in _VERDICTS:
        decision = replace(decision, status=decision.status.without_condition(POST_ROLLOUT))
    if decision.alerts or (before is Phase.WAITING and after in _VERDICTS):
        return decision
    alert = _alert(here, after)
    return replace(decision, alerts=(alert,)) if alert else decision


def _with_pending_hooks(here: Situation, decision: Decision) -> Decision:
    hooks = here.canary.spec.analysis.webhooks
    status = decision.status.without_condition(POST_ROLLOUT)
    if any(hook.type == HookType.POST_ROLLOUT.value for hook in hooks):
        message = "Post-rollout hooks are being called."
        status = status.with_condition(POST_ROLLOUT, "Unknown", "Pending", message, here.now)
    return replace(decision, status=status)


def _alert(here: Situation, phase: Phase) -> Alert | None:
    match phase:
        case Phase.INITIALIZED:
            message = f"New {here.kind} detected, initialization completed."
            return Alert(message, Severity.INFO, details=True)
        case Phase.PROGRESSING:
            message = "New revision detected, progressing canary analysis."
            return Alert(message, Severity.INFO, details=True)
        case Phase.SUCCEEDED if here.canary.spec.skip_analysis:
            return Alert("Canary analysis was skipped, promotion finished.", Severity.INFO)
        case Phase.SUCCEEDED:
            message = "Canary analysis completed successfully, promotion finished."
            return Alert(message, Severity.INFO)
        case _:
            return None
