"""The shops that experiments break: catalog in a namespace of its own, with all that a mesh or a Canary does for it."""

from __future__ import annotations

import json
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, TypeVar

from e2e.kubectl import PHASE, KubectlError, until
from e2e.lab import CLUSTER, GATEWAY, GATEWAY_PORT, ROOT, Lab
from e2e.load import steady_load

EXPERIMENTS = ROOT / "chaos"
MANIFESTS = ROOT / "e2e" / "chaos"
PARTS = {"a": (3000, "/version"), "b": (9797, "/healthz")}
"""The two services of each of `Parts`' pods: port, and the path that is asked."""


@dataclass(frozen=True)
class Ran:
    """What the command said and how it ended."""

    code: int
    out: str


def chaos(*arguments: str) -> Ran:
    """`rollout chaos ...` as a user runs it."""
    done = subprocess.run(
        [sys.executable, "-m", "rollout.cli.main", "chaos", *arguments, "--kubeconfig", str(CLUSTER / "kubeconfig")],
        cwd=ROOT, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout + done.stderr)


@dataclass(frozen=True)
class Namespace(ABC):
    """One that opted in, and what is asked of it through the gateway."""

    lab: Lab
    name: str

    @abstractmethod
    def deploy(self) -> None:
        """Everything that is in it, until it answers."""

    def experiment(self, name: str) -> str:
        """A ready-made experiment as this namespace runs it."""
        text = (EXPERIMENTS / f"{name}.yaml").read_text()
        return text.replace("catalog.localhost", f"{self.name}.localhost")

    def chaos(self, name: str, folder: Path) -> Ran:
        """Run it to its verdict."""
        file = folder / f"{self.name}-{name}.yaml"
        file.write_text(self.experiment(name))
        return chaos("run", str(file), "--watch", "-n", self.name)

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

    def status(self, path: str = "/version") -> int:
        """The status of one request through the gateway, 0 without an answer."""
        connection = HTTPConnection("127.0.0.1", GATEWAY_PORT, timeout=5)
        try:
            connection.request("GET", path, headers={"Host": f"{self.name}.localhost"})
            return connection.getresponse().status
        except (OSError, HTTPException):
            return 0
        finally:
            connection.close()

    def remove(self) -> None:
        self.lab.kubectl.run(
            "delete", "namespace", self.name, "--ignore-not-found", "--timeout=90s", timeout=100
        )


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
        rule = {"host": "catalog", "trafficPolicy": self.policy}
        hosts = {"hosts": [f"{namespace}.localhost"], "gateways": ["public"], "http": [route]}
        return [
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": kind,
                "metadata": {"name": "catalog", "namespace": namespace},
                "spec": spec,
            }
            for kind, spec in (("VirtualService", hosts), ("DestinationRule", rule))
        ]


STRONG = System()
N = TypeVar("N", bound=Namespace)


@dataclass(frozen=True)
class Shop(Namespace):
    """Catalog in two zones. `lifetime` is how long its certificates hold; a day where it is empty."""

    lifetime: str = ""

    def deploy(self) -> None:
        self.remove()
        text = (MANIFESTS / "app.yaml").read_text()
        config = {"proxyMetadata": {"SECRET_TTL": self.lifetime}} if self.lifetime else {}
        text = text.replace("PROXY_CONFIG", json.dumps(json.dumps(config)))
        self.apply(text.replace("NAMESPACE", self.name))
        self.become(STRONG)
        for zone in "ab":
            self.run("rollout", "status", f"deployment/catalog-{zone}", "--timeout=90s")
        until(f"{self.name} to answer", lambda: self.status() == 200, timeout=60)

    def become(self, system: System) -> None:
        """Another system."""
        listed = {"apiVersion": "v1", "kind": "List", "items": system.objects(self.name)}
        self.apply(json.dumps(listed))
        self.run("scale", "deployment/catalog-a", f"--replicas={system.zones - 1}")
        if system.zones == 1:
            self.run("wait", "--for=delete", "pod", "-l", "zone=a", "--timeout=60s")
        else:
            self.run("rollout", "status", "deployment/catalog-a", "--timeout=90s")


