"""The judge over past traffic: what it would have said, and how often it raises a false alarm on one's own service.

Pure: past ticks in, decisions out. `parse_ticks` reads the file form, one JSON object a line:
`{"at": 1700000005, "canary": {"total": 50, "failed": 2}, "primary": {"total": 450, "failed": 0}}`, where `failed` is
replaced by `slower: {"100": 12, "250": 1}` for latency.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollout.judge.sequential.config import Config, Shares
from rollout.judge.sequential.counts import Arm, Tick
from rollout.judge.sequential.explain import Explanation, explain
from rollout.judge.sequential.judging import update, verdict
from rollout.judge.sequential.state import start
from rollout.judge.sequential.verdicts import Verdict


class UnreadableTicks(ValueError):  # noqa: N818 - it says what is refused
    """A file is not of the form that can be replayed; the message names the line and the remedy."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the judge says first, or last where it never decides, and the time of that tick."""

    at: float
    explanation: Explanation


def replay(ticks: Iterable[tuple[float, Tick]], config: Config) -> Decision | None:
    """The first decision over past ticks, or else the last explanation; None without any canary request."""
    state = start(config)
    last: float | None = None
    for at, tick in ticks:
        state = update(state, tick, config)
        if not tick.canary.total:
            continue
        last, said = at, verdict(state, config)
        if said is not Verdict.UNDECIDED:
            return Decision(at, explain(state, config, said))
    return None if last is None else Decision(last, explain(state, config, Verdict.UNDECIDED))


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseAlarms:
    """How often the judge called one part of a service worse than the rest of it, although they are the same."""

    runs: int
    alarms: int
    alpha: float

    def sentence(self) -> str:
        """The result for people."""
        if not self.runs:
            return (
                "no window holds traffic of two pods, with as much time before it; "
                "choose shorter windows (--minutes), a longer time (--hours) or a workload with more replicas"
            )
        said = f"{self.alarms} of {self.runs} runs raised a false alarm ({self.alarms / self.runs:.2%})"
        if self.alarms > self.alpha * self.runs:
            return f"{said}; alpha promises {self.alpha:.2%}: look for a pod that differs, or judge longer blocks"
        return f"{said}; alpha promises at most {self.alpha:.2%}"


def false_alarms(
    pods: Mapping[str, Sequence[tuple[float, Tick]]], config: Config, *, window: float
) -> FalseAlarms:
    """Judge each pod of one version against the others, in windows of so many seconds, the window before as history.

    `pods` has the ticks of each pod as those of a canary, with the others as the primary. Nothing differs but the pod,
    so that every alarm is a false one.
    """
    runs = alarms = 0
    for ticks in pods.values():
        begin = ticks[0][0] + window if ticks else 0.0
        while ticks and begin <= ticks[-1][0]:
            before = [_together(tick) for at, tick in ticks if begin - window <= at < begin]
            during = [tick for at, tick in ticks if begin <= at < begin + window]
            if any(tick.canary.total and tick.primary.total for tick in during):
                runs += 1
                alarms += _alarms(before, during, config)
            begin += window
    return FalseAlarms(runs=runs, alarms=alarms, alpha=config.alpha)


def _together(tick: Tick) -> Tick:
    """All requests as the primary's, as before a canary has any."""
    return Tick(Arm(0, (0,) * len(tick.canary.bad)), tick.canary + tick.primary)


def _alarms(before: Iterable[Tick], during: Iterable[Tick], config: Config) -> bool:
    """Whether the judge ever calls the canary worse, also after it called it not worse."""
    state = start(config)
    for tick in before:
        state = update(state, tick, config)
    for tick in during:
        state = update(state, tick, config)
        if verdict(state, config) is Verdict.WORSE:
            return True
    return False


def parse_ticks(text: str, config: Shares) -> list[tuple[float, Tick]]:
    """The ticks of a file, one JSON object a line. Raises UnreadableTicks."""
    ticks = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            read = json.loads(line)
            arms = [_arm(read[name], config) for name in ("canary", "primary")]
            ticks.append((float(read["at"]), Tick(arms[0], arms[1])))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UnreadableTicks(
                f"line {number}: {type(error).__name__}: {error}; each line is an object with at, canary and primary, "
                "each of these with total, and failed or slower by edge"
            ) from error
    return ticks


def _arm(read: Mapping[str, Any], config: Shares) -> Arm:
    total = int(read["total"])
    if config.edges:
        slower = {float(edge): int(count) for edge, count in read["slower"].items()}
        bad = tuple(slower[edge] for edge in config.edges)
    else:
        bad = (int(read["failed"]),)
    if total < 0 or not all(0 <= each <= total for each in bad):
        raise ValueError(f"counts must lie between 0 and total, which is {total}")
    return Arm(total, bad)
