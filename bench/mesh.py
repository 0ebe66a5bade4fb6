"""The control plane under envoy-like proxies: `make bench-mesh`. The last line is one JSON object.

CPU seconds and counts stand beside times, because times on a shared machine are partly its other tenants'.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, sleep
from typing import Any

SERVICES, PROXIES, FLEETS = 600, 100, 1
ROUNDS, READY, SETTLE = 100, 0.02, 0.08
SIZES, FEW, FEW_ROUNDS = (100, 1_000, 5_000), 10, 20
GOALS = {
    "route_p99_ms": 50.0,
    "route_cpu_ms": 50.0,
    "endpoint_p99_ms": 20.0,
    "cold_s": 2.0,
    "resident_mib": 250.0,
}
_COSTS = ("sent_ms", "cpu_ms", "responses", "bytes", "waits")
ROOT = Path(__file__).resolve().parent.parent


@dataclass(slots=True)
class Process:
    """A part of the benchmark, asked line by line."""

    process: subprocess.Popen[str]

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def ask(self, line: str) -> dict[str, Any]:
        self.tell(line)
        return self.hear()


@contextmanager
def started(module: str, *arguments: int) -> Iterator[Process]:
    command = [sys.executable, "-m", f"bench.meshing.{module}", *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield Process(process)
        finally:
            process.stdin.close()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


@dataclass(slots=True)
class Mesh:
    """A running control plane with its proxies."""

    plane: Process
    fleets: list[Process]
    cold: dict[str, float]

    def figures(self) -> dict[str, Any]:
        return self.plane.ask(json.dumps({"do": "figures"}))

    def change(self, what: str, index: int, value: int) -> dict[str, float]:
        """One change after a quiet moment: milliseconds until all is sent and until the last proxy has it; its cost."""
        kind = "vhds" if what == "route" else "eds"
        for fleet in self.fleets:
            fleet.tell(kind)
        sleep(READY)
        before = self.plane.ask(json.dumps({"do": what, "index": index, "value": value}))
        last = max(fleet.hear()["last"] for fleet in self.fleets)
        sleep(SETTLE)
        after = self.figures()
        return {
            "ms": (last - before["at"]) * 1000,
            "sent_ms": (after["sent"] - before["at"]) * 1000,
            "cpu_ms": (after["cpu"] - before["cpu"]) * 1000,
            "responses": after["responses"] - before["responses"],
            "bytes": after["bytes"] - before["bytes"],
            "waits": after["waits"] - before["waits"],
        }


@contextmanager
def mesh(services: int, proxies: int, fleets: int, gateways: int = 0) -> Iterator[Mesh]:
    with ExitStack() as stack:
        plane = stack.enter_context(started("plane", services))
        ready = plane.hear()
        size = proxies // fleets
        began = monotonic()
        found = [
            stack.enter_context(started("fleet", ready["port"], number * size, size, gateways))
            for number in range(fleets)
        ]
        for fleet in found:
            fleet.tell("vhds")
        last = max(fleet.hear()["last"] for fleet in found)
        sleep(0.5)
        after = plane.ask(json.dumps({"do": "synced"}))
        if after["synced"] != proxies + gateways * fleets:
            raise RuntimeError(f"only {after['synced']} of {proxies} proxies are synced")
        cold = {"s": last - began, "cpu_s": after["cpu"] - ready["cpu"]}
        yield Mesh(plane, found, cold)


def rounds(running: Mesh, what: str, count: int, services: int) -> dict[str, float]:
    """So many changes of one kind, each of another service; medians, and the 99th percentile of the time."""
    found = [
        running.change(what, number * 7 % services, 1 + number // services)
        for number in range(count)
    ]
    times = [each["ms"] for each in found]
    return {
        "p50_ms": median(times),
        "p99_ms": quantiles(times, n=100, method="inclusive")[98],
        "max_ms": max(times),
        **{key: median(each[key] for each in found) for key in _COSTS},
    }


def show(title: str, figures: dict[str, float]) -> None:
    print(f"{title:34}", *(f"{key} {value:,.6g}" for key, value in figures.items()), sep="  ")


def main() -> None:
    figures: dict[str, Any] = {"services": SERVICES, "proxies": PROXIES, "rounds": ROUNDS}
    figures["load_before"] = os.getloadavg()[0]
    with mesh(SERVICES, PROXIES, FLEETS) as running:
        show("all synced from cold", running.cold)
        for what in ("route", "endpoint"):
            found = rounds(running, what, ROUNDS, SERVICES)
            show(f"a {what} change, {PROXIES} proxies", found)
            figures |= {f"{what}_{key}": value for key, value in found.items()}
        figures["resident_mib"] = running.figures()["resident_mib"]
        figures |= {f"cold_{key}": value for key, value in running.cold.items()}
    for services in SIZES:
        with mesh(services, FEW, 1) as running:
            for what in ("route", "endpoint"):
                found = rounds(running, what, FEW_ROUNDS, services)
                show(f"a {what} change of {services:,}, {FEW} proxies", found)
                figures |= {f"{what}_cpu_ms_of_{services}": found["cpu_ms"]}
    figures = {key: round(value, 2) for key, value in figures.items()}
    figures["goals_missed"] = [key for key, most in GOALS.items() if figures[key] > most]
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
