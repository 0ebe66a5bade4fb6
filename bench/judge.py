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
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from bench.goals import missed
from bench.judging import fleet, numbers, plots
from bench.judging.cases import NULLS, PROMOTIONS, TIMES, Case
from bench.judging.classic import ARGO, FLAGGER, RULES, Rule, ruled
from bench.judging.runs import Outcome, judged, quantile
from bench.judging.traffic import failures, latencies

RUNS = 1000
"""Rollouts of each case, for every rule."""
PROCESSES = 2
MORE = math.inf

Figures: TypeAlias = dict[str, float]


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
    figures |= numbers.verdicts(RUNS)
    figures |= fleet.cpu()
    figures["seconds"] = round(time.monotonic() - began, 1)
    print(f"\nclassic rules: {'; '.join(rule.name for rule in RULES)}")
    if "--docs" in sys.argv:
        plots.draw(Path("docs/plots"), figures, curves, [FLAGGER, ARGO])
    goals = {f"{case.key}_false_pct": 1.0 for case in NULLS if case.promised} | GOALS
    print(json.dumps({"figures": _finite(figures), "goals_missed": missed(figures, goals)}))


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


GOALS: dict[str, float] = {
    "to_5pct_p95_s": 20,
    "to_5pct_tick1_p95_s": 20,
    "to_5pct_limit_p95_s": 20,
    "latency_x1_5_p95_s": 30,
    "promote_1pp_p95_s": 60,
    "promote_bad_pct": 5,
    "promote_bad_clusters10_pct": 5,
    "mean_normal_worse_pct": 1,
    "mean_correlated_0_7_worse_pct": 1,
    "cpu_ms_1000x4": 50,
}


def _finite(figures: Figures) -> dict[str, float | None]:
    return {key: round(value, 3) if value < MORE else None for key, value in figures.items()}


if __name__ == "__main__":
    os.nice(5)
    main()
