"""The sequential test of a share of bad requests: failed ones, or those slower than an edge, for several edges at once.

Three questions over the same counts. Has the canary more than its share of the bad requests (odds.py)? Does it breach
its limit? Is "worse than tolerated" ruled out (limits.py)? The first two make it worse, by the mean of their evidence;
so does the mean over the edges. Pure: the same state and evidence give the same state, and the state is all there is.
"""

from __future__ import annotations

import math
from functools import lru_cache

from rollout.judge.sequential import dispersion, limits, odds
from rollout.judge.sequential.config import Limit, Shares
from rollout.judge.sequential.counts import Arm, Tick
from rollout.judge.sequential.dispersion import Spread
from rollout.judge.sequential.state import Edge, SharesState
from rollout.judge.sequential.track import (
    MOST_PER_BLOCK,
    Track,
    advance,
    believed,
    log_mean_exp,
)
from rollout.judge.sequential.verdicts import Verdict

_MOST_USUAL = 0.5
"""An edge that more than this share of the primary's requests exceed says little about slowness."""
_NEAR_LIMIT = 0.1
"""Where a latency has a limit, edges below this part of it can prove a canary worse, but do not hold up a promotion."""


def update(state: SharesState, tick: Tick, config: Shares) -> SharesState:
    """The state after a tick. A tick without requests changes nothing.

    Raises ValueError where the counts have not as many edges as the metric.
    """
    canary, primary = tick.canary, tick.primary
    if not canary.total and not primary.total:
        return state
    watched = state.watched
    if watched is None and canary.total:
        watched = _worth_watching(state)
    ticks = state.ticks + 1
    closing = ticks % config.block == 0
    total = state.open + primary.total
    return SharesState(
        _edges(state, tick, watched or (), config, total if closing else 0),
        state.step,
        _limit(state, canary, config),
        watched,
        state.canary + canary.total,
        state.primary + (primary.total if canary.total else 0),
        ticks,
        state.blocks + (1 if closing and total else 0),
        state.history + (total if closing else 0),
        0 if closing else total,
    )


def _worth_watching(state: SharesState) -> tuple[int, ...]:
    """The edges to compare, from what the primary did before: a choice that no later evidence can bend."""
    most = _MOST_USUAL * state.history
    usual = [i for i, edge in enumerate(state.edges) if edge.history <= most]
    return tuple(usual or range(len(state.edges)))


def _edges(
    state: SharesState, tick: Tick, watched: tuple[int, ...], config: Shares, closed: int
) -> tuple[Edge, ...]:
    """The edges after a tick; `closed` is the total of the primary's block that ends with it, 0 where none does."""
    canary, primary = tick.canary.total, tick.primary.total
    share = canary / (canary + primary)
    ignored = _ignored(watched, len(state.edges), config.limit) if state.watched else ()
    comparable = 0 < share < 1 and (any(tick.canary.bad) or any(tick.primary.bad))
    grid = odds.grid(config)
    costs = odds.prices(grid, share, config.odds) if comparable else ()
    cap = odds.cap(share, config.odds) if comparable else 0.0
    block = state.ticks // config.block
    edges = []
    counts = zip(state.edges, tick.canary.bad, tick.primary.bad, strict=True)
    for index, (edge, worse, usual) in enumerate(counts):
        if index in ignored or not (worse or usual or (closed and edge.open)):
            edges.append(edge)
            continue
        track, bad = edge.track, edge.open + usual
        if comparable:
            track = advance(track, odds.gains(grid, costs, worse, usual), cap, block)
        edges.append(
            Edge(
                track,
                edge.canary + worse,
                edge.primary + (usual if canary else 0),
                edge.history + (bad if closed else 0),
                edge.squares + (bad * bad / closed if closed else 0.0),
                edge.struck + (1 if closed and bad else 0),
                0 if closed else bad,
            )
        )
    return tuple(edges)


@lru_cache(maxsize=256)
def _ignored(watched: tuple[int, ...], width: int, limit: Limit | None) -> frozenset[int]:
    """The edges that nothing asks for once the canary has traffic."""
    asked = {*watched, limit.edge} if limit is not None else {*watched}
    return frozenset(range(width)) - asked


