"""What the judge's ruling means for a canary: rolled back at once, let on, or held until there is more evidence. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rollout.delivery.actions import Decision, Event
from rollout.delivery.alerts.alert import Alert, Severity
from rollout.delivery.judging.record import JudgeRecord, Ruled
from rollout.delivery.judging.ruling import WRITTEN_EVERY, Ruling, nobody_to_compare
from rollout.delivery.phases.rollback import roll_back
from rollout.delivery.refusals import BLOCKED, NAMES, Refusal
from rollout.delivery.situation import Situation
from rollout.delivery.status import JUDGED, UNDER_ANALYSIS, Status

_NO_EVIDENCE, _TOO_LITTLE = "NoEvidence", "TooLittleTraffic"


def condemned(here: Situation, ruling: Ruling) -> Decision:
    """Rolled back, once it is written down why: whoever goes on when this process ends must not have to see it all again."""
    known = here.status.judge
    if known is not None and known.verdict is Ruled.WORSE:
        return given_up(here, ruling)
    kept = here.kept(here.status.canary_weight)
    return kept_in_mind(here, ruling, Decision(actions=kept, status=here.status))


def given_up(here: Situation, ruling: Ruling, why: str = "") -> Decision:
    """Rolled back by the judge's verdict, or because it came to none and the canary wants that."""
    said = why or f"judged worse: {ruling.sentence}"
    decision = roll_back(here, f"Rolling back {here.name} {said}", alert=said[0].upper() + said[1:])
    return kept_in_mind(here, ruling, decision)


def due_by_judge(here: Situation, ruling: Ruling) -> datetime:
    """When the next step may be made, or everything besides the judge is asked again while it is undecided.

    A good canary need not wait for the interval, unless something else has failed in this step: such failures are
    counted once an interval.
    """
    if not here.status.progress.begun or nobody_to_compare(here):
        return here.due
    last = here.status.last_transition or here.now
    if ruling.verdict is Ruled.NOT_WORSE:
        return here.soonest if last <= ruling.since else here.due
    asked, ends = max(last, ruling.checked or last), ruling.since + ruling.most
    again = asked + here.interval
    return min(again, ends) if asked < ends else again


def judgement(here: Situation, ruling: Ruling) -> Decision | tuple[Event, ...]:
    """Whether the judge lets the canary take its step; otherwise it keeps what it has."""
    if nobody_to_compare(here):
        return ()
    match ruling.verdict:
        case Ruled.NOT_WORSE:
            return (Event(f"Judged not worse: {ruling.sentence}", once=True),)
        case Ruled.INCONCLUSIVE:
            return _inconclusive(here, ruling)
        case Ruled.UNDECIDED | Ruled.WORSE:
            return _undecided(here, ruling)


def kept_in_mind(here: Situation, ruling: Ruling, decision: Decision) -> Decision:
    """The decision, with what was seen written down where it is time, and with what is to be watched on."""
    status = decision.status
    if status.phase not in UNDER_ANALYSIS:
        status = replace(status, judge=ruling.record().closed())
        return replace(decision, status=_with_condition(here, ruling, status))
    if _is_to_be_written(here, ruling, status):
        record = _stepped(here, ruling, status)
        status = _with_condition(here, ruling, replace(status, judge=record))
    return replace(decision, status=status, trial=ruling.trial)


def _stepped(here: Situation, ruling: Ruling, status: Status) -> JudgeRecord:
    """The record after this decision: promotion asks for evidence of the new step alone."""
    if status.progress != here.status.progress:
        return ruling.next_step(here.now)
    checked = status.judge.checked if status.judge else None
    return replace(ruling.record(), checked=checked or ruling.checked)


def _is_to_be_written(here: Situation, ruling: Ruling, status: Status) -> bool:
    known = here.status.judge
    if status != here.status or known is None:
        return True
    return known.verdict is not ruling.verdict or ruling.until - known.until >= WRITTEN_EVERY


def _undecided(here: Situation, ruling: Ruling) -> Decision:
    """More requests are needed; whatever else is checked was well, and is asked again after an interval."""
    message = f"Halt {here.name} advancement, the judge is undecided: {ruling.sentence}"
    if ruling.trouble:
        return _held(here, ruling, Refusal.NO_EVIDENCE, message)
    waits = _checked(here, ruling, here.fresh_status)
    return Decision(
        actions=here.kept(here.status.canary_weight),
        status=waits,
        events=(Event(message, once=True),),
        wake=here.now + here.interval,
    )


def _inconclusive(here: Situation, ruling: Ruling) -> Decision | tuple[Event, ...]:
    judge = here.canary.spec.analysis.judge
    most = judge.max_duration.text if judge else ""
    policy = judge.on_inconclusive if judge else "pause"
    said = f"undecided after maxDuration {most}: {ruling.sentence}"
    if policy == "rollback":
        return given_up(here, ruling, said)
    if policy == "promote":
        return (Event(f"Accepting {here.name} {said}", warning=True),)
    message = f"Halt {here.name} advancement, {said}"
    known = here.status.judge
    held = _held(here, ruling, Refusal.INCONCLUSIVE, message)
    if known is not None and known.verdict is Ruled.INCONCLUSIVE:
        return held
    return replace(held, alerts=(Alert(f"Canary is {said}", Severity.WARN),))


def _held(here: Situation, ruling: Ruling, refusal: Refusal, message: str) -> Decision:
    """Something that a person may mend: traffic, proxies, or patience."""
    names = NAMES[refusal]
    remedy = "send it more traffic, raise its weight, or promote or roll back by hand"
    if refusal is Refusal.NO_EVIDENCE:
        remedy = "its pods need proxies that answer, or spec.metricsServer one that scrapes them"
    blocked = here.status.with_condition(
        BLOCKED, "True", names.condition, f"{message} ({remedy})", here.now
    )
    return Decision(
        actions=here.kept(here.status.canary_weight),
        status=_checked(here, ruling, blocked),
        events=(Event(message, warning=True, once=True),),
        wake=here.now + here.interval,
        refusal=refusal,
    )


def _checked(here: Situation, ruling: Ruling, status: Status) -> Status:
    return replace(status, judge=replace(ruling.record(), checked=here.now))


def _with_condition(here: Situation, ruling: Ruling, status: Status) -> Status:
    state, reason = _standing(here, ruling)
    return status.with_condition(JUDGED, state, reason, ruling.sentence, here.now)


def _standing(here: Situation, ruling: Ruling) -> tuple[str, str]:
    match ruling.verdict:
        case Ruled.WORSE:
            return "False", str(Ruled.WORSE)
        case Ruled.NOT_WORSE:
            return "True", str(Ruled.NOT_WORSE)
        case Ruled.INCONCLUSIVE:
            return "Unknown", str(Ruled.INCONCLUSIVE)
        case Ruled.UNDECIDED:
            if ruling.trouble:
                return "Unknown", _NO_EVIDENCE
            late = here.status.progress.begun and ruling.waiting >= here.interval
            return "Unknown", _TOO_LITTLE if late and ruling.too_little else str(Ruled.UNDECIDED)
