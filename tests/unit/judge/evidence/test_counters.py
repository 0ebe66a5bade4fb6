"""Differences of counters: resets, births, missing scrapes, and what is asked of Prometheus."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rollout.judge.evidence.counters import (
    Counted,
    Series,
    UnknownEdge,
    Workloads,
    durations_query,
    each_pod,
    failed_requests,
    parse_series,
    requests_query,
    slow_requests,
)
from rollout.judge.sequential import Arm, Tick

ARMS = Workloads.of_target("shop", "cart")


def series(workload: str, samples: dict[int, float], **labels: str) -> Series:
    labels = {"response_code": "200", "pod": f"{workload}-a", **labels}
    return Series(
        {"destination_workload": workload, **labels},
        tuple((float(at), value) for at, value in samples.items()),
    )


def counted(*given: Series, after: float = 10, until: float = 1e9) -> Counted:
    return failed_requests(given, ARMS, step=5, after=after, until=until)


PRIMARY = series("cart-primary", {8: 100, 13: 200, 18: 300, 23: 400})


@pytest.mark.parametrize(
    ("given", "ticks"),
    [
        pytest.param(
            [PRIMARY, series("cart", {9: 10, 14: 20, 19: 31, 24: 40})],
            [(15, (0, 10), (0, 100)), (20, (0, 11), (0, 100)), (25, (0, 9), (0, 100))],
            id="differences",
        ),
        pytest.param(
            [PRIMARY, series("cart", {9: 10, 14: 20, 19: 4, 24: 9})],
            [(15, (0, 10), (0, 100)), (20, (0, 4), (0, 100)), (25, (0, 5), (0, 100))],
            id="a counter that began anew",
        ),
        pytest.param(
            [PRIMARY, series("cart", {9: 10, 14: 20, 24: 40})],
            [(15, (0, 10), (0, 100)), (25, (0, 20), (0, 200))],
            id="a missing scrape is counted with the next",
        ),
        pytest.param(
            [PRIMARY, series("cart", {19: 4, 24: 9})],
            [(15, (0, 0), (0, 100)), (20, (0, 4), (0, 100)), (25, (0, 5), (0, 100))],
            id="a canary born in between counted from 0",
        ),
        pytest.param(
            [
                PRIMARY,
                series("cart", {9: 10, 14: 20, 19: 30, 24: 40}),
                series("cart", {19: 3, 24: 5}, response_code="503"),
            ],
            [(15, (0, 10), (0, 100)), (20, (3, 13), (0, 100)), (25, (2, 12), (0, 100))],
            id="a first failure is counted",
        ),
        pytest.param(
            [PRIMARY],
            [(15, (0, 0), (0, 100)), (20, (0, 0), (0, 100)), (25, (0, 0), (0, 100))],
            id="the primary before there is a canary",
        ),
        pytest.param([series("cart", {9: 10, 14: 20})], [], id="a canary without a primary"),
        pytest.param([series("other", {9: 10, 14: 20})], [], id="neither"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_failed_requests(
    given: list[Series], ticks: list[tuple[float, tuple[int, int], tuple[int, int]]]
) -> None:
    expected = tuple((float(at), Tick.of(canary, primary)) for at, canary, primary in ticks)
    assert counted(*given).ticks == expected
    assert counted(*reversed(given)).ticks == expected


def test_counting_goes_on_where_it_ended_and_counts_nothing_twice() -> None:
    canary = series("cart", {9: 10, 14: 20, 19: 31, 24: 40})
    whole = counted(PRIMARY, canary)
    first = counted(PRIMARY, canary, until=21)
    second = counted(PRIMARY, canary, after=first.until)
    assert first.until == 20
    assert (*first.ticks, *second.ticks) == whole.ticks


def test_what_waits_for_the_other_arm_is_not_lost() -> None:
    late = series("cart", {9: 10, 14: 20})
    first = counted(PRIMARY, late)
    assert first.until == 15
    later = series("cart", {9: 10, 14: 20, 24: 40})
    assert counted(PRIMARY, later, after=first.until).ticks == ((25.0, Tick.of((0, 20), (0, 200))),)


def bucket(workload: str, edge: str, samples: dict[int, float]) -> Series:
    return series(workload, samples, le=edge)


@pytest.mark.parametrize("edge", ["100", "100.0"])
def test_slow_requests(edge: str) -> None:
    given = [
        bucket("cart-primary", edge, {8: 90, 13: 180}),
        bucket("cart-primary", "+Inf", {8: 100, 13: 200}),
        bucket("cart", edge, {9: 1, 14: 5}),
        bucket("cart", "+Inf", {9: 1, 14: 11}),
    ]
    found = slow_requests(given, ARMS, (100.0,), step=5, after=10)
    assert found.ticks == ((15.0, Tick(Arm(10, (6,)), Arm(100, (10,)))),)
    with pytest.raises(UnknownEdge, match="250 ms"):
        slow_requests(given, ARMS, (100.0, 250.0), step=5, after=10)


def test_each_pod_is_seen_against_the_others() -> None:
    given = [series("cart-primary", {8: 1}, pod=pod) for pod in ("a", "b", "c")]
    pods = each_pod(given, ARMS)
    assert list(pods) == ["a", "b", "c"]
    assert [each.labels["destination_workload"] for each in pods["b"]] == [
        "cart-primary",
        "cart",
        "cart-primary",
    ]


def test_queries_select_both_arms_and_nothing_else() -> None:
    arms = 'reporter="destination",destination_workload_namespace="shop",destination_workload=~"cart|cart-primary"'
    assert requests_query(ARMS, timedelta(seconds=30)) == f"istio_requests_total{{{arms}}}[30s]"
    assert durations_query(ARMS, (0.5, 100.0), timedelta(minutes=1)) == (
        f"istio_request_duration_milliseconds_bucket{{{arms},"
        r'le=~"0\\.5(\\.0)?|100(\\.0)?|\\+Inf"}[60s]'
    )


@pytest.mark.parametrize("result", [{}, [1, 2], [{"metric": {}}], [{"metric": {}, "values": [1]}]])
def test_what_is_no_matrix_is_refused(result: object) -> None:
    with pytest.raises((TypeError, LookupError, ValueError)):
        parse_series(result)
