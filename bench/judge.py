"""How soon and how surely the sequential judge decides, beside classic threshold rules; `make bench-judge`.

Simulated rollouts with fixed seeds: each figure is the same on every machine, save the CPU time. Prints a table, and as
the last line one JSON object with the figures and the goals that were missed. With `--docs` also draws docs/plots.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import numpy as np

from bench.judging import plots
from bench.judging.classic import ARGO, FLAGGER, RULES, Rule, ruled
from bench.judging.runs import Outcome, judged
from bench.judging.traffic import Traffic, failures, latencies
from rollout.judge import sequential
from rollout.judge.sequential import Evidence, Mean, Reading, Shares, State
from rollout.judge.thresholds import Bounds

RUNS = 1000
"""Rollouts of each case, for every rule."""
PROCESSES = 2
MORE = math.inf

Figures: TypeAlias = dict[str, float]
RATE = sequential.success_rate(Bounds())
LIMITED = sequential.success_rate(Bounds(min=99))
LATENCY = sequential.latency(Bounds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of the table. `key` names its figures; `promised`: whether alpha is claimed to hold there."""

    key: str
    title: str
    traffic: Traffic
    config: Shares = RATE
    classic: tuple[Rule, ...] = ()
    promised: bool = True


def _null(cluster: int, **traffic: float) -> Case:
    error = traffic.pop("error", 0.005)
    named = "".join(f", {name} {value:g}" for name, value in traffic.items())
    suffix = "".join(f"_{name}{value:g}" for name, value in traffic.items())
    made = replace(
        Traffic(error=error, canary_error=error, cluster=cluster),
        **traffic,  # type: ignore[arg-type]
    )
    return Case(
        key=f"null_{error * 100:g}pct_cluster{cluster}{suffix}",
        title="equal, {error:.2%} in clusters of {cluster}{named}",
        traffic=made,
        classic=RULES if not traffic else (),
    )


NULLS = [
    *(_null(cluster) for cluster in (1, 3, 5, 10)),
    *(_null(cluster, error=0.001) for cluster in (1, 3, 5, 10)),
    *(_null(cluster, error=0.0001) for cluster in (1, 10)),
    *(_null(cluster, tide=0.8) for cluster in (1, 3, 5, 10)),
    _null(5, tide=0.8, error_tide=0.8),
    *(_null(cluster, weight=0.5) for cluster in (1, 10)),
    _null(10, rate=20.0),
    _null(10, history=0.0),
    _null(10, spread=3.0),
    replace(
        _null(10, spread=10.0),
        key="null_longer_than_block",
        title="equal, 0.50% in clusters of 10 over 10 s, longer than a block",
        promised=False,
    ),
    replace(
        _null(10, spread=10.0),
        key="null_block2",
        title="the same, blocks of 10 s",
        config=replace(RATE, block=2),
    ),
    Case(
        key="null_limit", title="equal, 0.10% errors, limit 99 %", traffic=Traffic(), config=LIMITED
    ),
    replace(_null(10, tick=1.0, spread=3.0), config=replace(RATE, block=5)),
    Case(key="null_latency", title="equal latency", traffic=Traffic(), config=LATENCY),
]
TIMES = [
    Case(key="to_1pct", title="0.1 % -> 1 %", traffic=Traffic(canary_error=0.01), classic=RULES),
    Case(key="to_2pct", title="0.1 % -> 2 %", traffic=Traffic(canary_error=0.02), classic=RULES),
    Case(key="to_5pct", title="0.1 % -> 5 %", traffic=Traffic(canary_error=0.05), classic=RULES),
    Case(
        key="to_5pct_tick1",
        title="0.1 % -> 5 %, tick 1 s",
        traffic=Traffic(canary_error=0.05, tick=1.0),
        config=replace(RATE, block=5),
    ),
    Case(
        key="to_5pct_limit",
        title="0.1 % -> 5 %, limit 99 %",
        traffic=Traffic(canary_error=0.05),
        config=LIMITED,
    ),
    Case(
        key="from_0_to_5pct",
        title="0 % -> 5 %, clusters unknown",
        traffic=Traffic(error=0.0, canary_error=0.05),
    ),
    Case(
        key="to_5pct_clusters5",
        title="0.1 % -> 5 %, clusters of 5",
        traffic=Traffic(canary_error=0.05, cluster=5),
    ),
    Case(key="to_50pct", title="0.1 % -> 50 %", traffic=Traffic(canary_error=0.5), classic=RULES),
    Case(
        key="low_traffic",
        title="2 canary req/s, 0.5 % -> 5 %",
        traffic=Traffic(rate=20.0, error=0.005, canary_error=0.05),
        classic=RULES,
    ),
    Case(
        key="latency_x1_25",
        title="latency x1.25",
        traffic=Traffic(slowdown=1.25),
        config=LATENCY,
    ),
    Case(key="latency_x1_5", title="latency x1.5", traffic=Traffic(slowdown=1.5), config=LATENCY),
    Case(key="latency_x2", title="latency x2", traffic=Traffic(slowdown=2.0), config=LATENCY),
    Case(key="latency_stall", title="2 % stall 3 s", traffic=Traffic(stall=0.02), config=LATENCY),
]
PROMOTIONS = [
    Case(key="promote_1pp", title="good canary, tolerance 1 pp", traffic=Traffic(length=300)),
    Case(
        key="promote_2pp",
        title="good canary, tolerance 2 pp",
        traffic=Traffic(length=300),
        config=replace(RATE, tolerance=0.02),
    ),
    Case(
        key="promote_latency",
        title="good canary, latency",
        traffic=Traffic(length=300),
        config=LATENCY,
    ),
    Case(
        key="promote_bad",
        title="canary 1 pp worse (promoted wrongly)",
        traffic=Traffic(canary_error=0.0111),
    ),
    Case(
        key="promote_bad_clusters10",
        title="the same in clusters of 10",
        traffic=Traffic(canary_error=0.0111, cluster=10),
    ),
]