def _limit(state: SharesState, canary: Arm, config: Shares) -> Track | None:
    if state.limit is None or config.limit is None or not canary.total:
        return state.limit
    gains = limits.breach_gains(config.limit.share, canary.bad[config.limit.edge], canary.total)
    return advance(state.limit, gains, math.log(MOST_PER_BLOCK), state.ticks // config.block)


def next_step(state: SharesState) -> SharesState:
    """The state at the beginning of a step: promotion asks for evidence of this step alone, rollback keeps all."""
    return state._replace(step=state.totals())


def verdict(state: SharesState, config: Shares) -> Verdict:
    """What can be said after the evidence so far."""
    bound = -math.log(config.alpha)
    if _reachable(state, bound) and worse_evidence(state, config) >= bound:
        return Verdict.WORSE
    bound = -math.log(config.beta)
    for edge in required(state, config):
        if kept_evidence(state, config, edge) < bound:
            return Verdict.UNDECIDED
    return Verdict.NOT_WORSE


def watched(state: SharesState) -> tuple[int, ...]:
    """The edges that are compared."""
    return tuple(range(len(state.edges))) if state.watched is None else state.watched


def required(state: SharesState, config: Shares) -> tuple[int, ...]:
    """The edges at which a canary has to be shown not worse before it is promoted: of those watched, the ones that matter.

    Whether a few requests more take 6 ms says little to somebody who allows 500 ms, and takes long to show.
    """
    compared = watched(state)
    if config.limit is None or not config.edges:
        return compared
    least = _NEAR_LIMIT * config.edges[config.limit.edge]
    return tuple(each for each in compared if config.edges[each] >= least) or compared


def _reachable(state: SharesState, bound: float) -> bool:
    """Whether the evidence is worth computing: no mean is more than its largest part."""
    most = max([edge.track.evidence for edge in state.edges])
    return most >= bound or (state.limit is not None and state.limit.evidence >= bound)


def worse_evidence(state: SharesState, config: Shares) -> float:
    """The log of the evidence that the canary is worse than the primary or than its limit; 1/alpha decides."""
    relative = log_mean_exp([edge_evidence(state, edge) for edge in watched(state)])
    if state.limit is None:
        return relative
    return log_mean_exp((relative, limit_evidence(state, config)))


def edge_evidence(state: SharesState, edge: int) -> float:
    """The log of the evidence that the canary is worse than the primary at this edge."""
    return believed(state.edges[edge].track, spread(state, edge))


def limit_evidence(state: SharesState, config: Shares) -> float:
    """The log of the evidence that the canary breaches its limit; 0 where it has none."""
    if state.limit is None or config.limit is None:
        return 0.0
    return believed(state.limit, spread(state, config.limit.edge))


def spread(state: SharesState, edge: int) -> Spread:
    """How much the primary's bad requests cluster at this edge."""
    of = state.edges[edge]
    return dispersion.estimate(
        blocks=state.blocks, total=state.history, bad=of.history, squares=of.squares
    )


def kept_evidence(state: SharesState, config: Shares, edge: int) -> float:
    """The log of the evidence of this step against "worse than tolerated" at this edge; 1/beta decides."""
    step, of = state.step, state.edges[edge]
    requests = state.canary - step.canary.total
    if not requests or state.primary <= step.primary.total:
        return 0.0
    # Most edges of a quick service never have a slow request; this is what the rest comes to for them.
    if not (of.history or of.primary or of.canary or of.open):
        return limits.within(0.0, _capped(config, edge, config.tolerance), 0, requests)
    factor = spread(state, edge).factor
    share, too_bad = too_bad_from(state, config, edge, factor)
    if share >= too_bad:
        return 0.0
    bad = of.canary - step.canary.bad[edge]
    size = dispersion.size(struck=of.struck, bad=of.history)
    return limits.within(share, too_bad, bad, requests, factor=factor, size=min(size, factor))


def discount(state: SharesState, edge: int) -> float:
    """By how much clusters discount the evidence for a promotion: by their usual size, until the canary has had one."""
    of = state.edges[edge]
    factor = spread(state, edge).factor
    if of.canary - state.step.canary.bad[edge]:
        return factor
    return min(factor, dispersion.size(struck=of.struck, bad=of.history))


def too_bad_from(
    state: SharesState, config: Shares, edge: int, factor: float
) -> tuple[float, float]:
    """The primary's share of bad requests in this step, and the canary's from which it is too bad to promote.

    `factor` is the dispersion at this edge, which makes the primary's share less certain.
    """
    bad = state.edges[edge].primary - state.step.primary.bad[edge]
    share = limits.lower(bad, state.primary - state.step.primary.total, factor) if bad else 0.0
    too_bad = limits.tolerated(share, config.tolerance, config.tolerated_odds)
    return share, _capped(config, edge, too_bad)


def _capped(config: Shares, edge: int, share: float) -> float:
    """The share, or the limit of this edge where that is less."""
    limit = config.limit
    return limit.share if limit and limit.edge == edge and limit.share < share else share
