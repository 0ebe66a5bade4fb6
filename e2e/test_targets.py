"""The documented example of each kind of target on the real cluster, all at once: who answers, and what is left behind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection

import pytest

from e2e.kubectl import until
from e2e.lab import GATEWAY_PORT, ROOT, Lab
from e2e.test_strategies import NEW, OLD, REQUESTS, within

NAMESPACE = "targets"
ROUTED = ("store", "web")
CANARIES = ("agent", *ROUTED)
GENERATED = (
    "daemonsets,statefulsets,services,horizontalpodautoscalers,poddisruptionbudgets,"
    "virtualservices,destinationrules"
)
THEIRS = {
    *("daemonset.apps/agent", "statefulset.apps/store", "service/store-pods", "service/web"),
    "horizontalpodautoscaler.autoscaling/store",
    "poddisruptionbudget.policy/store",
}


@dataclass(frozen=True)
class Targets:
    """The three examples in one namespace."""

    lab: Lab

    def run(self, *args: str) -> str:
        return self.lab.kubectl.run(*args, "-n", NAMESPACE, timeout=100)

    def deploy(self) -> None:
        self.remove()
        self.lab.kubectl.run("create", "namespace", NAMESPACE)
        self.run("apply", "-f", str(ROOT / "e2e" / "targets"))
        for each in ("store", "agent"):
            self.reaches(each, "Initialized")
        for each in ("web-old", "web-new"):
            self.run("rollout", "status", f"deployment/{each}", "--timeout=90s")
        self.reaches("web", "Initialized")

    def release(self) -> None:
        image = f"podinfo=localhost/rollout/podinfo:{NEW}"
        self.run("set", "image", "daemonset/agent", image)
        self.run("set", "image", "statefulset/store", image)
        patch = '{"spec": {"selector": {"version": "new"}}}'
        self.run("patch", "service", "web", "--type=merge", "-p", patch)

    def status(self, canary: str) -> dict[str, object]:
        found = json.loads(self.run("get", "canary", canary, "-o", "json"))
        status: dict[str, object] = found.get("status", {})
        return status

    def reaches(self, canary: str, *phases: str) -> str:
        until(
            f"{canary}: {phases}",
            lambda: self.status(canary).get("phase") in phases,
            timeout=120,
        )
        return str(self.status(canary)["phase"])

    @contextmanager
    def held(self, **reached: tuple[str, int]) -> Iterator[None]:
        """Suspends each canary as soon as its status has this value; lets all go on afterwards."""
        waiting = dict(reached)

        def all_held() -> bool:
            for canary, (field, value) in list(waiting.items()):
                if self.status(canary).get(field) == value:
                    self.suspend(canary, "true")
                    del waiting[canary]
            return not waiting

        until(f"{reached}", all_held, timeout=120)
        try:
            yield
        finally:
            for canary in reached:
                self.suspend(canary, "false")

    def suspend(self, canary: str, suspended: str) -> None:
        patch = f'{{"spec": {{"suspend": {suspended}}}}}'
        self.run("patch", "canary", canary, "--type=merge", "-p", patch)

    def through_gateway(self, canary: str, times: int) -> Counter[str]:
        """The versions that answered so many requests."""
        connection, found = HTTPConnection("127.0.0.1", GATEWAY_PORT, timeout=10), Counter[str]()
        try:
            for _ in range(times):
                connection.request("GET", "/version", headers={"Host": f"{canary}.localhost"})
                answer = connection.getresponse()
                body = answer.read()
                ok = answer.status == 200
                found[json.loads(body)["version"] if ok else str(answer.status)] += 1
        finally:
            connection.close()
        return found

    def answers(self, canary: str, version: str) -> None:
        """Waits until this version answers now and then; the gateway listens once it has heard of the first route."""

        def answered() -> bool:
            try:
                return version in self.through_gateway(canary, 20)
            except ConnectionError:
                return False

        until(f"{version} of {canary}", answered, timeout=60)

    def of_service(self, service: str) -> str:
        """The version that a Service answers with inside the cluster."""
        path = f"/api/v1/namespaces/{NAMESPACE}/services/{service}:80/proxy/version"
        return str(json.loads(self.lab.kubectl.run("get", "--raw", path))["version"])

    def images(self, app: str) -> list[str]:
        """What the pods with this label run."""
        pods = json.loads(self.run("get", "pods", "-l", f"app={app}", "-o", "json"))["items"]
        return [pod["spec"]["containers"][0]["image"].rpartition(":")[2] for pod in pods]

    def objects(self) -> set[str]:
        return set(self.run("get", GENERATED, "-o", "name").split())

    def remove(self) -> None:
        self.lab.kubectl.run(
            "delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s", timeout=100
        )


@pytest.fixture
def targets(cluster: Lab) -> Iterator[Targets]:
    found = Targets(cluster)
    found.deploy()
    yield found
    found.remove()


def test_each_kind_of_target_is_promoted(targets: Targets) -> None:
    for each in ROUTED:
        targets.answers(each, OLD)
    until("the target to have no pods", lambda: not targets.images("agent"), timeout=60)
    targets.release()
    share = ("canaryWeight", 30)
    with targets.held(agent=("iterations", 1), store=share, web=share):
        assert targets.of_service("agent") == OLD
        assert targets.of_service("agent-canary") == NEW
        for each in ROUTED:
            targets.answers(each, NEW)
            counted = targets.through_gateway(each, REQUESTS)
            assert set(counted) == {OLD, NEW}
            assert within(counted[NEW], 0.3), counted
    for each in CANARIES:
        assert targets.reaches(each, "Succeeded", "Failed") == "Succeeded", each
    assert targets.of_service("agent") == NEW
    assert targets.images("agent-primary") == [NEW]
    assert targets.images("store-primary") == [NEW] * 2, "as many as its own scaler wants"
    for each in ROUTED:
        assert targets.through_gateway(each, 100) == {NEW: 100}
    targets.run("delete", "canary", *CANARIES)
    until("nothing to be left behind", lambda: targets.objects() == THEIRS, timeout=60)
