"""The judge as callers use it: one state per metric, one call per tick, one verdict over all metrics.

A rollout's life: `start`; `update` with the primary's last minutes, then with each tick; `judge` after each; on a step
`next_step`; `explain` where it is to be said; `status.to_dict` into `.status`. Pure; whoever calls knows the time, ends
an undecided rollout after its `maxDuration`, and keeps quiet ticks out (a fault on the path, the first seconds).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from rollout.judge.sequential import means, shares
from rollout.judge.sequential.config import Config, Mean, Shares
from rollout.judge.sequential.counts import Evidence, Reading, Tick
from rollout.judge.sequential.state import MeanState, SharesState, State
from rollout.judge.sequential.verdicts import Verdict


def update(state: State, evidence: Evidence, config: Config) -> State:
    """The state after a tick's evidence. Raises TypeError where state, evidence and configuration are of two kinds."""
    if isinstance(state, SharesState) and isinstance(evidence, Tick) and isinstance(config, Shares):
        return shares.update(state, evidence, config)
    if isinstance(state, MeanState) and isinstance(evidence, Reading) and isinstance(config, Mean):
        return means.update(state, evidence, config)
    raise TypeError(
        f"{type(evidence).__name__} and {type(state).__name__} are not for {config.metric}"
    )


def verdict(state: State, config: Config) -> Verdict:
    """What can be said of one metric after the evidence so far. Raises TypeError as `update` does."""
    if isinstance(state, SharesState) and isinstance(config, Shares):
        return shares.verdict(state, config)
    if isinstance(state, MeanState) and isinstance(config, Mean):
        return means.verdict(state, config)
    raise TypeError(f"{type(state).__name__} is not for {config.metric}")


def next_step(state: State) -> State:
    """The state when a step begins: promotion needs evidence of this step alone."""
    return shares.next_step(state) if isinstance(state, SharesState) else state


def shared(configs: Sequence[Config]) -> tuple[Config, ...]:
    """The metrics of one rollout, each with its part of alpha, so that alpha holds for the whole rollout.

    beta needs no parts: a promotion asks for every metric.
    """
    return tuple(replace(config, alpha=config.alpha / len(configs)) for config in configs)


def combined(verdicts: Iterable[Verdict]) -> Verdict:
    """The rollout's verdict: worse if any metric is, not worse if all are; without metrics, undecided."""
    given = set(verdicts)
    if Verdict.WORSE in given:
        return Verdict.WORSE
    return Verdict.NOT_WORSE if given == {Verdict.NOT_WORSE} else Verdict.UNDECIDED