@dataclass(frozen=True)
class Release(Namespace):
    """Catalog as a Canary delivers it, asking payments for each order."""

    replicas: int
    threshold: int

    def deploy(self) -> None:
        self.remove()
        text = (MANIFESTS / "release.yaml").read_text()
        values = {
            "REPLICAS": self.replicas,
            "THRESHOLD": self.threshold,
            "NAMESPACE": self.name,
        }
        for name, value in values.items():
            text = text.replace(name, str(value))
        self.apply(text)
        self.reach("Initialized")
        until(f"{self.name} to answer", lambda: self.status("/echo") == 200, timeout=60)

    def release(self, version: str) -> None:
        """A new revision, until it is analysed."""
        image = f"podinfo=localhost/rollout/podinfo:{version}"
        self.run("set", "image", "deployment/catalog", image)
        self.reach("Progressing")

    def bear(self, checks: int) -> None:
        """From now on, so many failed checks roll it back."""
        patch = {"spec": {"analysis": {"threshold": checks}}}
        self.run("patch", "canary", "catalog", "--type=merge", "-p", json.dumps(patch))

    def reach(self, *wanted: str) -> str:
        """Wait for one of these phases of the Canary."""
        phases = ("canary", "catalog", "-n", self.name, "-o", PHASE)
        with self.lab.kubectl.watch(*phases) as watch:
            until(f"{self.name} {wanted}", lambda: watch.last in wanted, timeout=180)
            return watch.last

    @contextmanager
    def orders(self) -> Iterator[None]:
        """Callers of catalog's who make it ask payments, while the block lasts."""
        url, host = f"{GATEWAY}echo", f"{self.name}.localhost"
        with steady_load(self.lab.fortio, url, host=host, qps=10, limit_seconds=300):
            yield


@dataclass(frozen=True)
class Parts(Namespace):
    """As many services as faults: two on each of ten pods, which is what a pod's proxy carries."""

    pods: int = 10

    @property
    def names(self) -> list[str]:
        return [f"part-{index}{port}" for index in range(self.pods) for port in PARTS]

    def deploy(self) -> None:
        self.remove()
        text = (MANIFESTS / "parts.yaml").read_text().replace("NAMESPACE", self.name)
        self.apply(text.replace("REPLICAS", str(self.pods)))
        self.apply(json.dumps(self._list(*map(self._service, self.names), self._routes())))
        self.run("rollout", "status", "statefulset/part", "--timeout=90s")
        until("all to answer", lambda: set(self.statuses().values()) == {200}, timeout=60)

    def outage(self) -> None:
        """Every request to any of them fails, for a minute."""
        self.apply(json.dumps(self._list(*map(self._outage, self.names))))

    def statuses(self) -> dict[str, int]:
        """What each of them answers now."""
        return {name: self.status(f"/{name}") for name in self.names}

    def ended(self) -> list[tuple[str, str]]:
        """Verdicts of all experiments, and why."""
        found = json.loads(self.run("get", "chaos", "-o", "json"))["items"]
        statuses = (each.get("status", {}) for each in found)
        return [(each.get("verdict", ""), each.get("reason", "")) for each in statuses]

    def _list(self, *items: dict[str, Any]) -> dict[str, Any]:
        for each in items:
            each["metadata"]["namespace"] = self.name
        return {"apiVersion": "v1", "kind": "List", "items": list(items)}

    def _service(self, name: str) -> dict[str, Any]:
        number, port = name.removeprefix("part-")[:-1], PARTS[name[-1]][0]
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {
                "selector": {"statefulset.kubernetes.io/pod-name": f"part-{number}"},
                "ports": [{"name": "http", "port": 80, "targetPort": port}],
            },
        }

    def _routes(self) -> dict[str, Any]:
        rules = [
            {
                "match": [{"uri": {"exact": f"/{name}"}}],
                "rewrite": {"uri": PARTS[name[-1]][1]},
                "route": [{"destination": {"host": name}}],
                "retries": {"attempts": 0},
            }
            for name in self.names
        ]
        hosts = {"hosts": [f"{self.name}.localhost"], "gateways": ["public"]}
        return {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "parts"},
            "spec": {**hosts, "http": rules},
        }

    def _outage(self, name: str) -> dict[str, Any]:
        return {
            "apiVersion": "chaos.rollout.dev/v1alpha1",
            "kind": "ChaosExperiment",
            "metadata": {"name": name},
            "spec": {
                "target": {"service": name},
                "fault": {"abort": {"httpStatus": 500}},
                "blastRadius": {"maxConcurrent": len(self.names)},
                "duration": "2m",
            },
        }


@contextmanager
def deployed(made: Sequence[N]) -> Iterator[Sequence[N]]:
    """All of them at once, while the block lasts."""
    with ThreadPoolExecutor(len(made)) as pool:
        try:
            list(pool.map(lambda each: each.deploy(), made))
            yield made
        finally:
            list(pool.map(lambda each: each.remove(), made))
