"""`kill -9` of a component at three points of a rollout: the same outcome, and traffic does not notice.

Of the control planes it is the one that writes, while the pods of the application come and go.
"""

from __future__ import annotations

import time

import pytest

from e2e.kubectl import until
from e2e.lab import Lab

pytestmark = pytest.mark.alone

GONE_SECONDS = 60
HAND_OVER_SECONDS = 15


@pytest.mark.parametrize("component", ["controller", "mesh"])
def test_a_killed_component_changes_neither_outcome_nor_traffic(lab: Lab, component: str) -> None:
    lab.renew(component)
    kills, leader = [], ""
    with lab.load(qps=200, limit_seconds=300) as steady:
        lab.release("6.9.1")
        for phase, weight in (("Progressing", 10), ("Progressing", 40), ("Promoting", 0)):
            until(
                f"{phase} {weight}",
                lambda phase=phase, weight=weight: lab.standing() == (phase, weight),  # type: ignore[misc]
                timeout=90,
                period=0.05,
            )
            until("all of it", lambda: lab.whole(component), timeout=60)
            leader = lab.leader(component)
            kills.append(lab.kill(component))
        if leader:
            until(
                "another to lead",
                lambda: lab.leader(component) not in {"", leader},
                timeout=HAND_OVER_SECONDS,
            )
        until("Succeeded", lambda: lab.phase() == "Succeeded", timeout=180)
    assert len(set(kills)) == 3, "each time another process"
    assert lab.image_of("catalog-primary").endswith("podinfo:6.9.1")
    assert lab.replicas("catalog") == 0
    assert steady.failed == 0, steady.codes


def test_an_api_server_that_is_gone_for_a_minute_costs_time_and_nothing_else(lab: Lab) -> None:
    with lab.load(qps=200, limit_seconds=300) as steady:
        lab.release("6.9.1")
        until("a step", lambda: lab.standing() == ("Progressing", 20), timeout=90)
        with lab.apiserver_gone():
            time.sleep(GONE_SECONDS)
        until("Succeeded", lambda: lab.phase() == "Succeeded", timeout=180)
    assert lab.image_of("catalog-primary").endswith("podinfo:6.9.1")
    assert steady.failed == 0, steady.codes
