"""Simulated traffic of a canary rollout: requests, failures in clusters, latencies in Istio's buckets, tides.

Everything from a seeded generator, so that each figure is the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from rollout.judge.sequential.config import ISTIO_EDGES
from rollout.judge.sequential.counts import Arm, Tick

Counts: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """One case: what both arms do. Rates are requests per second, times seconds, errors a share of the requests.

    `cluster`: failures come in so many at once, all in one arm; `spread`: over so many seconds. `tide`: the part of the
    traffic that comes and goes within an hour; `error_tide`: the same of the error rate. `slowdown`: what the canary's
    latencies are multiplied with; `stall`: the share of its requests that take three seconds.
    """

    rate: float = 100.0
    weight: float = 0.1
    error: float = 0.001
    canary_error: float = 0.001
    cluster: int = 1
    spread: float = 0.0
    tide: float = 0.0
    error_tide: float = 0.0
    slowdown: float = 1.0
    stall: float = 0.0
    tick: float = 5.0
    history: float = 600.0
    length: float = 600.0


def failures(case: Traffic, random: np.random.Generator) -> tuple[list[Tick], list[Tick]]:
    """The ticks before the canary has traffic, and those of the rollout, for the success rate."""
    before, ticks = round(case.history / case.tick), round(case.length / case.tick)
    phase = random.uniform(0, 3600)
    flow, errors = _tides(case, before + ticks, phase)
    weights = np.concatenate([np.zeros(before), np.full(ticks, case.weight)])
    primary = _arm(case, case.rate * (1 - weights) * flow, case.error * errors, random)
    canary = _arm(case, case.rate * weights * flow, case.canary_error * errors, random)
    all_ticks = [
        Tick.of((int(cb), int(cn)), (int(pb), int(pn)))
        for cn, cb, pn, pb in zip(*canary, *primary, strict=True)
    ]
    return all_ticks[:before], all_ticks[before:]


def _tides(
    case: Traffic, ticks: int, phase: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    wave = np.sin(2 * math.pi * (phase + np.arange(ticks) * case.tick) / 3600)
    return 1 + case.tide * wave, 1 + case.error_tide * np.roll(wave, ticks // 3)


def _arm(
    case: Traffic,
    rate: npt.NDArray[np.float64],
    error: npt.NDArray[np.float64],
    random: np.random.Generator,
) -> tuple[Counts, Counts]:
    total = random.poisson(rate * case.tick)
    causes = random.poisson(rate * case.tick * error / case.cluster)
    width = max(1, math.ceil(case.spread / case.tick))
    bad = np.zeros_like(total)
    for offset, part in enumerate(_parts(case.cluster, width)):
        bad[offset:] += causes[: len(causes) - offset] * part
    return np.maximum(total, bad), bad


def _parts(size: int, pieces: int) -> Iterator[int]:
    """The cluster cut into nearly equal pieces."""
    for piece in range(pieces):
        yield size * (piece + 1) // pieces - size * piece // pieces


_MEDIAN, _SIGMA = 60.0, 0.6
"""Log-normal latency with p50 60 ms and p99 242 ms."""


def latencies(case: Traffic, random: np.random.Generator) -> tuple[list[Tick], list[Tick]]:
    """The same for the latency: of each tick, how many requests are slower than each of Istio's edges."""
    before, ticks = round(case.history / case.tick), round(case.length / case.tick)
    usual = _slower(1.0, 0.0)
    worse = _slower(case.slowdown, case.stall)
    weights = [0.0] * before + [case.weight] * ticks
    made = []
    for weight in weights:
        canary = _sample(case.rate * weight * case.tick, worse, random)
        primary = _sample(case.rate * (1 - weight) * case.tick, usual, random)
        made.append(Tick(canary, primary))
    return made[:before], made[before:]


def _slower(slowdown: float, stall: float) -> list[float]:
    """The share of requests slower than each edge."""
    shares = []
    for edge in ISTIO_EDGES:
        normal = 0.5 * math.erfc(math.log(edge / (_MEDIAN * slowdown)) / (_SIGMA * math.sqrt(2)))
        shares.append(normal * (1 - stall) + (stall if edge < 3000 else 0.0))
    return shares


def _sample(mean: float, slower: list[float], random: np.random.Generator) -> Arm:
    total = int(random.poisson(mean))
    cells = -np.diff(np.array([1.0, *slower, 0.0]))
    counts = random.multinomial(total, cells / cells.sum())
    slow = total - np.cumsum(counts)[: len(slower)]
    return Arm(total, tuple(int(each) for each in slow))
