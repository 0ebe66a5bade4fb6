"""Verdicts about any number: normal, correlated and long-tailed readings, and some that are shifted."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bench.judging.runs import quantile
from rollout.judge import sequential
from rollout.judge.sequential import Mean, Reading

READINGS: dict[str, Callable[[np.random.Generator], npt.NDArray[np.float64]]] = {
    "normal": lambda random: random.normal(size=120),
    "correlated_0_7": lambda random: correlated(random, 0.7),
    "correlated_0_9": lambda random: correlated(random, 0.9),
    "long_tail": lambda random: random.lognormal(-0.5, 1.0, size=120) - 1,
    "shifted": lambda random: random.normal(1.0, size=120),
}
"""Streams of readings by what is odd about them; the mean of each is 0, the limit, save the last one's."""


def correlated(random: np.random.Generator, with_last: float) -> npt.NDArray[np.float64]:
    """Normal readings of which each repeats a part of the one before."""
    values = random.normal(size=120)
    for number in range(1, len(values)):
        values[number] = with_last * values[number - 1] + values[number] * math.sqrt(
            1 - with_last**2
        )
    return values


def verdicts(runs: int) -> dict[str, float]:
    """Wrong and right verdicts about means, and readings until a shift by a standard deviation is found."""
    config = Mean(metric="any", limit=0.0)
    figures: dict[str, float] = {}
    print("\nany number, 120 readings: worse / not worse")
    for name, stream in READINGS.items():
        said = {sequential.Verdict.WORSE: 0, sequential.Verdict.NOT_WORSE: 0}
        times: list[float | None] = []
        for seed in range(runs):
            first = _first(stream(np.random.default_rng(seed)), config)
            times.append(first.get(sequential.Verdict.WORSE))
            for each in first:
                said[each] += 1
        worse, kept = (100 * count / runs for count in said.values())
        figures |= {f"mean_{name}_worse_pct": worse, f"mean_{name}_kept_pct": kept}
        print(f"{name:40s} {worse:5.1f} % / {kept:5.1f} %")
        if name == "shifted":
            figures["mean_shifted_p95_readings"] = quantile(times, 0.95)
    return figures


def _first(values: npt.NDArray[np.float64], config: Mean) -> dict[sequential.Verdict, int]:
    """After how many readings each decision is first made; nothing follows "worse"."""
    state, first = sequential.start(config), dict[sequential.Verdict, int]()
    for number, value in enumerate(values, start=1):
        state = sequential.update(state, Reading(float(value)), config)
        said = sequential.verdict(state, config)
        if said is not sequential.Verdict.UNDECIDED:
            first.setdefault(said, number)
        if said is sequential.Verdict.WORSE:
            break
    return first
