"""Rollouts of versions that fail a part of their requests, and what callers saw of them: when it began, and when it ended."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any

from e2e.kubectl import PHASE, until
from e2e.lab import GATEWAY_PORT, ROOT, SYSTEM, Lab

EXAMPLES = ROOT / "e2e" / "examples"
HOST = "judge.localhost"
CALLERS = 8
SHARE = "custom-columns=SHARE:.spec.http[0].route[1].weight"


@dataclass
class Calls:
    """Answers as they came: when, and with which status; 0 where none came."""

    answers: list[tuple[float, int]] = field(default_factory=list)

    def bad(self, since: float) -> list[float]:
        """When requests failed since then."""
        return sorted(at for at, status in tuple(self.answers) if status != 200 and at >= since)


@contextmanager
def calling(rate: float) -> Iterator[Calls]:
    """So many requests a second through the gateway, evenly, while the block lasts."""
    calls, ended = Calls(), threading.Event()
    callers = [
        threading.Thread(target=_call, args=(calls, ended, CALLERS / rate, number / rate))
        for number in range(CALLERS)
    ]
    for caller in callers:
        caller.start()
    try:
        yield calls
    finally:
        ended.set()
        for caller in callers:
            caller.join()


def _call(calls: Calls, ended: threading.Event, period: float, first: float) -> None:
    connection = HTTPConnection("127.0.0.1", GATEWAY_PORT, timeout=5)
    due = time.monotonic() + first
    while not ended.wait(max(0.0, due - time.monotonic())):
        due += period
        try:
            connection.request("GET", "/", headers={"Host": HOST})
            answer = connection.getresponse()
            answer.read()
            calls.answers.append((time.monotonic(), answer.status))
        except (HTTPException, OSError):
            connection.close()
            calls.answers.append((time.monotonic(), 0))
    connection.close()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One rollout. `seconds` from the first bad answer to routes without the canary; `bad` answers in all.

    `analysed`: seconds from the beginning of the analysis to its decision.
    """

    phase: str
    seconds: float
    analysed: float
    bad: int
    verdict: str
    message: str


@dataclass(frozen=True)
class Judged:
    """An example in a namespace of its own."""

    lab: Lab
    namespace: str = "judge"
    example: str = "judge.yaml"

    def deploy(self, **analysis: Any) -> None:
        """The application at its good version, and its Canary, until it is initialized and answers."""
        self.remove()
        self.lab.kubectl.run("create", "namespace", self.namespace)
        self.lab.kubectl.run("label", "namespace", self.namespace, "istio-injection=enabled")
        controller = self.lab.kubectl.json("get", "deployment", "rollout-controller", "-n", SYSTEM)
        image = controller["spec"]["template"]["spec"]["containers"][0]["image"]
        app = (ROOT / "e2e" / "echo.yaml").read_text().replace("ROLLOUT", image)
        self.run("apply", "-f", "-", stdin=app)
        self.run("rollout", "status", "deployment/echo", "--timeout=90s")
        self.run("apply", "-f", str(EXAMPLES / self.example))
        if analysis:
            self.run(
                "patch", "canary", "echo", "--type=merge",
                "-p", json.dumps({"spec": {"analysis": analysis}}),
            )  # fmt: skip
        until("Initialized", lambda: self.status().get("phase") == "Initialized", timeout=90)
        until("the application to answer", self._answers, timeout=60)

    def release(self, answers: str) -> None:
        """A version that answers so."""
        path = "/spec/template/spec/containers/0/args/0"
        value = f"-echo-server-default-params={answers}"
        change = [{"op": "replace", "path": path, "value": value}]
        self.run("patch", "deployment", "echo", "--type=json", "-p", json.dumps(change))

    def roll_out(self, answers: str, calls: Calls, timeout: float = 150) -> Outcome:
        """Release it, and wait until it is decided."""
        began = time.monotonic()
        shifted, ended = list[str](), list[float]()

        def note(line: str) -> None:
            share = line.strip()
            if share not in {"0", "<none>", "SHARE"}:
                shifted.append(share)
            elif shifted:
                ended.append(time.monotonic())

        within = ("-n", self.namespace)
        watch = self.lab.kubectl.watch
        with (
            watch("virtualservice", "echo", *within, "-o", SHARE, on_line=note),
            watch("canary", "echo", *within, "-o", PHASE) as phases,
        ):
            seen = len(phases.lines)

            def came(wanted: set[str]) -> list[int]:
                return [
                    number
                    for number, line in enumerate(phases.lines)
                    if number >= seen and line.strip() in wanted
                ]

            self.release(answers)
            under_way = {"Progressing", "WaitingPromotion"}
            until("the analysis", lambda: bool(came(under_way)), timeout=60)
            analysis, seen = time.monotonic(), came(under_way)[0]
            over = {"Promoting", "Finalising", "Succeeded", "Failed"}
            until("a decision", lambda: bool(came(over)), timeout=timeout)
            analysed = time.monotonic() - analysis
            until("the end", lambda: bool(came({"Succeeded", "Failed"})), timeout=100)
            time.sleep(1.0)
        status = self.status()
        bad = calls.bad(began)
        judge = status.get("judge") or {}
        return Outcome(
            phase=status["phase"],
            seconds=ended[0] - bad[0] if bad and ended else float("nan"),
            analysed=analysed,
            bad=len(bad),
            verdict=judge.get("verdict", ""),
            message=judge.get("message", ""),
        )

    def status(self) -> dict[str, Any]:
        found = json.loads(self.run("get", "canary", "echo", "-o", "json"))
        status: dict[str, Any] = found.get("status", {})
        return status

    def run(self, *args: str, stdin: str | None = None) -> str:
        return self.lab.kubectl.run(*args, "-n", self.namespace, stdin=stdin, timeout=100)

    def remove(self) -> None:
        self.lab.kubectl.run(
            "delete",
            "namespace",
            self.namespace,
            "--ignore-not-found",
            "--timeout=90s",
            timeout=100,
        )

    def _answers(self) -> bool:
        with calling(20) as calls:
            time.sleep(0.5)
        return bool(calls.answers) and not calls.bad(0)