def sequentially(case: Case, seed: int) -> Outcome:
    """One rollout under the sequential judge."""
    generate = latencies if case.config.edges else failures
    return judged(generate, case.traffic, case.config, seed)


def classically(case: Case, rule: Rule, seed: int) -> Outcome:
    """One rollout under a classic rule, over the same traffic."""
    return ruled(failures, case.traffic, rule, seed)


def share(outcomes: Sequence[Outcome]) -> float:
    """The share of rollouts that were rolled back, in percent."""
    return 100 * sum(each.worse is not None for each in outcomes) / len(outcomes)


def quantile(times: Sequence[float | None], part: float) -> float:
    """A quantile of the seconds until a decision; infinite where fewer decided. Never below an observed value."""
    ordered = sorted(MORE if time is None else time for time in times)
    return ordered[min(math.ceil(part * len(ordered)), len(ordered)) - 1]


def main() -> None:
    """Everything, within about three minutes on two cores."""
    began = time.monotonic()
    figures: Figures = {}
    curves: dict[str, list[float]] = {}
    with ProcessPoolExecutor(PROCESSES) as pool:

        def runs(run: partial[Outcome], count: int) -> list[Outcome]:
            return list(pool.map(run, range(count), chunksize=50))

        print(f"{'equal versions, 10 min: false rollbacks':58s} sequential   classic rules")
        for case in NULLS:
            alarms = share(runs(partial(sequentially, case), RUNS))
            figures[f"{case.key}_false_pct"] = alarms
            beside = [share(runs(partial(classically, case, rule), RUNS)) for rule in case.classic]
            for rule, theirs in zip(case.classic, beside, strict=True):
                figures[f"{case.key}_false_pct_{_slug(rule)}"] = theirs
            print(f"{case.title:58s} {alarms:8.2f} %   {_row(beside)}", flush=True)
        print(f"\n{'worse versions: seconds to rollback p50 / p95, bad served':58s}")
        for case in TIMES:
            outcomes = runs(partial(sequentially, case), RUNS)
            line = _times(figures, case.key, outcomes, counted=not case.config.edges)
            for rule in case.classic:
                theirs_runs = runs(partial(classically, case, rule), RUNS)
                line += f" | {_times(figures, f'{case.key}_{_slug(rule)}', theirs_runs)}"
                if case.key == "to_5pct":
                    curves[rule.name] = [each.worse or MORE for each in theirs_runs]
            if case.key == "to_5pct":
                curves["sequential"] = [each.worse or MORE for each in outcomes]
            print(f"{case.title:30s} {line}", flush=True)
        print("\ngood versions: seconds to promotion p50 / p95 / decided")
        for case in PROMOTIONS:
            _promotion(figures, case, runs(partial(sequentially, case), RUNS))
    figures |= _cpu()
    figures["seconds"] = round(time.monotonic() - began, 1)
    print(f"\nclassic rules: {'; '.join(rule.name for rule in RULES)}")
    if "--docs" in sys.argv:
        plots.draw(Path("docs/plots"), figures, curves, [FLAGGER, ARGO])
    print(json.dumps({"figures": _finite(figures), "goals_missed": missed(figures)}))


