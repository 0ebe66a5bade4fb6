"""The local cluster as the demo and the scenarios use it: brought up, images loaded, rollout installed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from e2e.kubectl import Kubectl, until
from e2e.load import Load, steady_load
from rollout.install.waiting import complete

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "e2e" / "demo"
CLUSTER = Path(os.environ.get("CLUSTER_DIR", ".cluster")).resolve()
NAMESPACE = "istioinaction"
SYSTEM = "rollout-system"
GATEWAY_PORT = 8080
# curl and browsers resolve names below localhost by themselves; other programs name the host apart.
APPLICATION = f"http://catalog.localhost:{GATEWAY_PORT}/"
GATEWAY = f"http://127.0.0.1:{GATEWAY_PORT}/"
HOST = f"catalog.localhost:{GATEWAY_PORT}"

INSTALL = (
    "--set", "imagePullPolicy=IfNotPresent",
    "--set", "prometheus.install=true",
    "--set", "prometheus.image=localhost/rollout/prometheus:3.15.0",
    "--set", "prometheus.scrapeInterval=2s",
    "--set", f"gateway.hostPort={GATEWAY_PORT}",
    "--values", str(ROOT / "e2e" / "telemetry" / "values.yaml"),
)  # fmt: skip


@dataclass(frozen=True)
class Lab:
    """A cluster with rollout on it, and the programs to look at it with."""

    kubectl: Kubectl
    fortio: Path

    @classmethod
    def prepare(cls, *settings: str) -> Lab:
        """Everything from nothing, with more settings of the chart; every step may be repeated and says what it does."""
        python = sys.executable
        step(python, "-m", "e2e.cluster", "up")
        image = answer(python, "-m", "e2e.cluster", "images").split()[-1]
        where = ("--kubeconfig", str(CLUSTER / "kubeconfig"), "--image", image)
        step(python, "-m", "rollout.cli.main", "install", *where, *INSTALL, *settings)
        return cls.attach()

    @classmethod
    def attach(cls) -> Lab:
        """The programs for a cluster that is already up."""
        return cls(
            kubectl=Kubectl(binary("kubectl"), CLUSTER / "kubeconfig"), fortio=binary("fortio")
        )

    def deploy(self) -> None:
        """The demo's application at its first version, and its Canary, until it is initialized."""
        self.remove()
        self.kubectl.apply(DEMO / "app.yaml")
        self.kubectl.run(
            "rollout", "status", "deployment/catalog", "-n", NAMESPACE, "--timeout=90s", timeout=100
        )
        self.kubectl.apply(DEMO / "canary.yaml")

    def remove(self) -> None:
        self.kubectl.run(
            "delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s", timeout=100
        )

    def release(self, version: str) -> None:
        self.kubectl.run(
            "set", "image", "deployment/catalog", f"podinfo=localhost/rollout/podinfo:{version}",
            "-n", NAMESPACE,
        )  # fmt: skip

    def release_bad(self) -> None:
        self.kubectl.run(
            "patch", "deployment", "catalog", "-n", NAMESPACE,
            "--patch-file", str(DEMO / "bad-version.yaml"),
        )  # fmt: skip

    def image_of(self, deployment: str) -> str:
        found = self.kubectl.json("get", "deployment", deployment, "-n", NAMESPACE)
        return str(found["spec"]["template"]["spec"]["containers"][0]["image"])

    def load(self, *, qps: float, limit_seconds: int) -> AbstractContextManager[Load]:
        """A steady load on the application, through the gateway."""
        return steady_load(self.fortio, GATEWAY, host=HOST, qps=qps, limit_seconds=limit_seconds)

    def replicas(self, deployment: str) -> int:
        found = self.kubectl.json("get", "deployment", deployment, "-n", NAMESPACE)
        return int(found["spec"]["replicas"])

    def phase(self) -> str:
        return self.standing()[0]

    def standing(self) -> tuple[str, int]:
        """Phase and weight as the Canary's status has them."""
        status = self.kubectl.json("get", "canary", "catalog-release", "-n", NAMESPACE).get(
            "status", {}
        )
        return str(status.get("phase", "")), int(status.get("canaryWeight", 0))

    def weights(self) -> dict[str, int]:
        """The weight of each destination in the VirtualService's first route."""
        found = self.kubectl.json("get", "virtualservice", "catalog", "-n", NAMESPACE)
        routes = found["spec"]["http"][0]["route"]
        return {route["destination"]["host"]: int(route.get("weight", 0)) for route in routes}

    def whole(self, component: str) -> bool:
        """Whether all of the component's pods are ready."""
        return complete(
            self.kubectl.json("get", "deployment", f"rollout-{component}", "-n", SYSTEM)
        )

    def leader(self, component: str) -> str:
        """Which of the component's replicas acts, as its Lease has it; empty where they don't compete."""
        return self.kubectl.run(
            "get", "lease", f"rollout-{component}-leader", "-n", SYSTEM, "--ignore-not-found",
            "-o", "jsonpath={.spec.holderIdentity}",
        )  # fmt: skip

    def kill(self, component: str) -> int:
        """`kill -9` of the component's process in its pod, the one that leads where there are several; answers the
        process's id on the node."""
        pods = self.kubectl.json(
            "get", "pods", "-n", SYSTEM, "-l", f"app.kubernetes.io/component={component}"
        )["items"]
        running = [pod["metadata"] for pod in pods if pod["status"]["phase"] == "Running"]
        leader = self.leader(component).rpartition("_")[0]
        leading = [each for each in running if each["name"] == leader]
        uids = [each["uid"] for each in leading or running]
        process = process_with(component, group=lambda group: any(uid in group for uid in uids))
        os.kill(process, signal.SIGKILL)
        return process

    def renew(self, component: str) -> None:
        """A new pod of the component, ready: kubelet makes one that was killed often wait longer each time."""
        name = f"deployment/rollout-{component}"
        self.kubectl.run("rollout", "restart", name, "-n", SYSTEM)
        self.kubectl.run("rollout", "status", name, "-n", SYSTEM, "--timeout=90s", timeout=100)

    @contextmanager
    def apiserver_gone(self) -> Iterator[None]:
        """The API server answers nobody while the block lasts: its process stands still."""
        process = process_with("kube-apiserver", program="/run/rollout/kubernetes-node")
        os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            # The program that entered the cluster's namespaces stands still with its child, and is woken apart.
            for each in (process, parent_of(process)):
                os.kill(each, signal.SIGCONT)

    def requests_of(self, account: str, since: float) -> list[dict[str, Any]]:
        """What a service account of rollout asked of the API server since then, from its audit log."""
        user = f"system:serviceaccount:{SYSTEM}:{account}"
        found = []
        for line in (CLUSTER / "logs" / "audit.log").read_text().splitlines():
            entry = json.loads(line)
            began = datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp()
            if entry["user"].get("username") == user and began >= since:
                found.append(entry)
        return found

    def answers(self) -> None:
        """Waits until the application answers through the gateway."""
        until(f"{APPLICATION} to answer", responds, timeout=60)


