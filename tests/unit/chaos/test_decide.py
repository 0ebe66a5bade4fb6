"""An experiment's life, as a story and by its kill points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rollout.api.chaos import PAUSE_ANNOTATION, RUN_ANNOTATION, Phase, Verdict
from rollout.chaos.plan.snapshot import Killed, LoadPhase, LoadView
from rollout.chaos.probe import ProbePoint, ProbeVerdict
from rollout.kube.objects import Key
from rollout.mesh.model.fault import INBOUND_SLOTS, OUTBOUND_SLOTS
from tests.unit.chaos.world import ABORT, PROBE, START, World, answers, experiment, other

PASSED, FAILED, NO_DATA, ERROR = ProbeVerdict
STEADY = {"probes": [PROBE]}


def during(verdict: ProbeVerdict) -> Callable[[str, ProbePoint], ProbeVerdict]:
    return lambda _name, point: verdict if point is ProbePoint.DURING else PASSED


def only_the_apex(world: World) -> None:
    world.change(target={"service": "checkout", "arm": "canary"})
    world.services = frozenset({"checkout"})


def test_a_run_from_beginning_to_end() -> None:
    world = World(obj=experiment(steadyState=STEADY)).play()
    assert world.phases == [
        "CheckingSteadyState",
        "Injecting",
        "Running",
        "Recovering",
        "Completed",
    ]
    assert world.reasons == ["ChaosStarted", "FaultInjected", "FaultRemoved", "ChaosCompleted"]
    status = world.status
    assert status.verdict is Verdict.PASS
    assert status.reason == "the steady state held: 1 of 1 probes passed (7 requests faulted)"
    assert status.injected_at is not None
    assert status.expires_at == status.injected_at + timedelta(seconds=10)
    assert status.probe_success_percentage == 100
    assert status.history.passed_runs == 1
    conditions = {each.type: each.status for each in status.conditions}
    assert conditions == {"Selected": "True", "AllInjected": "True", "AllRecovered": "True"}
    assert world.obj["metadata"]["finalizers"] == [], "nothing is left to undo"
    (report,) = world.reports
    assert report["metadata"]["name"] == f"slow-{status.run_id}" == status.report
    assert report["spec"]["status"] == "completed"
    assert report["spec"]["steadyStates"] == {"before": True, "during": True, "after": True}


def test_it_is_guarded_and_recorded_before_anything_is_vouched_for() -> None:
    world = World(obj=experiment())
    first = world.look()
    assert first.guard is True
    assert not first.vouches
    assert first.status.run_id
    second = world.look()
    assert second.vouches
    assert second.status.phase is Phase.INJECTING
    assert second.status.expires_at is not None


def callers_are_busy(world: World) -> None:
    """Faults of layer client elsewhere: as many as a proxy can carry."""
    world.change(fault={**ABORT, "layer": "client"})
    world.others = tuple(
        replace(
            other(f"run-{index}", "cart"),
            key=Key("elsewhere", f"run-{index}"),
            namespace="elsewhere",
            at_callers=True,
        )
        for index in range(OUTBOUND_SLOTS)
    )


def pods_are_busy(world: World) -> None:
    """Faults of layer upstream on other services of the same pods: as many as a proxy can carry."""
    world.others = tuple(
        replace(other(f"run-{index}", f"part-{index}"), at_pods=True)
        for index in range(INBOUND_SLOTS)
    )


@pytest.mark.parametrize(
    ("change", "reason", "remedy"),
    [
        (lambda w: setattr(w, "enabled", False), "NotOptedIn", "kubectl label namespace shop chaos.rollout.dev/enabled=true"),
        (lambda w: setattr(w, "halted", True), "Halted", "rollout chaos resume"),
        (lambda w: setattr(w, "services", frozenset()), "ServiceNotFound", "spec.target.service"),
        (only_the_apex, "ArmNotFound", "checkout-canary"),
        (lambda w: setattr(w, "others", (other("first"),)), "ServiceBusy", "shop/first"),
        (lambda w: setattr(w, "others", (other("first", "cart"),)), "TooManyExperiments", "maxConcurrent"),
        (callers_are_busy, "CallersBusy", "elsewhere/run-3"),
        (pods_are_busy, "PodsBusy", "shop/run-1"),
        (lambda w: w.change(engineState="stop"), "EngineStopped", "active"),
        (lambda w: w.change(target={"service": "checkout", "namespace": "kube-system"}), "ProtectedNamespace", "kube-system"),
        (lambda w: w.change(target={"service": "checkout", "namespace": "rollout-system"}), "ProtectedNamespace", "rollout-system"),
        (lambda w: w.change(duration=None), "Invalid", "spec.duration"),
        (lambda w: w.change(fault={"abort": {"httpStatus": 500, "percentage": {"value": 200}}}), "Invalid", "percentage"),
        (lambda w: w.change(schedule={"cron": "99 * * * *"}), "Invalid", "spec.schedule.cron"),
        (lambda w: w.change(schedule={"cron": "* * * * *", "timeZone": "Mars/Base"}), "Invalid", "Europe/Paris"),
    ],
)  # fmt: skip
def test_what_keeps_it_from_running_is_said_once(
    change: Callable[[World], object], reason: str, remedy: str
) -> None:
    world = World(obj=experiment())
    change(world)
    for _ in range(3):
        decision = world.look()
        assert not decision.vouches
    assert world.status.phase is Phase.PENDING
    selected = world.status.condition("Selected")
    assert selected is not None
    assert (selected.status, selected.reason) == ("False", reason)
    assert remedy in selected.message
    assert world.reasons == [reason]


def test_one_that_waited_begins_when_the_other_is_done() -> None:
    world = World(obj=experiment(), others=(other("first"),))
    world.look()
    world.others = ()
    assert world.play().status.verdict is Verdict.PASS


def test_two_that_began_at_once_do_not_both_go_on() -> None:
    early, late = World(obj=experiment("a")), World(obj=experiment("b"))
    early.look()
    late.look()
    early.others, late.others = (other("b"),), (other("a"),)
    assert early.look().vouches
    assert not late.look().vouches
    assert late.status.phase is Phase.PENDING
    assert early.status.phase is Phase.INJECTING


@pytest.mark.parametrize(
    ("spec", "answer", "verdict", "phase", "words"),
    [
        ({"steadyState": STEADY}, answers(FAILED), Verdict.FAIL, "Aborted", "before anything was broken"),
        ({"steadyState": STEADY}, during(FAILED), Verdict.FAIL, "Aborted", "the steady state was lost: works failed"),
        ({"steadyState": STEADY, "abortPolicy": {"onSteadyStateBreach": False}}, during(FAILED), Verdict.FAIL, "Completed", "the steady state was lost"),
        ({"steadyState": STEADY}, lambda _n, p: FAILED if p is ProbePoint.AFTER else PASSED, Verdict.FAIL, "Completed", "did not come back"),
        ({"steadyState": STEADY}, answers(ERROR), Verdict.ERROR, "Error", "no answer from works"),
        ({"steadyState": STEADY}, during(NO_DATA), Verdict.ERROR, "Error", "no answer from works"),
        ({"steadyState": STEADY, "abortPolicy": {"onNoData": "abort"}}, during(NO_DATA), Verdict.ERROR, "Error", "no answer from works"),
        ({}, answers(PASSED), Verdict.PASS, "Completed", "nothing was judged"),
        ({"dryRun": True, "steadyState": STEADY}, answers(PASSED), Verdict.PASS, "Completed", "dry run"),
    ],
)  # fmt: skip
def test_verdicts(
    spec: dict[str, Any],
    answer: Callable[[str, ProbePoint], ProbeVerdict],
    verdict: Verdict,
    phase: str,
    words: str,
) -> None:
    world = World(obj=experiment(**spec), answer=answer).play()
    assert (world.status.verdict, world.status.phase) == (verdict, phase)
    assert words in world.status.reason
    assert world.reports[0]["spec"]["verdict"] == verdict.value


def test_a_breach_ends_the_fault_at_once() -> None:
    world = World(obj=experiment(steadyState=STEADY, duration="1h"), answer=during(FAILED))
    world.until(Phase.RECOVERING)
    assert not world.vouching
    assert world.now - START < timedelta(seconds=10)
    assert "SteadyStateBreached" in world.reasons


def test_stop_on_failure_acts_whatever_the_policy_says() -> None:
    probe = {**PROBE, "runProperties": {"interval": "1s", "stopOnFailure": True}}
    spec = {"probes": [probe]}
    policy = {"onSteadyStateBreach": False}
    world = World(obj=experiment(steadyState=spec, abortPolicy=policy), answer=during(FAILED))
    assert world.play().status.phase is Phase.ABORTED


def test_several_attempts_must_fail_in_a_row() -> None:
    probe = {**PROBE, "runProperties": {"interval": "1s", "attempt": 3}}
    turns = iter([FAILED, FAILED, PASSED] * 20)
    world = World(
        obj=experiment(steadyState={"probes": [probe]}),
        answer=lambda _n, point: next(turns) if point is ProbePoint.DURING else PASSED,
    )
    assert world.play().status.verdict is Verdict.PASS


def test_a_fault_that_hit_nothing_proves_nothing() -> None:
    world = World(obj=experiment(steadyState=STEADY), hits=0).play()
    assert world.status.verdict is Verdict.ERROR
    assert world.status.reason == "nothing was tested: no faulted request was seen yet"
    assert "Running" not in world.phases


def test_a_count_that_comes_late_still_proves_it() -> None:
    world = World(obj=experiment(), counts=False).until(Phase.RECOVERING)
    world.counts = True
    assert world.play().status.verdict is Verdict.PASS


def test_the_last_count_is_of_the_whole_run() -> None:
    world = World(obj=experiment(), hits=3).until(Phase.RECOVERING)
    world.hits = 11
    world.play()
    assert world.reports[0]["spec"]["blast"]["requestsFaulted"] == 11


@pytest.mark.parametrize(
    ("verdict", "why"),
    [(ProbeVerdict.PASSED, "its time was over"), (ProbeVerdict.FAILED, "the steady state was lost: works failed")],
)  # fmt: skip
def test_it_is_recorded_why_the_fault_was_removed(verdict: ProbeVerdict, why: str) -> None:
    world = World(obj=experiment(steadyState=STEADY)).until(Phase.RUNNING)
    world.answer = answers(verdict)
    world.play()
    assert [each["output"] for each in world.reports[0]["spec"]["rollbacks"]] == [why]


def test_load_alone() -> None:
    world = World(obj=experiment(fault=None, load={"fortio": {"qps": 5}})).play()
    assert world.status.verdict is Verdict.PASS
    assert not any(event.reason == "FaultInjected" for event in world.events)
    assert world.reports[0]["spec"]["load"] == {"RetCodes": {}}


def test_what_the_load_tells_afterwards_is_of_the_fault() -> None:
    probe = {
        "name": "p99",
        "type": "fortio",
        "mode": "EOT",
        "field": "p99",
        "comparator": {"criteria": "<", "value": 1},
    }
    world = World(
        obj=experiment(load={"fortio": {}}, steadyState={"probes": [probe]}), answer=answers(FAILED)
    ).play()
    assert world.status.reason == "the steady state was lost: p99 failed"


def test_a_load_that_dies_ends_the_run() -> None:
    dead = LoadView(phase=LoadPhase.FAILED, problem="fortio cannot be started")
    world = World(obj=experiment(load={"fortio": {}}), load=dead).play()
    assert world.status.verdict is Verdict.ERROR
    assert "fortio cannot be started" in world.status.reason
    assert not world.vouching


@pytest.mark.parametrize(
    ("killed", "verdict"),
    [
        (Killed(pods=("checkout-1",)), Verdict.PASS),
        (Killed(problem="eviction of checkout-1 was refused"), Verdict.ERROR),
    ],
)
def test_killing_pods_needs_no_lease(killed: Killed, verdict: Verdict) -> None:
    world = World(obj=experiment(fault={"podKill": {"mode": "one"}}), killed=killed)
    for _ in range(30):
        assert not world.look().vouches
        world.now += timedelta(seconds=1)
    assert world.status.verdict is verdict
    assert world.status.blast.pods_killed == killed.pods


STOPS: dict[str, Callable[[World], object]] = {
    "halted": lambda w: setattr(w, "halted", True),
    "engine stopped": lambda w: w.change(engineState="stop"),
    "spec changed": lambda w: w.change(duration="20s"),
    "opt-in withdrawn": lambda w: setattr(w, "enabled", False),
    "service gone": lambda w: setattr(w, "services", frozenset()),
    "canary rolled back": lambda w: setattr(w, "rolled_back", w.now),
}


@pytest.mark.parametrize("stop", STOPS.values(), ids=STOPS.keys())
@pytest.mark.parametrize("phase", [Phase.INJECTING, Phase.RUNNING])
def test_what_stops_it(stop: Callable[[World], object], phase: Phase) -> None:
    world = World(obj=experiment()).until(phase)
    stop(world)
    assert not world.look().vouches
    world.until(Phase.ABORTED)
    assert world.status.verdict is Verdict.STOPPED
    assert world.status.history.stopped_runs == 1


def test_what_was_stopped_shows_how_it_ended_until_it_may_run_again() -> None:
    world = World(obj=experiment()).until(Phase.RUNNING)
    world.change(engineState="stop")
    world.until(Phase.ABORTED)
    reason = world.status.reason
    for _ in range(3):
        world.look()
    assert (world.status.phase, world.status.reason) == (Phase.ABORTED, reason)
    assert world.status.condition("Selected").reason == "EngineStopped"  # type: ignore[union-attr]
    world.change(engineState="active")
    world.look()
    assert world.status.phase is Phase.CHECKING


def test_a_rollback_is_ignored_where_the_policy_says_so() -> None:
    world = World(obj=experiment(abortPolicy={"onCanaryRollback": False})).until(Phase.RUNNING)
    world.rolled_back = world.now
    assert world.play().status.verdict is Verdict.PASS


def test_a_pause_takes_the_fault_away_and_its_end_stays() -> None:
    world = World(obj=experiment()).until(Phase.RUNNING)
    expires = world.status.expires_at
    world.obj["metadata"]["annotations"] = {PAUSE_ANNOTATION: "true"}
    assert not world.look().vouches
    assert world.status.condition("Paused").status == "True"  # type: ignore[union-attr]
    world.obj["metadata"]["annotations"] = {}
    assert world.look().vouches
    assert world.status.expires_at == expires


@pytest.mark.parametrize("phase", [Phase.INJECTING, Phase.RUNNING])
def test_a_controller_that_is_lost_is_said_to_be(phase: Phase) -> None:
    world = World(obj=experiment(steadyState=STEADY)).until(phase)
    world.crash()
    assert not world.look().vouches
    world.until(Phase.ERROR)
    assert world.status.verdict is Verdict.ERROR
    assert "controller lost" in world.status.reason
    assert "LeaseExpired" in world.reasons
    assert world.reports[0]["spec"]["status"] == "interrupted"


@pytest.mark.parametrize("phase", [Phase.CHECKING, Phase.RECOVERING])
def test_a_controller_that_is_lost_while_nothing_is_broken_costs_nothing(phase: Phase) -> None:
    world = World(obj=experiment()).until(phase)
    world.crash()
    assert world.play().status.verdict is Verdict.PASS


def test_an_api_server_that_takes_no_renewal_ends_it() -> None:
    world = World(obj=experiment(duration="5m")).until(Phase.RUNNING)
    world.reachable = False
    world.play(seconds=30)
    assert "controller lost: the API server took no renewal" in world.status.reason
    assert world.status.verdict is Verdict.ERROR


@pytest.mark.parametrize("phase", [None, Phase.CHECKING, Phase.RUNNING, Phase.COMPLETED])
def test_deletion_ends_the_fault_first_and_is_never_held_up(phase: Phase | None) -> None:
    world = World(obj=experiment(recoverDeadline="20s"))
    if phase is not None:
        world.until(phase)
    world.delete()
    began = world.now
    while world.obj["metadata"].get("finalizers"):
        decision = world.look()
        assert not decision.vouches
        world.now += timedelta(seconds=0.5)
    assert world.now - began <= timedelta(seconds=21)


def test_a_recovery_that_takes_too_long_is_forced() -> None:
    world = World(
        obj=experiment(recoverDeadline="1s", load={"fortio": {}}),
        load=LoadView(phase=LoadPhase.RUNNING),
    ).until(Phase.RUNNING)
    world.delete()
    for _ in range(8):
        world.look()
        world.now += timedelta(seconds=0.25)
    assert "RecoverForced" in world.reasons
    assert not world.obj["metadata"]["finalizers"]


def test_one_run_for_each_spec_and_one_more_when_asked() -> None:
    world = World(obj=experiment()).play()
    first = world.status.run_id
    for _ in range(5):
        world.look()
    assert world.status.run_id == first
    world.obj["metadata"]["annotations"] = {RUN_ANNOTATION: "again"}
    world.look()
    assert world.status.run_id != first
    world.play()
    assert world.status.history.passed_runs == 2
    second = world.status.run_id
    world.change(duration="5s")
    world.look()
    assert world.status.run_id != second


def test_part_of_an_analysis_waits_to_be_asked() -> None:
    world = World(obj=experiment(), on_request=True)
    world.look()
    world.change(duration="5s")
    world.look()
    assert world.status.run_id is None
    assert world.status.reason == "waits for the analysis of the Canary that names it"
    world.obj["metadata"]["annotations"] = {RUN_ANNOTATION: "catalog/1"}
    assert world.play().status.verdict is Verdict.PASS
    assert world.status.run_request == "catalog/1"
    world.look()
    assert world.status.phase is Phase.COMPLETED


def test_a_scheduled_one_runs_at_its_times() -> None:
    spec = {"cron": "*/5 * * * *"}
    world = World(obj=experiment(schedule=spec))
    begun = []
    for _ in range(16 * 60):
        before = world.status.run_id
        world.look()
        if world.status.run_id != before:
            begun.append(world.now - START)
        world.now += timedelta(seconds=1)
    assert begun == [timedelta(minutes=5), timedelta(minutes=10), timedelta(minutes=15)]
    assert world.status.next_schedule_time == START + timedelta(minutes=20)
    assert world.last is not None
    assert world.last.wake is not None


def test_an_invalid_spec_ends_what_runs() -> None:
    world = World(obj=experiment()).until(Phase.RUNNING)
    world.change(duration=None)
    decision = world.look()
    assert not decision.vouches
    assert world.status.phase is Phase.ERROR


@pytest.mark.parametrize(
    ("refused", "verdict", "reason"),
    [
        (3, Verdict.PASS, "(3 certificates refused)"),
        (0, Verdict.ERROR, "nothing was tested: no refused certificate was seen yet"),
    ],
)
def test_an_outage_of_certificates_is_vouched_for_and_proved(
    refused: int, verdict: Verdict, reason: str
) -> None:
    world = World(obj=experiment(fault={"certificateOutage": True}, steadyState=STEADY))
    world.hits, world.refused = 0, refused
    world.until(Phase.INJECTING)
    assert world.vouching
    world.play()
    assert not world.vouching
    assert world.status.verdict is verdict
    assert world.status.reason.endswith(reason)
