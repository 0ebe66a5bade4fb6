"""A fault never outlives its lease by more than the bound, whatever stands still in between, whatever the clocks say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.mesh.ingest.leases import Reading, Vouchers
from rollout.mesh.translate.leasedfaults import TTL

BOUND = 5.0
LEASE, RUN = ("system", "controller"), frozenset({"shop/delay/1"})
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

seconds = st.floats(0.0, 8.0).map(lambda value: round(value, 3))
"""When something stands still, and for how long."""
stalls = st.lists(st.tuples(seconds, seconds), max_size=4)
latencies = st.lists(st.floats(0.0, 0.4), min_size=1, max_size=12)


def woken(at: float, still: list[tuple[float, float]]) -> float:
    """When what comes at a moment is dealt with, by something that stands still at times."""
    for begin, length in sorted(still):
        if begin <= at < begin + length:
            at = begin + length
    return at


@settings(max_examples=400, deadline=None)
@given(skew=st.floats(-1e5, 1e5), latency=latencies, server=stalls, plane=stalls, begin=seconds)
def test_a_fault_ends_in_time(
    skew: float,
    latency: list[float],
    server: list[tuple[float, float]],
    plane: list[tuple[float, float]],
    begin: float,
) -> None:
    """The lease is first seen before anything stands still; then its controller renews it some times, and dies."""
    vouchers = Vouchers()
    vouchers.take(LEASE, Reading(EPOCH + timedelta(seconds=skew), RUN), latency[0])
    arrived = latency[0]
    for number, each in enumerate(latency, start=1):
        renewed = begin + number
        # What is watched arrives in order.
        arrived = max(arrived, woken(woken(renewed + each, server), plane))
        reading = Reading(EPOCH + timedelta(seconds=skew + renewed), RUN)
        if vouchers.take(LEASE, reading, arrived):
            assert arrived + TTL <= renewed + BOUND
        for run, when in vouchers.vouched(arrived).items():
            assert {run} == RUN
            assert when <= arrived < when + TTL
