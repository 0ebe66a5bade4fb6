"""The documented example of each strategy on the real cluster: who is answered by which version, and how it ends."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection

import pytest

from e2e.kubectl import until
from e2e.lab import GATEWAY_PORT, ROOT, SYSTEM, Lab

EXAMPLES = ROOT / "e2e" / "examples"
OLD, NEW = "6.9.0", "6.9.1"
REQUESTS = 1_000
GENERATED = "deployments,services,virtualservices,destinationrules"
Headers = dict[str, str]


@dataclass(frozen=True)
class Example:
    """One of the examples in a namespace of its own name."""

    lab: Lab
    name: str

    def deploy(self) -> None:
        self.remove()
        self.lab.kubectl.run("create", "namespace", self.name)
        self.lab.kubectl.run("label", "namespace", self.name, "istio-injection=enabled")
        # The load tester is the image that the controller runs.
        controller = self.lab.kubectl.json("get", "deployment", "rollout-controller", "-n", SYSTEM)
        image = controller["spec"]["template"]["spec"]["containers"][0]["image"]
        app = (EXAMPLES / "app.yaml").read_text().replace("ROLLOUT", image)
        self.run("apply", "-f", "-", stdin=app)
        for name in ("podinfo", "load"):
            self.run("rollout", "status", f"deployment/{name}", "--timeout=90s")
        self.run("apply", "-f", str(EXAMPLES / f"{self.name}.yaml"))
        self.phase("Initialized")
        until("the application to answer", lambda: self.counted(1) == {OLD: 1}, timeout=60)

    def release(self) -> None:
        self.run("set", "image", "deployment/podinfo", f"podinfo=localhost/rollout/podinfo:{NEW}")

    def run(self, *args: str, stdin: str | None = None) -> str:
        return self.lab.kubectl.run(*args, "-n", self.name, stdin=stdin, timeout=100)

    def status(self) -> dict[str, object]:
        found = json.loads(self.run("get", "canary", "podinfo", "-o", "json"))
        status: dict[str, object] = found.get("status", {})
        return status

    def phase(self, *wanted: str) -> None:
        until(" or ".join(wanted), lambda: self.status().get("phase") in wanted, timeout=180)

    @contextmanager
    def held(self, what: str, there: Callable[[dict[str, object]], bool]) -> Iterator[None]:
        """Suspends the canary as soon as it is there, and lets it go on afterwards."""
        until(what, lambda: there(self.status()), timeout=180)
        self.suspend("true")
        try:
            yield
        finally:
            self.suspend("false")

    def suspend(self, suspended: str) -> None:
        patch = f'{{"spec": {{"suspend": {suspended}}}}}'
        self.run("patch", "canary", "podinfo", "--type=merge", "-p", patch)

    def ask(
        self, headers: Headers | None = None, times: int = REQUESTS
    ) -> Iterator[tuple[str, str]]:
        """The version that answered each request, and the cookies that it handed out."""
        connection = HTTPConnection("127.0.0.1", GATEWAY_PORT, timeout=10)
        try:
            for _ in range(times):
                connection.request(
                    "GET", "/version", headers={"Host": f"{self.name}.localhost", **(headers or {})}
                )
                answer = connection.getresponse()
                body = answer.read()
                version = (
                    json.loads(body)["version"] if answer.status == 200 else str(answer.status)
                )
                yield version, ", ".join(answer.headers.get_all("Set-Cookie") or ())
        finally:
            connection.close()

    def counted(self, times: int = REQUESTS, headers: Headers | None = None) -> dict[str, int]:
        return dict(Counter(version for version, _ in self.ask(headers, times)))

    def received(self) -> int:
        """Requests for /version that the canary's pods have answered."""
        pods = json.loads(self.run("get", "pods", "-l", "app=podinfo", "-o", "json"))["items"]
        total = 0
        for pod in pods:
            path = (
                f"/api/v1/namespaces/{self.name}/pods/{pod['metadata']['name']}:9797/proxy/metrics"
            )
            for line in self.lab.kubectl.run("get", "--raw", path).splitlines():
                if (
                    line.startswith("http_request_duration_seconds_count")
                    and 'path="version"' in line
                ):
                    total += int(float(line.split()[-1]))
        return total

    def succeeds(self) -> None:
        """Everybody gets the new version from the primary, and nothing is left of the run or of the canary."""
        self.phase("Succeeded", "Failed")
        assert self.status()["phase"] == "Succeeded", self.run("describe", "canary", "podinfo")
        assert self.counted(100) == {NEW: 100}
        target = json.loads(self.run("get", "deployment", "podinfo", "-o", "json"))
        assert target["spec"]["replicas"] == 0
        served = json.loads(self.run("get", "virtualservice", "podinfo", "-o", "json"))
        for rule in served["spec"]["http"]:
            assert "mirror" not in rule
            shares = {each["destination"]["host"]: each.get("weight", 0) for each in rule["route"]}
            assert shares == {"podinfo-primary": 100, "podinfo-canary": 0} or (
                shares == {"podinfo-primary": 100}
            )
        self.run("delete", "canary", "podinfo")
        left = {"deployment.apps/podinfo", "deployment.apps/load", "service/load"}
        until("nothing to be left behind", lambda: self.objects() == left, timeout=60)

    def objects(self) -> set[str]:
        return set(self.run("get", GENERATED, "-o", "name").split())

    def remove(self) -> None:
        self.lab.kubectl.run(
            "delete", "namespace", self.name, "--ignore-not-found", "--timeout=90s", timeout=100
        )


