"""Certificates are kept while they serve and issued anew when they do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rollout.kube.certificates import Chain, KeyPair, issue_ca, renew, renewal_time

NOW = datetime(2026, 11, 1, tzinfo=UTC)
NAMES = ("rollout-webhook.rollout.svc", "rollout-webhook.rollout.svc.cluster.local")
LIFETIME = timedelta(days=90)
DAY = timedelta(days=1)


def renewed(chain: Chain | None, now: datetime = NOW, names: tuple[str, ...] = NAMES) -> Chain:
    return renew(chain, "rollout-ca", names, now, LIFETIME)


FRESH = renewed(None)


def test_a_fresh_chain_serves_as_it_is() -> None:
    assert renewed(FRESH) is FRESH
    FRESH.serving.parsed.verify_directly_issued_by(FRESH.ca.parsed)


@pytest.mark.parametrize(
    ("now", "new"),
    [(NOW + 59 * DAY, False), (NOW + 61 * DAY, True), (NOW + 91 * DAY, True)],
    ids=["two thirds not over", "due", "expired"],
)
def test_the_serving_certificate_is_renewed_below_the_same_authority(
    now: datetime, new: bool
) -> None:
    chain = renewed(FRESH, now)
    assert chain.ca == FRESH.ca
    assert (chain.serving != FRESH.serving) == new
    assert renewal_time(chain.serving) > now


BROKEN: dict[str, Callable[[Chain], Chain]] = {
    "not PEM": lambda c: replace(c, serving=KeyPair(certificate=b"x", key=b"y")),
    "another key": lambda c: replace(
        c, serving=KeyPair(certificate=c.serving.certificate, key=renewed(None).serving.key)
    ),
    "another authority's": lambda c: replace(c, serving=renewed(None).serving),
}


@pytest.mark.parametrize("breaks", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_serving_certificate_is_replaced(breaks: Callable[[Chain], Chain]) -> None:
    broken = breaks(FRESH)
    chain = renewed(broken)
    assert chain.ca == FRESH.ca
    assert chain.serving != broken.serving
    assert renewed(chain) is chain


def test_another_name_is_added() -> None:
    chain = renewed(FRESH, names=(*NAMES, "localhost"))
    assert chain.serving != FRESH.serving


def test_an_expired_authority_takes_everything_with_it() -> None:
    old = issue_ca("rollout-ca", NOW - 20 * DAY, 10 * DAY)
    chain = renewed(replace(FRESH, ca=old))
    assert old not in (chain.ca, FRESH.ca)
    chain.serving.parsed.verify_directly_issued_by(chain.ca.parsed)


def test_keys_do_not_show() -> None:
    assert "PRIVATE" not in repr(FRESH)
