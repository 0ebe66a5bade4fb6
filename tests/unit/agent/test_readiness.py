from __future__ import annotations

import pytest

from rollout.mesh.agent.plainhttp import Answer, Question, serve
from rollout.mesh.agent.readiness import Readiness, judge

READY = {
    "cluster_manager.cds.update_success": "1",
    "listener_manager.lds.update_success": "1",
    "listener_manager.workers_started": "1",
    "server.state": "0",
}


def page(**changes: str) -> str:
    values = READY | {name.replace("__", "."): value for name, value in changes.items()}
    return "".join(f"{name}: {value}\n" for name, value in values.items())


@pytest.mark.parametrize(
    ("stats", "problem"),
    [
        (page(), ""),
        (page(cluster_manager__cds__update_success="0"), "no clusters received"),
        (page(listener_manager__lds__update_success="0"), "no listeners received"),
        (page(server__state="2"), "still initializing"),
        (page(listener_manager__workers_started="0"), "workers have not started"),
        ("", "no clusters received"),
    ],
    ids=["ready", "no clusters", "no listeners", "initializing", "no workers", "empty page"],
)
def test_what_envoys_counters_mean(stats: str, problem: str) -> None:
    verdict = judge(stats)
    assert problem in verdict
    assert bool(verdict) == bool(problem)


def test_once_ready_it_stays_so_without_its_admin_until_it_drains() -> None:
    answers = [Answer(200, page().encode())]

    def admin(_question: Question) -> Answer:
        return answers.pop() if answers else Answer(503, b"")

    readiness = Readiness(serve(0, admin, "127.0.0.1"))
    assert readiness.problem() == ""
    assert readiness.problem() == ""
    readiness.drain()
    assert readiness.problem() == "draining"


def test_without_a_certificate_it_is_not_ready_and_says_so() -> None:
    readiness = Readiness(1, missing=lambda: "no certificate: UNAVAILABLE")
    assert readiness.problem() == "no certificate: UNAVAILABLE"


def test_an_envoy_that_does_not_answer_is_not_ready() -> None:
    assert "does not answer" in Readiness(1).problem()
