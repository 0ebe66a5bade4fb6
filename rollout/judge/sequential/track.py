"""One e-process: its log likelihood ratios on a grid of alternatives, and how much of it to believe.

An e-process starts at 1 and, while the hypothesis under test holds, exceeds 1/alpha with a probability of at most
alpha, however often one looks (Ville's inequality). Knows neither what is counted nor which hypothesis is tested.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from rollout.judge.sequential import dispersion
from rollout.judge.sequential.dispersion import Spread

MOST_PER_BLOCK = 10.0
"""No block multiplies the steady evidence by more: the errors of a few seconds may have had one cause."""


class Track(NamedTuple):
    """The process after some ticks.

    `logs`: the log likelihood ratio of each alternative; `evidence`: the log of their mean; `steady`: the same with the
    gain of each block of ticks capped, which cannot exceed it. `block` is the last block with evidence, `begun` and
    `settled` are `evidence` and `steady` when it began.
    """

    logs: tuple[float, ...]
    evidence: float = 0.0
    steady: float = 0.0
    block: int = 0
    begun: float = 0.0
    settled: float = 0.0

    @classmethod
    def start(cls, alternatives: int) -> Track:
        """Before any evidence."""
        return cls((0.0,) * alternatives)


def advance(track: Track, gains: Sequence[float], cap: float, block: int) -> Track:
    """The process after a tick with these log likelihood ratios, in this block.

    `cap` is the most that `steady` may gain in a block, a log.
    """
    logs = tuple([log + gain for log, gain in zip(track.logs, gains, strict=True)])
    evidence = log_mean_exp(logs)
    begun, settled = track.begun, track.settled
    if block != track.block:
        begun, settled = track.evidence, track.steady
    gain = evidence - begun
    return Track(logs, evidence, settled + min(gain, cap), block, begun, settled)


def believed(track: Track, spread: Spread) -> float:
    """The log of the evidence to act on when errors come in clusters: never more than `track.evidence`.

    Tempered by the dispersion that was seen. As long as too little was seen to know it, evidence from few ticks counts
    only as far as it would stand up to clusters of the largest size. Since each part is at most the plain evidence,
    whatever dispersion is estimated cannot break the bound for independent errors.
    """
    plain = track.evidence
    if plain <= 0:
        return plain
    seen = plain
    if spread.factor > 1:
        seen = min(plain, log_mean_exp([log / spread.factor for log in track.logs]))
    if spread.known or seen <= track.steady:
        return seen
    worst = log_mean_exp([log / dispersion.MOST for log in track.logs])
    return min(seen, max(track.steady, worst))


def log_mean_exp(logs: Sequence[float]) -> float:
    """The log of the mean of the exponentials, without overflow."""
    most = max(logs)
    return most + math.log(sum([math.exp(log - most) for log in logs]) / len(logs))
