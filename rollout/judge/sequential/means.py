"""The sequential test of any number: is the canary's mean worse than is tolerated?

The t-test's e-process, a normal mixture over effect sizes with the variance unknown (Lai 1976; Wang & Ramdas,
arXiv 2310.03722, as mSPRT with a known one: Johari et al., arXiv 1512.04922). It is exact for independent normal
readings and only asymptotic for others; readings that follow each other closely are tempered by their autocorrelation.
Pure, as shares.py is.
"""

from __future__ import annotations

import math

from rollout.judge.sequential.config import Direction, Mean
from rollout.judge.sequential.counts import Reading
from rollout.judge.sequential.state import MeanState
from rollout.judge.sequential.verdicts import Verdict

_PRIOR = 4.0
"""The precision of the mixture over effect sizes: best for decisions after about fifty readings."""
LEAST_READINGS = 20
"""Fewer say too little of the readings' variance and of how closely they follow each other."""
_MOST_CORRELATION = 0.95
_MARGIN = 2.0


def update(state: MeanState, reading: Reading, config: Mean) -> MeanState:
    """The state after a reading; one that is not finite, or lacks what it is compared with, changes nothing."""
    excess = _excess(reading, config)
    if excess is None or not math.isfinite(excess):
        return state
    return MeanState(
        state.readings + 1,
        state.excess + excess,
        state.squares + excess * excess,
        state.products + excess * state.last,
        excess,
        state.canary + reading.canary,
        state.primary + (reading.primary or 0.0),
    )


def _excess(reading: Reading, config: Mean) -> float | None:
    """How much worse than tolerated the reading is; negative where it is not."""
    sign = 1.0 if config.direction is Direction.INCREASE else -1.0
    if config.limit is not None:
        return sign * (reading.canary - config.limit)
    if reading.primary is None:
        return None
    return sign * (reading.canary - reading.primary) - config.tolerance * abs(reading.primary)


def verdict(state: MeanState, config: Mean) -> Verdict:
    """What can be said after the readings so far."""
    if state.readings < LEAST_READINGS:
        return Verdict.UNDECIDED
    if worse_evidence(state) >= -math.log(config.alpha):
        return Verdict.WORSE
    if kept_evidence(state) >= -math.log(config.beta):
        return Verdict.NOT_WORSE
    return Verdict.UNDECIDED


def worse_evidence(state: MeanState) -> float:
    """The log of the evidence that the mean is worse than tolerated; 0 where it is not."""
    return _evidence(state) if state.excess > 0 else 0.0


def kept_evidence(state: MeanState) -> float:
    """The log of the evidence that the mean is better than the worst tolerated; 0 where it is not."""
    return _evidence(state) if state.excess < 0 else 0.0


def _evidence(state: MeanState) -> float:
    """The log of the mixture against a mean of 0, tempered."""
    n = state.readings
    if not state.squares:
        return 0.0
    # The part of the squares that the mean does not explain, never quite 0: a constant has no certain variance.
    explained = min(state.excess * state.excess / ((n + _PRIOR) * state.squares), 1.0)
    evidence = 0.5 * math.log(_PRIOR / (n + _PRIOR)) - 0.5 * n * math.log1p(-explained)
    return evidence / dispersion(state) if evidence > 0 else 0.0


def dispersion(state: MeanState) -> float:
    """By how much autocorrelation makes the readings worth less than independent ones.

    The correlation of neighbours is taken two standard errors higher than it was seen.
    """
    n = state.readings
    mean = state.excess / n if n else 0.0
    variance = state.squares - n * mean * mean
    if n < 3 or variance <= 1e-12 * state.squares:
        return 1.0
    correlation = (state.products - (n - 1) * mean * mean) / variance + _MARGIN / math.sqrt(n)
    bounded = min(max(correlation, 0.0), _MOST_CORRELATION)
    return (1 + bounded) / (1 - bounded)
