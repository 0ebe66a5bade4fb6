"""The steady state as a sequential test of failed requests: is the faulted service worse than its control, or its limit?

Requests are counted where they were sent from, once each, after the caller's retries: a fault that callers do not
notice is no breach. `compare: control` sets the faulted arm against the other arm at the same time, or, where the
whole service is faulted, against the same service before. Evidence grows with each look, and is wrong with a
probability of at most `alpha`, however often one looks. Keeps its evidence in memory: a run that loses its controller
is over anyway.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rollout.api.chaos import ChaosExperiment, SteadyState
from rollout.chaos.probe import TEST_NAME, ProbePoint, ProbeResult, ProbeVerdict
from rollout.judge.checks import QueryFailed
from rollout.judge.evidence.counters import CounterSource, Series, Workloads, failed_requests
from rollout.judge.sequential import (
    Arm,
    Limit,
    Shares,
    State,
    Tick,
    Verdict,
    explain,
    start,
    update,
    verdict,
)

_STEP_SECONDS = 2.0
_MARGIN_SECONDS = 60.0
_MOST_RUNS = 256
_FAULTED, _CONTROL = "faulted", "control"
_ARMS = Workloads(namespace="", canary=_FAULTED, primary=_CONTROL)


@dataclass(frozen=True, slots=True)
class _Run:
    state: State
    until: float


class SteadyTests:
    """The tests of all runs; asks the Prometheus at `metrics_server`."""

    def __init__(self, source: CounterSource, metrics_server: str) -> None:
        self._source, self._address = source, metrics_server
        self._runs: dict[str, _Run] = {}

    async def ask(self, experiment: ChaosExperiment, point: ProbePoint) -> ProbeResult:
        """What the requests since the injection say; before it there is nothing to say."""
        now = datetime.now(UTC)
        status, steady = experiment.status, experiment.spec.steady_state
        run_id, injected = status.run_id or "", status.injected_at
        if steady is None or injected is None:
            return _result(point, now, ProbeVerdict.NO_DATA, "nothing is broken yet")
        config = config_of(steady)
        run = self._runs.get(run_id) or _Run(start(config), injected.timestamp())
        end = min(now, status.recovering_at or now).timestamp()
        series = await self._series(experiment, steady, now, run.until)
        if isinstance(series, QueryFailed):
            return _result(point, now, ProbeVerdict.ERROR, f"cannot be asked: {series.reason}")
        counted = failed_requests(series, _ARMS, step=_STEP_SECONDS, after=run.until, until=end)
        state = run.state
        for _, tick in counted.ticks:
            state = update(state, faulted_alone(tick) if steady.compare == "slo" else tick, config)
        self._keep(run_id, _Run(state, counted.until))
        found, sentence, share = judged(state, config)
        return _result(point, now, found, sentence, share)

    def forget(self, run_id: str) -> None:
        """Drop a run's evidence."""
        self._runs.pop(run_id, None)

    def _keep(self, run_id: str, run: _Run) -> None:
        self._runs[run_id] = run
        if len(self._runs) > _MOST_RUNS:
            del self._runs[next(iter(self._runs))]

    async def _series(
        self, experiment: ChaosExperiment, steady: SteadyState, now: datetime, after: float
    ) -> tuple[Series, ...] | QueryFailed:
        """The counters of both sides, the control's as if they had been scraped at the same time."""
        window = timedelta(seconds=now.timestamp() - after + _MARGIN_SECONDS)
        target, namespace = experiment.spec.target, experiment.target_namespace
        faulted, control, ago = sides(experiment, steady)
        mine = await self._source.series(self._address, query(namespace, faulted, window))
        if isinstance(mine, QueryFailed):
            return mine
        found = list(labelled(mine, _FAULTED))
        if steady.compare == "slo":
            # The control of a limit is nobody; a silent one lets each scrape count.
            return (*found, *labelled(mine, _CONTROL))
        at = now.timestamp() - ago.total_seconds()
        theirs = await self._source.series(
            self._address, query(namespace, control, window), at=at if ago else None
        )
        if isinstance(theirs, QueryFailed):
            return theirs
        if not theirs and mine:
            return QueryFailed(f"nothing is known of the control of {target.service}", True)  # noqa: FBT003
        return (*found, *labelled(theirs, _CONTROL, later=ago.total_seconds()))


