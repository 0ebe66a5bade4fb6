"""A run whose fault was taken away: see that all is whole again, judge, and write down what it was. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from rollout.api.chaos import ChaosExperiment, History, Phase, Verdict
from rollout.chaos.plan import faulted, steady
from rollout.chaos.plan.draft import Draft
from rollout.chaos.plan.journal import report
from rollout.chaos.plan.snapshot import LoadPhase, RunView, Snapshot
from rollout.chaos.plan.steady import AFTER, DURING

LEASE = timedelta(seconds=3)
"""How long a proxy may still fault when nobody tells it anything more."""
_SOON = timedelta(seconds=1)
_REPORTS = 10
_COUNTERS = {
    Verdict.PASS: "passed_runs",
    Verdict.FAIL: "failed_runs",
    Verdict.STOPPED: "stopped_runs",
    Verdict.ERROR: "error_runs",
}


def recover(seen: Snapshot, experiment: ChaosExperiment, draft: Draft) -> None:
    """Wait until the last fault is out of the proxies, ask the last questions, and end the run."""
    run, status, now = seen.run or RunView(), seen.status, draft.now
    began = status.recovering_at or now
    draft.opens = seen.run is None
    whole = began + settling(experiment) if status.injected_at else began
    if now < whole:
        draft.wake(whole)
        return
    if status.injected_at is not None and not _is_true(draft, "AllRecovered"):
        draft.condition("AllRecovered", "True", "Recovered")
        draft.event("FaultRemoved", "no proxy has the fault any more")
    deadline = began + max(
        experiment.spec.recover_deadline, whole - began + faulted.NO_ANSWER_WITHIN
    )
    asked = steady.questions(experiment.spec.steady_state)
    if status.injected_at is not None:
        faulted.note_blast(experiment, run, draft)
    if now < deadline and _waits(experiment, run, asked, whole, draft):
        draft.wake(min(deadline, now + _SOON))
        return
    faulted.note_probes(asked, run, draft)
    verdict, reason = _judged(experiment, run, asked, draft)
    finish(seen, experiment, verdict, reason, draft)


def settling(experiment: ChaosExperiment) -> timedelta:
    """How long after the end of a fault its last request may still be faulted."""
    fault = experiment.spec.fault
    if fault is None or not fault.leased:
        return timedelta()
    return LEASE + (fault.delay.fixed_delay if fault.delay else timedelta())


def _waits(
    experiment: ChaosExperiment,
    run: RunView,
    asked: tuple[steady.Question, ...],
    whole: datetime,
    draft: Draft,
) -> bool:
    """Whether something of the run is still to come: the load's figures, the proof of the injection, last answers."""
    status = draft.status
    waits = run.load.phase is LoadPhase.RUNNING
    if status.outcome is not None:
        draft.stops_load = waits
        return waits
    if status.injected_at is None:
        return False
    if faulted.leased(experiment):
        # The last count of what was hit is of the whole run; until something was, it is made again.
        last = run.traffic.at if run.traffic else draft.now - _SOON
        whole_run = last >= whole
        if not whole_run or not faulted.is_injected(experiment, draft):
            draft.counts_traffic = not whole_run or last + _SOON <= draft.now
            waits = True
    if steady.open_at(asked, AFTER, run.samples):
        faulted.ask(asked, AFTER, run, whole, draft)
        waits = True
    return waits


def _judged(
    experiment: ChaosExperiment,
    run: RunView,
    asked: tuple[steady.Question, ...],
    draft: Draft,
) -> tuple[Verdict, str]:
    status = draft.status
    if status.outcome is not None:
        return status.outcome, status.reason
    if experiment.spec.dry_run:
        return Verdict.PASS, status.reason
    for point in (DURING, AFTER):
        for question, answer in steady.failed_at(asked, point, run.samples):
            lost = point is DURING or question.of_load
            what = "was lost" if lost else "did not come back"
            return Verdict.FAIL, f"the steady state {what}: {answer.sentence}"
    if run.load.phase is LoadPhase.FAILED:
        return Verdict.ERROR, f"the load failed: {run.load.problem}"
    if not faulted.is_injected(experiment, draft):
        seen = status.condition("AllInjected")
        return Verdict.ERROR, f"nothing was tested: {seen.message if seen else 'nothing was hit'}"
    silent = {
        each.name: each
        for point in (DURING, AFTER)
        for each in steady.open_at(asked, point, run.samples)
    }
    if silent:
        return Verdict.ERROR, faulted.unanswered_sentence(tuple(silent.values()), run)
    return Verdict.PASS, _passed(asked, draft)


def _passed(asked: tuple[steady.Question, ...], draft: Draft) -> str:
    blast = draft.status.blast
    hit = []
    if blast.requests_faulted:
        hit.append(f"{blast.requests_faulted} requests faulted")
    if blast.certificates_refused:
        hit.append(f"{blast.certificates_refused} certificates refused")
    if blast.pods_killed:
        hit.append(f"{len(blast.pods_killed)} pods killed")
    what = f" ({', '.join(hit)})" if hit else ""
    if not asked:
        return f"ran to its end{what}; nothing was judged, since there is no steadyState"
    return f"the steady state held: {len(asked)} of {len(asked)} probes passed{what}"


def finish(
    seen: Snapshot, experiment: ChaosExperiment, verdict: Verdict, reason: str, draft: Draft
) -> None:
    """The run is over: its report is written before its status says so."""
    status = draft.status
    phase = Phase.COMPLETED if status.outcome is None else Phase.ABORTED
    if verdict is Verdict.ERROR:
        phase = Phase.ERROR
    run = seen.run or RunView()
    draft.set(
        phase=phase,
        verdict=verdict,
        reason=reason,
        recovered_at=draft.now,
        remaining="",
        history=_counted(status.history, verdict),
    )
    if status.injected_at is None:
        draft.condition("AllRecovered", "True", "NothingInjected")
    draft.report = report(experiment, draft.status, run)
    draft.set(report=draft.report["metadata"]["name"])
    schedule = experiment.spec.schedule
    draft.prune = schedule.history_limit if schedule else _REPORTS
    # Nothing is left to undo: whoever deletes it now need not wait, nor need a controller.
    draft.closes, draft.guard = True, False
    early = phase is not Phase.COMPLETED
    draft.event(
        "ChaosAborted" if early else "ChaosCompleted",
        f"{verdict}: {reason}",
        warning=verdict is not Verdict.PASS,
    )
    draft.wake(draft.now)


def _counted(history: History, verdict: Verdict) -> History:
    name = _COUNTERS[verdict]
    return history.model_copy(update={name: getattr(history, name) + 1})


def _is_true(draft: Draft, type_: str) -> bool:
    found = draft.status.condition(type_)
    return found is not None and found.status == "True"
