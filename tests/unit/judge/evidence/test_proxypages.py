"""Pages of proxies: which series count, what two looks add, and pods that come, go and begin anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.judge.evidence.counters import UnknownEdge
from rollout.judge.evidence.proxypages import Counting, Page, Pod, read, tick
from rollout.judge.sequential import Arm, Tick

CANARY = Pod("c", "10.0.0.1", canary=True)
PRIMARY = Pod("p", "10.0.0.2", canary=False)


def page(good: int, bad: int = 0, name: str = "envoy_mesh_istio_requests_total") -> Page:
    labels = 'destination_workload="shop",{}source_app="a b"'
    own = f'reporter="destination",response_code="200",{labels}'
    failed = f'reporter="destination",{labels},response_code="503"'
    return read(
        f"# TYPE {name} counter\n{name}{{{own}}} {good}\n{name}{{{failed}}} {bad}\n"
        f'{name}{{reporter="source",response_code="503"}} 999\nenvoy_server_live{{}} 1\n'
    )


@pytest.mark.parametrize(
    "name",
    ["istio_requests_total", "envoy_istio_requests_total", "envoy_mesh_istio_requests_total"],
)
def test_only_what_the_receiver_counted_is_read(name: str) -> None:
    counting = Counting()
    counting.look([CANARY, PRIMARY], {"c": page(0), "p": page(0)})
    added = counting.look([CANARY, PRIMARY], {"c": page(9, 1, name=name), "p": page(90, name=name)})
    assert added is not None
    assert tick(added) == Tick.of((1, 10), (0, 90))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "istio_requests_total 5",
        'istio_requests_total{reporter="destination",response_code="200"} many',
        'istio_requests_total{reporter="destination"} 5',
        'istio_request_duration_milliseconds_bucket{reporter="destination",le="soon"} 5',
        'istio_request_duration_milliseconds_sum{reporter="destination"} 5',
        'other_istio_requests_total{reporter="destination",response_code="200"} 5',
    ],
)
def test_what_cannot_be_read_is_none(line: str) -> None:
    assert read(line) == {}


def test_the_first_look_counts_nothing() -> None:
    counting = Counting()
    assert counting.look([CANARY, PRIMARY], {"c": page(500, 7), "p": page(9)}) is None


def test_a_pod_that_appears_later_began_at_nothing_and_one_that_was_there_did_not() -> None:
    counting = Counting()
    there = Pod("q", "10.0.0.3", canary=False)
    counting.look([PRIMARY, there], {"p": page(100)})
    added = counting.look(
        [CANARY, PRIMARY, there], {"c": page(5, 1), "p": page(110), "q": page(9_000)}
    )
    assert added is not None
    assert tick(added) == Tick.of((1, 6), (0, 10))


def test_a_counter_that_went_back_began_anew() -> None:
    counting = Counting()
    counting.look([CANARY, PRIMARY], {"c": page(100, 10), "p": page(100)})
    added = counting.look([CANARY, PRIMARY], {"c": page(3, 1), "p": page(130)})
    assert added is not None
    assert tick(added) == Tick.of((1, 4), (0, 30))


def test_what_one_arm_lacks_is_counted_when_both_were_read() -> None:
    counting = Counting()
    counting.look([CANARY, PRIMARY], {"c": page(0), "p": page(0)})
    assert counting.look([CANARY, PRIMARY], {"p": page(10)}) is None
    assert counting.look([CANARY, PRIMARY], {"p": page(20)}) is None
    added = counting.look([CANARY, PRIMARY], {"c": page(4), "p": page(30)})
    assert added is not None
    assert tick(added) == Tick.of((0, 4), (0, 30))


def test_before_there_is_a_canary_the_primary_is_counted_alone() -> None:
    counting = Counting()
    counting.look([PRIMARY], {"p": page(0)})
    added = counting.look([PRIMARY], {"p": page(10, 1)})
    assert added is not None
    assert tick(added) == Tick.of((0, 0), (1, 11))


def buckets(*within: tuple[str, int]) -> Page:
    name = "envoy_mesh_istio_request_duration_milliseconds_bucket"
    return read(
        "\n".join(f'{name}{{reporter="destination",le="{le}"}} {count}' for le, count in within)
    )


def test_slow_requests_are_those_outside_an_edge() -> None:
    counting = Counting()
    none = buckets(("100", 0), ("250", 0), ("+Inf", 0))
    counting.look([CANARY, PRIMARY], {"c": none, "p": none})
    some = buckets(("100", 4), ("250", 9), ("+Inf", 10))
    added = counting.look([CANARY, PRIMARY], {"c": some, "p": some})
    assert added is not None
    assert tick(added, (100.0, 250.0)).canary == Arm(10, (6, 1))
    with pytest.raises(UnknownEdge, match="500 ms"):
        tick(added, (500.0,))


READS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.booleans(), st.booleans()), max_size=30
)


@given(READS)
def test_no_request_is_counted_twice_or_invented(reads: list[tuple[int, int, bool, bool]]) -> None:
    """Whatever reads fail, in the end everything since the first look was counted once."""
    counting = Counting()
    counting.look([CANARY, PRIMARY], {"c": page(0), "p": page(0)})
    canary = primary = counted_canary = counted_primary = 0
    for more_canary, more_primary, first, second in [*reads, (0, 0, True, True)]:
        canary, primary = canary + more_canary, primary + more_primary
        pages = {"c": page(canary)} if first else {}
        pages |= {"p": page(primary)} if second else {}
        added = counting.look([CANARY, PRIMARY], pages)
        if added is not None:
            made = tick(added)
            counted_canary += made.canary.total
            counted_primary += made.primary.total
    assert (counted_canary, counted_primary) == (canary, primary)
