"""Experiments in a small world of their own: time passes as told, probes answer as told, and decisions are carried out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rollout.api.chaos import ENABLED_LABEL, ExperimentStatus, Phase
from rollout.chaos.decide import decide
from rollout.chaos.observe import experiment_of, status_of
from rollout.chaos.plan.snapshot import (
    Decision,
    Event,
    Killed,
    LoadPhase,
    LoadView,
    Other,
    RunView,
    Snapshot,
    Traffic,
)
from rollout.chaos.probe import ProbePoint, ProbeResult, ProbeVerdict
from rollout.kube.objects import Key, Object

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SENT = LoadView(phase=LoadPhase.DONE, figures="10 requests", kept={"RetCodes": {}})
KILLED = Killed(pods=("checkout-1",))
ABORT = {"abort": {"httpStatus": 503, "percentage": {"value": 50}}}
PROBE = {
    "name": "works",
    "type": "http",
    "url": "http://shop/",
    "comparator": {"criteria": "==", "value": 200},
    "runProperties": {"interval": "1s"},
}


def experiment(name: str = "slow", **spec: Any) -> Object:
    """An experiment of ten seconds that aborts half of the requests to `checkout`."""
    wanted: Object = {"target": {"service": "checkout"}, "duration": "10s", "fault": ABORT}
    wanted.update(copy.deepcopy(spec))
    return {
        "apiVersion": "chaos.rollout.dev/v1alpha1",
        "kind": "ChaosExperiment",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "generation": 1,
            "creationTimestamp": START.isoformat(),
        },
        "spec": {key: value for key, value in wanted.items() if value is not None},
    }


def answers(verdict: ProbeVerdict) -> Callable[[str, ProbePoint], ProbeVerdict]:
    """The same answer to each question."""
    return lambda _name, _point: verdict


@dataclass(slots=True, kw_only=True)
class World:
    """One experiment, the process that looks after it, and everything else."""

    obj: Object
    now: datetime = START
    answer: Callable[[str, ProbePoint], ProbeVerdict] = lambda _n, _p: ProbeVerdict.PASSED
    services: frozenset[str] = frozenset({"checkout", "checkout-primary", "checkout-canary"})
    enabled: bool = True
    halted: bool = False
    others: tuple[Other, ...] = ()
    rolled_back: datetime | None = None
    on_request: bool = False
    hits: int = 7
    refused: int = 0
    counts: bool = True
    load: LoadView = SENT
    killed: Killed = KILLED
    reachable: bool = True
    run: RunView | None = None
    vouching: bool = False
    events: list[Event] = field(default_factory=list)
    reports: list[Object] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    last: Decision | None = None

    @property
    def status(self) -> ExperimentStatus:
        return status_of(self.obj)

    @property
    def reasons(self) -> list[str]:
        return [event.reason for event in self.events]

    def snapshot(self) -> Snapshot:
        labels = {ENABLED_LABEL: "true"} if self.enabled else {}
        deleted = self.obj["metadata"].get("deletionTimestamp")
        return Snapshot(
            obj=self.obj,
            experiment=experiment_of(self.obj, self.status),
            status=self.status,
            deleted=datetime.fromisoformat(deleted) if deleted else None,
            guarded=bool(self.obj["metadata"].get("finalizers")),
            halted=self.halted,
            system_namespace="rollout-system",
            labels={"shop": labels},
            services=self.services,
            others=self.others,
            rolled_back=self.rolled_back,
            on_request=self.on_request,
            run=self.run,
        )

    def look(self) -> Decision:
        """Decide once, and carry it out."""
        if self.run is not None and self.vouching and self.reachable:
            self.run = replace(self.run, vouched=self.now)
        decision = self.last = decide(self.snapshot(), self.now)
        self._apply(decision)
        return decision

    def _apply(self, decision: Decision) -> None:
        if decision.guard is not None:
            self.obj["metadata"]["finalizers"] = ["guard"] if decision.guard else []
        if decision.report is not None:
            self.reports.append(decision.report)
        self.obj["status"] = decision.status.model_dump(
            mode="json", by_alias=True, exclude_none=True
        )
        if self.phases[-1:] != [decision.status.phase.value]:
            self.phases.append(decision.status.phase.value)
        self.events.extend(decision.events)
        if decision.closes:
            self.run = None
        elif decision.opens and self.run is None:
            self.run = RunView()
        if decision.vouches and not self.vouching and self.run is not None:
            self.run = replace(self.run, vouched=self.now)
        self.vouching = decision.vouches
        if self.run is not None:
            self.run = self._carried_out(decision, self.run)

    def _carried_out(self, decision: Decision, run: RunView) -> RunView:
        for ask in decision.asks:
            result = ProbeResult(
                name=ask.name,
                point=ask.point,
                at=self.now,
                verdict=self.answer(ask.name, ask.point),
                value=1.0,
                sentence=f"{ask.name} {self.answer(ask.name, ask.point).value.lower()}",
            )
            run = replace(run, samples=(*run.samples, result))
        if decision.starts_load:
            run = replace(run, load=self.load)
        if decision.kills:
            run = replace(run, killed=self.killed)
        if decision.counts_traffic:
            found = Traffic(at=self.now, faulted=self.hits, total=20, refused=self.refused)
            if not self.counts:
                found = Traffic(at=self.now, problem="Prometheus does not answer")
            run = replace(run, traffic=found)
        return run

    def crash(self) -> None:
        """The process is killed and another comes: what was written is all that is left."""
        self.run, self.vouching = None, False

    def change(self, **spec: Any) -> None:
        """The user edits the spec."""
        self.obj["spec"].update(spec)
        self.obj["metadata"]["generation"] += 1

    def delete(self) -> None:
        """The user deletes it; it stays while it is guarded."""
        self.obj["metadata"]["deletionTimestamp"] = self.now.isoformat()

    def play(self, seconds: float = 120, step: float = 0.5) -> World:
        """Look again and again, until the run is over or time is up."""
        end = self.now + timedelta(seconds=seconds)
        while self.now < end:
            self.look()
            if self.status.phase.is_over:
                break
            self.now += timedelta(seconds=step)
        return self

    def until(self, phase: Phase) -> World:
        """Look until a phase."""
        for _ in range(200):
            if self.status.phase is phase:
                return self
            self.look()
            self.now += timedelta(seconds=0.25)
        raise AssertionError(f"never {phase}: {self.phases}, {self.status.reason}")


def other(name: str, service: str = "checkout", at: datetime = START, most: int = 1) -> Other:
    """Another experiment that is in a run."""
    return Other(
        key=Key("shop", name), namespace="shop", service=service, max_concurrent=most, started_at=at
    )
