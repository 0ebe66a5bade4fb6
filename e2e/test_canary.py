"""The main job: what `kubectl get canary -w` shows, what stays untouched, and that nobody's request is lost."""

from __future__ import annotations

import time

import pytest

from e2e.kubectl import until
from e2e.lab import DEMO, NAMESPACE, Lab

pytestmark = pytest.mark.alone

PODINFO_ERRORS = ("400", "409", "500")  # what --random-error answers with
PROMOTED = [
    ("Progressing", "0"),
    *(("Progressing", str(weight)) for weight in (10, 20, 30, 40, 50)),
    ("Promoting", "0"),
    ("Finalising", "0"),
    ("Succeeded", "0"),
]


def test_a_good_version_is_promoted_step_by_step_and_no_request_is_lost(cluster: Lab) -> None:
    cluster.remove()
    cluster.kubectl.apply(DEMO / "app.yaml")
    with cluster.kubectl.watch("canary", "-n", NAMESPACE, there=False) as watch:
        cluster.kubectl.apply(DEMO / "canary.yaml")
        until("Initialized", lambda: cluster.phase() == "Initialized", timeout=90)
        cluster.answers()
        with cluster.load(qps=200, limit_seconds=300) as steady:
            cluster.release("6.9.1")
            until("Succeeded", lambda: cluster.phase() == "Succeeded", timeout=180)
            time.sleep(2)
    assert watch.lines[0].split() == ["NAME", "STATUS", "WEIGHT", "LASTTRANSITIONTIME"]
    seen = distinct(watch.columns("STATUS", "WEIGHT"))
    assert seen == [("Initializing", "0"), ("Initialized", "0"), *PROMOTED]
    assert cluster.image_of("catalog-primary").endswith("podinfo:6.9.1")
    assert cluster.replicas("catalog") == 0
    assert steady.failed == 0, steady.codes
    assert steady.requests > 200 * 20


def test_a_bad_version_is_rolled_back_and_the_primary_stays_untouched(lab: Lab) -> None:
    before = lab.kubectl.json("get", "deployment", "catalog-primary", "-n", NAMESPACE)
    with (
        lab.kubectl.watch("canary", "-n", NAMESPACE) as watch,
        lab.load(qps=200, limit_seconds=300) as steady,
    ):
        lab.release_bad()
        until("Failed", lambda: lab.phase() == "Failed", timeout=180)
        time.sleep(2)
    seen = distinct(watch.columns("STATUS", "WEIGHT"))
    assert seen == [
        ("Initialized", "0"),
        ("Progressing", "0"),
        ("Progressing", "10"),
        ("Failed", "0"),
    ]
    after = lab.kubectl.json("get", "deployment", "catalog-primary", "-n", NAMESPACE)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert lab.replicas("catalog") == 0
    assert lab.weights() == {"catalog-primary": 100, "catalog-canary": 0}
    assert steady.lost == 0, steady.codes
    assert set(steady.codes) <= {"200", *PODINFO_ERRORS}, steady.codes
    said = lab.kubectl.run("describe", "canary", "catalog-release", "-n", NAMESPACE)
    assert "Rolling back catalog-release.istioinaction failed checks threshold reached 5" in said


def test_a_new_revision_is_progressing_within_a_second(lab: Lab) -> None:
    delays = []
    with lab.kubectl.watch("canary", "-n", NAMESPACE) as watch:
        lab.release("6.9.1")
        released = time.monotonic()
        until("Progressing", lambda: "Progressing" in watch.lines[-1], timeout=10, period=0.01)
        delays.append(time.monotonic() - released)
    assert delays[0] < 1.0


def distinct(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Without the rows that repeat the one before: a watch prints one for every write."""
    return [row for index, row in enumerate(rows) if index == 0 or row != rows[index - 1]]
