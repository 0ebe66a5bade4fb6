"""While a new revision is judged: one step per interval, as long as every check passes.

Each step is taken from the share that the status records, so that one which was made but not recorded, because this
program ended in between, is the same step again. A promotion that had begun is finished, whatever checks say by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from rollout.api.canary.status import Phase
from rollout.delivery.actions import Decision, Event
from rollout.delivery.checking import Held, plan_checks, verdict
from rollout.delivery.hooks.call import HookType
from rollout.delivery.hooks.consult import Answered, Asking, consult
from rollout.delivery.judging.record import Ruled
from rollout.delivery.judging.ruling import Ruling, rule
from rollout.delivery.phases import baseline, experiments
from rollout.delivery.phases.gates import (
    asking,
    passed,
    promotion,
    resting,
    rollback_asked_for,
    traffic_increase,
)
from rollout.delivery.phases.judged import condemned, due_by_judge, judgement, kept_in_mind
from rollout.delivery.phases.pods import promote_primary, scale_to_zero, scale_up
from rollout.delivery.phases.rollback import roll_back
from rollout.delivery.progress import Progress
from rollout.delivery.readiness import Ready, Stuck, Waiting
from rollout.delivery.refusals import BLOCKED, NAMES, Refusal
from rollout.delivery.situation import Situation
from rollout.delivery.strategies import strategy_of
from rollout.delivery.strategies.step import Step

Gate: TypeAlias = Callable[[Situation], Decision | tuple[Event, ...]]
"""Something that a step waits for: a decision where it holds the canary, else what is told of it."""


def decide_analysis(here: Situation) -> Decision:
    """The next move of a canary whose revision is under analysis."""
    if here.primary is None:
        # Neither side may lose its pods now: the canary's are the only ones left.
        return here.refuse(
            Refusal.PRIMARY_MISSING,
            f"{here.kind} {here.primary_name} is gone while {here.target_name} is analysed; restore it from"
            f" what was promoted last (traffic of Canary {here.name} stays as it is)",
        )
    if here.changed:
        return _restart(here)
    if promotion_has_begun(here):
        return promote(here)
    if here.status.failed_checks >= here.canary.threshold:
        failed = here.status.failed_checks
        return roll_back(
            here,
            f"Rolling back {here.name} failed checks threshold reached {failed}",
            alert=f"Failed checks threshold reached {failed}",
        )
    ruling = rule(here)
    if ruling is None:
        return _not_ready(here) or _step(here)
    if ruling.verdict is Ruled.WORSE:
        return condemned(here, ruling)
    moved = _not_ready(here) or baseline.not_ready(here) or _step(here, ruling)
    return kept_in_mind(here, ruling, baseline.with_baseline(here, moved))


def promotion_has_begun(here: Situation) -> bool:
    """Whether the primary got the revision at the end of its analysis; not so where it had it from before, since the
    target was set back to what is promoted while another revision was analysed."""
    moved = here.status.canary_weight or here.status.iterations or here.canary.spec.skip_analysis
    return here.primary_is_current and bool(moved)


def promote(here: Situation) -> Decision:
    """The verdict is good: the primary gets the revision, and keeps its traffic while it rolls."""
    skipped = here.canary.spec.skip_analysis
    copying = Event(f"Copying {here.target_name} template spec to {here.primary_name}")
    if skipped:
        done = f"Promotion completed! Canary analysis was skipped for {here.target_name}"
        return Decision(
            actions=(*here.upkeep(0), *promote_primary(here), *scale_to_zero(here)),
            status=here.fresh_status.enter(Phase.SUCCEEDED, here.now, kind=here.kind),
            events=(copying, Event(done)),
        )
    return Decision(
        actions=(*here.services(), *promote_primary(here)),
        status=here.fresh_status.enter(Phase.PROMOTING, here.now, kind=here.kind),
        events=(copying,),
    )


def _restart(here: Situation) -> Decision:
    tracked = here.fresh_status.tracking(here.revision, here.configs)
    return Decision(
        actions=(*here.upkeep(0), *scale_up(here)),
        status=tracked.enter(Phase.PROGRESSING, here.now, kind=here.kind),
        events=(Event(f"New revision detected! Restarting analysis for {here.target_name}"),),
    )


def _not_ready(here: Situation) -> Decision | None:
    share = here.status.canary_weight
    primary, target = here.primary_ready, here.target_ready
    if isinstance(primary, Waiting | Stuck) and not here.canary.spec.skip_analysis:
        until = primary.until if isinstance(primary, Waiting) else None
        message = f"{here.primary_name} not ready: {primary.message}"
        return here.wait(message, share=share, until=until)
    if isinstance(target, Ready):
        return None
    message = f"{here.canary_words} not ready: {target.message}"
    if isinstance(target, Stuck):
        exceeded = f"Rolling back {here.name} progress deadline exceeded {message}"
        alert = f"Progress deadline exceeded {message}"
        return roll_back(here, message, exceeded, alert=alert)
    return here.wait(message, share=share, until=target.until)


def _step(here: Situation, ruling: Ruling | None = None) -> Decision:
    if here.canary.spec.skip_analysis:
        return promote(here)
    share, at = here.status.canary_weight, here.status.progress
    due = here.due if ruling is None else due_by_judge(here, ruling)
    due = max(due, here.snapshot.rest or due)
    if at.begun and isinstance(asks := experiments.begun(here), Decision):
        return asks
    if here.now < due:
        rest = here.snapshot.rest
        return Decision(actions=here.kept(share), status=here.status, wake=due, rest=rest)
    if obstacle := here.obstacle:
        return here.refuse(Refusal.ROUTE_REFUSED, obstacle, share=share)
    step = strategy_of(here.canary).next_step(here.canary, at)
    told: list[Event] = []
    for gate in _gates(at, step, ruling):
        outcome = gate(here)
        if isinstance(outcome, Decision):
            # What is only asked for is asked again with the answers; until then, or while a gate is still
            # closed, nothing has happened that could be told.
            concludes = not (outcome.hooks or outcome.checks)
            if not concludes or (outcome.status == here.status and not outcome.events):
                return outcome
            return replace(outcome, events=(*told, *outcome.events))
        told.extend(outcome)
    return _advance(here, step, *told)


def _gates(at: Progress, step: Step, ruling: Ruling | None) -> Iterator[Gate]:
    """What has to agree before the step, in this order."""
    yield rollback_asked_for
    if at.begun:
        yield _experiment(experiments.disturbed)
        yield _experiment(experiments.begun)
        yield _external_checks
        yield _metrics
        if ruling is not None:
            yield partial(judgement, ruling=ruling)
    else:
        yield _before_traffic
    if step.increases:
        yield traffic_increase
    if step.promotes:
        yield _experiment(experiments.passed)
        yield promotion


def _experiment(ask: Callable[[Situation], Held | Decision | None]) -> Gate:
    """A gate about ChaosExperiments."""

    def gate(here: Situation) -> Decision | tuple[Event, ...]:
        outcome = ask(here)
        return _hold(here, outcome) if isinstance(outcome, Held) else outcome or ()

    return gate


def _before_traffic(here: Situation) -> Decision | tuple[Event, ...]:
    """Nothing can be measured before the first requests; hooks may try the canary."""
    answered = consult(here, HookType.PRE_ROLLOUT)
    if isinstance(answered, Asking):
        return asking(here, answered, 0)
    starting = Event(f"Starting canary analysis for {here.target_name}")
    if answered.refused is None:
        return (starting, *passed(HookType.PRE_ROLLOUT, answered))
    what = f"pre-rollout check {answered.refused.name}"
    return _hold(here, _hook_failed(here, what, answered))


def _external_checks(here: Situation) -> Decision | tuple[Event, ...]:
    answered = consult(here, HookType.ROLLOUT, Phase.PROGRESSING)
    if isinstance(answered, Asking):
        return asking(here, answered, here.status.canary_weight)
    if answered.refused is None:
        return ()
    return _hold(here, _hook_failed(here, f"external check {answered.refused.name}", answered))


def _hook_failed(here: Situation, what: str, answered: Answered) -> Held:
    path = answered.refused.path if answered.refused else ""
    return Held(
        message=f"Halt {here.name} advancement {what} failed {answered.reason}",
        refusal=Refusal.HOOK_FAILED,
        remedy=f"{path}: mend what it checks, or the service",
    )


def _metrics(here: Situation) -> Decision | tuple[Event, ...]:
    plan = plan_checks(here)
    outcome = verdict(here, plan)
    if outcome is None:
        share = here.status.canary_weight
        return Decision(actions=here.kept(share), status=here.status, checks=plan.checks)
    return _hold(here, outcome) if isinstance(outcome, Held) else ()


def _advance(here: Situation, step: Step, *events: Event) -> Decision:
    after = step.after
    if after is None:
        promoted = promote(here)
        return replace(promoted, events=(*events, *promoted.events))
    return Decision(
        actions=here.upkeep(after.weight, mirroring=after.mirroring),
        status=here.fresh_status.stepped(here.now, after),
        events=(*events, Event(step.told)),
        wake=here.now + here.interval,
    )


def _hold(here: Situation, held: Held) -> Decision:
    """A check failed: nothing moves, and it counts unless the canary says that it only waits."""
    status = here.fresh_status
    if held.refusal is not None:
        names = NAMES[held.refusal]
        status = here.status.with_condition(
            BLOCKED, "True", names.condition, f"{held.message} ({held.remedy})", here.now
        )
    if not held.counts:
        event = Event(held.message, warning=True, once=True)
        waits = Decision(status=status, events=(event,), refusal=held.refusal)
        return resting(here, here.status.canary_weight, waits)
    return Decision(
        actions=here.kept(here.status.canary_weight),
        status=status.check_failed(here.now),
        events=(Event(held.message, warning=True),),
        wake=here.now + here.interval,
        refusal=held.refusal,
    )
