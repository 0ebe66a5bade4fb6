"""Giving up on a revision: traffic first, then the pods, then the verdict. Pure."""

from __future__ import annotations

from rollout.api.canary.status import Phase
from rollout.delivery.actions import Decision, Event, Settle
from rollout.delivery.alerts.alert import Alert, Severity
from rollout.delivery.phases.pods import scale_to_zero
from rollout.delivery.situation import Situation


def roll_back(
    here: Situation, *reasons: str, alert: str, severity: Severity = Severity.ERROR
) -> Decision:
    """Everything back to the primary, no pods of the target, phase Failed; the primary is not touched.

    `alert` is what people are told of it.
    """
    messages = (*reasons, f"Canary failed! Scaling down {here.name}")
    tracked = here.fresh_status.tracking(here.revision, here.configs)
    return Decision(
        actions=(
            *here.upkeep(0),
            Settle(here.snapshot.settings.settle_seconds),
            *scale_to_zero(here),
        ),
        status=tracked.enter(Phase.FAILED, here.now, kind=here.kind),
        events=tuple(Event(message, warning=True) for message in messages),
        alerts=(Alert(alert, severity),),
    )
