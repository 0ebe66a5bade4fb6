"""One simulated rollout under one judge: when it is called worse, when not worse, and what was served until then."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from bench.judging.traffic import Traffic
from rollout.judge.sequential import Shares, Tick, Verdict, start, update, verdict

Generator: TypeAlias = Callable[[Traffic, np.random.Generator], tuple[list[Tick], list[Tick]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Seconds until each verdict, None where it never came; `served`: bad canary responses until rollback, or the end."""

    worse: float | None
    kept: float | None
    served: int


def judged(generate: Generator, case: Traffic, config: Shares, seed: int) -> Outcome:
    """The sequential judge, looking at every tick; it goes on after "not worse", as a rollout with more steps does."""
    before, ticks = generate(case, np.random.default_rng(seed))
    state = start(config)
    for tick in before:
        state = update(state, tick, config)
    kept, served = None, 0
    for number, tick in enumerate(ticks, start=1):
        state = update(state, tick, config)
        served += tick.canary.bad[0]
        said = verdict(state, config)
        if said is Verdict.WORSE:
            return Outcome(worse=number * case.tick, kept=kept, served=served)
        if said is Verdict.NOT_WORSE and kept is None:
            kept = number * case.tick
    return Outcome(worse=None, kept=kept, served=served)


def quantile(times: Sequence[float | None], part: float) -> float:
    """A quantile of the seconds until a decision; infinite where fewer decided. Never below an observed value."""
    ordered = sorted(math.inf if time is None else time for time in times)
    return ordered[min(math.ceil(part * len(ordered)), len(ordered)) - 1]
