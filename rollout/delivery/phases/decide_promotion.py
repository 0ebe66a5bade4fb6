"""From a good verdict to the end: the primary rolls, gets its traffic back, and the target is scaled to zero.

Traffic goes back only to a primary that is ready. The target's pods go an interval after their last share, so that the
proxies had time to hear of it.
"""

from __future__ import annotations

from rollout.api.canary.status import Phase
from rollout.delivery.actions import Action, Decision, Event, Settle
from rollout.delivery.alerts.alert import Alert, Severity
from rollout.delivery.phases.pods import scale_to_zero
from rollout.delivery.progress import Progress
from rollout.delivery.readiness import Ready, Stuck, Waiting
from rollout.delivery.refusals import Refusal
from rollout.delivery.routing.router import TOTAL
from rollout.delivery.situation import Situation
from rollout.delivery.strategies import strategy_of
from rollout.delivery.strategies.weighted import next_promotion_weight


def decide_promotion(here: Situation) -> Decision:
    """The next move of a canary that is being promoted."""
    if here.status.phase is Phase.FINALISING:
        return _finalise(here)
    state = here.primary_ready
    if isinstance(state, Stuck):
        return _primary_failed(here, state)
    share = _share(here)
    if not isinstance(state, Ready):
        message = f"{here.primary_name} not ready: {state.message if state else 'it is gone'}"
        until = state.until if isinstance(state, Waiting) else None
        return here.wait(message, share=share, until=until)
    if here.now < here.due:
        return Decision(actions=here.upkeep(share), status=here.fresh_status, wake=here.due)
    return _shift_back(here, next_promotion_weight(here.canary, share))


def _shift_back(here: Situation, share: int) -> Decision:
    in_steps = bool(here.canary.spec.analysis.step_weight_promotion)
    told = (
        f"Advance {here.name} primary weight {TOTAL - share}"
        if in_steps
        else "Routing all traffic to primary"
    )
    # Where nothing was ever the canary's, nothing comes back.
    events = (Event(told),) if share or _share(here) else ()
    status = (
        here.fresh_status.stepped(here.now, Progress(weight=share))
        if share
        else here.fresh_status.enter(Phase.FINALISING, here.now, kind=here.kind)
    )
    return Decision(
        actions=here.upkeep(share),
        status=status,
        events=events,
        wake=here.now + here.interval,
    )


def _share(here: Situation) -> int:
    """The canary's share before the next step back; the status shows none until the first was made."""
    return here.status.canary_weight or strategy_of(here.canary).last_share(here.canary)


def _finalise(here: Situation) -> Decision:
    if here.now < here.due:
        return Decision(actions=here.upkeep(0), status=here.fresh_status, wake=here.due)
    state = here.primary_ready
    if isinstance(state, Waiting | Stuck):
        message = f"{here.primary_name} not ready: {state.message}"
        until = state.until if isinstance(state, Waiting) else None
        return here.wait(message, share=0, until=until)
    if obstacle := here.obstacle:
        return here.refuse(Refusal.ROUTE_REFUSED, obstacle, share=0)
    served = here.weights
    pause: tuple[Action, ...] = ()
    if served is None or served.canary:
        pause = (Settle(here.snapshot.settings.settle_seconds),)
    return Decision(
        actions=(*here.upkeep(0), *pause, *scale_to_zero(here)),
        status=here.fresh_status.enter(Phase.SUCCEEDED, here.now, kind=here.kind),
        events=(Event(f"Promotion completed! Scaling down {here.target_name}"),),
    )


def _primary_failed(here: Situation, state: Stuck) -> Decision:
    """The revision passed its analysis but the primary cannot run it: the canary, which can, keeps the traffic."""
    message = f"Promotion of {here.target_name} failed, primary not ready: {state.message}"
    share = _share(here)
    if share and isinstance(here.target_ready, Ready):
        share = TOTAL
    failed = here.fresh_status.enter(Phase.FAILED, here.now, kind=here.kind)
    return Decision(
        actions=here.upkeep(share),
        status=failed.stepped(here.now, Progress(weight=share)),
        events=(Event(message, warning=True),),
        alerts=(Alert(f"Promotion failed, primary not ready: {state.message}", Severity.ERROR),),
    )
