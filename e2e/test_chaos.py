"""The ready-made experiments on the real cluster: each on a system that withstands it and on one that does not.

The systems differ in what a mesh or a Canary can do about a fault, and in nothing else. Several run at once, in
namespaces of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from e2e.kubectl import until
from e2e.lab import Lab
from e2e.shops import STRONG, Parts, Ran, Release, Shop, System, deployed

pytestmark = pytest.mark.alone

QUEUES = 2
PASS, FAIL = 0, 1
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
    "abort-by-header": (PATIENT, System(sets={"x-user": "test-all"})),
    "slow-dependency": (STRONG, System(timeout="")),
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


@pytest.fixture(scope="module")
def runs(cluster: Lab, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Every experiment on both systems: both queues of each, its Canary, and its short-lived certificates at once."""
    folder = tmp_path_factory.mktemp("experiments")
    found: Runs = {}

    def queue(shop: Shop, kind: int, index: int) -> None:
        for number, (name, systems) in enumerate(CASES.items()):
            if number % QUEUES == index:
                shop.become(systems[kind])
                found[name, KINDS[kind]] = shop.chaos(name, folder)

    def expiry(shop: Shop, kind: int) -> None:
        shop.become(ONE_BY_ONE)
        found[EXPIRY, KINDS[kind]] = shop.chaos(EXPIRY, folder)

    def canary(shop: Release, kind: int) -> None:
        with shop.orders():
            shop.release("6.9.1")
            found[DEPENDENCY, KINDS[kind]] = shop.chaos(DEPENDENCY, folder)
            if shop.reach("Failed", "Promoting") == "Failed":
                shop.release("6.9.2")
                shop.reach("Promoting")
            found[PROMOTION, KINDS[kind]] = shop.chaos(PROMOTION, folder)

    jobs: list[tuple[Shop | Release, Callable[[], None]]] = []
    for kind, what in enumerate(KINDS):
        release = Release(
            cluster,
            f"chaos-canary-{what}",
            replicas=2 - kind,
            threshold=(10, 1)[kind],
        )
        jobs.append((release, partial(canary, release, kind)))
        shop = Shop(cluster, f"chaos-expiry-{what}", lifetime=LIFETIMES[kind])
        jobs.append((shop, partial(expiry, shop, kind)))
        for index in range(QUEUES):
            shop = Shop(cluster, f"chaos-{what}-{index}")
            jobs.append((shop, partial(queue, shop, kind, index)))

    def work(job: tuple[Shop | Release, Callable[[], None]]) -> None:
        with deployed([job[0]]):
            job[1]()

    with ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(work, jobs))
    return found


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
