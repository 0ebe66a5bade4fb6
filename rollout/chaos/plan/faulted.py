"""A run before and while things are broken: what to ask, when to break, what ends it early. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from rollout.api.chaos import Blast, ChaosExperiment, Phase, Verdict
from rollout.chaos.plan import steady
from rollout.chaos.plan.draft import Draft, remaining
from rollout.chaos.plan.gates import closed
from rollout.chaos.plan.snapshot import LoadPhase, RunView, Snapshot
from rollout.chaos.plan.steady import BEFORE, DURING
from rollout.chaos.probe import ProbePoint, ProbeVerdict

VOUCHED_WITHIN = timedelta(seconds=5)
"""How long the API server may take no renewal until the fault counts as ended by itself."""
NO_ANSWER_WITHIN = timedelta(seconds=30)
"""How long a question at an edge may go without an answer."""
_HEARD_OF = timedelta(seconds=1)
"""How long an experiment of another namespace waits for what other processes have begun at the same time."""
_COUNT_SOON, _COUNT = timedelta(seconds=1), timedelta(seconds=5)
_EMPTY = RunView()


def lost(seen: Snapshot, experiment: ChaosExperiment, now: datetime) -> str:
    """Why the fault counts as ended by its lease; empty where it does not."""
    if not seen.status.phase.is_faulted:
        return ""
    if seen.run is None:
        return (
            "controller lost: the process that ran it is gone, and the fault ended with its lease"
        )
    since = seen.run.vouched
    if leased(experiment) and since is not None and now - since > VOUCHED_WITHIN:
        took = (now - since).total_seconds()
        return f"controller lost: the API server took no renewal of the lease for {took:.0f} s"
    return ""


def ended(seen: Snapshot, experiment: ChaosExperiment) -> str:
    """Why a run that is under way must stop, other than by what it shows; empty where it may go on."""
    status = seen.status
    gate = closed(seen, experiment)
    if gate is not None and not gate.gate.opens_by_itself:
        return gate.message
    if experiment.metadata.generation != status.run_generation:
        return "its spec was changed: the run was for another one"
    began = status.started_at
    if (
        experiment.spec.abort_policy.on_canary_rollback
        and seen.rolled_back is not None
        and began is not None
        and seen.rolled_back >= began.replace(microsecond=0)
    ):
        return f"the canary of {experiment.spec.target.service} was rolled back"
    return ""


def check(seen: Snapshot, experiment: ChaosExperiment, draft: Draft) -> None:
    """The steady state before anything is broken; then break it."""
    run, status = seen.run or _EMPTY, seen.status
    draft.opens = seen.run is None
    gate = closed(seen, experiment)
    if gate is not None:  # two that began at once: the other was first
        draft.closes = True
        draft.condition("Selected", "False", gate.gate, gate.message)
        draft.event(gate.gate, gate.message, warning=True)
        draft.set(phase=Phase.PENDING, run_id=None, started_at=None, reason=gate.message)
        return
    asked = steady.questions(experiment.spec.steady_state)
    note_probes(asked, run, draft)
    began = status.started_at or draft.now
    failed = steady.failed_at(asked, BEFORE, run.samples)
    if failed:
        draft.event("SteadyStateBreached", failed[0][1].sentence, warning=True)
        why = f"the steady state was not met before anything was broken: {failed[0][1].sentence}"
        draft.recover(Verdict.FAIL, why)
        return
    if unanswered := steady.open_at(asked, BEFORE, run.samples):
        slowest = max(each.delay for each in unanswered)
        if draft.now - began > NO_ANSWER_WITHIN + slowest:
            draft.recover(Verdict.ERROR, unanswered_sentence(unanswered, run))
            return
        ask(asked, BEFORE, run, began, draft)
        draft.wake(draft.now + timedelta(seconds=1))
        return
    if experiment.namespace != experiment.target_namespace and draft.now < began + _HEARD_OF:
        draft.wake(began + _HEARD_OF)
        return
    if experiment.spec.dry_run:
        draft.recover(None, "dry run: the target was found, and nothing was broken")
        return
    _inject(experiment, draft)


def _inject(experiment: ChaosExperiment, draft: Draft) -> None:
    expires = draft.now + experiment.spec.duration
    draft.vouches = leased(experiment) and not experiment.pauses
    draft.set(
        phase=Phase.INJECTING,
        injected_at=draft.now,
        expires_at=expires,
        remaining=remaining(expires, draft.now)[0],
        reason=f"waits for the first {_hit(experiment)}" if leased(experiment) else "begins",
    )
    if experiment.spec.fault is not None:
        until = expires.strftime("%H:%M:%S UTC")
        draft.event(
            "FaultInjected", f"{experiment.spec.fault.summary}, until {until} at the latest"
        )
    draft.wake(draft.now)


def run_fault(seen: Snapshot, experiment: ChaosExperiment, draft: Draft) -> None:
    """Things are broken: keep them so, watch, and end it in time."""
    run, status, now = seen.run or _EMPTY, seen.status, draft.now
    injected, expires = status.injected_at or now, status.expires_at or now
    asked = steady.questions(experiment.spec.steady_state)
    known = {each.name for each in status.probe_statuses if each.verdict == "Failed"}
    note_probes(asked, run, draft)
    note_blast(experiment, run, draft)
    if end := _failure(run) or _breach(experiment, asked, run, known, draft):
        draft.recover(*end)
        return
    if now >= expires:
        draft.recover(None, "the fault ended in time; checks that all is whole again")
        return
    paused = experiment.pauses
    draft.vouches = leased(experiment) and not paused
    _note_pause(paused, draft)
    draft.starts_load = experiment.spec.load is not None and run.load.phase is LoadPhase.NONE
    fault = experiment.spec.fault
    draft.kills = fault is not None and fault.pod_kill is not None and run.killed is None
    ask(asked, DURING, run, injected, draft)
    _count(experiment, run, injected, draft)
    if draft.status.phase is Phase.INJECTING and is_injected(experiment, draft):
        draft.set(phase=Phase.RUNNING)
    draft.set(reason=_sentence(experiment, run, draft))
    text, changes = remaining(expires, now)
    draft.set(remaining=text)
    draft.wake(changes)
    draft.wake(expires)


def _failure(run: RunView) -> tuple[Verdict, str] | None:
    """What makes the run worth nothing."""
    if run.load.phase is LoadPhase.FAILED:
        return Verdict.ERROR, f"the load failed: {run.load.problem}"
    if run.killed is not None and run.killed.problem and not run.killed.pods:
        return Verdict.ERROR, f"no pod could be killed: {run.killed.problem}"
    return None


def _breach(
    experiment: ChaosExperiment,
    asked: tuple[steady.Question, ...],
    run: RunView,
    known: set[str],
    draft: Draft,
) -> tuple[Verdict, str] | None:
    """What the probes say against going on; `known` are those that had failed before."""
    policy = experiment.spec.abort_policy
    for question, answer in steady.failed_at(asked, DURING, run.samples):
        if question.name not in known:
            draft.event("SteadyStateBreached", answer.sentence, warning=True)
        if policy.on_steady_state_breach or question.stops:
            return Verdict.FAIL, f"the steady state was lost: {answer.sentence}"
    silent = [
        each
        for each in steady.open_at(asked, DURING, run.samples)
        if (last := steady.standing(each, DURING, run.samples).last)
        and last.verdict in {ProbeVerdict.NO_DATA, ProbeVerdict.ERROR}
    ]
    if silent and policy.on_no_data == "abort":
        return Verdict.ERROR, unanswered_sentence(tuple(silent), run)
    return None


def unanswered_sentence(asked: tuple[steady.Question, ...], run: RunView) -> str:
    """Which probes have no answer, and what the first of them was told."""
    names = ", ".join(each.name for each in asked)
    said = next((each.sentence for each in reversed(run.samples) if each.name == asked[0].name), "")
    return f"no answer from {names}" + (f": {said}" if said else "")


def ask(
    asked: tuple[steady.Question, ...],
    point: ProbePoint,
    run: RunView,
    since: datetime,
    draft: Draft,
) -> None:
    """Ask what is due."""
    draft.asks, later = steady.due(asked, point, run.samples, run.asking, since, draft.now)
    draft.wake(later)


def note_probes(asked: tuple[steady.Question, ...], run: RunView, draft: Draft) -> None:
    """Put the probes' standing into the status."""
    found, share = steady.statuses(asked, run.samples)
    draft.set(probe_statuses=found, probe_success_percentage=share)


