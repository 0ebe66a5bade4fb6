"""Why the judge says what it says: the metric, both arms' counts, the evidence against its bound, and what is missing.

Only words and numbers for people; decides nothing. Traffic that is still needed is expected from the rates seen so far,
so it is an estimate, and none is given where these rates lead nowhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

from rollout.judge.sequential import limits, means, shares
from rollout.judge.sequential.config import Config, Mean, Shares
from rollout.judge.sequential.state import MeanState, SharesState, State
from rollout.judge.sequential.verdicts import Verdict

_LARGEST_LOG = 700.0
_SAMPLE = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What speaks for the verdict, or nearest to one.

    `subject`: what was counted or averaged; `against`: what the evidence speaks for. `canary`, `primary`: bad
    requests and requests, or the sum and the number of readings; the latter of what `reference` names. `evidence` reaches `bound` when decided; both are plain
    numbers, `bound` is 1/alpha or 1/beta. `dispersion`: the factor by which clustering discounts the evidence. `more`:
    further canary requests (or readings) until a decision, 0 once decided, None where none is in sight. `asymptotic`: the bound on the
    error holds only approximately.
    """

    metric: str
    verdict: Verdict
    subject: str
    against: str
    canary: tuple[float, int]
    primary: tuple[float, int]
    evidence: float
    bound: float
    dispersion: float
    more: int | None
    asymptotic: bool
    reference: str = "primary"

    @property
    def ratio(self) -> float | None:
        """How many times the primary's share, or mean, the canary's is; None where one of them is 0."""
        if not (self.canary[0] and self.canary[1] and self.primary[0] and self.primary[1]):
            return None
        return (self.canary[0] / self.canary[1]) / (self.primary[0] / self.primary[1])

    def sentence(self) -> str:
        """The whole, on one line."""
        said = (
            f"{self.metric}: {self.verdict.value}: {self.subject}: {self._arms()}; "
            f"evidence {_number(self.evidence)} of {_number(self.bound)} {self.against}"
        )
        if self.dispersion > 1.05:
            said += f", discounted by {self.dispersion:.1f} for clusters"
        if self.asymptotic:
            said += ", an approximation"
        if self.verdict is Verdict.UNDECIDED:
            said += f"; {self._missing()}"
        return said

    def _arms(self) -> str:
        ratio = f", {self.ratio:.2g} times as many" if self.ratio is not None else ""
        if self.asymptotic:
            return f"canary {_mean(self.canary)}, {self.reference} {_mean(self.primary)} on average"
        return f"canary {_share(self.canary)}, {self.reference} {_share(self.primary)}{ratio}"

    def _missing(self) -> str:
        if self.more is None:
            return "no decision is in sight at these rates"
        what = "readings" if self.asymptotic else "canary requests"
        return f"about {self.more} more {what} to a decision at these rates"


def explain(state: State, config: Config, verdict: Verdict) -> Explanation:
    """The explanation of a verdict that was given for this state."""
    match state, config:
        case SharesState(), Shares():
            return _explain_shares(state, config, verdict)
        case MeanState(), Mean():
            return _explain_mean(state, config, verdict)
        case _:
            raise TypeError(f"{type(state).__name__} is no state of {type(config).__name__}")


def _explain_shares(state: SharesState, config: Shares, verdict: Verdict) -> Explanation:
    worse, kept = _worse(state, config, verdict), _kept(state, config, verdict)
    match verdict:
        case Verdict.WORSE:
            return worse
        case Verdict.NOT_WORSE:
            return kept
        case Verdict.UNDECIDED:
            nearer = worse.more is not None and (kept.more is None or worse.more < kept.more)
            return worse if nearer else kept
        case _:
            assert_never(verdict)


def _worse(state: SharesState, config: Shares, verdict: Verdict) -> Explanation:
    """What speaks for rollback: the edge, or the limit, with the most evidence."""
    edge = max(shares.watched(state), key=lambda each: shares.edge_evidence(state, each))
    against = f"that it is worse than the {config.reference}"
    limit = config.limit
    if limit and shares.limit_evidence(state, config) > shares.edge_evidence(state, edge):
        edge, against = limit.edge, f"that it exceeds its limit of {_percent(limit.share)}"
    evidence = shares.worse_evidence(state, config)
    return Explanation(
        metric=config.metric,
        verdict=verdict,
        subject=_subject(config, edge),
        against=against,
        canary=(state.edges[edge].canary, state.canary),
        primary=(state.edges[edge].primary, state.primary),
        evidence=_plain(evidence),
        bound=1 / config.alpha,
        dispersion=shares.spread(state, edge).factor,
        more=_more(evidence, -math.log(config.alpha), state.canary),
        asymptotic=False,
        reference=config.reference,
    )


