from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rollout.mesh.identity import trust
from rollout.mesh.identity.trust import SPARE, Root, from_data, left, to_data

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = b"old", b"new"
SETTLE = timedelta(seconds=150)
LIFETIME = timedelta(hours=24)
KEEP = LIFETIME + SPARE


def advance(known: tuple[Root, ...], wanted: list[bytes], now: datetime) -> tuple[Root, ...]:
    return trust.advance(known, wanted, now, LIFETIME)


def pems(roots: tuple[Root, ...]) -> list[bytes]:
    return [root.pem for root in roots]


def test_the_first_root_may_sign_at_once() -> None:
    roots = advance((), [OLD], NOW)
    assert left(roots, [OLD], NOW, SETTLE) == timedelta()


def test_a_new_root_signs_only_when_everybody_has_it_and_the_old_one_stays_as_long_as_what_it_signed() -> (
    None
):
    first = advance((), [OLD], NOW)
    both = advance(first, [NEW], NOW)
    assert pems(both) == [NEW, OLD]
    assert left(both, [NEW], NOW, SETTLE) == SETTLE
    assert left(both, [NEW], NOW + SETTLE, SETTLE) == timedelta()
    assert pems(advance(both, [NEW], NOW + KEEP - timedelta(seconds=1))) == [NEW, OLD]
    assert pems(advance(both, [NEW], NOW + KEEP)) == [NEW]


def test_a_root_that_comes_back_is_trusted_all_along() -> None:
    both = advance(advance((), [OLD], NOW), [NEW], NOW)
    back = advance(both, [OLD], NOW + SETTLE)
    assert left(back, [OLD], NOW + SETTLE, SETTLE) == timedelta()
    assert {root.pem: root.gone for root in back} == {OLD: None, NEW: NOW + SETTLE}


def test_one_root_of_several_that_is_known_is_enough() -> None:
    bundled = advance(advance((), [OLD], NOW), [OLD, NEW], NOW)
    later = NOW + SETTLE
    assert left(advance(bundled, [NEW], later), [NEW], later, SETTLE) == timedelta()


def test_it_is_read_back_as_it_was_written() -> None:
    roots = advance(advance((), [OLD], NOW), [NEW], NOW)
    data = to_data(roots)
    assert data["root-cert.pem"] == NEW + OLD
    assert from_data(pems(roots), data["times.json"]) == roots


@pytest.mark.parametrize("times", [b"{}", b"nonsense", b'{"x": 1}'])
def test_a_broken_record_is_refused(times: bytes) -> None:
    with pytest.raises(ValueError, match=r"times\.json|Expecting"):
        from_data([OLD], times)