def _slug(rule: Rule) -> str:
    return f"thr{rule.interval:g}x{rule.failures}"


def _row(values: Sequence[float]) -> str:
    return " ".join(f"{value:6.1f} %" for value in values)


def _times(figures: Figures, key: str, outcomes: Sequence[Outcome], *, counted: bool = True) -> str:
    """The times of a case; `counted`: whether the bad responses served are those that fail."""
    worse = [each.worse for each in outcomes]
    middle, late = quantile(worse, 0.5), quantile(worse, 0.95)
    figures |= {
        f"{key}_found_pct": share(outcomes),
        f"{key}_p50_s": middle,
        f"{key}_p95_s": late,
    }
    line = f"{share(outcomes):5.1f} % {middle:4.0f}/{late:4.0f} s"
    if not counted:
        return line
    served = float(np.mean([each.served for each in outcomes]))
    figures[f"{key}_bad_served"] = round(served, 1)
    return f"{line} {served:5.0f}"


def _promotion(figures: Figures, case: Case, outcomes: Sequence[Outcome]) -> None:
    kept = [each.kept for each in outcomes]
    decided = 100 * sum(each is not None for each in kept) / len(kept)
    figures[f"{case.key}_pct"] = decided
    figures[f"{case.key}_p50_s"] = quantile(kept, 0.5)
    figures[f"{case.key}_p95_s"] = quantile(kept, 0.95)
    within = 100 * sum(each is not None and each <= 60 for each in kept) / len(kept)
    figures[f"{case.key}_within_60s_pct"] = within
    print(
        f"{case.title:40s} {quantile(kept, 0.5):4.0f} / {quantile(kept, 0.95):4.0f} s  {decided:5.1f} %"
        f"  within 60 s {within:5.1f} %",
        flush=True,
    )


def _fleet() -> list[tuple[Shares | Mean, State, Evidence]]:
    """A thousand canaries with four metrics each, in the middle of a step at different times of their rollouts."""
    random = np.random.default_rng(7)
    metrics: list[Shares | Mean] = [
        LIMITED,
        sequential.latency(Bounds(max=500)),
        Mean(metric="cpu"),
        Mean(metric="queue", limit=5.0),
    ]
    fleet: list[tuple[Shares | Mean, State, Evidence]] = []
    case = Traffic(history=300, length=60)
    for _ in range(50):
        failed, slow = ([*chain(*make(case, random))] for make in (failures, latencies))
        read = [Reading(random.normal(4, 1), random.normal(4, 1)) for _ in failed]
        streams: list[Sequence[Evidence]] = [failed, slow, read, read]
        for config, given in zip(metrics, streams, strict=True):
            state = sequential.start(config)
            for number, evidence in enumerate(given):
                if number == 63:
                    state = sequential.next_step(state)
                if number >= len(given) - 1:
                    fleet += [(config, state, evidence)] * 20
                state = sequential.update(state, evidence, config)
    return fleet


def _cpu() -> Figures:
    """CPU milliseconds of one judgement of all: update and verdict, the best of several rounds, as others share the machine."""
    fleet = _fleet()
    rounds = []
    for _ in range(7):
        began = time.process_time()
        for config, state, evidence in fleet:
            sequential.verdict(sequential.update(state, evidence, config), config)
        rounds.append((time.process_time() - began) * 1000)
    print(f"\none judgement of {len(fleet) // 4} canaries x 4 metrics: {min(rounds):.1f} ms CPU")
    return {
        "cpu_ms_1000x4": round(min(rounds), 1),
        "cpu_ms_1000x4_median": round(sorted(rounds)[3], 1),
    }


GOALS: dict[str, float] = {
    "to_5pct_p95_s": 20,
    "to_5pct_tick1_p95_s": 20,
    "to_5pct_limit_p95_s": 20,
    "latency_x1_5_p95_s": 30,
    "promote_1pp_p95_s": 60,
    "promote_bad_pct": 5,
    "promote_bad_clusters10_pct": 5,
    "cpu_ms_1000x4": 50,
}


def missed(figures: Figures) -> list[str]:
    """The goals that were missed, each as a sentence."""
    bounds = {f"{case.key}_false_pct": 1.0 for case in NULLS if case.promised} | GOALS
    return [
        f"{key} is {figures[key]:g}, the goal at most {bound:g}"
        for key, bound in bounds.items()
        if not figures[key] <= bound
    ]


def _finite(figures: Figures) -> dict[str, float | None]:
    return {key: round(value, 3) if value < MORE else None for key, value in figures.items()}


if __name__ == "__main__":
    os.nice(5)
    main()
