"""Who may hold a lease, by the local clock alone; and how shards are shared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.kube.lease import Acquire, Record, Renew, Sighting, Wait, decide
from rollout.kube.shards import lease_name, quotas, shard_of

ME = "me"


def sighting(holder: str, since: float = 100.0, duration: int = 10) -> Sighting:
    record = Record(
        holder=holder, renewed="1970-01-01T00:00:00.000000Z", duration=duration, transitions=3
    )
    return Sighting(record, since)


@pytest.mark.parametrize(
    ("seen", "now", "expected"),
    [
        pytest.param(None, 0.0, Acquire(), id="there is none"),
        pytest.param(sighting(""), 100.0, Acquire(), id="given back"),
        pytest.param(sighting(ME), 100.0, Renew(), id="ours"),
        pytest.param(sighting(ME), 1e9, Renew(), id="ours, long unrenewed, and nobody took it"),
        pytest.param(sighting("other"), 109.9, Wait(110.0), id="alive"),
        pytest.param(sighting("other"), 110.0, Acquire(), id="abandoned"),
        pytest.param(
            sighting("other", duration=60), 110.0, Wait(160.0), id="by its holder's duration"
        ),
    ],
)
def test_what_may_be_done(
    seen: Sighting | None, now: float, expected: Acquire | Renew | Wait
) -> None:
    assert decide(seen, ME, now) == expected


@pytest.mark.parametrize("lease", [{}, {"spec": None}, {"spec": {"holderIdentity": None}}])
def test_a_lease_that_says_nothing_is_nobodys(lease: dict[str, object]) -> None:
    assert Record.parse(lease).holder == ""


def test_a_namespace_keeps_its_shard_across_versions() -> None:
    assert [shard_of(name, 6) for name in ("default", "shop", "kube-system")] == [1, 1, 1]
    assert {shard_of(f"team-{i}", 6) for i in range(100)} == set(range(6))
    assert shard_of("anything", 1) == 0


def test_one_shard_is_a_leader() -> None:
    assert lease_name("rollout-controller", 0, 1) == "rollout-controller-leader"
    assert lease_name("rollout-controller", 2, 6) == "rollout-controller-shard-2"


@given(
    shards=st.integers(1, 40),
    held=st.dictionaries(st.text("abcdef", min_size=1), st.integers(0, 40), min_size=1),
)
def test_shares_are_even_and_complete(shards: int, held: dict[str, int]) -> None:
    shares = quotas(shards, held)
    assert sum(shares.values()) == shards
    assert max(shares.values()) - min(shares.values()) <= 1
    for one, ones in held.items():
        assert all(ones <= others or shares[one] >= shares[other] for other, others in held.items())


@given(shards=st.integers(1, 40), replicas=st.integers(1, 40))
def test_shares_that_are_even_do_not_move(shards: int, replicas: int) -> None:
    even = quotas(shards, dict.fromkeys(map(str, range(replicas)), 0))
    assert quotas(shards, even) == even
