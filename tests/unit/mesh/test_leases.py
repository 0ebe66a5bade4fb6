"""Which runs are vouched for: only by leases that are seen to be renewed, and not by what was held up on its way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rollout.mesh.ingest.leases import SILENCE, Reading, Vouchers, reading

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = ("rollout-system", "controller-0")
OTHER = ("rollout-system", "controller-1")
RUN = "shop/delay/1"


def renewed(seconds: float, *runs: str) -> Reading:
    return Reading(BEGIN + timedelta(seconds=seconds), frozenset(runs or (RUN,)))


def test_the_first_sight_of_a_lease_says_nothing() -> None:
    vouchers = Vouchers()
    assert not vouchers.take(LEASE, renewed(0), 100.0)
    assert not vouchers.vouched(100.0)


def test_a_renewal_vouches_for_a_while() -> None:
    vouchers = Vouchers()
    vouchers.take(LEASE, renewed(0), 100.0)
    assert vouchers.take(LEASE, renewed(1), 101.0) == {RUN}
    assert vouchers.vouched(101.0 + SILENCE - 0.01) == {RUN: 101.0}
    assert not vouchers.vouched(101.0 + SILENCE)


def test_a_lease_that_comes_again_unchanged_is_not_renewed() -> None:
    vouchers = Vouchers()
    vouchers.take(LEASE, renewed(0), 100.0)
    vouchers.take(LEASE, renewed(1), 101.0)
    assert not vouchers.take(LEASE, renewed(1), 103.0)
    assert vouchers.vouched(103.9) == {RUN: 101.0}


def test_what_is_taken_off_the_list_ends_at_once() -> None:
    vouchers = Vouchers()
    vouchers.take(LEASE, renewed(0, "a", "b"), 100.0)
    vouchers.take(LEASE, renewed(1, "a", "b"), 101.0)
    vouchers.take(LEASE, renewed(1, "a"), 101.1)
    assert vouchers.vouched(101.1) == {"a": 101.0}


def test_a_lease_that_is_gone_vouches_for_nothing() -> None:
    vouchers = Vouchers()
    vouchers.take(LEASE, renewed(0), 100.0)
    vouchers.take(LEASE, renewed(1), 101.0)
    vouchers.take(LEASE, None, 101.5)
    assert not vouchers.vouched(101.5)


def test_renewals_held_up_while_this_process_stood_still_are_not_news() -> None:
    vouchers = Vouchers()
    vouchers.take(LEASE, renewed(0), 100.0)
    vouchers.take(LEASE, renewed(1), 101.0)
    assert [vouchers.take(LEASE, renewed(at), 104.6) for at in (2, 3)] == [frozenset()] * 2
    assert vouchers.take(LEASE, renewed(4), 104.7) == {RUN}, "that one has only just been written"


@pytest.mark.parametrize("skew", [-3600.0, -5.0, 5.0, 3600.0])
def test_clocks_that_differ_do_not_matter(skew: float) -> None:
    vouchers = Vouchers()
    vouchers.take(LEASE, renewed(skew), 100.0)
    assert vouchers.take(LEASE, renewed(skew + 1), 101.0) == {RUN}


def test_one_controllers_renewals_say_nothing_of_anothers_runs() -> None:
    vouchers = Vouchers()
    for second in (0, 1):
        vouchers.take(LEASE, renewed(second, "a"), 100.0 + second)
        vouchers.take(OTHER, renewed(second, "b"), 100.0 + second)
    assert vouchers.take(LEASE, renewed(2, "a"), 102.0) == {"a"}
    assert vouchers.vouched(104.5) == {"a": 102.0}


@pytest.mark.parametrize(
    ("annotations", "spec"),
    [
        ({"chaos.rollout.dev/active": "["}, {"renewTime": "2026-01-01T00:00:00.000000Z"}),
        ({"chaos.rollout.dev/active": "{}"}, {"renewTime": "2026-01-01T00:00:00.000000Z"}),
        ({"chaos.rollout.dev/active": "[]"}, {}),
        ({"chaos.rollout.dev/active": "[]"}, {"renewTime": "yesterday"}),
        ({"chaos.rollout.dev/active": "[]"}, {"renewTime": "2026-01-01T00:00:00"}),
        ({"chaos.rollout.dev/active": "[]"}, None),
    ],
)  # fmt: skip
def test_what_is_no_such_lease(annotations: dict[str, str], spec: dict[str, str] | None) -> None:
    assert reading({"metadata": {"annotations": annotations}, "spec": spec}) is None


def test_a_lease_is_read() -> None:
    annotations = {"chaos.rollout.dev/active": f'["{RUN}", 1]'}
    lease = {
        "metadata": {"annotations": annotations},
        "spec": {"renewTime": "2026-01-01T00:00:01.500000Z"},
    }
    assert reading(lease) == renewed(1.5)
