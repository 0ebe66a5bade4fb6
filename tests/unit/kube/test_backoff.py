"""Waits double while one trouble lasts, and a new one is not made to pay for the last."""

from __future__ import annotations

from rollout.kube.backoff import Backoff


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(base=0.2, cap=1.0)
    assert [backoff.after("down") for _ in range(5)] == [0.2, 0.4, 0.8, 1.0, 1.0]
    assert backoff.failures == 5


def test_a_server_that_is_back_but_refuses_is_asked_soon() -> None:
    backoff = Backoff(base=0.2, cap=60.0)
    for _ in range(8):
        backoff.after("down")
    assert [backoff.after("gone"), backoff.after("gone")] == [0.2, 0.4]


def test_after_a_success_the_first_wait_is_the_shortest() -> None:
    backoff = Backoff(base=0.2, cap=60.0)
    backoff.after("down")
    backoff.after("down")
    backoff.reset()
    assert backoff.after("down") == 0.2
