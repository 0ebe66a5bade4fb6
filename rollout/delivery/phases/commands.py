"""What people ask of one canary by an annotation on it: promote, abort, retry; each is answered once. Pure.

`rollout.dev/command: promote@some-id`: the status says of the last id what became of it. A promotion that has to wait,
for pods or for the rollout to begin, stays unanswered until it is made.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from rollout.api.canary.status import Phase
from rollout.delivery.actions import Decision, Event
from rollout.delivery.alerts.alert import Severity
from rollout.delivery.phases.decide_analysis import promote, promotion_has_begun
from rollout.delivery.phases.gates import begin
from rollout.delivery.phases.rollback import roll_back
from rollout.delivery.readiness import Ready
from rollout.delivery.records import CommandRecord
from rollout.delivery.situation import Situation
from rollout.delivery.status import Status
from rollout.kube.objects import annotations_of

COMMAND = "rollout.dev/command"
"""The annotation."""
_LONGEST = 200
REFUSED = "CommandRefused"
"""The reason of the event that says why a command was not carried out."""


class Verb(StrEnum):
    """What may be asked for."""

    PROMOTE = "promote"
    ABORT = "abort"
    RETRY = "retry"


_POSSIBLE: dict[Phase, tuple[Verb, ...]] = {
    Phase.WAITING: (Verb.PROMOTE, Verb.ABORT),
    Phase.PROGRESSING: (Verb.PROMOTE, Verb.ABORT),
    Phase.WAITING_PROMOTION: (Verb.PROMOTE, Verb.ABORT),
    Phase.FAILED: (Verb.RETRY,),
}


def possible(phase: Phase) -> tuple[Verb, ...]:
    """What may be asked of a canary in this phase."""
    return _POSSIBLE.get(phase, ())


def refusal(verb: str, name: str, phase: Phase) -> str:
    """The sentence that says why a command makes no sense in a phase; empty where it does."""
    able = possible(phase)
    if verb in able:
        return ""
    instead = f"possible now: {' or '.join(able)}" if able else "nothing is to be asked of it now"
    return f"cannot {verb} {name}: it is {phase or 'not initialized'} ({instead})"


def decide_command(here: Situation) -> Decision | None:
    """What to do about a command that was not answered yet; None where there is none, or it has to wait."""
    text = annotations_of(here.obj).get(COMMAND, "")[:_LONGEST]
    answered = here.status.command
    if not text or (answered is not None and answered.id == text):
        return None
    verb, _, id_ = text.partition("@")
    if verb not in set(Verb) or not id_:
        verbs = ", ".join(Verb)
        return _refuse(here, text, f"{COMMAND}: {text!r} is not one of {verbs} with @ and an id")
    if reason := refusal(verb, here.name, here.status.phase):
        return _refuse(here, text, reason)
    match Verb(verb):
        case Verb.PROMOTE:
            return _promote(here, text)
        case Verb.ABORT:
            return _abort(here, text)
        case Verb.RETRY:
            return _retry(here, text)


def _promote(here: Situation, text: str) -> Decision | None:
    if here.status.phase is Phase.WAITING:
        return begin(here, Event(f"Start of {here.target_name} approved by command"))
    if here.changed:
        return _refuse(
            here, text, f"cannot promote {here.name}: its target has another revision meanwhile"
        )
    if not isinstance(here.target_ready, Ready):
        return None
    told = Event(f"Promotion of {here.target_name} asked for by command", reason="Promoted")
    promoted = promote(here)
    if promoted.status.phase is Phase.PROMOTING:
        # While the primary rolls, the canary keeps the share that it has got to.
        kept = replace(promoted.status, canary_weight=here.status.canary_weight)
        promoted = replace(promoted, status=kept)
    return _answered(here, promoted, text, told)


def _abort(here: Situation, text: str) -> Decision:
    told = f"Rolling back {here.name} aborted by command"
    if here.status.phase is Phase.WAITING:
        share = here.status.canary_weight
        tracked = here.fresh_status.tracking(here.revision, here.configs)
        failed = tracked.enter(Phase.FAILED, here.now, kind=here.kind)
        decision = Decision(actions=here.upkeep(share), status=replace(failed, canary_weight=share))
        return _answered(here, decision, text, Event(told, warning=True, reason="Aborted"))
    if promotion_has_begun(here):
        return _refuse(here, text, f"cannot abort {here.name}: its promotion has begun")
    decision = roll_back(here, alert="Rolling back aborted by command", severity=Severity.WARN)
    return _answered(here, decision, text, Event(told, warning=True, reason="Aborted"))


def _retry(here: Situation, text: str) -> Decision:
    if here.revision == here.status.last_promoted_spec:
        reason = f"cannot retry {here.name}: {here.target_name} is at the revision promoted last"
        return _refuse(here, text, f"{reason}; give it a new one")
    # That nothing was ever applied makes the target's revision a new one.
    status = replace(here.fresh_status, last_applied_spec="")
    told = Event(f"Retry of {here.target_name} asked for by command", reason="Retried")
    return _answered(here, Decision(status=status), text, told)


def _answered(here: Situation, decision: Decision, text: str, told: Event) -> Decision:
    return replace(
        decision,
        status=_acknowledged(here, decision.status, text, told.message, done=True),
        events=(told, *decision.events),
    )


def _refuse(here: Situation, text: str, reason: str) -> Decision:
    status = _acknowledged(here, here.status, text, reason, done=False)
    return Decision(status=status, events=(Event(reason, warning=True, reason=REFUSED),))


def _acknowledged(
    here: Situation, status: Status, text: str, message: str, *, done: bool
) -> Status:
    return replace(
        status, command=CommandRecord(id=text, done=done, message=message, time=here.now)
    )
