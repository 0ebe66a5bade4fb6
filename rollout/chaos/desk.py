"""What is under way for each run: questions being asked, load being sent, requests being counted, pods being killed.

Whatever is begun is answered later, and the experiment is looked at again then. Knows how to begin and to keep; what is
begun, decisions say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import structlog

from rollout.api.chaos import ChaosExperiment, PodKill
from rollout.chaos.killing import PodKiller
from rollout.chaos.load import FortioRun, LoadFailed
from rollout.chaos.loadresult import LoadResult
from rollout.chaos.plan.snapshot import Ask, Killed, LoadPhase, LoadView, RunView, Traffic
from rollout.chaos.probe import ProbePoint, Prober, ProbeResult, ProbeVerdict
from rollout.chaos.traffic import TrafficCounter
from rollout.kube.objects import Key

log = structlog.get_logger(__name__)

_MOST_SAMPLES = 4000


class Tests(Protocol):
    """Who makes the sequential test: `rollout.chaos.steadytest.SteadyTests`."""

    async def ask(self, experiment: ChaosExperiment, point: ProbePoint) -> ProbeResult:
        """What the requests since the injection say."""
        ...

    def forget(self, run_id: str) -> None:
        """Drop a run's evidence."""
        ...


@dataclass(slots=True)
class _Run:
    run_id: str
    samples: list[ProbeResult] = field(default_factory=list)
    asking: set[str] = field(default_factory=set)
    load: LoadView = field(default_factory=LoadView)
    result: LoadResult | None = None
    fortio: FortioRun | None = None
    stopping: bool = False
    traffic: Traffic | None = None
    counting: bool = False
    killed: Killed | None = None
    killing: bool = False
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Desk:
    """The runs of this process; `again` has an experiment looked at. Tasks belong to `group`."""

    def __init__(
        self,
        tests: Tests,
        traffic: TrafficCounter,
        killer: PodKiller,
        again: Callable[[Key], None],
        group: asyncio.TaskGroup,
        clock: Callable[[], datetime],
        *,
        load: Callable[..., FortioRun] = FortioRun,
    ) -> None:
        self._tests, self._traffic, self._killer = tests, traffic, killer
        self._again, self._group, self._clock, self._load = again, group, clock, load
        self._prober: Prober | None = None
        self._runs: dict[Key, _Run] = {}

    def ask_by(self, prober: Prober) -> None:
        """Probes are asked by this one, which may ask `load_of` here."""
        self._prober = prober

    def open(self, key: Key, run_id: str) -> None:
        """Begin to remember a run."""
        known = self._runs.get(key)
        if known is None or known.run_id != run_id:
            self.close(key)
            self._runs[key] = _Run(run_id)

    def close(self, key: Key) -> None:
        """End what is under way, and forget."""
        run = self._runs.pop(key, None)
        if run is None:
            return
        for task in run.tasks:
            task.cancel()
        self._tests.forget(run.run_id)

    def close_all(self) -> None:
        """End everything."""
        for key in list(self._runs):
            self.close(key)

    def view(self, key: Key, run_id: str | None, vouched: datetime | None) -> RunView | None:
        """What is known of a run; None where this process does not know it."""
        run = self._runs.get(key)
        if run is None or run.run_id != run_id:
            return None
        return RunView(
            samples=tuple(run.samples),
            asking=frozenset(run.asking),
            load=run.load,
            traffic=run.traffic,
            killed=run.killed,
            vouched=vouched,
        )

    def load_of(self, experiment: ChaosExperiment) -> LoadResult | None:
        """What the load of the current run came to, once it has ended."""
        run = self._runs.get(Key(experiment.namespace, experiment.name))
        same = run is not None and run.run_id == experiment.status.run_id
        return run.result if run is not None and same else None

    def ask(self, key: Key, experiment: ChaosExperiment, ask: Ask) -> None:
        """Have a question answered."""
        run = self._runs.get(key)
        if run is not None and ask.name not in run.asking:
            run.asking.add(ask.name)
            self._begin(key, run, self._answer(run, experiment, ask))

    def send(self, key: Key, experiment: ChaosExperiment, url: str) -> None:
        """Begin the experiment's load, once."""
        run, load = self._runs.get(key), experiment.spec.load
        if run is None or load is None or run.load.phase is not LoadPhase.NONE:
            return
        run.load = LoadView(phase=LoadPhase.RUNNING)
        seconds = experiment.spec.duration.total_seconds()
        self._begin(key, run, self._send(run, self._load(load.fortio, url, seconds)))

    def stop_load(self, key: Key) -> None:
        """Send nothing more."""
        run = self._runs.get(key)
        if run is not None and run.fortio is not None and not run.stopping:
            run.stopping = True
            run.fortio.stop()

    def count(self, key: Key, experiment: ChaosExperiment) -> None:
        """Have the faulted requests counted."""
        run = self._runs.get(key)
        if run is not None and not run.counting:
            run.counting = True
            self._begin(key, run, self._count(run, experiment))

    def kill(self, key: Key, experiment: ChaosExperiment, kill: PodKill) -> None:
        """Have pods killed, once."""
        run = self._runs.get(key)
        if run is not None and not run.killing:
            run.killing = True
            self._begin(key, run, self._kill(run, experiment, kill))

    def _begin(self, key: Key, run: _Run, work: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception:  # one experiment's trouble is not the others'
                log.exception("chaos work failed", experiment=str(key))
            self._again(key)

        task = self._group.create_task(guarded())
        run.tasks.add(task)
        task.add_done_callback(run.tasks.discard)

    async def _answer(self, run: _Run, experiment: ChaosExperiment, ask: Ask) -> None:
        try:
            if ask.spec is None:
                result = await self._tests.ask(experiment, ask.point)
            elif self._prober is not None:
                result = await self._prober.ask(experiment, ask.spec, ask.point)
            else:
                result = ProbeResult(
                    name=ask.name, point=ask.point, at=self._clock(), verdict=ProbeVerdict.ERROR
                )
            run.samples.append(result)
            if len(run.samples) > _MOST_SAMPLES:
                half = len(run.samples) // 2
                run.samples[:half] = run.samples[:half:2]
        finally:
            run.asking.discard(ask.name)

    async def _send(self, run: _Run, load: FortioRun) -> None:
        try:
            async with load as fortio:
                run.fortio = fortio
                result = await fortio.result()
        except LoadFailed as failed:
            run.load = LoadView(phase=LoadPhase.FAILED, problem=str(failed))
        else:
            run.result = result
            run.load = LoadView(phase=LoadPhase.DONE, figures=result.sentence(), kept=result.kept)
        finally:
            run.fortio = None

    async def _count(self, run: _Run, experiment: ChaosExperiment) -> None:
        try:
            found = await self._traffic.count(experiment, self._clock())
            before = run.traffic
            # A Prometheus that is gone for a while does not undo what it said before.
            if found.problem and before is not None and not before.problem:
                found = Traffic(at=found.at, faulted=before.faulted, total=before.total)
            run.traffic = found
        finally:
            run.counting = False

    async def _kill(self, run: _Run, experiment: ChaosExperiment, kill: PodKill) -> None:
        run.killed = await self._killer.kill(experiment, kill)