def _kept(state: SharesState, config: Shares, verdict: Verdict) -> Explanation:
    """What speaks for promotion: the edge with the least evidence, since it needs them all."""
    step = state.step
    needs = {edge: _until_kept(state, config, edge) for edge in shares.required(state, config)}
    edge = min(needs, key=lambda each: shares.kept_evidence(state, config, each))
    factor = shares.spread(state, edge).factor
    return Explanation(
        metric=config.metric,
        verdict=verdict,
        subject=_subject(config, edge),
        against=f"that it stays below {_percent(shares.too_bad_from(state, config, edge, factor)[1])}",
        canary=(
            state.edges[edge].canary - step.canary.bad[edge],
            state.canary - step.canary.total,
        ),
        primary=(
            state.edges[edge].primary - step.primary.bad[edge],
            state.primary - step.primary.total,
        ),
        evidence=_plain(shares.kept_evidence(state, config, edge)),
        bound=1 / config.beta,
        dispersion=shares.discount(state, edge),
        more=None if None in needs.values() else max(each or 0 for each in needs.values()),
        asymptotic=False,
        reference=config.reference,
    )


def _subject(config: Shares, edge: int) -> str:
    if not config.edges:
        return "failed requests"
    return f"requests slower than {config.edges[edge]:g} ms"


def _until_kept(state: SharesState, config: Shares, edge: int) -> int | None:
    """Canary requests until this edge allows promotion; before the first one, as if it did as the primary does."""
    bound = -math.log(config.beta)
    requests = state.canary - state.step.canary.total
    if requests:
        return _more(shares.kept_evidence(state, config, edge), bound, requests)
    factor = shares.spread(state, edge).factor
    share, too_bad = shares.too_bad_from(state, config, edge, factor)
    if share >= too_bad:
        return None
    sample = limits.kept(share, too_bad, round(share * _SAMPLE), _SAMPLE)
    return _more(sample / factor, bound, _SAMPLE, so_far=0.0)


def _more(
    evidence: float, bound: float, requests: int, *, so_far: float | None = None
) -> int | None:
    """What is missing at the rate at which these requests brought this evidence; None where it brings nothing."""
    have = evidence if so_far is None else so_far
    if have >= bound:
        return 0
    if evidence <= 0 or not requests:
        return None
    return math.ceil((bound - have) * requests / evidence)


def _explain_mean(state: MeanState, config: Mean, verdict: Verdict) -> Explanation:
    kept = verdict is Verdict.NOT_WORSE or (verdict is Verdict.UNDECIDED and state.excess < 0)
    evidence = means.kept_evidence(state) if kept else means.worse_evidence(state)
    bound = config.beta if kept else config.alpha
    worst = "its limit" if config.limit is not None else "is tolerated"
    more = _more(evidence, -math.log(bound), state.readings)
    return Explanation(
        metric=config.metric,
        verdict=verdict,
        subject=f"mean, {config.direction.value} is bad",
        against=f"that it is {'no ' if kept else ''}worse than {worst}",
        canary=(state.canary, state.readings),
        primary=(state.primary, 0 if config.limit is not None else state.readings),
        evidence=_plain(evidence),
        bound=1 / bound,
        dispersion=means.dispersion(state),
        more=more,
        asymptotic=True,
        reference=config.reference,
    )


def _plain(log: float) -> float:
    return math.exp(min(log, _LARGEST_LOG))


def _number(value: float) -> str:
    return f"{value:.3g}"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _share(counts: tuple[float, int]) -> str:
    bad, total = counts
    return f"{bad:.0f} of {total} ({_percent(bad / total)})" if total else "no requests"


def _mean(sums: tuple[float, int]) -> str:
    return f"{sums[0] / sums[1]:.4g}" if sums[1] else "not read"
