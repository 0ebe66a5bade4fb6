"""The book's test of a control plane, with and without a Sidecar: `make bench-mesh-scope`. The last line is one JSON object.

12 sidecars and the ingress gateway know 600 services; ten times a Service, a Gateway and a VirtualService are applied. A push is a response that a
proxy was sent, a time the time from a change's being pushed to a proxy's having acknowledged all of it.
"""

from __future__ import annotations

import json
import os
from time import sleep
from typing import Any

from bench.mesh import mesh, show

SERVICES, SIDECARS, REPETITIONS, STEPS = 600, 12, 10, 3
BETWEEN, SETTLE = 0.25, 1.0


def repetitions(running: Any, first: int) -> dict[str, float]:
    """Ten repetitions of services from this number on: pushes, their bytes, CPU, time, and what a proxy then has."""
    running.plane.ask(json.dumps({"do": "scoped"}))
    before = running.figures()
    for index in range(first, first + REPETITIONS):
        for step in range(STEPS):
            running.plane.ask(json.dumps({"do": "service", "index": index, "value": step}))
            sleep(BETWEEN / STEPS)
        sleep(BETWEEN)
    sleep(SETTLE)
    after = running.plane.ask(json.dumps({"do": "scoped"}))
    return {
        "pushes": after["responses"] - before["responses"],
        "pushed_kb": (after["bytes"] - before["bytes"]) / 1000,
        "cpu_ms": (after["cpu"] - before["cpu"]) * 1000,
        "p99_ms": after["p99_ms"],
        "config_kb": after["config_bytes"] / 1000,
    }


def main() -> None:
    figures: dict[str, Any] = {"services": SERVICES, "proxies": SIDECARS + 1}
    figures["load_before"] = os.getloadavg()[0]
    with mesh(SERVICES, SIDECARS, 1, gateways=1) as running:
        everything = repetitions(running, SERVICES)
        show("everything", everything)
        running.plane.ask(json.dumps({"do": "scope", "index": 0, "value": 1}))
        sleep(SETTLE)
        limited = repetitions(running, SERVICES + REPETITIONS)
        show("with a Sidecar", limited)
    figures |= {f"everything_{key}": round(value, 2) for key, value in everything.items()}
    figures |= {f"sidecar_{key}": round(value, 2) for key, value in limited.items()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