@pytest.fixture
def example(cluster: Lab, request: pytest.FixtureRequest) -> Iterator[Example]:
    found = Example(cluster, request.param)
    found.deploy()
    found.release()
    yield found
    found.remove()


def within(count: int, share: float, of: int = REQUESTS) -> bool:
    """Whether a count is within three standard deviations of what the share leads one to expect."""
    return abs(count - of * share) <= 3 * math.sqrt(of * share * (1 - share))


@pytest.mark.parametrize("example", ["ab-testing"], indirect=True)
def test_an_ab_test_is_for_those_who_match(example: Example) -> None:
    with example.held("the test to begin", lambda status: status.get("canaryWeight") == 100):
        until("the routes", lambda: NEW in example.counted(1, {"x-canary": "insider"}), timeout=10)
        assert example.counted() == {OLD: REQUESTS}
        assert example.counted(headers={"x-canary": "insider"}) == {NEW: REQUESTS}
        assert example.counted(100, {"cookie": "a=b; canary=always; c=d"}) == {NEW: 100}
        assert example.counted(100, {"cookie": "canary=never"}) == {OLD: 100}
    example.succeeds()


@pytest.mark.parametrize("example", ["blue-green"], indirect=True)
def test_nobody_gets_green_before_it_was_judged(example: Example) -> None:
    with example.held("the first check", lambda status: status.get("iterations") in {1, 2}):
        assert example.counted() == {OLD: REQUESTS}
    with example.held("everybody to be switched", lambda status: status.get("canaryWeight") == 100):
        until("the routes", lambda: example.counted(1) == {NEW: 1}, timeout=10)
        assert example.counted() == {NEW: REQUESTS}
    example.succeeds()


@pytest.mark.parametrize("example", ["mirroring"], indirect=True)
def test_half_of_the_requests_are_copied(example: Example) -> None:
    with example.held("copies", lambda status: status.get("mirroring") is True):

        def copied() -> bool:
            before = example.received()
            return example.counted(20) == {OLD: 20} and example.received() > before

        until("the routes", copied, timeout=20)
        before = example.received()
        assert example.counted() == {OLD: REQUESTS}, "whose answers nobody gets"
        until("the copies", lambda: within(example.received() - before, 0.5), timeout=10)
    example.succeeds()


@pytest.mark.parametrize("example", ["session-affinity"], indirect=True)
def test_callers_stay_with_the_version_that_answered_first(example: Example) -> None:
    handed: dict[str, str] = {}
    with example.held("the first step", lambda status: status.get("canaryWeight") == 30):
        until("the routes", lambda: NEW in example.counted(20), timeout=10)
        answers = list(example.ask())
        versions = Counter(version for version, _ in answers)
        assert set(versions) == {OLD, NEW}
        assert within(versions[NEW], 0.3), versions
        handed |= dict(answers)
        assert handed[NEW].startswith("podinfo-canary=")
        assert handed[NEW].endswith("; Max-Age=3600; SameSite=Lax; HttpOnly")
        assert handed[OLD].startswith("podinfo-primary=")
        for version, cookie in handed.items():
            text = cookie.partition(";")[0]
            assert example.counted(200, {"cookie": f"a=b; {text}"}) == {version: 200}
    with example.held("the next step", lambda status: status.get("canaryWeight") == 60):
        canary, primary = (handed[version].partition(";")[0] for version in (NEW, OLD))
        until("the routes", lambda: NEW in example.counted(20, {"cookie": primary}), timeout=10)
        again = example.counted(headers={"cookie": primary})
        assert within(again.get(NEW, 0), 0.6), f"callers of the primary are drawn anew: {again}"
        assert example.counted(200, {"cookie": canary}) == {NEW: 200}
    example.phase("Succeeded", "Failed")
    (_, back), *_ = list(example.ask({"cookie": canary}, 1))
    assert back.startswith(f"{canary}; Max-Age=-1"), "it is taken back"
    example.succeeds()
