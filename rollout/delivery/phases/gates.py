"""Hooks that a canary's next move depends on: asking them, resting after a refusal, and what people are told. Pure."""

from __future__ import annotations

from dataclasses import replace

from rollout.api.canary.status import Phase
from rollout.delivery.actions import Decision, Event
from rollout.delivery.alerts.alert import Alert, Severity
from rollout.delivery.hooks.call import HookCall, HookType
from rollout.delivery.hooks.consult import Answered, Asking, consult, who_agreed
from rollout.delivery.phases.pods import scale_up
from rollout.delivery.phases.rollback import roll_back
from rollout.delivery.situation import Situation

_WORDS = {
    HookType.CONFIRM_ROLLOUT: "Confirm-rollout",
    HookType.PRE_ROLLOUT: "Pre-rollout",
    HookType.CONFIRM_TRAFFIC_INCREASE: "Confirm-traffic-increase",
    HookType.CONFIRM_PROMOTION: "Confirm-promotion",
    HookType.POST_ROLLOUT: "Post-rollout",
}


def asking(here: Situation, open_: Asking, share: int) -> Decision:
    """Nothing moves until these calls are answered."""
    return Decision(actions=here.kept(share), status=here.status, hooks=open_.calls)


def resting(here: Situation, share: int, decision: Decision | None = None) -> Decision:
    """Nothing moves, and nothing is asked again for an interval; `decision` adds what else is to be done."""
    until = here.now + here.interval
    base = decision or Decision(status=here.fresh_status)
    return replace(base, actions=here.kept(share), wake=until, rest=until)


def passed(type_: HookType, answered: Answered) -> tuple[Event, ...]:
    """What is told of hooks that agreed."""
    return tuple(Event(f"{_WORDS[type_]} check {name} passed") for name in answered.agreed)


def begin(here: Situation, *events: Event) -> Decision:
    """A new revision gets its pods; its analysis starts when they are ready."""
    tracked = here.fresh_status.tracking(here.revision, here.configs)
    return Decision(
        actions=(*here.upkeep(0), *scale_up(here)),
        status=tracked.enter(Phase.PROGRESSING, here.now, kind=here.kind),
        events=(*events, Event(f"New revision detected! Scaling up {here.target_name}")),
    )


def halted_rollout(here: Situation, hook: HookCall) -> Decision:
    """A new revision waits until somebody approves of it; traffic stays as it is."""
    share = here.status.canary_weight
    waiting = here.fresh_status.enter(Phase.WAITING, here.now, kind=here.kind)
    message = f"Halt {here.name} advancement waiting for approval {hook.name}"
    told = Decision(
        status=replace(waiting, canary_weight=share),
        events=(Event(message, warning=True),),
        alerts=_alerts(here, hook, "Canary is waiting for approval."),
    )
    return resting(here, share, told)


def rollback_asked_for(here: Situation) -> Decision | tuple[Event, ...]:
    """Whether a hook wants the canary to be given up; otherwise what is told of those that do not."""
    answered = who_agreed(here, HookType.ROLLBACK)
    if isinstance(answered, Asking):
        return asking(here, answered, here.status.canary_weight)
    silent, agreed = answered
    told = tuple(
        Event(f"Rollback hook {name} not signaling a rollback", once=True) for name in silent
    )
    if not agreed:
        return told
    decision = roll_back(
        here,
        f"Rollback check {agreed} passed",
        f"Rolling back {here.name} manual webhook invoked",
        alert="Rolling back manual webhook invoked",
        severity=Severity.WARN,
    )
    return replace(decision, events=(*told, *decision.events))


def traffic_increase(here: Situation) -> Decision | tuple[Event, ...]:
    """Whether the canary may get more traffic; otherwise it keeps what it has."""
    type_ = HookType.CONFIRM_TRAFFIC_INCREASE
    share = here.status.canary_weight
    answered = consult(here, type_)
    if isinstance(answered, Asking):
        return asking(here, answered, share)
    if answered.refused is None:
        return passed(type_, answered)
    name = answered.refused.name
    message = f"Halt {here.name} advancement waiting for traffic increase approval {name}"
    told = Decision(
        status=here.fresh_status,
        events=(Event(message, warning=True),),
        alerts=_alerts(here, answered.refused, "Canary traffic increase is waiting for approval."),
    )
    return resting(here, share, told)


def promotion(here: Situation) -> Decision | tuple[Event, ...]:
    """Whether the canary may be promoted; otherwise it keeps its traffic, and its checks go on."""
    type_ = HookType.CONFIRM_PROMOTION
    share = here.status.canary_weight
    answered = consult(here, type_, Phase.PROGRESSING)
    if isinstance(answered, Asking):
        return asking(here, answered, share)
    if answered.refused is None:
        return passed(type_, answered)
    if here.status.phase is Phase.WAITING_PROMOTION:
        return resting(here, share)
    name = answered.refused.name
    waiting = here.fresh_status.enter(Phase.WAITING_PROMOTION, here.now, kind=here.kind)
    message = f"Halt {here.name} advancement waiting for promotion approval {name}"
    told = Decision(
        # What was done so far stays done, and shown.
        status=waiting.at(here.status.progress),
        events=(Event(message, warning=True),),
        alerts=_alerts(here, answered.refused, "Canary promotion is waiting for approval."),
    )
    return resting(here, share, told)


def _alerts(here: Situation, hook: HookCall, message: str) -> tuple[Alert, ...]:
    muted = any(
        each.mute_alert and f"spec.analysis.webhooks[{index}]" == hook.path
        for index, each in enumerate(here.canary.spec.analysis.webhooks)
    )
    return () if muted else (Alert(message, Severity.WARN),)
