"""What holds for any evidence: order, splitting, silence, bounds, and a state that survives JSON."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.judge.sequential import (
    Arm,
    Config,
    Evidence,
    Mean,
    Reading,
    Tick,
    UnfitState,
    Verdict,
    explain,
    from_dict,
    latency,
    next_step,
    shares,
    start,
    success_rate,
    to_dict,
    update,
    verdict,
)
from rollout.judge.sequential.counts import merged
from rollout.judge.sequential.state import SharesState, State
from rollout.judge.thresholds import Bounds

EDGES = (50.0, 250.0, 1000.0)
RATE = success_rate(Bounds(min=99), block=2)
SLOW = latency(Bounds(max=250), edges=EDGES, block=2)
MEAN = Mean(metric="cpu")


@st.composite
def arms(draw: st.DrawFn, width: int) -> Arm:
    total = draw(st.integers(0, 200))
    counts = [draw(st.integers(0, total)) for _ in range(width)]
    return Arm(total, tuple(sorted(counts, reverse=True)))


def ticks(width: int) -> st.SearchStrategy[Tick]:
    return st.builds(Tick, arms(width), arms(width))


numbers = st.floats(-1e6, 1e6)
histories: st.SearchStrategy[tuple[Config, list[Evidence]]] = st.one_of(
    st.tuples(st.just(RATE), st.lists(ticks(1), max_size=12)),
    st.tuples(st.just(SLOW), st.lists(ticks(3), max_size=8)),
    st.tuples(st.just(MEAN), st.lists(st.builds(Reading, numbers, numbers), max_size=20)),
)


def after(config: Config, evidence: list[Evidence]) -> State:
    state = start(config)
    for each in evidence:
        state = update(state, each, config)
    return state


@given(histories)
def test_a_state_survives_json_and_goes_on_the_same(
    history: tuple[Config, list[Evidence]],
) -> None:
    config, evidence = history
    half = len(evidence) // 2
    state = next_step(after(config, evidence[:half]))
    read = from_dict(json.loads(json.dumps(to_dict(state), allow_nan=False)), config)
    assert read == state
    for each in evidence[half:]:
        state, read = update(state, each, config), update(read, each, config)
    assert read == state


@given(histories)
def test_every_verdict_is_explained_by_finite_numbers(
    history: tuple[Config, list[Evidence]],
) -> None:
    config, evidence = history
    state = after(config, evidence)
    given_verdict = verdict(state, config)
    said = explain(state, config, given_verdict)
    assert 0 <= said.evidence < math.inf
    assert said.more is None or said.more >= 0
    if given_verdict is not Verdict.UNDECIDED:
        assert said.evidence >= said.bound * (1 - 1e-9)
    assert said.sentence().startswith(f"{config.metric}: {given_verdict.value}")


@given(st.lists(ticks(1), max_size=12), st.integers(0, 12))
def test_a_tick_without_requests_changes_nothing(evidence: list[Tick], at: int) -> None:
    silent = [*evidence[:at], Tick.of((0, 0), (0, 0)), *evidence[at:]]
    assert after(RATE, [*silent]) == after(RATE, [*evidence])


@given(st.lists(ticks(3), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_evidence_within_a_tick_does_not_matter(parts: list[Tick], random) -> None:  # type: ignore[no-untyped-def]
    shuffled = parts[:]
    random.shuffle(shuffled)
    assert merged(tuple(shuffled)) == merged(tuple(parts))


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=6),
)
def test_splitting_a_tick_at_the_same_weight_leaves_the_evidence(
    canary: int, primary: int, bad: list[tuple[int, int]]
) -> None:
    config = success_rate(Bounds())
    parts = [Tick.of((mine, canary), (its, primary)) for mine, its in bad]
    whole, split = after(config, [merged(tuple(parts))]), after(config, [*parts])
    assert isinstance(whole, SharesState)
    assert isinstance(split, SharesState)
    assert split.edges[0].track.evidence == pytest.approx(whole.edges[0].track.evidence)
    assert split.totals() == whole.totals()


@given(st.lists(ticks(1), max_size=12))
def test_clusters_never_raise_the_evidence(evidence: list[Tick]) -> None:
    state = after(RATE, [*evidence])
    assert isinstance(state, SharesState)
    track = state.edges[0].track
    assert track.steady <= track.evidence + 1e-9
    assert shares.edge_evidence(state, 0) <= track.evidence + 1e-9


@given(st.integers(0, 20), st.integers(0, 20), st.integers(20, 100), st.integers(20, 400))
def test_more_failures_of_the_canary_are_never_less_evidence(
    bad: int, usual: int, canary: int, primary: int
) -> None:
    config = success_rate(Bounds())
    evidence = []
    for more in range(bad, min(bad + 5, canary) + 1):
        state = after(config, [Tick.of((more, canary), (usual, primary))])
        assert isinstance(state, SharesState)
        evidence.append(state.edges[0].track.evidence)
    assert all(less <= more + 1e-9 for less, more in pairwise(evidence))


@given(histories)
def test_a_state_of_another_metric_or_version_is_refused(
    history: tuple[Config, list[Evidence]],
) -> None:
    config, evidence = history
    written = to_dict(after(config, evidence))
    with pytest.raises(UnfitState, match="version"):
        from_dict({**written, "version": 0}, config)
    other = SLOW if config is RATE else RATE
    with pytest.raises(UnfitState):
        from_dict(written, other)
    with pytest.raises(UnfitState):
        from_dict({"version": 1}, config)