def process_with(
    argument: str, *, program: str = "", group: Callable[[str], bool] = lambda _: True
) -> int:
    """The id of a process of this machine by its argument and, where given, its program's path and its control group."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found = (process / "cgroup").read_text()
            command = (process / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue
        if argument in command and program in {"", command[0]} and group(found):
            return int(process.name)
    raise LookupError(f"no process of the cluster with the argument {argument}")


def parent_of(process: int) -> int:
    """The id of the process that started it."""
    status = (Path("/proc") / str(process) / "status").read_text()
    return int(re.search(r"^PPid:\s+(\d+)$", status, re.MULTILINE)[1])  # type: ignore[index]


def responds(host: str = HOST) -> bool:
    """Whether the gateway answers a request to this host as it should."""
    try:
        request = urllib.request.Request(GATEWAY, headers={"Host": host})
        with urllib.request.urlopen(request, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def binary(name: str) -> Path:
    """The path of a program that the cluster's build made."""
    return Path(answer(sys.executable, "-m", "e2e.cluster", "build", name).split()[-1])


def step(*command: str) -> None:
    """One preparation step, with its own progress lines; its failure is the caller's end."""
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        sys.exit(1)


def answer(*command: str) -> str:
    """A step whose standard output is its answer, and whose progress lines are elsewhere."""
    done = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(1)
    return done.stdout
