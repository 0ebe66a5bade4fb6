"""The ready-made experiments on the real cluster: each on a system that withstands it and on one that does not.

The systems differ in what a mesh can do about a fault, and in nothing else. Several run at once, in namespaces of
their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.kubectl import KubectlError, until
from e2e.lab import CLUSTER, GATEWAY_PORT, ROOT, Lab

pytestmark = pytest.mark.alone

EXPERIMENTS = ROOT / "chaos"
APP = ROOT / "e2e" / "chaos" / "app.yaml"
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


@dataclass(frozen=True)
class System:
    """How catalog is called: what differs between a system that withstands and one that does not."""

    timeout: str = "1s"
    attempts: int = 3
    sets: dict[str, str] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)
    zones: int = 2

    def objects(self, namespace: str) -> list[dict[str, Any]]:
        retries = {"attempts": self.attempts, "retryOn": "5xx,reset,connect-failure"}
        route: dict[str, Any] = {
            "route": [{"destination": {"host": "catalog"}}],
            "retries": retries if self.attempts else {"attempts": 0},
            "headers": {"request": {"set": self.sets}},
        }
        if self.timeout:
            route["timeout"] = self.timeout
        metadata = {"name": "catalog", "namespace": namespace}
        return [
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "VirtualService",
                "metadata": metadata,
                "spec": {
                    "hosts": [f"{namespace}.localhost"],
                    "gateways": ["public"],
                    "http": [route],
                },
            },
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "DestinationRule",
                "metadata": metadata,
                "spec": {"host": "catalog", "trafficPolicy": self.policy},
            },
        ]


STRONG = System()
CASES: dict[str, tuple[System, System]] = {
    "retry-storm": (STRONG, System(attempts=10, timeout="5s")),
    "delay": (STRONG, System(timeout="200ms")),
    "http-500": (STRONG, System(attempts=0)),
    "abort-by-header": (STRONG, System(sets={"x-user": "test-all"})),
    "slow-dependency": (STRONG, System(timeout="")),
    "outlier-ejection": (System(attempts=0, policy=OUTLIERS), System(attempts=0)),
    "circuit-breaking": (System(attempts=0, policy=POOL), System(attempts=0)),
    "zone-loss": (STRONG, System(zones=1)),
}


@dataclass(frozen=True)
class Ran:
    """What the command said and how it ended."""

    code: int
    out: str


@dataclass(frozen=True)
class Shop:
    """Catalog in a namespace of its own."""

    lab: Lab
    name: str

    def deploy(self) -> None:
        self.remove()
        self.apply(APP.read_text().replace("NAMESPACE", self.name))
        self.become(STRONG)
        for zone in "ab":
            self.run("rollout", "status", f"deployment/catalog-{zone}", "--timeout=90s")
        until(f"{self.name} to answer", lambda: self.status() == 200, timeout=60)

    def become(self, system: System) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": system.objects(self.name)}
        self.apply(json.dumps(listed))
        self.run("scale", "deployment/catalog-a", f"--replicas={system.zones - 1}")
        if system.zones == 1:
            self.run("wait", "--for=delete", "pod", "-l", "zone=a", "--timeout=60s")
        else:
            self.run("rollout", "status", "deployment/catalog-a", "--timeout=90s")

    def experiment(self, name: str) -> str:
        """A ready-made experiment as this namespace runs it."""
        text = (EXPERIMENTS / f"{name}.yaml").read_text()
        return text.replace("catalog.localhost", f"{self.name}.localhost")

    def chaos(self, name: str, folder: Path) -> Ran:
        file = folder / f"{self.name}-{name}.yaml"
        file.write_text(self.experiment(name))
        return chaos("run", str(file), "--watch", "-n", self.name)

    def outage(self) -> str:
        """`http-500` for a minute, of all requests, and nothing else."""
        found = yaml.safe_load(self.experiment("http-500"))
        found["metadata"]["namespace"] = self.name
        fault = {"abort": {"httpStatus": 500}}
        found["spec"] = {"target": found["spec"]["target"], "fault": fault, "duration": "60s"}
        return json.dumps(found)

    def phase(self, experiment: str) -> str:
        try:
            return str(self.shown(experiment).get("status", {}).get("phase", ""))
        except KubectlError:
            return ""

    def shown(self, experiment: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("get", "chaos", experiment, "-o", "json"))
        return found

    def run(self, *args: str) -> str:
        return self.lab.kubectl.run(*args, "-n", self.name, timeout=100)

    def apply(self, text: str) -> None:
        self.lab.kubectl.run("apply", "-f", "-", stdin=text)

    def status(self) -> int:
        """The status of one request through the gateway, 0 without an answer."""
        connection = HTTPConnection("127.0.0.1", GATEWAY_PORT, timeout=5)
        try:
            connection.request("GET", "/version", headers={"Host": f"{self.name}.localhost"})
            return connection.getresponse().status
        except (OSError, HTTPException):
            return 0
        finally:
            connection.close()

    def remove(self) -> None:
        self.lab.kubectl.run(
            "delete", "namespace", self.name, "--ignore-not-found", "--timeout=90s", timeout=100
        )


def chaos(*arguments: str) -> Ran:
    """`rollout chaos ...` as a user runs it."""
    done = subprocess.run(
        [sys.executable, "-m", "rollout.cli.main", "chaos", *arguments, "--kubeconfig", str(CLUSTER / "kubeconfig")],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout + done.stderr)


@contextmanager
def shops(lab: Lab, *names: str) -> Iterator[list[Shop]]:
    made = [Shop(lab, name) for name in names]
    with ThreadPoolExecutor(len(made)) as pool:
        list(pool.map(Shop.deploy, made))
        try:
            yield made
        finally:
            list(pool.map(Shop.remove, made))


@pytest.fixture(scope="module")
def runs(cluster: Lab, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Ran]:
    """Every experiment on both systems; both queues of each system at once."""
    folder = tmp_path_factory.mktemp("experiments")
    found: dict[tuple[str, str], Ran] = {}
    kinds = ("strong", "weak")

    def queue(shop: Shop, index: int, kind: int) -> None:
        for number, (name, systems) in enumerate(CASES.items()):
            if number % QUEUES == index:
                shop.become(systems[kind])
                found[name, kinds[kind]] = shop.chaos(name, folder)

    names = [f"chaos-{kind}-{index}" for kind in kinds for index in range(QUEUES)]
    with shops(cluster, *names) as made, ThreadPoolExecutor(len(made)) as pool:
        jobs = [
            pool.submit(queue, shop, number % QUEUES, number // QUEUES)
            for number, shop in enumerate(made)
        ]
        for job in jobs:
            job.result()
    return found


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("system", "code"), [("strong", PASS), ("weak", FAIL)])
def test_a_verdict_is_right(
    runs: dict[tuple[str, str], Ran], name: str, system: str, code: int
) -> None:
    ran = runs[name, system]
    print(ran.out)
    assert ran.code == code, ran.out


def test_a_lost_control_plane_costs_no_request_and_lost_pods_do(
    cluster: Lab, tmp_path: Path
) -> None:
    """An experiment that only watches tells who broke what: the same one, with the control plane or the pods gone."""
    name = "control-plane-loss"
    with shops(cluster, "chaos-plane", "chaos-pods") as made, ThreadPoolExecutor(2) as pool:
        watched, broken = (pool.submit(shop.chaos, name, tmp_path) for shop in made)
        for shop in made:
            until("load", lambda shop=shop: shop.phase(name) == "Running", timeout=60)  # type: ignore[misc]
        cluster.kill("mesh")
        made[1].run("scale", "deployment", "catalog-a", "catalog-b", "--replicas=0")
        ran = watched.result()
        assert ran.code == PASS, ran.out
        ran = broken.result()
        assert ran.code == FAIL, ran.out


def test_a_fault_does_not_outlive_who_is_killed(cluster: Lab) -> None:
    """`kill -9` of controller and control plane at once, in the middle: the proxies end it, and it is said so."""
    with shops(cluster, "chaos-killed") as [shop]:
        shop.apply(shop.outage())
        until("the fault", lambda: shop.status() == 500, timeout=60)
        cluster.kill("controller")
        cluster.kill("mesh")
        killed, last = time.monotonic(), 0.0
        while (now := time.monotonic() - killed) < 3 * LOST_SECONDS:
            if shop.status() != 200:
                last = now
        assert last < LOST_SECONDS, f"the fault was there for {last:.1f} s"
        until("the verdict", lambda: shop.shown("http-500")["status"]["verdict"] == "Error", 90)
        shown = shop.shown("http-500")["status"]
        assert shown["reason"].startswith("controller lost"), shown
        assert shop.status() == 200
        print(f"gone {last:.2f} s after the kill")