def _count(experiment: ChaosExperiment, run: RunView, injected: datetime, draft: Draft) -> None:
    """Ask how many requests were hit: often until the first one was, then now and then."""
    if not leased(experiment):
        return
    every = _COUNT_SOON if draft.status.phase is Phase.INJECTING else _COUNT
    when = (run.traffic.at if run.traffic else injected) + every
    draft.counts_traffic = when <= draft.now
    draft.wake(when if when > draft.now else draft.now + every)


def note_blast(experiment: ChaosExperiment, run: RunView, draft: Draft) -> None:
    """What was hit so far, and whether that proves the injection."""
    traffic, killed = run.traffic, run.killed
    share = 100 * traffic.faulted / traffic.total if traffic and traffic.total else 0.0
    draft.set(
        blast=Blast(
            requests_faulted=round(traffic.faulted) if traffic else 0,
            traffic_percent=round(min(share, 100.0), 2),
            certificates_refused=round(traffic.refused) if traffic else 0,
            pods_killed=killed.pods if killed else (),
        )
    )
    if is_injected(experiment, draft):
        draft.condition("AllInjected", "True", "Seen")
        return
    reason, message = "NotSeenYet", f"no {_hit(experiment)} was seen yet"
    if killed is not None and killed.problem:
        reason, message = "NotKilled", killed.problem
    elif traffic is not None and traffic.problem:
        reason, message = "NotCounted", traffic.problem
    draft.condition("AllInjected", "False", reason, message)


