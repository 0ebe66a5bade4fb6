"""What the judge says of shares of bad requests, and that it says it in time and not by chance."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from rollout.judge.sequential import (
    Arm,
    Limit,
    Shares,
    State,
    Tick,
    Verdict,
    combined,
    explain,
    latency,
    next_step,
    shared,
    start,
    success_rate,
    update,
    verdict,
)
from rollout.judge.sequential.state import SharesState
from rollout.judge.thresholds import Bounds

RATE = success_rate(Bounds())


def after(config: Shares, *ticks: Tick, state: State | None = None) -> State:
    state = state or start(config)
    for tick in ticks:
        state = update(state, tick, config)
    return state


QUIET = Tick.of((0, 0), (0, 500))
"""The primary alone, without failures."""
USUAL = Tick.of((0, 0), (1, 500))


@pytest.mark.parametrize(
    ("config", "ticks", "expected"),
    [
        pytest.param(RATE, [], Verdict.UNDECIDED, id="nothing seen"),
        pytest.param(RATE, [QUIET] * 100, Verdict.UNDECIDED, id="no canary traffic"),
        pytest.param(RATE, [Tick.of((0, 5), (0, 45))] * 3, Verdict.UNDECIDED, id="too little"),
        pytest.param(RATE, [Tick.of((0, 50), (0, 450))] * 9, Verdict.NOT_WORSE, id="no failure"),
        pytest.param(RATE, [Tick.of((3, 50), (0, 450))] * 4, Verdict.WORSE, id="fails 6 %"),
        pytest.param(
            RATE, [Tick.of((25, 50), (0, 450))], Verdict.UNDECIDED, id="one burst proves nothing"
        ),
        pytest.param(
            RATE, [Tick.of((25, 50), (225, 450))] * 20, Verdict.UNDECIDED, id="both fail alike"
        ),
        pytest.param(
            success_rate(Bounds(min=99)),
            [Tick.of((5, 50), (45, 450))] * 4,
            Verdict.WORSE,
            id="both breach the limit",
        ),
        pytest.param(
            success_rate(Bounds(min=99)),
            [Tick.of((5, 50), (0, 0))] * 4,
            Verdict.WORSE,
            id="all traffic to a canary beyond its limit",
        ),
        pytest.param(
            RATE, [Tick.of((5, 50), (0, 0))] * 4, Verdict.UNDECIDED, id="nothing to compare with"
        ),
    ],
)
def test_verdict(config: Shares, ticks: list[Tick], expected: Verdict) -> None:
    assert verdict(after(config, *ticks), config) is expected


def test_failures_that_cluster_prove_less() -> None:
    bad = [Tick.of((3, 50), (0, 450))] * 4
    single, clustered = [USUAL] * 100, ([QUIET] * 19 + [Tick.of((0, 0), (20, 500))]) * 5
    assert verdict(after(RATE, *single, *bad), RATE) is Verdict.WORSE
    state = after(RATE, *clustered, *bad)
    assert verdict(state, RATE) is Verdict.UNDECIDED
    assert explain(state, RATE, Verdict.UNDECIDED).dispersion == pytest.approx(20)


def test_known_primary_lets_one_look_decide() -> None:
    assert verdict(after(RATE, *[USUAL] * 100, Tick.of((25, 50), (1, 450))), RATE) is Verdict.WORSE


def test_promotion_asks_for_evidence_of_its_own_step() -> None:
    good = [Tick.of((0, 50), (0, 450))] * 9
    state = after(RATE, *good)
    assert verdict(state, RATE) is Verdict.NOT_WORSE
    state = next_step(state)
    assert verdict(state, RATE) is Verdict.UNDECIDED
    assert verdict(after(RATE, *good[:1], state=state), RATE) is Verdict.UNDECIDED
    assert verdict(after(RATE, *good, state=state), RATE) is Verdict.NOT_WORSE


EDGES = (50.0, 100.0, 250.0)


def slow(canary: tuple[int, int, int], primary: tuple[int, int, int]) -> Tick:
    return Tick(Arm(50, canary), Arm(450, primary))


def test_latency_names_the_edge() -> None:
    config = latency(Bounds(), edges=EDGES)
    past = Tick(Arm(0, (0, 0, 0)), Arm(500, (400, 100, 5)))
    state = after(config, *[past] * 60, *[slow((40, 10, 10), (360, 90, 5))] * 4)
    assert verdict(state, config) is Verdict.WORSE
    said = explain(state, config, Verdict.WORSE)
    assert said.subject == "requests slower than 250 ms"
    assert (said.canary, said.primary) == ((40, 200), (20, 1800))
    assert said.ratio == pytest.approx(18)


def test_an_edge_that_most_requests_exceed_is_not_compared() -> None:
    config = latency(Bounds(), edges=EDGES)
    past = Tick(Arm(0, (0, 0, 0)), Arm(500, (400, 100, 5)))
    state = after(config, *[past] * 10, slow((50, 10, 0), (360, 90, 4)))
    assert isinstance(state, SharesState)
    assert state.watched == (1, 2)


def test_one_burst_of_the_primary_does_not_hold_a_spotless_canary_up_for_long() -> None:
    past = [Tick.of((0, 0), (bad, 500)) for bad in (20, 1, 0, 1, 0, 0, 1, 0, 1, 0) * 4]
    spotless = Tick.of((0, 50), (0, 450))
    state = after(RATE, *past[:20], *[spotless] * 70)
    assert verdict(state, RATE) is Verdict.NOT_WORSE
    # With the first failure the stake on none is lost, and the clusters' variance counts.
    state = after(RATE, *past[:20], Tick.of((1, 50), (0, 450)), *[spotless] * 69)
    assert verdict(state, RATE) is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("limit", "burst", "expected"),
    [
        pytest.param(None, 0, Verdict.UNDECIDED, id="without a limit each edge has to be shown"),
        pytest.param(500, 0, Verdict.NOT_WORSE, id="5 ms hold nothing up where 500 are allowed"),
        pytest.param(40, 0, Verdict.UNDECIDED, id="they do where 40 are"),
        pytest.param(500, 40, Verdict.WORSE, id="but they prove a canary worse"),
    ],
)
def test_edges_far_below_the_limit_do_not_hold_up_a_promotion(
    limit: float | None, burst: int, expected: Verdict
) -> None:
    config = latency(Bounds(max=limit), edges=(5.0, 50.0, 500.0))
    # A few requests take 6 ms, and when they do they are many.
    past = [Tick(Arm(0, (0, 0, 0)), Arm(500, (bad, 0, 0))) for bad in (20, *[0] * 19)] * 2
    state = after(config, *past, *[slow((burst, 0, 0), (0, 0, 0))] * 12)
    assert verdict(state, config) is expected
    said = explain(state, config, expected)
    slowest = "5" if expected is not Verdict.NOT_WORSE else "500"
    assert said.subject == f"requests slower than {slowest} ms"


def test_latency_limit_is_held_at_the_first_edge_that_is_not_below_it() -> None:
    limit = latency(Bounds(max=120), edges=EDGES, quantile=0.75).limit
    assert limit == Limit(share=0.25, edge=2)
    assert latency(Bounds(max=300), edges=EDGES).limit is None


@pytest.mark.parametrize(
    ("bounds", "limit"), [(Bounds(min=100), None), (Bounds(min=0), None), (Bounds(), None)]
)
def test_a_range_that_allows_all_or_nothing_sets_no_limit(
    bounds: Bounds, limit: Limit | None
) -> None:
    assert success_rate(bounds).limit is limit


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("alpha", 0.0),
        ("beta", 1.0),
        ("odds", 0.9),
        ("tolerance", 0.0),
        ("tolerated_odds", 0.5),
        ("block", 0),
        ("edges", (2.0, 1.0)),
        ("limit", Limit(share=1.0)),
        ("limit", Limit(share=0.1, edge=1)),
    ],
)
def test_a_setting_that_makes_no_test_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        Shares(metric="m", **{field: value})  # type: ignore[arg-type]


def test_counts_of_other_edges_are_refused() -> None:
    config = latency(Bounds(), edges=EDGES)
    with pytest.raises(ValueError, match="zip"):
        update(start(config), Tick.of((1, 50), (0, 450)), config)


def test_alpha_is_shared_by_the_metrics_of_a_rollout() -> None:
    both = shared([RATE, latency(Bounds())])
    assert math.fsum(each.alpha for each in both) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], Verdict.UNDECIDED),
        ([Verdict.NOT_WORSE, Verdict.NOT_WORSE], Verdict.NOT_WORSE),
        ([Verdict.NOT_WORSE, Verdict.UNDECIDED], Verdict.UNDECIDED),
        ([Verdict.NOT_WORSE, Verdict.UNDECIDED, Verdict.WORSE], Verdict.WORSE),
    ],
)
def test_combined(given: list[Verdict], expected: Verdict) -> None:
    assert combined(given) is expected


def test_explanations_say_everything() -> None:
    state = after(RATE, *[USUAL] * 100, *[Tick.of((3, 50), (1, 450))] * 3)
    assert explain(state, RATE, verdict(state, RATE)).sentence() == (
        "request-success-rate: worse: failed requests: canary 9 of 150 (6 %), primary 3 of 1350 (0.222 %), "
        "27 times as many; evidence 8.79e+04 of 100 that it is worse than the primary"
    )
    state = after(RATE, *[USUAL] * 100, *[Tick.of((0, 50), (1, 450))] * 4)
    said = explain(state, RATE, verdict(state, RATE))
    assert said.verdict is Verdict.UNDECIDED
    assert "more canary requests to a decision at these rates" in said.sentence()
    assert said.more is not None
    enough = after(RATE, *[Tick.of((0, 50), (1, 450))] * math.ceil(said.more / 50), state=state)
    assert verdict(enough, RATE) is Verdict.NOT_WORSE


def test_what_more_is_needed_is_known_before_the_first_request() -> None:
    said = explain(after(RATE, *[USUAL] * 100), RATE, Verdict.UNDECIDED)
    assert said.more == pytest.approx(373, abs=2)
    strict = replace(RATE, tolerance=0.001)
    none = after(strict, *[Tick.of((1, 50), (0, 450))] * 2)
    assert explain(none, RATE, Verdict.UNDECIDED).sentence().endswith("at these rates")