def config_of(steady: SteadyState) -> Shares:
    """The test that a steady state asks for."""
    limit = Limit(share=steady.slo) if steady.compare == "slo" and steady.slo else None
    return Shares(metric=TEST_NAME, alpha=steady.alpha, limit=limit)


def sides(
    experiment: ChaosExperiment, steady: SteadyState
) -> tuple[tuple[str, ...], tuple[str, ...], timedelta]:
    """The Services whose requests are faulted, those of the control, and how long ago the control's are counted."""
    service, arm = experiment.spec.target.service, experiment.spec.target.arm
    if arm == "all":
        both = (service, *(f"{service}-{each}" for each in ("primary", "canary", "baseline")))
        begun = experiment.status.started_at or experiment.status.injected_at
        checked = (
            experiment.status.injected_at - begun
            if begun and experiment.status.injected_at
            else timedelta()
        )
        ago = timedelta() if steady.compare == "slo" else experiment.spec.duration + checked
        return both, both, ago
    other = "primary" if arm == "canary" else "canary"
    return (f"{service}-{arm}",), (f"{service}-{other}",), timedelta()


def query(namespace: str, services: Iterable[str], window: timedelta) -> str:
    """The requests that callers' proxies have counted, for a range vector."""
    names = "|".join(each.replace(".", r"\\.") for each in services)
    selector = (
        f'reporter="source",destination_service_namespace="{namespace}",'
        f'destination_service_name=~"{names}"'
    )
    return f"istio_requests_total{{{selector}}}[{math.ceil(window.total_seconds())}s]"


def labelled(series: Iterable[Series], side: str, *, later: float = 0.0) -> Iterable[Series]:
    """The same series as one side's, their samples so many seconds later."""
    for each in series:
        moved = tuple((time + later, value) for time, value in each.samples) if later else None
        yield Series({**each.labels, "destination_workload": side}, moved or each.samples)


def faulted_alone(tick: Tick) -> Tick:
    """A tick without a control."""
    return Tick(tick.canary, Arm(0, (0,)))


def judged(state: State, config: Shares) -> tuple[ProbeVerdict, str, float | None]:
    """What the evidence allows to say, why, and the share of failed requests; worse is a breach, anything else is not."""
    said = explain(state, config, verdict(state, config))
    bad, total = said.canary
    if not total:
        return ProbeVerdict.NO_DATA, "no caller's proxy has counted requests to the target", None
    found = ProbeVerdict.FAILED if said.verdict is Verdict.WORSE else ProbeVerdict.PASSED
    return found, sentence(said.canary, said.primary, said.evidence, said.bound, found), bad / total


def sentence(
    faulted: tuple[float, int],
    control: tuple[float, int],
    evidence: float,
    bound: float,
    found: ProbeVerdict,
) -> str:
    """Counts and evidence, for people."""
    bad, total = faulted
    counts = f"{bad:.0f} of {total} requests failed"
    if control[1]:
        counts += f", of the control {control[0]:.0f} of {control[1]}"
    if found is ProbeVerdict.FAILED:
        return f"{counts}: worse than it may be (evidence {evidence:.3g} of {bound:.3g})"
    return f"{counts}: no evidence that this is worse than it may be"


def _result(
    point: ProbePoint,
    at: datetime,
    found: ProbeVerdict,
    text: str,
    value: float | None = None,
) -> ProbeResult:
    return ProbeResult(
        name=TEST_NAME,
        point=point,
        at=at,
        verdict=found,
        value=value,
        sentence=f"{TEST_NAME}: {text}",
    )
