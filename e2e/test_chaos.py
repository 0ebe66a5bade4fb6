"""The ready-made experiments on the real cluster: each on a system that withstands it and on one that does not.

The systems differ in what a mesh or a Canary can do about a fault, and in nothing else. Several run at once, in
namespaces of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from e2e.kubectl import until
from e2e.lab import Lab
from e2e.shops import STRONG, Parts, Ran, Release, Shop, System, deployed

pytestmark = pytest.mark.alone

PASS, FAIL = 0, 1
PATIENCE = 10
LOST_SECONDS = 5.0

OUTLIERS = {
    "outlierDetection": {
        "consecutive5xxErrors": 3,
        "interval": "1s",
        "baseEjectionTime": "20s",
        "maxEjectionPercent": 50,
    }
}
POOL = {"connectionPool": {"tcp": {"maxConnections": 4}, "http": {"http1MaxPendingRequests": 1}}}
ONE_BY_ONE = System(policy={"connectionPool": {"http": {"maxRequestsPerConnection": 1}}})

PATIENT = System(timeout="5s")
CASES: dict[str, tuple[System, System]] = {
    "retry-storm": (STRONG, System(attempts=10, timeout="5s")),
    "delay": (STRONG, System(timeout="200ms")),
    "http-500": (PATIENT, System(attempts=0)),
    "connection-reset": (PATIENT, System(attempts=0)),
    "abort-by-header": (PATIENT, System(sets={"x-user": "test-all"})),
    "slow-dependency": (System(timeout="500ms"), System(timeout="")),
    "outlier-ejection": (System(attempts=0, policy=OUTLIERS), System(attempts=0)),
    "circuit-breaking": (System(attempts=0, policy=POOL), System(attempts=0)),
    "zone-loss": (STRONG, System(zones=1)),
}
KINDS = ("strong", "weak")
LIFETIMES = ("60s", "20s")
EXPIRY = "certificate-expiry"
DEPENDENCY = "dependency-down-during-canary"
PROMOTION = "pod-kill-during-promotion"
Runs = dict[tuple[str, str], Ran]


@dataclass
class Season:
    """All experiments on both systems, and what came of them: by name and kind of system."""

    folder: Path
    found: Runs = field(default_factory=dict)

    def jobs(self, lab: Lab) -> Iterator[tuple[Shop | Release, Callable[[], None]]]:
        """What is done at once, each in a namespace of its own."""
        for kind, what in enumerate(KINDS):
            threshold = (PATIENCE, 1)[kind]
            release = Release(lab, f"chaos-canary-{what}", replicas=2 - kind, threshold=threshold)
            yield release, partial(self.canary, release, what)
            shop = Shop(lab, f"chaos-expiry-{what}", lifetime=LIFETIMES[kind])
            yield shop, partial(self.expiry, shop, what)
            shop = Shop(lab, f"chaos-{what}")
            yield shop, partial(self.queue, shop, kind)

    def queue(self, shop: Shop, kind: int) -> None:
        """The experiments whose systems differ in routes, one after the other."""
        for name, systems in CASES.items():
            shop.become(systems[kind])
            self.found[name, KINDS[kind]] = shop.chaos(name, self.folder)

    def expiry(self, shop: Shop, what: str) -> None:
        """Connections that do not outlive a request, so that certificates matter."""
        shop.become(ONE_BY_ONE)
        self.found[EXPIRY, what] = shop.chaos(EXPIRY, self.folder)

    def canary(self, shop: Release, what: str) -> None:
        """Both experiments about canaries, in one rollout where the first is withstood."""
        with shop.orders():
            shop.release("6.9.1")
            self.found[DEPENDENCY, what] = shop.chaos(DEPENDENCY, self.folder)
            if shop.reach("Failed", "Promoting") == "Failed":
                shop.bear(PATIENCE)
                shop.release("6.9.2")
                shop.reach("Promoting")
            self.found[PROMOTION, what] = shop.chaos(PROMOTION, self.folder)


@pytest.fixture(scope="module")
def runs(cluster: Lab, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    season = Season(tmp_path_factory.mktemp("experiments"))
    shops, works = zip(*season.jobs(cluster), strict=True)
    # All are there before the first is broken: starting pods takes the processors from those whose answers are timed.
    with deployed(shops), ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(work) for work in works]:
            done.result()
    return season.found


@pytest.mark.parametrize("name", [*CASES, EXPIRY, DEPENDENCY, PROMOTION])
@pytest.mark.parametrize(("system", "code"), [("strong", PASS), ("weak", FAIL)])
def test_a_verdict_is_right(runs: Runs, name: str, system: str, code: int) -> None:
    ran = runs[name, system]
    print(ran.out)
    assert ran.code == code, ran.out


def test_a_lost_control_plane_costs_no_request_and_lost_pods_do(
    cluster: Lab, tmp_path: Path
) -> None:
    """An experiment that only watches tells who broke what: the same one, with the control plane or the pods gone."""
    name = "control-plane-loss"
    shops = [Shop(cluster, each) for each in ("chaos-plane", "chaos-pods")]
    with deployed(shops), ThreadPoolExecutor(2) as pool:
        watched, broken = (pool.submit(shop.chaos, name, tmp_path) for shop in shops)
        for shop in shops:
            until("load", lambda shop=shop: shop.phase(name) == "Running", timeout=60)  # type: ignore[misc]
        cluster.kill("mesh")
        shops[1].run("scale", "deployment", "catalog-a", "catalog-b", "--replicas=0")
        ran = watched.result()
        assert ran.code == PASS, ran.out
        ran = broken.result()
        assert ran.code == FAIL, ran.out


def test_no_fault_outlives_who_is_killed(cluster: Lab) -> None:
    """`kill -9` of controller and control plane at once, in the middle of twenty: the proxies end all, and it is said so."""
    parts = Parts(cluster, "chaos-killed")
    with deployed([parts]):
        parts.outage()
        until("all are faulted", lambda: set(parts.statuses().values()) == {500}, timeout=90)
        for component in ("controller", "mesh"):
            cluster.kill(component)
        killed, last = time.monotonic(), 0.0
        while time.monotonic() < killed + 2 * LOST_SECONDS:
            if set(parts.statuses().values()) != {200}:
                last = time.monotonic() - killed
        assert last < LOST_SECONDS, f"a fault was there for {last:.1f} s"
        until(
            "the verdicts",
            lambda: {v for v, _ in parts.ended()} == {"Error"},
            timeout=120,
            period=1,
        )
        assert all(why.startswith("controller lost") for _, why in parts.ended()), parts.ended()
        assert set(parts.statuses().values()) == {200}
        print(f"{len(parts.names)} faults gone {last:.2f} s after the kill")
