"""What the judge says now: the states that the status keeps, and everything that was seen since. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rollout.api.durations import parse_prometheus_duration
from rollout.delivery.checking import BrokenCheckError
from rollout.delivery.judging.plan import tests_of, trial_of
from rollout.delivery.judging.record import JudgeRecord, MetricRecord, Ruled
from rollout.delivery.routing.router import TOTAL
from rollout.delivery.situation import Situation
from rollout.delivery.status import PROMOTED
from rollout.judge.sequential import (
    Arm,
    Config,
    Evidence,
    Explanation,
    Mean,
    State,
    Tick,
    UnfitState,
    Verdict,
    combined,
    explain,
    from_dict,
    next_step,
    start,
    to_dict,
    update,
    verdict,
)
from rollout.judge.sequential.state import SharesState
from rollout.judge.trials import Observation, Source, Trial

WRITTEN_EVERY = timedelta(seconds=5)
"""How old what the status says of the judge may become; what was seen since is lost with this process."""
_WORDS = {
    Verdict.WORSE: Ruled.WORSE,
    Verdict.NOT_WORSE: Ruled.NOT_WORSE,
    Verdict.UNDECIDED: Ruled.UNDECIDED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One metric's test, with everything that was seen so far."""

    config: Config
    state: State
    said: Verdict

    @property
    def explanation(self) -> Explanation:
        """Why it says so."""
        return explain(self.state, self.config, self.said)

    def record(self) -> MetricRecord:
        """What the status keeps of it."""
        why = self.explanation
        counts = f"{why.primary[0]:g} of {why.primary[1]}"
        afresh = why.reference == "baseline"
        return MetricRecord(
            name=self.config.metric,
            verdict=_WORDS[self.said],
            message=why.sentence(),
            canary=f"{why.canary[0]:g} of {why.canary[1]}",
            primary="" if afresh else counts,
            baseline=counts if afresh else "",
            evidence=f"{why.evidence:.3g}",
            bound=f"{why.bound:.3g}",
            more=why.more,
            state=json.dumps(to_dict(self.state), separators=(",", ":")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What is said of the step that is under way. `trouble` is why there is no evidence, `broken` the field at fault."""

    verdict: Ruled
    tests: tuple[Judged, ...]
    since: datetime
    until: datetime
    checked: datetime | None
    source: Source
    waiting: timedelta
    most: timedelta
    trial: Trial | None
    trouble: str = ""
    broken: str = ""

    @property
    def telling(self) -> Judged:
        """The test that decides, or that is furthest from a decision."""
        wanted = {
            Ruled.WORSE: Verdict.WORSE,
            Ruled.NOT_WORSE: Verdict.NOT_WORSE,
        }.get(self.verdict, Verdict.UNDECIDED)
        counted = [test for test in self.tests if not isinstance(test.config, Mean)]
        among = self.tests if self.verdict is Ruled.WORSE else counted
        return max([test for test in among if test.said is wanted] or counted, key=_missing)

    @property
    def sentence(self) -> str:
        """Why, with how much is missing."""
        if self.trouble and self.verdict in {Ruled.UNDECIDED, Ruled.INCONCLUSIVE}:
            return f"no evidence: {self.trouble}"
        test = self.telling
        said = test.explanation.sentence()
        if self.verdict not in {Ruled.UNDECIDED, Ruled.INCONCLUSIVE}:
            return said
        requests = _of_this_step(test.state)
        if not requests:
            return f"{said}; no request reached the canary in this step"
        more, seconds = test.explanation.more, self.waiting.total_seconds()
        if not more or seconds < 1:
            return said
        left = more * seconds / requests
        return f"{said}, {left:.0f} s at {requests / seconds:.2g} requests a second"

    @property
    def too_little(self) -> bool:
        """Whether the traffic cannot bring a decision before the step's time is over."""
        requests, more = _of_this_step(self.telling.state), self.telling.explanation.more
        if not requests:
            return True
        left = (self.most - self.waiting).total_seconds()
        return more is not None and more * self.waiting.total_seconds() > left * requests

    def record(self) -> JudgeRecord:
        """What the status keeps."""
        return JudgeRecord(
            since=self.since,
            until=self.until,
            source=self.source,
            verdict=self.verdict,
            message=self.sentence,
            checked=self.checked,
            metrics=tuple(test.record() for test in self.tests),
        )

    def next_step(self, now: datetime) -> JudgeRecord:
        """What it keeps when a step begins: promotion asks for evidence of the step alone."""
        said = self.record()
        states = [
            json.dumps(to_dict(next_step(test.state)), separators=(",", ":")) for test in self.tests
        ]
        metrics = zip(said.metrics, states, strict=True)
        return replace(
            said,
            since=now,
            checked=None,
            verdict=Ruled.UNDECIDED,
            metrics=tuple(
                replace(each, verdict=Ruled.UNDECIDED, state=state) for each, state in metrics
            ),
        )


def rule(here: Situation) -> Ruling | None:
    """What the judge says, as of the last look; None where the canary has no judge, or needs none."""
    judge = here.canary.spec.analysis.judge
    if judge is None or here.canary.spec.skip_analysis:
        return None
    trial, broken = None, ""
    try:
        trial = trial_of(here)
    except BrokenCheckError as error:
        broken = str(error)
    known, looks = here.status.judge, _looks(here, trial)
    source = known.source if known else Source.NONE
    source = next((look.source for look in reversed(looks)), source)
    configs = tests_of(here.canary, source)
    began = here.status.last_transition or here.now
    record = known or JudgeRecord(since=began, until=began)
    new = tuple(look for look in looks if look.at > record.until)
    written = {metric.name: metric.state for metric in record.metrics}
    tests = tuple(_test(here, config, written, new) for config in configs)
    waiting = here.now - record.since
    said = _verdict(tests)
    most = judge.max_duration
    if said is Ruled.UNDECIDED and waiting >= most and here.status.progress.begun:
        said = Ruled.INCONCLUSIVE
    return Ruling(
        verdict=said,
        tests=tests,
        since=record.since,
        until=new[-1].at if new else record.until,
        checked=record.checked,
        source=source,
        waiting=waiting,
        most=most,
        trial=trial,
        trouble=here.snapshot.observed.trouble or broken,
        broken=broken,
    )


def _looks(here: Situation, trial: Trial | None) -> tuple[Observation, ...]:
    """What counts of what was seen: nothing of another trial, and nothing more once the verdict is written."""
    known, observed = here.status.judge, here.snapshot.observed
    condemned = known is not None and known.verdict is Ruled.WORSE
    return observed.looks if observed.trial == trial and not condemned else ()


def nobody_to_compare(here: Situation) -> bool:
    """Whether the canary has all requests, so that only its limits can be judged."""
    return here.status.canary_weight >= TOTAL


def _verdict(tests: Iterable[Judged]) -> Ruled:
    """Over all metrics. Numbers can only speak against the canary: they are too few to wait for."""
    found = tuple(tests)
    if any(test.said is Verdict.WORSE for test in found):
        return Ruled.WORSE
    return _WORDS[combined(test.said for test in found if not isinstance(test.config, Mean))]


def _test(
    here: Situation, config: Config, written: Mapping[str, str], looks: tuple[Observation, ...]
) -> Judged:
    state = _state(config, written.get(config.metric, ""))
    counts = here.status.progress.begun
    for look in looks:
        for evidence in look.evidence.get(config.metric, ()):
            if isinstance(evidence, Tick):
                state = update(state, evidence if counts else _primary_alone(evidence), config)
            elif counts and _is_of_this_run(here, config.metric, look.at):
                state = update(state, evidence, config)
    return Judged(config=config, state=state, said=verdict(state, config))


def _state(config: Config, written: str) -> State:
    """The state to go on from; a configuration that changed under way begins anew."""
    try:
        return from_dict(json.loads(written), config) if written else start(config)
    except (UnfitState, ValueError, AttributeError):
        return start(config)


def _primary_alone(tick: Tick) -> Evidence:
    """Before its first step the canary has nobody's requests, but perhaps some of hooks that try it."""
    return Tick(Arm(0, (0,) * len(tick.canary.bad)), tick.primary)


def _is_of_this_run(here: Situation, metric: str, at: datetime) -> bool:
    """Whether a query's window holds nothing of an earlier revision, whose workload has the same name."""
    promoted = here.status.condition(PROMOTED)
    window = next((m.window for m in here.canary.spec.analysis.metrics if m.name == metric), "1m")
    return promoted is None or at >= promoted.last_update + parse_prometheus_duration(window)


def _of_this_step(state: State) -> int:
    return state.canary - state.step.canary.total if isinstance(state, SharesState) else 0


def _missing(test: Judged) -> float:
    more = test.explanation.more
    return float("inf") if more is None else float(more)
