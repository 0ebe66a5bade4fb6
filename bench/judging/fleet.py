"""The CPU time of judging a thousand canaries."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain

import numpy as np

from bench.judging.cases import LIMITED
from bench.judging.traffic import Traffic, failures, latencies
from rollout.judge import sequential
from rollout.judge.sequential import Evidence, Mean, Reading, Shares, State
from rollout.judge.thresholds import Bounds


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


def cpu() -> dict[str, float]:
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
