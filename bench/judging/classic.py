"""Classic threshold rules over the same traffic: the success rate of the last interval, and how many failures are borne."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.judging.runs import Generator, Outcome
from bench.judging.traffic import Traffic
from rollout.judge.thresholds import Bounds, Fail, Measure, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Roll back once `failures` checks, one each `interval` seconds, have found a success rate below `least` percent."""

    name: str
    interval: float
    failures: int
    least: float = 99.0


FLAGGER = Rule(name="99 % each 60 s, 5 failures", interval=60, failures=5)
ARGO = Rule(name="99 % each 60 s, 1 failure", interval=60, failures=1)
SHORT = Rule(name="99 % each 10 s, 5 failures", interval=10, failures=5)
RULES = (FLAGGER, ARGO, SHORT)


def ruled(generate: Generator, case: Traffic, rule: Rule, seed: int) -> Outcome:
    """The rule over one rollout; ideal scrapes, and a check without traffic passes."""
    _, ticks = generate(case, np.random.default_rng(seed))
    each = round(rule.interval / case.tick)
    failed = served = 0
    bounds = Bounds(min=rule.least)
    for end in range(each, len(ticks) + 1, each):
        total = sum(tick.canary.total for tick in ticks[end - each : end])
        bad = sum(tick.canary.bad[0] for tick in ticks[end - each : end])
        served += bad
        if not total:
            continue
        rate = 100 * (total - bad) / total
        failed += isinstance(judge(Measure.SUCCESS_RATE, "", rate, bounds), Fail)
        if failed >= rule.failures:
            return Outcome(worse=end * case.tick, kept=None, served=served)
    return Outcome(worse=None, kept=None, served=served)
