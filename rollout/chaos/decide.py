"""What to do about one experiment now: the one entry to the pure part of the room.

`decide(seen, now)` starts from the status alone; what was done but not recorded is asked for again and is then nothing.
A fault is never vouched for past its end, in a phase other than Injecting and Running, or by a process that did not
begin it.
"""

from __future__ import annotations

from datetime import datetime

from rollout.api.chaos import ChaosExperiment, Phase, Verdict
from rollout.api.errors import InvalidObject
from rollout.chaos.plan import faulted, recovery, start
from rollout.chaos.plan.draft import Draft
from rollout.chaos.plan.gates import Closed, Gate
from rollout.chaos.plan.snapshot import Decision, Snapshot


def decide(seen: Snapshot, now: datetime) -> Decision:
    """The next step of one experiment's life."""
    draft = Draft(seen.status, now)
    experiment = seen.experiment
    if isinstance(experiment, InvalidObject):
        _invalid(seen, experiment, draft)
    elif seen.deleted is not None:
        _leave(seen, experiment, draft)
    elif seen.status.phase.is_active:
        _go_on(seen, experiment, draft)
    else:
        start.start(seen, experiment, draft)
    return draft.decision()


def _go_on(seen: Snapshot, experiment: ChaosExperiment, draft: Draft) -> None:
    phase = seen.status.phase
    draft.set(observed_generation=experiment.metadata.generation)
    if phase is Phase.RECOVERING:
        recovery.recover(seen, experiment, draft)
    elif why := faulted.lost(seen, experiment, draft.now):
        draft.event("LeaseExpired", why, warning=True)
        draft.recover(Verdict.ERROR, why)
    elif why := faulted.ended(seen, experiment):
        draft.recover(Verdict.STOPPED, why)
    elif phase is Phase.CHECKING:
        faulted.check(seen, experiment, draft)
    else:
        faulted.run_fault(seen, experiment, draft)


def _leave(seen: Snapshot, experiment: ChaosExperiment, draft: Draft) -> None:
    """It is deleted: the fault goes first, and `recoverDeadline` after at most, the experiment."""
    if not seen.guarded:
        draft.closes = True
        return
    if seen.status.phase.is_active and seen.deleted is not None:
        deadline = seen.deleted + experiment.spec.recover_deadline
        if draft.now >= deadline:
            why = f"not known to be whole again {experiment.spec.recover_deadline.text} after deletion"
            draft.event("RecoverForced", why, warning=True)
            draft.guard, draft.closes = False, True
        elif seen.status.phase is Phase.RECOVERING:
            recovery.recover(seen, experiment, draft)
        else:
            draft.recover(Verdict.STOPPED, "the experiment was deleted")
        draft.wake(deadline)
        return
    draft.guard, draft.closes = False, True


def _invalid(seen: Snapshot, refused: InvalidObject, draft: Draft) -> None:
    """It cannot be read: whatever it did ends, and it says why."""
    draft.closes = True
    if seen.deleted is not None:
        draft.guard = False if seen.guarded else None
        return
    message = "; ".join(map(str, refused.errors))
    start.refuse(draft, Closed(Gate.INVALID, message))
    if seen.status.phase.is_active:
        draft.event("ChaosAborted", message, warning=True)
        draft.set(
            phase=Phase.ERROR,
            verdict=Verdict.ERROR,
            reason=message,
            recovered_at=draft.now,
            remaining="",
        )