def is_injected(experiment: ChaosExperiment, draft: Draft) -> bool:
    """Whether each kind of fault was seen to hit something. Load alone breaks nothing, so nothing is awaited."""
    fault, blast = experiment.spec.fault, draft.status.blast
    if fault is None:
        return True
    return (
        (not fault.in_mesh or blast.requests_faulted > 0)
        and (not fault.certificate_outage or blast.certificates_refused > 0)
        and (fault.pod_kill is None or bool(blast.pods_killed))
    )


def _hit(experiment: ChaosExperiment) -> str:
    fault = experiment.spec.fault
    certificates = fault is not None and fault.certificate_outage and not fault.in_mesh
    return "refused certificate" if certificates else "faulted request"


def leased(experiment: ChaosExperiment) -> bool:
    """Whether any of it is in force only while this process vouches for it."""
    return experiment.spec.fault is not None and experiment.spec.fault.leased


def _note_pause(paused: bool, draft: Draft) -> None:  # noqa: FBT001 - what it notes
    old = draft.status.condition("Paused")
    was = old is not None and old.status == "True"
    if paused != was:
        word = "Paused" if paused else "Resumed"
        draft.condition("Paused", "True" if paused else "False", word)
        draft.event("FaultRemoved" if paused else "FaultInjected", word.lower())


def _sentence(experiment: ChaosExperiment, run: RunView, draft: Draft) -> str:
    """Where the run is, for `kubectl get`."""
    blast, statuses = draft.status.blast, draft.status.probe_statuses
    parts = []
    fault = experiment.spec.fault
    if fault is not None and fault.in_mesh:
        parts.append(f"{blast.requests_faulted} requests faulted ({blast.traffic_percent:g} %)")
    if fault is not None and fault.certificate_outage:
        parts.append(f"{blast.certificates_refused} certificates refused")
    if blast.pods_killed:
        parts.append(f"{len(blast.pods_killed)} pods killed")
    if run.load.phase is LoadPhase.RUNNING:
        parts.append("load is sent")
    if statuses:
        good = sum(each.verdict == "Passed" for each in statuses)
        parts.append(f"{good} of {len(statuses)} probes pass")
    return ", ".join(parts) or "running"
