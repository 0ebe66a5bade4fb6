"""From a new canary to an initialized one: the primary takes over the traffic before the target is scaled to zero.

The order is what keeps requests from being lost: pods ready, then the apex service, then the routes, a moment for the
proxies, and only then the target's pods go.
"""

from __future__ import annotations

from rollout.api.canary.status import Phase
from rollout.delivery.actions import Action, Decision, Event, Settle
from rollout.delivery.objects.metadata import is_controlled_by
from rollout.delivery.phases.pods import (
    create_primary,
    guards,
    promote_primary,
    scale_to_zero,
    scaler_problem,
)
from rollout.delivery.readiness import Stuck, Waiting
from rollout.delivery.refusals import Refusal
from rollout.delivery.situation import Situation


def decide_bootstrap(here: Situation) -> Decision:
    """The next move of a canary that is not initialized yet."""
    if here.status.phase is not Phase.INITIALIZING:
        return Decision(
            status=here.fresh_status.enter(Phase.INITIALIZING, here.now, kind=here.kind),
            probe_metrics=not here.canary.spec.skip_analysis,
        )
    if problem := scaler_problem(here):
        return here.refuse(Refusal.SCALER_UNUSABLE, problem)
    foundation = here.sides()
    if here.primary is None:
        return Decision(actions=(*foundation, *create_primary(here)), status=here.fresh_status)
    current = here.primary_is_current or here.primary_runs_target
    if is_controlled_by(here.primary, here.obj) and not current:
        # The target moved on while its first copy was starting; nothing is promoted yet, so the copy follows.
        return Decision(actions=(*foundation, *promote_primary(here)), status=here.fresh_status)
    state = None if here.canary.spec.skip_analysis else here.primary_ready
    if isinstance(state, Stuck):
        return here.refuse(
            Refusal.PRIMARY_NOT_READY,
            f"{here.primary_name} not ready: {state.message}; mend the pods of the target:"
            " the primary is its copy",
        )
    if isinstance(state, Waiting):
        message = f"{here.primary_name} not ready: {state.message}"
        return here.wait(message, share=None, until=state.until)
    return _hand_over(here)


def _hand_over(here: Situation) -> Decision:
    if obstacle := here.obstacle:
        return here.refuse(Refusal.ROUTE_REFUSED, obstacle)
    actions: tuple[Action, ...] = (*guards(here), *here.services(), here.set_routes(0))
    if here.target_kind.pods(here.target):
        settle = Settle(here.snapshot.settings.settle_seconds)
        actions = (*actions, settle, *scale_to_zero(here))
    tracked = here.fresh_status.tracking(here.revision, here.configs)
    return Decision(
        actions=actions,
        status=tracked.enter(Phase.INITIALIZED, here.now, kind=here.kind),
        events=(Event(f"Initialization done! {here.name}"),),
    )
